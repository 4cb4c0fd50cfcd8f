//! `retention`: rows that are too old when they come.

use super::*;
use crate::schema::Compress;

const TOML: &str = "topic = \"a\"\nrows = \"[]\"\ntime = \"t\"\nretention = \"10d\"\nfields = [\"v\"]";

#[test]
fn rows_older_than_the_retention_are_ignored_and_counted_by_the_time_of_receipt() {
    let mapping = mapping(&format!("[mapping.m]\n{TOML}"));
    let received = 1_704_067_200;
    let oldest = received - 10 * 86_400;
    let payload = |times: &[i64]| {
        let rows: Vec<String> = times.iter().map(|time| format!("{{\"t\": {time}, \"v\": 1}}")).collect();
        format!("[{}]", rows.join(","))
    };
    let said = |payload: &str| {
        let message = Message { received_at: Time(received * 1_000_000), ..message("a", payload) };
        lines(&mapping, &message)
    };
    assert_eq!(said(&payload(&[oldest])).len(), 1);
    let some = said(&payload(&[oldest - 1, oldest, oldest - 2]));
    assert_eq!(some.len(), 2, "{some:?}");
    assert_eq!(some[1], "expired m: 2");
    assert_eq!(said(&payload(&[oldest - 1])), ["ignored expired", "expired m: 1"]);
    // What is wrong is said all the same.
    let mixed = format!("[{{\"t\": {}, \"v\": 1}}, {{\"t\": {received}, \"v\": \"x\"}}]", oldest - 1);
    let mixed = said(&mixed);
    assert!(mixed[0].starts_with("rejected field: "), "{mixed:?}");
}

#[test]
fn mappings_that_feed_one_measurement_agree_on_the_retention() {
    let two = |second: &str| {
        format!(
            "[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\nretention = \"10d\"\n[mapping.n]\nmeasurement = \"m\"\ntopic = \"b\"\nfields = [\"v\"]\n{second}"
        )
    };
    let faults = |toml: &str| load(toml).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(faults(&two("retention = \"240h\"")), [""; 0]);
    let kept = mapping(&two("")).schema().measurements[0].retention;
    assert_eq!(kept, Some(std::time::Duration::from_secs(864_000)));
    let [fault] = &faults(&two("retention = \"11d\""))[..] else { panic!() };
    for part in ["mapping.n.retention", "11d here and 10d in `mapping.m`", "config.toml:", "write it in one of them"] {
        assert!(fault.contains(part), "{fault}");
    }
    let own = faults("[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\ntable = \"public.x\"\nretention = \"10d\"");
    assert!(own.len() == 1 && own[0].contains("deletes nothing from a table of your own"), "{own:?}");
}

#[test]
fn mappings_that_feed_one_measurement_agree_on_its_compression() {
    let two = |first: &str, second: &str| {
        format!(
            "[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\n{first}\n[mapping.n]\nmeasurement = \"m\"\ntopic = \"b\"\nfields = [\"v\"]\n{second}"
        )
    };
    let faults = |toml: &str| load(toml).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    let said = |first: &str, second: &str| mapping(&two(first, second)).schema().measurements[0].compress;
    let week = Some(Compress::After(std::time::Duration::from_secs(604_800)));
    assert_eq!(said("", ""), None);
    assert_eq!(said("compress_after = \"7d\"", "compress_after = \"168h\""), week);
    assert_eq!(said("", "compress_after = false"), Some(Compress::Never));
    let [fault] = &faults(&two("compress_after = \"7d\"", "compress_after = false"))[..] else { panic!() };
    for part in ["mapping.n.compress_after", "false here and 7d in `mapping.m`", "write it in one of them"] {
        assert!(fault.contains(part), "{fault}");
    }
    let own = faults("[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\ntable = \"public.x\"\ncompress_after = \"10d\"");
    assert!(own.len() == 1 && own[0].contains("changes nothing of a table of your own"), "{own:?}");
}
