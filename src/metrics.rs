//! Every metric, declared once: its help text is its doc comment. Labels come from closed sets, never a topic name.

use prometheus::core::Collector as _;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::row::{Ignored, Reason};

/// One metric as it is declared below.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub name: &'static str,
    /// The type's name in the `prometheus` crate.
    pub kind: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ident = $name:literal $({ $($label:literal),+ })? $([ $($bucket:literal),+ ])?;)+) => {
        /// All of Amber's metrics and their registry.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        /// What `docs/metrics.md` lists.
        pub const DECLARED: &[Declared] = &[
            $(Declared { name: $name, kind: stringify!($kind), help: concat!($($help),+), labels: &[$($($label),+)?] },)+
        ];

        impl Metrics {
            /// Registers all of them, and those of the process (`process_*`, Linux only).
            #[must_use]
            pub fn new() -> Self {
                let registry = Registry::new();
                $(
                    let $field = metrics!(@make $kind, $name, concat!($($help),+).trim(), { $($($label),+)? }, [ $($($bucket),+)? ]);
                    registry.register(Box::new($field.clone())).expect("names are unique");
                )+
                #[cfg(target_os = "linux")]
                registry
                    .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
                    .expect("names are unique");
                let metrics = Self { registry, $($field,)+ };
                metrics.show_closed_sets();
                metrics
            }
        }
    };
    (@make Histogram, $name:literal, $help:expr, { }, [ $($bucket:literal),+ ]) => {
        Histogram::with_opts(HistogramOpts::new($name, $help).buckets(vec![$($bucket),+])).expect("the declaration is valid")
    };
    (@make $kind:ident, $name:literal, $help:expr, { }, [ ]) => {
        $kind::new($name, $help).expect("the declaration is valid")
    };
    (@make $kind:ident, $name:literal, $help:expr, { $($label:literal),+ }, [ ]) => {
        $kind::new(Opts::new($name, $help), &[$($label),+]).expect("the declaration is valid")
    };
}

metrics! {
    /// Messages received from the broker, redelivered ones included, by quality of service.
    messages_received: IntCounterVec = "amber_messages_received_total" { "qos" };
    /// Messages that came again and were recognised by the ledger: acknowledged, not stored again.
    messages_redelivered: IntCounter = "amber_messages_redelivered_total";
    /// Redelivered messages of unknown key that came after new ones: the broker does not keep the order that exactness rests on.
    messages_redelivered_late: IntCounter = "amber_messages_redelivered_late_total";
    /// Messages that gave nothing, and rightly so, by reason.
    messages_ignored: IntCounterVec = "amber_messages_ignored_total" { "reason" };
    /// Messages of QoS 0 that were dropped because the limit in hand was reached.
    messages_dropped: IntCounterVec = "amber_messages_dropped_total" { "reason" };
    /// Rejects stored, by reason.
    rejects: IntCounterVec = "amber_rejects_total" { "reason" };
    /// Rejects beyond what is kept a minute, by reason: acknowledged and counted here, not stored.
    rejects_unkept: IntCounterVec = "amber_rejects_unkept_total" { "reason" };
    /// Rejects deleted, by reason: older than `[rejects] keep` (age), or beyond its `max` (size).
    rejects_deleted: IntCounterVec = "amber_rejects_deleted_total" { "reason" };
    /// Fields that could not be read and were left out of a row that was kept, by mapping and field; `others`: values that no field lists and no column took.
    fields_dropped: IntCounterVec = "amber_fields_dropped_total" { "mapping", "field" };
    /// Rows that bear the time of receipt although their mapping names a time, by reason.
    times_received: IntCounterVec = "amber_times_received_total" { "reason" };
    /// Rows committed, by measurement.
    rows_written: IntCounterVec = "amber_rows_written_total" { "measurement" };
    /// Rows whose series and time were there already and that `on_duplicate` ignored or put into the row that is there, by measurement; not among the written.
    rows_duplicate: IntCounterVec = "amber_rows_duplicate_total" { "measurement" };
    /// Rows older than the `retention` of their measurement when their message was received, by measurement: ignored.
    rows_expired: IntCounterVec = "amber_rows_expired_total" { "measurement" };
    /// Rows deleted one by one because they are older than the `retention` of their measurement, by measurement.
    rows_deleted: IntCounterVec = "amber_rows_deleted_total" { "measurement" };
    /// Partitions (chunks) dropped whole because all of their rows are older than the `retention` of their measurement, by measurement.
    partitions_dropped: IntCounterVec = "amber_partitions_dropped_total" { "measurement" };
    /// 1 while something keeps old rows from being deleted, or new partitions from being made, and a person must act.
    retention_hindered: IntGauge = "amber_retention_hindered";
    /// Values left out because they differ from the last stored one by at most the field's `deadband`, by measurement.
    fields_unchanged: IntCounterVec = "amber_fields_unchanged_total" { "measurement" };
    /// Rows not written because nothing was left of them by `deadband`, by measurement.
    rows_unchanged: IntCounterVec = "amber_rows_unchanged_total" { "measurement" };
    /// Rows written into the table of devices (last seen, last values), beside the readings.
    devices_written: IntCounter = "amber_devices_written_total";
    /// Attempts to write the table of devices that failed; readings are stored all the same.
    devices_failures: IntCounter = "amber_devices_failures_total";
    /// Batches of which the table of devices was not told in time; it is made right from the data then.
    devices_missed: IntCounter = "amber_devices_missed_total";
    /// Batches committed.
    batches_written: IntCounter = "amber_batches_written_total";
    /// Seconds from sealing a batch to its proof of storage, waits included.
    commit_seconds: Histogram = "amber_commit_seconds" [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
    /// Attempts to write that failed, by kind: away, in_doubt, standing, refused, fenced.
    write_failures: IntCounterVec = "amber_write_failures_total" { "kind" };
    /// Messages received and not yet settled.
    in_hand_messages: IntGauge = "amber_in_hand_messages";
    /// Bytes of the messages received and not yet settled.
    in_hand_bytes: IntGauge = "amber_in_hand_bytes";
    /// Seconds since the receipt of the oldest message that is not settled; 0 if there is none.
    oldest_unsettled_seconds: Gauge = "amber_oldest_unsettled_seconds";
    /// Deliveries that the ledger knows.
    ledger_entries: IntGauge = "amber_ledger_entries";
    /// Entries of the ledger that were let go without confirmation, because there were too many: each may be stored twice if its acknowledgement was lost.
    ledger_forgotten: IntCounter = "amber_ledger_forgotten_total";
    /// Acknowledgements sent (PUBACK and PUBREC).
    acknowledged: IntCounter = "amber_acknowledged_total";
    /// Connections to the broker that were established.
    connections: IntCounter = "amber_connections_total";
    /// Connections to the broker that were lost, or could not be established.
    connection_failures: IntCounter = "amber_connection_failures_total";
    /// Times the broker did not know our session any more: messages in between may be gone.
    sessions_lost: IntCounter = "amber_sessions_lost_total";
    /// Connections that were lost, as it seems, because another client with our client identifier connected.
    takeovers: IntCounter = "amber_takeovers_total";
    /// Filters that the broker refuses at present.
    subscriptions_refused: IntGauge = "amber_subscriptions_refused";
    /// 1 for the side that is up, 0 for one that is not: broker, store.
    up: IntGaugeVec = "amber_up" { "side" };
    /// 1 for the condition that the store is in, 0 for the others: up, away (it comes back by itself), standing (a person must act).
    store_condition: IntGaugeVec = "amber_store_condition" { "condition" };
    /// Bytes of the write-ahead log beside a SQLite file; above 64 MiB somebody reads it in a transaction that does not end. 0 on PostgreSQL.
    store_log_bytes: IntGauge = "amber_store_log_bytes";
    /// Files of dashboards written or replaced by the service (`[dashboards] dir`).
    dashboards_written: IntCounter = "amber_dashboards_written_total";
    /// 1 while the dashboards cannot be written (the log says why), else 0.
    dashboards_failing: IntGauge = "amber_dashboards_failing";
    /// Times the store answered with an older batch than one it had confirmed: it was restored, or a late replica took over.
    store_went_back: IntCounter = "amber_store_went_back_total";
    /// Changes of the configuration that were found on disk, by outcome: applied, or refused, and what was before keeps running.
    reloads: IntCounterVec = "amber_reloads_total" { "outcome" };
    /// 1 while the configuration on disk is refused and the one before it keeps running; `/ready` says why.
    configuration_refused: IntGauge = "amber_configuration_refused";
    /// 1 while a mounted file of the configuration was replaced outside, so that no edit of it is seen; `/ready` names it.
    configuration_cut_off: IntGauge = "amber_configuration_cut_off";
}

impl Metrics {
    /// A counter that has not moved yet is shown as 0, so that a rate over it exists from the start.
    fn show_closed_sets(&self) {
        for qos in ["0", "1", "2"] {
            self.messages_received.with_label_values(&[qos]);
        }
        for reason in Ignored::ALL {
            self.messages_ignored.with_label_values(&[reason.word()]);
        }
        for reason in ["overlap", "merged"] {
            self.messages_ignored.with_label_values(&[reason]);
        }
        for reason in Reason::ALL {
            self.rejects.with_label_values(&[reason.word()]);
            self.rejects_unkept.with_label_values(&[reason.word()]);
        }
        for reason in ["age", "size"] {
            self.rejects_deleted.with_label_values(&[reason]);
        }
        for reason in ["absent", "outside"] {
            self.times_received.with_label_values(&[reason]);
        }
        for kind in ["away", "in_doubt", "standing", "refused", "fenced"] {
            self.write_failures.with_label_values(&[kind]);
        }
        for side in ["broker", "store"] {
            self.up.with_label_values(&[side]);
        }
        for condition in ["up", "away", "standing"] {
            self.store_condition.with_label_values(&[condition]);
        }
        for outcome in ["applied", "refused"] {
            self.reloads.with_label_values(&[outcome]);
        }
        self.messages_dropped.with_label_values(&["overload"]);
    }

    /// The sum over all labels of a counter by its name; 0 for one that is not there.
    #[must_use]
    pub fn total(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family
            .map_or(0, |family| family.get_metric().iter().map(|metric| metric.get_counter().get_value() as u64).sum())
    }

    /// The sum of a counter over all labels, without looking at any other metric.
    #[must_use]
    pub fn sum(counter: &IntCounterVec) -> u64 {
        Self::by_label(counter).iter().map(|(_, value)| value).sum()
    }

    /// A counter by the value of its first label.
    #[must_use]
    pub fn by_label(counter: &IntCounterVec) -> Vec<(String, u64)> {
        let families = counter.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        let of = |metric: &prometheus::proto::Metric| {
            let label = metric.get_label().first().map(|label| label.value().to_owned());
            (label.unwrap_or_default(), metric.get_counter().get_value() as u64)
        };
        metrics.map(of).collect()
    }

    /// The text that Prometheus scrapes (version 0.0.4).
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("a Vec takes every write");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/metrics.md` as it must be.
    fn page() -> String {
        let mut page = String::from(
            "# Metrics\n\n\
             `GET /metrics` on `[http] listen` (default `127.0.0.1:9583`), in Prometheus' text format. It shows no payload and\n\
             no topic name and asks for no token. Labels come from closed sets: memory does not grow with the number of topics.\n\n\
             | metric | type | labels | meaning |\n|---|---|---|---|\n",
        );
        for metric in DECLARED {
            let kind = match metric.kind {
                "IntCounter" | "IntCounterVec" => "counter",
                "Histogram" => "histogram",
                _ => "gauge",
            };
            let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            page.push_str(&format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help.trim()));
        }
        page.push_str("\nOn Linux also `process_*`: CPU seconds, resident memory, open files, threads, start time.\n");
        page
    }

    #[test]
    fn the_page_of_metrics_says_what_is_declared() {
        let expected = page();
        assert!(include_str!("../docs/metrics.md") == expected, "docs/metrics.md must read:\n{expected}");
    }

    #[test]
    fn every_metric_without_an_open_label_is_shown_from_the_start() {
        let text = String::from_utf8(Metrics::new().text()).unwrap();
        for metric in DECLARED {
            let open = metric.labels.iter().any(|label| ["mapping", "field", "measurement"].contains(label));
            assert!(open || text.contains(metric.name), "{} is not shown", metric.name);
        }
        assert!(text.contains("process_resident_memory_bytes"));
    }
}
