//! The vectors of `tests/vectors`: published ones, and ours, which a second implementation made from the spec.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::replayed::Replayed;
use common::{REFUSALS, array, bytes, name, rng, vectors};
use serde::Deserialize;
use tokenim_identity::{
    Argon2Cost, DeviceConsent, DeviceKeys, DeviceSecrets, EnvelopeKey, Genesis, HistoryEntry, IdentityId,
    IdentityState, KeyError, Keystore, KeystoreKind, NodeKey, Operation, Phrase, Place, Record, RecordSigner,
    RecoveryCommitment, RecoveryError, RecoveryProof, RecoveryShare, RootKey, RootSigningKey, SignedRecord, SuiteId,
    replay, signed_bytes,
    verify::{self, Zip215Batch},
};
use tokenim_wire::{DecodeError, Digest, Height, NetworkId, Object, UnixMillis, encode, hex};

#[test]
fn words_are_those_of_the_published_vectors() {
    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Words>,
    }
    #[derive(Deserialize)]
    struct Words {
        entropy: String,
        words: String,
    }
    let Vectors { vectors } = vectors(include_str!("vectors/bip39.json"));
    assert_eq!(vectors.len(), 8);
    for case in vectors {
        let phrase = Phrase::from_entropy(&array(&case.entropy));
        assert_eq!(*phrase.expose(), case.words);
        assert_eq!(*Phrase::parse(&case.words).unwrap().expose(), case.words);
        assert_eq!(
            hex::encode(&*Phrase::parse(&case.words).unwrap().expose_entropy()),
            case.entropy
        );
    }
}

#[test]
fn keys_are_checked_when_they_are_made() {
    #[derive(Deserialize)]
    struct Key {
        name: String,
        key: String,
        error: Option<String>,
    }
    let cases: Vec<Key> = vectors(include_str!("vectors/keys.json"));
    for case in &cases {
        let raw: [u8; 32] = array(&case.key);
        let made = NodeKey::from_bytes(raw);
        assert_eq!(made.err().map(|error| name(&error)), case.error, "{}", case.name);
        // Text, slices and the wire come to the same.
        assert_eq!(case.key.parse::<NodeKey>(), made, "{}", case.name);
        assert_eq!(NodeKey::try_from(raw.as_slice()), made, "{}", case.name);
        let decoded = tokenim_wire::decode::<NodeKey>(&raw, 32);
        assert_eq!(decoded, made.map_err(|_| DecodeError::Malformed), "{}", case.name);
        if let Ok(key) = made {
            assert_eq!((key.to_bytes(), key.to_string()), (raw, case.key.clone()));
        }
    }
    for error in [KeyError::NotAPoint, KeyError::NotCanonical, KeyError::SmallOrder] {
        assert!(
            cases.iter().any(|case| case.error == Some(name(&error))),
            "no vector for {error:?}"
        );
    }
    assert_eq!("00".parse::<NodeKey>(), Err(KeyError::Length));
    assert_eq!(NodeKey::try_from([0; 31].as_slice()), Err(KeyError::Length));
}

#[derive(Deserialize)]
struct Verdicts {
    cases: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    name: String,
    key: String,
    message: String,
    signature: String,
    strict: bool,
    zip215: bool,
    plain: bool,
}

fn verdicts() -> Vec<Verdict> {
    vectors::<Verdicts>(include_str!("vectors/verdicts.json")).cases
}

#[test]
fn the_two_verifiers_judge_as_the_vectors_say() {
    for case in verdicts() {
        let (key, message, signature) = (array(&case.key), bytes(&case.message), array(&case.signature));
        assert_eq!(
            verify::strict(&key, &message, &signature).is_ok(),
            case.strict,
            "{} strict",
            case.name
        );
        assert_eq!(
            verify::zip215(&key, &message, &signature).is_ok(),
            case.zip215,
            "{} ZIP-215",
            case.name
        );
        let mut batch = Zip215Batch::new();
        batch.push(&key, &message, &signature);
        assert_eq!(batch.verify(&mut rng(1)).is_ok(), case.zip215, "{} batch", case.name);
        assert!(
            case.zip215 || !case.strict,
            "{}: strict accepts what ZIP-215 refuses",
            case.name
        );
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test shows why it is one")]
fn the_verifier_that_nobody_calls_is_neither_of_the_two() {
    use ed25519_dalek::{Signature, Verifier, VerifyingKey};
    let (mut not_strict, mut not_zip215) = (0, 0);
    for case in verdicts() {
        let plain = VerifyingKey::from_bytes(&array(&case.key)).is_ok_and(|key| {
            key.verify(&bytes(&case.message), &Signature::from_bytes(&array(&case.signature)))
                .is_ok()
        });
        assert_eq!(plain, case.plain, "{}", case.name);
        not_strict += u32::from(plain && !case.strict);
        not_zip215 += u32::from(!plain && case.zip215);
    }
    assert!(not_strict > 0 && not_zip215 > 0);
}

#[test]
fn a_batch_holds_if_and_only_if_each_signature_does() {
    let cases = verdicts();
    let batch_of = |held: &[&Verdict]| {
        let mut batch = Zip215Batch::new();
        for case in held {
            batch.push(&array(&case.key), &bytes(&case.message), &array(&case.signature));
        }
        assert_eq!((batch.len(), batch.is_empty()), (held.len(), held.is_empty()));
        batch.verify(&mut rng(2)).is_ok()
    };
    let (good, bad): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.zip215);
    assert!(batch_of(&[]));
    assert!(batch_of(&good));
    for case in bad {
        let with_one_bad: Vec<&Verdict> = good.iter().copied().take(20).chain([case]).collect();
        assert!(!batch_of(&with_one_bad), "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Chain {
    network: String,
    window_ms: u64,
    entropy: String,
    words: String,
    roots: Vec<RootOf>,
    genesis: String,
    identity: String,
    name: String,
    state: String,
    second: Second,
    devices: Vec<DeviceOf>,
    consent: Consent,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct RootOf {
    index: u32,
    seed: String,
    key: String,
}

#[derive(Deserialize)]
struct Second {
    words: String,
    genesis: String,
    name: String,
}

#[derive(Deserialize)]
struct DeviceOf {
    secrets: String,
    envelope: String,
    keys: String,
    id: String,
}

impl DeviceOf {
    fn secrets(&self) -> DeviceSecrets {
        DeviceSecrets::from_bytes(&bytes(&self.secrets)).unwrap()
    }

    fn envelope(&self) -> EnvelopeKey {
        tokenim_wire::decode(&bytes(&self.envelope), 2048).unwrap()
    }
}

#[derive(Deserialize)]
struct Consent {
    signed_bytes: String,
    signature: String,
}

#[derive(Deserialize)]
struct Step {
    name: String,
    height: u64,
    time: u64,
    record: String,
    digest: String,
    state: String,
}

fn chain() -> Chain {
    vectors(include_str!("vectors/chain.json"))
}

#[test]
fn words_give_roots_and_a_name() {
    let chain = chain();
    let phrase = Phrase::parse(&chain.words).unwrap();
    assert_eq!(hex::encode(&*phrase.expose_entropy()), chain.entropy);
    for root in &chain.roots {
        let key = phrase.root_key(root.index);
        assert_eq!(hex::encode(&*key.expose_seed()), root.seed);
        assert_eq!(key.verifying_key().to_string(), root.key);
    }
    let genesis = phrase.genesis();
    assert_eq!(hex::encode(&genesis.to_bytes().unwrap()), chain.genesis);
    assert_eq!(Genesis::from_bytes(&bytes(&chain.genesis)), Ok(genesis));
    assert_eq!(genesis.id(), IdentityId::from_bytes(array(&chain.identity)));
    assert_eq!(genesis.id().to_string(), chain.name);
    assert_eq!(
        hex::encode(&IdentityState::new(&genesis).to_bytes().unwrap()),
        chain.state
    );
}

#[test]
fn a_second_phrase_gives_the_next_root_and_another_name() {
    let chain = chain();
    let phrase = Phrase::parse(&chain.words).unwrap();
    let second = Phrase::parse(&chain.second.words).unwrap();
    let genesis = phrase.genesis_with_next(&second.root_key(0).verifying_key());
    assert_eq!(hex::encode(&genesis.to_bytes().unwrap()), chain.second.genesis);
    assert_eq!(genesis.id().to_string(), chain.second.name);
    // The first phrase alone gives the root, but not the name.
    assert_eq!(genesis.root, phrase.genesis().root);
    assert_ne!(genesis.id(), phrase.genesis().id());
}

#[test]
fn a_phrase_finds_its_root_among_its_first_256() {
    let chain = chain();
    let phrase = Phrase::parse(&chain.words).unwrap();
    for root in &chain.roots {
        assert_eq!(phrase.find_root(&root.key.parse().unwrap()), Some(root.index));
    }
    assert_eq!(phrase.find_root(&phrase.root_key(255).verifying_key()), Some(255));
    assert_eq!(phrase.find_root(&phrase.root_key(256).verifying_key()), None);
    let second = Phrase::parse(&chain.second.words).unwrap();
    assert_eq!(phrase.find_root(&second.root_key(0).verifying_key()), None);
}

#[test]
fn devices_have_the_keys_of_the_vectors() {
    for case in chain().devices {
        let secrets = case.secrets();
        assert_eq!(hex::encode(&secrets.expose_bytes()), case.secrets);
        let keys = secrets.keys(case.envelope());
        assert_eq!(hex::encode(&encode(&keys).unwrap()), case.keys);
        assert_eq!(
            tokenim_wire::decode::<DeviceKeys>(&bytes(&case.keys), 2048).unwrap(),
            keys
        );
        assert_eq!(keys.device_id().to_string(), case.id);
        assert_eq!(secrets.device_id().to_string(), case.id);
    }
}

#[test]
fn what_is_signed_is_what_the_vectors_say() {
    let chain = chain();
    let network = NetworkId::from_bytes(array(&chain.network));
    let secrets = chain.devices[0].secrets();
    let keys = secrets.keys(chain.devices[0].envelope());
    let consent = DeviceConsent {
        identity: IdentityId::from_bytes(array(&chain.identity)),
        seq: 1,
        keys,
    };
    assert_eq!(
        hex::encode(&signed_bytes(&network, &consent).unwrap()),
        chain.consent.signed_bytes
    );
    let signature = secrets.signing.sign(&network, &consent).unwrap();
    assert_eq!(signature.to_string(), chain.consent.signature);
    let key = secrets.signing.verifying_key();
    assert_eq!(key.verify_strict(&network, &consent, &signature), Ok(()));
    assert_eq!(key.verify_zip215(&network, &consent, &signature), Ok(()));
    let mut batch = Zip215Batch::new();
    batch.push_statement(&key, &network, &consent, &signature).unwrap();
    assert_eq!(batch.verify(&mut rng(3)), Ok(()));
}

/// The record of a step, made by the builders.
fn build(step: &Step, chain: &Chain, state: &IdentityState) -> SignedRecord {
    let network = NetworkId::from_bytes(array(&chain.network));
    let roots: Vec<RootSigningKey> = chain
        .roots
        .iter()
        .map(|root| RootSigningKey::from_seed(array(&root.seed)))
        .collect();
    let key = |index: usize| roots[index].verifying_key();
    let [first, second, third, x_wing] = [0, 1, 2, 3].map(|index| chain.devices[index].secrets());
    let envelope = |index: usize| chain.devices[index].envelope();
    let shares = two_of_three();
    let commitment = shares[0].commitment().digest();
    let other = RecoveryCommitment::new(1, &[shares[0].leaf()]).unwrap().digest();
    let (link, another) = (Digest::from_bytes([0xa1; 32]), Digest::from_bytes([0xa2; 32]));
    let recover = |root: usize, recovery, keep: &[_], with: [usize; 2]| {
        let record = Record::recover(&network, state, key(root), &key(root + 1), recovery, keep).unwrap();
        let proof = RecoveryProof::sign(&record, &with.map(|index| shares[index].clone())).unwrap();
        SignedRecord::recover(state, record, proof)
    };
    match step.name.as_str() {
        "root_adds_first" => SignedRecord::add_device(&network, state, &roots[0], &first, envelope(0)),
        "root_adds_second" => SignedRecord::add_device(&network, state, &roots[0], &second, envelope(1)),
        "first_revokes_itself" => SignedRecord::revoke_own_device(&network, state, &first.signing),
        "root_links_account" => SignedRecord::link_account(&network, state, &roots[0], link),
        "next_root_sets_recovery" => {
            SignedRecord::set_recovery(&network, state, RecordSigner::NextRoot(&roots[1]), Some(commitment))
        }
        "root_begins_to_change_recovery" => {
            SignedRecord::set_recovery(&network, state, RecordSigner::Root(&roots[0]), Some(other))
        }
        "next_root_cancels" => SignedRecord::cancel(&network, state, RecordSigner::NextRoot(&roots[1])),
        "next_root_begins_rotation" => SignedRecord::rotate_root(&network, state, &roots[1], &key(2)),
        "second_completes_it" => SignedRecord::complete(&network, state, RecordSigner::Device(&second.signing)),
        "root_links_another_account" => SignedRecord::link_account(&network, state, &roots[1], another),
        "root_unlinks_account" => SignedRecord::unlink_account(&network, state, &roots[1], link),
        "root_begins_to_deactivate" => SignedRecord::deactivate(&network, state, &roots[1]),
        "root_completes_it" => SignedRecord::complete(&network, state, RecordSigner::Root(&roots[1])),
        "two_of_three_recover" => recover(4, Some(commitment), &[], [2, 0]),
        "root_adds_third" => SignedRecord::add_device(&network, state, &roots[4], &third, envelope(2)),
        "root_removes_recovery" => SignedRecord::set_recovery(&network, state, RecordSigner::Root(&roots[4]), None),
        "others_recover_and_keep_a_device" => recover(6, Some(other), &[third.device_id()], [1, 2]),
        "root_revokes_third" => SignedRecord::revoke_device(&network, state, &roots[6], third.device_id()),
        "root_adds_one_with_x_wing" => SignedRecord::add_device(&network, state, &roots[6], &x_wing, envelope(3)),
        other => panic!("{other} is not known here"),
    }
    .unwrap()
}

#[test]
fn the_chain_of_the_vectors_is_built_and_followed() {
    let chain = chain();
    let network = NetworkId::from_bytes(array(&chain.network));
    let genesis = Genesis::from_bytes(&bytes(&chain.genesis)).unwrap();
    let mut state = IdentityState::new(&genesis);
    let mut history = Vec::new();
    for step in &chain.steps {
        let built = build(step, &chain, &state);
        assert_eq!(hex::encode(&built.to_bytes().unwrap()), step.record, "{}", step.name);
        let record = SignedRecord::from_bytes(&bytes(&step.record)).unwrap();
        assert_eq!(record.digest().unwrap().to_string(), step.digest, "{}", step.name);
        let entry = HistoryEntry {
            record,
            height: Height::new(step.height),
            time: UnixMillis::new(step.time),
        };
        let place = Place {
            network: &network,
            height: entry.height,
            time: entry.time,
            window_ms: chain.window_ms,
        };
        state = state.apply(&place, &entry.record).unwrap();
        assert_eq!(hex::encode(&state.to_bytes().unwrap()), step.state, "{}", step.name);
        assert_eq!(
            IdentityState::from_bytes(&bytes(&step.state)).unwrap(),
            state,
            "{}",
            step.name
        );
        let stored = entry.to_bytes().unwrap();
        assert_eq!(HistoryEntry::from_bytes(&stored).as_ref(), Ok(&entry), "{}", step.name);
        history.push(entry);
    }
    assert_eq!(replay(&network, chain.window_ms, &genesis, history), Ok(state));
}

#[test]
fn every_record_that_does_not_continue_its_chain_is_refused_for_its_reason() {
    #[derive(Deserialize)]
    struct Refused {
        network: String,
        height: u64,
        time: u64,
        window_ms: u64,
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        state: String,
        record: String,
        error: String,
    }
    let refused: Refused = vectors(include_str!("vectors/refused.json"));
    let network = NetworkId::from_bytes(array(&refused.network));
    let place = Place {
        network: &network,
        height: Height::new(refused.height),
        time: UnixMillis::new(refused.time),
        window_ms: refused.window_ms,
    };
    for case in &refused.cases {
        let state = IdentityState::from_bytes(&bytes(&case.state)).unwrap();
        let before = state.clone();
        let error = match SignedRecord::from_bytes(&bytes(&case.record)) {
            Err(error) => name(&error),
            Ok(record) => name(&state.apply(&place, &record).expect_err(&case.name)),
        };
        assert_eq!(error, case.error, "{}", case.name);
        assert_eq!(state, before, "{}", case.name);
    }
    let others = [
        "HeightWentBack",
        "Malformed",
        "TrailingBytes",
        "Truncated",
        "TooLong",
        "NotCanonical",
    ];
    for error in REFUSALS.iter().chain(&others) {
        assert!(
            refused.cases.iter().any(|case| case.error == *error),
            "no vector for {error}"
        );
    }
}

#[derive(Deserialize)]
struct Recoveries {
    sets: Vec<ShareSet>,
    refused: Vec<RefusedText>,
}

#[derive(Deserialize)]
struct ShareSet {
    name: String,
    threshold: u8,
    commitment: String,
    shares: Vec<ShareOf>,
}

#[derive(Deserialize)]
struct ShareOf {
    seed: String,
    salt: String,
    key: String,
    leaf: String,
    text: String,
}

#[derive(Deserialize)]
struct RefusedText {
    name: String,
    text: String,
    error: String,
}

fn recoveries() -> Recoveries {
    vectors(include_str!("vectors/recovery.json"))
}

/// The recovery keys of the chain.
fn two_of_three() -> Vec<RecoveryShare> {
    let set = recoveries()
        .sets
        .into_iter()
        .find(|set| set.name == "two_of_three")
        .unwrap();
    set.shares.iter().map(|share| share.text.parse().unwrap()).collect()
}

#[test]
fn recovery_shares_are_made_and_read_as_the_vectors_say() {
    let recoveries = recoveries();
    for set in &recoveries.sets {
        let count = u8::try_from(set.shares.len()).unwrap();
        let random = set
            .shares
            .iter()
            .map(|share| bytes(&(share.seed.clone() + &share.salt)));
        let made = RecoveryShare::generate(set.threshold, count, &mut Replayed(random.flatten().collect())).unwrap();
        assert_eq!(made.len(), set.shares.len());
        for (index, (share, case)) in (0..).zip(made.iter().zip(&set.shares)) {
            assert_eq!(*share.to_text(), case.text, "{} {index}", set.name);
            assert_eq!(share.key().to_string(), case.key, "{} {index}", set.name);
            assert_eq!(share.leaf().to_string(), case.leaf, "{} {index}", set.name);
            assert_eq!((share.index(), share.commitment().threshold()), (index, set.threshold));
            assert_eq!(share.commitment().leaves().len(), set.shares.len());
            assert_eq!(share.commitment().digest().to_string(), set.commitment, "{}", set.name);
            // As people write it: in capitals, in groups, over several lines.
            let grouped: Vec<String> = case
                .text
                .as_bytes()
                .chunks(5)
                .map(|c| String::from_utf8_lossy(c).into())
                .collect();
            for text in [case.text.clone(), case.text.to_uppercase(), grouped.join(" \n")] {
                assert!(
                    RecoveryShare::from_text(&text).unwrap() == *share,
                    "{} {index}",
                    set.name
                );
            }
        }
    }
    for case in &recoveries.refused {
        assert_eq!(
            RecoveryShare::from_text(&case.text).err().map(|error| name(&error)),
            Some(case.error.clone()),
            "{}",
            case.name
        );
    }
    for error in [RecoveryError::Checksum, RecoveryError::Prefix, RecoveryError::Content] {
        let named = recoveries.refused.iter().any(|case| case.error == name(&error));
        assert!(named, "no vector for {error:?}");
    }
}

#[test]
fn names_are_read_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Names {
        identity: String,
        cases: Vec<Name>,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
        text: String,
        error: Option<String>,
    }
    let names: Names = vectors(include_str!("vectors/names.json"));
    let identity = IdentityId::from_bytes(array(&names.identity));
    for case in names.cases {
        let read = case.text.parse::<IdentityId>();
        assert_eq!(read.err().map(|error| name(&error)), case.error, "{}", case.name);
        if let Ok(read) = read {
            assert_eq!(read, identity, "{}", case.name);
            assert_eq!(read.to_string(), case.text.to_lowercase(), "{}", case.name);
            assert_eq!(serde_json::to_string(&read).unwrap(), format!("\"{read}\""));
            assert_eq!(
                serde_json::from_str::<IdentityId>(&format!("\"{read}\"")).unwrap(),
                read
            );
        }
    }
}

#[test]
fn keystores_open_and_stay_closed_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Keystores {
        passphrase: String,
        salt: String,
        nonce: String,
        opened: Vec<Opened>,
        closed: Vec<Closed>,
    }
    #[derive(Deserialize)]
    struct Opened {
        name: String,
        kind: usize,
        bytes: String,
        secret: String,
    }
    #[derive(Deserialize)]
    struct Closed {
        name: String,
        kind: usize,
        bytes: String,
        error: String,
    }
    const KINDS: [KeystoreKind; 3] = [KeystoreKind::Phrase, KeystoreKind::Device, KeystoreKind::Node];
    const COSTS: [(&str, Argon2Cost); 4] = [
        ("phrase", Argon2Cost::MINIMUM),
        (
            "device",
            Argon2Cost {
                memory_kib: 16,
                passes: 2,
                lanes: 2,
            },
        ),
        (
            "node",
            Argon2Cost {
                memory_kib: 64,
                passes: 1,
                lanes: 4,
            },
        ),
        ("nothing", Argon2Cost::MINIMUM),
    ];
    let vectors: Keystores = vectors(include_str!("vectors/keystore.json"));
    let passphrase = vectors.passphrase.as_bytes();
    for case in &vectors.opened {
        let kind = KINDS[case.kind];
        let opened = Keystore::open(passphrase, kind, &bytes(&case.bytes)).unwrap();
        assert_eq!(hex::encode(&opened), case.secret, "{}", case.name);
        let (_, cost) = COSTS.into_iter().find(|(name, _)| *name == case.name).unwrap();
        let mut random = Replayed(bytes(&(vectors.salt.clone() + &vectors.nonce)));
        let sealed = Keystore::seal(passphrase, kind, &opened, cost, &mut random).unwrap();
        assert_eq!(hex::encode(&sealed), case.bytes, "{}", case.name);
        for wrong in [
            &b""[..],
            b"correct horse battery staple ",
            b"Correct horse battery staple",
        ] {
            let refused = Keystore::open(wrong, kind, &sealed).unwrap_err();
            assert_eq!(name(&refused), "WrongPassphraseOrDamaged", "{}", case.name);
        }
    }
    for case in &vectors.closed {
        let refused = Keystore::open(passphrase, KINDS[case.kind], &bytes(&case.bytes)).unwrap_err();
        assert_eq!(name(&refused), case.error, "{}", case.name);
    }
}

#[test]
fn numbers_of_suites_and_versions_are_fixed() {
    assert_eq!(SuiteId::X25519.get(), 0x0020);
    assert_eq!(SuiteId::X25519.to_string(), "0x0020");
    assert_eq!(
        (
            Genesis::VERSION,
            SignedRecord::VERSION,
            IdentityState::VERSION,
            HistoryEntry::VERSION
        ),
        (1, 1, 1, 1)
    );
    let op = Operation::RevokeDevice {
        device: tokenim_identity::DeviceId::from_bytes([9; 32]),
    };
    assert_eq!(encode(&op).unwrap()[0], 1);
    let root: RootKey = chain().roots[0].key.parse().unwrap();
    assert_eq!(format!("{root:?}"), format!("RootKey({root})"));
}
