//! The client: an identity's device in a folder of this machine.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use tokenim_envelope::{EnvelopeSecretKey, MessageId, Suite};
use tokenim_identity::{
    Argon2Cost, DeviceId, DeviceSecrets, Genesis, IdentityId, IdentityState, Keystore, KeystoreError, KeystoreKind,
    NodeKey, Phrase, SignedRecord,
};
use tokenim_ledger::{IdentityUpdate, NetworkConfig};
use tokenim_mailbox::{Descriptor, swarm};
use tokenim_wire::{BoundedBytes, EnvelopeId, Object};

use super::chat::Hub;
use super::contact_keys::Fetched;
use super::folder::{self, NETWORK_FILE};
use super::store::{LocalStore, StoreError, Writing};
use super::{ClientError, Network, now, vault};
use crate::step::seen::OtherViews;
use crate::step::{Batch, InboxMessage, LookedUp, NodeNote, OutboxMessage, Pin, Registration, Table, Tip, View, state};

const FORMAT: &[u8] = b"format";
const NETWORK: &[u8] = b"network";
const IDENTITY: &[u8] = b"identity";
const DEVICE: &[u8] = b"device";
const KEYSTORE: &[u8] = b"keystore";
const REGISTRATION: &[u8] = b"registration";
/// There in a folder whose device is to be linked and was not seen on the ledger yet.
const LINKING: &[u8] = b"linking";
const TIP: &[u8] = b"tip";
/// The number of the first received message that the owner was not shown.
const SHOWN: &[u8] = b"inbox shown";
/// The version of the folder's layout.
const FORMAT_VERSION: &[u8] = &[2];

/// The randomness of everything that must not be guessed.
pub(crate) type OsRng = UnwrapErr<SysRng>;

/// The operating system's random numbers.
pub(crate) const fn os_rng() -> OsRng {
    UnwrapErr(SysRng)
}

/// The device's secrets, opened.
pub(crate) struct Keys {
    pub(crate) secrets: DeviceSecrets,
    /// The key on the ledger.
    pub(crate) envelope: EnvelopeSecretKey,
    /// The rotating ones by number, newest first.
    pub(crate) contact: RwLock<Vec<(u64, Arc<EnvelopeSecretKey>)>>,
}

impl Keys {
    pub(crate) fn new(secrets: DeviceSecrets) -> Self {
        Self {
            envelope: EnvelopeSecretKey::from_seed(Suite::default(), &secrets.envelope_seed),
            secrets,
            contact: RwLock::default(),
        }
    }

    /// Seals the secrets for the folder.
    pub(crate) fn seal(&self, passphrase: &[u8], cost: Argon2Cost) -> Result<Vec<u8>, ClientError> {
        let bytes = self.secrets.expose_bytes();
        Keystore::seal(passphrase, KeystoreKind::Device, &bytes, cost, &mut os_rng()).map_err(ClientError::Keystore)
    }

    fn open(passphrase: &[u8], keystore: &[u8], damaged: impl Fn(&str) -> ClientError) -> Result<Self, ClientError> {
        let bytes = Keystore::open(passphrase, KeystoreKind::Device, keystore).map_err(|error| match error {
            KeystoreError::WrongPassphraseOrDamaged => ClientError::WrongPassphrase,
            other => damaged(&other.to_string()),
        })?;
        let secrets = DeviceSecrets::from_bytes(&bytes).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self::new(secrets))
    }
}

/// What a client's folder says of whose it is.
struct Head {
    network: Network,
    store: LocalStore,
    identity: IdentityId,
    device: DeviceId,
    keystore: Vec<u8>,
    linking: bool,
}

impl Head {
    fn read(folder: &Path) -> Result<Self, ClientError> {
        let path = folder::store(folder);
        if !path.exists() {
            return Err(ClientError::NoClient(folder.to_owned()));
        }
        let config = folder::read_network(&folder.join(NETWORK_FILE))?;
        let network = Network::new(config)?;
        let store = LocalStore::open(&path)?;
        let damaged = |what: &str| damaged(folder, what);
        let meta = |key: &'static [u8]| store.read(|view| view.get(Table::Meta, key).map_err(state::StateError::Store));
        let needed = |key: &'static [u8]| meta(key)?.ok_or_else(|| damaged("a basic entry is missing"));

        if needed(FORMAT)? != FORMAT_VERSION {
            return Err(damaged("it was written by another version"));
        }
        if needed(NETWORK)?.as_slice() != network.id().as_bytes() {
            return Err(ClientError::ForeignFolder(folder.to_owned()));
        }
        let identity = <[u8; 32]>::try_from(needed(IDENTITY)?.as_slice())
            .map(IdentityId::from_bytes)
            .map_err(|_| damaged("its identity"))?;
        let device = <[u8; 32]>::try_from(needed(DEVICE)?.as_slice())
            .map(DeviceId::from_bytes)
            .map_err(|_| damaged("its device"))?;
        let keystore = needed(KEYSTORE)?;
        let linking = meta(LINKING)?.is_some();
        if let Some(tip) = meta(TIP)? {
            let tip = Tip::from_bytes(&tip).map_err(|_| damaged("its newest header"))?;
            network.with_view(|view| view.resume(tip));
        }
        Ok(Self {
            network,
            store,
            identity,
            device,
            keystore,
            linking,
        })
    }
}

fn damaged(folder: &Path, what: &str) -> ClientError {
    ClientError::Damaged {
        path: folder::store(folder),
        what: what.to_owned(),
    }
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) store: LocalStore,
    pub(crate) network: Arc<Network>,
    pub(crate) identity: IdentityId,
    pub(crate) device: DeviceId,
    pub(crate) keys: Option<Keys>,
    /// Envelopes that a task is opening.
    pub(crate) opening: Mutex<HashSet<EnvelopeId>>,
    /// Messages that a task is sending.
    pub(crate) sending: Mutex<HashSet<MessageId>>,
    /// Contact keys of others.
    pub(crate) fetched: Mutex<Fetched>,
    /// Whose other view of the ledger was told of.
    pub(crate) other_views: Mutex<OtherViews>,
    pub(crate) chat: Hub,
}

/// What an identity is before a device is added here.
enum Start {
    /// Not on the ledger.
    New(Genesis),
    /// On the ledger.
    Known(Box<IdentityState>),
}

/// One device of one identity, with its folder and its view of the network.
///
/// Clones share everything. All methods may be called at the same time, also by several processes on one folder.
/// It needs a tokio runtime, and starts no task that outlives a call by more than a few seconds, but for
/// [`Client::follow`].
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("folder", &self.shared.folder)
            .field("identity", &self.shared.identity)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a new identity with this machine as its first device, in a folder that holds none yet.
    ///
    /// Returns the identity's words, which are kept nowhere: whoever holds them holds the identity, and without them a
    /// lost folder is lost. Nothing is sent; [`Client::register`] puts the identity on the ledger.
    ///
    /// # Errors
    /// Those of the folder; nothing is made then.
    pub fn create(
        folder: &Path,
        network: NetworkConfig,
        passphrase: &[u8],
        cost: Argon2Cost,
    ) -> Result<(Self, Phrase), ClientError> {
        let phrase = Phrase::generate(&mut os_rng());
        let genesis = phrase.genesis();
        let client = Self::make(
            folder,
            Network::new(network)?,
            &phrase,
            &Start::New(genesis),
            passphrase,
            cost,
        )?;
        Ok((client, phrase))
    }

    /// As [`Client::create`], with the root key that comes after the first one from a phrase of its own, which is
    /// returned second and needed only to replace a stolen first one.
    ///
    /// # Errors
    /// Those of the folder; nothing is made then.
    pub fn create_with_next(
        folder: &Path,
        network: NetworkConfig,
        passphrase: &[u8],
        cost: Argon2Cost,
    ) -> Result<(Self, Phrase, Phrase), ClientError> {
        let phrase = Phrase::generate(&mut os_rng());
        let next = Phrase::generate(&mut os_rng());
        let genesis = phrase.genesis_with_next(&next.root_key(0).verifying_key());
        let client = Self::make(
            folder,
            Network::new(network)?,
            &phrase,
            &Start::New(genesis),
            passphrase,
            cost,
        )?;
        Ok((client, phrase, next))
    }

    /// Makes this machine a device of an identity whose root key the words give, in a folder that holds none yet.
    /// Without `identity` it is the one that the words alone give: name it if its root was ever replaced, or was made
    /// with a second phrase.
    ///
    /// The identity is looked up. [`Client::register`] then adds the device. One that is not on the ledger is made anew only
    /// if it is named, and is the one that the words alone give.
    ///
    /// # Errors
    /// [`ClientError::NameNeeded`] if no identity is named, and the one of the words alone is not on the ledger;
    /// [`ClientError::UnknownIdentity`] if the named one is not; [`ClientError::OtherWords`] if the words don't give its root
    /// key now; those of the folder and of [`Network::lookup`]. Nothing is made then.
    pub async fn restore(
        folder: &Path,
        network: NetworkConfig,
        phrase: &Phrase,
        identity: Option<IdentityId>,
        passphrase: &[u8],
        cost: Argon2Cost,
    ) -> Result<Self, ClientError> {
        let network = Network::new(network)?;
        let genesis = phrase.genesis();
        let id = identity.unwrap_or_else(|| genesis.id());
        let found = network.lookup(&id, Duration::from_secs(30)).await?;
        let start = match found.state {
            Some(state) => Start::Known(Box::new(state)),
            None if identity.is_none() => return Err(ClientError::NameNeeded(id)),
            None if id == genesis.id() => Start::New(genesis),
            None => return Err(ClientError::UnknownIdentity(id)),
        };
        Self::make(folder, network, phrase, &start, passphrase, cost)
    }

    fn make(
        folder: &Path,
        network: Network,
        phrase: &Phrase,
        start: &Start,
        passphrase: &[u8],
        cost: Argon2Cost,
    ) -> Result<Self, ClientError> {
        let (state, genesis) = match start {
            Start::New(genesis) => (IdentityState::new(genesis), Some(*genesis)),
            Start::Known(state) => (IdentityState::clone(state), None),
        };
        let root = phrase.find_root(&state.root).ok_or(ClientError::OtherWords(state.id))?;
        if folder::store(folder).exists() {
            return Err(ClientError::ClientExists(folder.to_owned()));
        }
        let keys = Keys::new(DeviceSecrets::generate(&mut os_rng()));
        let secrets = &keys.secrets;
        let keystore = keys.seal(passphrase, cost)?;
        let record = SignedRecord::add_device(
            network.id(),
            &state,
            &phrase.root_key(root),
            secrets,
            keys.envelope.public().clone(),
        )?;
        let registration = Registration {
            update: IdentityUpdate { genesis, record },
        };
        let row = (REGISTRATION, registration.to_bytes()?);
        let store = Self::lay_out(folder, &network, &state.id, &secrets.device_id(), keystore, row)?;
        let device = secrets.device_id();
        Ok(Self::assemble(
            folder,
            store,
            network.into(),
            state.id,
            device,
            Some(keys),
        ))
    }

    /// Makes the folder of a device, with one more row.
    fn lay_out(
        folder: &Path,
        network: &Network,
        identity: &IdentityId,
        device: &DeviceId,
        keystore: Vec<u8>,
        (name, row): (&[u8], Vec<u8>),
    ) -> Result<LocalStore, ClientError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, FORMAT, FORMAT_VERSION);
        batch.put(Table::Meta, NETWORK, network.id().as_bytes().as_slice());
        batch.put(Table::Meta, IDENTITY, identity.as_bytes().as_slice());
        batch.put(Table::Meta, DEVICE, device.as_bytes().as_slice());
        batch.put(Table::Meta, KEYSTORE, keystore);
        batch.put(Table::Meta, name, row);
        folder::prepare(folder, network.config())?;
        LocalStore::create(&folder::store(folder), &batch)
    }

    /// Makes the folder of a device that is to be linked. Until [`Client::linked`] nothing but linking opens it.
    pub(crate) fn make_linking(
        folder: &Path,
        network: Arc<Network>,
        identity: IdentityId,
        keys: Keys,
        keystore: Vec<u8>,
    ) -> Result<Self, ClientError> {
        let device = keys.secrets.device_id();
        let store = Self::lay_out(folder, &network, &identity, &device, keystore, (LINKING, vec![1]))?;
        Ok(Self::assemble(folder, store, network, identity, device, Some(keys)))
    }

    /// Opens the folder of a device that is still to be linked.
    pub(crate) fn open_linking(folder: &Path, passphrase: &[u8]) -> Result<Self, ClientError> {
        let head = Head::read(folder)?;
        if !head.linking {
            return Err(ClientError::ClientExists(folder.to_owned()));
        }
        let keys = Keys::open(passphrase, &head.keystore, |what| damaged(folder, what))?;
        let (network, identity) = (head.network.into(), head.identity);
        Ok(Self::assemble(
            folder,
            head.store,
            network,
            identity,
            head.device,
            Some(keys),
        ))
    }

    /// Keeps that the device is on the ledger: from now on the folder is as any other.
    pub(crate) async fn linked(&self, found: LookedUp) -> Result<(), ClientError> {
        self.keep_pin(&self.shared.identity, found).await?;
        let mut batch = Batch::new();
        batch.delete(Table::Meta, LINKING);
        self.shared.store.write(move |_| Ok(((), batch))).await
    }

    fn assemble(
        folder: &Path,
        store: LocalStore,
        network: Arc<Network>,
        identity: IdentityId,
        device: DeviceId,
        keys: Option<Keys>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: folder.to_owned(),
                store,
                network,
                identity,
                device,
                keys,
                opening: Mutex::default(),
                sending: Mutex::default(),
                fetched: Mutex::default(),
                other_views: Mutex::default(),
                chat: Hub::default(),
            }),
        }
    }

    /// Opens the client in `folder`. Without the passphrase it can look up and prove, but neither send, receive nor show
    /// messages.
    ///
    /// # Errors
    /// [`ClientError::NoClient`], [`ClientError::NotLinked`], [`ClientError::WrongPassphrase`],
    /// [`ClientError::ForeignFolder`], [`ClientError::Damaged`] and other errors of the folder; nothing is changed.
    pub fn open(folder: &Path, passphrase: Option<&[u8]>) -> Result<Self, ClientError> {
        let head = Head::read(folder)?;
        if head.linking {
            return Err(ClientError::NotLinked(folder.to_owned()));
        }
        let keys = passphrase
            .map(|passphrase| Keys::open(passphrase, &head.keystore, |what| damaged(folder, what)))
            .transpose()?;
        let locked = keys.is_none();
        let (network, identity) = (head.network.into(), head.identity);
        let client = Self::assemble(folder, head.store, network, identity, head.device, keys);
        if !locked {
            client.reload_contact_keys()?;
        }
        Ok(client)
    }

    /// The identity.
    #[must_use]
    pub fn identity(&self) -> IdentityId {
        self.shared.identity
    }

    /// This device of it.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.shared.device
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    pub(crate) fn keys(&self) -> Result<&Keys, ClientError> {
        self.shared.keys.as_ref().ok_or(ClientError::Locked)
    }

    /// This device's contact inbox.
    pub(crate) fn inbox(&self) -> Result<Descriptor, ClientError> {
        let keys = self.keys()?;
        Ok(Descriptor::inbox(&keys.secrets.keys(keys.envelope.public().clone())))
    }

    /// The nodes that keep this device's inbox, by the node set that is known now.
    ///
    /// # Errors
    /// [`ClientError::Locked`].
    pub fn inbox_nodes(&self) -> Result<Vec<NodeKey>, ClientError> {
        let tag = self.inbox()?.tag();
        let nodes = self.shared.network.nodes();
        Ok(swarm(&nodes, &tag).into_iter().map(|member| member.key).collect())
    }

    /// Puts this identity, or this device of it, on the ledger, and returns once a proof shows it there. Does nothing
    /// but look when it is there already. After an interruption, call it again.
    ///
    /// # Errors
    /// [`ClientError::Rejected`], [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn register(&self) -> Result<LookedUp, ClientError> {
        let shared = &self.shared;
        let registration = shared
            .store
            .read(|view| view.get(Table::Meta, REGISTRATION).map_err(state::StateError::Store))?
            .map(|bytes| Registration::from_bytes(&bytes))
            .transpose()?;
        let here = |found: &LookedUp| {
            found
                .state
                .as_ref()
                .is_some_and(|state| state.device(&shared.device).is_some())
        };
        let found = self.lookup_new(&shared.identity).await?;
        match registration.filter(|_| !here(&found)) {
            Some(registration) => {
                let found = shared.network.put_on_ledger(registration.update, here).await?;
                self.keep_pin(&shared.identity, found).await
            }
            None => Ok(found),
        }
    }

    async fn lookup_new(&self, identity: &IdentityId) -> Result<LookedUp, ClientError> {
        let found = self.shared.network.lookup(identity, Duration::from_secs(30)).await?;
        self.keep_pin(identity, found).await
    }

    pub(crate) async fn keep_pin(&self, identity: &IdentityId, found: LookedUp) -> Result<LookedUp, ClientError> {
        if found.state.is_some() {
            let (identity, kept) = (*identity, found.clone());
            let own = (self.shared.identity, self.shared.device);
            let tip = self.shared.network.tip().map(|tip| tip.to_bytes()).transpose()?;
            self.shared
                .store
                .write(move |view| {
                    let mut batch = state::keep_pin(view, &own, &identity, &kept, now())?;
                    if let Some(tip) = tip {
                        batch.put(Table::Meta, TIP, tip);
                    }
                    Ok(((), batch))
                })
                .await?;
        }
        Ok(found)
    }

    /// Looks an identity up. What was proved to this client at most `max_age` ago is not asked for again; an older
    /// state than it has seen is never believed.
    ///
    /// # Errors
    /// [`ClientError::UnknownIdentity`] if it is proved that there is none, [`ClientError::Unreachable`],
    /// [`ClientError::NotProgressing`].
    pub async fn lookup(&self, identity: &IdentityId, max_age: Duration) -> Result<IdentityState, ClientError> {
        let pin = self.shared.store.read(|view| state::pin(view, identity))?;
        match self.fresh(pin.as_ref(), max_age) {
            Some(state) => Ok(state.clone()),
            None => self.refresh(identity, max_age).await,
        }
    }

    /// The state of a pin, if it is not older than that.
    pub(crate) fn fresh<'a>(&self, pin: Option<&'a Pin>, max_age: Duration) -> Option<&'a IdentityState> {
        let max_age_ms = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
        pin.filter(|pin| self.shared.network.age_ms(pin.time) <= max_age_ms)
            .and_then(|pin| pin.state.as_ref())
    }

    /// Looks an identity up as [`Client::lookup`] does, but asks the nodes whatever was proved before.
    ///
    /// # Errors
    /// Those of [`Client::lookup`].
    pub async fn refresh(&self, identity: &IdentityId, max_age: Duration) -> Result<IdentityState, ClientError> {
        let pin = self.shared.store.read(|view| state::pin(view, identity))?;
        let found = self
            .shared
            .network
            .lookup_after(identity, pin.as_ref(), max_age)
            .await?;
        self.keep_pin(identity, found)
            .await?
            .state
            .ok_or(ClientError::UnknownIdentity(*identity))
    }

    /// Up to `limit` received messages from number `from` on, in the order in which they were decrypted here.
    ///
    /// # Errors
    /// [`ClientError::Locked`], and those of the local store.
    pub fn messages(&self, from: u64, limit: usize) -> Result<Vec<(u64, InboxMessage)>, ClientError> {
        let vault = &self.keys()?.secrets.vault;
        let mut messages = self.sealed_messages(from, limit)?;
        for (_, message) in &mut messages {
            message.body = vault::open(vault, &vault::received(&message.envelope), &message.body)
                .and_then(|body| BoundedBytes::try_from(body.as_slice()).ok())
                .ok_or_else(|| self.shared.store.damaged(Table::Inbox))?;
        }
        Ok(messages)
    }

    /// The number of the first received message that the owner was not shown yet.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn unshown(&self) -> Result<u64, ClientError> {
        self.shared
            .store
            .read(|view| unshown(view).map_err(state::StateError::Store))
    }

    /// Remembers that the owner was shown the received messages up to this one. Whoever shows them next, begins after it.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn shown(&self, number: u64) -> Result<(), ClientError> {
        let next = number.saturating_add(1);
        if self.unshown()? >= next {
            return Ok(());
        }
        let remember = move |view: &Writing<'_>| {
            let mut batch = Batch::new();
            if unshown(view).map_err(state::StateError::Store)? < next {
                batch.put(Table::Meta, SHOWN, next.to_be_bytes());
            }
            Ok(((), batch))
        };
        self.shared.store.write(remember).await
    }

    /// The envelope in which the received message of this id came.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn received(&self, id: &MessageId) -> Result<Option<EnvelopeId>, ClientError> {
        let mut from = 0;
        loop {
            let page = self.sealed_messages(from, 256)?;
            let Some((last, _)) = page.last() else {
                return Ok(None);
            };
            from = last.saturating_add(1);
            if let Some((_, message)) = page.iter().find(|(_, message)| message.id == *id) {
                return Ok(Some(message.envelope));
            }
        }
    }

    /// Received messages, their bodies as they are kept.
    pub(crate) fn sealed_messages(&self, from: u64, limit: usize) -> Result<Vec<(u64, InboxMessage)>, ClientError> {
        self.shared.store.read(|view| {
            view.scan(Table::Inbox, &from.to_be_bytes(), limit)
                .map_err(state::StateError::Store)?
                .into_iter()
                .map(|(key, value)| {
                    let damaged = || state::StateError::Damaged(Table::Inbox);
                    let number = <[u8; 8]>::try_from(key.as_slice()).map_err(|_| damaged())?;
                    let message = InboxMessage::from_bytes(&value).map_err(|_| damaged())?;
                    Ok((u64::from_be_bytes(number), message))
                })
                .collect()
        })
    }

    /// A message that was or is being sent.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn outgoing(&self, id: &MessageId) -> Result<Option<OutboxMessage>, ClientError> {
        self.shared.store.read(|view| state::outbox_message(view, id))
    }

    /// The messages in the outbox that still lack a quorum receipt or a proof, at most `limit`.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn unfinished(&self, limit: usize) -> Result<Vec<OutboxMessage>, ClientError> {
        self.shared.store.read(|view| {
            let mut found = Vec::new();
            for id in state::open_messages(view, limit)? {
                found.extend(state::outbox_message(view, &id)?);
            }
            Ok(found)
        })
    }

    /// The notes about nodes that were caught in wrong answers, oldest first, at most a thousand.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn notes(&self) -> Result<Vec<NodeNote>, ClientError> {
        self.shared.store.read(|view| {
            view.scan(Table::Note, &[], 1_000)
                .map_err(state::StateError::Store)?
                .into_iter()
                .map(|(_, value)| NodeNote::from_bytes(&value).map_err(|_| state::StateError::Damaged(Table::Note)))
                .collect()
        })
    }

    /// Notes what nodes were caught with, if they were.
    pub(crate) async fn note_caught(&self) -> Result<(), ClientError> {
        for caught in self.shared.network.take_caught() {
            self.shared
                .store
                .write(move |view| Ok(((), state::note(view, &caught.node, &caught.fault, caught.time)?)))
                .await?;
        }
        Ok(())
    }

    /// Ends all connections. Other clones of this client can't be used any more.
    pub async fn close(&self) {
        self.shared.network.close().await;
    }
}

fn unshown<V: View<Error = StoreError>>(view: &V) -> Result<u64, StoreError> {
    let kept = view.get(Table::Meta, SHOWN)?;
    let number = kept.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok());
    Ok(number.map_or(0, u64::from_be_bytes))
}

/// Holds a place in a set, so that no two tasks do the same at once.
pub(crate) struct Claim<'a, T: Eq + std::hash::Hash + Copy> {
    set: &'a Mutex<HashSet<T>>,
    item: T,
}

impl<'a, T: Eq + std::hash::Hash + Copy> Claim<'a, T> {
    pub(crate) fn take(set: &'a Mutex<HashSet<T>>, item: T) -> Option<Self> {
        let fresh = set.lock().unwrap_or_else(PoisonError::into_inner).insert(item);
        // Not made before it is known to be ours: dropping one takes the item out.
        fresh.then(|| Self { set, item })
    }
}

impl<T: Eq + std::hash::Hash + Copy> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.item);
    }
}
