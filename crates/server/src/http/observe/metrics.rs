//! Numbers for Prometheus.
//!
//! Every label has few values: operations and codes are names that this server knows, never something
//! that a client wrote. Nothing tells tenants, buckets or keys apart.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::store::{CommitWatch, Ended, Tally};

/// Counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    seconds: Family<Operation, Histogram>,
    in_flight: Gauge,
    received: Counter,
    sent: Counter,
    parts: Counter,
    part_bytes: Counter,
    connections: Gauge,
    loaded: Family<Outcome, Counter>,
    callbacks: Family<Outcome, Counter>,
    callback_seconds: Histogram,
    commit_seconds: Histogram,
    commit_commands: Histogram,
    failed_commits: Counter,
}

/// What is counted of a request.
pub(super) struct Request<'a> {
    pub(super) operation: &'a str,
    /// None: it was cut before it had a reply.
    pub(super) status: Option<u16>,
    pub(super) code: &'a str,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) spent: Duration,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Answer {
    operation: String,
    status: String,
    code: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Operation {
    operation: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    outcome: &'static str,
}

impl Metrics {
    /// `lost` counts lines of the access log that were not written.
    pub(crate) fn new(lost: Arc<AtomicU64>) -> Metrics {
        let mut registry = Registry::default();
        let metrics = Metrics {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.5, 13))
            }),
            in_flight: Gauge::default(),
            received: Counter::default(),
            sent: Counter::default(),
            parts: Counter::default(),
            part_bytes: Counter::default(),
            connections: Gauge::default(),
            loaded: Family::default(),
            callbacks: Family::default(),
            callback_seconds: Histogram::new(exponential_buckets(0.001, 2.5, 13)),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.5, 13)),
            commit_commands: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            failed_commits: Counter::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register_collector(Box::new(Process));
        let r = registry.sub_registry_with_prefix("vodferry");
        r.register(
            "requests",
            "Requests by operation, HTTP status (cut: the client left first) and code of a refusal",
            m.requests.clone(),
        );
        r.register(
            "request_seconds",
            "From a request's head to the last byte of its reply",
            m.seconds.clone(),
        );
        r.register("requests_in_flight", "Requests being answered", m.in_flight.clone());
        r.register("received_bytes", "Bytes of requests' bodies", m.received.clone());
        r.register("sent_bytes", "Bytes of replies' bodies", m.sent.clone());
        r.register("parts", "Parts stored by UploadPart", m.parts.clone());
        r.register("part_bytes", "Bytes of parts stored by UploadPart", m.part_bytes.clone());
        r.register("connections", "Open connections", m.connections.clone());
        r.register(
            "certificate_loads",
            "Attempts to load a changed certificate, by outcome",
            m.loaded.clone(),
        );
        r.register("callbacks", "Upload callbacks, by outcome", m.callbacks.clone());
        r.register(
            "callback_seconds",
            "From the end of an upload to that of its callback",
            m.callback_seconds.clone(),
        );
        r.register(
            "commit_seconds",
            "Transactions of the database, from begin to durable",
            m.commit_seconds.clone(),
        );
        r.register(
            "commit_commands",
            "Commands that shared one transaction",
            m.commit_commands.clone(),
        );
        r.register("failed_commits", "Transactions that failed", m.failed_commits.clone());
        r.register_collector(Box::new(LostLines(lost)));
        Metrics { registry, ..metrics }
    }

    /// Adds what the janitor did.
    pub(crate) fn watch_janitor(&mut self, tally: Arc<Tally>) {
        let janitor = Box::new(JanitorNumbers(tally));
        self.registry.sub_registry_with_prefix("vodferry").register_collector(janitor);
    }

    /// What the database tells of its commits to.
    pub(crate) fn commit_watch(&self) -> CommitWatch {
        let (seconds, commands) = (self.commit_seconds.clone(), self.commit_commands.clone());
        let failed = self.failed_commits.clone();
        Box::new(move |commit| match commit.failed {
            true => drop(failed.inc()),
            false => {
                seconds.observe(commit.spent.as_secs_f64());
                commands.observe(commit.commands as f64);
            }
        })
    }

    /// A connection was opened; it is open until the answer is dropped.
    pub(crate) fn connection(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// A certificate was looked at because its files changed.
    pub(crate) fn certificate_loaded(&self, good: bool) {
        let outcome = if good { "loaded" } else { "refused" };
        self.loaded.get_or_create(&Outcome { outcome }).inc();
    }

    /// An upload callback came to its end. `outcome` is one of the words of this server.
    pub(crate) fn callback(&self, outcome: &'static str, spent: Duration) {
        self.callbacks.get_or_create(&Outcome { outcome }).inc();
        self.callback_seconds.observe(spent.as_secs_f64());
    }

    /// A request came in.
    pub(super) fn arrived(&self) {
        self.in_flight.inc();
    }

    /// It was answered, or cut.
    pub(super) fn left(&self, request: &Request<'_>) {
        self.in_flight.dec();
        self.count(request);
    }

    /// Something was refused that never became a request.
    pub(crate) fn refused(&self, status: u16, code: &str) {
        let spent = Duration::ZERO;
        let status = Some(status);
        self.count(&Request { operation: "", status, code, received: 0, sent: 0, spent });
    }

    /// All of them, as OpenMetrics writes them.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn count(&self, request: &Request<'_>) {
        let operation = match request.operation {
            "" => "none",
            known => known,
        };
        let answer = Answer {
            operation: operation.to_owned(),
            status: request.status.map_or_else(|| "cut".to_owned(), |status| status.to_string()),
            code: request.code.to_owned(),
        };
        self.requests.get_or_create(&answer).inc();
        let operation = Operation { operation: answer.operation };
        self.seconds.get_or_create(&operation).observe(request.spent.as_secs_f64());
        self.received.inc_by(request.received);
        self.sent.inc_by(request.sent);
        if operation.operation == "UploadPart" && request.status == Some(200) {
            self.parts.inc();
            self.part_bytes.inc_by(request.received);
        }
    }
}

/// An open connection.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Debug)]
struct LostLines(Arc<AtomicU64>);

impl Collector for LostLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let lost = self.0.load(std::sync::atomic::Ordering::Relaxed);
        let help = "Lines of the access log that could not be written";
        counter(&mut encoder, "access_log_lost_lines", help, lost)
    }
}

#[derive(Debug)]
struct JanitorNumbers(Arc<Tally>);

impl Collector for JanitorNumbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.now();
        let e = &mut encoder;
        counter(e, "janitor_rounds", "Rounds of the janitor that ended well", now.rounds)?;
        counter(e, "janitor_failures", "Steps of the janitor that failed", now.failures)?;
        counter(e, "janitor_expired_uploads", "Uploads that were too old", now.uploads)?;
        counter(e, "janitor_deleted_blobs", "Blobs that nothing named any more", now.blobs)?;
        let name = "janitor_forgotten_completions";
        counter(e, name, "Remembered answers that were too old", now.completions)?;
        let Ended { objects, uploads } = now.lifecycle;
        counter(e, "lifecycle_deleted_objects", "Objects that lifecycle rules deleted", objects)?;
        counter(e, "lifecycle_aborted_uploads", "Uploads that lifecycle rules aborted", uploads)?;
        let help = "When the last round ended well, in seconds since 1970";
        gauge(e, "janitor_last_round_seconds", help, now.last_ms as f64 / 1000.0)
    }
}

/// What the system knows of this process, under the names that every program has for it. Nothing where it
/// does not tell.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            let name = "process_resident_memory_bytes";
            gauge(&mut encoder, name, "Memory that is really there", bytes)?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            gauge(&mut encoder, "process_open_fds", "Open files", open.count() as f64)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> Result<(), fmt::Error> {
    let value = ConstGauge::new(value);
    value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let value = ConstCounter::new(value);
    value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Commit;

    #[test]
    fn what_was_counted_is_told() {
        let metrics = Metrics::new(Arc::new(AtomicU64::new(3)));
        metrics.arrived();
        metrics.arrived();
        metrics.left(&Request {
            operation: "UploadPart",
            status: Some(200),
            code: "",
            received: 7,
            sent: 2,
            spent: Duration::from_millis(2),
        });
        metrics.refused(431, "InvalidRequest");
        metrics.callback("late", Duration::from_secs(5));
        let watch = metrics.commit_watch();
        watch(Commit { commands: 3, spent: Duration::from_millis(2), failed: false });
        watch(Commit { commands: 1, spent: Duration::from_millis(2), failed: true });
        let text = metrics.text().unwrap();
        for line in [
            "vodferry_requests_total{operation=\"UploadPart\",status=\"200\",code=\"\"} 1",
            "vodferry_requests_total{operation=\"none\",status=\"431\",code=\"InvalidRequest\"} 1",
            "vodferry_requests_in_flight 1",
            "vodferry_received_bytes_total 7",
            "vodferry_sent_bytes_total 2",
            "vodferry_parts_total 1",
            "vodferry_part_bytes_total 7",
            "vodferry_access_log_lost_lines_total 3",
            "vodferry_callbacks_total{outcome=\"late\"} 1",
            "vodferry_callback_seconds_sum 5.0",
            "vodferry_request_seconds_count{operation=\"UploadPart\"} 1",
            "vodferry_commit_commands_sum 3.0",
            "vodferry_commit_commands_bucket{le=\"2.0\"} 0",
            "vodferry_commit_commands_bucket{le=\"4.0\"} 1",
            "vodferry_commit_seconds_count 1",
            "vodferry_failed_commits_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        #[cfg(target_os = "linux")]
        for name in ["process_resident_memory_bytes", "process_open_fds"] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.unwrap().parse::<f64>().unwrap() > 0.0, "{name} in\n{text}");
        }
    }
}
