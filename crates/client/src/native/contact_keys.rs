//! First contact: this device's rotating envelope keys, those of others, and the postage of their inboxes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_envelope::{EnvelopeSecretKey, Suite};
use tokenim_identity::{DeviceId, DeviceKeys, IdentityId};
use tokenim_mailbox::{
    ContactKeys, ContactStock, Descriptor, KeyPackage, MailboxTag, Postage, PostageBits, PublishRequest, Quorum,
    SignedContactKeys, find_postage, swarm,
};
use tokenim_rpc::{PublishContact, Request};
use tokenim_wire::limits::REQUEST_LIFETIME_SECONDS_MAX;
use tokenim_wire::{BoundedBytes, EnvelopeId};
use zeroize::Zeroizing;

use super::client::Keys;
use super::network::CALL_TIMEOUT;
use super::{Client, ClientError, now, vault};
use crate::step::contact_key::{self, ContactAnswers, Due, FirstContact, LIFETIME_SECONDS, OwnContactKey};

/// How long the nodes may take to say which contact keys they have, until Q of them have said so.
const CONTACT_PATIENCE: Duration = Duration::from_secs(2);
/// Devices whose contact keys are remembered.
const FETCHED_MAX: usize = 1_024;
/// Hashes of postage between two chances for other tasks.
const HASHES_PER_TURN: u32 = 4_096;

/// Contact keys that were fetched, by device.
pub(crate) type Fetched = HashMap<DeviceId, (Instant, FirstContact)>;

fn place(number: u64) -> Vec<u8> {
    [b"contact key".as_slice(), &number.to_be_bytes()].concat()
}

fn open_seed(keys: &Keys, key: &OwnContactKey) -> Option<Zeroizing<[u8; 32]>> {
    let seed = vault::open(&keys.secrets.vault, &place(key.number()), &key.secret)?;
    <[u8; 32]>::try_from(seed.as_slice()).ok().map(Zeroizing::new)
}

/// The secret keys of the kept contact keys, newest first.
pub(crate) fn open_own(keys: &Keys, kept: &[OwnContactKey]) -> Vec<(u64, Arc<EnvelopeSecretKey>)> {
    kept.iter()
        .rev()
        .filter_map(|key| {
            let seed = open_seed(keys, key)?;
            let suite = Suite::from_id(key.keys.keys.envelope.suite())?;
            let secret = EnvelopeSecretKey::from_seed(suite, &seed);
            Some((key.number(), Arc::new(secret)))
        })
        .collect()
}

impl Client {
    /// Reads the contact keys again that this or another process on the folder has made; whether there are others now.
    pub(crate) fn reload_contact_keys(&self) -> Result<bool, ClientError> {
        let keys = self.keys()?;
        let kept = self.shared.store.read(contact_key::own)?;
        let numbers: Vec<u64> = kept.iter().rev().map(OwnContactKey::number).collect();
        let mut opened = keys.contact.write().unwrap_or_else(PoisonError::into_inner);
        if opened.iter().map(|(number, _)| *number).eq(numbers) {
            return Ok(false);
        }
        *opened = open_own(keys, &kept);
        Ok(true)
    }

    /// The postage that this device asks for of whoever writes to its inbox.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn postage(&self) -> Result<PostageBits, ClientError> {
        self.shared.store.read(contact_key::postage)
    }

    /// Asks for another postage from now on, and publishes that to the nodes of the inbox, which refuse less once they
    /// have it. Each bit more doubles the work; less than [`PostageBits::DEFAULT`] counts as that.
    ///
    /// # Errors
    /// Those of [`Client::rotate_contact_key`].
    pub async fn set_postage(&self, bits: PostageBits) -> Result<(), ClientError> {
        self.keys()?;
        self.shared
            .store
            .write(move |_| Ok(((), contact_key::set_postage(bits))))
            .await?;
        self.rotate_contact_key().await
    }

    /// Makes a new contact key when one is due, and publishes the newest to the nodes of the inbox. What fails is left
    /// for the next time.
    ///
    /// # Errors
    /// [`ClientError::Locked`] and those of the local store.
    pub async fn rotate_contact_key(&self) -> Result<(), ClientError> {
        let keys = self.keys()?;
        // Other nodes may keep the inbox now.
        let kept = self.shared.store.read(contact_key::packages)?;
        let packages: Vec<_> = kept.into_iter().map(|(package, _)| package).collect();
        self.keep_packages(packages.clone()).await?;
        let epoch = self.shared.network.nodes().epoch();
        let due = self
            .shared
            .store
            .read(|view| contact_key::due(view, epoch, now().to_seconds()))?;
        match due {
            Due::Nothing => {}
            Due::Publish(newest) => self.publish(&newest).await?,
            Due::New(number) => {
                // What was used meanwhile is not published again.
                self.keep_packages(self.unused_packages(packages)?).await?;
                let made = self.make_contact_key(keys, number)?;
                let kept = made.clone();
                self.shared
                    .store
                    .write(move |view| Ok(((), contact_key::keep(view, &kept)?)))
                    .await?;
                self.reload_contact_keys()?;
                // Another process may have been first: what is kept is what counts.
                let newest = self.shared.store.read(contact_key::own)?.pop();
                self.publish(&newest.unwrap_or(made)).await?;
            }
        }
        let forgotten = self
            .shared
            .store
            .read(|view| contact_key::forget(view, now().to_seconds()))?;
        if !forgotten.is_empty() {
            self.shared.store.write(move |_| Ok(((), forgotten))).await?;
        }
        self.reload_contact_keys()?;
        Ok(())
    }

    fn make_contact_key(&self, keys: &Keys, number: u64) -> Result<OwnContactKey, ClientError> {
        let created = now().to_seconds();
        // Other packages or another postage are no reason for another secret.
        let newest = self.shared.store.read(contact_key::own)?.pop();
        let before = newest
            .filter(|key| !key.is_rotated(created))
            .and_then(|key| Some((open_seed(keys, &key)?, key.keys.keys.created)));
        let (seed, created) = match before {
            Some(before) => before,
            None => {
                let mut seed = Zeroizing::new([0; 32]);
                getrandom::fill(seed.as_mut_slice()).map_err(|_| ClientError::Random)?;
                (seed, created)
            }
        };
        let secret = EnvelopeSecretKey::from_seed(keys.envelope.suite(), &seed);
        let stated = ContactKeys {
            identity: self.shared.identity,
            device: self.shared.device,
            envelope: secret.public().clone(),
            created,
            expires: created.saturating_add(LIFETIME_SECONDS),
            number,
            postage: self.postage()?,
        };
        let sealed = vault::seal(&keys.secrets.vault, &place(number), seed.as_slice()).ok_or(ClientError::Random)?;
        Ok(OwnContactKey {
            keys: SignedContactKeys::sign(self.shared.network.id(), &keys.secrets.signing, stated)?,
            secret: BoundedBytes::try_from(sealed.as_slice()).map_err(|_| ClientError::Random)?,
            published: None,
        })
    }

    /// Keeps the key packages that are published from now on, divided among the nodes that keep the inbox.
    pub(crate) async fn keep_packages(&self, packages: Vec<KeyPackage>) -> Result<(), ClientError> {
        let tag = self.inbox()?.tag();
        let set = self.shared.network.nodes();
        let nodes: Vec<_> = swarm(&set, &tag).into_iter().map(|member| member.key).collect();
        let kept = self
            .shared
            .store
            .read(|view| contact_key::keep_packages(view, packages.clone(), &nodes))?;
        if kept.is_empty() {
            return Ok(());
        }
        self.shared
            .store
            .write(move |view| Ok(((), contact_key::keep_packages(view, packages, &nodes)?)))
            .await
    }

    /// Whether a write quorum has what is to be published.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn is_published(&self) -> Result<bool, ClientError> {
        let epoch = self.shared.network.nodes().epoch();
        let due = self
            .shared
            .store
            .read(|view| contact_key::due(view, epoch, now().to_seconds()))?;
        Ok(due == Due::Nothing)
    }

    /// Publishes a contact key to every node of the inbox; it counts once a write quorum has taken it.
    async fn publish(&self, key: &OwnContactKey) -> Result<(), ClientError> {
        let keys = self.keys()?;
        let network = &self.shared.network;
        let descriptor = self.inbox()?;
        let tag = descriptor.tag();
        let nodes = network.nodes();
        let packages = &self.shared.store.read(contact_key::packages)?;
        let calls = swarm(&nodes, &tag).into_iter().map(|member| async move {
            let part = packages.iter().filter(|(_, node)| *node == member.key);
            let part = part.map(|(package, _)| package.clone()).collect();
            let stock = ContactStock::new(key.keys.clone(), part)
                .map_err(|_| ClientError::Store("a contact stock is too long".to_owned()))?;
            let mut nonce = [0; 16];
            getrandom::fill(&mut nonce).map_err(|_| ClientError::Random)?;
            let request = PublishRequest {
                node: member.key,
                tag,
                stock: stock.digest()?,
                expiry: now().to_seconds().saturating_add(REQUEST_LIFETIME_SECONDS_MAX / 2),
                nonce,
            };
            let signature = keys.secrets.inbox.sign(network.id(), &request)?;
            let request = Request::PublishContact(Box::new(PublishContact {
                descriptor,
                request,
                signature,
                stock,
            }));
            let answer = network.links.call(&member.key, &request, CALL_TIMEOUT).await;
            let taken = answer
                .map_err(|error| error.to_string())
                .and_then(|response| response.into_published().map_err(|error| error.to_string()));
            if let Err(why) = &taken {
                tracing::debug!(node = %member.key, why, "a node does not take the contact key");
            }
            Ok::<bool, ClientError>(taken.is_ok_and(|taken| taken.number == key.number()))
        });
        let mut taken = 0_usize;
        for answer in join_all(calls).await {
            taken = taken.saturating_add(usize::from(answer?));
        }
        if taken >= usize::from(Quorum::for_nodes(nodes.len()).write) {
            let (number, epoch) = (key.number(), nodes.epoch());
            self.shared
                .store
                .write(move |view| Ok(((), contact_key::published(view, number, epoch, now().to_seconds())?)))
                .await?;
        }
        Ok(())
    }

    /// How to write to a device: the newest contact keys that Q nodes of its inbox have, or fewer if no more answer in
    /// [`CONTACT_PATIENCE`]; the key on the ledger when none of them has any.
    pub(crate) async fn first_contact(&self, identity: &IdentityId, device: &DeviceKeys) -> FirstContact {
        let id = device.device_id();
        let shared = &self.shared;
        let is_used = |at: &Instant, known: &FirstContact| known.is_used(at.elapsed().as_secs(), now().to_seconds());
        if let Some((at, known)) = shared.fetched.lock().unwrap_or_else(PoisonError::into_inner).get(&id)
            && is_used(at, known)
        {
            return known.clone();
        }
        let found = self.fetch_contact(identity, device).await;
        let mut fetched = shared.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.len() >= FETCHED_MAX {
            fetched.retain(|_, (at, known)| is_used(at, known));
        }
        if fetched.len() < FETCHED_MAX {
            fetched.insert(id, (Instant::now(), found.clone()));
        }
        found
    }

    /// Forgets what was fetched of a device: a node asks for more postage than was known.
    pub(crate) fn forget_contact(&self, device: &DeviceId) {
        let mut fetched = self.shared.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.remove(device);
    }

    async fn fetch_contact(&self, identity: &IdentityId, device: &DeviceKeys) -> FirstContact {
        let network = &self.shared.network;
        let tag = Descriptor::inbox(device).tag();
        let nodes = network.nodes();
        let request = Request::FetchContact { tag, suite: None };
        let mut calls: FuturesUnordered<_> = swarm(&nodes, &tag)
            .into_iter()
            .map(|member| async {
                let response = network.links.call(&member.key, &request, CALL_TIMEOUT).await.ok()?;
                let Some(fetched) = response.into_fetched_contact().ok()? else {
                    return Some(None);
                };
                let verified = fetched.keys.verify(network.id(), identity, device, now().to_seconds());
                if let Err(error) = verified {
                    // Nodes can't check who signs a stock: what does not verify is not theirs to answer for.
                    tracing::debug!(node = %member.key, %error, "contact keys are not used");
                }
                Some(verified.is_ok().then_some(fetched.keys.keys))
            })
            .collect();
        let mut answers = ContactAnswers::new(Quorum::for_nodes(nodes.len()));
        let until = tokio::time::Instant::now() + CONTACT_PATIENCE;
        while !answers.are_enough()
            && let Ok(Some(answer)) = tokio::time::timeout_at(until, calls.next()).await
        {
            if let Some(keys) = answer {
                answers.add(keys);
            }
        }
        answers.first_contact(device)
    }
}

/// Finds postage for an envelope, giving way to other tasks between turns.
pub(crate) async fn postage(tag: &MailboxTag, envelope: &EnvelopeId, bits: PostageBits) -> Postage {
    let hour = Postage::hour_at(now().to_seconds());
    let mut search = find_postage(tag, envelope, hour, bits, 0);
    loop {
        if let Some(found) = search.step(HASHES_PER_TURN) {
            return found;
        }
        tokio::task::yield_now().await;
    }
}
