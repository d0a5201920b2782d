//! Linking a device: a new one shows a code, one of the owner's reads it, and both people say that the numbers are the same.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_identity::{
    Argon2Cost, DeviceId, DeviceKeys, DeviceSecrets, IdentityId, IdentityState, NodeKey, Phrase, RootSigningKey,
    SignedRecord,
};
use tokenim_ledger::{NetworkConfig, Rejection};
use tokenim_mailbox::swarm;
use tokenim_session::conversation::epoch::MailboxAccess;
use tokenim_session::conversation::link::{
    ConfirmationNumber, LinkAnswer, LinkApproval, LinkAsk, LinkCode, LinkConsent, LinkError, LinkJoin, LinkMessage,
    LinkOffer, LinkResponse,
};
use tokenim_wire::limits::LINK_ASKS_MAX;
use tokenim_wire::{BoundedBytes, EnvelopeId};

use super::client::{Keys, os_rng};
use super::put::{Authority, Failure, Put};
use super::receive::Trouble;
use super::{Client, ClientError, Network, folder, now};
use crate::step::{EnvelopeCopy, LogWalk, LookedUp, LookupError};

/// Pause between two looks into the mailbox, or at the ledger.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a look into the mailbox waits for all nodes.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// How long it waits for the others once one has answered.
const READ_GRACE: Duration = Duration::from_millis(400);
/// How long a message is tried.
const PUT_PATIENCE: Duration = Duration::from_secs(20);
/// How long the last words are tried, which nothing depends on.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(3);
/// How old the proof of an identity may be.
const STATE_AGE: Duration = Duration::from_secs(30);
/// How long after the code's expiry the ledger may take to show a device that has agreed.
const FINAL_SECONDS: u64 = 60;
/// And how long after the owner's side has given up: what it handed to the nodes before may still become final.
const REFUSED_SECONDS: u64 = 10;
/// Envelopes in the mailbox of a code: two devices don't need a tenth of them.
const ENVELOPES_MAX: usize = 256;

/// The mailbox in which the two devices meet.
struct Meeting {
    network: Arc<Network>,
    code: LinkCode,
    mailbox: MailboxAccess,
    walks: BTreeMap<NodeKey, LogWalk>,
    heard: Heard,
}

/// What was said in the mailbox of a code.
#[derive(Default)]
struct Heard {
    /// What was read or written here.
    known: HashSet<EnvelopeId>,
    /// How many envelopes of no use each node has shown. A node can make them up; who writes needs the code.
    useless: BTreeMap<NodeKey, usize>,
    /// How many were of use.
    said: usize,
    /// What was said and not taken yet.
    messages: VecDeque<LinkMessage>,
}

impl Heard {
    /// Opens an envelope that a node has shown. A node that shows too many of no use is not listened to any more.
    fn take(&mut self, code: &LinkCode, node: NodeKey, copy: &EnvelopeCopy) -> Result<(), ClientError> {
        let useless = self.useless.entry(node).or_default();
        if *useless >= ENVELOPES_MAX || !self.known.insert(copy.envelope) {
            return Ok(());
        }
        match code.unwrap(&copy.bytes) {
            Ok(_) if self.said >= ENVELOPES_MAX => return Err(ClientError::LinkTaken),
            Ok(message) => {
                self.said = self.said.saturating_add(1);
                self.messages.push_back(message);
            }
            Err(error) => {
                tracing::debug!(%node, %error, "an envelope is of no use");
                *useless = useless.saturating_add(1);
            }
        }
        Ok(())
    }
}

impl Meeting {
    fn new(network: Arc<Network>, code: LinkCode) -> Self {
        Self {
            network,
            mailbox: code.mailbox(),
            code,
            walks: BTreeMap::new(),
            heard: Heard::default(),
        }
    }

    async fn say(&mut self, message: &LinkMessage) -> Result<(), ClientError> {
        self.say_for(message, PUT_PATIENCE).await
    }

    /// Says something that nothing depends on.
    async fn end_with(&mut self, message: &LinkMessage) {
        if let Err(error) = self.say_for(message, LAST_WORDS_PATIENCE).await {
            tracing::debug!(%error, "the other device is not told");
        }
    }

    async fn say_for(&mut self, message: &LinkMessage, patience: Duration) -> Result<(), ClientError> {
        let wrapped = self.code.wrap(message, self.code.expires, &mut os_rng());
        let envelope = wrapped.map_err(LinkError::from)?;
        self.heard.known.insert(envelope.id());
        let put = Put {
            mailbox: self.mailbox.descriptor,
            authority: Authority::Key(Box::new(self.mailbox.write.clone())),
            envelope: envelope.id(),
            expiry: envelope.expiry(),
            sealed: BoundedBytes::try_from(envelope.as_bytes()).unwrap_or_default(),
        };
        match self.network.put(put, patience).await {
            Ok(_) => Ok(()),
            Err(Failure::Client(error)) => Err(error),
            Err(Failure::Short(short)) => Err(ClientError::Unreachable {
                nodes: short.wanted,
                last: short.last,
            }),
        }
    }

    /// Looks once into the mailbox.
    async fn listen(&mut self) -> Result<(), ClientError> {
        let (network, mailbox) = (&self.network, &self.mailbox);
        let (nodes, tag) = (network.nodes(), mailbox.tag());
        for member in swarm(&nodes, &tag) {
            let walk = || LogWalk::new(member.key, tag, None);
            self.walks.entry(member.key).or_insert_with(walk);
        }
        // One page of each: what a reading that is given up has not taken, the next one does.
        let reads = self.walks.iter_mut().map(|(node, walk)| async move {
            let page = network.read_page_of(&mailbox.descriptor, &mailbox.read, node, walk, 0);
            (node, page.await)
        });
        let mut reads: FuturesUnordered<_> = reads.collect();
        let mut until = tokio::time::Instant::now() + READ_TIMEOUT;
        let mut found: Vec<(NodeKey, EnvelopeCopy)> = Vec::new();
        let mut other_set = false;
        loop {
            let (node, read) = tokio::select! {
                next = reads.next() => match next {
                    Some(read) => read,
                    None => break,
                },
                () = tokio::time::sleep_until(until) => break,
            };
            match read? {
                Ok((copies, _)) => {
                    found.extend(copies.into_iter().map(|copy| (*node, copy)));
                    until = until.min(tokio::time::Instant::now() + READ_GRACE);
                }
                Err(Trouble::OtherSet) => other_set = true,
                Err(Trouble::Caught(_)) => {}
                Err(Trouble::Failed(why)) => tracing::debug!(%node, why, "a node does not serve the mailbox"),
            }
        }
        drop(reads);
        for (node, copy) in found {
            self.heard.take(&self.code, node, &copy)?;
        }
        if other_set {
            // Whether there is another one shows in the next look.
            let _ = self.network.refresh_nodes().await;
        }
        Ok(())
    }

    /// What was said next, waiting for it until the code expires.
    async fn next(&mut self) -> Result<LinkMessage, ClientError> {
        loop {
            if self.code.expires <= now().to_seconds() {
                return Err(LinkError::Expired.into());
            }
            if let Some(message) = self.heard.messages.pop_front() {
                return Ok(message);
            }
            self.listen().await?;
            if self.heard.messages.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Where the new device's secrets are until it is linked.
enum Kept {
    /// In memory alone: nobody has its consent.
    Nowhere {
        folder: PathBuf,
        keys: Box<Keys>,
        keystore: Vec<u8>,
    },
    /// In a folder of its own that is not in use yet.
    There(Client),
}

impl Kept {
    fn keys(&self) -> Result<&Keys, ClientError> {
        match self {
            Self::Nowhere { keys, .. } => Ok(keys),
            Self::There(client) => client.keys(),
        }
    }

    /// Keeps the secrets, bound to the identity that the device is to join.
    fn keep(self, network: &Arc<Network>, identity: IdentityId) -> Result<Client, ClientError> {
        match self {
            Self::Nowhere { folder, keys, keystore } => {
                Client::make_linking(&folder, Arc::clone(network), identity, *keys, keystore)
            }
            Self::There(client) => Ok(client),
        }
    }
}

/// Whether the folder is that of a device whose linking was begun and not seen to end.
///
/// # Errors
/// Those of the folder.
pub fn is_unfinished(folder: &Path) -> Result<bool, ClientError> {
    if !folder::store(folder).exists() {
        return Ok(false);
    }
    match Client::open(folder, None) {
        Ok(_) => Ok(false),
        Err(ClientError::NotLinked(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Asks the ledger whether the device of a folder, whose linking was not seen to end, was added after all. If so, the folder
/// is one like any other from now on.
///
/// # Errors
/// [`ClientError::ClientExists`] if nothing is unfinished there, [`ClientError::WrongPassphrase`], those of the folder and of
/// [`Network::lookup`].
pub async fn resume(folder: &Path, passphrase: &[u8]) -> Result<Option<Client>, ClientError> {
    let client = Client::open_linking(folder, passphrase)?;
    let found = client.shared.network.lookup(&client.identity(), STATE_AGE).await?;
    if !has_device(&found, &client.device()) {
        client.close().await;
        return Ok(None);
    }
    client.linked(found).await?;
    Ok(Some(client))
}

fn has_device(found: &LookedUp, device: &DeviceId) -> bool {
    found.state.as_ref().is_some_and(|state| is_live(state, device))
}

fn is_live(state: &IdentityState, device: &DeviceId) -> bool {
    state.device(device).is_some_and(|entry| entry.revoked.is_none())
}

/// Begins to link this machine: makes a device's secrets and a code to show, good for ten minutes.
///
/// The folder must hold no client. Nothing is kept there before the device agrees to join an identity; if that was
/// interrupted once, the same secrets are used again, and for the same identity alone.
///
/// # Errors
/// [`ClientError::ClientExists`], [`ClientError::Unreachable`], [`ClientError::ForeignFolder`],
/// [`ClientError::WrongPassphrase`] for a folder that is not finished, and other errors of the folder.
pub async fn offer(
    folder: &Path,
    network: NetworkConfig,
    passphrase: &[u8],
    cost: Argon2Cost,
) -> Result<Offer, ClientError> {
    let wanted = Network::new(network)?;
    let kept = if folder::store(folder).exists() {
        let client = Client::open_linking(folder, passphrase)?;
        if client.network().config() != wanted.config() {
            return Err(ClientError::ForeignFolder(folder.to_owned()));
        }
        Kept::There(client)
    } else {
        let keys = Keys::new(DeviceSecrets::generate(&mut os_rng()));
        Kept::Nowhere {
            folder: folder.to_owned(),
            keystore: keys.seal(passphrase, cost)?,
            keys: Box::new(keys),
        }
    };
    let network = match &kept {
        Kept::Nowhere { .. } => Arc::new(wanted),
        Kept::There(client) => Arc::clone(&client.shared.network),
    };
    // Both devices must look for the same nodes.
    network.refresh_nodes().await?;
    let keys = kept.keys()?;
    let public = keys.secrets.keys(keys.envelope.public().clone());
    let steps = LinkOffer::new(*network.id(), public, now().to_seconds(), &mut os_rng())?;
    Ok(Offer {
        meeting: Meeting::new(network, steps.code().clone()),
        steps,
        kept,
    })
}

/// The new device: its code is to be shown, and is not answered yet.
pub struct Offer {
    meeting: Meeting,
    steps: LinkOffer,
    kept: Kept,
}

impl core::fmt::Debug for Offer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Offer([redacted])")
    }
}

impl Offer {
    /// The code; its `Display` is the text of the QR code. It is a secret until the device is linked.
    #[must_use]
    pub const fn code(&self) -> &LinkCode {
        self.steps.code()
    }

    /// Waits for the one answer to the code, and shows the keys to whoever gave it.
    ///
    /// # Errors
    /// [`ClientError::Link`] when the code expires, [`ClientError::LinkAnswer`] for an answer of who is no device of the
    /// identity that it names, [`ClientError::LinkedElsewhere`], [`ClientError::Unreachable`].
    pub async fn answered(mut self) -> Result<Joining, ClientError> {
        let answer = loop {
            if let LinkMessage::Answer(answer) = self.meeting.next().await? {
                break answer;
            }
        };
        if let Err(error) = self.check(&answer).await {
            self.meeting.end_with(&LinkMessage::Refused).await;
            return Err(error);
        }
        let (reveal, steps) = self.steps.answered(&answer, now().to_seconds())?;
        let device = reveal.keys.device_id();
        self.meeting.say(&LinkMessage::Reveal(reveal)).await?;
        Ok(Joining {
            meeting: self.meeting,
            steps,
            device,
            kept: Some(self.kept),
            unsaid: None,
        })
    }

    async fn check(&self, answer: &LinkAnswer) -> Result<(), ClientError> {
        if let Kept::There(client) = &self.kept
            && client.identity() != answer.identity
        {
            return Err(ClientError::LinkedElsewhere {
                folder: client.folder().to_owned(),
                identity: client.identity(),
            });
        }
        let (network, device, asked) = (&self.meeting.network, DeviceId::of(&answer.device), now());
        // It may have been linked itself a moment ago: that it is none is believed only of a block after the question.
        let recent = |found: &LookedUp| match has_device(found, &device) || found.time >= asked {
            true => network.check_age(found, asked, STATE_AGE),
            false => Err(LookupError::TooOld {
                age_ms: now().get().saturating_sub(found.time.get()),
            }),
        };
        let found = network.lookup_checked(&answer.identity, None, recent).await?;
        if has_device(&found, &device) {
            Ok(())
        } else {
            Err(ClientError::LinkAnswer(answer.identity))
        }
    }
}

/// The new device: somebody has answered, and the number is to be compared.
pub struct Joining {
    meeting: Meeting,
    steps: LinkJoin,
    device: DeviceId,
    /// Always there but while it is taken to be kept.
    kept: Option<Kept>,
    /// What this device has agreed to and W nodes don't keep yet.
    unsaid: Option<LinkConsent>,
}

impl core::fmt::Debug for Joining {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Joining([redacted])")
    }
}

impl Joining {
    /// The number to show, and to compare with that of the other device.
    #[must_use]
    pub const fn number(&self) -> ConfirmationNumber {
        self.steps.number()
    }

    /// The identity that the device is to join, as the answer says.
    #[must_use]
    pub const fn identity(&self) -> IdentityId {
        self.steps.answer().identity
    }

    /// The device that answered.
    #[must_use]
    pub fn answerer(&self) -> DeviceId {
        DeviceId::of(&self.steps.answer().device)
    }

    /// This device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Goes on, since whoever holds this device has said that the numbers are the same: agrees to join when asked to, and
    /// waits until the ledger proves that the device was added. The folder is made just before the device agrees.
    ///
    /// # Errors
    /// [`ClientError::LinkRefused`], [`ClientError::Link`] when nobody asks in time; [`ClientError::NotLinked`] if the device
    /// has agreed and is not on the ledger yet, also if the other side has given up since: see [`resume`]. Errors of the
    /// folder and, before the device has agreed, of the network.
    pub async fn confirm(mut self) -> Result<Client, ClientError> {
        let mut last = self.meeting.code.expires.saturating_add(FINAL_SECONDS);
        loop {
            let listened = self.meeting.listen().await;
            while let Some(message) = self.meeting.heard.messages.pop_front() {
                match message {
                    LinkMessage::Ask(ask) => self.agree(ask).await?,
                    LinkMessage::Refused if self.agreed().is_none() => return Err(ClientError::LinkRefused),
                    // The record may be on its way all the same.
                    LinkMessage::Refused => last = last.min(now().to_seconds().saturating_add(REFUSED_SECONDS)),
                    // That it is done, the ledger tells.
                    _ => {}
                }
            }
            if self.agreed().is_none() {
                listened?;
            }
            if let Some(consent) = self.unsaid {
                match self.meeting.say(&LinkMessage::Consent(consent)).await {
                    Ok(()) => self.unsaid = None,
                    // Another time may do better.
                    Err(error @ (ClientError::Unreachable { .. } | ClientError::NotProgressing { .. })) => {
                        tracing::debug!(%error, "the consent is not stored yet");
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(client) = self.look().await? {
                return Ok(client);
            }
            let (agreed, time) = (self.agreed(), now().to_seconds());
            match agreed {
                None if self.meeting.code.expires <= time => return Err(LinkError::Expired.into()),
                Some(client) if last <= time => return Err(ClientError::NotLinked(client.folder().to_owned())),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Ends it, since the numbers are not the same or nobody wanted this, and tells the other device.
    pub async fn refuse(mut self) {
        self.meeting.end_with(&LinkMessage::Refused).await;
    }

    /// The folder, if there is one.
    fn agreed(&self) -> Option<&Client> {
        match &self.kept {
            Some(Kept::There(client)) => Some(client),
            _ => None,
        }
    }

    async fn agree(&mut self, ask: LinkAsk) -> Result<(), ClientError> {
        if self.meeting.code.expires <= now().to_seconds() {
            return Ok(());
        }
        let kept = self.kept.take().ok_or(ClientError::Closed)?;
        // The secrets before the consent: it may be used whenever it is on its way.
        let client = kept.keep(&self.meeting.network, self.steps.answer().identity)?;
        self.kept = Some(Kept::There(client.clone()));
        let key = &client.keys()?.secrets.signing;
        match self.steps.consent(ask, key, now().to_seconds()) {
            Ok(consent) => {
                self.unsaid = Some(consent);
                Ok(())
            }
            // Whoever asks on and on, gets no more answers.
            Err(LinkError::Asks | LinkError::Expired) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The client, once the ledger proves its device.
    async fn look(&self) -> Result<Option<Client>, ClientError> {
        let Some(client) = self.agreed() else {
            return Ok(None);
        };
        let found = match client.shared.network.lookup(&client.identity(), STATE_AGE).await {
            Ok(found) => found,
            // It may do so later.
            Err(ClientError::Unreachable { .. } | ClientError::NotProgressing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !has_device(&found, &client.device()) {
            return Ok(None);
        }
        client.linked(found).await?;
        Ok(Some(client.clone()))
    }
}

/// Begins to answer a code that a new device shows, with the words of the identity, which sign the record that adds it.
///
/// Nothing is on the ledger, and nothing of the identity but its name and this device's was told, before
/// [`Approving::confirm`].
///
/// # Errors
/// [`ClientError::Link`] for a code of another network or time, [`ClientError::LinkTaken`] if it was answered before,
/// [`ClientError::OtherWords`], [`ClientError::NotRegistered`], [`ClientError::Unreachable`].
pub async fn respond(client: &Client, code: &LinkCode, words: &Phrase) -> Result<Responding, ClientError> {
    let network = Arc::clone(&client.shared.network);
    code.check(network.id(), now().to_seconds())?;
    let state = client.state().await?;
    let root = words.find_root(&state.root).map(|index| words.root_key(index));
    let root = root.ok_or(ClientError::OtherWords(state.id))?;
    let own = state.device(&client.device()).filter(|entry| entry.revoked.is_none());
    let own = own.ok_or(ClientError::NoActiveDevice(state.id))?;
    network.refresh_nodes().await?;
    let mut meeting = Meeting::new(network, code.clone());
    meeting.listen().await?;
    if !meeting.heard.messages.is_empty() {
        // The new device says nothing before somebody has answered.
        return Err(ClientError::LinkTaken);
    }
    let network = *meeting.network.id();
    let time = now().to_seconds();
    let steps = LinkResponse::new(code.clone(), &network, state.id, own.keys.signing, time, &mut os_rng())?;
    meeting.say(&LinkMessage::Answer(steps.answer().clone())).await?;
    Ok(Responding {
        client: client.clone(),
        meeting,
        steps,
        root,
    })
}

/// One of the owner's devices: it has answered a code.
pub struct Responding {
    client: Client,
    meeting: Meeting,
    steps: LinkResponse,
    root: RootSigningKey,
}

impl core::fmt::Debug for Responding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Responding([redacted])")
    }
}

impl Responding {
    /// Waits for the keys of the new device.
    ///
    /// # Errors
    /// [`ClientError::Link`] if they are not those of the code, and when it expires; [`ClientError::LinkTaken`] if somebody
    /// else answers too, [`ClientError::LinkRefused`], [`ClientError::Unreachable`].
    pub async fn revealed(mut self) -> Result<Approving, ClientError> {
        let checked = loop {
            match self.meeting.next().await? {
                LinkMessage::Reveal(reveal) => {
                    let revealed = self.steps.clone().revealed(reveal, now().to_seconds());
                    break revealed.map_err(ClientError::from);
                }
                LinkMessage::Answer(_) => break Err(ClientError::LinkTaken),
                LinkMessage::Refused => return Err(ClientError::LinkRefused),
                _ => {}
            }
        };
        match checked {
            Ok(steps) => Ok(Approving {
                client: self.client,
                meeting: self.meeting,
                steps,
                root: self.root,
            }),
            Err(error) => {
                self.meeting.end_with(&LinkMessage::Refused).await;
                Err(error)
            }
        }
    }
}

/// One of the owner's devices: it knows the keys of the new one, and the number is to be compared.
pub struct Approving {
    client: Client,
    meeting: Meeting,
    steps: LinkApproval,
    root: RootSigningKey,
}

impl core::fmt::Debug for Approving {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Approving([redacted])")
    }
}

impl Approving {
    /// The number to show, and to compare with that of the new device.
    #[must_use]
    pub const fn number(&self) -> ConfirmationNumber {
        self.steps.number()
    }

    /// The new device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.keys().device_id()
    }

    /// Its keys.
    #[must_use]
    pub const fn keys(&self) -> &DeviceKeys {
        self.steps.keys()
    }

    /// Goes on, since the owner has said that the numbers are the same: asks the new device to agree, and puts it on the
    /// ledger; returns once a proof shows it there.
    ///
    /// # Errors
    /// [`ClientError::LinkRefused`], [`ClientError::Link`] when the new device does not agree in time,
    /// [`ClientError::Record`] if the identity can have no such device, [`ClientError::Rejected`],
    /// [`ClientError::Unreachable`], [`ClientError::NotProgressing`].
    pub async fn confirm(mut self) -> Result<LookedUp, ClientError> {
        let added = self.add().await;
        let last = match &added {
            Ok(_) => LinkMessage::Done,
            Err(_) => LinkMessage::Refused,
        };
        self.meeting.end_with(&last).await;
        added
    }

    /// Ends it, since the numbers are not the same or the owner wants no such device, and tells the other device.
    pub async fn refuse(mut self) {
        self.meeting.end_with(&LinkMessage::Refused).await;
    }

    async fn add(&mut self) -> Result<LookedUp, ClientError> {
        let network = Arc::clone(&self.meeting.network);
        let mut outrun = None;
        for _ in 0..LINK_ASKS_MAX {
            let state = self.client.state().await?;
            let ask = LinkAsk { seq: state.next_seq()? };
            self.meeting.say(&LinkMessage::Ask(ask)).await?;
            let consent = self.consent(ask).await?;
            let keys = self.steps.keys().clone();
            let record = SignedRecord::add_consenting_device(network.id(), &state, &self.root, keys, consent)?;
            match self.client.publish_record(record).await {
                // Another record took the place.
                Err(error @ ClientError::Rejected(Rejection::RecordPrevious | Rejection::RecordSequence { .. })) => {
                    outrun = Some(error);
                }
                published => return published,
            }
        }
        Err(outrun.unwrap_or(ClientError::Closed))
    }

    async fn consent(&mut self, ask: LinkAsk) -> Result<tokenim_identity::Signature, ClientError> {
        loop {
            match self.meeting.next().await? {
                LinkMessage::Consent(consent) => match self.steps.consented(ask, &consent, now().to_seconds()) {
                    Ok(signature) => return Ok(signature),
                    // To what was asked before, or by nobody who could sign it.
                    Err(LinkError::Consent) => {}
                    Err(error) => return Err(error.into()),
                },
                LinkMessage::Refused => return Err(ClientError::LinkRefused),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokenim_identity::NodeSigningKey;
    use tokenim_wire::{NetworkId, UnixSeconds};

    use super::*;

    fn copy(bytes: &[u8]) -> EnvelopeCopy {
        EnvelopeCopy {
            envelope: EnvelopeId::of(bytes),
            expiry: UnixSeconds::new(2_000_000_000),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_node_that_makes_up_envelopes_ends_no_linking() {
        let keys = Keys::new(DeviceSecrets::generate(&mut os_rng()));
        let keys = keys.secrets.keys(keys.envelope.public().clone());
        let network = NetworkId::from_bytes([1; 32]);
        let offer = LinkOffer::new(network, keys, UnixSeconds::new(1_900_000_000), &mut os_rng()).unwrap();
        let code = offer.code();
        let [liar, honest] = [7, 8].map(|seed| NodeSigningKey::from_seed([seed; 32]).verifying_key());
        let mut heard = Heard::default();
        for number in 0..1_000_u32 {
            heard.take(code, liar, &copy(&number.to_be_bytes())).unwrap();
        }
        assert_eq!((heard.known.len(), heard.messages.len()), (ENVELOPES_MAX, 0));
        let said = || {
            let envelope = code.wrap(&LinkMessage::Refused, code.expires, &mut os_rng());
            copy(envelope.unwrap().as_bytes())
        };
        // What others show is heard all the same, once.
        let refused = said();
        for _ in 0..2 {
            heard.take(code, honest, &refused).unwrap();
        }
        assert_eq!(heard.messages.len(), 1);
        for _ in 1..ENVELOPES_MAX {
            heard.take(code, honest, &said()).unwrap();
        }
        let more = heard.take(code, honest, &said());
        assert!(matches!(more, Err(ClientError::LinkTaken)), "{more:?}");
    }
}
