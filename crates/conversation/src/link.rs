//! Codes that one screen shows and another reads: to link a device, and to ask to be let into a group.

use crate::{
    epoch::{MailboxAccess, UnwrapError, WrapError, WrapKey, derive},
    secret::Secret32,
};
use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{DeviceConsent, DeviceKey, DeviceKeys, DeviceSigningKey, IdentityId, Signature};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{
    Digest, EncodeError, Label, NetworkId, Object, UnixSeconds, hash, hash_object, hex,
    limits::{CLOCK_SKEW_SECONDS_MAX, LINK_ASKS_MAX, LINK_CODE_LIFETIME_SECONDS_MAX, LINK_MESSAGE_BYTES_MAX},
};
use zeroize::{Zeroize as _, Zeroizing};

/// What every code for linking a device begins with.
const LINK_PREFIX: &str = "TIM:LINK:";
/// What every invitation begins with.
const INVITE_PREFIX: &str = "TIM:INVITE:";
/// The version of both.
const VERSION: u8 = 1;
/// Bytes of the hash at the end of a code, by which typing errors are found.
const CHECK_BYTES: usize = 4;

const LINK_CHECK: Label = Label::new("tokenim/link-code/v1");
const LINK_MAILBOX: Label = Label::new("tokenim/link-mailbox/v1");
const LINK_WRAP: Label = Label::new("tokenim/link-wrap/v1");
const LINK_COMMITMENT: Label = Label::new("tokenim/link-commitment/v1");
const LINK_ANSWER: Label = Label::new("tokenim/link-answer/v1");
const LINK_NUMBER: Label = Label::new("tokenim/link-number/v1");
const INVITE_CHECK: Label = Label::new("tokenim/invite-link/v1");
const INVITE_PROOF: Label = Label::new("tokenim/invite-proof/v1");

/// Why a code is refused, or a device not linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The text is no code of this project.
    #[error("this is not a code: those begin with {LINK_PREFIX} or {INVITE_PREFIX}")]
    NotACode,
    /// It is an invitation to a group, not a code for linking a device.
    #[error("this invites into a group; it does not link a device")]
    IsInvitation,
    /// It links a device, which gives it everything that the owner has; it is no invitation to a group.
    #[error("this links a device to an identity; it does not invite into a group. Don't answer it for anyone else")]
    IsDeviceLink,
    /// It is of another version: one of the two clients is too old.
    #[error("this is a code of version {version}, which is not known here")]
    Version {
        /// The version met.
        version: u8,
    },
    /// It has another length, a character that does not belong there, or its last digits don't fit the rest.
    #[error("the code is damaged: scan or copy it again")]
    Damaged,
    /// It is of another network.
    #[error("the code is of another network")]
    Network,
    /// It has expired.
    #[error("the code has expired: make a new one")]
    Expired,
    /// It expires later than such codes do.
    #[error("the code is valid for longer than {LINK_CODE_LIFETIME_SECONDS_MAX} s")]
    LifetimeTooLong,
    /// The keys that the other device shows are not those that its code commits to: somebody stands between.
    #[error("the device shows other keys than those of its code: somebody may stand between the two devices")]
    Commitment,
    /// What the new device signed is not what it was asked to.
    #[error("the new device has not agreed to what it was asked")]
    Consent,
    /// The new device was asked for its consent too often.
    #[error("the new device was asked to agree more than {LINK_ASKS_MAX} times: begin anew")]
    Asks,
    /// A value has no encoding.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// A message was not wrapped.
    #[error("{0}")]
    Wrap(#[from] WrapError),
}

/// What both kinds of code have in common: prefix, version, hexadecimal digits in capitals, a check.
fn write_code(f: &mut fmt::Formatter<'_>, prefix: &str, check: Label, payload: &[u8]) -> fmt::Result {
    write!(f, "{prefix}{VERSION}:")?;
    let digest = hash(check, &[payload]);
    let check = digest.as_bytes().iter().take(CHECK_BYTES);
    payload.iter().chain(check).try_for_each(|byte| write!(f, "{byte:02X}"))
}

/// The payload of a code of exactly `N` bytes.
fn read_code<const N: usize>(text: &str, prefix: &str, check: Label) -> Result<Zeroizing<Vec<u8>>, LinkError> {
    let rest = text.strip_prefix(prefix).ok_or_else(|| {
        if text.starts_with(INVITE_PREFIX) {
            LinkError::IsInvitation
        } else if text.starts_with(LINK_PREFIX) {
            LinkError::IsDeviceLink
        } else {
            LinkError::NotACode
        }
    })?;
    let (version, digits) = rest.split_once(':').ok_or(LinkError::NotACode)?;
    let is_number = !version.starts_with('0') && version.bytes().all(|byte| byte.is_ascii_digit());
    match version.parse::<u8>() {
        Ok(VERSION) if is_number => {}
        Ok(version) if is_number => return Err(LinkError::Version { version }),
        _ => return Err(LinkError::NotACode),
    }
    let wanted = N.saturating_add(CHECK_BYTES).saturating_mul(2);
    if digits.len() != wanted || digits.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(LinkError::Damaged);
    }
    let mut small = digits.to_ascii_lowercase();
    let bytes = hex::decode(&small);
    small.zeroize();
    let bytes = Zeroizing::new(bytes.ok_or(LinkError::Damaged)?);
    let (payload, found) = bytes.split_at_checked(N).ok_or(LinkError::Damaged)?;
    let digest = hash(check, &[payload]);
    if !digest.as_bytes().starts_with(found) {
        return Err(LinkError::Damaged);
    }
    Ok(Zeroizing::new(payload.to_vec()))
}

/// The first 32 bytes of a payload, and the rest.
fn split32(payload: &[u8]) -> Result<([u8; 32], &[u8]), LinkError> {
    let (first, rest) = payload.split_first_chunk::<32>().ok_or(LinkError::Damaged)?;
    Ok((*first, rest))
}

/// The code that a new device shows and one of the owner's devices reads, good for one device and ten minutes.
///
/// ```text
/// TIM:LINK:1: digits      the payload and its check in hexadecimal capitals, without the blank
///
/// ┌─────────┬────────┬────────────┬─────────────────┬───────┐
/// │ network │ secret │ commitment │ expires         │ check │   check = the first bytes of
/// │ 32      │ 32     │ 32         │ 8, big-endian   │ 4     │   H("tokenim/link-code/v1", payload)
/// └─────────┴────────┴────────────┴─────────────────┴───────┘
/// ```
///
/// It has only characters of the alphanumeric set of QR codes (ISO/IEC 18004, 7.3.4), 227 of them, and fits version 10 at
/// level M. The secret opens a mailbox that the two devices and nobody else can use; the commitment binds the keys that
/// the new device shows there afterwards, so that neither it nor anyone between the two can choose them after seeing the
/// other side's.
///
/// ```text
/// new device                                        owner's device
///   keys, nonce; commitment
///   ── code: secret, commitment ─────────────────────▶
///                                                     nonce
///   ◀──────────────────── answer: identity, key, nonce ──
///   ── reveal: keys, nonce ─────────────────────────▶   commitment fits?
///   number                                            number          people compare, and say yes on both
///   ◀──────────────────── ask: place in the identity's chain ──
///   ── consent ─────────────────────────────────────▶   record on the ledger
///   ◀──────────────────────────────────────────── done ──
/// ```
///
/// Who stands between has one try to hit the number of eight digits: it must fix what it says to one side before that side
/// shows the nonce on which the number of that side depends.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkCode {
    /// The network.
    pub network: NetworkId,
    /// Opens the mailbox.
    pub secret: Secret32,
    /// What the new device is bound to: [`LinkReveal::commitment`].
    pub commitment: Digest,
    /// Until when it is good.
    pub expires: UnixSeconds,
}

impl LinkCode {
    /// Bytes of the payload.
    const BYTES: usize = 32 + 32 + 32 + 8;
    /// The length of its text in characters, all of one byte.
    pub const LENGTH: usize = 227;

    /// Checks a code that was read: of this network, in time, and not for too long.
    ///
    /// # Errors
    /// [`LinkError::Network`], [`LinkError::Expired`], [`LinkError::LifetimeTooLong`].
    pub fn check(&self, network: &NetworkId, now: UnixSeconds) -> Result<(), LinkError> {
        if self.network != *network {
            return Err(LinkError::Network);
        }
        if self.expires <= now {
            return Err(LinkError::Expired);
        }
        let latest = now
            .saturating_add(LINK_CODE_LIFETIME_SECONDS_MAX)
            .saturating_add(CLOCK_SKEW_SECONDS_MAX);
        if self.expires > latest {
            return Err(LinkError::LifetimeTooLong);
        }
        Ok(())
    }

    /// The mailbox in which the two devices meet.
    #[must_use]
    pub fn mailbox(&self) -> MailboxAccess {
        let key = derive(self.secret.expose(), LINK_MAILBOX, &[self.network.as_bytes()]);
        MailboxAccess::derive(&key, &[])
    }

    fn wrap_key(&self) -> WrapKey {
        WrapKey(derive(self.secret.expose(), LINK_WRAP, &[self.network.as_bytes()]))
    }

    /// Wraps a message for that mailbox.
    ///
    /// # Errors
    /// [`WrapError`].
    pub fn wrap(
        &self,
        message: &LinkMessage,
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SealedEnvelope, WrapError> {
        let bytes = Zeroizing::new(message.to_bytes()?);
        self.wrap_key().wrap(&bytes, expiry, rng)
    }

    /// Takes a message out of the bytes of an envelope from that mailbox.
    ///
    /// # Errors
    /// [`UnwrapError`]; [`UnwrapError::Malformed`] also for what is no message of linking.
    pub fn unwrap(&self, envelope: &[u8]) -> Result<LinkMessage, UnwrapError> {
        Ok(LinkMessage::from_bytes(&self.wrap_key().unwrap(envelope)?)?)
    }
}

impl fmt::Display for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut payload = Zeroizing::new(Vec::with_capacity(Self::BYTES));
        payload.extend_from_slice(self.network.as_bytes());
        payload.extend_from_slice(self.secret.expose());
        payload.extend_from_slice(self.commitment.as_bytes());
        payload.extend_from_slice(&self.expires.get().to_be_bytes());
        write_code(f, LINK_PREFIX, LINK_CHECK, &payload)
    }
}

impl fmt::Debug for LinkCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkCode([redacted])")
    }
}

impl FromStr for LinkCode {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let payload = read_code::<{ Self::BYTES }>(text, LINK_PREFIX, LINK_CHECK)?;
        let (network, rest) = split32(&payload)?;
        let (secret, rest) = split32(rest)?;
        let (commitment, rest) = split32(rest)?;
        let expires = rest.try_into().map_err(|_| LinkError::Damaged)?;
        Ok(Self {
            network: NetworkId::from_bytes(network),
            secret: Secret32::from_bytes(secret),
            commitment: Digest::from_bytes(commitment),
            expires: UnixSeconds::new(u64::from_be_bytes(expires)),
        })
    }
}

/// What the owner's device answers to a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAnswer {
    /// The identity that the new device is to join.
    pub identity: IdentityId,
    /// The device that answers.
    pub device: DeviceKey,
    /// Random.
    pub nonce: [u8; 32],
}

/// What the new device shows after the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReveal {
    /// All its keys.
    pub keys: DeviceKeys,
    /// Random.
    pub nonce: [u8; 32],
}

impl LinkReveal {
    /// What the code commits to: `H("tokenim/link-commitment/v1", encoding)`. The nonce hides the keys until they are shown.
    ///
    /// # Errors
    /// [`EncodeError`], which no value of these types causes.
    pub fn commitment(&self) -> Result<Digest, EncodeError> {
        hash_object(LINK_COMMITMENT, self)
    }
}

/// What the owner's device asks for once the owner has said that the numbers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAsk {
    /// The number of the record that is to add the device.
    pub seq: u64,
}

/// What the new device signs once whoever holds it has said that the numbers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConsent {
    /// The number of the record that it agrees to.
    pub seq: u64,
    /// Its signature over a [`DeviceConsent`] for the identity of the answer, this number and the keys of the reveal.
    pub signature: Signature,
}

/// A message in the mailbox of a code.
///
/// ```text
/// version 1 ‖ 0 v ‖ identity 32 ‖ device key 32 ‖ nonce 32                                     answer
/// version 1 ‖ 1 v ‖ signing key 32 ‖ envelope key: suite v, length v, bytes ‖ inbox key 32 ‖
///   inbox nonce 16 ‖ nonce 32                                                                  reveal
/// version 1 ‖ 2 v ‖ seq v                                                                      ask
/// version 1 ‖ 3 v ‖ seq v ‖ signature 64                                                       consent
/// version 1 ‖ 4 v                                                                              done
/// version 1 ‖ 5 v                                                                              refused
/// ```
///
/// Whoever has the code can write each of them. So none is believed for more than it shows by itself: answer and reveal are
/// compared by people, the consent is a signature, and whether the device was added, it looks up on the ledger. What is
/// left to who has the code is to hinder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LinkMessage {
    /// Number 0.
    Answer(LinkAnswer),
    /// Number 1.
    Reveal(LinkReveal),
    /// Number 2.
    Ask(LinkAsk),
    /// Number 3.
    Consent(LinkConsent),
    /// Number 4: the owner's device has seen the new one on the ledger.
    Done,
    /// Number 5: whoever sends it does not go on.
    Refused,
}

impl Object for LinkMessage {
    const NAME: &'static str = "link message";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = LINK_MESSAGE_BYTES_MAX;
}

/// Eight digits that both devices show, the same if nobody stands between them:
///
/// ```text
/// H("tokenim/link-number/v1", network 32 ‖ commitment 32 ‖ H("tokenim/link-answer/v1", answer) 32 ‖ nonce of the reveal 32),
/// its first 8 bytes as a number, big-endian, of which the last eight decimal digits
/// ```
///
/// Both nonces are in it. Were that of the reveal not, who stands between would know both codes and the owner's answer
/// when it answers the new device, and could try answers until the numbers are the same.
///
/// `Display` writes two groups of four with a blank between them. Compared in constant time.
#[derive(Clone, Copy)]
pub struct ConfirmationNumber([u8; 8]);

impl ConfirmationNumber {
    fn of(code: &LinkCode, answer: &LinkAnswer, reveal: &LinkReveal) -> Result<Self, EncodeError> {
        let answer = hash_object(LINK_ANSWER, answer)?;
        let parts: [&[u8]; 4] = [
            code.network.as_bytes(),
            code.commitment.as_bytes(),
            answer.as_bytes(),
            &reveal.nonce,
        ];
        let digest = hash(LINK_NUMBER, &parts);
        let mut number = digest
            .as_bytes()
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let mut digits = [0; 8];
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.saturating_add((number % 10).to_le_bytes()[0]);
            number /= 10;
        }
        Ok(Self(digits))
    }

    /// Whether somebody typed this number, with any blanks.
    #[must_use]
    pub fn is_typed(&self, text: &str) -> bool {
        let typed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        self.0.ct_eq(&typed).into()
    }
}

impl PartialEq for ConfirmationNumber {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ConfirmationNumber {}

impl fmt::Display for ConfirmationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|digit| char::from(*digit)).collect();
        let (first, second) = text.split_at_checked(4).ok_or(fmt::Error)?;
        write!(f, "{first} {second}")
    }
}

impl fmt::Debug for ConfirmationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfirmationNumber({self})")
    }
}

/// The new device's side: it has shown a code and waits for the one answer to it.
#[derive(Clone)]
pub struct LinkOffer {
    code: LinkCode,
    reveal: LinkReveal,
}

impl fmt::Debug for LinkOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkOffer([redacted])")
    }
}

impl LinkOffer {
    /// Makes a code for a device with these keys.
    ///
    /// # Errors
    /// [`EncodeError`], which no value of these types causes.
    pub fn new(
        network: NetworkId,
        keys: DeviceKeys,
        now: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, EncodeError> {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let reveal = LinkReveal { keys, nonce };
        let code = LinkCode {
            network,
            secret: Secret32::generate(rng),
            commitment: reveal.commitment()?,
            expires: now.saturating_add(LINK_CODE_LIFETIME_SECONDS_MAX),
        };
        Ok(Self { code, reveal })
    }

    /// The code to show.
    #[must_use]
    pub const fn code(&self) -> &LinkCode {
        &self.code
    }

    /// Takes the answer, the first and only one; gives what to reveal, and what comes after it.
    ///
    /// # Errors
    /// [`LinkError::Expired`], [`LinkError::Encode`].
    pub fn answered(self, answer: &LinkAnswer, now: UnixSeconds) -> Result<(LinkReveal, LinkJoin), LinkError> {
        in_time(&self.code, now)?;
        let join = LinkJoin {
            number: ConfirmationNumber::of(&self.code, answer, &self.reveal)?,
            code: self.code,
            keys: self.reveal.keys.clone(),
            answer: answer.clone(),
            asks: 0,
        };
        Ok((self.reveal, join))
    }
}

/// Whether a code that was good is it still.
fn in_time(code: &LinkCode, now: UnixSeconds) -> Result<(), LinkError> {
    if code.expires <= now {
        return Err(LinkError::Expired);
    }
    Ok(())
}

/// The new device's side after the reveal: it shows the number, and gives its consent if the numbers are the same.
#[derive(Clone)]
pub struct LinkJoin {
    code: LinkCode,
    keys: DeviceKeys,
    answer: LinkAnswer,
    number: ConfirmationNumber,
    asks: u8,
}

impl fmt::Debug for LinkJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkJoin([redacted])")
    }
}

impl LinkJoin {
    /// The number to show.
    #[must_use]
    pub const fn number(&self) -> ConfirmationNumber {
        self.number
    }

    /// Who answered, as it says itself. That it is so, the same number on both sides shows.
    #[must_use]
    pub const fn answer(&self) -> &LinkAnswer {
        &self.answer
    }

    /// Agrees to be added to the identity of the answer. Call it only after whoever holds the device has said that the
    /// other side shows the same number. It may be asked again, when another record took the place on the ledger.
    ///
    /// # Errors
    /// [`LinkError::Expired`], [`LinkError::Asks`] from the ninth time on, [`LinkError::Consent`] for a key that is not that
    /// of the reveal, [`LinkError::Encode`].
    pub fn consent(
        &mut self,
        ask: LinkAsk,
        device: &DeviceSigningKey,
        now: UnixSeconds,
    ) -> Result<LinkConsent, LinkError> {
        in_time(&self.code, now)?;
        if self.asks >= LINK_ASKS_MAX {
            return Err(LinkError::Asks);
        }
        if device.verifying_key() != self.keys.signing {
            return Err(LinkError::Consent);
        }
        self.asks = self.asks.saturating_add(1);
        let statement = consent_to(&self.answer.identity, ask, &self.keys);
        Ok(LinkConsent {
            seq: ask.seq,
            signature: device.sign(&self.code.network, &statement)?,
        })
    }
}

/// What the new device signs.
fn consent_to(identity: &IdentityId, ask: LinkAsk, keys: &DeviceKeys) -> DeviceConsent {
    DeviceConsent {
        identity: *identity,
        seq: ask.seq,
        keys: keys.clone(),
    }
}

/// The side of the owner's device: it has answered a code and waits for the keys.
#[derive(Clone)]
pub struct LinkResponse {
    code: LinkCode,
    answer: LinkAnswer,
}

impl fmt::Debug for LinkResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkResponse([redacted])")
    }
}

impl LinkResponse {
    /// Answers a code.
    ///
    /// # Errors
    /// Those of [`LinkCode::check`].
    pub fn new(
        code: LinkCode,
        network: &NetworkId,
        identity: IdentityId,
        device: DeviceKey,
        now: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, LinkError> {
        code.check(network, now)?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let answer = LinkAnswer {
            identity,
            device,
            nonce,
        };
        Ok(Self { code, answer })
    }

    /// What to send.
    #[must_use]
    pub const fn answer(&self) -> &LinkAnswer {
        &self.answer
    }

    /// Takes the keys that the new device shows; gives what comes after them.
    ///
    /// # Errors
    /// [`LinkError::Commitment`] for other keys than those of the code, [`LinkError::Expired`], [`LinkError::Encode`].
    pub fn revealed(self, reveal: LinkReveal, now: UnixSeconds) -> Result<LinkApproval, LinkError> {
        in_time(&self.code, now)?;
        if reveal.commitment()? != self.code.commitment {
            return Err(LinkError::Commitment);
        }
        Ok(LinkApproval {
            number: ConfirmationNumber::of(&self.code, &self.answer, &reveal)?,
            code: self.code,
            identity: self.answer.identity,
            keys: reveal.keys,
        })
    }
}

/// The side of the owner's device after the reveal: it shows the number, and asks for consent if the numbers are the same.
#[derive(Clone)]
pub struct LinkApproval {
    code: LinkCode,
    identity: IdentityId,
    keys: DeviceKeys,
    number: ConfirmationNumber,
}

impl fmt::Debug for LinkApproval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkApproval([redacted])")
    }
}

impl LinkApproval {
    /// The number to show.
    #[must_use]
    pub const fn number(&self) -> ConfirmationNumber {
        self.number
    }

    /// The keys to add.
    #[must_use]
    pub const fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// Checks what the new device answers to `ask`, which is sent only after the owner has said that the other side shows
    /// the same number; gives its signature, which the record that adds it needs.
    ///
    /// # Errors
    /// [`LinkError::Consent`] if it agrees to something else, [`LinkError::Expired`].
    pub fn consented(&self, ask: LinkAsk, consent: &LinkConsent, now: UnixSeconds) -> Result<Signature, LinkError> {
        in_time(&self.code, now)?;
        let statement = consent_to(&self.identity, ask, &self.keys);
        let key = &self.keys.signing;
        if consent.seq != ask.seq
            || key
                .verify_strict(&self.code.network, &statement, &consent.signature)
                .is_err()
        {
            return Err(LinkError::Consent);
        }
        Ok(consent.signature)
    }
}

/// An invitation that can be posted: who has it may ask a member to be let into a group. The member still decides.
///
/// ```text
/// TIM:INVITE:1: digits      the payload and its check in hexadecimal capitals, without the blank
///
/// ┌─────────┬────────┬──────┬────────┬───────────────┬───────┐
/// │ network │ handle │ ask  │ secret │ expires       │ check │   check = the first bytes of
/// │ 32      │ 32     │ 32   │ 32     │ 8, big-endian │ 4     │   H("tokenim/invite-link/v1", payload)
/// └─────────┴────────┴──────┴────────┴───────────────┴───────┘
/// ```
///
/// 293 characters of the alphanumeric set of QR codes; version 10 at level M. Whoever posts one shows the handle to
/// everyone who reads it, and with it the group's place on the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// The network.
    pub network: NetworkId,
    /// The session.
    pub handle: GroupHandle,
    /// The member to ask.
    pub ask: IdentityId,
    /// What only readers of the link know.
    pub secret: Secret32,
    /// Until when requests are taken.
    pub expires: UnixSeconds,
}

impl InviteLink {
    /// Bytes of the payload.
    const BYTES: usize = 4 * 32 + 8;
    /// The length of its text in characters, all of one byte.
    pub const LENGTH: usize = 293;

    /// Checks a link that was read: of this network, in time.
    ///
    /// # Errors
    /// [`LinkError::Network`], [`LinkError::Expired`].
    pub fn check(&self, network: &NetworkId, now: UnixSeconds) -> Result<(), LinkError> {
        if self.network != *network {
            Err(LinkError::Network)
        } else if self.expires <= now {
            Err(LinkError::Expired)
        } else {
            Ok(())
        }
    }

    /// What somebody sends to the member, sealed, to show that it has the link:
    /// `derive(secret, "tokenim/invite-proof/v1", network 32 ‖ handle 32 ‖ ask 32 ‖ asker 32)`. It is good for nobody else.
    #[must_use]
    pub fn proof(&self, asker: &IdentityId) -> [u8; 32] {
        let context: [&[u8]; 4] = [
            self.network.as_bytes(),
            self.handle.as_bytes(),
            self.ask.as_bytes(),
            asker.as_bytes(),
        ];
        *derive(self.secret.expose(), INVITE_PROOF, &context)
    }

    /// Whether this is the proof of this asker; in constant time.
    #[must_use]
    pub fn is_proof(&self, asker: &IdentityId, proof: &[u8; 32]) -> bool {
        self.proof(asker).ct_eq(proof).into()
    }
}

impl fmt::Display for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut payload = Zeroizing::new(Vec::with_capacity(Self::BYTES));
        payload.extend_from_slice(self.network.as_bytes());
        payload.extend_from_slice(self.handle.as_bytes());
        payload.extend_from_slice(self.ask.as_bytes());
        payload.extend_from_slice(self.secret.expose());
        payload.extend_from_slice(&self.expires.get().to_be_bytes());
        write_code(f, INVITE_PREFIX, INVITE_CHECK, &payload)
    }
}

impl fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteLink([redacted])")
    }
}

impl FromStr for InviteLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let payload = read_code::<{ Self::BYTES }>(text, INVITE_PREFIX, INVITE_CHECK)?;
        let (network, rest) = split32(&payload)?;
        let (handle, rest) = split32(rest)?;
        let (ask, rest) = split32(rest)?;
        let (secret, rest) = split32(rest)?;
        let expires = rest.try_into().map_err(|_| LinkError::Damaged)?;
        Ok(Self {
            network: NetworkId::from_bytes(network),
            handle: GroupHandle::from_bytes(handle),
            ask: IdentityId::from_bytes(ask),
            secret: Secret32::from_bytes(secret),
            expires: UnixSeconds::new(u64::from_be_bytes(expires)),
        })
    }
}
