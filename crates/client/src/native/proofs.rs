//! Proofs of acceptance: fetched, checked, kept; and the work that an interruption left.

use std::time::Duration;

use tokenim_envelope::MessageId;
use tokenim_ledger::AcceptanceProof;
use tokenim_mailbox::Descriptor;
use tokenim_rpc::AcceptanceOf;
use tokenim_wire::{EnvelopeId, Object};

use super::{Client, ClientError, now};
use crate::step::{DeviceDelivery, OutboxMessage, Table, View, state};

/// How long nodes are given to anchor before the receipt is handed to others.
const ANCHOR_PATIENCE: Duration = Duration::from_secs(10);
/// Messages that one call of [`Client::maintain`] works on.
const MAINTAINED_MAX: usize = 1_024;

/// What [`Client::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Messages that were accepted by it.
    pub accepted: usize,
    /// Messages whose last proof it fetched.
    pub proved: usize,
    /// Messages that still need a receipt.
    pub unaccepted: usize,
    /// Messages that are accepted and still need a proof.
    pub unproved: usize,
}

impl Client {
    /// The proofs of acceptance of a message that was sent, one for each device, waiting up to `wait` for those that
    /// are not on the ledger yet. Each is checked with the light client and kept.
    ///
    /// # Errors
    /// [`ClientError::UnknownMessage`], [`ClientError::NotProvedYet`], [`ClientError::NotProgressing`].
    pub async fn proofs(&self, id: &MessageId, wait: Duration) -> Result<Vec<AcceptanceProof>, ClientError> {
        let message = self.outgoing(id)?.ok_or(ClientError::UnknownMessage(*id))?;
        let mut proofs = Vec::new();
        for delivery in message.devices.iter().filter(|delivery| !delivery.dropped) {
            proofs.push(
                self.proof_for(&message, delivery, wait)
                    .await?
                    .ok_or(ClientError::NotProvedYet(*id))?,
            );
        }
        self.note_caught().await?;
        Ok(proofs)
    }

    async fn proof_for(
        &self,
        message: &OutboxMessage,
        delivery: &DeviceDelivery,
        wait: Duration,
    ) -> Result<Option<AcceptanceProof>, ClientError> {
        if let Some(proof) = self.kept_proof(&delivery.envelope)? {
            return Ok(Some(proof));
        }
        let Some(receipt) = &delivery.receipt else {
            return Ok(None);
        };
        let started = tokio::time::Instant::now();
        let mut round = usize::from(delivery.handed);
        if !delivery.handed {
            self.hand_over(receipt, 0).await;
            round = 1;
        }
        loop {
            let left = wait.saturating_sub(started.elapsed());
            let found = self
                .shared
                .network
                .acceptance(receipt, left.min(ANCHOR_PATIENCE))
                .await?;
            if let Some((proof, _)) = found {
                let (id, device, envelope, bytes) = (message.id, delivery.device, delivery.envelope, proof.to_bytes()?);
                self.shared
                    .store
                    .write(move |view| state::prove(view, &id, &device, &envelope, &bytes))
                    .await?;
                return Ok(Some(proof));
            }
            if started.elapsed() >= wait {
                return Ok(None);
            }
            self.hand_over(receipt, round).await;
            round = round.saturating_add(1);
        }
    }

    pub(crate) fn kept_proof(&self, envelope: &EnvelopeId) -> Result<Option<AcceptanceProof>, ClientError> {
        let kept = self.shared.store.read(|view| {
            view.get(Table::Proof, envelope.as_bytes())
                .map_err(state::StateError::Store)
        })?;
        Ok(kept.map(|bytes| AcceptanceProof::from_bytes(&bytes)).transpose()?)
    }

    /// The proof of acceptance of an envelope that this device received, from a node that was handed its receipt.
    ///
    /// # Errors
    /// [`ClientError::Locked`], [`ClientError::NotProgressing`].
    pub async fn received_proof(
        &self,
        envelope: &EnvelopeId,
        wait: Duration,
    ) -> Result<Option<AcceptanceProof>, ClientError> {
        if let Some(proof) = self.kept_proof(envelope)? {
            return Ok(Some(proof));
        }
        let inbox: Descriptor = self.inbox()?;
        let of = AcceptanceOf::Envelope {
            tag: inbox.tag(),
            envelope: *envelope,
        };
        let found = self
            .shared
            .network
            .acceptance_of(of, inbox.tag(), *envelope, wait)
            .await?;
        if let Some((proof, _)) = &found {
            let (envelope, bytes) = (*envelope, proof.to_bytes()?);
            self.shared
                .store
                .write(move |_| {
                    let mut batch = crate::step::Batch::new();
                    batch.put(Table::Proof, envelope.as_bytes().as_slice(), bytes);
                    Ok(((), batch))
                })
                .await?;
        }
        Ok(found.map(|(proof, _)| proof))
    }

    /// One pass over the outbox: sends what has no quorum receipt yet, hands over receipts, fetches proofs that are
    /// there; also forgets what guarded against messages that have expired. Call it after [`Client::open`] and now and
    /// then. No message's failure keeps it from the next one.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn maintain(&self, patience: Duration) -> Result<Maintained, ClientError> {
        let mut done = Maintained::default();
        for message in self.unfinished(MAINTAINED_MAX)? {
            if !message.is_accepted() {
                match self.resume(&message.id, patience).await {
                    Ok(Some(_)) => done.accepted = done.accepted.saturating_add(1),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a message is not accepted yet");
                        done.unaccepted = done.unaccepted.saturating_add(1);
                    }
                }
                continue;
            }
            let mut missing = false;
            for delivery in message
                .devices
                .iter()
                .filter(|delivery| !delivery.dropped && !delivery.proved)
            {
                match self.proof_for(&message, delivery, Duration::ZERO).await {
                    Ok(Some(_)) => {}
                    Ok(None) => missing = true,
                    Err(error) => {
                        tracing::debug!(%error, "a message is not proved yet");
                        missing = true;
                    }
                }
            }
            if missing {
                done.unproved = done.unproved.saturating_add(1);
            } else {
                done.proved = done.proved.saturating_add(1);
            }
        }
        // By the ledger's time, if that is earlier: a clock that is ahead makes nothing forgotten.
        if let Some(tip) = self.shared.network.tip() {
            let seconds = tip.time.min(now()).to_seconds();
            self.shared
                .store
                .write(move |view| Ok(((), state::forget(view, seconds, 1_024)?)))
                .await?;
        }
        if self.shared.keys.is_some() {
            self.rotate_contact_key().await?;
        }
        self.note_caught().await?;
        Ok(done)
    }
}
