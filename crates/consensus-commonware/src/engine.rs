//! An engine in its own thread.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use commonware_runtime::{Metrics as _, Runner as _, Spawner as _, Supervisor as _, tokio as runtime};
use tokenim_consensus::Application;
use tokenim_wire::Height;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    EngineConfig, EngineError, PeerLink, Status,
    directory::Directory,
    erased::{Boxed, Erased},
    link::Channel,
    network::Network,
    status::StatusCells,
    wiring::{Channels, Setup, assemble},
};

/// How long the parts of the engine may take to end by themselves.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How an engine ended: `Ok` if it was told to.
type Ending = Result<(), Arc<EngineError>>;

/// A running engine. Dropping the handle stops the engine without waiting for it.
#[derive(Debug)]
pub struct EngineHandle {
    stop: watch::Sender<bool>,
    ended: watch::Receiver<Option<Ending>>,
    status: StatusCells,
    metrics: mpsc::Sender<oneshot::Sender<String>>,
}

/// Starts an engine in a thread of its own, on a runtime of its own, and waits until it has
/// replayed its journal.
///
/// Start it when a quorum of peers is connected: views that fail for want of peers cost time.
///
/// # Errors
///
/// [`EngineError`] if the configuration is wrong, the directory is in use or foreign, or store and
/// journal do not belong together. Nothing was signed then.
pub async fn start<A: Application>(
    config: EngineConfig,
    application: A,
    link: PeerLink,
) -> Result<EngineHandle, EngineError> {
    launch(config, Erased::new(application), link).await
}

/// [`start`], for any application alike. Boxed, because what is awaited unboxed is compiled with who awaits it.
#[inline(never)]
fn launch(
    config: EngineConfig,
    application: Erased,
    link: PeerLink,
) -> Boxed<'static, Result<EngineHandle, EngineError>> {
    Box::pin(launched(config, application, link))
}

async fn launched(config: EngineConfig, application: Erased, link: PeerLink) -> Result<EngineHandle, EngineError> {
    config.check()?;
    let setup = Setup::new(&config)?;
    let directory = Directory::open(&config)?;
    if directory.fresh {
        // This key may have signed with a journal that is gone.
        let (store, _) = application.committed().await;
        if config.key.is_some() && store > Height::ZERO {
            return Err(EngineError::JournalBehindStore {
                store,
                journal: Height::ZERO,
            });
        }
        directory.claim(&config)?;
    }

    let (stop, stopped) = watch::channel(false);
    let (ending, ended) = watch::channel(None);
    let (ready, started) = oneshot::channel();
    let (metrics, requests) = mpsc::channel(4);
    let worker_threads = config.worker_threads.clamp(1, 2);
    let body = move || {
        let runtime_config = runtime::Config::new()
            .with_worker_threads(worker_threads)
            .with_storage_directory(directory.journal());
        let mut ready = Some(ready);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let ready = &mut ready;
            runtime::Runner::new(runtime_config)
                .start(|context| run(context, setup, application, link, stopped, requests, ready))
        }))
        .unwrap_or_else(|panic| Err(EngineError::Panicked(panic_message(panic.as_ref()))))
        .map_err(|error| directory.explain(error));
        // The directory is free again before anyone hears of the end.
        drop(directory);
        match (outcome, ready) {
            (Err(error), Some(ready)) => {
                let _ = ready.send(Err(error));
            }
            (outcome, _) => {
                let _ = ending.send(Some(outcome.map_err(Arc::new)));
            }
        }
    };
    thread::Builder::new()
        .name("consensus".to_owned())
        .spawn(body)
        .map_err(|source| EngineError::Io {
            what: "start the consensus thread".to_owned(),
            source,
        })?;

    let status = started.await.unwrap_or(Err(EngineError::Exited("thread")))?;
    Ok(EngineHandle {
        stop,
        ended,
        status,
        metrics,
    })
}

/// The engine's root task; its end is the engine's.
async fn run(
    context: runtime::Context,
    setup: Setup,
    application: Erased,
    link: PeerLink,
    mut stopped: watch::Receiver<bool>,
    mut requests: mpsc::Receiver<oneshot::Sender<String>>,
    ready: &mut Option<oneshot::Sender<Result<StatusCells, EngineError>>>,
) -> Result<(), EngineError> {
    let me = setup.me();
    let network = Network::new(link.shared.clone(), &setup.participants, me.as_ref());
    let channels = Channels {
        votes: network.channel(Channel::Votes),
        certificates: network.channel(Channel::Certificates),
        certificate_fetch: network.channel(Channel::CertificateFetch),
        backfill: network.channel(Channel::Backfill),
        blocks: network.channel(Channel::Blocks),
    };
    let running = assemble(
        context.child("consensus"),
        &setup,
        application,
        network.clone(),
        network,
        channels,
        None,
    )
    .await?;
    if let Some(ready) = ready.take() {
        let _ = ready.send(Ok(running.status.clone()));
    }
    let mut failed = Box::pin(running.failed());
    loop {
        commonware_macros::select! {
            error = &mut failed => {
                return Err(if link.shared.is_closed() { EngineError::LinkClosed } else { error });
            },
            // An error means that the handle is gone.
            _ = stopped.wait_for(|stop| *stop) => break,
            request = requests.recv() => match request {
                Some(request) => {
                    let _ = request.send(context.encode());
                }
                None => break,
            },
        }
    }
    // What does not end in time is aborted with the root task.
    let _ = context.child("stop").stop(0, Some(STOP_WITHIN)).await;
    Ok(())
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl EngineHandle {
    /// What the engine is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.snapshot()
    }

    /// The engine's own metrics in the text format of Prometheus; `None` once it has ended.
    pub async fn metrics(&self) -> Option<String> {
        let (request, answer) = oneshot::channel();
        self.metrics.send(request).await.ok()?;
        answer.await.ok()
    }

    /// Waits for the end of the engine. May be called again and from several tasks.
    ///
    /// # Errors
    ///
    /// [`EngineError`] unless the engine was told to stop.
    pub async fn closed(&self) -> Result<(), Arc<EngineError>> {
        let mut ended = self.ended.clone();
        let ending = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|ending| (*ending).clone());
        ending.unwrap_or_else(|| Err(Arc::new(EngineError::Exited("thread"))))
    }

    /// Stops the engine and waits for its end; a block that is being committed is committed.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if it had ended with one before.
    pub async fn stop(self) -> Result<(), Arc<EngineError>> {
        let _ = self.stop.send(true);
        self.closed().await
    }
}
