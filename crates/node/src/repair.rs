//! Repair: every accepted envelope comes to all nodes that keep its mailbox.
//!
//! Each node pulls. It asks every connected node which mailboxes that both keep have changed, compares their logs with
//! its own store, and fetches what it lacks. At the start, after a node comes back and now and then it goes through all
//! mailboxes; in between through the changed ones alone.
//!
//! A single node can't make others keep what nobody accepted: an envelope is fetched if a verified quorum receipt for it
//! was handed in here, or if f + 1 other nodes of the swarm have it in their logs, since then one of them is honest and
//! took it from a client. An accepted envelope is with at least 2f + 1 nodes, so its f + 1 are found.

use crate::clock;
use crate::ledger::Ledger;
use crate::links::{Links, jitter, short};
use crate::metrics::Metrics;
use crate::net::CallError;
use crate::queue::lock;
use crate::refuse;
use crate::storage_role::{StorageRole, in_swarm};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokenim_identity::NodeKey;
use tokenim_mailbox::{MailboxTag, NodeSet, QuorumReceipt};
use tokenim_rpc::limits::{CHANGED_TAGS_MAX, LOG_ENTRIES_MAX};
use tokenim_rpc::{ChangeCursor, Changes, Copied, LogPage, NodeRequest, Request, RpcError};
use tokenim_storage::{MailboxStore, StoreError};
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, UnixSeconds};
use tokio::time::sleep;

/// Missing envelopes that are remembered at one time; with more, all mailboxes are gone through again later.
const CANDIDATES_MAX: usize = 65_536;
/// Mailboxes of one peer whose position is remembered.
const POSITIONS_MAX: usize = 65_536;
/// Answers about changes that are asked of one peer in one round.
const PAGES_PER_ROUND: usize = 64;
/// Envelopes fetched in one round.
const FETCHES_PER_ROUND: usize = 512;
/// Envelopes fetched at one time.
const FETCHES_AT_ONCE: usize = 8;
/// After this time all mailboxes are gone through again.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How long a peer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Entries scanned for one answer about changes.
const TAGS_SCANNED: usize = 4096;

/// An envelope in a mailbox.
type Place = (MailboxTag, EnvelopeId);

/// An envelope that others have and this node lacks.
#[derive(Debug)]
struct Candidate {
    expiry: UnixSeconds,
    since: Instant,
    /// Who has it in its log.
    seen: BTreeSet<NodeKey>,
    /// Whether a quorum receipt for it was verified here.
    accepted: bool,
}

/// Where the questions to one peer stand.
#[derive(Debug)]
struct Progress {
    cursor: ChangeCursor,
    /// The next arrival number to ask for, by mailbox.
    positions: HashMap<MailboxTag, u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            cursor: ChangeCursor::Start,
            positions: HashMap::new(),
        }
    }
}

/// The repair of one node. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Repair {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeKey,
    storage: StorageRole,
    ledger: Ledger,
    links: Links,
    metrics: Metrics,
    interval: Duration,
    grace: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    candidates: BTreeMap<Place, Candidate>,
    peers: HashMap<NodeKey, Progress>,
    /// Whether candidates were left out because there were too many.
    overflow: bool,
}

impl State {
    /// Notes that an envelope is missing here; false if there is no room for it.
    fn note(&mut self, place: Place, expiry: UnixSeconds, now: Instant) -> Option<&mut Candidate> {
        if self.candidates.len() >= CANDIDATES_MAX && !self.candidates.contains_key(&place) {
            self.overflow = true;
            return None;
        }
        Some(self.candidates.entry(place).or_insert_with(|| Candidate {
            expiry,
            since: now,
            seen: BTreeSet::new(),
            accepted: false,
        }))
    }

    /// Goes through all mailboxes again.
    fn restart(&mut self) {
        self.peers.clear();
        self.overflow = false;
    }
}

impl Repair {
    pub(crate) fn new(
        node: NodeKey,
        storage: StorageRole,
        ledger: Ledger,
        links: Links,
        metrics: Metrics,
        interval: Duration,
        grace: Duration,
    ) -> Self {
        let inner = Inner {
            node,
            storage,
            ledger,
            links,
            metrics,
            interval,
            grace,
            state: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Notes a verified quorum receipt: its envelope belongs here if this node keeps its mailbox.
    pub(crate) async fn accepted(&self, receipt: &QuorumReceipt) {
        let inner = &self.inner;
        let set = inner.ledger.node_set();
        if !inner.storage.keeps(&set, &receipt.tag) {
            return;
        }
        if matches!(
            inner.storage.store().contains(&receipt.tag, &receipt.envelope).await,
            Ok(true)
        ) {
            return;
        }
        let mut state = lock(&inner.state);
        let place = (receipt.tag, receipt.envelope);
        if let Some(candidate) = state.note(place, receipt.expiry, Instant::now()) {
            candidate.accepted = true;
            if receipt.set_epoch == set.epoch() {
                let issuers = receipt.issuers.iter().filter_map(|issuer| set.get(issuer.member));
                candidate.seen.extend(issuers.map(|member| member.key));
            }
        }
    }

    /// Repairs until the store fails.
    pub(crate) async fn run_for_ever(&self) -> StoreError {
        let inner = &self.inner;
        let mut connected = inner.links.connected();
        let mut swept = Instant::now();
        loop {
            let peers = connected.borrow_and_update().clone();
            if swept.elapsed() >= SWEEP_INTERVAL {
                lock(&inner.state).restart();
                swept = Instant::now();
            }
            // A peer that went away may come back with more, or with another process.
            lock(&inner.state).peers.retain(|peer, _| peers.contains(peer));
            join_all(peers.iter().map(|peer| self.pull(peer))).await;
            if let Err(error) = self.fetch_missing(&peers).await {
                return error;
            }
            tokio::select! {
                () = sleep(jitter(inner.interval.saturating_mul(2))) => {}
                // A node came or went: after a moment, so that one that starts has the time to.
                Ok(()) = connected.changed() => sleep(inner.interval.min(Duration::from_millis(500))).await,
            }
        }
    }

    /// Asks a peer what it has that this node lacks.
    async fn pull(&self, peer: &NodeKey) {
        let inner = &self.inner;
        let mut progress = lock(&inner.state).peers.remove(peer).unwrap_or_default();
        match self.pull_pages(peer, &mut progress).await {
            Ok(()) => {}
            Err(CallError::NotConnected) => return,
            Err(error) => tracing::debug!(peer = %short(peer), %error, "a node did not say what it keeps"),
        }
        if progress.positions.len() > POSITIONS_MAX {
            progress.positions.clear();
        }
        lock(&inner.state).peers.insert(*peer, progress);
    }

    async fn pull_pages(&self, peer: &NodeKey, progress: &mut Progress) -> Result<(), CallError> {
        for _ in 0..PAGES_PER_ROUND {
            let request = Request::Node(NodeRequest::Changes {
                cursor: progress.cursor,
            });
            let answer = self.inner.links.call(peer, &request, PATIENCE).await?;
            let Changes { tags, next, more } = answer.into_changes()?;
            let tags: BTreeSet<MailboxTag> = tags.into_iter().collect();
            for tag in tags {
                self.compare(peer, tag, progress).await?;
            }
            progress.cursor = next;
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Compares a peer's log of a mailbox with the own store.
    async fn compare(&self, peer: &NodeKey, tag: MailboxTag, progress: &mut Progress) -> Result<(), CallError> {
        let inner = &self.inner;
        let set = inner.ledger.node_set();
        // A peer that names mailboxes which are not for both wastes its own time.
        if !inner.storage.keeps(&set, &tag) || !in_swarm(&set, &tag, peer) {
            return Ok(());
        }
        loop {
            let from = progress.positions.get(&tag).copied().unwrap_or(0);
            let request = Request::Node(NodeRequest::LogEntries { tag, from });
            let answer = inner.links.call(peer, &request, PATIENCE).await?;
            let LogPage { entries, next, more } = answer.into_log_entries()?;
            let now = clock::now_seconds();
            for entry in entries {
                let here = inner.storage.store().contains(&tag, &entry.envelope).await;
                if entry.expiry <= now || here.unwrap_or(true) {
                    continue;
                }
                let mut state = lock(&inner.state);
                if let Some(candidate) = state.note((tag, entry.envelope), entry.expiry, Instant::now()) {
                    candidate.seen.insert(*peer);
                }
            }
            if next > from {
                progress.positions.insert(tag, next);
            }
            if !more || next <= from {
                return Ok(());
            }
        }
    }

    /// Fetches what is missing and known to be accepted.
    async fn fetch_missing(&self, peers: &BTreeSet<NodeKey>) -> Result<(), StoreError> {
        let inner = &self.inner;
        let set = inner.ledger.node_set();
        let due = self.due(&set, peers);
        for chunk in due.chunks(FETCHES_AT_ONCE) {
            let fetched = join_all(chunk.iter().map(|(place, sources)| self.fetch(place, sources))).await;
            for (result, (place, _)) in fetched.into_iter().zip(chunk) {
                if result? {
                    lock(&inner.state).candidates.remove(place);
                }
            }
        }
        let mut state = lock(&inner.state);
        if state.overflow && state.candidates.len() < CANDIDATES_MAX / 2 {
            state.restart();
        }
        Ok(())
    }

    /// What is to be fetched now, and from whom it can be had.
    fn due(&self, set: &NodeSet, peers: &BTreeSet<NodeKey>) -> Vec<(Place, Vec<NodeKey>)> {
        let inner = &self.inner;
        let witnesses = usize::from(set.quorum().faulty).saturating_add(1);
        let now = clock::now_seconds();
        let mut state = lock(&inner.state);
        state
            .candidates
            .retain(|(tag, _), candidate| candidate.expiry > now && in_swarm(set, tag, &inner.node));
        state
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.since.elapsed() >= inner.grace)
            .filter(|((tag, _), candidate)| {
                let seen = candidate.seen.iter().filter(|node| in_swarm(set, tag, node));
                candidate.accepted || seen.count() >= witnesses
            })
            .map(|(place, candidate)| {
                let sources = candidate.seen.iter().filter(|node| peers.contains(node));
                (*place, sources.copied().collect::<Vec<_>>())
            })
            .filter(|(_, sources)| !sources.is_empty())
            .take(FETCHES_PER_ROUND)
            .collect()
    }

    /// Fetches one envelope; true once it is here, by whatever way, or no longer belongs here.
    async fn fetch(&self, (tag, envelope): &Place, sources: &[NodeKey]) -> Result<bool, StoreError> {
        let inner = &self.inner;
        if inner.storage.store().contains(tag, envelope).await? {
            return Ok(true);
        }
        let request = Request::Node(NodeRequest::Fetch {
            tag: *tag,
            envelope: *envelope,
        });
        for source in sources {
            let answer = inner.links.call(source, &request, PATIENCE).await;
            let copied = answer.and_then(|answer| Ok(answer.into_copied()?));
            let Copied { envelope: bytes } = match copied {
                Ok(copied) => copied,
                Err(error) => {
                    tracing::debug!(peer = %short(source), %error, "a node did not give a copy");
                    continue;
                }
            };
            // The id is the hash of the bytes, so a wrong copy can't get in.
            match inner.storage.adopt(*tag, *envelope, bytes.into_inner()).await {
                Ok(fresh) => {
                    if fresh {
                        inner.metrics.repaired.inc();
                    }
                    return Ok(true);
                }
                Err(StoreError::Mismatch) => {
                    tracing::warn!(peer = %short(source), "a node gave a wrong copy of an envelope");
                }
                Err(error) if error.is_retryable() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Answers a peer's question about changed mailboxes.
    pub(crate) async fn changes(&self, peer: &NodeKey, cursor: ChangeCursor) -> Result<Changes, RpcError> {
        let inner = &self.inner;
        let log = inner.storage.changes();
        let (boot, end) = (log.boot(), log.end());
        let set = inner.ledger.node_set();
        let shared = |tag: &MailboxTag| in_swarm(&set, tag, peer);
        match cursor {
            ChangeCursor::Since { boot: asked, change } if asked == boot => {
                if let Some((tags, next)) = log.since(change, CHANGED_TAGS_MAX) {
                    let mut tags: Vec<MailboxTag> = tags.into_iter().filter(shared).collect();
                    tags.sort_unstable();
                    tags.dedup();
                    return Ok(Changes {
                        tags: BoundedVec::try_from(tags).map_err(|_| refuse::internal())?,
                        more: next < log.end(),
                        next: ChangeCursor::Since { boot, change: next },
                    });
                }
                self.list(None, boot, end, shared).await
            }
            ChangeCursor::Listing {
                boot: asked,
                change,
                after,
            } if asked == boot => self.list(Some(after), boot, change, shared).await,
            _ => self.list(None, boot, end, shared).await,
        }
    }

    /// Lists the mailboxes after one.
    async fn list(
        &self,
        after: Option<MailboxTag>,
        boot: u64,
        change: u64,
        shared: impl Fn(&MailboxTag) -> bool,
    ) -> Result<Changes, RpcError> {
        let scanned = self.inner.storage.store().tags(after, TAGS_SCANNED).await;
        let scanned = scanned.map_err(|error| refuse::store(&error))?;
        let end_reached = scanned.len() < TAGS_SCANNED;
        let mut tags = Vec::new();
        let mut last = None;
        let mut cut = false;
        for tag in scanned {
            if shared(&tag) {
                if tags.len() == CHANGED_TAGS_MAX {
                    cut = true;
                    break;
                }
                tags.push(tag);
            }
            last = Some(tag);
        }
        let next = match last {
            Some(after) if cut || !end_reached => ChangeCursor::Listing { boot, change, after },
            _ => ChangeCursor::Since { boot, change },
        };
        Ok(Changes {
            tags: BoundedVec::try_from(tags).map_err(|_| refuse::internal())?,
            next,
            more: cut || !end_reached,
        })
    }

    /// Answers a peer's question about a mailbox log.
    pub(crate) async fn log_entries(&self, peer: &NodeKey, tag: &MailboxTag, from: u64) -> Result<LogPage, RpcError> {
        self.check_peer(peer, tag)?;
        let lines = self.inner.storage.store().log(tag, from, LOG_ENTRIES_MAX).await;
        let lines = lines.map_err(|error| refuse::store(&error))?;
        let more = lines.len() == LOG_ENTRIES_MAX;
        let next = lines.last().map_or(from, |line| line.sequence.saturating_add(1));
        let now = clock::now_seconds();
        let entries = lines
            .into_iter()
            .map(|line| line.entry)
            .filter(|entry| entry.expiry > now)
            .collect::<Vec<_>>();
        Ok(LogPage {
            entries: BoundedVec::try_from(entries).map_err(|_| refuse::internal())?,
            next,
            more,
        })
    }

    /// Gives a peer a copy.
    pub(crate) async fn copy(
        &self,
        peer: &NodeKey,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> Result<Copied, RpcError> {
        self.check_peer(peer, tag)?;
        let stored = self.inner.storage.store().get(tag, envelope).await;
        let bytes = stored
            .map_err(|error| refuse::store(&error))?
            .and_then(|stored| stored.bytes)
            .ok_or_else(|| refuse::not_found("the envelope is not here"))?;
        Ok(Copied {
            envelope: BoundedBytes::try_from(bytes).map_err(|_| refuse::internal())?,
        })
    }

    /// Only who keeps a mailbox too may ask about it.
    fn check_peer(&self, peer: &NodeKey, tag: &MailboxTag) -> Result<(), RpcError> {
        let set = self.inner.ledger.node_set();
        if in_swarm(&set, tag, peer) {
            Ok(())
        } else {
            Err(refuse::not_in_swarm())
        }
    }
}
