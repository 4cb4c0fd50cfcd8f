//! A table of the user's own: what the schema says of it, and what a configuration can have wrong.

use super::*;

/// The faults of `toml`, which is the text behind a mapping `m` of `a/{room}`.
fn faults(toml: &str) -> Vec<String> {
    let (mapping, faults) = load(&format!("[mapping.m]\ntopic = \"a/{{room}}\"\n{toml}"));
    assert!(mapping.is_some() || faults.iter().any(|fault| fault.severity == Severity::Fault));
    faults.iter().map(ToString::to_string).collect()
}

/// Our names and their columns, of each measurement.
fn columns(toml: &str) -> Vec<(String, Vec<String>)> {
    let mapping = mapping(toml);
    let of = |measurement: &crate::schema::Measurement| {
        let own = measurement.own.as_ref().unwrap();
        let columns = own.named(measurement).map(|(ours, column)| format!("{ours}={column}"));
        (format!("{:?} {}", own.table.schema, own.table.name), columns.collect())
    };
    mapping.schema().measurements.iter().map(of).collect()
}

#[test]
fn what_is_not_listed_goes_to_the_column_of_its_name_and_receipt_only_if_it_is() {
    let start =
        "[mapping.m]\ntopic = \"a/{room}/{unit}\"\nfields = [\"t\", \"Odd name\"]\ntable = \"public.readings\"\n";
    for (toml, expected) in [
        ("", "time=time room=room unit=unit t=t Odd name=Odd name"),
        (
            "columns = { time = \"ts\", received_at = \"got\", unit = false, t = \"temp_c\" }",
            "time=ts received_at=got room=room t=temp_c Odd name=Odd name",
        ),
        (
            "columns = { received_at = false, room = \"Room Name\" }",
            "time=time room=Room Name unit=unit t=t Odd name=Odd name",
        ),
    ] {
        let all = columns(&format!("{start}{toml}"));
        let [(table, columns)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((table.as_str(), columns.join(" ")), ("Some(\"public\") readings", expected.to_owned()), "{toml}");
    }
}

#[test]
fn what_no_field_names_goes_to_one_column_of_json() {
    let all = columns("[mapping.m]\ntopic = \"a\"\nothers = \"json\"\ntable = \"r\"\ncolumns = { others = \"rest\" }");
    assert_eq!(all, [("None r".to_owned(), vec!["time=time".to_owned(), "others=rest".to_owned()])]);
}

#[test]
fn several_mappings_feed_one_measurement_or_several_that_go_to_one_table() {
    let two = |measurement: &str| {
        columns(&format!(
            "[defaults]\ntable = \"readings\"\ncolumns = {{ time = \"ts\", unit = \"u\" }}\n\
             [mapping.a]\ntopic = \"a/{{room}}\"\nfields = [\"t\"]\n{measurement}\ncolumns = {{ t = \"temp_c\" }}\n\
             [mapping.b]\ntopic = \"b/{{unit}}\"\nfields = [\"t\", \"h\"]\n{measurement}"
        ))
    };
    let table = "None readings".to_owned();
    // What one says of `t` holds for both.
    let both = ["time=ts", "room=room", "unit=u", "t=temp_c", "h=h"].map(str::to_owned).to_vec();
    assert_eq!(two("measurement = \"m\""), [(table.clone(), both)]);
    let one = ["time=ts", "room=room", "t=temp_c"].map(str::to_owned).to_vec();
    let other = ["time=ts", "unit=u", "t=t", "h=h"].map(str::to_owned).to_vec();
    assert_eq!(two(""), [(table.clone(), one), (table, other)]);
}

#[test]
fn names_that_need_quotes_are_no_matter_where_the_table_is_ones_own() {
    let warned = faults("fields = { PM = \"p\" }");
    assert!(warned.iter().any(|line| line.contains("must be quoted")), "{warned:?}");
    let silent = faults("fields = { PM = \"p\" }\ntable = \"readings\"");
    assert_eq!(silent, [""; 0]);
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_place_and_remedy() {
    for (toml, expected) in [
        ("fields = [\"t\"]\ncolumns = { t = \"x\" }", "config.toml:8:13: mapping.m.columns: there is no `table`"),
        (
            "fields = [\"t\"]\ntable = \"my table\"",
            "config.toml:8:9: mapping.m.table: \"my table\" is no name of a table",
        ),
        ("fields = [\"t\"]\ntable = \"amber.m\"", "leave `table` out and set `measurement`"),
        ("fields = [\"t\"]\ntable = \"r\"\nmax_series = 5", "config.toml:9:14: mapping.m.max_series: "),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = { time = false }", "mapping.m.columns.time: every row has a time"),
        (
            "fields = [\"t\"]\ntable = \"r\"\ncolumns = { t = false }",
            "name its column, or take the field out of the mapping",
        ),
        (
            "fields = [\"t\"]\ntable = \"r\"\ncolumns = { rom = \"x\" }",
            "`rom` is neither a tag nor a field; did you mean `room`?",
        ),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = { t = \"room\" }", "`room` and `t` both go to column `room`"),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = { t = \"\" }", "no name of a column"),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = { t = 5 }", "or `false` for a tag without one, not a number"),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = \"t\"", "write `columns = { time = \"ts\" }`"),
        ("fields = [\"t\"]\ntable = \"r\"\ncolumns = {}", "the table is empty"),
        (
            "fields = [\"t\"]\ntable = \"r\"\nothers = \"add\"",
            "mapping.m.others: `others = \"add\"` makes columns, and Amber does not change a table of your own",
        ),
        ("others = \"json\"\ntable = \"r\"\ncolumns = { others = false }", "`others` is a field"),
        ("table = \"r\"\n[mapping.m.fields]\nt = {}\ncolumns = { t = \"x\" }", "is a key of the mapping"),
    ] {
        let faults = faults(toml);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{toml}\n   got {faults:#?}\nwanted {expected}");
        assert_eq!(faults.len(), 1, "one fault has no echoes: {faults:#?}");
    }
}

#[test]
fn mappings_of_one_measurement_must_agree_on_its_table() {
    let two = |one: &str, other: &str| {
        faults(&format!(
            "fields = [\"t\"]\n{one}\n[mapping.n]\ntopic = \"b/{{room}}\"\nmeasurement = \"m\"\nfields = [\"t\"]\n{other}"
        ))
    };
    for (one, other, expected) in [
        (
            "table = \"r\"",
            "table = \"s\"",
            "goes to table `s` here, and goes to table `r` in `mapping.m` (config.toml:8:9)",
        ),
        ("table = \"r\"", "", "goes to tables that Amber makes here, and goes to table `r`"),
        ("", "table = \"r\"", "goes to table `r` here, and goes to tables that Amber makes"),
        (
            "table = \"r\"\ncolumns = { room = \"x\" }",
            "table = \"R\"\ncolumns = { room = false }",
            "`room` of measurement `m` is left out here, and goes to column `x` in `mapping.m` (config.toml:9:20)",
        ),
    ] {
        let faults = two(one, other);
        assert!(
            faults.len() == 1 && faults[0].contains(expected),
            "{one} / {other}\n   got {faults:#?}\nwanted {expected}"
        );
    }
    assert!(two("table = \"r\"", "table = \"R\"").is_empty(), "without quotes capitals do not matter");
}
