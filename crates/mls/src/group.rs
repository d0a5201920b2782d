//! A group, from creation or Welcome to removal.

use crate::{
    Forbidden, Leaf, Owner, SessionError, SessionSuite,
    authority::{self, certificate},
    crypto::leaf_sign,
    header::{Header, Kind},
    package::{NewLeaf, PackageSecrets, read_key_package},
    store::{Packages, Store},
    tools::{Config, Tools},
};
use core::{fmt, time::Duration};
use mls_rs::{
    MlsMessage,
    group::{CommitEffect, CommitMessageDescription, Node, ReceivedMessage, proposal::Proposal},
};
use mls_rs_core::{
    crypto::{CipherSuiteProvider as _, SignatureSecretKey},
    extension::ExtensionList,
    time::MlsTime,
};
use rand_core::CryptoRng;
use std::collections::BTreeSet;
use tokenim_identity::{Signature, verify};
use tokenim_wire::{
    UnixSeconds,
    limits::{
        GROUP_CONTEXT_BYTES_MAX, SESSION_LEAF_LIFETIME_SECONDS_MAX, SESSION_LEAVES_MAX, SESSION_PAST_EPOCHS_MAX,
        SESSION_SKIPPED_KEYS_MAX,
    },
};
use zeroize::Zeroizing;

/// What a commit is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposed {
    /// Key packages of devices to add.
    pub add: Vec<Vec<u8>>,
    /// Leaves to remove, by index; not the own one.
    pub remove: Vec<u32>,
    /// The context from then on.
    pub context: Option<Vec<u8>>,
    /// Go on even if nothing of this changes: every commit renews the keys of the own leaf.
    pub update: bool,
}

/// A commit that was made but not applied.
#[derive(Clone, Debug)]
pub struct Commit {
    /// For the members.
    pub bytes: Vec<u8>,
    /// For the devices that it adds, if any.
    pub welcome: Option<Vec<u8>>,
    /// The leaves that it adds.
    pub added: Vec<Leaf>,
    /// The leaves that it removes.
    pub removed: Vec<Leaf>,
    /// The group in the next epoch, if the commit becomes the one that all follow.
    pub next: Group,
}

/// What another member's commit does.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its author's leaf.
    pub author: u32,
    /// The leaves that it adds.
    pub added: Vec<Leaf>,
    /// The leaves that it removes.
    pub removed: Vec<Leaf>,
    /// The new context, if it changes.
    pub context: Option<Vec<u8>>,
    /// The group in the next epoch; `None` if the own leaf is removed. Then the commit was checked as far as one can
    /// who does not learn the secrets of the next epoch.
    pub next: Option<Group>,
}

/// A message that was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The leaf that sent it, in that epoch; it is still the same device's.
    pub author: u32,
    /// In which epoch.
    pub epoch: u64,
    /// What was sent.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("author", &self.author)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A member's state of a group in one epoch, with what still opens messages of the epochs before.
///
/// What fails changes nothing. Secrets are wiped when dropped, and nothing prints them. Copies of a group go their own
/// ways, but take turns: they are for trying something out, not for working in parallel.
///
/// Two steps on one state must not be given the same randomness: what they encrypt would share its nonce.
#[derive(Clone)]
pub struct Group {
    pub(crate) inner: mls_rs::Group<Config>,
    pub(crate) store: Store,
    pub(crate) tools: Tools,
    pub(crate) seed: Zeroizing<[u8; 32]>,
    /// Keys that were passed over in this epoch and are kept for messages that come late.
    pub(crate) skipped: u32,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("suite", &self.suite())
            .field("epoch", &self.epoch())
            .field("own", &self.own())
            .finish_non_exhaustive()
    }
}

fn time(now: UnixSeconds) -> MlsTime {
    MlsTime::from(now.get())
}

fn extensions(context: &[u8]) -> Result<ExtensionList, SessionError> {
    if context.len() > GROUP_CONTEXT_BYTES_MAX {
        return Err(SessionError::Context);
    }
    Ok(authority::extensions(context))
}

impl Group {
    /// Makes a group of the owner's device alone, in epoch 0.
    ///
    /// # Errors
    /// [`SessionError::Context`].
    pub fn create(
        owner: &Owner,
        suite: SessionSuite,
        context: &[u8],
        now: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, SessionError> {
        let extensions = extensions(context)?;
        let tools = Tools::new(owner.network, suite);
        let lifetime = SESSION_LEAF_LIFETIME_SECONDS_MAX;
        let leaf = NewLeaf::new(owner, suite, now, lifetime, rng)?;
        let mut id = vec![0; 32];
        rng.fill_bytes(&mut id);
        let store = Store::default();
        let client = tools.client(
            leaf.signer(),
            Some(leaf.identity.clone()),
            Duration::from_secs(lifetime),
            store.clone(),
            Packages::default(),
        );
        let inner = tools.draw(rng, || {
            client.create_group_with_id(id, extensions, ExtensionList::new(), Some(time(now)))
        })?;
        Ok(Self {
            inner,
            store,
            tools,
            seed: leaf.seed,
            skipped: 0,
        })
    }

    /// Joins a group with a key package of the owner's and a Welcome for it.
    ///
    /// All leaves are checked but for their times: they were good when they came in.
    ///
    /// # Errors
    /// [`SessionError::State`] if the secrets do not decode; else what is wrong with the Welcome.
    pub fn join(owner: &Owner, secrets: &[u8], welcome: &[u8]) -> Result<Self, SessionError> {
        let package = PackageSecrets::from_bytes(secrets).ok_or(SessionError::State)?;
        if Header::read(welcome)?.kind != Kind::Welcome {
            return Err(SessionError::Malformed);
        }
        let welcome = MlsMessage::from_bytes(welcome).map_err(|_| SessionError::Malformed)?;
        if welcome.cipher_suite() != Some(package.suite.number().into()) {
            return Err(SessionError::Suite);
        }
        let tools = Tools::new(owner.network, package.suite);
        let store = Store::default();
        let client = tools.client(
            SignatureSecretKey::new_slice(package.seed.as_slice()),
            None,
            Duration::ZERO,
            store.clone(),
            Packages::new(package.reference.to_vec(), package.kept),
        );
        let (inner, _) = tools
            .run(|| client.join_group(None, &welcome, None))
            .map_err(|error| match error {
                SessionError::Path | SessionError::NoKey => SessionError::Forged,
                error => error,
            })?;
        let group = Self {
            inner,
            store,
            tools,
            seed: package.seed,
            skipped: 0,
        };
        let own = group.leaf(group.own()).ok_or(SessionError::Forged)?;
        if own.identity != owner.identity || own.device != owner.device_id() {
            return Err(SessionError::NotForUs);
        }
        group.check(None)?;
        // Without what the joining leaves behind: the key package, which is used up.
        let parts = group.into_parts()?;
        Self::from_parts(owner.network, &parts.message, &parts.epoch)
    }

    /// Makes a commit, leaving this group as it is.
    ///
    /// # Errors
    /// [`SessionError::Empty`], [`SessionError::NoLeaf`], [`SessionError::Context`], what is wrong with a key package,
    /// [`SessionError::Forbidden`] if it breaks a rule: somebody is in already, or the own leaf would be removed.
    pub fn commit(
        &self,
        proposed: &Proposed,
        now: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Commit, SessionError> {
        let Proposed {
            add,
            remove,
            context,
            update,
        } = proposed;
        if add.is_empty() && remove.is_empty() && context.is_none() && !update {
            return Err(SessionError::Empty);
        }
        for index in remove {
            self.leaf(*index).ok_or(SessionError::NoLeaf(*index))?;
        }
        let mut packages = Vec::with_capacity(add.len());
        for bytes in add {
            if read_key_package(&self.tools.network, bytes, now)?.suite != self.suite() {
                return Err(SessionError::Suite);
            }
            packages.push(MlsMessage::from_bytes(bytes).map_err(|_| SessionError::Malformed)?);
        }
        let extensions = context.as_deref().map(extensions).transpose()?;

        let mut next = self.inner.clone();
        let (output, described) = self.tools.draw(rng, || {
            let mut builder = next.commit_builder().commit_time(time(now));
            for package in packages {
                builder = builder.add_member(package)?;
            }
            for index in remove {
                builder = builder.remove_member(*index)?;
            }
            if let Some(extensions) = extensions {
                builder = builder.set_group_context_ext(extensions)?;
            }
            let (output, secrets) = builder.build_detached()?;
            let described = next.apply_detached_commit(secrets)?;
            Ok((output, described))
        })?;
        let change = self.change(&described)?;
        let next = self.with(next);
        next.check(Some(self))?;
        Ok(Commit {
            bytes: self.tools.run(|| output.commit_message.to_bytes())?,
            welcome: output
                .welcome_messages
                .first()
                .map(|welcome| self.tools.run(|| welcome.to_bytes()))
                .transpose()?,
            added: change.added,
            removed: change.removed,
            next,
        })
    }

    /// Makes a commit of which some members can't open the path, as no honest software does: for trying out how they come
    /// back. `which` of its seals is spoiled, the first one being 0.
    ///
    /// # Errors
    /// As [`Group::commit`].
    #[cfg(feature = "adversary")]
    pub fn commit_shutting_out(
        &self,
        proposed: &Proposed,
        which: u32,
        now: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Commit, SessionError> {
        let crypto = self.tools.crypto();
        crypto.generator.spoil(Some(which));
        let made = self.commit(proposed, now, rng);
        crypto.generator.spoil(None);
        made
    }

    /// Applies another member's commit, leaving this group as it is.
    ///
    /// `now` is a time that all members take alike: then they also judge it alike.
    ///
    /// # Errors
    /// Why the commit is refused; [`SessionError::Own`] if this leaf made it. [`SessionError::Path`] and
    /// [`SessionError::NoKey`] are refusals that other members may not share.
    pub fn apply(&self, commit: &[u8], now: UnixSeconds) -> Result<Applied, SessionError> {
        let message = self.between_members(commit, Kind::Commit)?;
        let mut next = self.inner.clone();
        let received = self
            .tools
            .run(|| next.process_incoming_message_with_time(message, time(now)))?;
        let ReceivedMessage::Commit(described) = received else {
            return Err(SessionError::Malformed);
        };
        let change = self.change(&described)?;
        for leaf in &change.added {
            leaf.certificate.check_time(now)?;
        }
        let next = match described.effect {
            CommitEffect::NewEpoch(_) => {
                let next = self.with(next);
                next.check(Some(self))?;
                Some(next)
            }
            CommitEffect::Removed { .. } => None,
            CommitEffect::ReInit(_) => return Err(Forbidden::Proposal.into()),
        };
        Ok(Applied {
            author: described.committer,
            added: change.added,
            removed: change.removed,
            context: change.context,
            next,
        })
    }

    /// Encrypts a message to the members.
    ///
    /// # Errors
    /// [`SessionError::State`].
    pub fn encrypt(&mut self, body: &[u8], rng: &mut (impl CryptoRng + ?Sized)) -> Result<Vec<u8>, SessionError> {
        let inner = &mut self.inner;
        self.tools
            .draw(rng, || inner.encrypt_application_message(body, Vec::new())?.to_bytes())
    }

    /// Opens a member's message, of this epoch or one of the [`SESSION_PAST_EPOCHS_MAX`] before it, on a copy.
    ///
    /// What an author who is no member any more has sent opens with the group of the epoch before only.
    ///
    /// # Errors
    /// Why the message is refused; [`SessionError::Own`] if this leaf made it.
    pub fn decrypt(&mut self, message: &[u8]) -> Result<Opened, SessionError> {
        let (next, opened) = self.clone().open(message)?;
        *self = next;
        Ok(opened)
    }

    /// Opens a message as [`decrypt`](Self::decrypt) does, at no more than the message costs however large the group.
    ///
    /// When the message is refused, this state is gone with it: a forged one may have used up the key of the genuine
    /// one. What is kept has not changed, and the group is taken up from there.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt).
    pub fn open(mut self, message: &[u8]) -> Result<(Self, Opened), SessionError> {
        let epoch = Header::read(message)?.epoch;
        let message = self.between_members(message, Kind::Application)?;
        let current = self.epoch();
        let inner = &mut self.inner;
        let processed = self.tools.ratchet(|| inner.process_incoming_message(message));
        let (received, steps) = processed.map_err(|error| match error {
            // Of an epoch before this leaf came in.
            SessionError::Epoch { .. } => SessionError::Epoch { found: epoch, current },
            error => error,
        })?;
        let ReceivedMessage::ApplicationMessage(described) = received else {
            return Err(SessionError::Malformed);
        };
        // One step for the message itself; none if its key was one of those that were passed over.
        self.skipped = match steps.checked_sub(1) {
            Some(skipped) => self.skipped.saturating_add(skipped),
            None => self.skipped.saturating_sub(1),
        };
        if steps > 1 && self.skipped > SESSION_SKIPPED_KEYS_MAX {
            return Err(SessionError::TooFarAhead);
        }
        let opened = Opened {
            author: described.sender_index,
            epoch,
            body: Zeroizing::new(described.data().to_vec()),
        };
        Ok((self, opened))
    }

    /// A secret of this epoch for another use (RFC 9420, section 8.5), by label and context.
    ///
    /// # Errors
    /// [`SessionError::State`], or [`SessionError::Forged`] for more than 8,160 bytes.
    pub fn export(&self, label: &str, context: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let secret = self
            .tools
            .run(|| self.inner.export_secret(label.as_bytes(), context, length))?;
        Ok(Zeroizing::new(secret.as_bytes().to_vec()))
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> SessionSuite {
        self.tools.suite
    }

    /// The group's name in MLS, random.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.inner.group_id()
    }

    /// The number of the epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.current_epoch()
    }

    /// What is equal among members of the same epoch and of no other (RFC 9420, section 8.7).
    ///
    /// # Errors
    /// [`SessionError::State`].
    pub fn authenticator(&self) -> Result<[u8; 32], SessionError> {
        let secret = self.tools.run(|| self.inner.epoch_authenticator())?;
        secret.as_bytes().try_into().map_err(|_| SessionError::State)
    }

    /// The index of the own leaf.
    #[must_use]
    pub fn own(&self) -> u32 {
        self.inner.current_member_index()
    }

    /// The leaf with this index.
    #[must_use]
    pub fn leaf(&self, index: u32) -> Option<Leaf> {
        let node = usize::try_from(index).ok()?.checked_mul(2)?;
        match self.inner.export_tree().nodes().get(node)? {
            Some(Node::Leaf(leaf)) => Some(Leaf::new(index, certificate(&leaf.signing_identity).ok()?)),
            _ => None,
        }
    }

    /// All leaves, by index.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        let tree = self.inner.export_tree();
        (0..tree.total_leaf_count())
            .filter_map(|index| self.leaf(index))
            .collect()
    }

    /// The session's context: the content of our extension of the group context.
    #[must_use]
    pub fn context(&self) -> &[u8] {
        // Checked where the group came from.
        authority::context(&self.inner.context().extensions).unwrap_or_default()
    }

    /// Signs with the key of the own leaf. What is signed names its purpose and its network.
    #[must_use]
    pub fn sign_author(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(leaf_sign(&self.seed, message))
    }

    /// Whether a signature is that of a leaf.
    #[must_use]
    pub fn verify_author(&self, leaf: u32, message: &[u8], signature: &Signature) -> bool {
        self.leaf(leaf)
            .is_some_and(|leaf| verify::strict(&leaf.certificate.leaf, message, signature.as_bytes()).is_ok())
    }

    fn with(&self, inner: mls_rs::Group<Config>) -> Self {
        Self {
            inner,
            store: self.store.clone(),
            tools: self.tools.clone(),
            seed: self.seed.clone(),
            skipped: 0,
        }
    }

    /// Takes a message between members as far as it can be read without keys.
    fn between_members(&self, bytes: &[u8], expected: Kind) -> Result<MlsMessage, SessionError> {
        let header = Header::read(bytes)?;
        match header.kind {
            Kind::Public => return Err(Forbidden::InTheClear.into()),
            Kind::Proposal => return Err(Forbidden::ByReference.into()),
            kind if kind != expected => return Err(SessionError::Malformed),
            _ => {}
        }
        if header.group != self.id() {
            return Err(SessionError::Session);
        }
        let current = self.epoch();
        let window = match expected {
            Kind::Application => u64::try_from(SESSION_PAST_EPOCHS_MAX).unwrap_or(u64::MAX),
            _ => 0,
        };
        if current.checked_sub(header.epoch).is_none_or(|age| age > window) {
            return Err(SessionError::Epoch {
                found: header.epoch,
                current,
            });
        }
        MlsMessage::from_bytes(bytes).map_err(|_| SessionError::Malformed)
    }

    /// Checks what the library leaves open of a tree that came from others: its size, and that each key that differs
    /// from those before can be sealed to.
    fn check(&self, before: Option<&Self>) -> Result<(), SessionError> {
        authority::context(&self.inner.context().extensions)?;
        let tree = self.inner.export_tree();
        let before = before.map(|group| group.inner.export_tree());
        let before = before.as_ref().map(|tree| tree.nodes()).unwrap_or_default();
        let crypto = self.tools.crypto();
        let mut leaves = 0_usize;
        for (place, node) in tree.nodes().iter().enumerate() {
            let Some(node) = node else { continue };
            if matches!(node, Node::Leaf(_)) {
                leaves = leaves.saturating_add(1);
            }
            let old = before.get(place).and_then(Option::as_ref).map(Node::public_key);
            if old != Some(node.public_key()) {
                crypto
                    .kem_public_key_validate(node.public_key())
                    .map_err(|_| SessionError::Forged)?;
            }
        }
        if leaves > SESSION_LEAVES_MAX {
            return Err(Forbidden::TooMany.into());
        }
        Ok(())
    }

    /// What a commit changes in this epoch's leaves and context.
    fn change(&self, described: &CommitMessageDescription) -> Result<Change, SessionError> {
        if described.is_external {
            return Err(Forbidden::InTheClear.into());
        }
        let epoch = match &described.effect {
            CommitEffect::NewEpoch(epoch) => epoch,
            CommitEffect::Removed { new_epoch, .. } => new_epoch,
            CommitEffect::ReInit(_) => return Err(Forbidden::Proposal.into()),
        };
        let mut change = Change::default();
        let mut added = Vec::new();
        for info in epoch.applied_proposals() {
            match &info.proposal {
                Proposal::Add(add) => added.push(certificate(add.signing_identity())?),
                Proposal::Remove(remove) => {
                    let index = remove.to_remove();
                    change
                        .removed
                        .push(self.leaf(index).ok_or(SessionError::NoLeaf(index))?);
                }
                Proposal::GroupContextExtensions(extensions) => {
                    let context = authority::context(extensions)?;
                    change.context = (context != self.context()).then(|| context.to_vec());
                }
                _ => return Err(Forbidden::Proposal.into()),
            }
        }
        // Leaves that come take the leftmost free places in the order of their proposals, after those that go have
        // gone (RFC 9420, sections 7.7 and 12.4.2).
        let removed: BTreeSet<u32> = change.removed.iter().map(|leaf| leaf.index).collect();
        let mut free = (0..u32::MAX).filter(|index| removed.contains(index) || self.leaf(*index).is_none());
        change.added = added
            .into_iter()
            .zip(&mut free)
            .map(|(certificate, index)| Leaf::new(index, certificate))
            .collect();
        Ok(change)
    }
}

/// What a commit changes.
#[derive(Default)]
struct Change {
    added: Vec<Leaf>,
    removed: Vec<Leaf>,
    context: Option<Vec<u8>>,
}
