//! Generated dashboards by the rules for those written by hand. (What their queries answer: `crate::dashboards`.)

use amber::dashboards;
use amber::schema::{Described, Field, Kind, Type};

use super::dashboards::Dashboard;
use super::{lint, schema};

fn field(name: &str, r#type: Type, kind: Kind) -> Field {
    let (unit, description) = (Some("kWh".to_owned()), Some("What it is.".to_owned()));
    let (min, max) = (Some(0.0), Some(100.0));
    Field { name: name.to_owned(), kind, r#type, unit, description, decimals: Some(1), min, max, deadband: None }
}

#[test]
fn generated_dashboards_have_the_shape_that_grafana_keeps_and_no_option_that_it_ignores() {
    let every = |n: usize| {
        let types = [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Time, Type::Json];
        let kinds = [Kind::Gauge, Kind::Total];
        let field = |at: usize| field(&format!("f{at}"), types[at % 6], kinds[at / 6 % 2]);
        (0..n).map(field).collect::<Vec<_>>()
    };
    let bare = Field { min: None, max: None, decimals: None, unit: None, ..field("x", Type::Float, Kind::Gauge) };
    let described = |name: &str, tags: &[&str], fields| Described {
        name: name.to_owned(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        fields,
    };
    let measurements = [
        described("climate", &["room", "device"], every(12)),
        described("wide", &["room"], every(200)),
        described("bare", &[], vec![bare]),
        described("no_field", &[], vec![]),
        described("$x's \"own\" [[y]]", &["it's", "${z}"], every(7)),
    ];
    for dashboard in dashboards::all(&measurements) {
        let json = serde_json::from_str(&dashboard.text).expect("it is JSON");
        let dashboard = Dashboard { name: dashboard.measurement, json };
        assert_eq!(lint::faults(&dashboard), [""; 0], "{}", dashboard.name);
        assert_eq!(schema::unknown(&dashboard), [""; 0], "{}", dashboard.name);
    }
}
