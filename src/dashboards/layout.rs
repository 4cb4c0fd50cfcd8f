//! A dashboard as a whole: its head, its variables, and where each panel lies.
//!
//! The first screen says what is now; below it a panel for each field, two in a line. What would be more than a browser
//! likes to draw at once waits in rows that are closed.

use serde_json::{Value, json};

use super::field::{self, Look};
use super::name::{md5, shown};
use super::panel::{self, Panel, Place, row};
use super::query::{MAX_BARS, MAX_CHOICES, MAX_LINES, MAX_STATES, Queries};
use super::{MARK, MEASUREMENT_TAG, TAG, table, uid};
use crate::schema::{Described, Field};

/// So many panels of fields are open, and in each row that is closed.
const PANELS: usize = 16;

/// The dashboard of a measurement.
pub(super) fn dashboard(measurement: &Described) -> Value {
    let uid = uid(&measurement.name);
    let queries = Queries::new(measurement);
    json!({
        "id": null,
        "uid": uid,
        "title": shown(&measurement.name),
        "description": "Made by Amber from its catalogue, and made anew when that changes: edits are lost. To keep your own, \
                        save it under another name, or take the tag `amber-generated` off the file.",
        "tags": [TAG, MEASUREMENT_TAG, MARK],
        "schemaVersion": 42,
        "version": 1,
        "editable": false,
        "timezone": "browser",
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "annotations": {"list": []},
        "templating": {"list": variables(&queries)},
        "links": links(&measurement.name),
        "panels": panels(measurement, &queries),
    })
}

/// Tags that the next dashboard has, too, are handed on; devices are not, by the name of their variable.
fn links(measurement: &str) -> Vec<Value> {
    let link = |kind: &str, title: &str, tooltip: &str, tag: &[&str], url: &str| {
        json!({
            "type": kind, "title": title, "tooltip": tooltip, "tags": tag, "url": url,
            "icon": if url.is_empty() { "external link" } else { "dashboard" },
            "asDropdown": url.is_empty(), "keepTime": true, "includeVars": url.is_empty(), "targetBlank": false,
        })
    };
    let explore = format!("/d/amber-explore?var-measurement={}", md5(measurement));
    vec![
        link("dashboards", "Measurements", "The other measurements", &[MEASUREMENT_TAG], ""),
        link("dashboards", "Amber", "All dashboards of Amber", &[TAG], ""),
        link("link", "Explore", "Any field of this measurement", &[], &explore),
    ]
}

fn variables(queries: &Queries<'_>) -> Vec<Value> {
    let variable = |name: &str, label: &str, description: String, sql: String| {
        json!({
            "type": "query",
            "name": name,
            "label": label,
            "description": description,
            "datasource": panel::source(),
            "query": sql,
            "definition": sql,
            "refresh": 1,
            "sort": 0,
            "regex": "",
            "multi": true,
            "includeAll": true,
            "hide": 0,
            "skipUrlSync": false,
            "current": {"text": ["All"], "value": ["$__all"]},
            "options": [],
        })
    };
    let tags = queries.tags().iter().map(|(tag, name)| {
        let description = format!("Narrows the devices down; the first {MAX_CHOICES} values");
        variable(name, &shown(tag), description, queries.tag_values(tag))
    });
    let devices = variable(
        &queries.device(),
        "Device",
        format!("Those in use that the choices before leave; the first {MAX_CHOICES} by name"),
        queries.devices(),
    );
    tags.chain([devices]).collect()
}

/// Gives panels their numbers and places, from the top.
struct Grid {
    id: usize,
    y: usize,
}

impl Grid {
    fn id(&mut self) -> usize {
        self.id += 1;
        self.id
    }

    /// Lays panels in lines of `columns`; one alone gets the whole width.
    fn lay(&mut self, panels: Vec<Panel>, columns: usize, h: usize) -> Vec<Value> {
        let count = panels.len();
        let mut laid = Vec::with_capacity(count);
        for (at, panel) in panels.into_iter().enumerate() {
            let (column, line) = (at % columns, at / columns);
            let w = if column == 0 && at + 1 == count { 24 } else { 24 / columns };
            laid.push(panel.json(self.id(), Place { x: column * w, y: self.y + line * h, w, h }));
        }
        self.y += count.div_ceil(columns) * h;
        laid
    }

    fn heading(&mut self, title: &str) -> Value {
        let heading = row(self.id(), title, self.y, None);
        self.y += 1;
        heading
    }
}

fn panels(measurement: &Described, queries: &Queries<'_>) -> Vec<Value> {
    let mut grid = Grid { id: 0, y: 0 };
    let mut panels = vec![grid.heading("Now")];
    panels.extend(grid.lay(stats(queries), 3, 4));
    panels.extend(grid.lay(vec![devices(measurement, queries)], 1, 9));

    let mut fields = of_fields(measurement, queries);
    if fields.is_empty() {
        return panels;
    }
    panels.push(grid.heading("Trends"));
    let rest = fields.split_off(fields.len().min(PANELS));
    panels.extend(grid.lay(fields, 2, 8));
    let mut rest = rest.into_iter().peekable();
    while let Some(first) = rest.peek() {
        let id = grid.id();
        let y = grid.y;
        let mut title = format!("More: {}", first.title);
        let chunk: Vec<Panel> = rest.by_ref().take(PANELS).collect();
        if let [_, .., last] = &chunk[..] {
            title = format!("{title} to {}", last.title);
        }
        // Panels of a row that is closed lie where they will when it is opened; Grafana closes the gap until then.
        grid.y += 1;
        let inside = grid.lay(chunk, 2, 8);
        panels.push(row(id, &title, y, Some(inside)));
    }
    panels
}

fn stats(queries: &Queries<'_>) -> Vec<Panel> {
    let stat = |title: &str, description: &str, sql: String, mut defaults: Value| {
        defaults["color"] = json!({"mode": "thresholds"});
        Panel {
            kind: "stat",
            title: title.to_owned(),
            description: description.to_owned(),
            format: "table",
            sql,
            defaults,
            overrides: Vec::new(),
            options: json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "/^value$/", "values": false},
                "orientation": "auto", "textMode": "auto", "colorMode": "value", "graphMode": "none",
                "justifyMode": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
            }),
            transformations: Vec::new(),
        }
    };
    let silent =
        json!({"mode": "absolute", "steps": [{"color": "green", "value": null}, {"color": "red", "value": 1}]});
    vec![
        stat(
            "Devices",
            "Those chosen that are in use.",
            queries.number("count(*)"),
            json!({"unit": "none", "decimals": 0, "noValue": "0", "thresholds": {"mode": "absolute", "steps": [{"color": "text", "value": null}]}}),
        ),
        stat(
            "Silent",
            "Those not heard for three times as long as is usual for them.",
            queries.number("count(*) filter (where silent)"),
            json!({"unit": "none", "decimals": 0, "noValue": "0", "thresholds": silent}),
        ),
        stat(
            "Last message",
            "When the last of them was heard.",
            queries.number("max(last_seen)"),
            json!({"unit": "dateTimeFromNow", "noValue": "none yet", "thresholds": {"mode": "absolute", "steps": [{"color": "text", "value": null}]}}),
        ),
    ]
}

fn devices(measurement: &Described, queries: &Queries<'_>) -> Panel {
    let columns = table::columns(measurement);
    let left_out = match table::left_out(measurement) {
        0 => String::new(),
        1 => " One field has no column here.".to_owned(),
        more => format!(" {more} fields have no column here."),
    };
    Panel {
        kind: "table",
        title: "Devices".to_owned(),
        description: format!(
            "The last value of each field that was not null, at most {MAX_CHOICES} devices. Silent: not heard for three times \
             as long as is usual for it.{left_out}"
        ),
        format: "table",
        sql: queries.table(&columns),
        defaults: json!({
            "unit": "none",
            "noValue": "–",
            "thresholds": {"mode": "absolute", "steps": [{"color": "text", "value": null}]},
            "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "filterable": false},
        }),
        overrides: table::overrides(&columns, &measurement.name),
        options: json!({"showHeader": true, "cellHeight": "sm", "sortBy": []}),
        transformations: Vec::new(),
    }
}

/// The panels of the fields: numbers in the order of the mapping, then states.
fn of_fields(measurement: &Described, queries: &Queries<'_>) -> Vec<Panel> {
    let (mut numbers, mut states) = (Vec::new(), Vec::new());
    for field in &measurement.fields {
        match field::look(field) {
            Look::Line => numbers.push(line(field, queries)),
            Look::Counter => {
                numbers.push(days(field, queries));
                numbers.push(rate(field, queries));
            }
            Look::Switch => states.push(timeline(field, queries, true)),
            Look::Words => states.push(timeline(field, queries, false)),
            Look::Table | Look::Nowhere => {}
        }
    }
    numbers.extend(states);
    numbers
}

fn line(field: &Field, queries: &Queries<'_>) -> Panel {
    let mut defaults = field::number(field);
    defaults["color"] = panel::palette();
    defaults["custom"] = panel::lines(field::has_range(field));
    let range = match (field.min, field.max) {
        (None, None) => "",
        _ => " Dashed: the range that the mapping states.",
    };
    Panel {
        kind: "timeseries",
        title: shown(&field.name),
        description: field::description(
            field,
            &format!(
                "Averages, one line a device, at most {MAX_LINES} by name. A gap: no value for three times as long as usual.{range}"
            ),
        ),
        format: "table",
        sql: queries.trend(&field.name),
        defaults,
        overrides: vec![panel::named_by_device(queries.measurement())],
        options: panel::line_options(),
        transformations: panel::apart(),
    }
}

fn rate(field: &Field, queries: &Queries<'_>) -> Panel {
    let mut defaults = field::growth(field, true);
    defaults["color"] = panel::palette();
    defaults["custom"] = panel::lines(false);
    Panel {
        kind: "timeseries",
        title: format!("{}, per hour", shown(&field.name)),
        description: field::description(
            field,
            &format!(
                "By how much the counter grows, an hour; a counter that begins anew is known as such. At most {MAX_LINES} devices by name."
            ),
        ),
        format: "table",
        sql: queries.rate(&field.name),
        defaults,
        overrides: vec![panel::named_by_device(queries.measurement())],
        options: panel::line_options(),
        transformations: panel::apart(),
    }
}

fn days(field: &Field, queries: &Queries<'_>) -> Panel {
    let mut defaults = field::growth(field, false);
    defaults["color"] = panel::palette();
    defaults["custom"] = panel::bars();
    let time = json!({
        "matcher": {"id": "byName", "options": "time"},
        "properties": [{"id": "unit", "value": "time:ddd D MMM"}, {"id": "displayName", "value": "Day"}],
    });
    Panel {
        kind: "barchart",
        title: format!("{}, per day", shown(&field.name)),
        description: field::description(
            field,
            &format!(
                "By how much the counter grew, each day of your time zone, seven at least; a counter that begins anew is known as such. At most {MAX_BARS} devices by name."
            ),
        ),
        format: "time_series",
        sql: queries.daily(&field.name),
        defaults,
        overrides: vec![panel::named_by_device(queries.measurement()), time],
        options: panel::bar_options(),
        transformations: Vec::new(),
    }
}

fn timeline(field: &Field, queries: &Queries<'_>, is_bool: bool) -> Panel {
    let mut defaults = json!({
        "unit": if is_bool { "none" } else { "string" },
        "noValue": "–",
        "thresholds": field::plain_thresholds(),
        "color": if is_bool { json!({"mode": "thresholds"}) } else { panel::palette() },
        "custom": panel::states(),
    });
    if is_bool {
        defaults["mappings"] = field::switch();
    }
    Panel {
        kind: "state-timeline",
        title: shown(&field.name),
        description: field::description(
            field,
            &format!("Each change, one line a device, at most {MAX_STATES} by name. A gap: the device was silent."),
        ),
        format: "table",
        sql: queries.states(&field.name, is_bool),
        defaults,
        overrides: vec![panel::named_by_device(queries.measurement())],
        options: panel::state_options(),
        transformations: panel::apart(),
    }
}
