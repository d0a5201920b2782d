//! Sending: seal once per device, keep, put on the swarm, collect receipts, hand them over.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokenim_envelope::{Content, ContentKind, MessageId, Recipient, SealError, Sender, seal};
use tokenim_identity::{DeviceId, IdentityId, IdentityState};
use tokenim_mailbox::{Descriptor, QuorumReceipt};
use tokenim_rpc::{AnswerError, Request};
use tokenim_wire::limits::{ENVELOPE_LIFETIME_SECONDS_MAX, MESSAGE_BODY_BYTES_MAX};
use tokenim_wire::{BoundedBytes, EnvelopeId, UnixMillis, UnixSeconds};

use super::client::{Claim, os_rng};
use super::network::CALL_TIMEOUT;
use super::put::{Authority, Failure, Put, Short};
use super::{Client, ClientError, contact_keys, now, vault};
use crate::step::contact::{self, Relation};
use crate::step::{Anchoring, DeviceDelivery, Fault, OutboxMessage, Table, View, state};

/// How a message is sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SendOptions {
    /// For how long nodes keep it, at most 30 days. At first 14 days.
    pub lifetime: Duration,
    /// How old the proof of the recipient's devices may be. At first 30 seconds.
    pub max_age: Duration,
    /// How long to try before the message is left for later. At first 30 seconds.
    pub patience: Duration,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(14 * 24 * 3_600),
            max_age: Duration::from_secs(30),
            patience: Duration::from_secs(30),
        }
    }
}

/// What became of the copy for one device.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceReport {
    /// The recipient's device.
    pub device: DeviceId,
    /// The envelope sealed to it.
    pub envelope: EnvelopeId,
    /// The number of the device's contact key that it is sealed to; none if that is the key on the ledger, which does
    /// not rotate.
    pub contact_key: Option<u64>,
    /// The receipts of W nodes in one.
    pub receipt: QuorumReceipt,
    /// How long it took from the call to this receipt; zero if it was there before.
    pub after: Duration,
}

/// A message that was accepted: each active device of the recipient has its quorum receipt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SendReport {
    /// The message's id.
    pub message: MessageId,
    /// To whom it went.
    pub to: IdentityId,
    /// One entry for each device.
    pub devices: Vec<DeviceReport>,
    /// When `send` was called first.
    pub created: UnixMillis,
    /// How long it took from the call until the last device's quorum was complete.
    pub accepted_after: Duration,
}

impl Client {
    /// Sends a message with the usual [`SendOptions`].
    ///
    /// # Errors
    /// Those of [`Client::send_with`].
    pub async fn send(&self, to: &IdentityId, content: Content) -> Result<SendReport, ClientError> {
        self.send_with(to, content, &SendOptions::default()).await
    }

    /// Seals a message to each active device of `to`, keeps it, and puts it on the nodes until each copy has its
    /// quorum receipt. From then on the network answers for it, and the receipts are on their way to the ledger.
    ///
    /// # Errors
    /// Before anything is kept: [`ClientError::UnknownIdentity`], [`ClientError::NoActiveDevice`],
    /// [`ClientError::Seal`], those of [`Client::lookup`]. After: [`ClientError::NotAccepted`]; the message is kept,
    /// and [`Client::maintain`] goes on with it, also after a crash.
    pub async fn send_with(
        &self,
        to: &IdentityId,
        content: Content,
        options: &SendOptions,
    ) -> Result<SendReport, ClientError> {
        let called = Instant::now();
        let created = now();
        self.keys()?;
        if self
            .contact(to)?
            .is_some_and(|contact| contact.relation == Relation::Blocked)
        {
            return Err(ClientError::Blocked(*to));
        }
        let state = self.lookup(to, options.max_age).await?;
        let id = MessageId::generate(&mut os_rng());
        let expiry = created
            .to_seconds()
            .saturating_add(options.lifetime.as_secs().clamp(60, ENVELOPE_LIFETIME_SECONDS_MAX));
        let kind = content.kind.get();
        let limit = MESSAGE_BODY_BYTES_MAX;
        let actual = content.body.len();
        if actual > limit {
            return Err(SealError::BodyTooLong { limit, actual }.into());
        }
        let sealed_body =
            vault::seal(&self.keys()?.secrets.vault, &vault::sent(&id), &content.body).ok_or(ClientError::Random)?;
        let mut message = OutboxMessage {
            id,
            to: *to,
            created,
            expiry,
            kind,
            sealed_body: BoundedBytes::try_from(sealed_body).map_err(|_| SealError::BodyTooLong { limit, actual })?,
            devices: Default::default(),
        };
        let sealed = self.seal_missing(&mut message, &state).await?;
        if sealed.is_empty() {
            return Err(ClientError::NoActiveDevice(*to));
        }
        let claim = Claim::take(&self.shared.sending, id);
        let batch = (message.clone(), sealed);
        self.shared
            .store
            .write(move |view| Ok(((), state::begin_send(view, &batch.0, &batch.1)?)))
            .await?;
        let report = self.complete(message, options.patience, called).await;
        drop(claim);
        self.note_caught().await?;
        report
    }

    /// Seals to each active device of the recipient that has no envelope yet, and drops revoked ones. Before anything
    /// is sealed, no device may have a lower suite than was seen of the recipient.
    async fn seal_missing(
        &self,
        message: &mut OutboxMessage,
        state: &IdentityState,
    ) -> Result<Vec<(EnvelopeId, Vec<u8>)>, ClientError> {
        let keys = self.keys()?;
        let shared = &self.shared;
        let mut devices = core::mem::take(&mut message.devices).into_inner();
        for delivery in &mut devices {
            let active = state
                .device(&delivery.device)
                .is_some_and(|entry| entry.revoked.is_none());
            if !active && delivery.receipt.is_none() {
                delivery.dropped = true;
            }
        }
        if let Some(device) = self.weaker_devices(state)?.first().copied() {
            return Err(ClientError::SuiteLowered {
                identity: state.id,
                device,
            });
        }
        let body = vault::open(&keys.secrets.vault, &vault::sent(&message.id), &message.sealed_body)
            .ok_or_else(|| shared.store.damaged(Table::Outbox))?;
        let checkpoint = self.checkpoint();
        let has = |id: DeviceId| {
            devices
                .iter()
                .any(|delivery| delivery.device == id && !delivery.dropped)
        };
        let missing = state.active_devices().map(|entry| &entry.keys);
        let missing: Vec<_> = missing.filter(|device| !has(device.device_id())).collect();
        // All at once: nodes that don't answer are waited for once.
        let contacts = join_all(missing.iter().map(|device| self.first_contact(&state.id, device))).await;
        let mut sealed = Vec::new();
        for (device, contact) in missing.into_iter().zip(contacts) {
            let id = device.device_id();
            let envelope = seal(
                shared.network.id(),
                &Sender {
                    identity: shared.identity,
                    device: shared.device,
                    key: &keys.secrets.signing,
                },
                &Recipient {
                    identity: state.id,
                    device: id,
                    key: contact.envelope,
                },
                message.id,
                message.expiry,
                checkpoint,
                &Content {
                    kind: ContentKind::new(message.kind),
                    body: body.to_vec(),
                },
                &mut os_rng(),
            )?;
            devices.push(DeviceDelivery {
                device: id,
                mailbox: Descriptor::inbox(device),
                postage: contact.postage,
                contact_key: contact.number,
                envelope: envelope.id(),
                receipt: None,
                handed: false,
                proved: false,
                dropped: false,
            });
            sealed.push((envelope.id(), envelope.into_bytes()));
        }
        message.devices = devices
            .try_into()
            .map_err(|_| ClientError::NoActiveDevice(message.to))?;
        Ok(sealed)
    }

    /// The devices of an identity that nothing is sealed to, for they ask for a lower suite than was seen of it.
    pub(crate) fn weaker_devices(&self, state: &IdentityState) -> Result<Vec<DeviceId>, ClientError> {
        let pin = self.shared.store.read(|view| state::pin(view, &state.id))?;
        Ok(contact::weaker_devices(pin.and_then(|pin| pin.suite), state).collect())
    }

    /// Asks anew what the inboxes ask for that have not accepted their copy yet: it may have risen.
    async fn refresh_postage(&self, message: &mut OutboxMessage, state: &IdentityState) {
        let mut devices = core::mem::take(&mut message.devices).into_inner();
        let open = devices.iter_mut().filter(|delivery| delivery.receipt.is_none());
        join_all(open.map(|delivery| async move {
            if let Some(entry) = state.device(&delivery.device) {
                self.forget_contact(&delivery.device);
                delivery.postage = self.first_contact(&state.id, &entry.keys).await.postage;
            }
        }))
        .await;
        // The length is as it was.
        message.devices = devices.try_into().unwrap_or_default();
    }

    /// Puts a kept message on the nodes until each device's copy is accepted.
    pub(crate) async fn complete(
        &self,
        message: OutboxMessage,
        patience: Duration,
        called: Instant,
    ) -> Result<SendReport, ClientError> {
        let deliveries = message.devices.iter().filter(|delivery| !delivery.dropped);
        let outcomes =
            join_all(deliveries.map(|delivery| self.complete_device(&message, delivery, patience, called))).await;
        let mut devices = Vec::with_capacity(outcomes.len());
        let mut short: Option<Short> = None;
        for outcome in outcomes {
            match outcome {
                Ok(report) => devices.push(report),
                Err(Failure::Client(error)) => return Err(error),
                Err(Failure::Short(one)) => {
                    if short.as_ref().is_none_or(|worst| one.receipts < worst.receipts) {
                        short = Some(one);
                    }
                }
            }
        }
        match short {
            Some(short) => Err(ClientError::NotAccepted {
                message: message.id,
                receipts: short.receipts,
                wanted: short.wanted,
                last: short.last,
            }),
            None => Ok(SendReport {
                message: message.id,
                to: message.to,
                accepted_after: devices.iter().map(|device| device.after).max().unwrap_or_default(),
                devices,
                created: message.created,
            }),
        }
    }

    async fn complete_device(
        &self,
        message: &OutboxMessage,
        delivery: &DeviceDelivery,
        patience: Duration,
        called: Instant,
    ) -> Result<DeviceReport, Failure> {
        let mut after = Duration::ZERO;
        let receipt = match &delivery.receipt {
            Some(receipt) => receipt.clone(),
            None => {
                let receipt = self.collect(delivery, message.expiry, patience).await?;
                after = called.elapsed();
                let (id, device, kept) = (message.id, delivery.device, receipt.clone());
                self.shared
                    .store
                    .write(move |view| state::accept(view, &id, &device, &kept))
                    .await?;
                receipt
            }
        };
        if !delivery.handed && self.hand_over(&receipt, 0).await {
            let (id, device) = (message.id, delivery.device);
            self.shared
                .store
                .write(move |view| Ok(((), state::handed_over(view, &id, &device)?)))
                .await?;
        }
        Ok(DeviceReport {
            device: delivery.device,
            envelope: delivery.envelope,
            contact_key: delivery.contact_key,
            receipt,
            after,
        })
    }

    /// Asks the swarm until W receipts verify.
    async fn collect(
        &self,
        delivery: &DeviceDelivery,
        expiry: UnixSeconds,
        patience: Duration,
    ) -> Result<QuorumReceipt, Failure> {
        let shared = &self.shared;
        let sealed = shared
            .store
            .read(|view| {
                view.get(Table::Sealed, delivery.envelope.as_bytes())
                    .map_err(state::StateError::Store)
            })?
            .ok_or(ClientError::Store("a sealed envelope is gone".to_owned()))?;
        let sealed: BoundedBytes<{ tokenim_wire::limits::ENVELOPE_BYTES_MAX }> = sealed
            .try_into()
            .map_err(|_| ClientError::Store("a sealed envelope is too long".to_owned()))?;
        let tag = delivery.mailbox.tag();
        let postage = contact_keys::postage(&tag, &delivery.envelope, delivery.postage).await;
        let put = Put {
            mailbox: delivery.mailbox,
            authority: Authority::Postage(postage),
            envelope: delivery.envelope,
            expiry,
            sealed,
        };
        self.put(put, patience).await
    }

    /// Hands a quorum receipt to two nodes for anchoring; whether two took it.
    pub(crate) async fn hand_over(&self, receipt: &QuorumReceipt, round: usize) -> bool {
        let network = &self.shared.network;
        let mut steps = Anchoring::new(&network.nodes(), receipt, round);
        let request = Request::Anchor {
            receipt: Box::new(receipt.clone()),
        };
        loop {
            let nodes = steps.hand();
            if nodes.is_empty() {
                return steps.is_handed_over();
            }
            let calls = nodes
                .iter()
                .map(|node| network.links.call(node, &request, CALL_TIMEOUT));
            for (node, outcome) in nodes.iter().zip(join_all(calls).await) {
                match outcome.map(tokenim_rpc::Response::into_anchor) {
                    Ok(Ok(_)) => steps.acknowledged(),
                    Ok(Err(AnswerError::Refused(error))) => {
                        tracing::debug!(%node, %error, "a node does not anchor");
                    }
                    Ok(Err(_)) => {
                        network.caught(node, Fault::WrongAnswer);
                    }
                    Err(error) => tracing::debug!(%node, %error, "a node does not anchor"),
                }
            }
        }
    }
}

impl Client {
    /// Goes on with a message that an earlier run left unfinished, after a look at the recipient's devices.
    pub(crate) async fn resume(&self, id: &MessageId, patience: Duration) -> Result<Option<SendReport>, ClientError> {
        let Some(_claim) = Claim::take(&self.shared.sending, *id) else {
            return Ok(None);
        };
        let Some(mut message) = self.outgoing(id)? else {
            return Ok(None);
        };
        if !message.is_accepted() && self.shared.keys.is_some() {
            let state = self.lookup(&message.to, SendOptions::default().max_age).await?;
            let before = message.clone();
            self.refresh_postage(&mut message, &state).await;
            let sealed = self.seal_missing(&mut message, &state).await?;
            if message != before {
                let replan = message.clone();
                self.shared
                    .store
                    .write(move |view| Ok(((), state::replan(view, &replan, &sealed)?)))
                    .await?;
            }
        }
        self.complete(message, patience, Instant::now()).await.map(Some)
    }
}
