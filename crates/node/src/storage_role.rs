//! The storage role: keeps envelopes, signs receipts and heads.
//!
//! A receipt or head is signed only over what the store says is durable, with exactly the position that the store gives,
//! so that a repeated put signs the same and no crash can make this node contradict itself.

use crate::changes::{Arrivals, ChangeLog};
use crate::clock;
use crate::contact::Contacts;
use crate::gateway::Client;
use crate::ledger::{Ledger, Store};
use crate::metrics::Metrics;
use crate::refuse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{NodeKey, NodeSigningKey};
use tokenim_mailbox::{
    HeadBody, Incarnation, LogId, MailboxTag, NodeSet, SignedHead, StorageReceipt, StorageReceiptBody, WriteAuthority,
    check_read, check_write, swarm,
};
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_rpc::{ErrorCode, FetchedContact, Item, Page, PublishContact, Published, Put, Read, RpcError};
use tokenim_storage::{LogHead, MailboxStore, PutOutcome, StoreError};
use tokenim_wire::limits::{READ_BYTES_MAX, READ_ITEMS_MAX};
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, NetworkId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Envelopes deleted in one go after their expiry.
const EXPIRE_AT_ONCE: usize = 1024;

/// The storage role. A clone is a handle.
#[derive(Clone)]
pub(crate) struct StorageRole {
    inner: Arc<Inner>,
}

/// What the role is made of.
pub(crate) struct Parts {
    pub(crate) network: NetworkId,
    pub(crate) key: Arc<NodeSigningKey>,
    pub(crate) node: NodeKey,
    pub(crate) incarnation: Incarnation,
    pub(crate) bytes_max: u64,
    pub(crate) store: Store,
    pub(crate) contacts: Contacts<Store>,
    pub(crate) ledger: Ledger,
    pub(crate) changes: ChangeLog,
    pub(crate) metrics: Metrics,
    pub(crate) stopping: watch::Receiver<bool>,
}

struct Inner {
    parts: Parts,
    arrivals: Arrivals,
    envelopes: AtomicU64,
    bytes: AtomicU64,
}

impl StorageRole {
    /// The role over a store.
    pub(crate) async fn new(parts: Parts) -> Result<Self, StoreError> {
        let role = Self {
            inner: Arc::new(Inner {
                parts,
                arrivals: Arrivals::default(),
                envelopes: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
            }),
        };
        role.count().await?;
        Ok(role)
    }

    fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    /// The store.
    pub(crate) fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    /// The newest changes.
    pub(crate) fn changes(&self) -> &ChangeLog {
        &self.inner.parts.changes
    }

    /// Envelopes kept and their bytes.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (
            self.inner.envelopes.load(Ordering::Relaxed),
            self.inner.bytes.load(Ordering::Relaxed),
        )
    }

    /// The log that new lines go into.
    fn log(&self, set: &NodeSet) -> LogId {
        LogId {
            set_epoch: set.epoch(),
            incarnation: self.parts().incarnation,
        }
    }

    /// Whether this node keeps a mailbox.
    pub(crate) fn keeps(&self, set: &NodeSet, tag: &MailboxTag) -> bool {
        in_swarm(set, tag, &self.parts().node)
    }

    /// Keeps an envelope for a client.
    pub(crate) async fn put(&self, put: Put) -> Result<StorageReceipt, RpcError> {
        let parts = self.parts();
        let Put {
            descriptor,
            request,
            authority,
            envelope,
        } = put;
        // What costs little first: postage two hashes, whether the mailbox is kept here one for each node, a signature
        // more than that.
        let set = parts.ledger.node_set();
        let kept = || match self.keeps(&set, &request.tag) {
            true => Ok(()),
            false => Err(refuse::not_in_swarm()),
        };
        let allowed = || {
            let now = clock::now_seconds();
            let bits = parts.contacts.postage(&request.tag, now);
            check_write(
                &parts.network,
                &parts.node,
                &descriptor,
                &request,
                &authority,
                bits,
                now,
            )
            .map_err(refuse::capability)
        };
        match authority {
            WriteAuthority::Postage(_) => allowed().and_then(|()| kept())?,
            WriteAuthority::Signature(_) => kept().and_then(|()| allowed())?,
        }
        let sealed = SealedEnvelope::from_bytes(envelope.into_inner())
            .map_err(|_| RpcError::new(ErrorCode::MALFORMED, "the envelope is malformed"))?;
        if sealed.id() != request.envelope {
            return Err(RpcError::new(
                ErrorCode::ENVELOPE_MISMATCH,
                "the envelope does not have the id that the request names",
            ));
        }
        if sealed.expiry() != request.envelope_expiry {
            return Err(RpcError::new(
                ErrorCode::BAD_EXPIRY,
                "the envelope's own expiry is not the one that the request names",
            ));
        }
        let outcome = self
            .keep(&set, request.tag, sealed)
            .await
            .map_err(|error| refuse::store(&error))?;
        if outcome.fresh {
            parts.metrics.puts.inc();
        }
        let body = StorageReceiptBody {
            node: parts.node,
            tag: request.tag,
            envelope: outcome.entry.envelope,
            expiry: outcome.entry.expiry,
            position: outcome.position(),
        };
        StorageReceipt::sign(&parts.network, &parts.key, body).map_err(|error| {
            tracing::error!(%error, "a receipt could not be signed");
            refuse::internal()
        })
    }

    /// Keeps a copy that another node had: the same checks but for the capability, which that node has checked.
    pub(crate) async fn adopt(&self, tag: MailboxTag, id: EnvelopeId, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let set = self.parts().ledger.node_set();
        let Ok(sealed) = SealedEnvelope::from_bytes(bytes) else {
            return Err(StoreError::Mismatch);
        };
        if sealed.id() != id {
            return Err(StoreError::Mismatch);
        }
        if !self.keeps(&set, &tag) || sealed.expiry() <= clock::now_seconds() {
            return Ok(false);
        }
        Ok(self.keep(&set, tag, sealed).await?.fresh)
    }

    /// Stores an envelope and tells who waits for it.
    async fn keep(&self, set: &NodeSet, tag: MailboxTag, sealed: SealedEnvelope) -> Result<PutOutcome, StoreError> {
        let parts = self.parts();
        let (envelope, expiry) = (sealed.id(), sealed.expiry());
        let bytes = sealed.into_bytes();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.inner.bytes.load(Ordering::Relaxed).saturating_add(length) > parts.bytes_max
            && !parts.store.contains(&tag, &envelope).await?
        {
            return Err(StoreError::Full);
        }
        let log = self.log(set);
        let outcome = parts
            .store
            .put(tokenim_storage::Put {
                tag,
                envelope,
                expiry,
                bytes,
                set_epoch: log.set_epoch,
                incarnation: log.incarnation,
                height: parts.ledger.tip().height,
            })
            .await?;
        if outcome.fresh {
            self.inner.envelopes.fetch_add(1, Ordering::Relaxed);
            self.inner.bytes.fetch_add(length, Ordering::Relaxed);
            self.show_totals();
            parts.changes.note(tag);
            self.inner.arrivals.wake(&tag);
        }
        Ok(outcome)
    }

    /// Keeps a contact stock for the owner of an inbox.
    pub(crate) async fn publish(&self, client: Client, publish: PublishContact) -> Result<Published, RpcError> {
        let parts = self.parts();
        if !self.keeps(&parts.ledger.node_set(), &publish.request.tag) {
            return Err(refuse::not_in_swarm());
        }
        parts.contacts.publish(client, publish).await
    }

    /// Hands out a part of a contact stock. What was left here before the inbox moved is handed out until it expires.
    pub(crate) async fn fetch_contact(
        &self,
        client: Client,
        tag: MailboxTag,
        suite: Option<u16>,
    ) -> Result<Option<FetchedContact>, RpcError> {
        let parts = self.parts();
        parts.contacts.take_fetch(client)?;
        let fetched = parts.contacts.fetch(tag, suite).await?;
        if fetched.is_none() && !self.keeps(&parts.ledger.node_set(), &tag) {
            return Err(refuse::not_in_swarm());
        }
        Ok(fetched)
    }

    /// Answers a reader, after waiting for something to arrive if it wants that.
    pub(crate) async fn read(&self, read: Read) -> Result<Page, RpcError> {
        let parts = self.parts();
        let Read {
            descriptor,
            request,
            signature,
            wait_ms,
        } = read;
        check_read(
            &parts.network,
            &parts.node,
            &descriptor,
            &request,
            &signature,
            clock::now_seconds(),
        )
        .map_err(refuse::capability)?;
        let wait = Duration::from_millis(u64::from(wait_ms.min(WAIT_MILLISECONDS_MAX)));
        let deadline = Instant::now().checked_add(wait).unwrap_or_else(Instant::now);
        let tag = request.tag;
        let waiting = self.inner.arrivals.wait(tag);
        loop {
            // Before the store is asked, so that nothing slips in between.
            let arrived = waiting.notify.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let height = parts.ledger.tip().height;
            let page = parts
                .store
                .read(&tag, request.from, READ_ITEMS_MAX, READ_BYTES_MAX, height)
                .await
                .map_err(|error| refuse::store(&error))?;
            let over = *parts.stopping.borrow() || Instant::now() >= deadline;
            if page.entries.is_empty() && !over && timeout_at(deadline, arrived).await.is_ok() {
                continue;
            }
            return self.page(page, tag, request.nonce).await;
        }
    }

    /// Signs the head over what was read.
    async fn page(&self, page: tokenim_storage::Page, tag: MailboxTag, nonce: [u8; 16]) -> Result<Page, RpcError> {
        let parts = self.parts();
        let set = parts.ledger.node_set();
        let head = match page.head {
            Some(head) => head,
            None if self.keeps(&set, &tag) => LogHead::empty(self.log(&set), page.height),
            None => return Err(refuse::not_in_swarm()),
        };
        let body = HeadBody {
            node: parts.node,
            tag,
            position: head.position(),
            nonce,
        };
        let head = SignedHead::sign(&parts.network, &parts.key, body).map_err(|error| {
            tracing::error!(%error, "a head could not be signed");
            refuse::internal()
        })?;
        let more = if page.entries.is_empty() {
            false
        } else {
            let rest = parts.store.log(&tag, page.next, 1).await;
            !rest.map_err(|error| refuse::store(&error))?.is_empty()
        };
        let items = page.entries.into_iter().map(|stored| {
            let envelope = stored.bytes.map(BoundedBytes::try_from).transpose();
            envelope.map(|envelope| Item {
                sequence: stored.sequence,
                log: stored.log,
                entry: stored.entry,
                envelope,
            })
        });
        let items = items
            .collect::<Result<Vec<Item>, _>>()
            .map_err(|_| refuse::internal())?;
        Ok(Page {
            head,
            items: BoundedVec::try_from(items).map_err(|_| refuse::internal())?,
            next: page.next,
            more,
        })
    }

    /// Lets all readers go that wait.
    pub(crate) fn release_readers(&self) {
        self.inner.arrivals.wake_all();
    }

    /// Deletes what has expired, from time to time.
    pub(crate) async fn expire_for_ever(&self, interval: Duration) -> StoreError {
        loop {
            let mut deleted = 0_u64;
            loop {
                match self.store().expire(clock::now_seconds(), EXPIRE_AT_ONCE).await {
                    Ok(0) => break,
                    Ok(count) => deleted = deleted.saturating_add(count),
                    Err(error) => return error,
                }
            }
            if deleted > 0 {
                self.parts().metrics.expired.inc_by(deleted);
                tracing::info!(deleted, "expired envelopes deleted");
                if let Err(error) = self.count().await {
                    return error;
                }
            }
            match self.parts().contacts.expire().await {
                Ok(0) => {}
                Ok(stocks) => tracing::info!(stocks, "expired contact stocks deleted"),
                Err(error) => return error,
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Counts what the store holds.
    async fn count(&self) -> Result<(), StoreError> {
        let stats = self.store().stats().await?;
        self.inner.envelopes.store(stats.envelopes, Ordering::Relaxed);
        self.inner.bytes.store(stats.bytes, Ordering::Relaxed);
        self.show_totals();
        Ok(())
    }

    fn show_totals(&self) {
        let (envelopes, bytes) = self.totals();
        let metrics = &self.parts().metrics;
        metrics.envelopes.set(i64::try_from(envelopes).unwrap_or(i64::MAX));
        metrics.envelope_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// Whether a node keeps a mailbox.
pub(crate) fn in_swarm(set: &NodeSet, tag: &MailboxTag, node: &NodeKey) -> bool {
    swarm(set, tag).iter().any(|member| member.key == *node)
}
