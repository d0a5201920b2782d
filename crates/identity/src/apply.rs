//! The rule by which a record continues a chain.

use crate::{
    Authorization, DeviceConsent, DeviceEntry, DeviceId, DeviceKeys, DeviceRecord, IdentityState, NextRootRecord,
    Operation, Pending, PendingOperation, Place, Rank, Record, RecordError, RootRecord, Signature, SignedRecord,
    Standing, next_root_digest,
};
use alloc::vec::Vec;
use tokenim_wire::{
    BoundedVec, Digest, Height,
    limits::{DEVICES_PER_IDENTITY_MAX, RECORDS_PER_ROOT_MAX, RECORDS_RESERVED},
};

impl IdentityState {
    /// The state after one more record. Signatures are verified by ZIP-215, since all must agree. This state is left
    /// as it is.
    ///
    /// | operation | root | next root | recovery keys | a live device |
    /// |---|---|---|---|---|
    /// | add device | with the device's consent | – | – | – |
    /// | revoke device | at once | – | – | itself |
    /// | rotate root | – | pending | – | – |
    /// | set recovery | pending | at once if none are set, else pending | – | – |
    /// | deactivate | pending | – | – | – |
    /// | cancel | what the root signed | anything | – | – |
    /// | complete | when due | when due | – | when due |
    /// | recover | – | – | at once | – |
    /// | link, unlink account | at once | – | – | – |
    ///
    /// One operation is pending at a time; another one takes its place if its signer stands as high, and waits for the
    /// whole window anew. A recovery drops whatever is pending. A deactivated identity takes nothing but a recovery.
    ///
    /// # Errors
    /// [`RecordError`] for what is wrong first; the cheap checks come before the signatures.
    pub fn apply(&self, place: &Place<'_>, signed: &SignedRecord) -> Result<Self, RecordError> {
        let record = &signed.record;
        self.check_next(place, record)?;
        check_allowed(&record.op, &signed.authorization)?;
        self.check_signer(place, &signed.authorization)?;
        let mut next = self.clone();
        next.spent = next.spent.saturating_add(1);
        next.carry_out(place, record, &signed.authorization)?;
        self.check_signatures(place, signed)?;
        next.seq = record.seq;
        next.head = signed.digest()?;
        next.log = self.log_after(&next.head, place)?;
        Ok(next)
    }

    /// Checks that a record is the next one of this chain.
    fn check_next(&self, place: &Place<'_>, record: &Record) -> Result<(), RecordError> {
        if record.network != *place.network {
            return Err(RecordError::WrongNetwork);
        }
        if record.identity != self.id {
            return Err(RecordError::WrongIdentity);
        }
        let expected = self.next_seq()?;
        if record.seq != expected {
            return Err(RecordError::WrongSequence {
                expected,
                actual: record.seq,
            });
        }
        if record.prev != self.head {
            return Err(RecordError::WrongPrevious);
        }
        if self.deactivated().is_some() && !matches!(record.op, Operation::Recover { .. }) {
            return Err(RecordError::Deactivated);
        }
        Ok(())
    }

    /// Checks that the signer is who it says, but for the signature, and has not signed too many records.
    ///
    /// The root may sign only so many, so that a thief of it can't fill the chain, or for long put a record of its own
    /// before each of the owner's: what is left serves the next root and devices that leave. Recovery is never
    /// refused for this.
    fn check_signer(&self, place: &Place<'_>, authorization: &Authorization) -> Result<(), RecordError> {
        let limit = match authorization {
            Authorization::Root(_) => RECORDS_PER_ROOT_MAX,
            Authorization::Device(id, _) => {
                live(self.device(id), place.height)?;
                RECORDS_PER_ROOT_MAX.saturating_add(RECORDS_RESERVED)
            }
            Authorization::NextRoot { key, .. } => {
                if next_root_digest(key) != self.next_root {
                    return Err(RecordError::WrongNextRoot);
                }
                RECORDS_PER_ROOT_MAX.saturating_add(RECORDS_RESERVED)
            }
            Authorization::Recovery(proof) => {
                return proof.check_against(&self.recovery.ok_or(RecordError::NoRecovery)?);
            }
        };
        if self.spent < limit {
            Ok(())
        } else {
            Err(RecordError::RecordsFull)
        }
    }

    /// Does what a record says, which the signer may do.
    fn carry_out(
        &mut self,
        place: &Place<'_>,
        record: &Record,
        authorization: &Authorization,
    ) -> Result<(), RecordError> {
        match &record.op {
            Operation::AddDevice { keys, consent } => {
                self.add(keys, place.height)?;
                check_consent(place, record, keys, consent)
            }
            Operation::RevokeDevice { device } => {
                let entry = self.devices.as_mut_slice().iter_mut();
                let entry = entry.into_iter().find(|entry| entry.keys.device_id() == *device);
                live(entry.as_deref(), place.height)?;
                entry.into_iter().for_each(|entry| entry.revoked = Some(place.height));
                Ok(())
            }
            Operation::RotateRoot { next_root } => match authorization {
                Authorization::NextRoot { key, .. } => {
                    let (root, next_root) = (*key, *next_root);
                    self.wait(place, Rank::NextRoot, PendingOperation::RotateRoot { root, next_root })
                }
                _ => Err(RecordError::NotAllowed),
            },
            Operation::SetRecovery { recovery } => {
                let rank = rank_of(authorization)?;
                if rank == Rank::NextRoot && self.recovery.is_none() {
                    self.recovery = *recovery;
                    return Ok(());
                }
                self.wait(place, rank, PendingOperation::SetRecovery { recovery: *recovery })
            }
            Operation::Deactivate => self.wait(place, rank_of(authorization)?, PendingOperation::Deactivate),
            Operation::Cancel => {
                let pending = self.pending().ok_or(RecordError::NothingPending)?;
                if rank_of(authorization)? < pending.rank {
                    return Err(RecordError::Outranked);
                }
                self.standing = Standing::Active;
                Ok(())
            }
            Operation::Complete => self.complete(place),
            Operation::Recover {
                root,
                next_root,
                recovery,
                keep,
            } => {
                if !keep.is_sorted_by(|before, after| before < after) {
                    return Err(RecordError::NotAscending);
                }
                keep.iter()
                    .try_for_each(|id| live(self.device(id), place.height).map(|_| ()))?;
                self.revoke_all_but(keep, place.height)?;
                self.root = *root;
                self.next_root = *next_root;
                self.recovery = *recovery;
                self.standing = Standing::Active;
                self.spent = 0;
                Ok(())
            }
            Operation::LinkAccount { commitment } => {
                if self.links.contains(commitment) {
                    return Err(RecordError::LinkExists);
                }
                self.links.push(*commitment).map_err(|_| RecordError::LinksFull)
            }
            Operation::UnlinkAccount { commitment } => {
                let links: Vec<Digest> = self.links.iter().copied().filter(|link| link != commitment).collect();
                if links.len() == self.links.len() {
                    return Err(RecordError::UnknownLink);
                }
                self.links = BoundedVec::try_from(links).map_err(|_| RecordError::LinksFull)?;
                Ok(())
            }
        }
    }

    /// Adds a device. Where there is no room, that one makes place which was revoked first.
    fn add(&mut self, keys: &DeviceKeys, at: Height) -> Result<(), RecordError> {
        if self.device(&keys.device_id()).is_some() {
            return Err(RecordError::DeviceExists);
        }
        if self.devices.len() >= DEVICES_PER_IDENTITY_MAX {
            let revoked = self.devices.iter().enumerate();
            let (first, _) = revoked
                .filter_map(|(index, entry)| Some((index, entry.revoked?)))
                .min_by_key(|(index, revoked)| (*revoked, *index))
                .ok_or(RecordError::DevicesFull)?;
            let mut kept = core::mem::take(&mut self.devices).into_inner();
            kept.remove(first);
            self.devices = BoundedVec::try_from(kept).map_err(|_| RecordError::DevicesFull)?;
        }
        let entry = DeviceEntry {
            keys: keys.clone(),
            added: at,
            revoked: None,
        };
        self.devices.push(entry).map_err(|_| RecordError::DevicesFull)
    }

    /// Revokes every device that is not revoked and not among `keep`.
    fn revoke_all_but(&mut self, keep: &[DeviceId], at: Height) -> Result<(), RecordError> {
        for entry in self.devices.as_mut_slice() {
            if entry.revoked.is_none() && !keep.contains(&entry.keys.device_id()) {
                live(Some(entry), at)?;
                entry.revoked = Some(at);
            }
        }
        Ok(())
    }

    /// Lets an operation wait for the window to pass, in the place of another one whose signer stands no higher.
    fn wait(&mut self, place: &Place<'_>, rank: Rank, op: PendingOperation) -> Result<(), RecordError> {
        if self.pending().is_some_and(|pending| rank < pending.rank) {
            return Err(RecordError::Outranked);
        }
        self.standing = Standing::Pending(Pending {
            op,
            rank,
            submitted: place.height,
            due: place.time.saturating_add(place.window_ms),
        });
        Ok(())
    }

    /// Carries out what is pending.
    fn complete(&mut self, place: &Place<'_>) -> Result<(), RecordError> {
        let pending = *self.pending().ok_or(RecordError::NothingPending)?;
        if place.height < pending.submitted {
            return Err(RecordError::HeightWentBack);
        }
        if place.time < pending.due {
            return Err(RecordError::NotDue { due: pending.due });
        }
        self.standing = Standing::Active;
        match pending.op {
            PendingOperation::RotateRoot { root, next_root } => {
                self.root = root;
                self.next_root = next_root;
                self.spent = 0;
            }
            PendingOperation::SetRecovery { recovery } => self.recovery = recovery,
            PendingOperation::Deactivate => {
                self.revoke_all_but(&[], place.height)?;
                self.standing = Standing::Deactivated { at: place.height };
            }
        }
        Ok(())
    }

    /// Checks the signatures of a record by the keys that this state knows, or that [`Self::check_signer`] found to be
    /// committed to.
    fn check_signatures(&self, place: &Place<'_>, signed: &SignedRecord) -> Result<(), RecordError> {
        let (network, record) = (place.network, &signed.record);
        let held = match &signed.authorization {
            Authorization::Root(signature) => self.root.verify_zip215(network, &RootRecord(record), signature),
            Authorization::Device(id, signature) => {
                let key = self.device(id).ok_or(RecordError::UnknownDevice)?.keys.signing;
                key.verify_zip215(network, &DeviceRecord(record), signature)
            }
            Authorization::NextRoot { key, signature } => {
                key.verify_zip215(network, &NextRootRecord(record), signature)
            }
            Authorization::Recovery(proof) => return proof.verify(record),
        };
        held.map_err(|_| RecordError::Signature)
    }
}

/// The table of operations and signers, but for what depends on the state.
fn check_allowed(op: &Operation, authorization: &Authorization) -> Result<(), RecordError> {
    use Authorization as By;
    let allowed = match op {
        Operation::AddDevice { .. }
        | Operation::Deactivate
        | Operation::LinkAccount { .. }
        | Operation::UnlinkAccount { .. } => matches!(authorization, By::Root(_)),
        Operation::RevokeDevice { device } => match authorization {
            By::Root(_) => true,
            By::Device(signer, _) => signer == device,
            By::NextRoot { .. } | By::Recovery(_) => false,
        },
        Operation::RotateRoot { .. } => matches!(authorization, By::NextRoot { .. }),
        Operation::SetRecovery { .. } | Operation::Cancel => {
            matches!(authorization, By::Root(_) | By::NextRoot { .. })
        }
        Operation::Complete => matches!(authorization, By::Root(_) | By::NextRoot { .. } | By::Device(..)),
        Operation::Recover { .. } => matches!(authorization, By::Recovery(_)),
    };
    if allowed { Ok(()) } else { Err(RecordError::NotAllowed) }
}

/// How high the signer of something that can be pending stands.
const fn rank_of(authorization: &Authorization) -> Result<Rank, RecordError> {
    match authorization {
        Authorization::Root(_) => Ok(Rank::Root),
        Authorization::NextRoot { .. } => Ok(Rank::NextRoot),
        Authorization::Device(..) | Authorization::Recovery(_) => Err(RecordError::NotAllowed),
    }
}

/// Checks that a device is there, not revoked, and was not added later.
fn live(entry: Option<&DeviceEntry>, at: Height) -> Result<&DeviceEntry, RecordError> {
    let entry = entry.ok_or(RecordError::UnknownDevice)?;
    if entry.revoked.is_some() {
        return Err(RecordError::DeviceRevoked);
    }
    if at < entry.added {
        return Err(RecordError::HeightWentBack);
    }
    Ok(entry)
}

/// Checks that a device has agreed to be added by a record.
fn check_consent(
    place: &Place<'_>,
    record: &Record,
    keys: &DeviceKeys,
    consent: &Signature,
) -> Result<(), RecordError> {
    let statement = DeviceConsent {
        identity: record.identity,
        seq: record.seq,
        keys: keys.clone(),
    };
    keys.signing
        .verify_zip215(place.network, &statement, consent)
        .map_err(|_| RecordError::Consent)
}
