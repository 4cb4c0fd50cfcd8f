//! Panels as Grafana's classic JSON has them: what is the same for each kind.

use serde_json::{Value, json};

use super::query::device_variable;
use super::uid;

/// The data source that the stack provisions.
pub(super) fn source() -> Value {
    json!({"type": "grafana-postgresql-datasource", "uid": "amber-postgres"})
}

/// A panel without its place.
pub(super) struct Panel {
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) format: &'static str,
    pub(super) sql: String,
    pub(super) defaults: Value,
    pub(super) overrides: Vec<Value>,
    pub(super) options: Value,
    pub(super) transformations: Vec<Value>,
}

/// Where a panel lies: columns of 24, rows.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) w: usize,
    pub(super) h: usize,
}

impl Place {
    fn json(self) -> Value {
        json!({"x": self.x, "y": self.y, "w": self.w, "h": self.h})
    }
}

impl Panel {
    pub(super) fn json(self, id: usize, place: Place) -> Value {
        let mut panel = json!({
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": place.json(),
            "datasource": source(),
            "targets": [{
                "refId": "A",
                "datasource": source(),
                "format": self.format,
                "rawQuery": true,
                "editorMode": "code",
                "rawSql": self.sql,
            }],
            "fieldConfig": {"defaults": self.defaults, "overrides": self.overrides},
            "options": self.options,
        });
        if !self.transformations.is_empty() {
            panel["transformations"] = self.transformations.into();
        }
        if matches!(self.kind, "timeseries" | "state-timeline") {
            // No more than a graph has dots to show them: `$__interval_ms` follows from it.
            panel["maxDataPoints"] = 500.into();
        }
        panel
    }
}

/// The heading of a row, open or with its panels in it.
pub(super) fn row(id: usize, title: &str, y: usize, panels: Option<Vec<Value>>) -> Value {
    json!({
        "id": id,
        "type": "row",
        "title": title,
        "collapsed": panels.is_some(),
        "gridPos": Place { x: 0, y, w: 24, h: 1 }.json(),
        "panels": panels.unwrap_or_default(),
    })
}

/// A frame for each device, so that one's gaps are not between another's dots.
pub(super) fn apart() -> Vec<Value> {
    vec![json!({
        "id": "partitionByValues",
        "options": {"fields": ["device", "id"], "keepFields": false, "naming": {"asLabels": true}},
    })]
}

/// A series bears its device's name, and leads to it.
pub(super) fn named_by_device(measurement: &str) -> Value {
    let url = device_url(measurement, "__field.labels.id");
    json!({
        "matcher": {"id": "byName", "options": "value"},
        "properties": [
            {"id": "displayName", "value": "${__field.labels.device}"},
            {"id": "links", "value": [{"title": "This device alone", "url": url, "targetBlank": false}]},
        ],
    })
}

/// The dashboard of the measurement with one device chosen, whose number is in `source`.
pub(super) fn device_url(measurement: &str, source: &str) -> String {
    let (uid, variable) = (uid(measurement), device_variable(measurement));
    format!("/d/{uid}?var-{variable}=${{{source}:percentencode}}&${{__url_time_range}}")
}

pub(super) fn hide_from() -> Value {
    json!({"legend": false, "tooltip": false, "viz": false})
}

/// `fieldConfig.defaults.custom` of a graph.
pub(super) fn lines(dashed_thresholds: bool) -> Value {
    json!({
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 0,
        "gradientMode": "none",
        "showPoints": "auto",
        "pointSize": 4,
        "barAlignment": 0,
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisBorderShow": false,
        "axisCenteredZero": false,
        "scaleDistribution": {"type": "linear"},
        "spanNulls": false,
        "insertNulls": false,
        "stacking": {"mode": "none", "group": "A"},
        "hideFrom": hide_from(),
        "thresholdsStyle": {"mode": if dashed_thresholds { "dashed" } else { "off" }},
    })
}

pub(super) fn line_options() -> Value {
    json!({
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "min", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": false},
    })
}

/// `fieldConfig.defaults.custom` and options of a chart of states.
pub(super) fn states() -> Value {
    json!({
        "fillOpacity": 70,
        "lineWidth": 1,
        "hideFrom": hide_from(),
    })
}

pub(super) fn state_options() -> Value {
    json!({
        "mergeValues": true,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
        "tooltip": {"mode": "single", "sort": "none", "hideZeros": false},
    })
}

/// `fieldConfig.defaults.custom` of bars.
pub(super) fn bars() -> Value {
    json!({
        "lineWidth": 1,
        "fillOpacity": 80,
        "gradientMode": "none",
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisBorderShow": false,
        "axisCenteredZero": false,
        "scaleDistribution": {"type": "linear"},
        "hideFrom": hide_from(),
        "thresholdsStyle": {"mode": "off"},
    })
}

pub(super) fn bar_options() -> Value {
    json!({
        "xField": "time",
        "orientation": "auto",
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 100,
        "showValue": "never",
        "stacking": "normal",
        "groupWidth": 0.7,
        "barWidth": 0.9,
        "barRadius": 0,
        "fullHighlight": false,
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["sum"]},
        "tooltip": {"mode": "multi", "sort": "desc", "hideZeros": false},
    })
}

/// The colours of series.
pub(super) fn palette() -> Value {
    json!({"mode": "palette-classic"})
}
