//! Carrying out what the machine asks for, until it is done.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokenim_envelope::{Content, MessageId, Recipient, SealedEnvelope, Sender, seal};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, MailboxSigningKey};
use tokenim_mailbox::{Descriptor, KeyPackage, MailboxTag, Quorum, swarm};
use tokenim_rpc::{AcceptanceOf, Request};
use tokenim_session::SessionSuite;
use tokenim_session::mls::read_key_package;
use tokenim_session::step::{Answer, Effect, EffectId, Input, SESSION_KIND};
use tokenim_wire::limits::ENVELOPE_LIFETIME_SECONDS_MAX;
use tokenim_wire::{BoundedBytes, EnvelopeId, NetworkId, Object as _};

use super::super::client::os_rng;
use super::super::network::{CALL_TIMEOUT, HEDGE_AFTER};
use super::super::put::{Authority, Failure, Put};
use super::super::receive::TIME_PATIENCE;
use super::super::{Client, ClientError, contact_keys, now};
use super::tables;
use super::turns::Turns;
use crate::step::{Batch, state};

/// How long an envelope is tried before the node set is looked at anew.
const PUT_PATIENCE: Duration = Duration::from_secs(20);
/// How old the proof of an identity may be that is sealed to.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Postage that is paid at most, in bits, for what goes out by itself: 2^20 hashes, a fraction of a second. Whoever is
/// written to sets how much, and a stranger who invites is answered.
const SEALED_POSTAGE_BITS_MAX: u8 = 20;
/// Seconds for which nodes keep what is sealed to a device: 14 days.
const SEALED_SECONDS: u64 = 14 * 24 * 3_600;

/// Why there is no answer.
enum Trouble {
    /// Another time may do better.
    Later(String),
    /// This machine failed.
    Local(ClientError),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Damaged { .. }
            | ClientError::DiskFull(_)
            | ClientError::Io { .. }
            | ClientError::Store(_)
            | ClientError::Random
            | ClientError::Locked
            | ClientError::Closed => Self::Local(error),
            other => Self::Later(other.to_string()),
        }
    }
}

impl Client {
    /// Carries an effect out and gives its answer to the machine; without one it has another turn.
    pub(super) async fn carry_out(
        &self,
        id: EffectId,
        effect: &Effect,
        turns: &Mutex<Turns>,
    ) -> Result<(), ClientError> {
        let began = Instant::now();
        let turns = || turns.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match self.attempt(effect).await {
            Ok(answer) => answer,
            Err(Trouble::Local(error)) => return Err(error),
            Err(Trouble::Later(why)) => {
                tracing::debug!(?effect, why, "not done yet");
                if !turns().failed(id, self.shared.network.is_recent(), Instant::now()) {
                    return Ok(());
                }
                Answer::Failed
            }
        };
        tracing::debug!(?effect, took = ?began.elapsed(), "done");
        let client = self.clone();
        // As it is answered, this task is of no use any more and may be ended at any moment; this part of it goes on.
        let answering = tokio::spawn(async move { client.answer(id, answer).await });
        if answering.await.map_err(|_| ClientError::Closed)?? {
            turns().remove(id);
        } else {
            turns().failed(id, false, Instant::now());
        }
        Ok(())
    }

    /// Gives an answer to the machine, and tells whether it was taken; then a quorum receipt goes to those who anchor it.
    async fn answer(&self, id: EffectId, answer: Answer) -> Result<bool, ClientError> {
        let mut also = Batch::new();
        let stored = match &answer {
            Answer::Stored(receipt) => Some(receipt.clone()),
            _ => None,
        };
        if let Some(receipt) = &stored {
            let (row, bytes) = (tables::receipt_row(&receipt.envelope), receipt.to_bytes()?);
            tables::put(&mut also, &self.keys()?.secrets.vault, row, &bytes)
                .map_err(|error| ClientError::Store(error.to_string()))?;
        }
        let taken = self.step(Input::Done(id, answer), also).await?;
        if let Err(error) = &taken {
            tracing::debug!(%error, "an answer is not taken");
        }
        if let Some(receipt) = stored {
            // So that a proof is there when it is asked for; who asks and finds none hands the receipt over again.
            self.hand_over(&receipt, 0).await;
        }
        Ok(taken.is_ok())
    }

    async fn attempt(&self, effect: &Effect) -> Result<Answer, Trouble> {
        match effect {
            Effect::Put {
                descriptor,
                write_key,
                envelope,
            } => self.put_sealed(*descriptor, write_key, envelope).await,
            Effect::Ledger(update) => match self.shared.network.submit_group((**update).clone()).await {
                Ok(()) => Ok(Answer::Included),
                Err(error @ (ClientError::Refused { .. } | ClientError::Rejected(_))) => {
                    tracing::debug!(%error, "the ledger does not take an entry");
                    Ok(Answer::Failed)
                }
                Err(error) => Err(error.into()),
            },
            Effect::Seal { to, device, id, body } => self.seal_to(to, device, *id, body).await,
            Effect::FetchPackage {
                identity,
                device,
                suite,
            } => self.fetch_package(identity, device, *suite).await,
            Effect::Lookup { identity } => self.look_up(identity).await,
            Effect::Acceptance { tag, envelope } => self.accepted_at(*tag, *envelope).await,
            Effect::Publish { packages } => match self.publish_packages(packages).await? {
                true => Ok(Answer::Published),
                false => Err(Trouble::Later("too few nodes took the key packages".to_owned())),
            },
            _ => Err(Trouble::Later("this version can't do it".to_owned())),
        }
    }

    async fn put_sealed(
        &self,
        mailbox: Descriptor,
        write_key: &MailboxSigningKey,
        envelope: &SealedEnvelope,
    ) -> Result<Answer, Trouble> {
        if envelope.expiry() <= now().to_seconds() {
            return Ok(Answer::Failed);
        }
        let put = Put {
            mailbox,
            authority: Authority::Key(Box::new(write_key.clone())),
            envelope: envelope.id(),
            expiry: envelope.expiry(),
            sealed: bounded(envelope.as_bytes())?,
        };
        self.put_until(put)
            .await
            .map(|receipt| Answer::Stored(Box::new(receipt)))
    }

    async fn put_until(&self, put: Put) -> Result<tokenim_mailbox::QuorumReceipt, Trouble> {
        self.put(put, PUT_PATIENCE).await.map_err(|failure| match failure {
            Failure::Client(error) => error.into(),
            Failure::Short(short) => Trouble::Later(format!(
                "{} of {} receipts: {}",
                short.receipts, short.wanted, short.last
            )),
        })
    }

    /// Seals a message to one device, and has it accepted.
    async fn seal_to(&self, to: &IdentityId, device: &DeviceId, id: MessageId, body: &[u8]) -> Result<Answer, Trouble> {
        let Some(found) = self.device_of(to, device).await? else {
            return Ok(Answer::Failed);
        };
        let (state, keys) = (found, self.keys()?);
        let Some(entry) = state.device(device) else {
            return Ok(Answer::Failed);
        };
        if self.weaker_devices(&state)?.contains(device) {
            tracing::warn!(%to, "a device asks for weaker encryption than was seen before: nothing is sent to it");
            return Ok(Answer::Failed);
        }
        let contact = self.first_contact(to, &entry.keys).await;
        if contact.postage.get() > SEALED_POSTAGE_BITS_MAX {
            self.forget_contact(device);
            return Err(Trouble::Later(format!("its inbox asks for {}", contact.postage)));
        }
        let lifetime = SEALED_SECONDS.min(ENVELOPE_LIFETIME_SECONDS_MAX);
        let sealed = seal(
            self.shared.network.id(),
            &Sender {
                identity: self.shared.identity,
                device: self.shared.device,
                key: &keys.secrets.signing,
            },
            &Recipient {
                identity: *to,
                device: *device,
                key: contact.envelope,
            },
            id,
            now().to_seconds().saturating_add(lifetime),
            self.checkpoint(),
            &Content {
                kind: SESSION_KIND,
                body: body.to_vec(),
            },
            &mut os_rng(),
        )
        .map_err(ClientError::from)?;
        let mailbox = Descriptor::inbox(&entry.keys);
        let postage = contact_keys::postage(&mailbox.tag(), &sealed.id(), contact.postage).await;
        let put = Put {
            mailbox,
            authority: Authority::Postage(postage),
            envelope: sealed.id(),
            expiry: sealed.expiry(),
            sealed: bounded(sealed.as_bytes())?,
        };
        let outcome = self.put_until(put).await;
        if outcome.is_err() {
            // It may ask for more postage now.
            self.forget_contact(device);
        }
        outcome.map(|_| Answer::Sealed)
    }

    /// The state of an identity, if it has this device and has not revoked it.
    async fn device_of(&self, identity: &IdentityId, device: &DeviceId) -> Result<Option<IdentityState>, Trouble> {
        match self.lookup(identity, MAX_AGE).await {
            Ok(state) => {
                Ok(Some(state).filter(|state| state.device(device).is_some_and(|entry| entry.revoked.is_none())))
            }
            Err(ClientError::UnknownIdentity(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a key package of a suite from the nodes of a device's inbox.
    async fn fetch_package(
        &self,
        identity: &IdentityId,
        device: &DeviceId,
        suite: SessionSuite,
    ) -> Result<Answer, Trouble> {
        let Some(state) = self.device_of(identity, device).await? else {
            return Ok(Answer::Package(None));
        };
        let Some(entry) = state.device(device) else {
            return Ok(Answer::Package(None));
        };
        let network = &self.shared.network;
        let tag = Descriptor::inbox(&entry.keys).tag();
        let nodes = network.nodes();
        let mut keepers: Vec<_> = swarm(&nodes, &tag).into_iter().map(|member| member.key).collect();
        // Another one first each time, so that no node learns of all that is fetched.
        let turn = network.order();
        keepers.sort_by_key(|key| turn.iter().position(|node| node == key));
        let suite_number = Some(suite.number());
        let request = Request::FetchContact {
            tag,
            suite: suite_number,
        };
        let mut answered = 0_usize;
        let mut last = None;
        let mut waiting = keepers.iter();
        let mut asked = FuturesUnordered::new();
        loop {
            if asked.is_empty() {
                match waiting.next() {
                    Some(node) => asked.push(network.question(*node, &request, CALL_TIMEOUT)),
                    None => break,
                }
            }
            let response = tokio::select! {
                biased;
                Some((_, response)) = asked.next() => response,
                () = tokio::time::sleep(HEDGE_AFTER) => {
                    asked.extend(waiting.next().map(|node| network.question(*node, &request, CALL_TIMEOUT)));
                    continue;
                }
            };
            let Ok(response) = response else { continue };
            let Ok(fetched) = response.into_fetched_contact() else {
                continue;
            };
            answered = answered.saturating_add(1);
            let Some(fetched) = fetched else { continue };
            let time = now().to_seconds();
            let ours = fetched.keys.verify(network.id(), identity, &entry.keys, time).is_ok();
            let Some(package) = fetched
                .package
                .filter(|package| ours && is_of(network.id(), package, suite))
            else {
                continue;
            };
            if !fetched.reused {
                return Ok(Answer::Package(Some(package)));
            }
            // Another node may have one that nobody has got.
            last.get_or_insert(package);
        }
        if last.is_some() {
            return Ok(Answer::Package(last));
        }
        if answered >= usize::from(Quorum::for_nodes(nodes.len()).read) {
            return Ok(Answer::Package(None));
        }
        Err(Trouble::Later(
            "too few nodes say whether there are key packages".to_owned(),
        ))
    }

    async fn look_up(&self, identity: &IdentityId) -> Result<Answer, Trouble> {
        let pin = self.shared.store.read(|view| state::pin(view, identity))?;
        let found = self
            .shared
            .network
            .lookup_after(identity, pin.as_ref(), MAX_AGE)
            .await?;
        let height = found.height;
        let found = self.keep_pin(identity, found).await?;
        Ok(Answer::Identity(found.state.map(Box::new), height))
    }

    /// When an envelope was accepted that may have come too late.
    async fn accepted_at(&self, tag: MailboxTag, envelope: EnvelopeId) -> Result<Answer, Trouble> {
        let network = &self.shared.network;
        let of = AcceptanceOf::Envelope { tag, envelope };
        let found = network.acceptance_of(of, tag, envelope, TIME_PATIENCE).await?;
        // Of a ledger that stands still nobody knows what it will have.
        if found.is_none() && !network.is_recent() {
            return Err(Trouble::Later(
                "the ledger does not say yet whether it was accepted".to_owned(),
            ));
        }
        Ok(Answer::Accepted(found.map(|(_, accepted)| accepted.signed_height)))
    }

    /// Those of the key packages whose secrets this device still has, because nobody has added it with them.
    pub(in crate::native) fn unused_packages(
        &self,
        mut packages: Vec<KeyPackage>,
    ) -> Result<Vec<KeyPackage>, ClientError> {
        let (network, time) = (self.shared.network.id(), now().to_seconds());
        self.shared.store.read(|view| {
            let mut failed = None;
            packages.retain(|package| {
                let Ok(info) = read_key_package(network, package, time) else {
                    return false;
                };
                tables::has_package(view, &info.reference).unwrap_or_else(|error| {
                    failed = Some(error);
                    true
                })
            });
            failed.map_or(Ok(()), |error| Err(state::StateError::Store(error)))
        })?;
        Ok(packages)
    }

    /// Publishes key packages with the contact key; whether a write quorum has taken them.
    async fn publish_packages(&self, packages: &[KeyPackage]) -> Result<bool, ClientError> {
        self.keep_packages(self.unused_packages(packages.to_vec())?).await?;
        self.rotate_contact_key().await?;
        self.is_published()
    }
}

fn bounded<const N: usize>(bytes: &[u8]) -> Result<BoundedBytes<N>, Trouble> {
    BoundedBytes::try_from(bytes).map_err(|_| Trouble::Local(ClientError::Store("an envelope is too long".to_owned())))
}

/// Whether a package is of a suite; what can't be read is of none.
fn is_of(network: &NetworkId, package: &KeyPackage, suite: SessionSuite) -> bool {
    read_key_package(network, package, now().to_seconds()).is_ok_and(|info| info.suite == suite)
}
