//! `/health` and `/metrics` for the operator.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use tokenim_rpc::{NodeState, NodeStatus};
use tokio::net::TcpListener;

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Pages {
    /// How the node is.
    pub(crate) status: Arc<dyn Fn() -> NodeStatus + Send + Sync>,
    /// What it has counted, as text.
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Serves the pages until `stop` is ready.
pub(crate) async fn serve(listener: TcpListener, pages: Pages, stop: impl Future<Output = ()> + Send + 'static) {
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(pages);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::warn!(%error, "the HTTP pages are no longer served");
    }
}

/// 200 while the node serves and the network makes progress, else 503; the body says what is the matter.
async fn health(State(pages): State<Pages>) -> impl IntoResponse {
    let status = (pages.status)();
    let code = match status.state {
        NodeState::Ok => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, [(header::CONTENT_TYPE, "application/json")], health_json(&status))
}

/// The counters.
async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (pages.metrics)())
}

/// One JSON object; all texts in it are ASCII without quotes.
pub(crate) fn health_json(status: &NodeStatus) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "{{\"status\":\"{}\",\"height\":{},\"time_ms\":{},\"peers\":{},\"nodes\":{},\"validator\":{},\"set_epoch\":{},\
         \"envelopes\":{},\"bytes\":{},\"node\":\"{}\",\"network\":\"{}\",\"software\":\"{}\"}}",
        status.state.name(),
        status.height,
        status.time,
        status.peers,
        status.nodes,
        status.validator,
        status.set_epoch,
        status.envelopes,
        status.bytes,
        status.node,
        status.network,
        status.software.as_str(),
    );
    text.push('\n');
    text
}
