//! What becomes of each request.

use crate::anchor::Anchors;
use crate::gateway::Gateway;
use crate::ledger::Ledger;
use crate::refuse;
use crate::repair::Repair;
use crate::server::Caller;
use crate::status::Health;
use crate::storage_role::StorageRole;
use std::sync::Arc;
use std::time::Duration;
use tokenim_identity::NodeKey;
use tokenim_ledger::{AcceptanceProof, IdentityUpdate, LookupProof, StateKey};
use tokenim_mailbox::QuorumReceipt;
use tokenim_mailbox::group::{GroupNode, GroupUpdate};
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_rpc::{
    AcceptanceOf, AnchorStatus, Gossiped, NodeRequest, NodeResponse, NodeState, Request, Response, RpcError, Submitted,
};
use tokenim_wire::Object as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Everything that answers requests. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) parts: Arc<Parts>,
}

/// What it is made of; a role that this node does not have is missing.
pub(crate) struct Parts {
    pub(crate) ledger: Ledger,
    pub(crate) health: Health,
    pub(crate) storage: Option<StorageRole>,
    pub(crate) repair: Option<Repair>,
    pub(crate) gateway: Option<(Gateway, Anchors)>,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Service {
    /// Answers a request.
    pub(crate) async fn handle(&self, caller: Caller, request: Request) -> Result<Response, RpcError> {
        let parts = &self.parts;
        Ok(match request {
            Request::Status => Response::Status(Box::new(parts.health.status())),
            Request::NodeSet => Response::NodeSet(Box::new(self.lookup(StateKey::node_set()).await?)),
            Request::Lookup { identity } => {
                Response::Lookup(Box::new(self.lookup(StateKey::identity(&identity)).await?))
            }
            Request::SubmitIdentity(update) => Response::SubmitIdentity(self.submit(caller, *update).await?),
            Request::TransactionStatus { id } => Response::TransactionStatus(parts.ledger.status(&id).await?),
            Request::Put(put) => Response::Put(Box::new(self.storage()?.put(*put).await?)),
            Request::Read(read) => Response::Read(Box::new(self.storage()?.read(*read).await?)),
            Request::Anchor { receipt } => Response::Anchor(self.anchor(*receipt).await?),
            Request::Acceptance { of, wait_ms } => Response::Acceptance(Box::new(self.acceptance(of, wait_ms).await?)),
            Request::Finality { height } => {
                let proof = parts.ledger.finality(height).await?;
                let proof = proof.ok_or_else(|| refuse::pending("the height is not final yet"))?;
                Response::Finality(Box::new(proof))
            }
            Request::History { identity, from } => {
                let page = parts.ledger.history(identity, from).await?;
                Response::History(Box::new(
                    page.ok_or_else(|| refuse::not_found("there is no such identity"))?,
                ))
            }
            Request::SubmitGroup(update) => Response::SubmitGroup(self.submit_group(caller, *update).await?),
            Request::GroupNode {
                handle,
                entry,
                after,
                wait_ms,
            } => {
                let key = StateKey::group(&handle, &entry);
                Response::GroupNode(Box::new(self.group_node(key, after, wait_ms).await?))
            }
            Request::PublishContact(publish) => {
                Response::PublishContact(self.storage()?.publish(caller.client, *publish).await?)
            }
            Request::FetchContact { tag, suite } => {
                let fetched = self.storage()?.fetch_contact(caller.client, tag, suite).await?;
                Response::FetchContact(fetched.map(Box::new))
            }
            Request::Node(request) => {
                let node = caller.node.ok_or_else(refuse::nodes_only)?;
                Response::Node(self.handle_node(node, request).await?)
            }
        })
    }

    /// Answers another node.
    async fn handle_node(&self, node: NodeKey, request: NodeRequest) -> Result<NodeResponse, RpcError> {
        if self.parts.ledger.node_set().index_of(&node).is_none() {
            return Err(refuse::nodes_only());
        }
        Ok(match request {
            NodeRequest::Gossip { transactions } => NodeResponse::Gossip(Gossiped {
                taken: self.parts.ledger.take_gossip(transactions.into_inner()).await,
            }),
            NodeRequest::Changes { cursor } => NodeResponse::Changes(self.repair()?.changes(&node, cursor).await?),
            NodeRequest::LogEntries { tag, from } => {
                NodeResponse::LogEntries(self.repair()?.log_entries(&node, &tag, from).await?)
            }
            NodeRequest::Fetch { tag, envelope } => {
                NodeResponse::Fetch(self.repair()?.copy(&node, &tag, &envelope).await?)
            }
        })
    }

    fn storage(&self) -> Result<&StorageRole, RpcError> {
        let disabled = || refuse::role_disabled("this node keeps no envelopes: use another");
        self.parts.storage.as_ref().ok_or_else(disabled)
    }

    fn repair(&self) -> Result<&Repair, RpcError> {
        let disabled = || refuse::role_disabled("this node keeps no envelopes: use another");
        self.parts.repair.as_ref().ok_or_else(disabled)
    }

    fn gateway(&self) -> Result<&(Gateway, Anchors), RpcError> {
        let disabled = || refuse::role_disabled("this node is no gateway: use another");
        self.parts.gateway.as_ref().ok_or_else(disabled)
    }

    /// What stands under a key, proved.
    async fn lookup(&self, key: StateKey) -> Result<LookupProof, RpcError> {
        self.parts.ledger.lookup(key).await?.ok_or_else(refuse::starting)
    }

    /// Sponsors a record, unless nothing would come of it.
    async fn submit(&self, caller: Caller, update: IdentityUpdate) -> Result<Submitted, RpcError> {
        let (gateway, _) = self.gateway()?;
        self.check_progress()?;
        gateway.submit(caller.client, update).await
    }

    /// Sponsors an update of a group log, unless nothing would come of it.
    async fn submit_group(&self, caller: Caller, update: GroupUpdate) -> Result<Submitted, RpcError> {
        let (gateway, _) = self.gateway()?;
        self.check_progress()?;
        gateway.submit_group(caller.client, update).await
    }

    /// What stands under the key of an entry of a group log, proved; held back until it has more than `after` children,
    /// or the time is up.
    async fn group_node(&self, key: StateKey, after: u8, wait_ms: u32) -> Result<LookupProof, RpcError> {
        let ledger = &self.parts.ledger;
        let wait = Duration::from_millis(u64::from(wait_ms.min(WAIT_MILLISECONDS_MAX)));
        let deadline = Instant::now().checked_add(wait).unwrap_or_else(Instant::now);
        if wait.is_zero() {
            return self.lookup(key).await;
        }
        let mut commits = ledger.commits();
        let mut tips = ledger.tips();
        let mut stopping = self.parts.stopping.clone();
        loop {
            tips.mark_unchanged();
            let proof = self.lookup(key).await?;
            if children(proof.value.as_deref()) > usize::from(after) {
                return Ok(proof);
            }
            // What is committed may have no certificate yet, which a proof needs: then it is looked at again with each
            // block. Else nothing is read until a block names the entry, for many may wait.
            let is_committed = children(ledger.value(key).await?.as_deref()) > usize::from(after);
            let changed = async {
                if is_committed {
                    return tips.changed().await.is_ok();
                }
                loop {
                    match commits.recv().await {
                        Ok(commit) if commit.groups.binary_search(&key).is_err() => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return true,
                        Err(RecvError::Closed) => return false,
                    }
                }
            };
            let changed = async {
                tokio::select! {
                    changed = changed => changed,
                    _ = stopping.wait_for(|stopping| *stopping) => false,
                }
            };
            if !matches!(timeout_at(deadline, changed).await, Ok(true)) {
                return self.lookup(key).await;
            }
        }
    }

    /// Takes a quorum receipt: to be anchored, and to see to it that its envelope is here.
    async fn anchor(&self, receipt: QuorumReceipt) -> Result<AnchorStatus, RpcError> {
        let (_, anchors) = self.gateway()?;
        anchors.verify(&receipt).await?;
        if let Some(repair) = &self.parts.repair {
            repair.accepted(&receipt).await;
        }
        anchors.add(receipt).await
    }

    /// Proves an acceptance, after waiting for it if the caller wants that.
    async fn acceptance(&self, of: AcceptanceOf, wait_ms: u32) -> Result<AcceptanceProof, RpcError> {
        let receipt = match of {
            AcceptanceOf::Receipt(receipt) => *receipt,
            AcceptanceOf::Envelope { tag, envelope } => {
                let (_, anchors) = self.gateway()?;
                let found = anchors.receipt(&tag, &envelope).await?;
                found.ok_or_else(|| refuse::not_found("this node was not handed a receipt of this envelope"))?
            }
        };
        let wait = Duration::from_millis(u64::from(wait_ms.min(WAIT_MILLISECONDS_MAX)));
        let deadline = Instant::now().checked_add(wait).unwrap_or_else(Instant::now);
        let mut tips = self.parts.ledger.tips();
        let mut stopping = self.parts.stopping.clone();
        loop {
            tips.mark_unchanged();
            if let Some(proof) = self.parts.ledger.acceptance(receipt.clone()).await? {
                return Ok(proof);
            }
            let changed = async {
                tokio::select! {
                    changed = tips.changed() => changed.is_ok(),
                    _ = stopping.wait_for(|stopping| *stopping) => false,
                }
            };
            if !matches!(timeout_at(deadline, changed).await, Ok(true)) {
                self.check_progress()?;
                return Err(refuse::pending("the receipt is not final yet: ask again"));
            }
        }
    }

    /// Refuses what waits for blocks while there are none.
    fn check_progress(&self) -> Result<(), RpcError> {
        match self.parts.health.state() {
            NodeState::Starting => Err(refuse::starting()),
            NodeState::NotProgressing => Err(refuse::stalled()),
            NodeState::Stopping => Err(refuse::stopping()),
            _ => Ok(()),
        }
    }
}

/// The children of an entry of a group log; none if it is not there.
fn children(value: Option<&[u8]>) -> usize {
    value
        .and_then(|bytes| GroupNode::from_bytes(bytes).ok())
        .map_or(0, |node| node.children.len())
}
