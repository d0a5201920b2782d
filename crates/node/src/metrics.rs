//! What `/metrics` shows.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokenim_consensus_commonware::Status;
use tokenim_rpc::{ErrorCode, Kind};

/// A kind of request.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// A kind of refusal.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// The node's metrics. A clone is a handle. None of them has a label that a caller can choose.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<KindLabel, Counter>,
    refusals: Family<CodeLabel, Counter>,
    request_seconds: Family<KindLabel, Histogram>,
    pub(crate) height: Gauge,
    pub(crate) block_transactions: Counter,
    pub(crate) peers: Gauge,
    pub(crate) clients: Gauge,
    pub(crate) consensus_dropped: Counter,
    pub(crate) mempool: Gauge,
    pub(crate) envelopes: Gauge,
    pub(crate) envelope_bytes: Gauge,
    pub(crate) puts: Counter,
    pub(crate) anchors_waiting: Gauge,
    pub(crate) anchors_sent: Counter,
    pub(crate) repaired: Counter,
    pub(crate) expired: Counter,
    pub(crate) finality_seconds: Histogram,
    view: Gauge,
    skipped_views: Gauge,
}

/// Upper bounds from 1 ms to about 16 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// Upper bounds from 1 ms to about 19 s, each a fifth above the one before, so that percentiles can be read from it.
fn fine_latency() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 1.2, 55))
}

impl Metrics {
    /// All metrics at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tokenim");
        let mut metrics = Self {
            registry: Arc::new(Registry::default()),
            requests: Family::default(),
            refusals: Family::default(),
            request_seconds: Family::new_with_constructor(latency),
            height: Gauge::default(),
            block_transactions: Counter::default(),
            peers: Gauge::default(),
            clients: Gauge::default(),
            consensus_dropped: Counter::default(),
            mempool: Gauge::default(),
            envelopes: Gauge::default(),
            envelope_bytes: Gauge::default(),
            puts: Counter::default(),
            anchors_waiting: Gauge::default(),
            anchors_sent: Counter::default(),
            repaired: Counter::default(),
            expired: Counter::default(),
            finality_seconds: fine_latency(),
            view: Gauge::default(),
            skipped_views: Gauge::default(),
        };
        let m = &metrics;
        registry.register("requests", "Requests, by kind", m.requests.clone());
        registry.register("refusals", "Refused requests, by reason", m.refusals.clone());
        registry.register(
            "request_seconds",
            "Time to answer a request, without waiting on purpose",
            m.request_seconds.clone(),
        );
        registry.register("height", "Height of the newest committed block", m.height.clone());
        registry.register(
            "block_transactions",
            "Transactions in committed blocks",
            m.block_transactions.clone(),
        );
        registry.register("peers", "Connected nodes", m.peers.clone());
        registry.register("clients", "Other connections", m.clients.clone());
        registry.register(
            "consensus_dropped",
            "Consensus messages dropped because a peer was too slow",
            m.consensus_dropped.clone(),
        );
        registry.register("mempool", "Transactions waiting for a block", m.mempool.clone());
        registry.register("envelopes", "Envelopes kept", m.envelopes.clone());
        registry.register(
            "envelope_bytes",
            "Bytes of the envelopes kept",
            m.envelope_bytes.clone(),
        );
        registry.register("puts", "Envelopes taken from clients", m.puts.clone());
        registry.register(
            "anchors_waiting",
            "Quorum receipts that are not final yet",
            m.anchors_waiting.clone(),
        );
        registry.register("anchors_sent", "Anchor transactions made", m.anchors_sent.clone());
        registry.register(
            "repaired",
            "Envelopes fetched from other nodes because they were missing here",
            m.repaired.clone(),
        );
        registry.register("expired", "Envelopes deleted after their expiry", m.expired.clone());
        registry.register(
            "finality_seconds",
            "From taking a transaction to its commit here",
            m.finality_seconds.clone(),
        );
        registry.register("consensus_view", "View of the consensus engine", m.view.clone());
        registry.register(
            "consensus_skipped_views",
            "Views since the start that ended without a block",
            m.skipped_views.clone(),
        );
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// Counts a request that was answered after `took`.
    pub(crate) fn answered(&self, kind: Kind, took: Duration) {
        let label = KindLabel { kind: kind.name() };
        self.requests.get_or_create(&label).inc();
        self.request_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&CodeLabel { code: code.name() }).inc();
    }

    /// Takes over what the engine says of itself.
    pub(crate) fn show_engine(&self, status: &Status) {
        self.view.set(i64::try_from(status.view.get()).unwrap_or(i64::MAX));
        self.skipped_views
            .set(i64::try_from(status.skipped_views).unwrap_or(i64::MAX));
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_was_counted() {
        let metrics = Metrics::new();
        metrics.answered(Kind::Put, Duration::from_millis(3));
        metrics.refused(ErrorCode::RATE_LIMITED);
        metrics.height.set(7);
        let text = metrics.text();
        for line in [
            "tokenim_requests_total{kind=\"put\"} 1",
            "tokenim_refusals_total{code=\"rate-limited\"} 1",
            "tokenim_height 7",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }
}
