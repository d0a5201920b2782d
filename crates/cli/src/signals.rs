//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM or SIGHUP. From the first call on, they no longer end the process by themselves.
pub(crate) async fn stopped() {
    let mut kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect::<Vec<_>>();
    if kinds.is_empty() {
        return std::future::pending().await;
    }
    let any = kinds.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(any).await;
}
