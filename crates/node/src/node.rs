//! The node: its parts put together, watched, and taken apart again.

use crate::anchor::Anchors;
use crate::changes::ChangeLog;
use crate::clock;
use crate::contact::Contacts;
use crate::error::{NodeError, StartError};
use crate::folder::{Folder, UsedMark};
use crate::gateway::Gateway;
use crate::gossip;
use crate::http::{self, Pages};
use crate::ledger::{Ledger, Store, Tip};
use crate::links::{Links, short};
use crate::metrics::Metrics;
use crate::net::Net;
use crate::queue::lock;
use crate::repair::Repair;
use crate::server::{Busy, Server, Shares};
use crate::service::{self, Service};
use crate::status::{self, Health};
use crate::storage_role::{self, StorageRole};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokenim_consensus_commonware::{
    EngineConfig, EngineHandle, LinkLimits, PeerLink, Timeouts, peer_link, start as start_engine,
};
use tokenim_execution::Executor;
use tokenim_identity::{NodeKey, NodeSigningKey};
use tokenim_ledger::{Body, IncarnationRegistration, StateKey, Transaction};
use tokenim_mailbox::Incarnation;
use tokenim_rpc::NodeStatus;
use tokenim_storage::{Batch, StateStore as _, StoreError, Table};
use tokenim_storage_fjall::{FjallOptions, FjallStore};
use tokenim_transport::{Limits, Transport as _};
use tokenim_transport_quic::QuicTransport;
use tokenim_wire::{NetworkId, decode, encode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// What the node itself keeps: single values by name.
const META: Table = Table::new("node/meta");
/// The node's incarnation.
const META_INCARNATION: &[u8] = b"incarnation";

/// How long a part that could not write waits before it tries again.
const RETRY_STORE: Duration = Duration::from_secs(5);
/// How long an unregistered incarnation waits before it is sent again.
const RETRY_INCARNATION: Duration = Duration::from_secs(30);
/// Heights for which the registration of an incarnation is valid.
const INCARNATION_LIFETIME_HEIGHTS: u64 = 64;
/// How long the engine may take to stop.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the transport may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_millis(300);
/// Connections beyond those of clients, so that clients can't keep the other nodes out.
const NODE_CONNECTIONS_MAX: u32 = 256;
/// Threads of the engine's runtime.
const ENGINE_THREADS: usize = 1;

/// A TokenIM node: what [`Node::start`] starts.
#[derive(Debug)]
pub enum Node {}

/// How a node ended: `Ok` if it was told to.
type Ending = Result<(), NodeError>;

/// A running node. Dropping the handle stops the node without waiting for it.
pub struct NodeHandle {
    node: NodeKey,
    network: NetworkId,
    listen: SocketAddr,
    http: Option<SocketAddr>,
    /// Not kept alive by the handle, which may be kept long after the node's end.
    health: Weak<status::Parts>,
    tips: watch::Receiver<Tip>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<Option<(Ending, NodeStatus)>>,
    /// How it was at its start.
    first: NodeStatus,
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeHandle")
            .field("node", &self.node)
            .field("listen", &self.listen)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl NodeHandle {
    /// The node's key.
    #[must_use]
    pub const fn node(&self) -> &NodeKey {
        &self.node
    }

    /// The network it belongs to.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The UDP address at which it listens.
    #[must_use]
    pub const fn listen_address(&self) -> SocketAddr {
        self.listen
    }

    /// The TCP address of its pages, if they are served.
    #[must_use]
    pub const fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// How it is, or was at its end.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        if let Some((_, status)) = &*self.ended.borrow() {
            return status.clone();
        }
        let parts = self.health.upgrade();
        parts.map_or_else(|| self.first.clone(), |parts| Health { parts }.status())
    }

    /// Waits until the node has seen a block finalised since its start: from then on it serves everything.
    ///
    /// # Errors
    /// [`NodeError`] if it stopped before, also when it was told to.
    pub async fn ready(&self) -> Result<(), NodeError> {
        let mut tips = self.tips.clone();
        tokio::select! {
            seen = tips.wait_for(|tip| tip.since_start.is_some()) => match seen {
                Ok(_) => Ok(()),
                Err(_) => Err(NodeError::Exited("ledger")),
            },
            ended = self.closed() => Err(ended.err().unwrap_or(NodeError::Exited("life"))),
        }
    }

    /// Waits until the node has stopped. May be called again and from several tasks.
    ///
    /// # Errors
    /// [`NodeError`] unless it was told to stop.
    pub async fn closed(&self) -> Result<(), NodeError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some((ending, _))) => ending.clone(),
            _ => Err(NodeError::Exited("supervisor")),
        }
    }

    /// Stops the node: it takes nothing new, finishes what is under way, lets the engine end in order, and closes its
    /// connections. What was acknowledged is durable before that already.
    ///
    /// # Errors
    /// [`NodeError`] if it had stopped by itself before.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.stop.send_replace(true);
        self.closed().await
    }
}

/// What is open before anything runs.
struct Opened {
    net: Net,
    http: Option<TcpListener>,
    store: Store,
    executor: Executor<Store>,
    incarnation: Incarnation,
}

impl Node {
    /// Starts the node of a folder within the current tokio runtime. It serves when this returns; [`NodeHandle::ready`]
    /// tells when the network makes progress.
    ///
    /// # Errors
    /// [`StartError`]; nothing was changed then.
    pub fn start(folder: Folder) -> impl Future<Output = Result<NodeHandle, StartError>> + Send {
        // Boxed, so that the node is compiled with this crate and not anew with every program that starts one.
        let starting: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(Self::start_parts(folder));
        starting
    }

    async fn start_parts(folder: Folder) -> Result<NodeHandle, StartError> {
        let metrics = Metrics::new();
        let opened = open(&folder).await?;
        let mut seeds = [0; 16];
        getrandom::fill(&mut seeds).map_err(StartError::Random)?;
        let seeds = u128::from_be_bytes(seeds);
        let (boot, nonce) = (low(seeds), low(seeds >> 64));
        let (stop, stopping) = watch::channel(false);

        let config = &folder.config;
        let key = Arc::new(NodeSigningKey::from_seed(*folder.secrets.key.expose_seed()));
        let node = key.verifying_key();
        let network = folder.network_id;
        let (ledger, to_gossip) = Ledger::new(opened.executor, config.timing.heartbeat(), nonce, metrics.clone());
        let (links, dialled) = Links::new(node, network, opened.net.clone(), metrics.clone());

        let storage = match config.roles.storage {
            true => {
                let store = opened.store.clone();
                let contacts = blocking(move || Contacts::open(network, node, store)).await??;
                let parts = storage_role::Parts {
                    network,
                    key: key.clone(),
                    node,
                    incarnation: opened.incarnation,
                    bytes_max: config.storage.bytes_max,
                    store: opened.store.clone(),
                    contacts,
                    ledger: ledger.clone(),
                    changes: ChangeLog::new(boot),
                    metrics: metrics.clone(),
                    stopping: stopping.clone(),
                };
                Some(StorageRole::new(parts).await?)
            }
            false => None,
        };
        let repair = storage.as_ref().map(|storage| {
            Repair::new(
                node,
                storage.clone(),
                ledger.clone(),
                links.clone(),
                metrics.clone(),
                config.timing.repair_interval(),
                config.timing.repair_grace(),
            )
        });
        let gateway = match config.roles.gateway {
            true => {
                let anchors = {
                    let (key, store, ledger, metrics) =
                        (key.clone(), opened.store.clone(), ledger.clone(), metrics.clone());
                    let interval = config.timing.anchor_interval();
                    blocking(move || Anchors::open(network, key, store, ledger, metrics, interval)).await??
                };
                let gateway = Gateway::new(
                    network,
                    key.clone(),
                    ledger.clone(),
                    config.limits.submissions_per_minute,
                    config.limits.submissions_burst,
                );
                Some((gateway, anchors))
            }
            false => None,
        };
        let validators = folder.network.validators();
        let validator = validators.contains(&node);
        let health = Health {
            parts: Arc::new(status::Parts {
                network,
                node,
                validator,
                incarnation: opened.incarnation,
                started: Instant::now(),
                stalled_after: config.timing.stalled_after(),
                ledger: ledger.clone(),
                links: links.clone(),
                storage: storage.clone(),
                stopping: stopping.clone(),
            }),
        };
        let service = Service {
            parts: Arc::new(service::Parts {
                ledger: ledger.clone(),
                health: health.clone(),
                storage: storage.clone(),
                repair: repair.clone(),
                gateway: gateway.clone(),
                stopping: stopping.clone(),
            }),
        };
        let (link, port) = peer_link(validators, LinkLimits::reference());
        let busy = Busy::default();
        let server = Arc::new(Server {
            network,
            net: opened.net.clone(),
            links: links.clone(),
            service,
            port: port.clone(),
            metrics: metrics.clone(),
            requests_per_second: config.limits.requests_per_second,
            requests_burst: config.limits.requests_burst,
            request_timeout: config.limits.request_timeout(),
            stopping: stopping.clone(),
            busy: busy.clone(),
            shares: Shares::new(usize::try_from(config.limits.connections_max).unwrap_or(usize::MAX)),
            readers: Mutex::default(),
        });
        let genesis = ledger.genesis_block()?;
        let listen = opened.net.local_address();
        let http = opened.http.as_ref().and_then(|listener| listener.local_addr().ok());

        let mut parts = Tasks::default();
        let engine = EngineCell::default();
        links.set_peers(peers(&ledger));
        parts.spawn("server", {
            let server = server.clone();
            async move {
                server.run(dialled).await;
                Ok(())
            }
        });
        parts.spawn("links", follow_node_set(links.clone(), ledger.clone()));
        parts.spawn("message carrier", {
            let links = links.clone();
            async move {
                links.carry(&port).await;
                // The engine has ended; its own task says why.
                std::future::pending::<()>().await;
                Ok(())
            }
        });
        parts.spawn("gossip", {
            let recipients: BTreeSet<NodeKey> = validators.validators().iter().map(|validator| validator.key).collect();
            let (links, ledger) = (links.clone(), ledger.clone());
            async move {
                gossip::run(node, recipients, links, ledger, to_gossip).await;
                Ok(())
            }
        });
        let config_of_engine = EngineConfig {
            network,
            validators: validators.clone(),
            key: validator.then(|| NodeSigningKey::from_seed(*key.expose_seed())),
            genesis,
            directory: folder.consensus(),
            install_id: folder.secrets.install.to_bytes(),
            timeouts: Timeouts::reference(),
            worker_threads: ENGINE_THREADS,
        };
        let (halt, halted) = watch::channel(false);
        let used = folder.used_mark();
        parts.spawn("engine", {
            let (links, ledger, engine) = (links.clone(), ledger.clone(), engine.clone());
            async move { run_engine(config_of_engine, link, used, links, ledger, engine, halted).await }
        });
        if let Some(storage) = &storage {
            let (storage, interval) = (storage.clone(), config.timing.expiry_interval());
            parts.spawn_store("expiry", move || {
                let storage = storage.clone();
                async move { storage.expire_for_ever(interval).await }
            });
            parts.spawn("incarnation", {
                let (key, ledger) = (key.clone(), ledger.clone());
                register_incarnation(network, key, ledger, opened.incarnation)
            });
        }
        if let Some(repair) = &repair {
            let repair = repair.clone();
            parts.spawn_store("repair", move || {
                let repair = repair.clone();
                async move { repair.run_for_ever().await }
            });
        }
        if let Some((_, anchors)) = &gateway {
            let anchors = anchors.clone();
            parts.spawn_store("anchoring", move || {
                let anchors = anchors.clone();
                async move { anchors.run_for_ever().await }
            });
        }
        if let Some(listener) = opened.http {
            let pages = pages(&health, &metrics, &engine);
            let mut stopping = stopping.clone();
            parts.spawn("HTTP server", async move {
                http::serve(listener, pages, async move {
                    let _ = stopping.wait_for(|stopping| *stopping).await;
                })
                .await;
                std::future::pending::<()>().await;
                Ok(())
            });
        }
        tracing::info!(
            node = %short(&node),
            %listen,
            validator,
            height = %ledger.tip().height,
            "the node is up"
        );

        let (ending, ended) = watch::channel(None);
        let weak_health = Arc::downgrade(&health.parts);
        let running = Running {
            tasks: parts.set,
            health: health.clone(),
            halt,
            storage,
            links,
            net: opened.net,
            busy,
            drain: config.timing.drain(),
        };
        tokio::spawn(running.supervise(stop.clone(), stopping, ending));
        Ok(NodeHandle {
            node,
            network,
            listen,
            http,
            first: health.status(),
            health: weak_health,
            tips: ledger.tips(),
            stop,
            ended,
        })
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// The lower half of a number.
fn low(number: u128) -> u64 {
    u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default()
}

/// Does something on a blocking thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StartError::Panicked)
}

/// Takes the ports, then the store: what is refused first has touched nothing.
async fn open(folder: &Folder) -> Result<Opened, StartError> {
    let config = &folder.config;
    let limits = Limits {
        connections_max: config.limits.connections_max.saturating_add(NODE_CONNECTIONS_MAX),
        streams_per_connection_max: config.limits.streams_per_connection_max,
        ..Limits::reference()
    };
    let net = QuicTransport::bind(&folder.secrets.key, config.network.listen, limits).map_err(StartError::Listen)?;
    match open_with(folder, net.clone()).await {
        Ok(opened) => Ok(opened),
        Err(error) => {
            // So that the port is free when this returns.
            let _ = timeout(CLOSE_PATIENCE, net.close()).await;
            Err(error)
        }
    }
}

/// What comes after the first port.
async fn open_with(folder: &Folder, net: Net) -> Result<Opened, StartError> {
    let config = &folder.config;
    let http = match config.http.enabled {
        true => {
            let address = config.http.listen;
            let listener = TcpListener::bind(address).await;
            Some(listener.map_err(|error| StartError::Http { address, error })?)
        }
        false => None,
    };
    folder.check_complete()?;
    let options = FjallOptions {
        install: Some(tokenim_storage_fjall::InstallId::from_bytes(
            folder.secrets.install.to_bytes(),
        )),
        cache_bytes: u64::from(config.storage.cache_mib).saturating_mul(1 << 20),
        ..FjallOptions::default()
    };
    let path = folder.store();
    let network = folder.network.clone();
    let (store, executor, incarnation) = blocking(move || -> Result<_, StartError> {
        let store = Arc::new(FjallStore::open(path, options)?);
        let executor = Executor::open(store.clone(), &network)?;
        let incarnation = incarnation(&store)?;
        Ok((store, executor, incarnation))
    })
    .await??;
    Ok(Opened {
        net,
        http,
        store,
        executor,
        incarnation,
    })
}

/// The incarnation of a store: drawn from the clock when it is new, so that a later store has a higher one.
fn incarnation(store: &Store) -> Result<Incarnation, StartError> {
    if let Some(bytes) = store.get(META, META_INCARNATION)? {
        return decode(&bytes, bytes.len()).map_err(|_| {
            StartError::Store(StoreError::Damaged {
                detail: "the incarnation".into(),
            })
        });
    }
    let incarnation = Incarnation::new(clock::now_millis().get());
    let mut batch = Batch::new();
    let bytes = encode(&incarnation).map_err(|_| StartError::Panicked)?;
    batch.put(META, META_INCARNATION, bytes);
    store.commit(batch)?;
    Ok(incarnation)
}

/// The other nodes and where they are.
fn peers(ledger: &Ledger) -> Vec<(NodeKey, String)> {
    let set = ledger.node_set();
    let members = set.members().iter();
    members
        .map(|member| (member.key, member.address.as_str().to_owned()))
        .collect()
}

/// Lets the links follow the node set.
async fn follow_node_set(links: Links, ledger: Ledger) -> Ending {
    let mut sets = ledger.node_sets_watch();
    while sets.changed().await.is_ok() {
        links.set_peers(peers(&ledger));
    }
    Ok(())
}

/// The running engine, once there is one.
type EngineCell = Arc<Mutex<Option<Arc<EngineHandle>>>>;

/// Starts the engine once a quorum of the validators is connected, since views that fail for want of peers cost time;
/// ends when it ends.
async fn run_engine(
    config: EngineConfig,
    link: PeerLink,
    used: UsedMark,
    links: Links,
    ledger: Ledger,
    cell: EngineCell,
    mut halted: watch::Receiver<bool>,
) -> Ending {
    let validators = config.validators.clone();
    let own = usize::from(config.key.is_some());
    let mut connected = links.connected();
    let quorum = connected.wait_for(|connected| {
        let others = connected.iter().filter(|key| validators.contains(key)).count();
        others.saturating_add(own) >= validators.quorum()
    });
    tokio::select! {
        quorum = quorum => {
            if quorum.is_err() {
                return Err(NodeError::Exited("links"));
            }
        }
        _ = halted.wait_for(|halted| *halted) => return Ok(()),
    }
    tracing::info!("a quorum of validators is connected: consensus starts");
    let marked = tokio::task::spawn_blocking(move || used.write()).await;
    let marked = marked.map_err(|_| NodeError::Exited("engine's mark"))?;
    marked.map_err(|error| NodeError::Folder(Arc::new(error)))?;
    let engine = start_engine(config, ledger.state_machine(), link).await;
    let engine = Arc::new(engine.map_err(|error| NodeError::Engine(Arc::new(error)))?);
    *lock(&cell) = Some(engine.clone());
    tokio::select! {
        ended = engine.closed() => return ended.map_err(NodeError::Engine),
        _ = halted.wait_for(|halted| *halted) => {}
    }
    *lock(&cell) = None;
    match Arc::try_unwrap(engine) {
        Ok(engine) => engine.stop().await.map_err(NodeError::Engine),
        // Nobody else keeps a handle.
        Err(_) => Err(NodeError::Exited("engine")),
    }
}

/// Registers the incarnation of the store on the ledger, if that is not done yet.
async fn register_incarnation(
    network: NetworkId,
    key: Arc<NodeSigningKey>,
    ledger: Ledger,
    incarnation: Incarnation,
) -> Ending {
    let node = key.verifying_key();
    let mut tips = ledger.tips();
    let wanted = encode(&incarnation).unwrap_or_default();
    loop {
        if tips.wait_for(|tip| tip.since_start.is_some()).await.is_err() {
            return Ok(());
        }
        if ledger.node_set().index_of(&node).is_some() {
            let registered = ledger.value(StateKey::incarnation(&node)).await;
            if registered.is_ok_and(|value| value.as_ref() == Some(&wanted)) {
                break;
            }
            let body = Body::RegisterIncarnation(IncarnationRegistration { node, incarnation });
            let until = ledger.tip().height.saturating_add(INCARNATION_LIFETIME_HEIGHTS);
            let made = Transaction::sponsored(&network, &key, body, until, ledger.next_nonce());
            if let Ok(transaction) = made
                && let Err(error) = ledger.submit(transaction).await
            {
                tracing::warn!(%error, "the incarnation of the store was not taken");
            }
        }
        sleep(RETRY_INCARNATION).await;
    }
    tracing::info!(%incarnation, "the incarnation of the store is registered");
    // There is nothing left to do.
    std::future::pending().await
}

/// What `/health` and `/metrics` show.
fn pages(health: &Health, metrics: &Metrics, engine: &EngineCell) -> Pages {
    let (status, counted, engine) = (health.clone(), metrics.clone(), engine.clone());
    Pages {
        status: Arc::new(move || status.status()),
        metrics: Arc::new(move || {
            if let Some(engine) = &*lock(&engine) {
                counted.show_engine(&engine.status());
            }
            counted.text()
        }),
    }
}

/// The parts of a node that run for as long as it does.
#[derive(Default)]
struct Tasks {
    set: JoinSet<(&'static str, Ending)>,
}

impl Tasks {
    /// Starts a part; its end is the node's.
    fn spawn(&mut self, name: &'static str, part: impl Future<Output = Ending> + Send + 'static) -> AbortHandle {
        self.set.spawn(async move { (name, part.await) })
    }

    /// Starts a part that ends when the store fails, and goes on after failures that pass, such as a full disk.
    fn spawn_store<F>(&mut self, name: &'static str, part: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = StoreError> + Send + 'static,
    {
        self.spawn(name, async move {
            loop {
                let error = part().await;
                if !error.is_retryable() {
                    return Err(NodeError::Store(error));
                }
                tracing::warn!(%error, part = name, "could not write; trying again soon");
                sleep(RETRY_STORE).await;
            }
        });
    }
}

/// A running node as its supervisor sees it.
struct Running {
    tasks: JoinSet<(&'static str, Ending)>,
    health: Health,
    /// Orders the engine to stop.
    halt: watch::Sender<bool>,
    storage: Option<StorageRole>,
    links: Links,
    net: Net,
    busy: Busy,
    drain: Duration,
}

impl Running {
    /// Waits for the order to stop or the first part that ends, then takes everything apart.
    async fn supervise(
        mut self,
        stop: watch::Sender<bool>,
        mut stopping: watch::Receiver<bool>,
        ending: watch::Sender<Option<(Ending, NodeStatus)>>,
    ) {
        let ended = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => Ok(()),
            Some(ended) = self.tasks.join_next() => Err(match ended {
                Ok((_, Err(error))) => error,
                Ok((name, Ok(()))) => NodeError::Exited(name),
                Err(_) => NodeError::Exited("part that panicked"),
            }),
        };
        match &ended {
            Ok(()) => tracing::info!("the node is stopping"),
            Err(error) => tracing::error!(%error, "the node stops"),
        }
        stop.send_replace(true);
        let engine_ended = matches!(&ended, Err(NodeError::Engine(_)));
        if let Some(storage) = &self.storage {
            storage.release_readers();
        }
        if timeout(self.drain, self.busy.idle()).await.is_err() {
            tracing::warn!("some requests were not answered in time");
        }
        if !engine_ended {
            self.stop_engine().await;
        }
        self.links.close();
        // The peers are told at once; whoever has not heard of it by then notices by itself.
        let _ = timeout(CLOSE_PATIENCE, self.net.close()).await;
        self.tasks.shutdown().await;
        let status = self.health.status();
        drop((self.net, self.links, self.storage, self.health));
        tracing::info!("the node has stopped");
        ending.send_replace(Some((ended, status)));
    }

    /// Stops the engine while its messages are still carried.
    async fn stop_engine(&mut self) {
        self.halt.send_replace(true);
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                match ended {
                    Ok(("engine", Ok(()))) => return,
                    Ok(("engine", Err(error))) => {
                        tracing::warn!(%error, "the engine did not end in order");
                        return;
                    }
                    _ => {}
                }
            }
        };
        if timeout(ENGINE_PATIENCE, ended).await.is_err() {
            tracing::warn!("the engine did not end in time");
        }
    }
}
