//! Changes of the mapping on full tables, with views, grants and what others have built on top.

use amber::row::Value;
use amber::schema::{Field, Schema, Type};

use super::subject::{Home, Subject, away, batch, field, measurement, row, standing};

const ROWS: i64 = 100_000;
const SERIES: i64 = 10;

/// `meter (room, device; n int, t text, f float, b bool)`
fn meter() -> Schema {
    let fields = [("n", Type::Int), ("t", Type::Text), ("f", Type::Float), ("b", Type::Bool)];
    let fields = fields.map(|(name, r#type)| Field { unit: Some("°C".to_owned()), ..field(name, r#type) });
    Schema { measurements: vec![measurement("meter", &["room", "device"], fields.to_vec())] }
}

/// With one field of another type.
fn retyped(name: &str, r#type: Type) -> Schema {
    let mut schema = meter();
    let field = schema.measurements[0].fields.iter_mut().find(|field| field.name == name);
    field.unwrap().r#type = r#type;
    schema
}

/// A store with as many rows in ten series, a role that may read, and somebody's view and trigger on top.
struct Full {
    home: Home,
    store: Subject,
    role: String,
}

impl Full {
    fn new(home: Home, rows: i64) -> Self {
        let mut store = home.ready(&meter());
        let one = |n: i64| row(0, &["kitchen", &format!("d{n}")], vec![None; 4]);
        store.write(&batch((0..SERIES).map(one).collect()), 1).unwrap();
        let (data, series) = (home.table("meter_data"), home.table("meter_series"));
        let mut sql = home.sql();
        sql.run(&format!("delete from {data}"));
        sql.run(&if home.is_postgres() {
            format!(
                "insert into {data} select now(), series_id, now(), n, n::text, n + 0.5, n % 2 = 0
                 from generate_series(1, {rows}) n join {series} on device = 'd' || (n % {SERIES})"
            )
        } else {
            format!(
                "with recursive g(n) as (values (1) union all select n + 1 from g where n < {rows})
                 insert into {data} select 1, series_id, 1, n, cast(n as text), n + 0.5, n % 2 from g join {series} on device = 'd' || (n % {SERIES})"
            )
        });
        let role = match &home {
            Home::Postgres(database) => {
                let role = format!("people_{}", database.name);
                sql.run(&format!(
                    "create role {role} login; grant usage on schema amber to {role}; grant select on amber.meter to {role} with grant option;
                     grant select (n) on amber.meter to public; comment on view amber.meter is 'it''s ours'"
                ));
                role
            }
            Home::Sqlite(_) => String::new(),
        };
        Self { home, store, role }
    }

    fn both(rows: i64) -> [Self; 2] {
        Home::both().map(|home| Self::new(home, rows))
    }

    /// `mine`, and `mine_too` on top of it; in PostgreSQL for the role, and a materialized one with an index.
    fn build_on_top(&self) {
        let mut sql = self.home.sql();
        let view = self.home.view("meter");
        sql.run(&format!("create view mine as select room, n + 1 as m, t, f, b, 'a  ;\n`''' as odd from {view}"));
        sql.run("create view mine_too as select max(m) as m from mine");
        if self.home.is_postgres() {
            sql.run(&format!(
                "grant select on mine to {0}; comment on column mine.m is 'one more';
                 create materialized view kept as select room, max(m) as m from mine group by room; create unique index on kept (room);
                 grant select on kept to {0}",
                self.role
            ));
        }
    }

    /// What somebody sees who reads `mine`; as the role, where there are roles.
    #[track_caller]
    fn people_read(&self, select: &str, wanted: &str) {
        let mut sql = self.home.sql();
        if self.home.is_postgres() {
            sql.run(&format!("set role {}", self.role));
        }
        assert_eq!(sql.value(select), Ok(wanted.to_owned()), "{}: {select}", self.home);
    }

    #[track_caller]
    fn count(&self, condition: &str, wanted: i64) {
        let text = format!("select count(*) from {} where {condition}", self.home.view("meter"));
        assert_eq!(self.home.sql().number(&text), Ok(wanted), "{}: {condition}", self.home);
    }

    /// Each way out of a conflict is printed: gives the SQL.
    #[track_caller]
    fn remedy(&mut self, schema: &Schema) -> String {
        let plan = self.store.plan(schema).unwrap();
        let text = standing(self.store.prepare(schema));
        let [conflict] = plan.conflicts.as_slice() else { panic!("{plan:?}") };
        assert!(text.contains(conflict.as_str()), "{text}");
        assert!(text.contains("otherwise in the mapping"), "{text}");
        let (_, sql) = text.split_once("`begin; ").unwrap_or_else(|| panic!("no SQL: {text}"));
        let (sql, _) = sql.rsplit_once("; commit`").unwrap();
        format!("begin; {sql}; commit")
    }
}

#[test]
fn a_field_and_a_tag_are_added_to_a_full_table_and_what_others_built_on_it_stays() {
    for mut full in Full::both(ROWS) {
        full.build_on_top();
        let mut more = meter();
        more.measurements[0].fields.push(field("humidity", Type::Float));
        more.measurements[0].tags.push("floor".to_owned());
        full.store.prepare(&more).unwrap();
        let mut values = vec![Some(Value::Int(7)); 1];
        values.extend([None, None, None, Some(Value::Float(40.0))]);
        let rows = ["", "2"].map(|floor| row(0, &["kitchen", "d0", floor], values.clone()));
        full.store.write(&batch(rows.to_vec()), 2).unwrap();
        full.count("floor = '' and humidity is null", ROWS);
        full.count("floor = '' and humidity = 40", 1);
        full.count("floor = '2' and humidity = 40", 1);
        let series = format!("select count(*) from {}", full.home.table("meter_series"));
        assert_eq!(full.home.sql().number(&series), Ok(SERIES + 1), "an old series with '' goes on");
        full.people_read(
            &format!("select max(humidity) from {}", full.home.view("meter")),
            if full.home.is_postgres() { "40" } else { "40.0" },
        );
        full.people_read("select count(*) from mine where room = 'kitchen'", &(ROWS + 2).to_string());
        assert_eq!(full.store.plan(&more).unwrap().statements, [""; 0]);
    }
}

#[test]
fn an_int_field_of_a_small_table_becomes_a_float_by_itself_and_views_and_grants_stay() {
    for mut full in Full::both(ROWS) {
        if !full.home.is_postgres() {
            // No view stands in the way in SQLite, and what else belongs to the table stays.
            full.build_on_top();
            full.home.sql().run(
                "create index my_index on store_meter_data (t);
                 create table log (n); create trigger my_trigger after insert on store_meter_data begin insert into log values (new.n); end",
            );
        }
        let mut schema = retyped("n", Type::Float);
        schema.measurements[0].fields.push(field("extra", Type::Int));
        assert_eq!(full.store.plan(&schema).unwrap().conflicts, [""; 0]);
        full.store.prepare(&schema).unwrap();
        let values = vec![Some(Value::Float(0.25)), None, None, None, None];
        full.store.write(&batch(vec![row(0, &["kitchen", "d0"], values)]), 2).unwrap();
        full.count("n = 0.25", 1);
        full.count("n = cast(t as integer) and f = n + 0.5", ROWS);
        assert_eq!(full.store.plan(&schema).unwrap().statements, [""; 0]);
        if full.home.is_postgres() {
            full.people_read("select pg_typeof(max(n)) from amber.meter", "double precision");
            full.people_read("select has_table_privilege('amber.meter', 'select with grant option')", "t");
            full.people_read("select has_column_privilege('public', 'amber.meter', 'n', 'select')", "t");
            full.people_read("select obj_description('amber.meter'::regclass, 'pg_class')", "it's ours");
            full.people_read("select col_description('amber.meter'::regclass, attnum) from pg_attribute where attrelid = 'amber.meter'::regclass and attname = 'n'", "°C");
        } else {
            full.people_read("select typeof(n) from meter where n = 7", "real");
            full.people_read("select count(*) from mine where m = 8.0", "1");
            full.people_read("select count(*) from log where n = 0.25", "1");
            full.people_read("select count(*) from sqlite_schema where name = 'my_index' and type = 'index'", "1");
            full.people_read("pragma integrity_check", "ok");
        }
    }
}

#[test]
fn an_int_field_under_views_of_others_is_a_fault_that_names_them_and_its_sql_makes_them_again() {
    let mut full = Full::new(Home::postgres(), ROWS);
    full.build_on_top();
    let schema = retyped("n", Type::Float);
    let conflict = full.store.plan(&schema).unwrap().conflicts.remove(0);
    for view in ["public.mine", "public.mine_too", "public.kept"] {
        assert!(conflict.contains(view), "{conflict}");
    }
    let sql = full.remedy(&schema);
    assert!(!sql.contains("cascade"), "{sql}");
    full.home.sql().run(&sql);
    full.store.prepare(&schema).unwrap();
    full.store
        .write(&batch(vec![row(0, &["kitchen", "d0"], vec![Some(Value::Float(0.25)), None, None, None])]), 2)
        .unwrap();
    full.people_read("select pg_typeof(m) || odd from mine limit 1", "double precisiona  ;\n`'");
    full.people_read("select max(m) from kept", "100001");
    full.people_read("select count(*) from mine where m = 1.25", "1");
    full.people_read("select has_column_privilege('public', 'amber.meter', 'n', 'select')", "t");
    full.people_read("select col_description('mine'::regclass, 2)", "one more");
    assert_eq!(full.home.sql().value("select max(m) from mine_too"), Ok("100001".to_owned()));
    full.home.sql().run("refresh materialized view concurrently kept");
}

#[test]
fn a_table_that_is_large_or_has_integers_that_no_float_tells_apart_is_left_alone() {
    for mut full in Full::both(10) {
        let data = full.home.table("meter_data");
        let insert = |values: &str| {
            format!("insert into {data} select {values} from {} limit 1", full.home.table("meter_series"))
        };
        let mut sql = full.home.sql();
        sql.run(&if full.home.is_postgres() {
            insert("now(), series_id, now(), -9007199254740993")
        } else {
            insert("1, series_id, 1, -9007199254740993, null, null, null")
        });
        let conflicts = full.store.plan(&retyped("n", Type::Float)).unwrap().conflicts;
        assert!(conflicts[0].contains("beyond 2^53"), "{conflicts:?}");
        sql.run(&format!("delete from {data} where n < 0"));
        if full.home.is_postgres() {
            sql.run(&format!(
                "alter table {data} alter column t set storage external; update {data} set t = repeat('x', 15000000)"
            ));
        } else {
            sql.run(&format!("update {data} set rowid = 1000001 where n = 1"));
        }
        let conflicts = full.store.plan(&retyped("n", Type::Float)).unwrap().conflicts;
        assert!(conflicts[0].contains("too large"), "{conflicts:?}");
        // Both ways out: somebody runs the SQL at an hour of their own.
        let remedy = full.remedy(&retyped("n", Type::Float));
        sql.run(&remedy);
        full.store.prepare(&retyped("n", Type::Float)).unwrap();
        full.count("n > 0.5", 10);
    }
}

#[test]
fn any_other_type_is_a_fault_with_both_remedies_and_the_sql_makes_it_go_under_views_of_others() {
    let cases = [
        ("f", Type::Int, Value::Int(1)),
        ("t", Type::Float, Value::Float(1.0)),
        ("b", Type::Float, Value::Float(1.0)),
        ("n", Type::Bool, Value::Bool(true)),
        ("n", Type::Time, Value::Time(super::subject::NOON)),
        ("f", Type::Text, Value::Text("x".into())),
        ("t", Type::Json, Value::Json("1".into())),
        ("n", Type::Text, Value::Text("x".into())),
    ];
    for (name, r#type, value) in cases {
        for mut full in Full::both(1_000) {
            full.build_on_top();
            if full.home.is_postgres() && r#type == Type::Text && name == "n" {
                // What is built on a number cannot be made again on a text, whoever tries: it is theirs to take away.
                full.home.sql().run("drop materialized view kept; drop view mine_too; drop view mine");
            }
            let schema = retyped(name, r#type);
            let sql = full.remedy(&schema);
            full.home.sql().run(&sql);
            full.store
                .prepare(&schema)
                .unwrap_or_else(|error| panic!("{}: {name}, {type:?}: {error:?}\n{sql}", full.home));
            let position = meter().measurements[0].fields.iter().position(|field| field.name == name).unwrap();
            let mut values = vec![None; 4];
            values[position] = Some(value.clone());
            full.store.write(&batch(vec![row(0, &["kitchen", "d0"], values)]), 2).unwrap();
            // No value is lost: it is converted, or stands beside.
            let is_aside = sql.contains("_old");
            let kept = if is_aside { format!("{name}_old") } else { name.to_owned() };
            full.count(&format!("{kept} is not null"), if is_aside { 1_000 } else { 1_001 });
            full.count(&format!("{name} is not null"), if is_aside { 1 } else { 1_001 });
            full.people_read(&format!("select count(*) from {}", full.home.view("meter")), "1001");
            if !(full.home.is_postgres() && r#type == Type::Text && name == "n") {
                full.people_read("select count(*) from mine", "1001");
            }
            assert_eq!(full.store.plan(&schema).unwrap().statements, [""; 0]);
            // And it says the same to the next one.
            full.home.store(2).prepare(&schema).unwrap();
        }
    }
}

#[test]
fn a_tag_that_becomes_a_field_and_a_field_that_becomes_a_tag_are_faults_with_both_remedies_and_the_sql_makes_it_go() {
    for mut full in Full::both(1_000) {
        full.build_on_top();
        let mut schema = meter();
        schema.measurements[0].tags = vec!["device".to_owned()];
        schema.measurements[0].fields.push(field("room", Type::Text));
        let sql = full.remedy(&schema);
        full.home.sql().run(&sql);
        full.store.prepare(&schema).unwrap();
        let values = vec![None, None, None, None, Some(Value::Text("attic".into()))];
        full.store.write(&batch(vec![row(0, &["d0"], values)]), 2).unwrap();
        full.count("room_old = 'kitchen' and room is null", 1_000);
        full.count("room_old = '' and room = 'attic' and device = 'd0'", 1);
        full.people_read("select count(*) from mine", "1001");

        schema.measurements[0].fields.remove(1);
        schema.measurements[0].tags.push("t".to_owned());
        let sql = full.remedy(&schema);
        full.home.sql().run(&sql);
        full.store.prepare(&schema).unwrap();
        full.store.write(&batch(vec![row(0, &["d0", "new"], vec![None; 4])]), 3).unwrap();
        full.count("t = '' and t_old is not null", 1_000);
        full.count("t = 'new' and t_old is null and room_old = ''", 1);
        full.people_read("select count(*) from mine", "1002");
        assert_eq!(full.store.plan(&schema).unwrap().statements, [""; 0]);
    }
}

#[test]
fn what_leaves_the_mapping_stays_in_the_table_and_new_rows_leave_it_empty() {
    for mut full in Full::both(1_000) {
        full.build_on_top();
        let mut less = meter();
        less.measurements[0].tags = vec!["device".to_owned()];
        less.measurements[0].fields.retain(|field| field.name != "t" && field.name != "b");
        full.store.prepare(&less).unwrap();
        full.store.write(&batch(vec![row(0, &["d0"], vec![Some(Value::Int(5000)), None])]), 2).unwrap();
        full.count("room = 'kitchen' and t is not null and b is not null", 1_000);
        full.count("room = '' and t is null and b is null and n = 5000", 1);
        full.people_read("select count(*) from mine", "1001");
        // And it is there when it comes back.
        full.store.prepare(&meter()).unwrap();
        full.store
            .write(&batch(vec![row(0, &["kitchen", "d0"], vec![None, Some(Value::Text("x".into())), None, None])]), 3)
            .unwrap();
        full.count("room = 'kitchen' and device = 'd0'", 101);
    }
}

#[test]
fn the_order_of_fields_and_tags_may_change() {
    for mut full in Full::both(1_000) {
        full.build_on_top();
        let mut other = meter();
        other.measurements[0].fields.reverse();
        other.measurements[0].tags.reverse();
        full.store.prepare(&other).unwrap();
        let values =
            vec![Some(Value::Bool(true)), Some(Value::Float(0.25)), Some(Value::Text("x".into())), Some(Value::Int(1))];
        full.store.write(&batch(vec![row(0, &["d0", "kitchen"], values)]), 2).unwrap();
        full.count("room = 'kitchen' and device = 'd0' and f = 0.25 and t = 'x' and n = 1", 1);
        full.count("room = 'kitchen' and device = 'd0'", 101);
        full.people_read("select count(*) from mine", "1001");
        let fields = format!("select name from {} where position = 0", full.home.view("fields"));
        assert_eq!(full.home.sql().value(&fields), Ok("b".to_owned()));
    }
}

#[test]
fn a_measurement_of_another_name_is_a_new_table_and_the_old_one_stays() {
    for mut full in Full::both(1_000) {
        full.build_on_top();
        let mut other = meter();
        other.measurements[0].name = "gauge".to_owned();
        full.store.prepare(&other).unwrap();
        full.store
            .write(&batch(vec![row(0, &["kitchen", "d0"], vec![Some(Value::Int(1)), None, None, None])]), 2)
            .unwrap();
        assert_eq!(full.home.count("gauge"), 1);
        full.people_read("select count(*) from mine", "1000");
        assert_eq!(full.home.count("measurements"), 2);
    }
}

#[test]
fn a_change_behind_a_long_query_gives_up_soon_and_is_made_when_that_has_ended() {
    let mut full = Full::new(Home::postgres(), 10);
    let mut more = meter();
    more.measurements[0].fields.push(field("humidity", Type::Float));
    let mut dashboard = full.home.sql();
    dashboard.run("begin; select * from amber.meter");
    let (in_doubt, text) = away(full.store.prepare(&more));
    assert!(!in_doubt && text.contains("lock timeout"), "{text}");
    // Nobody queues behind it.
    full.store.write(&batch(vec![row(0, &["kitchen", "d0"], vec![None; 4])]), 2).unwrap();
    dashboard.run("commit");
    full.store.prepare(&more).unwrap();
}
