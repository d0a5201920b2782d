//! Contact stocks: what the owners of inboxes leave with this node for people who write to them for the first time.
//!
//! [`Stocks`] keeps them, synchronously, over any state store; [`Contacts`] is what the node serves: the same behind the
//! checks of requests and the limits of callers. A stock is durable before it is acknowledged, and a key package is
//! durably gone before it is handed out, but for the last.

use crate::clock;
use crate::gateway::Client;
use crate::queue::lock;
use crate::rate::Buckets;
use crate::refuse;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokenim_identity::NodeKey;
use tokenim_mailbox::{
    ContactStock, KeyPackage, MailboxTag, PostageBits, SignedContactKeys, check_publish, key_package_suite,
};
use tokenim_rpc::{ErrorCode, FetchedContact, PublishContact, Published, RpcError};
use tokenim_storage::{Batch, Row, StateStore, StoreError, Table};
use tokenim_wire::limits::KEY_PACKAGES_MAX;
use tokenim_wire::{Digest, NetworkId, Object as _, UnixSeconds, decode, encode, encoded_len};

/// Tag → what is known of its stock without reading it.
const STOCKS: Table = Table::new("node/contact-stocks");
/// Tag ‖ number, 8 bytes big-endian ‖ place, 1 byte: place 0 → contact keys, places 1 to 32 → [`FRESH`] or
/// [`GIVEN`], 1 byte ‖ key package.
const PARTS: Table = Table::new("node/contact-parts");

/// Stocks that one node keeps; what is known of all of them is in memory.
const STOCKS_MAX: usize = 65_536;
/// Bytes of the stocks that one node keeps, as published.
const STOCKS_BYTES_MAX: u64 = 1 << 30;
/// Fetches of one client in the long run.
const FETCHES_PER_MINUTE: u64 = 60;
/// Fetches of one client at once.
const FETCHES_BURST: u32 = 30;
/// Publications of one client in the long run; many devices may share an address.
const CLIENT_PUBLICATIONS_PER_MINUTE: u64 = 30;
/// Publications of one client at once.
const CLIENT_PUBLICATIONS_BURST: u32 = 30;
/// Publications for one inbox in the long run.
const PUBLICATIONS_PER_MINUTE: u64 = 1;
/// Publications for one inbox at once.
const PUBLICATIONS_BURST: u32 = 4;
/// Stocks deleted in one batch after their expiry.
const EXPIRE_AT_ONCE: usize = 64;
/// Rows read at once when a store is opened.
const SCAN_ROWS: usize = 1024;
/// Bytes of an encoded [`Entry`].
const ENTRY_BYTES_MAX: usize = 128;
/// What stands before a key package that was not handed out yet.
const FRESH: u8 = 0;
/// What stands before a key package that was handed out; it is again when no other one of its suite is left.
const GIVEN: u8 = 1;

/// What is known of a stock without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The number of its contact keys.
    number: u64,
    /// [`ContactStock::digest`].
    digest: Digest,
    /// When its contact keys expire.
    expires: UnixSeconds,
    /// The postage that its owner asks for.
    postage: PostageBits,
    /// Bytes as published.
    bytes: u64,
}

/// Why a stock is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("the node hands out contact keys with the number {number} already: publish with a higher one")]
    Outdated { number: u64 },
    #[error("the node has no room for more contact stocks")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of all stocks.
#[derive(Debug, Default)]
struct Index {
    entries: HashMap<MailboxTag, Entry>,
    /// The sum of their bytes.
    bytes: u64,
}

impl Index {
    fn insert(&mut self, tag: MailboxTag, entry: Entry) {
        self.remove(&tag);
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.entries.insert(tag, entry);
    }

    fn remove(&mut self, tag: &MailboxTag) {
        if let Some(before) = self.entries.remove(tag) {
            self.bytes = self.bytes.saturating_sub(before.bytes);
        }
    }
}

/// The stocks in a store.
pub(crate) struct Stocks<S> {
    store: S,
    stocks_max: usize,
    bytes_max: u64,
    index: Mutex<Index>,
    /// Held by whoever replaces, hands out or deletes, around the index.
    writing: Mutex<()>,
}

impl<S: StateStore> Stocks<S> {
    /// The stocks that a store holds.
    fn open(store: S, stocks_max: usize, bytes_max: u64) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged {
            detail: "a contact stock".into(),
        };
        let mut index = Index::default();
        let mut from = Vec::new();
        loop {
            let rows = store.scan(STOCKS, &from, &[], SCAN_ROWS, false)?;
            let Some((last, _)) = rows.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (key, value) in rows {
                let tag = MailboxTag::try_from(key.as_slice()).map_err(|_| damaged())?;
                let entry = decode(&value, ENTRY_BYTES_MAX).map_err(|_| damaged())?;
                index.insert(tag, entry);
            }
        }
        Ok(Self {
            store,
            stocks_max,
            bytes_max,
            index: Mutex::new(index),
            writing: Mutex::default(),
        })
    }

    /// What is known of the stock of a tag, if there is one that has not expired.
    fn entry(&self, tag: &MailboxTag, now: UnixSeconds) -> Option<Entry> {
        let entry = lock(&self.index).entries.get(tag).copied();
        entry.filter(|entry| entry.expires > now)
    }

    /// Keeps a stock in place of the one before. The same stock again changes nothing; a package that was handed out is known
    /// as that in the next one.
    fn publish(&self, tag: &MailboxTag, stock: &ContactStock, now: UnixSeconds) -> Result<u64, PublishError> {
        let encoded = |_| PublishError::Store(StoreError::Mismatch);
        let digest = stock.digest().map_err(encoded)?;
        let keys = &stock.keys.keys;
        let entry = Entry {
            number: keys.number,
            digest,
            expires: keys.expires,
            postage: keys.postage,
            bytes: u64::try_from(encoded_len(stock).map_err(encoded)?).unwrap_or(u64::MAX),
        };
        let _writing = lock(&self.writing);
        if let Some(before) = self.entry(tag, now) {
            if before.digest == digest {
                return Ok(before.number);
            }
            if before.number >= entry.number {
                return Err(PublishError::Outdated { number: before.number });
            }
        }
        let before = {
            let index = lock(&self.index);
            let before = index.entries.get(tag).copied();
            let others = index.entries.len().saturating_sub(usize::from(before.is_some()));
            let freed = before.map_or(0, |before| before.bytes);
            let bytes = index.bytes.saturating_sub(freed).saturating_add(entry.bytes);
            if others >= self.stocks_max || bytes > self.bytes_max {
                return Err(PublishError::Full);
            }
            before
        };
        let mut batch = Batch::new();
        let mut given = Vec::new();
        if let Some(before) = before {
            given = self.packages(tag, before.number)?;
            given.retain(|(_, row)| row.first() == Some(&GIVEN));
            delete_parts(&mut batch, tag, before.number);
        }
        batch.put(STOCKS, tag.as_bytes().as_slice(), encode(&entry).map_err(encoded)?);
        batch.put(
            PARTS,
            part(tag, entry.number, 0),
            stock.keys.to_bytes().map_err(encoded)?,
        );
        for (place, package) in (1..).zip(&stock.packages) {
            // What was handed out stays that.
            let is_given = given.iter().any(|(_, row)| row.get(1..) == Some(package.as_slice()));
            let state = if is_given { GIVEN } else { FRESH };
            batch.put(
                PARTS,
                part(tag, entry.number, place),
                [&[state], package.as_slice()].concat(),
            );
        }
        self.store.commit(batch)?;
        lock(&self.index).insert(*tag, entry);
        Ok(entry.number)
    }

    /// The contact keys of a tag and, if a suite is named, one of its key packages, chosen by `random` among those that were
    /// not handed out; once all were, among all, which is said.
    fn fetch(
        &self,
        tag: &MailboxTag,
        suite: Option<u16>,
        now: UnixSeconds,
        random: u64,
    ) -> Result<Option<FetchedContact>, StoreError> {
        let damaged = || StoreError::Damaged {
            detail: "a part of a contact stock".into(),
        };
        // From the look to the deletion, so that nobody else gets the same.
        let _writing = lock(&self.writing);
        let Some(entry) = self.entry(tag, now) else {
            return Ok(None);
        };
        let start = part(tag, entry.number, 0);
        let keys = self.store.get(PARTS, &start)?.ok_or_else(damaged)?;
        let keys = SignedContactKeys::from_bytes(&keys).map_err(|_| damaged())?;
        let mut fetched = FetchedContact {
            keys,
            package: None,
            reused: false,
        };
        let Some(suite) = suite else {
            return Ok(Some(fetched));
        };
        let mut packages = self.packages(tag, entry.number)?;
        packages.retain(|(_, row)| row.get(1..).and_then(key_package_suite) == Some(suite));
        if packages.iter().any(|(_, row)| row.first() == Some(&FRESH)) {
            packages.retain(|(_, row)| row.first() == Some(&FRESH));
        }
        let count = u64::try_from(packages.len()).unwrap_or(u64::MAX);
        // Of at most 32 the choice is even enough.
        let chosen = random
            .checked_rem(count)
            .and_then(|chosen| usize::try_from(chosen).ok());
        if let Some(chosen) = chosen {
            let (key, row) = packages.swap_remove(chosen);
            let (state, package) = row.split_first().ok_or_else(damaged)?;
            fetched.package = Some(KeyPackage::try_from(package).map_err(|_| damaged())?);
            fetched.reused = *state != FRESH;
            if !fetched.reused {
                let mut batch = Batch::new();
                batch.put(PARTS, key, [&[GIVEN], package].concat());
                self.store.commit(batch)?;
            }
        }
        Ok(Some(fetched))
    }

    /// The rows of the key packages of a stock.
    fn packages(&self, tag: &MailboxTag, number: u64) -> Result<Vec<Row>, StoreError> {
        let first = part(tag, number, 1);
        let prefix = first.get(..first.len().saturating_sub(1)).unwrap_or_default();
        self.store.scan(PARTS, &first, prefix, KEY_PACKAGES_MAX, false)
    }

    /// Deletes some of the stocks that have expired; says how many.
    fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError> {
        let _writing = lock(&self.writing);
        let expired: Vec<_> = {
            let index = lock(&self.index);
            let expired = index.entries.iter().filter(|(_, entry)| entry.expires <= now);
            expired
                .take(EXPIRE_AT_ONCE)
                .map(|(tag, entry)| (*tag, entry.number))
                .collect()
        };
        if expired.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::new();
        for (tag, number) in &expired {
            batch.delete(STOCKS, tag.as_bytes().as_slice());
            delete_parts(&mut batch, tag, *number);
        }
        self.store.commit(batch)?;
        let mut index = lock(&self.index);
        for (tag, _) in &expired {
            index.remove(tag);
        }
        Ok(expired.len())
    }
}

/// The key of a part of a stock.
fn part(tag: &MailboxTag, number: u64, place: u8) -> Vec<u8> {
    [tag.as_bytes().as_slice(), &number.to_be_bytes(), &[place]].concat()
}

/// Deletes all parts of a stock, as many as there may be.
fn delete_parts(batch: &mut Batch, tag: &MailboxTag, number: u64) {
    for place in (0..).take(KEY_PACKAGES_MAX.saturating_add(1)) {
        batch.delete(PARTS, part(tag, number, place));
    }
}

/// The contact stocks of a node. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Contacts<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    network: NetworkId,
    node: NodeKey,
    stocks: Stocks<S>,
    fetches: Buckets<Client>,
    publications: Buckets<Client>,
    publications_by_tag: Buckets<MailboxTag>,
}

impl<S: StateStore> Contacts<S> {
    /// The contact stocks in a store. Blocks.
    pub(crate) fn open(network: NetworkId, node: NodeKey, store: S) -> Result<Self, StoreError> {
        let inner = Inner {
            network,
            node,
            stocks: Stocks::open(store, STOCKS_MAX, STOCKS_BYTES_MAX)?,
            fetches: Buckets::new(FETCHES_PER_MINUTE, FETCHES_BURST),
            publications: Buckets::new(CLIENT_PUBLICATIONS_PER_MINUTE, CLIENT_PUBLICATIONS_BURST),
            publications_by_tag: Buckets::new(PUBLICATIONS_PER_MINUTE, PUBLICATIONS_BURST),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The postage that the owner of an inbox asks for, or that everyone does.
    pub(crate) fn postage(&self, tag: &MailboxTag, now: UnixSeconds) -> PostageBits {
        let entry = self.inner.stocks.entry(tag, now);
        entry.map_or(PostageBits::DEFAULT, |entry| entry.postage)
    }

    /// Keeps a stock for its owner.
    pub(crate) async fn publish(&self, client: Client, publish: PublishContact) -> Result<Published, RpcError> {
        let now = clock::now_seconds();
        let limited = self.inner.publications.take(client, Instant::now());
        limited.map_err(refuse::limited)?;
        self.blocking(move |inner| {
            let PublishContact {
                descriptor,
                request,
                signature,
                stock,
            } = publish;
            check_publish(
                &inner.network,
                &inner.node,
                &descriptor,
                &request,
                &signature,
                &stock,
                now,
            )
            .map_err(refuse::capability)?;
            // After the signature, so that only the owner uses up what the owner may.
            let limited = inner.publications_by_tag.take(request.tag, Instant::now());
            limited.map_err(refuse::limited)?;
            let published = inner.stocks.publish(&request.tag, &stock, now);
            published.map(|number| Published { number }).map_err(refuse_publish)
        })
        .await
    }

    /// Hands out the contact keys of an inbox and, if a suite is named, a key package of it.
    pub(crate) async fn fetch(&self, tag: MailboxTag, suite: Option<u16>) -> Result<Option<FetchedContact>, RpcError> {
        self.blocking(move |inner| {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(|_| refuse::internal())?;
            let fetched = inner
                .stocks
                .fetch(&tag, suite, clock::now_seconds(), u64::from_be_bytes(random));
            fetched.map_err(|error| refuse::store(&error))
        })
        .await
    }

    /// Takes from what a client may fetch.
    pub(crate) fn take_fetch(&self, client: Client) -> Result<(), RpcError> {
        let limited = self.inner.fetches.take(client, Instant::now());
        limited.map_err(refuse::limited)
    }

    /// Deletes what has expired; says how many stocks.
    pub(crate) async fn expire(&self) -> Result<u64, StoreError> {
        let mut deleted = 0_u64;
        loop {
            let inner = self.inner.clone();
            let batch = tokio::task::spawn_blocking(move || inner.stocks.expire(clock::now_seconds()));
            match batch.await.map_err(|_| StoreError::Closed)?? {
                0 => return Ok(deleted),
                count => deleted = deleted.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)),
            }
        }
    }

    /// Does something on a blocking thread, to its end even if nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner<S>) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|_| refuse::internal())?
    }
}

/// The refusal for a stock that is not taken.
fn refuse_publish(error: PublishError) -> RpcError {
    match error {
        PublishError::Outdated { .. } => RpcError::new(ErrorCode::OUTDATED_STOCK, &error.to_string()),
        PublishError::Full => refuse::storage_full(),
        PublishError::Store(error) => refuse::store(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tokenim_identity::{DeviceId, DeviceSigningKey, EnvelopeKey, IdentityId};
    use tokenim_mailbox::ContactKeys;
    use tokenim_storage::memory::MemoryStateStore;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
    const TAG: MailboxTag = MailboxTag::from_bytes([3; 32]);

    type Store = Arc<MemoryStateStore>;

    fn open(store: &Store) -> Stocks<Store> {
        Stocks::open(store.clone(), 3, 10_000).unwrap()
    }

    const SUITE: u16 = 1;
    const OTHER_SUITE: u16 = 2;

    /// A package of a suite, ten bytes.
    fn package_of(suite: u16, number: u8) -> KeyPackage {
        let suite = suite.to_be_bytes();
        KeyPackage::try_from([0, 1, 0, 5, 0, 1, suite[0], suite[1], number, number].as_slice()).unwrap()
    }

    /// A stock that expires after a day, with packages of one suite.
    fn stock(number: u64, packages: u8) -> ContactStock {
        let device = DeviceSigningKey::from_seed([1; 32]);
        let keys = ContactKeys {
            identity: IdentityId::from_bytes([2; 32]),
            device: DeviceId::of(&device.verifying_key()),
            envelope: EnvelopeKey::x25519([9; 32]),
            created: NOW,
            expires: NOW.saturating_add(86_400),
            number,
            postage: PostageBits::new(u8::try_from(number % 32).unwrap()).unwrap(),
        };
        let keys = SignedContactKeys::sign(&NetworkId::from_bytes([7; 32]), &device, keys).unwrap();
        let packages = (0..packages).map(|package| package_of(SUITE, package));
        ContactStock::new(keys, packages.collect()).unwrap()
    }

    fn rows(store: &Store) -> usize {
        let count = |table| store.scan(table, &[], &[], 1000, false).unwrap().len();
        count(STOCKS) + count(PARTS)
    }

    #[test]
    fn the_newest_number_wins_and_the_same_stock_changes_nothing() {
        let store = Store::default();
        let stocks = open(&store);
        assert_eq!(stocks.fetch(&TAG, None, NOW, 0), Ok(None));
        assert_eq!(stocks.publish(&TAG, &stock(5, 4), NOW), Ok(5));
        assert_eq!(rows(&store), 6);
        assert_eq!(stocks.publish(&TAG, &stock(5, 4), NOW), Ok(5));
        let outdated = Err(PublishError::Outdated { number: 5 });
        assert_eq!(stocks.publish(&TAG, &stock(5, 3), NOW), outdated);
        assert_eq!(stocks.publish(&TAG, &stock(4, 4), NOW), outdated);
        assert_eq!(stocks.publish(&TAG, &stock(6, 1), NOW), Ok(6));
        // Nothing is left of the one before.
        assert_eq!(rows(&store), 3);
        let fetched = stocks.fetch(&TAG, None, NOW, 0).unwrap().unwrap();
        assert_eq!(fetched.keys, stock(6, 1).keys);
        assert_eq!(stocks.entry(&TAG, NOW).unwrap().postage.get(), 6);
    }

    #[test]
    fn each_package_is_handed_out_once_and_then_all_of_them_again() {
        let store = Store::default();
        let stocks = open(&store);
        stocks.publish(&TAG, &stock(1, 8), NOW).unwrap();
        let fetch = |stocks: &Stocks<Store>, random| {
            let fetched = stocks.fetch(&TAG, Some(SUITE), NOW, random).unwrap().unwrap();
            (fetched.package.unwrap(), fetched.reused)
        };
        let package = |stocks: &Stocks<Store>, random| {
            let (package, reused) = fetch(stocks, random);
            assert!(!reused);
            package
        };
        let mut seen = BTreeSet::new();
        for random in [u64::MAX, 3, 17, 0] {
            assert!(seen.insert(package(&stocks, random)));
        }
        // The same after a restart.
        let stocks = open(&store);
        assert_eq!(stocks.publish(&TAG, &stock(1, 8), NOW), Ok(1), "which brings none back");
        for random in [5, 6, 7] {
            assert!(seen.insert(package(&stocks, random)));
        }
        assert!(seen.insert(package(&stocks, 8)));
        for random in 0..5 {
            let (package, reused) = fetch(&open(&store), random);
            assert!(reused && seen.contains(&package));
        }
        // So it is with the next stock; what is new in it comes first.
        let stocks = open(&store);
        stocks.publish(&TAG, &stock(2, 9), NOW).unwrap();
        assert!(!seen.contains(&package(&stocks, 3)));
        assert!(fetch(&stocks, 3).1);
        // Random numbers reach all of them.
        let chosen = (0..8).map(|random| {
            let stocks = open(&Store::default());
            stocks.publish(&TAG, &stock(1, 8), NOW).unwrap();
            package(&stocks, random)
        });
        assert_eq!(chosen.collect::<BTreeSet<_>>(), seen);
        // One without packages has keys all the same.
        stocks.publish(&TAG, &stock(3, 0), NOW).unwrap();
        assert_eq!(stocks.fetch(&TAG, Some(SUITE), NOW, 1).unwrap().unwrap().package, None);
    }

    #[test]
    fn keys_alone_use_up_no_package_and_no_suite_those_of_another() {
        let stocks = open(&Store::default());
        let mut both = stock(1, 2);
        both.packages = (0..4)
            .map(|number| package_of([SUITE, OTHER_SUITE][usize::from(number % 2)], number))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        stocks.publish(&TAG, &both, NOW).unwrap();
        let fetch = |suite| stocks.fetch(&TAG, suite, NOW, 1).unwrap().unwrap();
        for _ in 0..40 {
            assert_eq!((fetch(None).package, fetch(None).reused), (None, false));
        }
        assert_eq!(fetch(Some(3)).package, None);
        for suite in [SUITE, OTHER_SUITE] {
            let fetched = [(); 4].map(|()| fetch(Some(suite)));
            assert_eq!(
                [false, false, true, true],
                fetched.clone().map(|fetched| fetched.reused)
            );
            let packages = fetched.map(|fetched| fetched.package.unwrap());
            assert!(packages.iter().all(|package| key_package_suite(package) == Some(suite)));
            assert_ne!(packages[0], packages[1]);
        }
    }

    #[test]
    fn two_askers_at_once_get_different_packages() {
        for _ in 0..20 {
            let stocks = open(&Store::default());
            stocks.publish(&TAG, &stock(1, 16), NOW).unwrap();
            let fetch = |_| {
                let fetched = stocks.fetch(&TAG, Some(SUITE), NOW, 0).unwrap().unwrap();
                assert!(!fetched.reused);
                fetched.package.unwrap()
            };
            let seen: Vec<_> = std::thread::scope(|scope| {
                let askers = [(); 4].map(|()| scope.spawn(|| [0, 1, 2, 3].map(fetch)));
                askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
            });
            assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 16);
        }
    }

    #[test]
    fn what_has_expired_is_not_handed_out_and_is_swept() {
        let store = Store::default();
        let stocks = open(&store);
        stocks.publish(&TAG, &stock(9, 4), NOW).unwrap();
        let last = NOW.saturating_add(86_399);
        let after = NOW.saturating_add(86_400);
        assert!(stocks.fetch(&TAG, Some(SUITE), last, 0).unwrap().is_some());
        assert_eq!(stocks.fetch(&TAG, Some(SUITE), after, 0), Ok(None));
        assert_eq!(stocks.entry(&TAG, after), None);
        assert_eq!(stocks.expire(last), Ok(0));
        assert_eq!(stocks.expire(after), Ok(1));
        assert_eq!((stocks.expire(after), rows(&store)), (Ok(0), 0));
        assert!(lock(&open(&store).index).entries.is_empty());
        // A device that has lost count begins anew once the old one is gone.
        assert_eq!(stocks.publish(&TAG, &stock(1, 1), NOW), Ok(1));
    }

    #[test]
    fn there_is_room_for_so_many_and_so_much() {
        let stocks = open(&Store::default());
        let tag = |number| MailboxTag::from_bytes([number; 32]);
        for number in 0..3 {
            stocks.publish(&tag(number), &stock(1, 0), NOW).unwrap();
        }
        assert_eq!(stocks.publish(&tag(4), &stock(1, 0), NOW), Err(PublishError::Full));
        assert_eq!(stocks.publish(&tag(2), &stock(2, 0), NOW), Ok(2));
        let large = ContactStock::new(stock(3, 0).keys, vec![KeyPackage::try_from(vec![0; 4096]).unwrap(); 3]).unwrap();
        assert_eq!(stocks.publish(&tag(2), &large, NOW), Err(PublishError::Full));
        assert_eq!(stocks.entry(&tag(2), NOW).unwrap().number, 2);
        // What is let go makes room.
        let sum = |stocks: &Stocks<Store>| lock(&stocks.index).bytes;
        assert!(sum(&stocks) > 0);
        stocks.expire(UnixSeconds::MAX).unwrap();
        assert_eq!(sum(&stocks), 0);
        assert_eq!(stocks.publish(&tag(4), &stock(1, 0), NOW), Ok(1));
    }

    #[test]
    fn a_damaged_row_is_called_that() {
        let store = Store::default();
        open(&store).publish(&TAG, &stock(1, 2), NOW).unwrap();
        let mut batch = Batch::new();
        batch.put(PARTS, part(&TAG, 1, 0), vec![1; 40]);
        store.commit(batch).unwrap();
        let fetched = open(&store).fetch(&TAG, None, NOW, 0);
        assert!(matches!(fetched, Err(StoreError::Damaged { .. })), "{fetched:?}");
        let mut batch = Batch::new();
        batch.put(STOCKS, TAG.as_bytes().as_slice(), vec![1; 40]);
        store.commit(batch).unwrap();
        assert!(matches!(Stocks::open(store, 3, 1000), Err(StoreError::Damaged { .. })));
    }
}
