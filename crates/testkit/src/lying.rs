//! A node that lies.

use crate::{CallError, Caller, HarnessError, Layout, Lie, node_signing_key};
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokenim_consensus::{Certificate, FinalityProof, Header, ParsedCertificate, Proposal, View};
use tokenim_identity::{IdentityId, NodeKey, NodeSigningKey, Signature};
use tokenim_ledger::{AcceptanceProof, LookupProof, Outcome, Rejection, TransactionId};
use tokenim_mailbox::group::{AuthorBox, GroupChild, GroupEntryId, GroupHandle, GroupNode, RecordedChild};
use tokenim_mailbox::mmr::Accumulator;
use tokenim_mailbox::{
    HeadBody, Incarnation, LogEntry, LogPosition, MailboxTag, SignedHead, StorageReceipt, StorageReceiptBody,
};
use tokenim_rpc::{
    AnchorStatus, ErrorCode, Item, Page, Put, Read, Request, Response, RpcError, StreamKind, Submitted,
    TransactionStatus, encode_answer, parse_header,
};
use tokenim_transport::{Bytes, Connection as _, FrameReader, Limits, SendStream as _, Transport as _, send_frame};
use tokenim_transport_quic::{QuicConnection, QuicTransport};
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, Height, NetworkId, Object as _, SetEpoch};
use tokio::task::{AbortHandle, JoinSet};

/// How long the honest node gets for an answer; longer than any client waits.
const PATIENCE: Duration = Duration::from_secs(40);
/// Heights by which a forged block is ahead.
const FORGED_AHEAD: u64 = 1_000;

/// A Byzantine member of a network: a transport endpoint that proves a node's own key, in front of that node. It passes
/// requests on and answers back, except where it lies.
///
/// Clients reach it by `Network::prefer_address`, as if someone had taken the node over; the other nodes go on with the
/// honest one, so that consensus has all its members. Dropping it closes it.
#[derive(Debug)]
pub struct LyingNode {
    inner: Arc<Inner>,
    transport: QuicTransport,
    task: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    network: NetworkId,
    key: NodeSigningKey,
    /// What it signs with where it pretends.
    other_key: NodeSigningKey,
    node: NodeKey,
    address: String,
    /// Another, honest node.
    neighbour: (NodeKey, String),
    validators: u16,
    set_epoch: SetEpoch,
    caller: Caller,
    lie: Mutex<Option<Lie>>,
    told: AtomicU64,
    memory: Mutex<Memory>,
}

/// What it said before.
#[derive(Debug, Default)]
struct Memory {
    receipt: Option<StorageReceipt>,
    acceptance: Option<AcceptanceProof>,
    lookups: BTreeMap<IdentityId, LookupProof>,
    contacts: BTreeMap<MailboxTag, Response>,
    group_nodes: BTreeMap<(GroupHandle, GroupEntryId), LookupProof>,
    pages: BTreeMap<MailboxTag, Page>,
    /// Logs that it made up.
    logs: BTreeMap<MailboxTag, Vec<Item>>,
}

/// What goes back on a stream.
enum Reply {
    Answer(Response),
    Bytes(&'static [u8]),
    Never,
}

impl LyingNode {
    /// Stands in front of a node, on a port of its own, honest at first. Must be called within the runtime on which it
    /// is to live.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn start(layout: &Layout, number: usize) -> Result<Self, HarnessError> {
        let folder = layout.node(number)?;
        let neighbour = layout
            .nodes
            .iter()
            .find(|other| other.key != folder.key)
            .ok_or(HarnessError::NoSuchNode(number.saturating_add(1)))?;
        let key = node_signing_key(&folder.dir)?;
        let mut seed = *key.expose_seed();
        seed.reverse();
        let transport = QuicTransport::bind(&key, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Limits::reference())?;
        let inner = Arc::new(Inner {
            network: layout.id,
            node: folder.key,
            address: folder.listen.to_string(),
            neighbour: (neighbour.key, neighbour.listen.to_string()),
            validators: u16::try_from(layout.network.validators().len()).unwrap_or(u16::MAX),
            set_epoch: layout.network.node_set()?.epoch(),
            caller: Caller::new(layout.id, seed)?,
            other_key: NodeSigningKey::from_seed(seed),
            key,
            lie: Mutex::default(),
            told: AtomicU64::new(0),
            memory: Mutex::default(),
        });
        let task = tokio::spawn(serve_all(transport.clone(), inner.clone())).abort_handle();
        Ok(Self { inner, transport, task })
    }

    /// The key that it proves: the node's own.
    #[must_use]
    pub fn node(&self) -> NodeKey {
        self.inner.node
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> String {
        self.transport.local_address().to_string()
    }

    /// Tells this lie from now on, or the truth.
    pub fn tell(&self, lie: Option<Lie>) {
        *lock(&self.inner.lie) = lie;
    }

    /// How many answers of it were lies so far.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.inner.told.load(Ordering::SeqCst)
    }

    /// Closes it and waits until its port is free.
    pub async fn close(&self) {
        self.transport.close().await;
    }
}

impl Drop for LyingNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves every connection until the task is aborted, which ends them all.
async fn serve_all(transport: QuicTransport, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = transport.accept() => match accepted {
                Some(connection) => {
                    connections.spawn(serve(connection, inner.clone()));
                }
                None => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection.
async fn serve(connection: QuicConnection, inner: Arc<Inner>) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            opened = connection.accept() => match opened {
                Ok((mut send, recv)) => {
                    let inner = inner.clone();
                    streams.spawn(async move {
                        let mut frames = FrameReader::new(recv, FRAME_BYTES_MAX);
                        match inner.reply(&mut frames).await {
                            Reply::Never => pending().await,
                            Reply::Answer(response) => {
                                if let Ok(bytes) = encode_answer(&response)
                                    && send.write(Bytes::from(bytes)).await.is_ok()
                                {
                                    let _ = send.finish();
                                }
                            }
                            Reply::Bytes(bytes) => {
                                if send_frame(&mut send, bytes).await.is_ok() {
                                    let _ = send.finish();
                                }
                            }
                        }
                    });
                }
                Err(_) => return,
            },
            Some(_) = streams.join_next() => {}
        }
    }
}

impl Inner {
    async fn reply<R: tokenim_transport::RecvStream>(&self, frames: &mut FrameReader<R>) -> Reply {
        let Ok(Some(header)) = frames.next().await else {
            return Reply::Bytes(b"");
        };
        if !matches!(parse_header(&self.network, &header), Ok(StreamKind::Rpc)) {
            return Reply::Bytes(b"");
        }
        let Ok(Some(body)) = frames.next().await else {
            return Reply::Bytes(b"");
        };
        let Ok(request) = Request::from_bytes(&body) else {
            return Reply::Bytes(b"");
        };
        let lie = *lock(&self.lie);
        let lied = match lie {
            None => None,
            Some(Lie::Silence) => Some(Reply::Never),
            Some(Lie::Garbage) => Some(Reply::Bytes(b"\xffthis is no answer")),
            Some(Lie::OtherAnswer) => Some(Reply::Answer(match request {
                Request::TransactionStatus { .. } => Response::Anchor(AnchorStatus::Queued),
                _ => Response::TransactionStatus(TransactionStatus::Unknown),
            })),
            Some(lie) => self.lie(lie, &request).await.map(Reply::Answer),
        };
        if let Some(lied) = lied {
            self.told.fetch_add(1, Ordering::SeqCst);
            return lied;
        }
        match self.honest(&request).await {
            Ok(response) => {
                self.remember(&request, &response);
                Reply::Answer(response)
            }
            Err(_) => Reply::Never,
        }
    }

    /// What the node itself answers.
    fn honest(&self, request: &Request) -> impl Future<Output = Result<Response, CallError>> {
        self.caller.ask(&self.node, &self.address, request, PATIENCE)
    }

    /// Waits until the node itself and another one have applied a transaction.
    async fn final_at_both(&self, id: TransactionId) -> Option<()> {
        let request = Request::TransactionStatus { id };
        for (node, address) in [&(self.node, self.address.clone()), &self.neighbour] {
            loop {
                let response = self.caller.ask(node, address, &request, PATIENCE).await.ok()?;
                match response.into_transaction_status().ok()? {
                    TransactionStatus::Final { .. } => break,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        }
        Some(())
    }

    fn remember(&self, request: &Request, response: &Response) {
        let mut memory = lock(&self.memory);
        match (request, response) {
            (Request::Put(_), Response::Put(receipt)) => {
                memory.receipt.get_or_insert(**receipt);
            }
            (Request::Acceptance { .. }, Response::Acceptance(proof)) => {
                memory.acceptance.get_or_insert_with(|| (**proof).clone());
            }
            (Request::Lookup { identity }, Response::Lookup(proof)) => {
                memory.lookups.entry(*identity).or_insert_with(|| (**proof).clone());
            }
            (Request::FetchContact { tag, .. }, Response::FetchContact(Some(_))) => {
                memory.contacts.entry(*tag).or_insert_with(|| response.clone());
            }
            (Request::GroupNode { handle, entry, .. }, Response::GroupNode(proof)) => {
                let nodes = &mut memory.group_nodes;
                nodes.entry((*handle, *entry)).or_insert_with(|| (**proof).clone());
            }
            (Request::Read(read), Response::Read(page)) => {
                memory.pages.entry(read.request.tag).or_insert_with(|| (**page).clone());
            }
            _ => {}
        }
    }

    /// The lie, if it is about this request and there is something to lie about.
    async fn lie(&self, lie: Lie, request: &Request) -> Option<Response> {
        match request {
            Request::Read(read) => self
                .lie_to_reader(lie, read)
                .await
                .map(|page| Response::Read(Box::new(page))),
            Request::Put(put) => self
                .lie_to_writer(lie, put)
                .await
                .map(|receipt| Response::Put(Box::new(receipt))),
            _ => self.lie_about_ledger(lie, request).await,
        }
    }

    async fn lie_to_reader(&self, lie: Lie, read: &Read) -> Option<Page> {
        let tag = read.request.tag;
        if lie == Lie::StaleHead {
            return lock(&self.memory).pages.get(&tag).cloned();
        }
        let mut page = self
            .honest(&Request::Read(Box::new(read.clone())))
            .await
            .ok()?
            .into_read()
            .ok()?;
        let items = page.items.len();
        match lie {
            Lie::FlippedByte => {
                let mut flipped = false;
                page.items = map_items(page.items, |mut item| {
                    item.envelope = item.envelope.map(|envelope| {
                        flipped = true;
                        flip(envelope)
                    });
                    item
                })?;
                flipped.then_some(page)
            }
            Lie::WithheldEnvelopes => {
                let held = page.items.iter().any(|item| item.envelope.is_some());
                page.items = map_items(page.items, |item| Item { envelope: None, ..item })?;
                held.then_some(page)
            }
            Lie::EmptyLog => {
                if page.head.body.position.size == 0 {
                    return None;
                }
                let head = self.head(&page.head.body, &Accumulator::new(), read.request.nonce)?;
                Some(Page {
                    head,
                    items: BoundedVec::empty(),
                    next: read.request.from,
                    more: false,
                })
            }
            Lie::HeadOfAnotherKey => {
                let signature = self.other_key.sign(&self.network, &page.head.body).ok()?;
                page.head.signature = signature;
                Some(page)
            }
            Lie::MissingEntry => {
                if items == 0 {
                    return None;
                }
                let mut kept = page.items.into_inner();
                kept.pop();
                page.items = BoundedVec::try_from(kept).ok()?;
                page.next = page.next.saturating_sub(1);
                Some(page)
            }
            Lie::RepeatedEnvelopes | Lie::InventedEnvelope => {
                if read.request.from == 0 {
                    let made_up = match lie {
                        Lie::RepeatedEnvelopes => page
                            .items
                            .iter()
                            .flat_map(|item| [item.clone(), item.clone()])
                            .collect(),
                        _ => self.with_invention(&page)?,
                    };
                    lock(&self.memory).logs.insert(tag, made_up);
                }
                let items = lock(&self.memory).logs.get(&tag).cloned()?;
                self.made_up_page(&page, items, read)
            }
            _ => None,
        }
    }

    /// The items of a page, and one that nobody sent.
    fn with_invention(&self, page: &Page) -> Option<Vec<Item>> {
        let mut items = page.items.clone().into_inner();
        let bytes: Vec<u8> = self.key.expose_seed().iter().copied().cycle().take(700).collect();
        let expiry = page.items.first().map(|item| item.entry.expiry)?;
        items.push(Item {
            sequence: 0,
            log: page.head.body.position.log(),
            entry: LogEntry {
                index: 0,
                envelope: EnvelopeId::of(&bytes),
                expiry,
            },
            envelope: Some(BoundedBytes::try_from(bytes).ok()?),
        });
        Some(items)
    }

    /// Serves a made-up log as a node should serve a true one.
    fn made_up_page(&self, page: &Page, mut items: Vec<Item>, read: &Read) -> Option<Page> {
        let mut lines = Accumulator::new();
        for (item, number) in items.iter_mut().zip(0_u64..) {
            item.sequence = number;
            item.entry.index = number;
            item.log = page.head.body.position.log();
            lines.push(item.entry.leaf()).ok()?;
        }
        let from = usize::try_from(read.request.from).ok()?;
        Some(Page {
            head: self.head(&page.head.body, &lines, read.request.nonce)?,
            items: BoundedVec::try_from(items.into_iter().skip(from).collect::<Vec<_>>()).ok()?,
            next: lines.size().max(read.request.from),
            more: false,
        })
    }

    /// A head over other lines, truly signed.
    fn head(&self, like: &HeadBody, lines: &Accumulator, nonce: [u8; 16]) -> Option<SignedHead> {
        let body = HeadBody {
            position: LogPosition {
                index: lines.size(),
                size: lines.size(),
                root: lines.root(),
                ..like.position
            },
            nonce,
            ..*like
        };
        SignedHead::sign(&self.network, &self.key, body).ok()
    }

    async fn lie_to_writer(&self, lie: Lie, put: &Put) -> Option<StorageReceipt> {
        let entry = LogEntry {
            index: 0,
            envelope: put.request.envelope,
            expiry: put.request.envelope_expiry,
        };
        let mut lines = Accumulator::new();
        lines.push(entry.leaf()).ok()?;
        let body = StorageReceiptBody {
            node: self.node,
            tag: put.request.tag,
            envelope: entry.envelope,
            expiry: entry.expiry,
            position: LogPosition {
                set_epoch: self.set_epoch,
                incarnation: Incarnation::new(1),
                index: 0,
                size: 1,
                root: lines.root(),
                height: Height::new(1),
            },
        };
        match lie {
            Lie::ForgedReceipt => Some(StorageReceipt {
                signature: self.other_key.sign(&self.network, &body).ok()?,
                body,
            }),
            Lie::EmptyPromise => StorageReceipt::sign(&self.network, &self.key, body).ok(),
            Lie::OldReceipt => {
                let old = lock(&self.memory).receipt;
                old.filter(|receipt| receipt.body.envelope != entry.envelope)
            }
            Lie::ReceiptOfAnother | Lie::BorrowedSignature => {
                // Everyone may write to a contact inbox, also a node in its own name.
                let (node, address) = &self.neighbour;
                let mut put = put.clone();
                put.request.node = *node;
                let request = Request::Put(Box::new(put));
                let answer = self.caller.ask(node, address, &request, PATIENCE).await.ok()?;
                let mut receipt = answer.into_put().ok()?;
                if lie == Lie::BorrowedSignature {
                    receipt.body.node = self.node;
                }
                Some(receipt)
            }
            _ => None,
        }
    }

    async fn lie_about_ledger(&self, lie: Lie, request: &Request) -> Option<Response> {
        match (lie, request) {
            (Lie::OldLookup, Request::Lookup { identity }) => {
                let old = lock(&self.memory).lookups.get(identity).cloned()?;
                Some(Response::Lookup(Box::new(old)))
            }
            (Lie::DeniedIdentity, Request::Lookup { .. }) => {
                let mut proof = self.honest(request).await.ok()?.into_lookup().ok()?;
                proof.value.take()?;
                Some(Response::Lookup(Box::new(proof)))
            }
            (Lie::HiddenChildren, Request::GroupNode { handle, entry, .. }) => {
                let old = lock(&self.memory).group_nodes.get(&(*handle, *entry)).cloned()?;
                Some(Response::GroupNode(Box::new(old)))
            }
            (Lie::InventedChildren, Request::GroupNode { handle, entry, .. }) => {
                let mut proof = self.honest(request).await.ok()?.into_group_node().ok()?;
                let mut node = GroupNode::from_bytes(proof.value.as_ref()?).ok()?;
                let child = GroupChild {
                    handle: *handle,
                    parent: *entry,
                    commitment: [1; 32].into(),
                    next: node.key,
                    author: AuthorBox::empty(),
                    tag: [2; 32].into(),
                    envelopes: EnvelopeId::from_bytes([3; 32]).into(),
                };
                let place = node.place;
                node.children.push(RecordedChild { child, place }).ok()?;
                proof.value = Some(BoundedBytes::try_from(node.to_bytes().ok()?).ok()?);
                Some(Response::GroupNode(Box::new(proof)))
            }
            (Lie::ShortHistory | Lie::ForeignTimes, Request::History { .. }) => {
                let mut page = self.honest(request).await.ok()?.into_history().ok()?;
                let mut entries = page.entries.into_inner();
                if lie == Lie::ShortHistory {
                    entries.pop()?;
                }
                for entry in &mut entries {
                    if lie == Lie::ForeignTimes {
                        entry.time = entry.time.saturating_add(1_000);
                    }
                }
                page.entries = BoundedVec::try_from(entries).ok()?;
                Some(Response::History(Box::new(page)))
            }
            (Lie::PagesOfOne | Lie::RepeatedPage | Lie::FirstPageOnly, Request::History { identity, from }) => {
                let (identity, from) = (*identity, if lie == Lie::RepeatedPage { 1 } else { *from });
                let request = Request::History { identity, from };
                let mut page = self.honest(&request).await.ok()?.into_history().ok()?;
                let mut entries = page.entries.into_inner();
                page.more = match lie {
                    Lie::PagesOfOne => page.more || entries.len() > 1,
                    _ => lie == Lie::RepeatedPage,
                };
                entries.truncate(1);
                page.entries = BoundedVec::try_from(entries).ok()?;
                Some(Response::History(Box::new(page)))
            }
            (Lie::NoLookups, Request::Lookup { .. } | Request::GroupNode { .. }) => {
                Some(Response::Error(RpcError::new(ErrorCode::PENDING, "ask later")))
            }
            (Lie::HiddenContactKeys, Request::FetchContact { .. }) => Some(Response::FetchContact(None)),
            (Lie::OldContactKeys, Request::FetchContact { tag, .. }) => lock(&self.memory).contacts.get(tag).cloned(),
            (Lie::OtherContactKeys, Request::FetchContact { tag, .. }) => {
                let memory = lock(&self.memory);
                let other = memory.contacts.iter().find(|(known, _)| *known != tag);
                other.map(|(_, response)| response.clone())
            }
            (Lie::NoFinality, Request::Finality { .. }) => Some(Response::Error(RpcError::new(
                ErrorCode::PENDING,
                "the height is not final yet",
            ))),
            (Lie::OldFinality, Request::Finality { .. }) => {
                let height = Height::new(1);
                self.honest(&Request::Finality { height }).await.ok()
            }
            (Lie::ForgedFinality | Lie::ForeignFinality, _) => {
                let mut response = self.honest(request).await.ok()?;
                let finality = match &mut response {
                    Response::Lookup(proof) | Response::NodeSet(proof) => &mut proof.finality,
                    Response::Acceptance(proof) => &mut proof.finality,
                    Response::Finality(proof) => proof.as_mut(),
                    _ => return None,
                };
                *finality = self.forged(lie, finality.subject()?)?;
                Some(response)
            }
            (Lie::OtherAcceptance, Request::Acceptance { .. }) => {
                let old = lock(&self.memory).acceptance.clone();
                if let Some(old) = old {
                    return Some(Response::Acceptance(Box::new(old)));
                }
                // The first one is the truth.
                None
            }
            (Lie::Swallowed, Request::Anchor { .. }) => Some(Response::Anchor(AnchorStatus::Queued)),
            (Lie::Swallowed, Request::SubmitIdentity(_)) => Some(Response::SubmitIdentity(Submitted {
                id: TransactionId::from_bytes([7; 32]),
                valid_until: Height::MAX,
            })),
            (Lie::Swallowed, Request::TransactionStatus { .. }) => {
                Some(Response::TransactionStatus(TransactionStatus::Pending))
            }
            (Lie::LateGateway | Lie::DeniedSubmission, Request::SubmitIdentity(_) | Request::SubmitGroup(_)) => {
                let response = self.honest(request).await.ok()?;
                let (Response::SubmitIdentity(sent) | Response::SubmitGroup(sent)) = &response else {
                    return None;
                };
                self.final_at_both(sent.id).await?;
                Some(match lie {
                    Lie::LateGateway => response,
                    _ => Response::Error(RpcError::new(ErrorCode::INVALID_TRANSACTION, "not taken")),
                })
            }
            (Lie::FalseRejection, Request::TransactionStatus { .. }) => {
                Some(Response::TransactionStatus(TransactionStatus::Final {
                    height: Height::new(1),
                    outcome: Outcome::Rejected(Rejection::RecordNetwork),
                }))
            }
            _ => None,
        }
    }

    /// A proof of finality that a liar can make alone.
    fn forged(&self, lie: Lie, like: &Header) -> Option<FinalityProof> {
        let mut header = *like;
        header.height = header.height.saturating_add(FORGED_AHEAD);
        let (network, validators, signers) = match lie {
            Lie::ForeignFinality => {
                header.chain = NetworkId::from_bytes(self.other_key.verifying_key().to_bytes());
                (header.chain, 1, vec![0])
            }
            _ => (self.network, self.validators, (0..self.validators).collect()),
        };
        let proposal = Proposal {
            epoch: header.epoch,
            view: View::new(header.height.get()),
            parent_view: View::new(header.height.get().saturating_sub(1)),
            digest: header.digest(),
        };
        let key = ed25519_zebra::SigningKey::from(*self.key.expose_seed());
        let signature = Signature::from_bytes(key.sign(&proposal.finalize_bytes(&network)).to_bytes());
        let parsed = ParsedCertificate {
            proposal,
            validators,
            signatures: vec![signature; signers.len()],
            signers,
        };
        let certificate: Certificate = parsed.to_certificate().ok()?;
        FinalityProof::new(vec![header], certificate).ok()
    }
}

/// Another byte in the middle.
fn flip<const MAX: usize>(bytes: BoundedBytes<MAX>) -> BoundedBytes<MAX> {
    let mut changed = bytes.clone().into_inner();
    let middle = changed.len() / 2;
    if let Some(byte) = changed.get_mut(middle) {
        *byte ^= 1;
    }
    BoundedBytes::try_from(changed).unwrap_or(bytes)
}

fn map_items<const MAX: usize>(
    items: BoundedVec<Item, MAX>,
    change: impl FnMut(Item) -> Item,
) -> Option<BoundedVec<Item, MAX>> {
    BoundedVec::try_from(items.into_iter().map(change).collect::<Vec<_>>()).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
