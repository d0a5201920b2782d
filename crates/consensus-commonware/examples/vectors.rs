//! Prints the vectors of `tokenim-consensus`, made from the engine's own bytes:
//!
//! ```sh
//! cargo run -p tokenim-consensus-commonware --example vectors > crates/consensus/tests/vectors/finality.json
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::{
    simplex::{
        scheme::ed25519::Scheme,
        types::{Finalization, Finalize, Notarization, Notarize, Nullify, Proposal},
    },
    types::{Epoch as EngineEpoch, Round, View as EngineView},
};
use commonware_cryptography::{ed25519, sha256};
use commonware_parallel::Sequential;
use commonware_utils::{iter::NonEmpty, ordered::Set, test_rng};
use curve25519_dalek::Scalar;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use support::{App, Disk, NETWORK};
use tokenim_consensus::{
    Block, BlockDigest, Certificate, CertificateError, Choice, FinalityError, FinalityProof, Header, Misbehaviour,
    MisbehaviourError, Offence, Validator, ValidatorSet, View, namespace,
};
use tokenim_consensus_commonware::simulation::{Event, Scenario, simulate};
use tokenim_identity::{NodeSigningKey, Signature};
use tokenim_wire::{Epoch, NetworkId, Object, hex};

#[path = "../tests/support/mod.rs"]
mod support;

type Digest = sha256::Digest;

const OTHER_NETWORK: NetworkId = NetworkId::from_bytes([0x99; 32]);

/// The engine's signing side of one validator set.
struct Committee {
    set: ValidatorSet,
    keys: Vec<NodeSigningKey>,
}

impl Committee {
    fn new(keys: Vec<NodeSigningKey>) -> Self {
        let mut keys = keys;
        keys.sort_by_key(NodeSigningKey::verifying_key);
        let set = ValidatorSet::new(keys.iter().map(|key| Validator::new(key.verifying_key())).collect()).unwrap();
        Self { set, keys }
    }

    fn of(n: usize) -> Self {
        Self::new((0..n).map(Scenario::key).collect())
    }

    fn participants(&self) -> Set<ed25519::PublicKey> {
        Set::from_iter_dedup(
            self.keys
                .iter()
                .map(|key| ed25519::PublicKey::decode(Copying(key.verifying_key().as_bytes())).unwrap()),
        )
    }

    fn scheme(&self, network: &NetworkId, signer: usize) -> Scheme {
        let key = ed25519::PrivateKey::decode(Copying(self.keys[signer].expose_seed().as_slice())).unwrap();
        Scheme::signer(&namespace(network), self.participants(), key).unwrap()
    }

    fn finalization(
        &self,
        network: &NetworkId,
        proposal: &Proposal<Digest>,
        signers: impl IntoIterator<Item = usize>,
    ) -> Vec<u8> {
        let votes: Vec<_> = signers
            .into_iter()
            .map(|signer| Finalize::sign(&self.scheme(network, signer), proposal.clone()).unwrap())
            .collect();
        let scheme = self.scheme(network, 0);
        let finalization =
            Finalization::from_finalizes(&scheme, NonEmpty::try_new(votes.iter()).unwrap(), &Sequential).unwrap();
        assert!(finalization.verify(&mut test_rng(), &scheme, &Sequential));
        finalization.encode().to_vec()
    }

    fn quorum(&self) -> std::ops::Range<usize> {
        0..self.set.quorum()
    }
}

fn proposal(header: &Header, epoch: u64, view: u64) -> Proposal<Digest> {
    Proposal::new(
        Round::new(EngineEpoch::new(epoch), EngineView::new(view)),
        EngineView::new(view - 1),
        sha256::Digest(header.digest().to_bytes()),
    )
}

/// Blocks and certificates of a run of real engines, two of whose heights are final through a
/// descendant only if the seed gives such.
fn run() -> (ValidatorSet, Vec<Block>, Vec<Option<Certificate>>) {
    let mut scenario = Scenario::calm(20, 4, Duration::from_secs(20));
    scenario.events = vec![
        (Duration::from_secs(2), Event::Loss(25)),
        (Duration::from_secs(6), Event::Crash(2)),
        (Duration::from_secs(9), Event::Restart(2)),
        (Duration::from_secs(11), Event::Partition(BTreeSet::from([0, 1]))),
        (Duration::from_secs(13), Event::Heal),
    ];
    let set = scenario.validator_set().unwrap();
    let genesis = support::genesis(set.digest());
    let disks: Vec<_> = (0..4).map(|_| Disk::new(genesis.clone())).collect();
    let outcome = simulate(&scenario, &genesis, |node, clock| {
        let (sleep, now) = (clock.clone(), clock);
        App::new(
            node,
            disks[node].clone(),
            Arc::new(move |duration| Box::pin(sleep.sleep(duration))),
            Arc::new(move || now.now()),
            Duration::from_millis(50),
        )
    })
    .unwrap();
    assert!(outcome.failed.is_empty());
    let disk = disks[0].lock().unwrap();
    let certificates = disk
        .blocks
        .iter()
        .map(|block| disk.certificates.get(&block.header.height.get()).cloned())
        .collect();
    (set, disk.blocks.clone(), certificates)
}

fn object(value: &impl Object) -> String {
    hex::encode(&value.to_bytes().unwrap())
}

struct Cases {
    accepted: Vec<Value>,
    rejected: Vec<Value>,
}

impl Cases {
    fn accept(&mut self, name: &str, set: &ValidatorSet, header: &Header, certificate: &[u8]) {
        let parsed = Certificate::new(certificate.to_vec()).unwrap().parse().unwrap();
        self.accepted.push(json!({
            "name": name,
            "validators": object(set),
            "header": object(header),
            "header_digest": header.digest().to_string(),
            "certificate": hex::encode(certificate),
            "epoch": parsed.proposal.epoch.get(),
            "view": parsed.proposal.view.get(),
            "parent_view": parsed.proposal.parent_view.get(),
            "signers": parsed.signers,
            "signed": hex::encode(&parsed.proposal.finalize_bytes(&NETWORK)),
        }));
    }

    fn reject(
        &mut self,
        name: &str,
        set: &ValidatorSet,
        header: &Header,
        certificate: &[u8],
        error: impl Into<FinalityError>,
    ) {
        self.rejected.push(json!({
            "name": name,
            "validators": object(set),
            "header": object(header),
            "certificate": hex::encode(certificate),
            "error": format!("{:?}", error.into()),
        }));
    }
}

/// A signature by `key` that ZIP-215 accepts and a cofactorless verifier refuses: its point R has
/// order two.
fn split_signature(key: &NodeSigningKey, message: &[u8]) -> [u8; 64] {
    let expanded: [u8; 64] = Sha512::digest(key.expose_seed().as_slice()).into();
    let mut clamped: [u8; 32] = expanded[..32].try_into().unwrap();
    clamped[0] &= 248;
    clamped[31] = clamped[31] & 127 | 64;
    let secret = Scalar::from_bytes_mod_order(clamped);
    let mut point = [0xff; 32];
    point[0] = 0xec;
    point[31] = 0x7f;
    let challenge: [u8; 64] = Sha512::new()
        .chain_update(point)
        .chain_update(key.verifying_key().as_bytes())
        .chain_update(message)
        .finalize()
        .into();
    let response = Scalar::from_bytes_mod_order_wide(&challenge) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice(response.as_bytes());
    signature
}

/// Offsets in a certificate whose integers take one byte: digest, bit count, bitmap, signatures.
const DIGEST: usize = 3;
const BITS: usize = DIGEST + 32;
const BITMAP: usize = BITS + 8;

fn main() {
    let committee = Committee::of(4);
    let (set, blocks, certificates) = run();
    assert_eq!(set, committee.set);
    let mut cases = Cases {
        accepted: Vec::new(),
        rejected: Vec::new(),
    };

    // Real bytes: the first certificate, one with a two-byte view, one with all signers if any.
    let certified: Vec<_> = blocks
        .iter()
        .zip(&certificates)
        .filter_map(|(block, certificate)| Some((block, certificate.as_ref()?)))
        .collect();
    let (first, certificate) = certified[0];
    cases.accept("first_certificate", &set, &first.header, certificate.as_bytes());
    let late = certified
        .iter()
        .find(|(_, certificate)| certificate.parse().unwrap().proposal.view.get() > 127);
    let (block, certificate) = late.expect("the run is long enough");
    cases.accept("view_of_two_bytes", &set, &block.header, certificate.as_bytes());
    let skipped = certified.iter().find(|(_, certificate)| {
        let proposal = certificate.parse().unwrap().proposal;
        proposal.parent_view.next() != Some(proposal.view)
    });
    let (block, certificate) = skipped.expect("the run skips a view");
    cases.accept("after_a_skipped_view", &set, &block.header, certificate.as_bytes());

    // The engine's own code on other sets.
    let header = first.header;
    for (name, n) in [
        ("one_validator", 1),
        ("seven_validators", 7),
        ("bitmap_of_two_bytes", 9),
    ] {
        let committee = Committee::of(n);
        let bytes = committee.finalization(&NETWORK, &proposal(&header, 0, 5), committee.quorum());
        cases.accept(name, &committee.set, &header, &bytes);
    }
    let all = committee.finalization(&NETWORK, &proposal(&header, 0, 5), 0..4);
    cases.accept("all_signers", &set, &header, &all);
    let sparse = committee.finalization(&NETWORK, &proposal(&header, 0, 5), [0, 2, 3]);
    cases.accept("absent_signer", &set, &header, &sparse);

    // A Byzantine validator's signature that only ZIP-215 accepts: the engine takes it, so must we.
    let good = committee.finalization(&NETWORK, &proposal(&header, 0, 5), 0..3);
    let signatures = BITMAP + 2;
    let message = Certificate::new(good.clone())
        .unwrap()
        .parse()
        .unwrap()
        .proposal
        .finalize_bytes(&NETWORK);
    let mut split = good.clone();
    split[signatures..signatures + 64].copy_from_slice(&split_signature(&committee.keys[0], &message));
    let engine = Finalization::<Scheme, Digest>::read_certificate(&split, 4);
    assert!(
        engine.verify(&mut test_rng(), &committee.scheme(&NETWORK, 1), &Sequential),
        "the engine refuses it"
    );
    cases.accept("split_verdict_zip215_only", &set, &header, &split);

    // One certificate per way to be refused.
    let changed = |at: usize, flip: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= flip;
        bytes
    };
    let malformed = FinalityError::Certificate;
    let signature = |signer| FinalityError::Signature { signer };
    cases.reject(
        "bit_flip_in_signature",
        &set,
        &header,
        &changed(signatures + 70, 4),
        signature(1),
    );
    cases.reject("bit_flip_in_view", &set, &header, &changed(1, 0x10), signature(0));
    cases.reject(
        "bit_flip_in_parent_view",
        &set,
        &header,
        &changed(2, 1),
        malformed(CertificateError::ViewOrder),
    );
    cases.reject(
        "bit_flip_in_digest",
        &set,
        &header,
        &changed(DIGEST + 9, 1),
        FinalityError::WrongDigest,
    );
    cases.reject(
        "bit_flip_in_epoch",
        &set,
        &header,
        &changed(0, 1),
        FinalityError::WrongEpoch,
    );
    cases.reject(
        "other_signer_in_bitmap",
        &set,
        &header,
        &changed(BITMAP, 0b1100),
        signature(3),
    );

    let few = {
        let mut bytes = good.clone();
        bytes[BITMAP] = 0b0011;
        bytes[BITMAP + 1] = 2;
        bytes.truncate(signatures + 128);
        bytes
    };
    let too_few = CertificateError::TooFewSigners { required: 3, actual: 2 };
    cases.reject("too_few_signers", &set, &header, &few, malformed(too_few));
    let mut duplicate = good.clone();
    duplicate.copy_within(signatures..signatures + 64, signatures + 64);
    cases.reject("duplicate_signature", &set, &header, &duplicate, signature(1));
    let mut extra = good.clone();
    extra[BITMAP + 1] = 4;
    extra.extend_from_slice(&good[signatures..signatures + 64]);
    cases.reject(
        "more_signatures_than_signers",
        &set,
        &header,
        &extra,
        malformed(CertificateError::SignatureCount),
    );
    cases.reject(
        "bitmap_tail_bit",
        &set,
        &header,
        &changed(BITMAP, 0x80),
        malformed(CertificateError::BitmapTail),
    );
    let mut long = vec![0x80, 0x00];
    long.extend_from_slice(&good[1..]);
    cases.reject(
        "non_minimal_integer",
        &set,
        &header,
        &long,
        malformed(CertificateError::IntegerNotMinimal),
    );
    let mut trailing = good.clone();
    trailing.push(0);
    cases.reject(
        "trailing_byte",
        &set,
        &header,
        &trailing,
        malformed(CertificateError::TrailingBytes),
    );
    let short = &good[..good.len() - 1];
    cases.reject(
        "truncated",
        &set,
        &header,
        short,
        malformed(CertificateError::Truncated),
    );
    cases.reject("empty", &set, &header, &[], malformed(CertificateError::Truncated));
    let none = CertificateError::ValidatorCount { limit: 128, actual: 0 };
    cases.reject("no_validators", &set, &header, &changed(BITS + 7, 4), malformed(none));
    let many = CertificateError::ValidatorCount {
        limit: 128,
        actual: 132,
    };
    cases.reject(
        "too_many_validators",
        &set,
        &header,
        &changed(BITS + 7, 128),
        malformed(many),
    );
    let huge = CertificateError::ValidatorCount {
        limit: 128,
        actual: (1 << 56) + 4,
    };
    cases.reject(
        "huge_validator_count",
        &set,
        &header,
        &changed(BITS, 1),
        malformed(huge),
    );

    let second = certified[1].0.header;
    cases.reject("wrong_digest", &set, &second, &good, FinalityError::WrongDigest);
    let epoch = committee.finalization(&NETWORK, &proposal(&header, 1, 5), 0..3);
    cases.reject("wrong_epoch", &set, &header, &epoch, FinalityError::WrongEpoch);
    let mut next_epoch = header;
    next_epoch.epoch = Epoch::new(1);
    let bytes = committee.finalization(&NETWORK, &proposal(&next_epoch, 0, 5), 0..3);
    cases.reject(
        "header_of_other_epoch",
        &set,
        &next_epoch,
        &bytes,
        FinalityError::WrongEpoch,
    );
    let bytes = committee.finalization(&OTHER_NETWORK, &proposal(&header, 0, 5), 0..3);
    cases.reject("wrong_network", &set, &header, &bytes, signature(0));
    let mut foreign = header;
    foreign.chain = OTHER_NETWORK;
    let bytes = committee.finalization(&NETWORK, &proposal(&foreign, 0, 5), 0..3);
    cases.reject("foreign_header", &set, &foreign, &bytes, FinalityError::WrongNetwork);
    let seven = Committee::of(7);
    let bytes = seven.finalization(&NETWORK, &proposal(&header, 0, 5), seven.quorum());
    let count = FinalityError::WrongValidatorCount { expected: 4, actual: 7 };
    cases.reject("wrong_validator_count", &set, &header, &bytes, count);
    let others = Committee::new((100..104).map(Scenario::key).collect());
    let bytes = others.finalization(&NETWORK, &proposal(&header, 0, 5), 0..3);
    cases.reject("other_validators", &set, &header, &bytes, signature(0));
    let votes: Vec<_> = (0..3)
        .map(|signer| Notarize::sign(&committee.scheme(&NETWORK, signer), proposal(&header, 0, 5)).unwrap())
        .collect();
    let notarization = Notarization::from_notarizes(
        &committee.scheme(&NETWORK, 0),
        NonEmpty::try_new(votes.iter()).unwrap(),
        &Sequential,
    )
    .unwrap();
    cases.reject("notarization", &set, &header, &notarization.encode(), signature(0));

    let document = json!({
        "network": NETWORK.to_string(),
        "accepted": cases.accepted,
        "rejected": cases.rejected,
        "proofs": proofs(&set, &blocks, &certificates),
        "misbehaviour": misbehaviour(&committee, &header),
        "contradiction": contradiction(&committee, &header, &second),
    });
    println!("{}", serde_json::to_string_pretty(&document).unwrap());
}

fn proofs(set: &ValidatorSet, blocks: &[Block], certificates: &[Option<Certificate>]) -> Value {
    // Five headers up to a certified one; that those before have certificates of their own too
    // does not matter.
    let last = (4..blocks.len()).find(|last| certificates[*last].is_some()).unwrap();
    let certificate = certificates[last].clone().unwrap();
    let headers: Vec<Header> = blocks[last - 4..=last].iter().map(|block| block.header).collect();
    let case = |name: &str, headers: Vec<Header>, error: Option<FinalityError>| {
        let subject = headers[0].digest().to_string();
        let proof = FinalityProof::new(headers, certificate.clone()).unwrap();
        json!({
            "name": name,
            "validators": object(set),
            "proof": object(&proof),
            "subject": subject,
            "error": error.map(|error| format!("{error:?}")),
        })
    };
    let mut cases = vec![
        case("subject_itself", headers[4..].to_vec(), None),
        case("four_descendants", headers.clone(), None),
    ];
    // Heights that had to wait for a descendant, where the run has one.
    if let Some(lacking) = certificates.iter().position(Option::is_none)
        && let Some(next) = (lacking..blocks.len()).find(|next| certificates[*next].is_some())
    {
        let headers = blocks[lacking..=next].iter().map(|block| block.header).collect();
        let proof = FinalityProof::new(headers, certificates[next].clone().unwrap()).unwrap();
        cases.push(json!({
            "name": "height_without_certificate",
            "validators": object(set),
            "proof": object(&proof),
            "subject": blocks[lacking].digest().to_string(),
            "error": null,
        }));
    }
    let broken = |index| Some(FinalityError::BrokenChain { index });
    let mut missing = headers.clone();
    missing.remove(2);
    cases.push(case("missing_header", missing, broken(1)));
    let mut swapped = headers.clone();
    swapped.swap(1, 2);
    cases.push(case("swapped_headers", swapped, broken(0)));
    let mut forged = headers.clone();
    forged[0].state_root = tokenim_wire::Digest::from_bytes([9; 32]);
    cases.push(case("forged_subject", forged, broken(0)));
    let mut late = headers.clone();
    late[3].time = late[4].time;
    late[4].parent = late[3].digest();
    cases.push(case("time_stands_still", late, broken(3)));
    let mut high = headers.clone();
    high[0].height = high[1].height;
    high[1].parent = high[0].digest();
    cases.push(case("height_repeats", high, broken(0)));
    let mut epoch = headers.clone();
    epoch[1].epoch = Epoch::new(1);
    epoch[2].parent = epoch[1].digest();
    cases.push(case("epoch_changes", epoch, broken(0)));
    cases.push(case(
        "certificate_of_the_next",
        headers[..4].to_vec(),
        Some(FinalityError::WrongDigest),
    ));
    Value::Array(cases)
}

fn misbehaviour(committee: &Committee, header: &Header) -> Value {
    let scheme = committee.scheme(&NETWORK, 2);
    let validator = committee.keys[2].verifying_key();
    let subject = |byte: Option<u8>| {
        let mut subject = proposal(header, 0, 300);
        if let Some(byte) = byte {
            subject.payload = sha256::Digest([byte; 32]);
        }
        subject
    };
    let choice = |proposal: &Proposal<Digest>, signature: &[u8]| Choice {
        parent_view: View::new(proposal.parent.get()),
        digest: BlockDigest::from_bytes(proposal.payload.0),
        signature: Signature::try_from(signature).unwrap(),
    };
    let notarize = |byte| {
        let vote = Notarize::sign(&scheme, subject(byte)).unwrap();
        choice(&vote.proposal, vote.attestation.signature.get().unwrap().as_ref())
    };
    let finalize = |byte| {
        let vote = Finalize::sign(&scheme, subject(byte)).unwrap();
        choice(&vote.proposal, vote.attestation.signature.get().unwrap().as_ref())
    };
    let nullify = Nullify::sign::<Digest>(&scheme, subject(None).round).unwrap();
    let nullify = Signature::try_from(nullify.attestation.signature.get().unwrap().as_ref()).unwrap();
    let (epoch, view) = (Epoch::ZERO, View::new(300));
    let notarizes = Misbehaviour::two_notarizes(validator, epoch, view, notarize(None), notarize(Some(7)));
    let finalizes = Misbehaviour::two_finalizes(validator, epoch, view, finalize(None), finalize(Some(7)));
    let skipped = Misbehaviour {
        validator,
        epoch,
        view,
        offence: Offence::NullifyAndFinalize {
            nullify,
            finalize: finalize(None),
        },
    };
    let mut cases = Vec::new();
    let mut case = |name: &str, evidence: &Misbehaviour, error: Option<MisbehaviourError>| {
        cases.push(json!({
            "name": name,
            "validators": object(&committee.set),
            "evidence": object(evidence),
            "convicts": validator.to_string(),
            "error": error.map(|error| format!("{error:?}")),
        }));
    };
    case("two_notarizes", &notarizes, None);
    case("two_finalizes", &finalizes, None);
    case("nullify_and_finalize", &skipped, None);
    let Offence::TwoFinalizes { first, second } = finalizes.offence else {
        unreachable!()
    };
    let with = |offence| Misbehaviour { offence, ..finalizes };
    case(
        "same_vote_twice",
        &with(Offence::TwoFinalizes { first, second: first }),
        Some(MisbehaviourError::NoConflict),
    );
    case(
        "wrong_order",
        &with(Offence::TwoFinalizes {
            first: second,
            second: first,
        }),
        Some(MisbehaviourError::Order),
    );
    case(
        "votes_of_another_kind",
        &with(Offence::TwoNotarizes { first, second }),
        Some(MisbehaviourError::Signature),
    );
    let blamed = Misbehaviour {
        validator: committee.keys[1].verifying_key(),
        ..finalizes
    };
    case("another_validator_blamed", &blamed, Some(MisbehaviourError::Signature));
    let stranger = Misbehaviour {
        validator: Scenario::key(50).verifying_key(),
        ..finalizes
    };
    case("not_a_validator", &stranger, Some(MisbehaviourError::NotAValidator));
    let moved = Misbehaviour {
        view: View::new(301),
        ..finalizes
    };
    case("another_view", &moved, Some(MisbehaviourError::Signature));
    let moved = Misbehaviour {
        epoch: Epoch::new(1),
        ..skipped
    };
    case("another_epoch", &moved, Some(MisbehaviourError::Signature));
    Value::Array(cases)
}

/// Two certificates of one view: the two validators that signed both are convicted.
fn contradiction(committee: &Committee, one: &Header, other: &Header) -> Value {
    let convicts: Vec<_> = [1, 2]
        .map(|signer: usize| committee.keys[signer].verifying_key().to_string())
        .to_vec();
    json!({
        "validators": object(&committee.set),
        "one": hex::encode(&committee.finalization(&NETWORK, &proposal(one, 0, 5), 0..3)),
        "other": hex::encode(&committee.finalization(&NETWORK, &proposal(other, 0, 5), 1..4)),
        "next_view": hex::encode(&committee.finalization(&NETWORK, &proposal(other, 0, 6), 1..4)),
        "convicts": convicts,
    })
}

/// Decodes as the engine does.
trait ReadCertificate {
    fn read_certificate(bytes: &[u8], validators: usize) -> Self;
}

impl ReadCertificate for Finalization<Scheme, Digest> {
    fn read_certificate(bytes: &[u8], validators: usize) -> Self {
        use commonware_codec::Decode as _;
        Self::decode_cfg(Copying(bytes), &validators).unwrap()
    }
}
