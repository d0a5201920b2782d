//! The engine's fault reports as evidence that anyone can check.

use commonware_codec::{Encode, ReadExt as _};
use commonware_consensus::simplex::types::{Attributable as _, Finalize, Notarize, Nullify};
use commonware_utils::Participant;
use tokenim_consensus::{Choice, Misbehaviour, Offence, ValidatorSet, View};
use tokenim_identity::{NodeKey, Signature};
use tokenim_wire::Epoch;

use crate::types::{Activity, EngineDigest, Scheme, block_digest};

type NotarizeVote = Notarize<Scheme, EngineDigest>;
type FinalizeVote = Finalize<Scheme, EngineDigest>;

/// Translates a fault report; `None` for any other activity. Nothing is verified.
pub(crate) fn misbehaviour(validators: &ValidatorSet, activity: &Activity) -> Option<Misbehaviour> {
    match activity {
        Activity::ConflictingNotarize(conflict) => {
            // The engine keeps the two votes private, but not their encoding.
            let mut bytes = conflict.encode();
            let one = NotarizeVote::read(&mut bytes).ok()?;
            let other = NotarizeVote::read(&mut bytes).ok()?;
            Some(Misbehaviour::two_notarizes(
                validator(validators, one.signer())?,
                Epoch::new(one.proposal.round.epoch().get()),
                View::new(one.proposal.round.view().get()),
                notarize_choice(&one)?,
                notarize_choice(&other)?,
            ))
        }
        Activity::ConflictingFinalize(conflict) => {
            let mut bytes = conflict.encode();
            let one = FinalizeVote::read(&mut bytes).ok()?;
            let other = FinalizeVote::read(&mut bytes).ok()?;
            Some(Misbehaviour::two_finalizes(
                validator(validators, one.signer())?,
                Epoch::new(one.proposal.round.epoch().get()),
                View::new(one.proposal.round.view().get()),
                finalize_choice(&one)?,
                finalize_choice(&other)?,
            ))
        }
        Activity::NullifyFinalize(conflict) => {
            let mut bytes = conflict.encode();
            let nullify = Nullify::<Scheme>::read(&mut bytes).ok()?;
            let finalize = FinalizeVote::read(&mut bytes).ok()?;
            Some(Misbehaviour {
                validator: validator(validators, nullify.signer())?,
                epoch: Epoch::new(nullify.round.epoch().get()),
                view: View::new(nullify.round.view().get()),
                offence: Offence::NullifyAndFinalize {
                    nullify: signature(nullify.attestation.signature.get()?)?,
                    finalize: finalize_choice(&finalize)?,
                },
            })
        }
        _ => None,
    }
}

fn validator(validators: &ValidatorSet, signer: Participant) -> Option<NodeKey> {
    let index = u16::try_from(signer.get()).ok()?;
    validators.get(index).map(|validator| validator.key)
}

fn signature(signature: &impl AsRef<[u8]>) -> Option<Signature> {
    Signature::try_from(signature.as_ref()).ok()
}

fn notarize_choice(vote: &NotarizeVote) -> Option<Choice> {
    Some(Choice {
        parent_view: View::new(vote.proposal.parent.get()),
        digest: block_digest(&vote.proposal.payload),
        signature: signature(vote.attestation.signature.get()?)?,
    })
}

fn finalize_choice(vote: &FinalizeVote) -> Option<Choice> {
    Some(Choice {
        parent_view: View::new(vote.proposal.parent.get()),
        digest: block_digest(&vote.proposal.payload),
        signature: signature(vote.attestation.signature.get()?)?,
    })
}

#[cfg(test)]
mod tests {
    use commonware_consensus::{
        simplex::types::{ConflictingFinalize, ConflictingNotarize, NullifyFinalize, Proposal},
        types::{Epoch as EngineEpoch, Round, View as EngineView},
    };
    use commonware_cryptography::sha256;
    use commonware_utils::ordered::Set;
    use tokenim_consensus::{MisbehaviourError, Validator, namespace};
    use tokenim_identity::NodeSigningKey;
    use tokenim_wire::NetworkId;

    use super::*;
    use crate::types::{private_key, public_key};

    #[test]
    fn real_fault_reports_convict() {
        let network = NetworkId::from_bytes([3; 32]);
        let keys: Vec<_> = (1..=4).map(|seed| NodeSigningKey::from_seed([seed; 32])).collect();
        let validators =
            ValidatorSet::new(keys.iter().map(|key| Validator::new(key.verifying_key())).collect()).unwrap();
        let participants = Set::from_iter_dedup(
            validators
                .validators()
                .iter()
                .map(|validator| public_key(&validator.key).unwrap()),
        );
        let scheme = Scheme::signer(&namespace(&network), participants, private_key(&keys[2]).unwrap()).unwrap();
        let round = Round::new(EngineEpoch::zero(), EngineView::new(300));
        let proposal = |byte| Proposal::new(round, EngineView::new(299), sha256::Digest([byte; 32]));
        let notarize = |byte| Notarize::sign(&scheme, proposal(byte)).unwrap();
        let finalize = |byte| Finalize::sign(&scheme, proposal(byte)).unwrap();
        let nullify = Nullify::sign::<EngineDigest>(&scheme, round).unwrap();

        for activity in [
            Activity::ConflictingNotarize(ConflictingNotarize::new(notarize(9), notarize(8))),
            Activity::ConflictingFinalize(ConflictingFinalize::new(finalize(8), finalize(9))),
            Activity::NullifyFinalize(NullifyFinalize::new(nullify, finalize(8))),
        ] {
            let evidence = misbehaviour(&validators, &activity).unwrap();
            assert_eq!(evidence.verify(&network, &validators), Ok(keys[2].verifying_key()));
            let other = NetworkId::from_bytes([4; 32]);
            assert_eq!(evidence.verify(&other, &validators), Err(MisbehaviourError::Signature));
        }
        assert!(misbehaviour(&validators, &Activity::Notarize(notarize(1))).is_none());
    }
}
