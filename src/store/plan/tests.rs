use super::*;
use crate::schema::{Compress, Field, Kind, OnDuplicate};

fn field(name: &str, r#type: Type) -> Field {
    let (unit, description) = (Some("°C".to_owned()), Some("outside".to_owned()));
    Field {
        name: name.to_owned(),
        kind: Kind::Gauge,
        r#type,
        unit,
        description,
        decimals: None,
        min: None,
        max: None,
        deadband: None,
    }
}

fn wanted(tags: &[&str], fields: &[(&str, Type)]) -> Measurement {
    Measurement {
        name: "climate".to_owned(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        fields: fields.iter().map(|(name, r#type)| field(name, *r#type)).collect(),
        max_series: 10,
        own: None,
        on_duplicate: OnDuplicate::Keep,
        retention: None,
        compress: None,
        others: false,
    }
}

fn table(columns: &[(&str, &str)]) -> Relation {
    let column = |&(name, r#type): &(&str, &str)| Column {
        name: name.to_owned(),
        r#type: r#type.to_owned(),
        required: false,
        comment: None,
    };
    Relation { shape: Shape::Table, columns: columns.iter().map(column).collect() }
}

fn view(columns: &[&str]) -> Relation {
    let columns: Vec<(&str, &str)> = columns.iter().map(|&name| (name, "any")).collect();
    Relation { shape: Shape::View, ..table(&columns) }
}

/// `climate (room; temperature)` in PostgreSQL as Amber made it.
fn found() -> Found {
    Found {
        series: Some(table(&[("series_id", "bigint"), ("retired_at", "timestamp with time zone"), ("room", "text")])),
        data: Some(table(&[
            ("time", "timestamp with time zone"),
            ("series_id", "bigint"),
            ("received_at", "timestamp with time zone"),
            ("temperature", "double precision"),
        ])),
        view: Some(view(&["time", "room", "temperature", "received_at"])),
        key: Some(Key { name: "amber_store.climate_series_room_idx".to_owned(), tags: vec!["room".to_owned()] }),
        types: BTreeMap::new(),
        catalogue: Vec::new(),
        readings: Vec::new(),
        ..Found::default()
    }
}

fn without_comments(plan: &crate::store::Plan) -> Vec<&str> {
    plan.statements.iter().map(String::as_str).filter(|sql| !sql.starts_with("comment")).collect()
}

#[test]
fn a_new_measurement_is_two_tables_their_indexes_and_a_view() {
    let (plan, planned) =
        measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", Type::Float)]), &Found::default());
    assert_eq!(
        without_comments(&plan),
        [
            "create table amber_store.\"climate_series\" (\n  series_id bigint generated always as identity primary key,\n  \"room\" text collate \"C\" not null default ''\n)",
            "create unique index on amber_store.\"climate_series\" (\"room\")",
            "create table amber_store.\"climate_data\" (\n  time timestamp with time zone not null,\n  series_id bigint not null,\n  received_at timestamp with time zone not null,\n  \"temperature\" double precision\n)",
            "create index on amber_store.\"climate_data\" (series_id, time)",
            "create index on amber_store.\"climate_data\" using brin (time timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)",
            "create view amber.\"climate\" as\nselect d.\"time\", s.\"room\", d.\"temperature\", d.\"received_at\"\nfrom amber_store.\"climate_data\" d\nleft join amber_store.\"climate_series\" s on s.series_id = d.series_id",
        ]
    );
    assert!(
        plan.statements.contains(&"comment on column amber.\"climate\".\"temperature\" is '°C: outside'".to_owned())
    );
    assert_eq!(planned.fields, [("temperature".to_owned(), Type::Float)]);
}

#[test]
fn a_new_field_and_a_new_tag_are_appended_to_a_view_that_is_there() {
    let wanted = wanted(&["room", "floor"], &[("temperature", Type::Float), ("humidity", Type::Float)]);
    let (plan, _) = measurement(Dialect::Postgres, &wanted, &found());
    assert_eq!(
        without_comments(&plan),
        [
            "alter table amber_store.\"climate_series\" add column \"floor\" text collate \"C\" not null default ''",
            "drop index amber_store.climate_series_room_idx",
            "create unique index on amber_store.\"climate_series\" (\"room\", \"floor\")",
            "alter table amber_store.\"climate_data\" add column \"humidity\" double precision",
            "create or replace view amber.\"climate\" as\nselect d.\"time\", s.\"room\", d.\"temperature\", d.\"received_at\", s.\"floor\", d.\"humidity\"\nfrom amber_store.\"climate_data\" d\nleft join amber_store.\"climate_series\" s on s.series_id = d.series_id",
        ]
    );
    assert!(plan.conflicts.is_empty());
}

#[test]
fn a_unit_that_the_mapping_says_no_more_is_taken_back_from_the_comments() {
    let mut wanted = wanted(&["room"], &[("temperature", Type::Float)]);
    let comments = |wanted: &Measurement, found: &Found| {
        let statements = measurement(Dialect::Postgres, wanted, found).0.statements;
        statements.into_iter().filter(|sql| sql.contains("\"temperature\" is")).collect::<Vec<_>>()
    };
    let mut found = found();
    for relation in [&mut found.data, &mut found.view] {
        let column = relation.as_mut().unwrap().columns.iter_mut().find(|column| column.name == "temperature");
        column.unwrap().comment = Some("°C: outside".to_owned());
    }
    assert_eq!(comments(&wanted, &found), [""; 0]);
    (wanted.fields[0].unit, wanted.fields[0].description) = (None, None);
    assert_eq!(
        comments(&wanted, &found),
        [
            "comment on column amber_store.\"climate_data\".\"temperature\" is null",
            "comment on column amber.\"climate\".\"temperature\" is null",
        ]
    );
    // And there is nothing to do for a new table.
    assert_eq!(comments(&wanted, &Found::default()), [""; 0]);
}

#[test]
fn what_others_have_added_stays_and_their_tags_are_part_of_the_key() {
    let mut found = found();
    found.key = Some(Key { name: "k".to_owned(), tags: vec!["floor".to_owned(), "room".to_owned()] });
    found.series = Some(table(&[("series_id", "bigint"), ("floor", "text"), ("room", "text"), ("note", "text")]));
    found.data.as_mut().unwrap().columns.push(Column {
        name: "humidity".to_owned(),
        r#type: "double precision".to_owned(),
        required: false,
        comment: None,
    });
    found.view = Some(view(&["time", "floor", "room", "humidity", "temperature", "received_at"]));
    let (plan, planned) = measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", Type::Float)]), &found);
    assert_eq!(without_comments(&plan), [""; 0]);
    assert_eq!(planned.other_tags, ["floor"]);
    assert_eq!(planned.all_tags().collect::<Vec<_>>(), ["room", "floor"]);
}

#[test]
fn values_are_converted_by_the_remedy_where_that_cannot_fail_and_set_aside_where_it_can() {
    let using = |using: &str| format!("using {using}; create view");
    let aside = || {
        "begin; alter table amber_store.\"climate_data\" rename column \"temperature\" to \"temperature_old\"; \
         alter view amber.\"climate\" rename column \"temperature\" to \"temperature_old\"; \
         update amber_store.field set name = 'temperature_old' where measurement = 'climate' and name = 'temperature'; commit"
            .to_owned()
    };
    let cases = [
        ("boolean", Type::Float, using("\"temperature\"::integer::double precision")),
        ("integer", Type::Float, using("\"temperature\"::double precision")),
        ("double precision", Type::Text, using("\"temperature\"::text")),
        ("text", Type::Json, using("to_jsonb(\"temperature\")")),
        ("text", Type::Float, aside()),
        ("double precision", Type::Int, aside()),
        ("bigint", Type::Bool, aside()),
        ("timestamp with time zone", Type::Float, aside()),
        ("double precision", Type::Time, aside()),
    ];
    for (has, wants, remedy) in cases {
        let mut found = found();
        found.data.as_mut().unwrap().columns[3].r#type = has.to_owned();
        found.around = around(true);
        let (plan, _) = measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", wants)]), &found);
        let [conflict] = plan.conflicts.as_slice() else { panic!("{plan:?}") };
        assert!(conflict.contains(&format!("is `{has}`;")), "{conflict}");
        assert!(conflict.contains("name the field otherwise in the mapping"), "{conflict}");
        assert!(conflict.contains(&remedy), "{conflict}");
    }
}

/// Of a table with our view on it.
fn around(is_small: bool) -> Around {
    let create = vec!["create view amber.climate as …".to_owned(), "grant …".to_owned()];
    let ours = View { name: "amber.climate".to_owned(), is_ours: true, is_materialized: false, create };
    Around { is_small, ints: vec!["temperature".to_owned()], views: vec![ours], ..Around::default() }
}

#[test]
fn ints_become_floats_by_themselves_only_in_a_small_table_without_loss_and_without_views_of_others() {
    let wanted = wanted(&["room"], &[("temperature", Type::Float)]);
    let plan = |around: Around| {
        let mut found = found();
        found.data.as_mut().unwrap().columns[3].r#type = "bigint".to_owned();
        found.around = around;
        measurement(Dialect::Postgres, &wanted, &found).0
    };
    let alone = plan(around(true));
    assert_eq!(
        without_comments(&alone),
        [
            "drop view amber.climate",
            "alter table amber_store.\"climate_data\" alter column \"temperature\" type double precision using \"temperature\"::double precision",
            "create view amber.climate as …",
            "grant …",
        ]
    );
    assert_eq!(alone.conflicts, [""; 0]);
    let mut theirs = around(true);
    let create = vec!["create view public.mine as …".to_owned()];
    theirs.views.insert(0, View { name: "public.mine".to_owned(), is_ours: false, is_materialized: false, create });
    let inexact = Around { inexact: vec!["temperature".to_owned()], ..around(true) };
    for (around, why) in [(around(false), "too large"), (inexact, "beyond 2^53"), (theirs, "public.mine")] {
        let plan = plan(around);
        assert_eq!(without_comments(&plan), [""; 0]);
        assert!(plan.conflicts[0].contains(why) && plan.conflicts[0].contains("or run: `begin; drop view"), "{plan:?}");
    }
}

#[test]
fn a_name_that_is_taken_is_not_taken_again() {
    let mut found = found();
    for name in ["temperature_old", "TEMPERATURE_OLD2"] {
        let column = Column { name: name.to_owned(), r#type: "text".to_owned(), required: false, comment: None };
        found.data.as_mut().unwrap().columns.push(column);
    }
    let (plan, _) = measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", Type::Int)]), &found);
    assert!(plan.conflicts[0].contains("to \"temperature_old3\""), "{plan:?}");
}

#[test]
fn names_that_the_database_would_cut_or_mistake_are_conflicts() {
    let long = "m".repeat(57);
    let measurements =
        [Measurement { name: long, ..wanted(&[], &[]) }, wanted(&["ctid"], &[("temperature", Type::Float)])];
    assert_eq!(names(Dialect::Postgres, &measurements).len(), 2);
    assert_eq!(names(Dialect::Sqlite, &measurements).len(), 0);
    let measurements = [wanted(&["room"], &[("True", Type::Float), ("truth", Type::Float)])];
    assert_eq!(names(Dialect::Postgres, &measurements).len(), 0);
    let [conflict] = names(Dialect::Sqlite, &measurements).try_into().unwrap();
    assert!(conflict.starts_with("in `climate`, `True` is a truth value to SQLite"), "{conflict}");
    let measurements = [wanted(&["Room"], &[("room", Type::Float)])];
    assert_eq!(names(Dialect::Postgres, &measurements).len(), 0);
    assert_eq!(names(Dialect::Sqlite, &measurements).len(), 1);
}

#[test]
fn a_tag_that_was_a_field_and_a_field_that_was_a_tag_are_conflicts_with_both_remedies() {
    let mut found = found();
    found.view = Some(view(&["time", "room", "temperature", "received_at"]));
    let cases = [
        (wanted(&["room", "temperature"], &[]), "tag `temperature` of `climate` was a field", "climate_data"),
        (wanted(&[], &[("room", Type::Text)]), "field `room` of `climate` was a tag", "climate_series"),
    ];
    for (wanted, what, table) in cases {
        let (plan, _) = measurement(Dialect::Postgres, &wanted, &found);
        let [conflict] = plan.conflicts.as_slice() else { panic!("{plan:?}") };
        assert!(conflict.contains(what) && conflict.contains("otherwise in the mapping"), "{conflict}");
        assert!(conflict.contains(&format!("`begin; alter table amber_store.\"{table}\" rename column")), "{conflict}");
    }
}

#[test]
fn a_column_appears_behind_all_others_and_is_known_the_next_time() {
    let mut open = wanted(&["room"], &[("temperature", Type::Float)]);
    open.others = true;
    let mut found = found();
    found.catalogue = vec![("temperature".to_owned(), "float".to_owned(), 0)];
    let new = ["room", "time", "temperature", "mode", "x"].map(|name| (name.to_owned(), Type::Text));
    let (plan, table, appeared) = appearing(Dialect::Postgres, &open, &found, &new);
    assert_eq!(
        without_comments(&plan),
        [
            "alter table amber_store.\"climate_data\" add column \"mode\" text",
            "alter table amber_store.\"climate_data\" add column \"x\" text",
            "create or replace view amber.\"climate\" as\nselect d.\"time\", s.\"room\", d.\"temperature\", d.\"received_at\", d.\"mode\", d.\"x\"\nfrom amber_store.\"climate_data\" d\nleft join amber_store.\"climate_series\" s on s.series_id = d.series_id",
        ]
    );
    let names = |table: &Table| table.fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&table), table.listed), (["temperature", "mode", "x"].map(str::to_owned).to_vec(), 1));
    let positions: Vec<i32> = appeared.iter().map(|column| column.position).collect();
    assert_eq!(positions, [1_000_000, 1_000_001]);

    for column in appeared {
        let r#type = Dialect::Postgres.column_type(column.r#type).to_owned();
        let name = column.name.clone();
        found.data.as_mut().unwrap().columns.push(Column { name, r#type, required: false, comment: None });
        found.catalogue.push((column.name, column.r#type.word().to_owned(), column.position));
    }
    found.view = Some(view(&["time", "room", "temperature", "received_at", "mode", "x"]));
    // Somebody has changed one of them: nothing is written there.
    found.data.as_mut().unwrap().columns.last_mut().unwrap().r#type = "bigint".to_owned();
    let (plan, table, appeared) = appearing(Dialect::Postgres, &open, &found, &new);
    assert_eq!((without_comments(&plan), appeared), (vec![], vec![]));
    assert_eq!(names(&table), ["temperature", "mode"]);
    assert_eq!(table.others.unwrap().columns["x"], None);
}

/// `found()` with its index over series and time.
fn found_with(is_unique: bool, constraint: Option<&str>) -> Found {
    let constraint = constraint.map(str::to_owned);
    let index = Index { name: "amber_store.climate_data_series_id_time_idx".to_owned(), is_unique, constraint };
    let around = Around { is_small: true, ..Around::default() };
    Found { readings: vec![index], around, ..found() }
}

fn unique(on_duplicate: OnDuplicate) -> Measurement {
    Measurement { on_duplicate, ..wanted(&["room"], &[("temperature", Type::Float)]) }
}

#[test]
fn where_duplicates_are_not_kept_the_index_is_unique_from_the_start_or_made_so() {
    for on_duplicate in [OnDuplicate::Ignore, OnDuplicate::Replace] {
        for (dialect, name) in [(Dialect::Postgres, ""), (Dialect::Sqlite, "\"store_climate_data_series_id_time\" ")] {
            let create = format!("create unique index {name}on {} (series_id, time)", dialect.data("climate"));
            let (plan, _) = measurement(dialect, &unique(on_duplicate), &Found::default());
            assert!(plan.statements.contains(&create), "{plan:?}");
            assert!(
                !plan
                    .statements
                    .iter()
                    .any(|sql| sql.starts_with("create index") && sql.ends_with("(series_id, time)"))
            );
        }
        let (plan, table) = measurement(Dialect::Postgres, &unique(on_duplicate), &found_with(false, None));
        assert_eq!(plan.conflicts, [""; 0]);
        assert_eq!(
            without_comments(&plan),
            [
                "drop index amber_store.climate_data_series_id_time_idx",
                "create unique index on amber_store.\"climate_data\" (series_id, time)",
            ]
        );
        assert_eq!(table.on_duplicate, on_duplicate);
        let (plan, _) = measurement(Dialect::Postgres, &unique(on_duplicate), &found_with(true, None));
        assert_eq!((without_comments(&plan), plan.conflicts.len()), (vec![], 0));
    }
}

#[test]
fn duplicates_that_are_there_and_a_table_too_large_to_look_are_conflicts_with_all_remedies() {
    for (has_duplicates, is_small, why) in [(true, true, "has several"), (false, false, "too large")] {
        let mut found = found_with(false, None);
        found.around = Around { is_small, has_duplicates, ..Around::default() };
        let (plan, _) = measurement(Dialect::Postgres, &unique(OnDuplicate::Ignore), &found);
        assert_eq!(without_comments(&plan), [""; 0]);
        let [conflict] = plan.conflicts.as_slice() else { panic!("{plan:?}") };
        for part in [
            why,
            "`on_duplicate = \"ignore\"` of `climate`",
            "`select series_id, time, count(*) from amber_store.\"climate_data\" group by series_id, time having count(*) > 1`",
            "leave `on_duplicate` out",
            "of each the first stays): `begin; delete from amber_store.\"climate_data\" as d where exists ",
            "; drop index amber_store.climate_data_series_id_time_idx; create unique index on amber_store.\"climate_data\" (series_id, time); commit`",
        ] {
            assert!(conflict.contains(part), "{part} in {conflict}");
        }
    }
}

#[test]
fn a_unique_index_where_duplicates_are_kept_is_a_conflict_and_never_dropped() {
    let keep = wanted(&["room"], &[("temperature", Type::Float)]);
    for (constraint, drop) in [
        (None, "drop index amber_store.climate_data_series_id_time_idx"),
        (Some("mine"), "alter table amber_store.\"climate_data\" drop constraint mine"),
    ] {
        let (plan, _) = measurement(Dialect::Postgres, &keep, &found_with(true, constraint));
        assert_eq!(without_comments(&plan), [""; 0]);
        let [conflict] = plan.conflicts.as_slice() else { panic!("{plan:?}") };
        let script = format!("`begin; {drop}; create index on amber_store.\"climate_data\" (series_id, time); commit`");
        assert!(conflict.contains(&script) && conflict.contains("`on_duplicate = \"replace\"`"), "{conflict}");
    }
    // Without any, somebody's choice is left to them.
    let (plan, _) = measurement(Dialect::Postgres, &keep, &found());
    assert_eq!((without_comments(&plan), plan.conflicts.len()), (vec![], 0));
}

/// The extension, in one of its editions.
fn timescale(is_community: bool) -> Timescale {
    Timescale { schema: "public".to_owned(), is_community, settings: crate::config::Timescale::default() }
}

/// `climate` with this retention in days.
fn kept(days: u64) -> Measurement {
    let retention = Some(std::time::Duration::from_secs(days * 86_400));
    Measurement { retention, ..wanted(&["room"], &[("temperature", Type::Float)]) }
}

#[test]
fn a_measurement_with_a_retention_is_partitioned_from_the_first_day() {
    let span = Some((Time(1_795_608_000_000_000), Time(1_795_694_400_000_000)));
    let (plan, planned) = measurement(Dialect::Postgres, &kept(30), &Found { span, ..Found::default() });
    let create =
        plan.statements.iter().find(|sql| sql.starts_with("create table amber_store.\"climate_data\" (")).unwrap();
    assert!(create.ends_with("\n) partition by range (time)"), "{create}");
    let later: Vec<_> = plan.statements.iter().filter(|sql| partitions::is_for_later(sql)).collect();
    assert_eq!(later.len(), 4, "two days: {later:?}");
    assert!(planned.partitions.is_some());
    // Who has no clock plans none; SQLite and TimescaleDB have no partitions of ours.
    let (plan, _) = measurement(Dialect::Postgres, &kept(30), &Found::default());
    assert!(!plan.statements.iter().any(|sql| partitions::is_for_later(sql)));
    let (plan, planned) = measurement(Dialect::Sqlite, &kept(30), &Found { span, ..Found::default() });
    assert!(!plan.statements.iter().any(|sql| sql.contains("partition")) && planned.partitions.is_none());
    let (plan, planned) = measurement(
        Dialect::Postgres,
        &kept(30),
        &Found { span, timescale: Some(timescale(true)), ..Found::default() },
    );
    assert!(!plan.statements.iter().any(|sql| sql.contains("partition")));
    assert!(planned.partitions.is_some_and(|chunks| chunks.are_chunks));
}

#[test]
fn a_table_that_is_there_stays_as_it_is_made_whatever_the_retention() {
    let span = Some((Time(1_795_608_000_000_000), Time(1_795_694_400_000_000)));
    let plain = Found { span, ..found() };
    let (plan, planned) = measurement(Dialect::Postgres, &kept(30), &plain);
    assert!(plan.is_empty() && planned.partitions.is_none(), "{plan:?}");
    // Taken away: partitions go on being made.
    let partitioned = Found { span, layout: Layout::Partitioned(vec![]), ..found() };
    let (plan, planned) =
        measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", Type::Float)]), &partitioned);
    assert!(plan.is_empty() && planned.partitions.is_some(), "nobody waits for a partition: {plan:?}");
    assert_eq!(without_comments(&plan).len(), 2, "{plan:?}");
}

#[test]
fn a_name_that_is_too_long_for_its_partitions_is_named() {
    let long = Measurement { name: "m".repeat(50), ..kept(30) };
    let [text] = &names(Dialect::Postgres, std::slice::from_ref(&long))[..] else { panic!() };
    assert!(text.contains("longer than 49 bytes") && text.contains("`retention`"), "{text}");
    assert!(names(Dialect::Postgres, &[Measurement { retention: None, ..long.clone() }]).is_empty());
    assert!(names(Dialect::Sqlite, &[long]).is_empty());
}

/// `climate` with a hypertable that has these policies, in days.
fn hypertable(compress_after: Option<i64>, drop_after: Option<i64>) -> Found {
    let day = partitions::DAY;
    let table = Hypertable {
        chunk: 7 * day,
        is_columnstore: compress_after.is_some(),
        compress_after: compress_after.map(|days| days * day),
        drop_after: drop_after.map(|days| days * day),
        ..Hypertable::default()
    };
    let layout = Layout::Hypertable(Box::new(table));
    Found { layout, timescale: Some(timescale(true)), ..found() }
}

fn compressed(measurement: Measurement, days: u64) -> Measurement {
    let compress = Some(Compress::After(std::time::Duration::from_secs(days * 86_400)));
    Measurement { compress, ..measurement }
}

const ENABLE: &str = "alter table amber_store.\"climate_data\" set (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'time')";

#[test]
fn a_new_table_becomes_a_hypertable_with_policies_as_far_as_the_edition_has_them() {
    let statements = |wanted: &Measurement, timescale: Timescale| {
        let (plan, table) =
            measurement(Dialect::Postgres, wanted, &Found { timescale: Some(timescale), ..Found::default() });
        assert!(table.partitions.is_some_and(|chunks| chunks.are_chunks));
        let about =
            |sql: &&String| sql.starts_with("select ") || sql.starts_with("call ") || sql.contains("timescaledb.");
        (plan.statements.iter().filter(about).cloned().collect::<Vec<_>>(), plan.notes)
    };
    let create = |chunk: &str| {
        format!(
            "select public.create_hypertable('amber_store.\"climate_data\"', public.by_range('time', interval '{chunk}'), create_default_indexes => false)"
        )
    };
    let plain = wanted(&["room"], &[("temperature", Type::Float)]);
    assert_eq!(statements(&plain, timescale(true)), (vec![create("7 days")], vec![]));
    let wanted = compressed(kept(30), 2);
    let (all, notes) = statements(&wanted, timescale(true));
    assert_eq!(
        all,
        [
            create("1 days"),
            ENABLE.to_owned(),
            "call public.add_columnstore_policy('amber_store.\"climate_data\"', after => interval '2 days')".to_owned(),
            "select public.add_retention_policy('amber_store.\"climate_data\"', drop_after => interval '30 days')"
                .to_owned(),
        ]
    );
    assert_eq!(notes, [""; 0]);
    // The Apache edition has neither, and says so of what it was asked for.
    let (all, notes) = statements(&wanted, timescale(false));
    assert_eq!(all, [create("1 days")]);
    assert!(notes.len() == 1 && notes[0].contains("needs the community edition"), "{notes:?}");
    assert_eq!(statements(&kept(30), timescale(false)).1, [""; 0]);
    // Settings of the store, and a mapping that wants none of it.
    let hours = |hours: u64| Some(std::time::Duration::from_secs(hours * 3_600));
    let settings = crate::config::Timescale { chunk: hours(6), compress_after: hours(36), hypertable: true };
    let stated = Timescale { settings, ..timescale(true) };
    let (all, _) = statements(&plain, stated.clone());
    assert_eq!((all[0].as_str(), all.len()), (create("21600 seconds").as_str(), 3));
    assert!(all[2].ends_with("after => interval '129600 seconds')"), "{all:?}");
    let never = Measurement { compress: Some(Compress::Never), ..plain };
    assert_eq!(statements(&never, stated.clone()).0.len(), 1);
    // What is dropped by then is not compressed.
    assert_eq!(statements(&kept(1), stated).0.len(), 2);
}

#[test]
fn policies_of_a_hypertable_follow_the_mapping_and_nobody_waits_for_them() {
    let statements = |wanted: &Measurement, found: &Found| {
        let (plan, _) = measurement(Dialect::Postgres, wanted, found);
        assert!(plan.is_empty() && plan.conflicts.is_empty(), "{plan:?}");
        without_comments(&plan).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let table = "('amber_store.\"climate_data\"', ";
    let wanted = compressed(kept(90), 7);
    assert_eq!(statements(&wanted, &hypertable(Some(7), Some(90))), [""; 0]);
    assert_eq!(
        statements(&wanted, &hypertable(Some(3), Some(30))),
        [
            format!("call public.remove_columnstore_policy{table}if_exists => true)"),
            format!("call public.add_columnstore_policy{table}after => interval '7 days')"),
            format!("select public.remove_retention_policy{table}if_exists => true)"),
            format!("select public.add_retention_policy{table}drop_after => interval '90 days')"),
        ]
    );
    assert_eq!(statements(&wanted, &hypertable(None, Some(90)))[0], ENABLE);
    let none = self::wanted(&["room"], &[("temperature", Type::Float)]);
    assert_eq!(
        statements(&none, &hypertable(Some(3), Some(30))),
        [format!("select public.remove_retention_policy{table}if_exists => true)")]
    );
    let mut apache = hypertable(None, None);
    apache.timescale = Some(timescale(false));
    assert_eq!(statements(&wanted, &apache), [""; 0]);
    // Chunks of another width are a person's choice, unless the configuration says one.
    let mut stated = hypertable(Some(7), Some(90));
    let it = stated.timescale.as_mut().unwrap();
    it.settings.chunk = Some(std::time::Duration::from_secs(86_400));
    assert_eq!(
        statements(&wanted, &stated),
        [format!("select public.set_chunk_time_interval{table}interval '1 days')")]
    );
}

#[test]
fn a_table_that_is_no_hypertable_stays_one_and_a_note_says_what_to_run() {
    let plain = Found { timescale: Some(timescale(true)), ..found() };
    let (plan, table) = measurement(Dialect::Postgres, &kept(30), &plain);
    assert!(plan.statements.is_empty() || plan.is_empty(), "{plan:?}");
    assert!(table.partitions.is_none_or(|partitions| !partitions.are_chunks));
    assert!(plan.notes[0].contains("migrate_data => true"), "{plan:?}");
    let partitioned = Found { layout: Layout::Partitioned(vec![]), ..plain.clone() };
    let (plan, table) = measurement(Dialect::Postgres, &kept(30), &partitioned);
    assert!(table.partitions.is_some_and(|partitions| !partitions.are_chunks));
    assert!(plan.notes[0].contains("docs/operation.md"), "{plan:?}");
    let mut without = timescale(true);
    without.settings.hypertable = false;
    let (plan, _) = measurement(Dialect::Postgres, &kept(30), &Found { timescale: Some(without.clone()), ..plain });
    assert_eq!(plan.notes, [""; 0]);
    let (plan, table) =
        measurement(Dialect::Postgres, &kept(30), &Found { timescale: Some(without), ..Found::default() });
    assert!(!plan.statements.iter().any(|sql| sql.contains("create_hypertable")));
    assert!(table.partitions.is_some_and(|partitions| !partitions.are_chunks));
}

#[test]
fn compressed_chunks_keep_an_int_from_becoming_a_float_and_the_remedy_unpacks_them() {
    let mut found = hypertable(Some(7), None);
    let Layout::Hypertable(table) = &mut found.layout else { panic!() };
    table.has_compressed = true;
    let column = found.data.as_mut().unwrap().columns.iter_mut().find(|column| column.name == "temperature").unwrap();
    column.r#type = "bigint".to_owned();
    found.around = Around { is_small: true, ints: vec!["temperature".to_owned()], ..Around::default() };
    let (plan, _) = measurement(Dialect::Postgres, &wanted(&["room"], &[("temperature", Type::Float)]), &found);
    let [conflict] = &plan.conflicts[..] else { panic!("{plan:?}") };
    assert!(conflict.contains("chunks of the table are compressed"), "{conflict}");
    let unpack = "`begin; select public.decompress_chunk(c, true) from public.show_chunks('amber_store.\"climate_data\"') as c; alter table ";
    assert!(conflict.contains(unpack), "{conflict}");
}

#[test]
fn a_wild_time_makes_a_chunk_only_while_there_is_room() {
    let chunk = |n: i64| Partition { name: String::new(), from: n * partitions::DAY, to: (n + 1) * partitions::DAY };
    let all: Vec<Partition> = (0..3_999).map(chunk).collect();
    let mut ranges = Ranges::chunks(&all, partitions::DAY);
    assert_eq!(ranges.admit([Time(-5), Time(-6), Time(i64::MAX / 4)]).len(), 1);
    assert!(ranges.has(Time(-1)) && !ranges.has(Time(i64::MAX / 4)) && ranges.has(Time(5 * partitions::DAY)));
}
