//! How the engine's parts are put together, for any runtime and any network.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use commonware_broadcast::buffered;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    marshal::{self, Start, core::Actor as MarshalActor, resolver::handler, standard::Standard},
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch as EngineEpoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digestible as _, Sha256, Signer as _,
    certificate::{ConstantProvider, Verifier as _},
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_resolver::p2p;
use commonware_runtime::{Clock, Handle, Metrics, Spawner, Storage, buffer::paged::CacheRef};
use commonware_storage::{archive::prunable, translator::TwoCap};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize, ordered::Set};
use rand_core::CryptoRng;
use tokenim_consensus::{Application, ValidatorSet, namespace};
use tokenim_wire::{Height, NetworkId};

use crate::{
    EngineConfig, EngineError, Timeouts,
    block::EngineBlock,
    driver::Driver,
    fault::Fault,
    reporter::{self, Observer, reporters},
    status::StatusCells,
    types::{PrivateKey, PublicKey, Scheme, private_key, public_key},
};

/// Blocks handed to the application and not yet acknowledged: as far as the store can be ahead of
/// the engine's journal after a crash.
pub(crate) const UNACKNOWLEDGED_MAX: u64 = 8;

/// Blocks of one proposer kept in memory until they are asked for.
const BUFFERED_PER_PEER: usize = 16;
const MAILBOX: NonZeroUsize = NZUsize!(1024);
const BUFFER: NonZeroUsize = NZUsize!(1 << 20);
const VIEWS_RETAINED: u64 = 64;
const FETCH_RETRY: Duration = Duration::from_millis(50);

/// What an engine is made from, in the engine's terms.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) network: NetworkId,
    pub(crate) validators: Arc<ValidatorSet>,
    pub(crate) participants: Set<PublicKey>,
    pub(crate) key: Option<PrivateKey>,
    pub(crate) genesis: EngineBlock,
    pub(crate) timeouts: Timeouts,
    /// Prefix of the names of everything that is stored.
    pub(crate) partition: String,
}

impl Setup {
    pub(crate) fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        let participants = Set::from_iter_dedup(
            config
                .validators
                .validators()
                .iter()
                .filter_map(|validator| public_key(&validator.key)),
        );
        if participants.len() != config.validators.len() {
            return Err(EngineError::Genesis("a validator's key is unusable"));
        }
        let genesis =
            EngineBlock::new(config.genesis.clone()).map_err(|_| EngineError::Genesis("it cannot be encoded"))?;
        Ok(Self {
            network: config.network,
            validators: Arc::new(config.validators.clone()),
            participants,
            key: config.key.as_ref().and_then(private_key),
            genesis,
            timeouts: config.timeouts,
            partition: String::new(),
        })
    }

    pub(crate) fn me(&self) -> Option<PublicKey> {
        self.key.as_ref().map(|key| key.public_key())
    }

    fn scheme(&self) -> Result<Scheme, EngineError> {
        let namespace = namespace(&self.network);
        match &self.key {
            Some(key) => {
                Scheme::signer(&namespace, self.participants.clone(), key.clone()).ok_or(EngineError::NotAValidator)
            }
            None => Ok(Scheme::verifier(&namespace, self.participants.clone())),
        }
    }
}

/// One pair of ends per channel.
pub(crate) struct Channels<S, R> {
    pub(crate) votes: (S, R),
    pub(crate) certificates: (S, R),
    pub(crate) certificate_fetch: (S, R),
    pub(crate) backfill: (S, R),
    pub(crate) blocks: (S, R),
}

/// A running engine.
pub(crate) struct Running {
    tasks: Vec<(&'static str, Handle<()>)>,
    fault: Fault,
    pub(crate) status: StatusCells,
}

impl Running {
    /// Waits for the first thing that goes wrong.
    pub(crate) async fn failed(self) -> EngineError {
        let Self { tasks, fault, .. } = self;
        let ended = futures::future::select_all(
            tasks
                .into_iter()
                .map(|(name, handle)| Box::pin(async move { handle.await.map_or(name, |()| name) })),
        );
        commonware_macros::select! {
            error = fault.raised() => error,
            ended = ended => fault.take().unwrap_or(EngineError::Exited(ended.0)),
        }
    }
}

fn archive<C>(name: &str, pages: CacheRef, codec_config: C) -> prunable::Config<TwoCap, C> {
    prunable::Config {
        translator: TwoCap,
        metadata_partition: format!("{name}-metadata"),
        key_partition: format!("{name}-key"),
        key_page_cache: pages,
        value_partition: format!("{name}-value"),
        compression: None,
        codec_config,
        items_per_section: NZU64!(4096),
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    }
}

fn storage_error(error: impl std::fmt::Display) -> EngineError {
    EngineError::Storage(error.to_string())
}

/// Refuses a store and a journal that don't belong together; see [`EngineError`]. `journal` is the
/// last height that the engine knows was committed.
fn compare(store: Height, journal: Height, votes: bool) -> Result<(), EngineError> {
    if store < journal {
        return Err(EngineError::StoreBehindJournal { store, journal });
    }
    // Without a vote there is nothing to contradict; what the store has already is offered again.
    if votes && store.since(journal).is_some_and(|ahead| ahead > UNACKNOWLEDGED_MAX) {
        return Err(EngineError::JournalBehindStore { store, journal });
    }
    Ok(())
}

/// A key that nobody holds.
fn stranger(rng: &mut impl CryptoRng) -> Result<PublicKey, EngineError> {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let key = PrivateKey::decode(Copying(&seed)).map_err(storage_error)?;
    Ok(key.public_key())
}

/// Opens the engine's files, compares them with the application's store, and starts everything.
///
/// ```text
///   network ──votes, certificates──▶ simplex ──propose, verify, certify──▶ Driver ──▶ application
///       │                               │                                    ▲
///       │                               └──activity──▶ reporter ──┐          │ blocks
///       ├──blocks──▶ buffer ──▶ marshal ◀─────────────────────────┘──────────┘
///       └──backfill──▶ resolver ──▶ │ └──final blocks in order──▶ Delivery ──▶ application
/// ```
pub(crate) async fn assemble<E, A, P, B, S, R>(
    mut context: E,
    setup: &Setup,
    application: A,
    peers: P,
    blocker: B,
    channels: Channels<S, R>,
    observer: Option<Observer>,
) -> Result<Running, EngineError>
where
    E: Clock + CryptoRng + Spawner + Storage + Metrics,
    A: Application,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let scheme = setup.scheme()?;
    let (fault, status) = (Fault::default(), StatusCells::default());
    let pages = CacheRef::new(NZU16!(4096), NZUsize!(1024));
    let name = |part: &str| format!("{}{part}", setup.partition);

    let finalizations = prunable::Archive::init(
        context.child("finalizations"),
        archive(
            &name("finalizations"),
            pages.clone(),
            Scheme::certificate_codec_config_unbounded(),
        ),
    )
    .await
    .map_err(storage_error)?;
    let blocks = prunable::Archive::init(context.child("blocks"), archive(&name("blocks"), pages.clone(), ()))
        .await
        .map_err(storage_error)?;

    let epocher = FixedEpocher::new(NZU64!(1 << 62));
    let (marshal, mailbox, floor) = MarshalActor::<_, Standard<EngineBlock>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: ConstantProvider::<Scheme, EngineEpoch>::new(scheme.clone()),
            epocher,
            start: Start::Genesis(setup.genesis.clone().digested()),
            partition_prefix: name("marshal"),
            mailbox_size: MAILBOX,
            view_retention: ViewDelta::new(VIEWS_RETAINED),
            prunable_items_per_section: NZU64!(64),
            page_cache: pages.clone(),
            replay_buffer: BUFFER,
            key_write_buffer: BUFFER,
            value_write_buffer: BUFFER,
            block_codec_config: (),
            max_repair: NZUsize!(32),
            max_pending_acks: NZUsize!(UNACKNOWLEDGED_MAX as usize),
            strategy: Sequential,
        },
    )
    .await;

    let journal = Height::new(floor.processed().map_or(0, |processed| processed.height().get()));
    let (store, store_block) = application.committed().await;
    if store == Height::ZERO && store_block != *setup.genesis.name() {
        return Err(EngineError::ForeignStore {
            store: store_block,
            genesis: *setup.genesis.name(),
        });
    }
    compare(store, journal, setup.key.is_some())?;
    status.starts_at(store);

    // The buffer files its own messages under a key; a follower, which has none and never sends a
    // block, uses one that nobody else does.
    let me = setup.me();
    let own = match &me {
        Some(key) => key.clone(),
        None => stranger(&mut context)?,
    };
    let (buffer_engine, buffer) = buffered::Engine::new(
        context.child("buffer"),
        buffered::Config {
            public_key: own,
            mailbox_size: MAILBOX,
            deque_size: BUFFERED_PER_PEER,
            priority: false,
            codec_config: (),
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    let (handler_receiver, handler) = handler::init(context.child("handler"), channels.backfill.1.capacity());
    let (resolver_engine, resolver) = p2p::Engine::new(
        context.child("resolver"),
        p2p::Config {
            peer_provider: peers,
            blocker: blocker.clone(),
            consumer: handler.clone(),
            producer: handler,
            mailbox_size: MAILBOX,
            me,
            fetch_timeout: NZDuration!(Duration::from_secs(1)),
            fetch_retry_delay: FETCH_RETRY,
            priority_requests: false,
            priority_responses: false,
        },
    );

    let driver = Driver::new(
        context.child("driver"),
        application.clone(),
        mailbox.clone(),
        setup.network,
        EngineConfig::EPOCH,
        fault.clone(),
    );
    let (block_reporter, activity_reporter, delivery) = reporters(reporter::Parts {
        driver: driver.clone(),
        application,
        marshal: mailbox,
        network: setup.network,
        validators: setup.validators.clone(),
        observer,
        status: status.clone(),
        fault: fault.clone(),
    });

    let engine = simplex::Engine::new(
        context.child("simplex"),
        simplex::Config {
            scheme,
            elector: RoundRobin::<Sha256>::default(),
            blocker,
            automaton: driver.clone(),
            relay: driver,
            reporter: activity_reporter,
            track_historical_votes: false,
            strategy: Sequential,
            partition: name("simplex"),
            mailbox_size: MAILBOX,
            epoch: EngineEpoch::zero(),
            floor: Floor::Genesis(setup.genesis.digest()),
            replay_buffer: BUFFER,
            write_buffer: BUFFER,
            page_cache: pages,
            leader_timeout: setup.timeouts.leader,
            certification_timeout: setup.timeouts.certification,
            timeout_retry: setup.timeouts.retry,
            view_retention: ViewDelta::new(VIEWS_RETAINED),
            skip: SkipPolicy::Enabled {
                timeout: setup.timeouts.skip,
                budget: SkipBudget::Participants,
            },
            fetch_timeout: NZDuration!(Duration::from_secs(1)),
            fetch_retry_delay: FETCH_RETRY,
            forward: ForwardPolicy::Disabled,
        },
    );

    let tasks = vec![
        // The application may block on its disk while it commits: not on a thread of the engine's.
        (
            "delivery to the application",
            context
                .child("delivery")
                .dedicated()
                .spawn(move |context| delivery.run(context.stopped())),
        ),
        ("block buffer", buffer_engine.start(channels.blocks)),
        ("backfill", resolver_engine.start(channels.backfill)),
        (
            "archive",
            marshal.start(block_reporter, buffer, (handler_receiver, resolver)),
        ),
        (
            "voter",
            engine.start(channels.votes, channels.certificates, channels.certificate_fetch),
        ),
    ];
    Ok(Running { tasks, fault, status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_and_journal_must_belong_together() {
        let at = Height::new;
        for votes in [true, false] {
            assert!(compare(at(0), at(0), votes).is_ok());
            assert!(compare(at(108), at(100), votes).is_ok());
            assert!(matches!(
                compare(at(99), at(100), votes),
                Err(EngineError::StoreBehindJournal { .. })
            ));
        }
        assert!(matches!(
            compare(at(109), at(100), true),
            Err(EngineError::JournalBehindStore { .. })
        ));
        assert!(compare(at(109), at(0), false).is_ok());
    }
}
