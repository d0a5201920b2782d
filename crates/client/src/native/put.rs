//! Putting an envelope into a mailbox: all nodes of the swarm at once, until W of them have signed.

use std::sync::Arc;
use std::time::Duration;

use tokenim_identity::{MailboxSigningKey, NodeKey};
use tokenim_mailbox::{Descriptor, Postage, QuorumReceipt, WriteAuthority, WriteRequest};
use tokenim_rpc::{AnswerError, Put as PutRequest, Request};
use tokenim_wire::limits::{ENVELOPE_BYTES_MAX, REQUEST_LIFETIME_SECONDS_MAX};
use tokenim_wire::{BoundedBytes, EncodeError, EnvelopeId, UnixSeconds};
use tokio::task::JoinSet;

use super::links::CallError;
use super::network::CALL_TIMEOUT;
use super::{Client, ClientError, Network, now};
use crate::step::{Delivery, Fault, Progress, PutAnswer};

/// Times that the node set may change under one delivery.
const SETS_MAX: u32 = 3;

/// Why an envelope has no quorum.
pub(crate) struct Short {
    pub(crate) receipts: usize,
    pub(crate) wanted: usize,
    pub(crate) last: String,
}

pub(crate) enum Failure {
    Short(Short),
    Client(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What gives the right to write.
pub(crate) enum Authority {
    /// Work, for an inbox.
    Postage(Postage),
    /// The mailbox's write key.
    Key(Box<MailboxSigningKey>),
}

/// An envelope, and the mailbox that it goes into.
pub(crate) struct Put {
    pub(crate) mailbox: Descriptor,
    pub(crate) authority: Authority,
    pub(crate) envelope: EnvelopeId,
    pub(crate) expiry: UnixSeconds,
    pub(crate) sealed: BoundedBytes<ENVELOPE_BYTES_MAX>,
}

impl Client {
    /// Asks the swarm until W receipts verify.
    pub(crate) async fn put(&self, put: Put, patience: Duration) -> Result<QuorumReceipt, Failure> {
        self.shared.network.put(put, patience).await
    }
}

impl Network {
    /// Asks the swarm until W receipts verify.
    pub(crate) async fn put(self: &Arc<Self>, put: Put, patience: Duration) -> Result<QuorumReceipt, Failure> {
        let (tag, put) = (put.mailbox.tag(), Arc::new(put));
        let deadline = tokio::time::Instant::now() + patience;
        let mut last = "no answer in time".to_owned();
        let mut sets = 0_u32;
        let network = *self.id();
        let mut nodes = self.nodes();
        'sets: loop {
            let mut steps = Delivery::new(network, Arc::clone(&nodes), tag, put.envelope, put.expiry);
            let mut asked: JoinSet<(NodeKey, PutAnswer, Option<String>)> = JoinSet::new();
            loop {
                for node in steps.ask(now()) {
                    let (network, put) = (Arc::clone(self), Arc::clone(&put));
                    asked.spawn(async move { put.on(&network, node).await });
                }
                match steps.progress() {
                    Progress::Accepted(receipt) => {
                        // The other nodes of the swarm get their copy too, as far as they are there.
                        asked.detach_all();
                        return Ok(receipt);
                    }
                    Progress::Failed { receipts, wanted } => {
                        if steps.other_set() && sets < SETS_MAX {
                            sets = sets.saturating_add(1);
                            let newer = self.refresh_nodes().await?;
                            if newer.epoch() != nodes.epoch() {
                                nodes = newer;
                                continue 'sets;
                            }
                        }
                        return Err(Failure::Short(Short { receipts, wanted, last }));
                    }
                    Progress::Pending { .. } => {}
                }
                let wake = steps.wake().map_or(Duration::from_secs(3_600), |wake| {
                    Duration::from_millis(wake.get().saturating_sub(now().get()))
                });
                tokio::select! {
                    Some(Ok((node, answer, why))) = asked.join_next() => {
                        last = why.unwrap_or(last);
                        if let Err(fault) = steps.answer(&node, answer, now()) {
                            last = fault.to_string();
                            self.caught(&node, fault);
                        }
                    }
                    () = tokio::time::sleep(wake) => {}
                    () = tokio::time::sleep_until(deadline) => {
                        let (receipts, wanted) = match steps.progress() {
                            Progress::Pending { receipts, wanted } | Progress::Failed { receipts, wanted } => {
                                (receipts, wanted)
                            }
                            Progress::Accepted(receipt) => return Ok(receipt),
                        };
                        return Err(Failure::Short(Short { receipts, wanted, last }));
                    }
                }
            }
        }
    }
}

impl Put {
    fn request(&self, network: &Network, node: NodeKey, nonce: [u8; 16]) -> Result<Request, EncodeError> {
        let request = WriteRequest {
            node,
            tag: self.mailbox.tag(),
            envelope: self.envelope,
            envelope_expiry: self.expiry,
            expiry: now().to_seconds().saturating_add(REQUEST_LIFETIME_SECONDS_MAX / 2),
            nonce,
        };
        let authority = match &self.authority {
            Authority::Postage(postage) => WriteAuthority::Postage(*postage),
            Authority::Key(key) => WriteAuthority::Signature(key.sign(network.id(), &request)?),
        };
        Ok(Request::Put(Box::new(PutRequest {
            descriptor: self.mailbox,
            request,
            authority,
            envelope: self.sealed.clone(),
        })))
    }

    async fn on(&self, network: &Network, node: NodeKey) -> (NodeKey, PutAnswer, Option<String>) {
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_err() {
            return (node, PutAnswer::Unreachable, Some("no random numbers".to_owned()));
        }
        let request = match self.request(network, node, nonce) {
            Ok(request) => request,
            Err(error) => return (node, PutAnswer::Refused, Some(error.to_string())),
        };
        let (answer, why) = match network.links.call(&node, &request, CALL_TIMEOUT).await {
            Err(CallError::Undecodable) => {
                network.caught(&node, Fault::Undecodable);
                (PutAnswer::Refused, Some(Fault::Undecodable.to_string()))
            }
            Err(error) => (PutAnswer::Unreachable, Some(error.to_string())),
            Ok(response) => match response.into_put() {
                Ok(receipt) => (PutAnswer::Receipt(Box::new(receipt)), None),
                Err(AnswerError::Refused(error)) => (PutAnswer::from(&error), Some(error.to_string())),
                Err(_) => {
                    network.caught(&node, Fault::WrongAnswer);
                    (PutAnswer::Refused, Some(Fault::WrongAnswer.to_string()))
                }
            },
        };
        (node, answer, why)
    }
}
