//! The network as a client sees it: nodes to ask, and a light client that checks what they say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_identity::{IdentityId, NodeKey};
use tokenim_ledger::{AcceptanceProof, AcceptedEnvelope, LightClient, NetworkConfig};
use tokenim_mailbox::{MailboxTag, NodeSet, QuorumReceipt};
use tokenim_rpc::{AcceptanceOf, AnswerError, ErrorCode, NodeStatus, Request, Response, RpcError};
use tokenim_wire::{EnvelopeId, Height, NetworkId, UnixMillis};

use super::links::{CallError, Links};
use super::{ClientError, now};
use crate::step::{Fault, LedgerView, LookedUp, LookupError, Pin, Tip};

/// How old the newest block may be that was proved, for what the ledger has now to be known.
const RECENT_MS: u64 = 10_000;
/// A node that has not answered after this long gets company.
pub(crate) const HEDGE_AFTER: Duration = Duration::from_millis(300);
/// How long a single question may take.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How long all nodes together may take to answer a question.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(12);
/// Pause between two rounds through all nodes.
pub(crate) const ROUND_PAUSE: Duration = Duration::from_millis(250);

/// Why one node's answer is not used.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The node is at fault: it is noted, and another one is asked.
    Fault(Fault),
    /// Nobody's fault; another node, or the same one later, may do better.
    Later(String),
    /// The answer is proved, but too old: age in milliseconds.
    Old(u64),
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<LookupError> for Answer {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Fault(fault) => Self::Fault(*fault),
            LookupError::TooOld { age_ms } => Self::Old(age_ms),
            LookupError::RolledBack { .. } => Self::Later(error.to_string()),
        }
    }
}

impl From<AnswerError> for Answer {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused(error) => Self::Later(error.to_string()),
            _ => Self::Fault(Fault::WrongAnswer),
        }
    }
}

impl From<CallError> for Answer {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Undecodable => Self::Fault(Fault::Undecodable),
            other => Self::Later(other.to_string()),
        }
    }
}

/// A node that was caught, what with, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misbehaviour {
    /// The node.
    pub node: NodeKey,
    /// What it did.
    pub fault: Fault,
    /// When, by this machine's clock.
    pub time: UnixMillis,
}

/// What a node says of itself, and what of it is proved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeReport {
    /// The node.
    pub node: NodeKey,
    /// Where it is reached.
    pub address: String,
    /// What it says, or why it said nothing.
    pub status: Result<NodeStatus, String>,
    /// The newest height for which it gave a valid proof of finality.
    pub proved: Option<Height>,
}

/// A network's nodes behind one light client. It has no keys and keeps nothing on disk.
///
/// The network's configuration is the only root of trust: it gives the validators, by which every
/// answer is checked, and the first nodes, until a newer node set is proved.
#[derive(Debug)]
pub struct Network {
    id: NetworkId,
    config: NetworkConfig,
    pub(crate) links: Links,
    view: Mutex<LedgerView>,
    caught: Mutex<Vec<Misbehaviour>>,
    hints: Mutex<Vec<(NodeKey, String)>>,
    turn: std::sync::atomic::AtomicUsize,
}

impl Network {
    /// Prepares to talk to the network of this configuration; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Transport`], [`ClientError::Random`].
    pub fn new(config: NetworkConfig) -> Result<Self, ClientError> {
        let view = LedgerView::new(&config)?;
        let id = *view.network();
        let mut turn = [0; 4];
        getrandom::fill(&mut turn).map_err(|_| ClientError::Random)?;
        let network = Self {
            id,
            links: Links::new(id)?,
            view: Mutex::new(view),
            caught: Mutex::default(),
            hints: Mutex::default(),
            turn: usize::try_from(u32::from_le_bytes(turn)).unwrap_or(0).into(),
            config,
        };
        network.take_addresses();
        Ok(network)
    }

    /// The network's id.
    #[must_use]
    pub const fn id(&self) -> &NetworkId {
        &self.id
    }

    /// The network's configuration.
    #[must_use]
    pub const fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The node set, as proved last, or as configured.
    #[must_use]
    pub fn nodes(&self) -> Arc<NodeSet> {
        self.with_view(|view| view.nodes())
    }

    /// The newest final block that was proved to this client.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        self.with_view(|view| view.tip())
    }

    /// How old what a header of this time proved is, in milliseconds, whatever the clock says.
    pub(crate) fn age_ms(&self, time: UnixMillis) -> u64 {
        self.with_view(|view| view.age_ms(time, now()))
    }

    /// Whether a block was proved to this client that is a few seconds old: what the ledger does not have then, it did not
    /// have shortly before.
    pub(crate) fn is_recent(&self) -> bool {
        self.tip()
            .is_some_and(|tip| now().get().saturating_sub(tip.time.get()) < RECENT_MS)
    }

    /// The light client, for proofs that came in a file.
    #[must_use]
    pub fn light_client(&self) -> LightClient {
        self.with_view(|view| view.light_client().clone())
    }

    /// Says where a node is really reached, for example behind a forwarded port. Only a hint: whoever answers there
    /// must prove the node's key.
    pub async fn prefer_address(&self, node: &NodeKey, address: &str) {
        {
            let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
            hints.retain(|(known, _)| known != node);
            hints.push((*node, address.to_owned()));
        }
        self.links.set_address(node, address);
        self.links.disconnect(node).await;
    }

    /// The nodes that were caught in a wrong answer, since the last call.
    pub fn take_caught(&self) -> Vec<Misbehaviour> {
        core::mem::take(&mut *self.caught.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_view<T>(&self, act: impl FnOnce(&mut LedgerView) -> T) -> T {
        act(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take_addresses(&self) {
        let nodes = self.nodes();
        for member in nodes.members() {
            self.links.set_address(&member.key, &member.address);
        }
        for (node, address) in self.hints.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.links.set_address(node, address);
        }
    }

    pub(crate) fn caught(&self, node: &NodeKey, fault: Fault) -> Misbehaviour {
        tracing::warn!(%node, %fault, "a node's answer is refused");
        let misbehaviour = Misbehaviour {
            node: *node,
            fault,
            time: now(),
        };
        let mut caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
        if caught.len() < 1_000 {
            caught.push(misbehaviour.clone());
        }
        misbehaviour
    }

    /// Every node, beginning with another one each time.
    pub(crate) fn order(&self) -> Vec<NodeKey> {
        let mut order: Vec<NodeKey> = self.nodes().members().iter().map(|member| member.key).collect();
        let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(turn) = turn.checked_rem(order.len()) {
            order.rotate_left(turn);
        }
        order
    }

    /// Asks one node after the other, the next whenever one fails or is slow, until an answer passes `check`.
    pub(crate) async fn ask<T>(
        &self,
        request: &Request,
        call_timeout: Duration,
        timeout: Duration,
        mut check: impl FnMut(&NodeKey, Response) -> Result<T, Answer>,
    ) -> Result<T, ClientError> {
        let order = self.order();
        let deadline = tokio::time::Instant::now() + timeout;
        let mut last = "no answer in time".to_owned();
        let mut oldest = None;
        'rounds: loop {
            let mut waiting = order.iter();
            let mut asked = FuturesUnordered::new();
            loop {
                if asked.is_empty() {
                    match waiting.next() {
                        Some(node) => asked.push(self.question(*node, request, call_timeout)),
                        None => break,
                    }
                }
                let hedge = tokio::time::sleep(HEDGE_AFTER);
                tokio::select! {
                    biased;
                    Some((node, outcome)) = asked.next() => {
                        let checked = match outcome {
                            Ok(response) => check(&node, response),
                            Err(error) => Err(error.into()),
                        };
                        match checked {
                            Ok(value) => return Ok(value),
                            Err(Answer::Fault(fault)) => {
                                last = fault.to_string();
                                self.caught(&node, fault);
                            }
                            Err(Answer::Later(why)) => last = why,
                            Err(Answer::Old(age)) => oldest = Some(oldest.map_or(age, |old: u64| old.min(age))),
                        }
                        if let Some(node) = waiting.next() {
                            asked.push(self.question(*node, request, call_timeout));
                        }
                    }
                    () = hedge => {
                        if let Some(node) = waiting.next() {
                            asked.push(self.question(*node, request, call_timeout));
                        }
                    }
                    () = tokio::time::sleep_until(deadline) => break 'rounds,
                }
            }
            if tokio::time::timeout_at(deadline, tokio::time::sleep(ROUND_PAUSE))
                .await
                .is_err()
            {
                break;
            }
        }
        if let Some(age) = oldest {
            return Err(ClientError::NotProgressing {
                age_seconds: age / 1_000,
            });
        }
        Err(ClientError::Unreachable {
            nodes: order.len(),
            last,
        })
    }

    pub(crate) async fn question(
        &self,
        node: NodeKey,
        request: &Request,
        timeout: Duration,
    ) -> (NodeKey, Result<Response, CallError>) {
        tracing::debug!(%node, question = %request.kind(), "a node is asked");
        (node, self.links.call(&node, request, timeout).await)
    }

    /// Fetches the node set with its proof, and from then on uses it.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub async fn refresh_nodes(&self) -> Result<Arc<NodeSet>, ClientError> {
        let nodes = self
            .ask(&Request::NodeSet, CALL_TIMEOUT, ASK_TIMEOUT, |_, response| {
                let proof = response.into_node_set()?;
                Ok(self.with_view(|view| view.node_set(&proof))?)
            })
            .await?;
        self.take_addresses();
        Ok(nodes)
    }

    /// Looks an identity up: proved by the light client, from a block not older than `max_age`. An identity's absence
    /// is believed only from a block made after the question.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn lookup(&self, identity: &IdentityId, max_age: Duration) -> Result<LookedUp, ClientError> {
        self.lookup_after(identity, None, max_age).await
    }

    /// Looks up, and not from before `pin`.
    pub(crate) async fn lookup_after(
        &self,
        identity: &IdentityId,
        pin: Option<&Pin>,
        max_age: Duration,
    ) -> Result<LookedUp, ClientError> {
        let asked = now();
        self.lookup_checked(identity, pin, |found| self.check_age(found, asked, max_age))
            .await
    }

    /// Checks that a state is at most `max_age` old, and an absence younger than the question.
    pub(crate) fn check_age(&self, found: &LookedUp, asked: UnixMillis, max_age: Duration) -> Result<(), LookupError> {
        let max_age_ms = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        self.with_view(|view| view.check_age(found, asked, now(), max_age_ms))
    }

    /// Looks up with a rule of the caller's for how old is too old.
    pub(crate) async fn lookup_checked(
        &self,
        identity: &IdentityId,
        pin: Option<&Pin>,
        mut recent: impl FnMut(&LookedUp) -> Result<(), LookupError>,
    ) -> Result<LookedUp, ClientError> {
        let request = Request::Lookup { identity: *identity };
        self.ask(&request, CALL_TIMEOUT, ASK_TIMEOUT, |_, response| {
            let proof = response.into_lookup()?;
            let found = self.with_view(|view| view.identity(identity, &proof, pin))?;
            recent(&found)?;
            Ok(found)
        })
        .await
    }

    /// Fetches the proof that `receipt` is anchored, waiting up to `wait` for it; `None` if it is not there by then.
    pub(crate) async fn acceptance(
        &self,
        receipt: &QuorumReceipt,
        wait: Duration,
    ) -> Result<Option<(AcceptanceProof, AcceptedEnvelope)>, ClientError> {
        let of = AcceptanceOf::Receipt(Box::new(receipt.clone()));
        self.acceptance_of(of, receipt.tag, receipt.envelope, wait).await
    }

    /// Fetches the proof that the envelope was accepted, from a node that was handed its receipt.
    pub(crate) async fn acceptance_of(
        &self,
        of: AcceptanceOf,
        tag: MailboxTag,
        envelope: EnvelopeId,
        wait: Duration,
    ) -> Result<Option<(AcceptanceProof, AcceptedEnvelope)>, ClientError> {
        // A node answers as soon as it can, and another one is asked beside it.
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).min(5_000);
        let request = Request::Acceptance { of, wait_ms };
        let call_timeout = CALL_TIMEOUT + Duration::from_millis(u64::from(wait_ms));
        let outcome = self
            .ask(&request, call_timeout, wait + CALL_TIMEOUT, |_, response| {
                let proof = match response.into_acceptance() {
                    Ok(proof) => proof,
                    Err(AnswerError::Refused(error)) if is_missing(&error) && wait.is_zero() => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                let accepted = self.with_view(|view| view.acceptance(&tag, &envelope, &proof))?;
                Ok(Some((proof, accepted)))
            })
            .await;
        match outcome {
            Err(ClientError::Unreachable { .. }) => Ok(None),
            other => other,
        }
    }

    /// Asks every node how it is, and for the proof of its newest height.
    pub async fn status(&self) -> Vec<NodeReport> {
        let nodes = self.nodes();
        let reports: FuturesUnordered<_> = nodes
            .members()
            .iter()
            .map(|member| async {
                let status = match self.links.call(&member.key, &Request::Status, CALL_TIMEOUT).await {
                    Err(error) => Err(error.to_string()),
                    Ok(response) => response.into_status().map_err(|error| error.to_string()),
                };
                let status = status.and_then(|status| {
                    if status.node == member.key && status.network == self.id {
                        Ok(status)
                    } else {
                        self.caught(&member.key, Fault::WrongAnswer);
                        Err(Fault::WrongAnswer.to_string())
                    }
                });
                let mut proved = None;
                if let Ok(status) = &status {
                    proved = self.proved_height(&member.key, status.height).await;
                }
                NodeReport {
                    node: member.key,
                    address: member.address.as_str().to_owned(),
                    status,
                    proved,
                }
            })
            .collect();
        let mut reports: Vec<NodeReport> = reports.collect().await;
        reports.sort_by_key(|report| report.node);
        reports
    }

    async fn proved_height(&self, node: &NodeKey, height: Height) -> Option<Height> {
        // The newest height may be final only through its descendant, which is not there yet.
        for height in [height, height.saturating_sub(1), height.saturating_sub(2)] {
            let request = Request::Finality { height };
            let Ok(response) = self.links.call(node, &request, CALL_TIMEOUT).await else {
                return None;
            };
            let Ok(proof) = response.into_finality() else {
                continue;
            };
            match self.with_view(|view| view.header(&proof)) {
                Ok(proved) => return Some(proved.height),
                Err(fault) => {
                    self.caught(node, fault);
                    return None;
                }
            }
        }
        None
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.links.close().await;
    }
}

/// Whether a refusal says that the proof is not there, or not yet.
fn is_missing(error: &RpcError) -> bool {
    matches!(error.code, ErrorCode::PENDING | ErrorCode::NOT_FOUND)
}
