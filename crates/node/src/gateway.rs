//! The gateway role: sponsors what clients want on the ledger.

use crate::ledger::{Ledger, SubmitError};
use crate::queue::lock;
use crate::rate::Buckets;
use crate::refuse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokenim_identity::NodeSigningKey;
use tokenim_ledger::{Body, IdentityUpdate, Outcome, Rejection, StateKey, Transaction, TransactionId};
use tokenim_mailbox::group::GroupUpdate;
use tokenim_rpc::{ErrorCode, RpcError, Submitted, TransactionStatus};
use tokenim_transport::PeerId;
use tokenim_wire::{Digest, Height, Label, NetworkId, hash_object};

/// Heights for which what is sponsored is valid.
const LIFETIME_HEIGHTS: u64 = 128;
/// What is remembered so that the same is not sponsored twice.
const REMEMBERED_MAX: usize = 4096;
/// Under which updates of group logs are remembered.
const GROUP_UPDATE: Label = Label::new("tokenim/gateway-group-update/v1");

/// Who is limited: an address of the internet where there is one, since keys cost nothing; else a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// An IPv4 address or the first half of an IPv6 address.
    Address([u8; 16]),
    /// On this machine, or without an address.
    Key([u8; 32]),
}

impl Client {
    /// The client behind a connection.
    pub(crate) fn of(peer: &PeerId, remote: Option<SocketAddr>) -> Self {
        match remote.map(|remote| remote.ip().to_canonical()) {
            Some(IpAddr::V4(address)) if !address.is_loopback() => Self::Address(address.to_ipv6_mapped().octets()),
            Some(IpAddr::V6(address)) if !address.is_loopback() => {
                let mut octets = address.octets();
                octets.iter_mut().skip(8).for_each(|octet| *octet = 0);
                Self::Address(octets)
            }
            _ => Self::Key(*peer.as_bytes()),
        }
    }
}

/// The gateway role. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    network: NetworkId,
    key: Arc<NodeSigningKey>,
    ledger: Ledger,
    submissions: Buckets<Client>,
    remembered: Mutex<BTreeMap<Digest, Submitted>>,
}

impl Gateway {
    pub(crate) fn new(
        network: NetworkId,
        key: Arc<NodeSigningKey>,
        ledger: Ledger,
        per_minute: u32,
        burst: u32,
    ) -> Self {
        let inner = Inner {
            network,
            key,
            ledger,
            submissions: Buckets::new(u64::from(per_minute), burst),
            remembered: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sponsors a record and passes it on. The same record again gives the same answer while it may still become final.
    pub(crate) async fn submit(&self, client: Client, update: IdentityUpdate) -> Result<Submitted, RpcError> {
        let inner = &self.inner;
        let digest = update
            .record
            .digest()
            .map_err(|_| RpcError::new(ErrorCode::MALFORMED, "the record has no encoding"))?;
        if update.record.record.network != inner.network {
            return Err(RpcError::new(
                ErrorCode::FOREIGN_NETWORK,
                &Rejection::RecordNetwork.to_string(),
            ));
        }
        self.sponsor(client, digest, Body::from(update)).await
    }

    /// Sponsors an update of a group log and passes it on. The same update again, with the same receipt, gives the same
    /// answer while it may still become final.
    pub(crate) async fn submit_group(&self, client: Client, update: GroupUpdate) -> Result<Submitted, RpcError> {
        // Of all its bytes: the same child with another signature or receipt may have another fate.
        let digest = hash_object(GROUP_UPDATE, &update)
            .map_err(|_| RpcError::new(ErrorCode::MALFORMED, "the update has no encoding"))?;
        // A record that comes too early waits in the mempool. A child does not: what it follows is final before its members
        // know of it, and whoever made up many parents would take the place of all other updates here.
        if let GroupUpdate::Child(signed) = &update {
            let parent = StateKey::group(&signed.child.handle, &signed.child.parent);
            if self.inner.ledger.value(parent).await?.is_none() {
                return Err(refuse::pending(
                    "the entry that this one follows is not final here: ask again",
                ));
            }
        }
        self.sponsor(client, digest, Body::from(update)).await
    }

    async fn sponsor(&self, client: Client, digest: Digest, body: Body) -> Result<Submitted, RpcError> {
        let inner = &self.inner;
        if let Some(known) = self.known(&digest).await? {
            return Ok(known);
        }
        let limited = inner.submissions.take(client, Instant::now());
        limited.map_err(refuse::limited)?;
        let height = inner.ledger.tip().height;
        let valid_until = height.saturating_add(LIFETIME_HEIGHTS);
        let nonce = inner.ledger.next_nonce();
        let (network, key) = (inner.network, inner.key.clone());
        let transaction =
            tokio::task::spawn_blocking(move || Transaction::sponsored(&network, &key, body, valid_until, nonce));
        let transaction = transaction
            .await
            .map_err(|_| refuse::internal())?
            .map_err(|error| RpcError::new(ErrorCode::INVALID_TRANSACTION, &error.to_string()))?;
        let id = inner.ledger.submit(transaction).await.map_err(refuse_submit)?;
        let submitted = Submitted { id, valid_until };
        inner.remember(digest, submitted, height);
        Ok(submitted)
    }

    /// What was answered before, while that is still of use.
    async fn known(&self, digest: &Digest) -> Result<Option<Submitted>, RpcError> {
        let Some(known) = lock(&self.inner.remembered).get(digest).copied() else {
            return Ok(None);
        };
        let of_use = match self.status(&known.id).await? {
            TransactionStatus::Pending => true,
            TransactionStatus::Final { outcome, .. } => outcome == Outcome::Applied,
            _ => false,
        };
        if !of_use {
            lock(&self.inner.remembered).remove(digest);
        }
        Ok(of_use.then_some(known))
    }

    /// What became of a transaction.
    pub(crate) async fn status(&self, id: &TransactionId) -> Result<TransactionStatus, RpcError> {
        self.inner.ledger.status(id).await
    }
}

impl Inner {
    fn remember(&self, digest: Digest, submitted: Submitted, height: Height) {
        let mut remembered = lock(&self.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, submitted| submitted.valid_until >= height);
        }
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(digest, submitted);
        }
    }
}

/// The refusal for a transaction that the ledger does not take.
fn refuse_submit(error: SubmitError) -> RpcError {
    match error {
        SubmitError::Rejected(rejection) => RpcError::new(ErrorCode::INVALID_TRANSACTION, &rejection.to_string()),
        SubmitError::Invalid(error) => RpcError::new(ErrorCode::INVALID_TRANSACTION, &error.to_string()),
        SubmitError::Mempool(error) => refuse::mempool(&error),
        SubmitError::Failed => refuse::internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_address_where_there_is_one() {
        let (one, two) = (PeerId::from_bytes([1; 32]), PeerId::from_bytes([2; 32]));
        let at = |text: &str| Some(SocketAddr::new(text.parse().unwrap(), 1));
        assert_eq!(Client::of(&one, at("192.0.2.1")), Client::of(&two, at("192.0.2.1")));
        assert_eq!(Client::of(&one, at("2001:db8::1")), Client::of(&two, at("2001:db8::2")));
        assert_ne!(
            Client::of(&one, at("2001:db8::1")),
            Client::of(&one, at("2001:db8:0:1::1"))
        );
        assert_ne!(Client::of(&one, at("127.0.0.1")), Client::of(&two, at("127.0.0.1")));
        assert_ne!(Client::of(&one, None), Client::of(&two, None));
        assert_eq!(
            Client::of(&one, at("::ffff:192.0.2.1")),
            Client::of(&one, at("192.0.2.1"))
        );
    }
}
