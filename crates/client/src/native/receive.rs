//! Receiving: read the swarm, check each log, open what is new, merge.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_envelope::{EnvelopeSecretKey, OpenError, Opened, Opener, open};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, MailboxSigningKey, NodeKey};
use tokenim_mailbox::{Descriptor, MailboxTag, NodeSet, ReadRequest};
use tokenim_rpc::{AcceptanceOf, AnswerError, ErrorCode, Read, Request};
use tokenim_wire::limits::REQUEST_LIFETIME_SECONDS_MAX;
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixMillis};

use super::client::Claim;
use super::links::CallError;
use super::network::{CALL_TIMEOUT, Misbehaviour};
use super::{Client, ClientError, Network, now, vault};
use crate::step::contact::Relation;
use crate::step::state::{Arrival, ArrivalRefusal};
use crate::step::{Coverage, EnvelopeCopy, Fault, InboxMessage, LogWalk, LookedUp, LookupError, seen, state};

/// How old the proof of a sender's devices may be.
const SENDER_AGE: Duration = Duration::from_secs(30);
/// How long the proof of an envelope's time is waited for, where it is needed.
pub(in crate::native) const TIME_PATIENCE: Duration = Duration::from_secs(8);
/// How long a reading waits for all nodes.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it waits for the rest once enough nodes have answered.
const READ_GRACE: Duration = Duration::from_millis(400);

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// Its number in the inbox, from 0.
    pub number: u64,
    /// The message, its sender authenticated.
    pub message: InboxMessage,
    /// How the owner stands to the sender: a [`Relation::Requested`] one is new.
    pub relation: Relation,
}

/// Why an envelope is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not open: sealed for someone else, damaged, or expired.
    #[error("it does not open with this device's key")]
    Unopenable,
    /// Its sender is not on the ledger.
    #[error("its sender is not registered on this network")]
    UnknownSender,
    /// Its sender's device was not live when it was sent.
    #[error("the device that signed it is not, or was no longer, its sender's")]
    DeviceNotLive,
    /// The sender's signature does not verify.
    #[error("its sender's signature does not verify")]
    Forged,
    /// Its lifetime, or the owner blocks its sender.
    #[error("{0}")]
    Arrival(ArrivalRefusal),
}

/// An envelope that is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Why.
    pub why: Refusal,
}

/// What one reading of the inbox brought.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Reading {
    /// New messages, in order of arrival.
    pub received: Vec<Received>,
    /// Envelopes that were refused.
    pub refused: Vec<Refused>,
    /// Nodes that were caught in a wrong answer.
    pub caught: Vec<Misbehaviour>,
    /// Nodes that served their whole log.
    pub answers: usize,
    /// Nodes that must (Q) for the reading to be complete.
    pub needed: usize,
    /// Envelopes that nodes list, but none gave.
    pub missing: usize,
    /// Whether everything accepted so far is there. If not, the reading is possibly incomplete.
    pub complete: bool,
}

/// Why a read from one node brought nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    Caught(Misbehaviour),
    Failed(String),
    OtherSet,
}

/// What became of some copies.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) received: Vec<Received>,
    pub(crate) refused: Vec<Refused>,
}

/// What the ledger says of a claimed sender.
#[derive(Clone)]
enum Known {
    /// The state, and the look-up of it if it is still to be kept.
    State(Box<IdentityState>, Option<Box<LookedUp>>),
    Absent,
    /// The network could not say: later.
    Later,
}

impl Client {
    /// Reads the inbox from the nodes that keep it, as far as it is not known yet, and returns what is new. Each node's
    /// log is checked against what it showed before; what any of them holds is merged, each message once.
    ///
    /// # Errors
    /// [`ClientError::Locked`], and those of the local store. Nodes that fail make the reading possibly incomplete,
    /// which it says; they don't make it fail.
    pub async fn receive(&self) -> Result<Reading, ClientError> {
        let tag = self.inbox()?.tag();
        let nodes = self.shared.network.nodes();
        let mut reading = self.read_swarm(&nodes, tag).await?;
        let newer = self.shared.network.nodes();
        if newer.epoch() != nodes.epoch() {
            // Meanwhile other nodes keep the inbox.
            let again = self.read_swarm(&newer, tag).await?;
            reading = Reading {
                received: [reading.received, again.received].concat(),
                refused: [reading.refused, again.refused].concat(),
                caught: [reading.caught, again.caught].concat(),
                ..again
            };
        }
        self.note_caught().await?;
        Ok(reading)
    }

    async fn read_swarm(&self, nodes: &Arc<NodeSet>, tag: MailboxTag) -> Result<Reading, ClientError> {
        let started = now();
        let mut coverage = Coverage::new(nodes, &tag);
        let mut reading = Reading {
            needed: coverage.needed(),
            ..Reading::default()
        };
        let mut walks = Vec::new();
        let mut reads: FuturesUnordered<_> = coverage
            .nodes()
            .into_iter()
            .map(|node| self.read_to_head(node, tag))
            .collect();
        let deadline = tokio::time::Instant::now() + READ_TIMEOUT;
        let mut until = deadline;
        loop {
            tokio::select! {
                next = reads.next() => {
                    let Some((node, walk, taken, outcome)) = next else { break };
                    reading.received.extend(taken.received);
                    reading.refused.extend(taken.refused);
                    match outcome? {
                        Ok(()) => coverage.complete(&node, now()),
                        Err(Trouble::Caught(caught)) => {
                            coverage.failed(&node, now());
                            reading.caught.push(caught);
                        }
                        Err(Trouble::OtherSet) => {
                            coverage.failed(&node, now());
                            // For the next reading; this one says what it lacks.
                            let _ = self.shared.network.refresh_nodes().await;
                        }
                        Err(Trouble::Failed(why)) => {
                            tracing::debug!(%node, why, "a node did not serve the inbox");
                            coverage.failed(&node, now());
                        }
                    }
                    walks.push((node, walk));
                    if coverage.answers(started) >= coverage.needed() {
                        until = deadline.min(tokio::time::Instant::now() + READ_GRACE);
                    }
                }
                () = tokio::time::sleep_until(until) => break,
            }
        }
        drop(reads);
        for (node, mut walk) in walks {
            let lacks = self.settle(&node, tag, &mut walk).await?;
            coverage.lacks(&node, lacks);
        }
        reading.received.sort_by_key(|received| received.number);
        reading.answers = coverage.answers(started);
        reading.missing = coverage.missing().len();
        reading.complete = coverage.is_complete(started);
        Ok(reading)
    }

    async fn read_to_head(
        &self,
        node: NodeKey,
        tag: MailboxTag,
    ) -> (NodeKey, LogWalk, Taken, Result<Result<(), Trouble>, ClientError>) {
        let mut all = Taken::default();
        let mut walk = match self.walk(&node, tag) {
            Ok(walk) => walk,
            Err(error) => return (node, LogWalk::new(node, tag, None), all, Err(error)),
        };
        let outcome = loop {
            match self.read_page(&node, &mut walk, 0).await {
                Err(error) => break Err(error),
                Ok(Err(trouble)) => break Ok(Err(trouble)),
                Ok(Ok(copies)) => {
                    match self.take(copies).await {
                        Ok(taken) => {
                            all.received.extend(taken.received);
                            all.refused.extend(taken.refused);
                        }
                        Err(error) => break Err(error),
                    }
                    if walk.is_complete() {
                        break Ok(Ok(()));
                    }
                }
            }
        };
        (node, walk, all, outcome)
    }

    pub(crate) fn walk(&self, node: &NodeKey, tag: MailboxTag) -> Result<LogWalk, ClientError> {
        let kept = self.shared.store.read(|view| state::cursor(view, &tag, node))?;
        Ok(LogWalk::new(*node, tag, kept))
    }

    /// Asks a node for the next page of a walk through this device's inbox, and checks it.
    pub(crate) async fn read_page(
        &self,
        node: &NodeKey,
        walk: &mut LogWalk,
        wait_ms: u32,
    ) -> Result<Result<Vec<EnvelopeCopy>, Trouble>, ClientError> {
        let (inbox, key) = (self.inbox()?, &self.keys()?.secrets.inbox);
        let network = &self.shared.network;
        let read = network.read_page_of(&inbox, key, node, walk, wait_ms).await?;
        Ok(read.map(|(copies, _)| copies))
    }

    /// Keeps how far a node's log is read; gives what it lists that nobody gave.
    pub(crate) async fn settle(
        &self,
        node: &NodeKey,
        tag: MailboxTag,
        walk: &mut LogWalk,
    ) -> Result<Vec<EnvelopeId>, ClientError> {
        let seconds = now().to_seconds();
        let (cursor, lacks) = self.shared.store.read(|view| {
            let mut failure = None;
            let mut known = |envelope: &EnvelopeId| match state::fate(view, envelope) {
                Ok(fate) => fate.is_some(),
                Err(error) => {
                    failure.get_or_insert(error);
                    false
                }
            };
            let cursor = walk.settle(seconds, &mut known).cloned();
            let opening = self.shared.opening.lock().unwrap_or_else(PoisonError::into_inner);
            // What another reader is just opening is not lacking.
            let lacks: Vec<EnvelopeId> = walk
                .unsettled()
                .filter(|envelope| !known(envelope) && !opening.contains(envelope))
                .collect();
            drop(opening);
            match failure {
                Some(error) => Err(error),
                None => Ok((cursor, lacks)),
            }
        })?;
        if let Some(cursor) = cursor {
            let node = *node;
            self.shared
                .store
                .write(move |view| Ok(((), state::advance(view, &tag, &node, &cursor)?)))
                .await?;
        }
        Ok(lacks)
    }

    /// Opens copies, authenticates their senders, and takes them into the inbox, each once. What can't be judged now is
    /// left for a later reading.
    pub(crate) async fn take(&self, copies: Vec<EnvelopeCopy>) -> Result<Taken, ClientError> {
        let arrived = now();
        let shared = &self.shared;
        let mut taken = Taken::default();
        let mut claims = Vec::new();
        let mut waiting = Vec::new();
        for copy in copies {
            let Some(claim) = Claim::take(&shared.opening, copy.envelope) else {
                continue;
            };
            if shared.store.read(|view| state::fate(view, &copy.envelope))?.is_some() {
                continue;
            }
            claims.push(claim);
            match self.open_envelope(&copy.bytes, arrived)? {
                Ok(opened) => waiting.push((copy, opened)),
                Err(error) => {
                    tracing::debug!(%error, "an envelope does not open");
                    self.refuse(&copy, Refusal::Unopenable, &mut taken).await?;
                }
            }
        }

        // Those whose senders are known at once first, so that a stranger holds nobody up.
        let senders: std::collections::BTreeSet<(IdentityId, DeviceId)> =
            waiting.iter().map(|(_, opened)| opened.sender()).collect();
        let quick = join_all(senders.into_iter().map(|sender| async move {
            let known = self.sender(&sender, None).await;
            (sender, known)
        }));
        let known: BTreeMap<(IdentityId, DeviceId), Known> = quick.await.into_iter().collect();
        let mut slow = Vec::new();
        let mut steps = Vec::new();
        for (copy, opened) in waiting {
            match known.get(&opened.sender()) {
                Some(Known::State(state, found)) if !needs_time(state, &opened) => {
                    steps.push(self.deliver(copy, opened, (state.clone(), found.clone()), Height::MAX));
                }
                _ => slow.push((copy, opened)),
            }
        }
        for outcome in join_all(steps).await {
            outcome?.into_taken(&mut taken);
        }
        for (copy, opened) in slow {
            self.take_slowly(copy, opened, arrived, &mut taken).await?;
        }
        drop(claims);
        Ok(taken)
    }

    /// Opens an envelope with the keys of this device, those included that another process on the folder has just made.
    fn open_envelope(&self, bytes: &[u8], now: UnixMillis) -> Result<Result<Opened, OpenError>, ClientError> {
        let attempt = || -> Result<Result<Opened, OpenError>, ClientError> {
            let keys = self.keys()?;
            let contact = keys.contact.read().unwrap_or_else(PoisonError::into_inner).clone();
            let all: Vec<&EnvelopeSecretKey> = contact
                .iter()
                .map(|(_, key)| key.as_ref())
                .chain(core::iter::once(&keys.envelope))
                .collect();
            let opener = Opener {
                network: *self.shared.network.id(),
                identity: self.shared.identity,
                device: self.shared.device,
                keys: &all,
            };
            Ok(open(&opener, bytes, now.to_seconds()))
        };
        match attempt()? {
            Err(_) if self.reload_contact_keys()? => attempt(),
            opened => Ok(opened),
        }
    }

    async fn take_slowly(
        &self,
        copy: EnvelopeCopy,
        opened: Opened,
        arrived: UnixMillis,
        taken: &mut Taken,
    ) -> Result<(), ClientError> {
        let sender = opened.sender();
        let (state, found) = match self.sender(&sender, Some(arrived)).await {
            Known::Later => return Ok(()),
            Known::Absent => return self.refuse(&copy, Refusal::UnknownSender, taken).await,
            Known::State(state, found) => (state, found),
        };
        let at = if state.device(&sender.1).is_none() {
            return self.refuse(&copy, Refusal::DeviceNotLive, taken).await;
        } else if needs_time(&state, &opened) {
            // A revoked device: what counts is when the nodes took the envelope, not what the sender claims.
            let tag = self.inbox()?.tag();
            let of = AcceptanceOf::Envelope {
                tag,
                envelope: copy.envelope,
            };
            let network = &self.shared.network;
            match network.acceptance_of(of, tag, copy.envelope, TIME_PATIENCE).await {
                Ok(Some((_, accepted))) => accepted.signed_height,
                Ok(None) => {
                    if network.is_recent() {
                        return self.refuse(&copy, Refusal::DeviceNotLive, taken).await;
                    }
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        } else {
            Height::MAX
        };
        self.deliver(copy, opened, (state, found), at).await?.into_taken(taken);
        Ok(())
    }

    async fn deliver(
        &self,
        copy: EnvelopeCopy,
        opened: Opened,
        (state, found): (Box<IdentityState>, Option<Box<LookedUp>>),
        at: Height,
    ) -> Result<Delivered, ClientError> {
        let (device, envelope) = (opened.sender().1, copy.envelope);
        let live = state.device_live_at(&device, at).is_some();
        let message = match opened.verify_for(&state, at) {
            Ok(message) => message,
            Err(_) => {
                let why = if live { Refusal::Forged } else { Refusal::DeviceNotLive };
                let mut taken = Taken::default();
                self.refuse(&copy, why, &mut taken).await?;
                return Ok(Delivered::Taken(taken));
            }
        };
        let sender = message.sender;
        let network = &self.shared.network;
        let checkpoint = message.checkpoint.filter(|seen| !network.is_proved(seen));
        let vault = &self.keys()?.secrets.vault;
        let sealed =
            vault::seal(vault, &vault::received(&envelope), &message.content.body).ok_or(ClientError::Random)?;
        let own = (self.shared.identity, self.shared.device);
        let (arrival, seen) = self
            .shared
            .store
            .write(move |view| {
                let (arrival, mut batch) = state::deliver(view, &envelope, &message, &sealed, now())?;
                if let (Arrival::New(..), Some(found)) = (&arrival, found) {
                    batch.append(state::keep_pin(view, &own, &sender, &found, now())?);
                }
                let seen = match checkpoint {
                    Some(checkpoint) if !matches!(arrival, Arrival::Refused(_)) => {
                        seen::keep(view, &mut batch, &sender, &checkpoint, now())?
                    }
                    _ => None,
                };
                Ok(((arrival, seen), batch))
            })
            .await?;
        if let Some(seen) = seen {
            self.compare(sender, seen);
        }
        Ok(Delivered::Arrival(envelope, arrival))
    }

    async fn refuse(&self, copy: &EnvelopeCopy, why: Refusal, taken: &mut Taken) -> Result<(), ClientError> {
        let (envelope, expiry) = (copy.envelope, copy.expiry);
        self.shared
            .store
            .write(move |view| Ok(((), state::refuse(view, &envelope, expiry, now().to_seconds())?)))
            .await?;
        taken.refused.push(Refused { envelope, why });
        Ok(())
    }

    /// What the ledger says of a claimed sender and its device. That one of them does not exist is believed only from a block
    /// after `arrived`: who sends was registered before.
    ///
    /// Anybody can claim to be anybody. Of whom nothing is kept here, nothing is before the signature has held.
    async fn sender(&self, sender: &(IdentityId, DeviceId), arrived: Option<UnixMillis>) -> Known {
        let has_device = |state: &IdentityState| state.device(&sender.1).is_some();
        let pin = match self.shared.store.read(|view| state::pin(view, &sender.0)) {
            Ok(pin) => pin,
            Err(_) => return Known::Later,
        };
        let network = &self.shared.network;
        let found = match arrived {
            None => match self.fresh(pin.as_ref(), SENDER_AGE) {
                Some(state) if has_device(state) => return Known::State(Box::new(state.clone()), None),
                Some(_) => return Known::Later,
                None => {
                    // An absence of any age: whoever is absent is asked for again below.
                    let recent = |found: &LookedUp| network.check_age(found, UnixMillis::new(0), SENDER_AGE);
                    network.lookup_checked(&sender.0, pin.as_ref(), recent).await
                }
            },
            Some(arrived) => {
                let recent = |found: &LookedUp| {
                    if found.state.as_ref().is_some_and(has_device) || found.time >= arrived {
                        Ok(())
                    } else {
                        let age_ms = now().get().saturating_sub(found.time.get());
                        Err(LookupError::TooOld { age_ms })
                    }
                };
                network.lookup_checked(&sender.0, pin.as_ref(), recent).await
            }
        };
        let Ok(found) = found else { return Known::Later };
        let Some(state) = found.state.clone() else {
            return Known::Absent;
        };
        if arrived.is_none() && !has_device(&state) {
            return Known::Later;
        }
        if pin.is_none() {
            return Known::State(Box::new(state), Some(Box::new(found)));
        }
        match self.keep_pin(&sender.0, found).await {
            Ok(_) => Known::State(Box::new(state), None),
            Err(_) => Known::Later,
        }
    }
}

impl Network {
    /// Asks a node for the next page of a walk through a mailbox, and checks it; with the height that the node had seen.
    pub(crate) async fn read_page_of(
        &self,
        mailbox: &Descriptor,
        key: &MailboxSigningKey,
        node: &NodeKey,
        walk: &mut LogWalk,
        wait_ms: u32,
    ) -> Result<Result<(Vec<EnvelopeCopy>, Height), Trouble>, ClientError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| ClientError::Random)?;
        let request = ReadRequest {
            node: *node,
            tag: mailbox.tag(),
            from: walk.from(),
            expiry: now().to_seconds().saturating_add(REQUEST_LIFETIME_SECONDS_MAX / 2),
            nonce,
        };
        let signature = key.sign(self.id(), &request)?;
        let request = Request::Read(Box::new(Read {
            descriptor: *mailbox,
            request,
            signature,
            wait_ms,
        }));
        let timeout = CALL_TIMEOUT + Duration::from_millis(u64::from(wait_ms));
        let caught = |fault| Ok(Err(Trouble::Caught(self.caught(node, fault))));
        let page = match self.links.call(node, &request, timeout).await {
            Err(CallError::Undecodable) => return caught(Fault::Undecodable),
            Err(error) => return Ok(Err(Trouble::Failed(error.to_string()))),
            Ok(response) => match response.into_read() {
                Ok(page) => page,
                Err(AnswerError::Refused(error)) if error.code == ErrorCode::NOT_IN_SWARM => {
                    return Ok(Err(Trouble::OtherSet));
                }
                Err(AnswerError::Refused(error)) => return Ok(Err(Trouble::Failed(error.to_string()))),
                Err(_) => return caught(Fault::WrongAnswer),
            },
        };
        let position = page.head.body.position;
        let epoch: SetEpoch = position.set_epoch;
        match walk.page(self.id(), &nonce, page) {
            Err(fault) => caught(fault),
            Ok(_) if epoch > self.nodes().epoch() => Ok(Err(Trouble::OtherSet)),
            Ok(copies) => Ok(Ok((copies, position.height))),
        }
    }
}

/// Whether the sender's device is revoked, so that it matters when the envelope was taken.
fn needs_time(state: &IdentityState, opened: &Opened) -> bool {
    state
        .device(&opened.sender().1)
        .is_none_or(|entry| entry.revoked.is_some())
}

enum Delivered {
    Arrival(EnvelopeId, Arrival),
    Taken(Taken),
}

impl Delivered {
    fn into_taken(self, taken: &mut Taken) {
        match self {
            Self::Arrival(_, Arrival::New(number, message, relation)) => taken.received.push(Received {
                number,
                message,
                relation,
            }),
            // There is room for it when others have expired: left for a later reading.
            Self::Arrival(_, Arrival::Repeated | Arrival::Refused(ArrivalRefusal::SenderQuota)) => {}
            Self::Arrival(envelope, Arrival::Refused(why)) => taken.refused.push(Refused {
                envelope,
                why: Refusal::Arrival(why),
            }),
            Self::Taken(more) => {
                taken.received.extend(more.received);
                taken.refused.extend(more.refused);
            }
        }
    }
}
