//! The child of an entry of the group log: how a member makes one, and how each member judges it.

use crate::{epoch::EpochKeys, policy::Forbidden};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use tokenim_identity::{EpochKey, Signature};
use tokenim_mailbox::group::{AuthorBox, CommitParts, GroupChild, GroupEntryId, GroupHandle};
use tokenim_wire::{EnvelopeId, Label, NetworkId};
use zeroize::Zeroizing;

/// The label of what the author of a commit signs.
const AUTHOR: Label = Label::new("tokenim/session-author/v1");
/// The label of the authenticated data of author boxes.
const BOX: Label = Label::new("tokenim/session-author-box/v1");

const NONCE_BYTES: usize = 12;
const LEAF_BYTES: usize = 4;
const SIGNATURE_BYTES: usize = 64;
const TAG_BYTES: usize = 16;
/// Bytes of an author box, the same for all authors.
pub(crate) const AUTHOR_BOX_BYTES: usize = NONCE_BYTES + LEAF_BYTES + SIGNATURE_BYTES + TAG_BYTES;

/// The epoch that a child follows, as its members know it.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// The network.
    pub network: &'a NetworkId,
    /// The session.
    pub handle: GroupHandle,
    /// The epoch's entry.
    pub entry: GroupEntryId,
    /// The epoch's keys.
    pub keys: &'a EpochKeys,
}

/// Appends what of a child its author signs: all but the box itself.
fn append_claim(child: &GroupChild, out: &mut Vec<u8>) {
    out.extend_from_slice(child.handle.as_bytes());
    out.extend_from_slice(child.parent.as_bytes());
    out.extend_from_slice(child.commitment.as_bytes());
    out.extend_from_slice(child.next.as_bytes());
    out.extend_from_slice(child.tag.as_bytes());
    // At most eight: a byte is their varint.
    out.push(u8::try_from(child.envelopes.len()).unwrap_or(u8::MAX));
    for envelope in child.envelopes.iter() {
        out.extend_from_slice(envelope.as_bytes());
    }
}

/// What the author's leaf key signs:
///
/// ```text
/// 25 ‖ "tokenim/session-author/v1" ‖ network id 32 ‖ leaf 4, big-endian ‖
///   handle 32 ‖ parent 32 ‖ commitment 32 ‖ next 32 ‖ tag 32 ‖ number of envelopes 1 ‖ for each: its id 32
/// ```
fn signed(network: &NetworkId, leaf: u32, child: &GroupChild) -> Vec<u8> {
    let mut out = Vec::new();
    out.push(AUTHOR.length_byte());
    out.extend_from_slice(AUTHOR.as_str().as_bytes());
    out.extend_from_slice(network.as_bytes());
    out.extend_from_slice(&leaf.to_be_bytes());
    append_claim(child, &mut out);
    out
}

/// The authenticated data of the box.
fn box_data(child: &GroupChild) -> Vec<u8> {
    let mut out = Vec::new();
    out.push(BOX.length_byte());
    out.extend_from_slice(BOX.as_str().as_bytes());
    append_claim(child, &mut out);
    out
}

/// Makes the child of a commit that is stored: in the mailbox of that commit, as these envelopes, which
/// [`EpochKeys::wrap_parts`] made.
///
/// ```text
/// author box: nonce 12 ‖ AES-256-GCM(author key, nonce, aad, leaf 4, big-endian ‖ signature 64), 84
/// aad = 29 ‖ "tokenim/session-author-box/v1" ‖ handle ‖ parent ‖ commitment ‖ next ‖ tag ‖ number of envelopes ‖ ids
/// ```
///
/// `sign` signs with the leaf's signature key. The child itself is then signed with
/// [`EpochKeys::signing_key`], by [`SignedGroupChild::sign`](tokenim_mailbox::group::SignedGroupChild::sign).
///
/// # Errors
/// What `sign` gives.
pub fn build<E>(
    parent: &Parent<'_>,
    commit: &[u8],
    next: EpochKey,
    envelopes: CommitParts,
    leaf: u32,
    sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<GroupChild, E> {
    let commitment = parent.keys.commit_tag(commit);
    let mut child = GroupChild {
        handle: parent.handle,
        parent: parent.entry,
        commitment,
        next,
        author: AuthorBox::default(),
        tag: parent.keys.commit_mailbox(&commitment).tag(),
        envelopes,
    };
    child.author = author_box(parent, &child, leaf, sign, rng)?;
    Ok(child)
}

/// The author box of a child, for all else that the child says. [`build`] puts it there.
///
/// # Errors
/// What `sign` gives.
pub fn author_box<E>(
    parent: &Parent<'_>,
    child: &GroupChild,
    leaf: u32,
    sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<AuthorBox, E> {
    use aes_gcm::{KeyInit as _, aead::AeadInOut as _};
    let signature = sign(&signed(parent.network, leaf, child))?;
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let mut inner = [leaf.to_be_bytes().as_slice(), signature.as_bytes()].concat();
    let key = parent.keys.author_key();
    // AES-GCM refuses only plaintexts of many gigabytes.
    let sealed = aes_gcm::Aes256Gcm::new((&*key).into()).encrypt_in_place(&nonce.into(), &box_data(child), &mut inner);
    let author = sealed.map(|()| [nonce.as_slice(), &inner].concat());
    Ok(AuthorBox::try_from(author.unwrap_or_default()).unwrap_or_default())
}

/// Why a child is none. In the order in which it is looked for, so that all members give the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// 1: It is of another session or entry.
    #[error("it belongs to another entry")]
    Foreign,
    /// 2: Its author box has not the length of one, does not open, names no leaf, or the signature in it is not that
    /// leaf's. Nobody can be blamed but the members as a whole.
    #[error("it does not say whose it is")]
    AuthorBox,
    /// 3: The mailbox is not that of the commit.
    #[error("the mailbox is not that of the commit")]
    Mailbox,
    /// 4: One of the envelopes is not of the epoch.
    #[error("an envelope does not open under the keys of the epoch")]
    Envelope,
    /// 5: What is in the envelopes, put together in the order of the child, is not the commit.
    #[error("the envelopes hold another commit")]
    Commitment,
    /// 6: MLS refuses the commit. The only flaw that members may see differently: a commit can be made so that some
    /// members can apply it and others can't. Who finds it while the ledger shows that others have gone on is a victim of
    /// the author, and asks to be removed and re-added.
    #[error("the commit can't be applied")]
    NotApplied,
    /// 7: The commit is made by another leaf than the box says.
    #[error("the commit is somebody else's")]
    Author,
    /// 8: The author may not do what the commit does.
    #[error("the commit is not permitted: {0}")]
    Forbidden(Forbidden),
    /// 9: The key announced for the next epoch is not that epoch's.
    #[error("the next key is not that of the next epoch")]
    NextKey,
}

impl Flaw {
    /// Whether every member finds it, if one does.
    #[must_use]
    pub const fn is_common(&self) -> bool {
        !matches!(self, Self::NotApplied)
    }
}

/// A child that members skip, and whose doing it is where that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid entry: {why}")]
pub struct Garbage {
    /// The leaf that signed the child, in the epoch that it would have ended.
    pub author: Option<u32>,
    /// Why it is skipped.
    pub why: Flaw,
}

impl Garbage {
    /// Of an author who is named.
    #[must_use]
    pub const fn by(author: u32, why: Flaw) -> Self {
        Self {
            author: Some(author),
            why,
        }
    }
}

/// What a member makes of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// It is the next epoch, if no child before it is.
    Valid {
        /// The leaf that made the commit.
        author: u32,
        /// What applying the commit gave.
        state: T,
    },
    /// It is skipped.
    Garbage(Garbage),
}

/// The bytes are not those of the envelopes that the child names, all of them in their order: whoever delivered them is at
/// fault, not the child. Fetch them again: the ledger has proof that each of them is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are not the bytes of the envelopes that the entry names")]
pub struct OtherEnvelope;

/// What came of applying a commit to a copy of the epoch's state.
#[derive(Clone, Debug)]
pub struct AppliedCommit<T> {
    /// The leaf that made it, as MLS says.
    pub author: u32,
    /// Whether [`permits`](crate::policy::permits) does.
    pub permitted: Result<(), Forbidden>,
    /// The key of the next epoch; `None` if the commit removes the one who judges, who can know neither it nor the next
    /// context: that one judges by the rest.
    pub next: Option<EpochKey>,
    /// What else the caller wants to keep of it.
    pub state: T,
}

/// The first part of the judgement, for which the commit is not needed: flaws 1 to 3. Gives the author's leaf.
///
/// `verify` says whether a signature of this message is that of the signature key of this leaf of the epoch; `false` if
/// there is no such leaf.
///
/// # Errors
/// [`Garbage`].
pub fn inspect(
    parent: &Parent<'_>,
    child: &GroupChild,
    verify: impl FnOnce(u32, &[u8], &Signature) -> bool,
) -> Result<u32, Garbage> {
    let nobody = |why| Garbage { author: None, why };
    if child.handle != parent.handle || child.parent != parent.entry {
        return Err(nobody(Flaw::Foreign));
    }
    let (leaf, signature) = open_box(parent.keys, child).ok_or(nobody(Flaw::AuthorBox))?;
    if !verify(leaf, &signed(parent.network, leaf, child), &signature) {
        return Err(nobody(Flaw::AuthorBox));
    }
    if parent.keys.commit_mailbox(&child.commitment).tag() != child.tag {
        return Err(Garbage::by(leaf, Flaw::Mailbox));
    }
    Ok(leaf)
}

fn open_box(keys: &EpochKeys, child: &GroupChild) -> Option<(u32, Signature)> {
    use aes_gcm::{KeyInit as _, aead::AeadInOut as _};
    if child.author.len() != AUTHOR_BOX_BYTES {
        return None;
    }
    let (nonce, sealed) = child.author.split_first_chunk::<NONCE_BYTES>()?;
    let mut inner = sealed.to_vec();
    let key = keys.author_key();
    aes_gcm::Aes256Gcm::new((&*key).into())
        .decrypt_in_place(&(*nonce).into(), &box_data(child), &mut inner)
        .ok()?;
    let (leaf, signature) = inner.split_first_chunk::<LEAF_BYTES>()?;
    Some((u32::from_be_bytes(*leaf), Signature::try_from(signature).ok()?))
}

/// The second part: flaws 4 and 5, of all parts together; with one that is missing nothing can be said. Gives the commit.
///
/// # Errors
/// [`OtherEnvelope`] if `envelopes` are not those named, in their order; in it, [`Garbage`].
pub fn open_commit(
    parent: &Parent<'_>,
    child: &GroupChild,
    author: u32,
    envelopes: &[impl AsRef<[u8]>],
) -> Result<Result<Zeroizing<Vec<u8>>, Garbage>, OtherEnvelope> {
    let named = envelopes.iter().map(|envelope| EnvelopeId::of(envelope.as_ref()));
    if !named.eq(child.envelopes.iter().copied()) {
        return Err(OtherEnvelope);
    }
    let Ok(commit) = parent.keys.unwrap_parts(envelopes) else {
        return Ok(Err(Garbage::by(author, Flaw::Envelope)));
    };
    Ok(check_commit(parent.keys, child, author, &commit).map(|()| commit))
}

/// Whether this is the commit that the child names: flaw 5 alone, for who has it unwrapped already.
///
/// # Errors
/// [`Garbage`].
pub fn check_commit(keys: &EpochKeys, child: &GroupChild, author: u32, commit: &[u8]) -> Result<(), Garbage> {
    if keys.commit_tag(commit) == child.commitment {
        Ok(())
    } else {
        Err(Garbage::by(author, Flaw::Commitment))
    }
}

/// The third part: flaws 6 to 9, of what applying the commit gave; `None` if MLS refused it.
pub fn judge<T>(child: &GroupChild, author: u32, applied: Option<AppliedCommit<T>>) -> Verdict<T> {
    let Some(applied) = applied else {
        return Verdict::Garbage(Garbage::by(author, Flaw::NotApplied));
    };
    let flaw = if applied.author != author {
        Flaw::Author
    } else if let Err(forbidden) = applied.permitted {
        Flaw::Forbidden(forbidden)
    } else if applied.next.is_some_and(|next| next != child.next) {
        Flaw::NextKey
    } else {
        let state = applied.state;
        return Verdict::Valid { author, state };
    };
    Verdict::Garbage(Garbage::by(author, flaw))
}

/// The whole judgement of a child that the ledger has under `parent`, in one order for all members: [`inspect`],
/// [`open_commit`], then `apply` on a copy of the epoch's state, then [`judge`].
///
/// That the parent's key signed the child and that its commit is stored, the ledger has checked.
///
/// # Errors
/// [`OtherEnvelope`] if `envelopes` are not those named, which says nothing about the child.
pub fn check<T>(
    parent: &Parent<'_>,
    child: &GroupChild,
    envelopes: &[impl AsRef<[u8]>],
    verify: impl FnOnce(u32, &[u8], &Signature) -> bool,
    apply: impl FnOnce(&[u8]) -> Option<AppliedCommit<T>>,
) -> Result<Verdict<T>, OtherEnvelope> {
    let author = match inspect(parent, child, verify) {
        Ok(author) => author,
        Err(garbage) => return Ok(Verdict::Garbage(garbage)),
    };
    match open_commit(parent, child, author, envelopes)? {
        Ok(commit) => Ok(judge(child, author, apply(&commit))),
        Err(garbage) => Ok(Verdict::Garbage(garbage)),
    }
}
