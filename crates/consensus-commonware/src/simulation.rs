//! The engine's wiring on the engine's deterministic runtime and simulated network: virtual time,
//! one thread, and every choice from one seed, so that a run replays exactly.
//!
//! The application is the caller's. What it has made durable must survive in what the caller
//! captures; whatever else it holds is gone with each crash, since [`simulate`] asks for a new one
//! at each start.
//!
//! One validator may be a liar: see [`Twins`].

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    future::Future,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use commonware_cryptography::Signer as _;
use commonware_p2p::{Receiver, Sender, simulated};
use commonware_runtime::{Clock as _, Handle, Quota, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZU32, NZUsize, Probability};
use tokenim_consensus::{Application, Block, BlockDigest, Validator, ValidatorSet};
use tokenim_identity::NodeSigningKey;
use tokenim_wire::{UnixMillis, limits::FRAME_BYTES_MAX};

use crate::{
    EngineError, Status, Timeouts,
    block::EngineBlock,
    erased::Erased,
    link::Channel,
    reporter::Observer,
    status::StatusCells,
    types::{Activity, PrivateKey, PublicKey, private_key, public_key},
    wiring::{Channels, Setup, assemble},
};

use self::ends::{End, Reach};

mod ends;

/// Something that happens to the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A node's process is killed. What it wrote stays, as in the page cache of a machine that
    /// lives on.
    Crash(usize),
    /// A killed node is started again.
    Restart(usize),
    /// A node's journal and archive are deleted. Only while it is down.
    LoseJournal(usize),
    /// Power fails everywhere: whatever was not synced is lost. All nodes are started again, and
    /// the network is whole.
    PowerCut,
    /// These nodes and all others don't hear each other.
    Partition(BTreeSet<usize>),
    /// Everybody hears everybody again, and nothing is lost.
    Heal,
    /// Of a hundred messages, this many get lost.
    Loss(u8),
}

/// A validator that lies: it runs twice with one key. Neither half knows what the other signed, so
/// that they propose two blocks in one view and vote for either. Each of them speaks with, and hears,
/// its own part of the network; who is in both parts sees the contradiction.
#[derive(Clone, Debug)]
pub struct Twins {
    /// The validator.
    pub node: usize,
    /// Whom the first half reaches.
    pub first: BTreeSet<usize>,
    /// Whom the second half reaches. Its application is that of a node after the last one.
    pub second: BTreeSet<usize>,
}

/// A run. Nodes 0 to `validators - 1` vote, those after them follow.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that is not said here.
    pub seed: u64,
    /// How many nodes vote.
    pub validators: usize,
    /// How many nodes follow without a vote.
    pub followers: usize,
    /// The one that lies.
    pub twins: Option<Twins>,
    /// Mean time that a message takes.
    pub latency: Duration,
    /// Its standard deviation.
    pub jitter: Duration,
    /// The engines' timeouts.
    pub timeouts: Timeouts,
    /// What happens, and when after the start; ascending.
    pub events: Vec<(Duration, Event)>,
    /// When the run ends.
    pub duration: Duration,
}

impl Scenario {
    /// Validators on a network of 10 ± 3 ms to which nothing happens.
    #[must_use]
    pub const fn calm(seed: u64, validators: usize, duration: Duration) -> Self {
        Self {
            seed,
            validators,
            followers: 0,
            twins: None,
            latency: Duration::from_millis(10),
            jitter: Duration::from_millis(3),
            timeouts: Timeouts::reference(),
            events: Vec::new(),
            duration,
        }
    }

    /// The key of a node: the same for each scenario.
    #[must_use]
    pub fn key(node: usize) -> NodeSigningKey {
        let mut seed = [0x51; 32];
        for (byte, value) in seed.iter_mut().zip((node as u64).to_be_bytes()) {
            *byte = value;
        }
        NodeSigningKey::from_seed(seed)
    }

    /// The validators, whose keys are those of the first nodes.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotAValidator`] for a number of validators that no set can have.
    pub fn validator_set(&self) -> Result<ValidatorSet, EngineError> {
        let validators = (0..self.validators).map(|node| Validator::new(Self::key(node).verifying_key()));
        ValidatorSet::new(validators.collect()).map_err(|_| EngineError::NotAValidator)
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time as a simulated node sees it.
#[derive(Clone)]
pub struct SimulatedClock {
    sleep: Arc<dyn Fn(Duration) -> Sleep + Send + Sync>,
    now: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
}

impl SimulatedClock {
    /// Waits in virtual time.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        (self.sleep)(duration)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        (self.now)()
    }
}

impl std::fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedClock")
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Hash over everything that every task did: equal for equal scenarios and applications.
    pub state: String,
    /// Votes seen of which an honest validator signs at most one: the validator's place in the set,
    /// and what it signed, in words. Must be empty but for [`Twins`].
    pub double_votes: Vec<(usize, String)>,
    /// Who blocked whom as faulty. Must be empty but for [`Twins`].
    pub blocked: Vec<(usize, usize)>,
    /// Engines that stopped by themselves. Must be empty, unless the application fails.
    pub failed: Vec<(usize, EngineError)>,
    /// What each node's engine reported since its last start.
    pub status: Vec<Status>,
}

/// Validator, view and kind of a vote, and what it was for.
#[derive(Default)]
struct Votes {
    seen: BTreeMap<(u32, u64, &'static str), (u64, [u8; 32])>,
    double: Vec<(usize, String)>,
}

impl Votes {
    fn see(&mut self, activity: &Activity) {
        use commonware_consensus::{Viewable as _, simplex::types::Attributable as _};
        let view = activity.view().get();
        let (signer, kind, choice) = match activity {
            Activity::Notarize(vote) => (
                vote.signer(),
                "notarize",
                (vote.proposal.parent.get(), vote.proposal.payload.0),
            ),
            Activity::Finalize(vote) => (
                vote.signer(),
                "finalize",
                (vote.proposal.parent.get(), vote.proposal.payload.0),
            ),
            Activity::Nullify(vote) => (vote.signer(), "nullify", (0, [0; 32])),
            Activity::ConflictingNotarize(conflict) => return self.reported(conflict.signer().get(), view),
            Activity::ConflictingFinalize(conflict) => return self.reported(conflict.signer().get(), view),
            Activity::NullifyFinalize(conflict) => return self.reported(conflict.signer().get(), view),
            _ => return,
        };
        let signer = signer.get();
        let before = *self.seen.entry((signer, view, kind)).or_insert(choice);
        if before != choice {
            let (one, other) = (BlockDigest::from_bytes(before.1), BlockDigest::from_bytes(choice.1));
            self.note(signer, format!("view {view}: {kind} {one} and {other}"));
        }
        let contrary = match kind {
            "nullify" => "finalize",
            "finalize" => "nullify",
            _ => return,
        };
        if self.seen.contains_key(&(signer, view, contrary)) {
            self.note(signer, format!("view {view}: {kind} and {contrary}"));
        }
    }

    fn reported(&mut self, signer: u32, view: u64) {
        self.note(signer, format!("view {view}: reported by an engine"));
    }

    fn note(&mut self, signer: u32, what: String) {
        self.double.push((usize::try_from(signer).unwrap_or(usize::MAX), what));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time between two power cuts.
struct Segment {
    begin: Duration,
    end: Duration,
    events: Vec<(Duration, Event)>,
}

fn segments(scenario: &Scenario) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut current = Segment {
        begin: Duration::ZERO,
        end: scenario.duration,
        events: Vec::new(),
    };
    for (at, event) in &scenario.events {
        if *event == Event::PowerCut {
            let next = Segment {
                begin: *at,
                end: scenario.duration,
                events: Vec::new(),
            };
            current.end = *at;
            segments.push(std::mem::replace(&mut current, next));
        } else {
            current.events.push((*at, event.clone()));
        }
    }
    segments.push(current);
    segments
}

/// Makes a node's application.
type Make<'a> = &'a dyn Fn(usize, SimulatedClock) -> Erased;

/// What lasts through power cuts.
struct World<'a> {
    scenario: Scenario,
    setups: Vec<Setup>,
    keys: Vec<PublicKey>,
    make: Make<'a>,
    votes: Arc<Mutex<Votes>>,
    failed: Arc<Mutex<Vec<(usize, EngineError)>>>,
    status: Vec<Arc<Mutex<StatusCells>>>,
    blocked: Vec<(usize, usize)>,
    starts: u64,
}

/// Runs a scenario. `make` gives a node's application at each of its starts.
///
/// # Errors
///
/// [`EngineError`] if the scenario cannot be set up, as with a genesis block that cannot be encoded.
pub fn simulate<A, F>(scenario: &Scenario, genesis: &Block, make: F) -> Result<Outcome, EngineError>
where
    A: Application,
    F: Fn(usize, SimulatedClock) -> A,
{
    play(scenario, genesis, &|node, clock| Erased::new(make(node, clock)))
}

/// [`simulate`], for any application alike.
fn play(scenario: &Scenario, genesis: &Block, make: Make<'_>) -> Result<Outcome, EngineError> {
    scenario.timeouts.check()?;
    let validators = Arc::new(scenario.validator_set()?);
    let participants = commonware_utils::ordered::Set::from_iter_dedup(
        validators
            .validators()
            .iter()
            .filter_map(|validator| public_key(&validator.key)),
    );
    let genesis = EngineBlock::new(genesis.clone()).map_err(|_| EngineError::Genesis("it cannot be encoded"))?;
    let nodes = scenario.validators.saturating_add(scenario.followers);
    let mut setups = Vec::new();
    let mut keys = Vec::new();
    for node in 0..nodes {
        let key: PrivateKey = private_key(&Scenario::key(node)).ok_or(EngineError::NotAValidator)?;
        keys.push(key.public_key());
        setups.push(Setup {
            network: genesis.block().header.chain,
            validators: validators.clone(),
            participants: participants.clone(),
            key: (node < scenario.validators).then_some(key),
            genesis: genesis.clone(),
            timeouts: scenario.timeouts,
            partition: format!("node{node}-"),
        });
    }
    let mut world = World {
        scenario: scenario.clone(),
        setups,
        keys,
        make,
        votes: Arc::default(),
        failed: Arc::default(),
        status: (0..nodes).map(|_| Arc::default()).collect(),
        blocked: Vec::new(),
        starts: 0,
    };
    let config = deterministic::Config::new().with_seed(scenario.seed).with_timeout(None);
    let mut runner = deterministic::Runner::new(config);
    let mut state = String::new();
    for segment in segments(scenario) {
        let ((), checkpoint) = runner.start_and_recover(|context| world.run(context, segment));
        state = checkpoint.auditor().state();
        runner = deterministic::Runner::from(checkpoint);
    }
    let outcome = Outcome {
        state,
        double_votes: std::mem::take(&mut lock(&world.votes).double),
        blocked: world.blocked,
        failed: std::mem::take(&mut lock(&world.failed)),
        status: world.status.iter().map(|status| lock(status).snapshot()).collect(),
    };
    Ok(outcome)
}

type Context = deterministic::Context;
type Oracle = simulated::Oracle<PublicKey, Context>;

impl World<'_> {
    /// Everything from one power cut to the next.
    async fn run(&mut self, context: Context, segment: Segment) {
        let (validators, followers) = self.keys.split_at(self.scenario.validators.min(self.keys.len()));
        let (network, oracle) = simulated::Network::new_with_split_peers(
            context.child("network"),
            simulated::Config {
                max_size: FRAME_BYTES_MAX as u32,
                max_peers_per_set: NonZeroUsize::new(self.keys.len()).unwrap_or(NonZeroUsize::MIN),
                disconnect_on_block: true,
                tracked_peer_sets: NZUsize!(1),
            },
            validators.iter().cloned(),
            followers.iter().cloned(),
        )
        .await;
        network.start();
        self.connect(&oracle, &BTreeSet::new(), 0).await;
        let mut running: BTreeMap<usize, Vec<Handle<()>>> = BTreeMap::new();
        for node in 0..self.keys.len() {
            running.insert(node, self.start(&context, &oracle, node).await);
        }

        let mut now = segment.begin;
        let (mut apart, mut loss) = (BTreeSet::new(), 0);
        for (at, event) in segment.events {
            context.sleep(at.saturating_sub(now)).await;
            now = now.max(at);
            match event {
                Event::Crash(node) => {
                    for handle in running.remove(&node).into_iter().flatten() {
                        handle.abort();
                    }
                }
                Event::Restart(node) => {
                    if let Entry::Vacant(place) = running.entry(node) {
                        place.insert(self.start(&context, &oracle, node).await);
                    }
                }
                Event::LoseJournal(node) => {
                    if let Some(setup) = self.setups.get_mut(node) {
                        setup.partition.push_str("again-");
                    }
                }
                Event::Partition(nodes) => apart = nodes,
                Event::Loss(percent) => loss = percent.min(100),
                Event::Heal => (apart, loss) = (BTreeSet::new(), 0),
                Event::PowerCut => {}
            }
            self.connect(&oracle, &apart, loss).await;
        }
        context.sleep(segment.end.saturating_sub(now)).await;
        let blocked = oracle.blocked().await.unwrap_or_default();
        for (from, to) in blocked {
            let node = |key: &PublicKey| self.keys.iter().position(|other| other == key).unwrap_or(usize::MAX);
            self.blocked.push((node(&from), node(&to)));
        }
    }

    /// Sets all links: none between a node in `apart` and one outside of it, `loss` per cent on the
    /// others.
    async fn connect(&self, oracle: &Oracle, apart: &BTreeSet<usize>, loss: u8) {
        let success_rate = Probability::new(u64::from(100u8.saturating_sub(loss)), 100);
        let link = success_rate.map(|success_rate| simulated::Link {
            latency: self.scenario.latency,
            jitter: self.scenario.jitter,
            success_rate,
        });
        for (a, from) in self.keys.iter().enumerate() {
            for (b, to) in self.keys.iter().enumerate().filter(|(b, _)| *b != a) {
                let linked = apart.contains(&a) == apart.contains(&b);
                match link.clone().filter(|_| linked) {
                    Some(link) => drop(oracle.add_link(from.clone(), to.clone(), link).await),
                    None => drop(oracle.remove_link(from.clone(), to.clone()).await),
                }
            }
        }
    }

    /// Starts a node's engine, or both of a liar's.
    async fn start(&mut self, context: &Context, oracle: &Oracle, node: usize) -> Vec<Handle<()>> {
        let (Some(setup), Some(key)) = (self.setups.get(node).cloned(), self.keys.get(node)) else {
            return Vec::new();
        };
        let control = oracle.control(key.clone());
        let mut ends = Vec::new();
        for channel in Channel::ALL {
            let quota = Quota::per_second(NZU32!(2_000));
            // Fails only when the network is gone.
            ends.extend(control.register(u64::from(channel.to_byte()), quota).await.ok());
        }
        let twins = self.scenario.twins.clone().filter(|twins| twins.node == node);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let halved = twins.is_some();
        let reach = twins.map(|twins| {
            let keys = |nodes: &BTreeSet<usize>| -> BTreeSet<PublicKey> {
                nodes.iter().filter_map(|node| self.keys.get(*node)).cloned().collect()
            };
            Reach {
                first: Arc::new(keys(&twins.first)),
                second: Arc::new(keys(&twins.second)),
            }
        });
        for (number, (sender, receiver)) in ends.into_iter().enumerate() {
            let Some(reach) = &reach else {
                first.push((End::Whole(sender), receiver));
                continue;
            };
            let splitter = context.child("split").with_attribute("channel", number);
            let [one, other] = reach.split(sender, receiver, splitter);
            first.push(one);
            second.push(other);
        }
        let mut other = setup.clone();
        let mut started = Vec::from_iter(self.run_engine(context, oracle, node, setup, first));
        if halved {
            other.partition.push_str("twin-");
            started.extend(self.run_engine(context, oracle, self.keys.len(), other, second));
        }
        started
    }

    /// Starts one engine with a new application.
    fn run_engine<S, R>(
        &mut self,
        context: &Context,
        oracle: &Oracle,
        node: usize,
        setup: Setup,
        ends: Vec<(S, R)>,
    ) -> Option<Handle<()>>
    where
        S: Sender<PublicKey = PublicKey>,
        R: Receiver<PublicKey = PublicKey>,
    {
        self.starts = self.starts.saturating_add(1);
        let context = context
            .child("node")
            .with_attribute("node", node)
            .with_attribute("start", self.starts);
        let (sleeper, watch) = (context.child("sleep"), context.child("watch"));
        let application = (self.make)(
            node,
            SimulatedClock {
                sleep: Arc::new(move |duration| Box::pin(sleeper.sleep(duration))),
                now: Arc::new(move || {
                    let since = watch.current().duration_since(UNIX_EPOCH).unwrap_or_default();
                    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
                }),
            },
        );
        let [votes, certificates, certificate_fetch, backfill, blocks] = <[_; 5]>::try_from(ends).ok()?;
        let channels = Channels {
            votes,
            certificates,
            certificate_fetch,
            backfill,
            blocks,
        };

        let votes = self.votes.clone();
        let observer: Observer = Arc::new(move |activity: &Activity| lock(&votes).see(activity));
        let (failed, peers) = (self.failed.clone(), oracle.manager());
        let control = oracle.control(setup.me().or_else(|| self.keys.get(node).cloned())?);
        // The second half of a liar has no place of its own.
        let status = self.status.get(node).cloned().unwrap_or_default();
        Some(context.spawn(move |context| async move {
            let engine = assemble(
                context.child("engine"),
                &setup,
                application,
                peers,
                control,
                channels,
                Some(observer),
            );
            let error = match engine.await {
                Ok(running) => {
                    *lock(&status) = running.status.clone();
                    running.failed().await
                }
                Err(error) => error,
            };
            lock(&failed).push((node, error));
        }))
    }
}
