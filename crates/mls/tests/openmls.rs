//! Suite 1 together with OpenMLS: it joins a group of ours, we join one of its, commits and messages go both ways, and
//! what of it we do not take is refused.
//!
//! OpenMLS runs on the same cryptography as this crate, which the published vectors hold; what meets here are two
//! implementations of the protocol.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the module is private to the crate; here it is by itself"
)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
#[path = "../src/crypto/mod.rs"]
mod crypto;

use common::{DAY, NETWORK, owner, rng, update};
use crypto::{Generator, SuiteCrypto, leaf_key, leaf_sign};
use mls_rs_core::crypto::{CipherSuiteProvider as _, HpkeCiphertext as Sealed};
use openmls::prelude::{
    Capabilities, Ciphersuite, Credential, CredentialType, CredentialWithKey, Extension, ExtensionType, Extensions,
    KeyPackage, LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, ProcessedMessageContent, ProtocolVersion,
    RequiredCapabilitiesExtension, StagedWelcome, UnknownExtension,
    tls_codec::{Deserialize as _, SecretVLBytes},
};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::{
        AeadType, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, KemOutput,
        SignatureScheme,
    },
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};
use tokenim_mls::{
    CONTEXT_EXTENSION_TYPE, CREDENTIAL_TYPE, Forbidden, Group, LeafCertificate, Proposed, SessionError, SessionSuite,
    SignedLeafCertificate, key_package, read_key_package,
};
use tokenim_wire::{Object, UnixSeconds};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// The cryptography of this crate as OpenMLS asks for it; it may leave out of Welcomes what RFC 9420 does not force it to send.
struct Crypto(SuiteCrypto, AtomicBool);

struct Provider {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl Provider {
    fn new(seed: u8) -> Self {
        let generator = Generator::default();
        generator.seed(&mut rng(seed));
        let suite = SessionSuite::Classical;
        let crypto = Crypto(SuiteCrypto { suite, generator }, AtomicBool::new(false));
        Self {
            crypto,
            storage: MemoryStorage::default(),
        }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

impl OpenMlsRand for Crypto {
    type Error = crypto::CryptoError;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        let mut out = [0; N];
        self.0.random_bytes(&mut out)?;
        Ok(out)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        self.0.random_bytes_vec(len)
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        if ciphersuite == SUITE {
            Ok(())
        } else {
            Err(CryptoError::UnsupportedCiphersuite)
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(&self, _: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        let prk = self
            .0
            .kdf_extract(salt, ikm)
            .map_err(|_| CryptoError::CryptoLibraryError)?;
        Ok(prk.to_vec().into())
    }

    fn hmac(&self, _: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        Ok(self
            .0
            .mac(key, message)
            .map_err(|_| CryptoError::CryptoLibraryError)?
            .into())
    }

    fn hkdf_expand(&self, _: HashType, prk: &[u8], info: &[u8], okm_len: usize) -> Result<SecretVLBytes, CryptoError> {
        let okm = self
            .0
            .kdf_expand(prk, info, okm_len)
            .map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.to_vec().into())
    }

    fn hash(&self, _: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.hash(data).map_err(|_| CryptoError::CryptoLibraryError)
    }

    fn aead_encrypt(
        &self,
        _: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.0
            .aead_seal(key, data, Some(aad), nonce)
            .map_err(|_| CryptoError::CryptoLibraryError)
    }

    fn aead_decrypt(
        &self,
        _: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let plaintext = self
            .0
            .aead_open(key, ct_tag, Some(aad), nonce)
            .map_err(|_| CryptoError::AeadDecryptionError)?;
        Ok(plaintext.to_vec())
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn verify_signature(
        &self,
        _: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.0
            .verify(&pk.to_vec().into(), signature, data)
            .map_err(|_| CryptoError::InvalidSignature)
    }

    fn sign(&self, _: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0
            .sign(&key.to_vec().into(), data)
            .map_err(|_| CryptoError::SigningError)
    }

    fn hpke_seal(
        &self,
        _: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let mut ptxt = ptxt.to_vec();
        if self.1.load(Ordering::Relaxed) && info.windows(15).any(|label| label == b"MLS 1.0 Welcome") {
            // `GroupSecrets`: the joiner secret, then a path secret or none, then no pre-shared keys.
            assert_eq!((ptxt.len(), ptxt[33]), (68, 1));
            ptxt.truncate(33);
            ptxt.extend([0, 0]);
        }
        let sealed = self.0.hpke_seal(&pk_r.to_vec().into(), info, Some(aad), &ptxt);
        let Sealed { kem_output, ciphertext } = sealed.map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: kem_output.into(),
            ciphertext: ciphertext.into(),
        })
    }

    fn hpke_open(
        &self,
        _: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let sealed = Sealed {
            kem_output: input.kem_output.as_slice().to_vec(),
            ciphertext: input.ciphertext.as_slice().to_vec(),
        };
        let opened = self
            .0
            .hpke_open(&sealed, &sk_r.to_vec().into(), &Vec::new().into(), info, Some(aad));
        Ok(opened.map_err(|_| CryptoError::HpkeDecryptionError)?.to_vec())
    }

    fn hpke_setup_sender_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        Err(CryptoError::SenderSetupError)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        Err(CryptoError::ReceiverSetupError)
    }

    fn derive_hpke_keypair(&self, _: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let (secret, public) = self.0.kem_derive(ikm).map_err(|_| CryptoError::CryptoLibraryError)?;
        Ok(HpkeKeyPair {
            private: secret.to_vec().into(),
            public: public.to_vec(),
        })
    }
}

/// Somebody who uses OpenMLS with our credential.
struct Peer {
    provider: Provider,
    seed: [u8; 32],
    credential: CredentialWithKey,
}

impl Signer for Peer {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(leaf_sign(&self.seed, payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Peer {
    fn new(number: u8) -> Self {
        let (owner, seed) = (owner(number), [number ^ 0x80; 32]);
        let certificate = LeafCertificate {
            identity: owner.identity,
            device: owner.device.verifying_key(),
            leaf: leaf_key(&seed),
            suite: SessionSuite::Classical,
            created: now(),
            expires: now().saturating_add(DAY),
        };
        let signed = SignedLeafCertificate::sign(&NETWORK, &owner.device, certificate).unwrap();
        let kind = CredentialType::Other(CREDENTIAL_TYPE);
        let credential = Credential::new(kind, signed.to_bytes().unwrap());
        Self {
            provider: Provider::new(number),
            seed,
            credential: CredentialWithKey {
                credential,
                signature_key: leaf_key(&seed).to_vec().into(),
            },
        }
    }

    fn key_package(&self) -> Vec<u8> {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &self.provider, self, self.credential.clone())
            .unwrap();
        MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap()
    }

    fn join(&self, welcome: &[u8]) -> MlsGroup {
        let config = MlsGroupJoinConfig::builder()
            .max_past_epochs(3)
            .use_ratchet_tree_extension(true)
            .build();
        let MlsMessageBodyIn::Welcome(welcome) = incoming(welcome).extract() else {
            panic!("no Welcome");
        };
        StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .unwrap()
            .into_group(&self.provider)
            .unwrap()
    }

    fn read(&self, group: &mut MlsGroup, message: &[u8]) -> Vec<u8> {
        let message = incoming(message).try_into_protocol_message().unwrap();
        match group.process_message(&self.provider, message).unwrap().into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => message.into_bytes(),
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit).unwrap();
                Vec::new()
            }
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, group: &mut MlsGroup, body: &[u8]) -> Vec<u8> {
        group
            .create_message(&self.provider, self, body)
            .unwrap()
            .to_bytes()
            .unwrap()
    }

    fn update(&self, group: &mut MlsGroup) -> Vec<u8> {
        let bundle = group
            .self_update(&self.provider, self, LeafNodeParameters::default())
            .unwrap();
        let commit = bundle.commit().to_bytes().unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
        commit
    }

    fn add(&self, group: &mut MlsGroup, package: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let MlsMessageBodyIn::KeyPackage(package) = incoming(package).extract() else {
            panic!("no key package");
        };
        let package = package
            .validate(self.provider.crypto(), ProtocolVersion::Mls10)
            .unwrap();
        let (commit, welcome, _) = group.add_members(&self.provider, self, &[package]).unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
        (commit.to_bytes().unwrap(), welcome.to_bytes().unwrap())
    }

    fn remove(&self, group: &mut MlsGroup, leaf: u32) -> Vec<u8> {
        let (commit, _, _) = group
            .remove_members(&self.provider, self, &[LeafNodeIndex::new(leaf)])
            .unwrap();
        group.merge_pending_commit(&self.provider).unwrap();
        commit.to_bytes().unwrap()
    }

    fn agrees(&self, theirs: &MlsGroup, ours: &Group) {
        assert_eq!(theirs.epoch().as_u64(), ours.epoch());
        assert_eq!(theirs.epoch_authenticator().as_slice(), ours.authenticator().unwrap());
        let exported = theirs
            .export_secret(self.provider.crypto(), "label", b"context", 40)
            .unwrap();
        assert_eq!(exported, *ours.export("label", b"context", 40).unwrap());
        assert_eq!(
            theirs.extensions().unknown(CONTEXT_EXTENSION_TYPE).unwrap().0,
            ours.context()
        );
        assert_eq!(theirs.members().count(), ours.leaves().len());
    }
}

fn now() -> UnixSeconds {
    UnixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![SUITE])
        .extensions(vec![ExtensionType::Unknown(CONTEXT_EXTENSION_TYPE)])
        .credentials(vec![CredentialType::Other(CREDENTIAL_TYPE)])
        .build()
}

/// The extensions of a group: what all have to know, and the context.
fn extensions(context: Option<Vec<u8>>) -> Extensions<openmls::group::GroupContext> {
    let extension = ExtensionType::Unknown(CONTEXT_EXTENSION_TYPE);
    let credential = CredentialType::Other(CREDENTIAL_TYPE);
    let required = RequiredCapabilitiesExtension::new(&[extension], &[], &[credential]);
    let mut all = vec![Extension::RequiredCapabilities(required)];
    all.extend(context.map(|context| Extension::Unknown(CONTEXT_EXTENSION_TYPE, UnknownExtension(context))));
    Extensions::from_vec(all).unwrap()
}

fn incoming(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact(bytes).unwrap()
}

fn ours() -> Group {
    Group::create(&owner(0), SessionSuite::Classical, b"context", now(), &mut rng(0)).unwrap()
}

fn follow(ours: &mut Group, commit: &[u8]) {
    *ours = ours.apply(commit, now()).unwrap().next.unwrap();
}

fn lead(ours: &mut Group, proposed: &Proposed, seed: u8) -> (Vec<u8>, Option<Vec<u8>>) {
    let commit = ours.commit(proposed, now(), &mut rng(seed)).unwrap();
    *ours = commit.next;
    (commit.bytes, commit.welcome)
}

/// Both write, both renew, both add somebody of the other kind, both remove.
fn live(peer: &Peer, theirs: &mut MlsGroup, ours: &mut Group, seed: u8) {
    peer.agrees(theirs, ours);
    let message = ours.encrypt(b"from us", &mut rng(seed)).unwrap();
    assert_eq!(peer.read(theirs, &message), b"from us");
    let message = peer.write(theirs, b"from them");
    let opened = ours.decrypt(&message).unwrap();
    assert_eq!((*opened.body).as_slice(), b"from them");
    assert_eq!(opened.author, theirs.own_leaf_index().u32());
    let late = peer.write(theirs, b"late");

    let (commit, _) = lead(ours, &update(), seed + 1);
    peer.read(theirs, &commit);
    peer.agrees(theirs, ours);
    follow(ours, &peer.update(theirs));
    peer.agrees(theirs, ours);
    assert_eq!(*ours.decrypt(&late).unwrap().body, b"late");

    let (commit, _) = lead(
        ours,
        &Proposed {
            context: Some(vec![seed; 9]),
            ..Proposed::default()
        },
        seed + 2,
    );
    peer.read(theirs, &commit);
    peer.agrees(theirs, ours);

    let third = owner(seed + 3);
    let package = key_package(&third, SessionSuite::Classical, now(), DAY, &mut rng(seed + 3)).unwrap();
    let (commit, welcome) = peer.add(theirs, &package.package);
    let applied = ours.apply(&commit, now()).unwrap();
    assert_eq!(applied.added[0].identity, third.identity);
    *ours = applied.next.unwrap();
    let mut thirds = Group::join(&third, &package.secrets, &welcome).unwrap();
    peer.agrees(theirs, &thirds);
    peer.agrees(theirs, ours);

    let fourth = Peer::new(seed + 4);
    let (commit, welcome) = lead(
        &mut thirds,
        &Proposed {
            add: vec![fourth.key_package()],
            ..Proposed::default()
        },
        seed + 14,
    );
    peer.read(theirs, &commit);
    follow(ours, &commit);
    let mut fourths = fourth.join(&welcome.unwrap());
    for group in [&mut *ours, &mut thirds] {
        fourth.agrees(&fourths, group);
    }
    let commit = fourth.update(&mut fourths);
    peer.read(theirs, &commit);
    for group in [&mut *ours, &mut thirds] {
        follow(group, &commit);
        fourth.agrees(&fourths, group);
    }

    let commit = peer.remove(theirs, thirds.own());
    fourth.read(&mut fourths, &commit);
    assert!(thirds.apply(&commit, now()).unwrap().next.is_none());
    follow(ours, &commit);
    let leaf = fourths.own_leaf_index().u32();
    let (commit, _) = lead(
        ours,
        &Proposed {
            remove: vec![leaf],
            ..Proposed::default()
        },
        seed + 5,
    );
    peer.read(theirs, &commit);
    fourth.read(&mut fourths, &commit);
    assert!(!fourths.is_active());
    peer.agrees(theirs, ours);
}

#[test]
fn openmls_joins_a_group_of_ours() {
    let (peer, mut ours) = (Peer::new(10), ours());
    let package = peer.key_package();
    let info = read_key_package(&NETWORK, &package, now()).unwrap();
    assert_eq!(info.certificate.identity, owner(10).identity);
    let (_, welcome) = lead(
        &mut ours,
        &Proposed {
            add: vec![package],
            ..Proposed::default()
        },
        1,
    );
    let mut theirs = peer.join(&welcome.unwrap());
    live(&peer, &mut theirs, &mut ours, 20);
}

#[test]
fn we_join_a_group_of_openmls() {
    let peer = Peer::new(10);
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(SUITE)
        .capabilities(capabilities())
        .with_group_context_extensions(extensions(Some(b"theirs".to_vec())))
        .max_past_epochs(3)
        .use_ratchet_tree_extension(true)
        .build();
    let mut theirs = MlsGroup::new(&peer.provider, &peer, &config, peer.credential.clone()).unwrap();
    let package = key_package(&owner(0), SessionSuite::Classical, now(), DAY, &mut rng(1)).unwrap();
    let (_, welcome) = peer.add(&mut theirs, &package.package);
    let mut ours = Group::join(&owner(0), &package.secrets, &welcome).unwrap();
    assert_eq!(ours.context(), b"theirs");
    live(&peer, &mut theirs, &mut ours, 40);
}

#[test]
fn who_was_not_given_a_key_by_its_welcome_says_so_and_blames_no_other() {
    let package = |number| key_package(&owner(number), SessionSuite::Classical, now(), DAY, &mut rng(number)).unwrap();
    let (peer, mut ours) = (Peer::new(10), ours());
    let (second, third, late) = (package(1), package(2), package(3));
    let add = vec![second.package.clone(), third.package, peer.key_package()];
    let proposed = Proposed {
        add,
        ..Proposed::default()
    };
    let (_, welcome) = lead(&mut ours, &proposed, 30);
    let welcome = welcome.unwrap();
    let mut seconds = Group::join(&owner(1), &second.secrets, &welcome).unwrap();
    let mut theirs = peer.join(&welcome);
    // Another one comes in beside the one who sends its Welcome: both are below one key of the tree.
    let commit = peer.remove(&mut theirs, 2);
    follow(&mut ours, &commit);
    follow(&mut seconds, &commit);
    peer.provider.crypto.1.store(true, Ordering::Relaxed);
    let (commit, welcome) = peer.add(&mut theirs, &late.package);
    follow(&mut ours, &commit);
    follow(&mut seconds, &commit);
    let lates = Group::join(&owner(3), &late.secrets, &welcome).unwrap();
    assert_eq!((lates.own(), theirs.own_leaf_index().u32()), (2, 3));
    peer.agrees(&theirs, &lates);
    let (commit, _) = lead(&mut ours, &update(), 31);
    follow(&mut seconds, &commit);
    peer.read(&mut theirs, &commit);
    peer.agrees(&theirs, &seconds);
    assert_eq!(lates.apply(&commit, now()).unwrap_err(), SessionError::NoKey);
}

#[test]
fn what_openmls_can_do_and_we_do_not_take_is_refused() {
    let (peer, mut ours) = (Peer::new(10), ours());
    let third = key_package(&owner(1), SessionSuite::Classical, now(), DAY, &mut rng(2)).unwrap();
    let both = Proposed {
        add: vec![peer.key_package(), third.package.clone()],
        ..Proposed::default()
    };
    let (_, welcome) = lead(&mut ours, &both, 1);
    let mut theirs = peer.join(&welcome.unwrap());
    let before = ours.to_bytes().unwrap();

    // A proposal by itself, and a commit that refers to it.
    let (proposal, _) = theirs
        .propose_remove_member(&peer.provider, &peer, LeafNodeIndex::new(2))
        .unwrap();
    let proposal = proposal.to_bytes().unwrap();
    assert_eq!(ours.apply(&proposal, now()).err(), Some(Forbidden::ByReference.into()));
    assert_eq!(ours.decrypt(&proposal).err(), Some(Forbidden::ByReference.into()));
    let (commit, _, _) = theirs.commit_to_pending_proposals(&peer.provider, &peer).unwrap();
    assert_eq!(
        ours.apply(&commit.to_bytes().unwrap(), now()).err(),
        Some(SessionError::Malformed)
    );
    theirs.clear_pending_commit(&peer.provider.storage).unwrap();
    theirs.clear_pending_proposals(&peer.provider.storage).unwrap();

    // Extensions without the context, and with one that is too long.
    for context in [None, Some(vec![0; tokenim_wire::limits::GROUP_CONTEXT_BYTES_MAX + 1])] {
        let made = theirs.update_group_context_extensions(&peer.provider, extensions(context), &peer);
        let commit = made.unwrap().0.to_bytes().unwrap();
        theirs.clear_pending_commit(&peer.provider.storage).unwrap();
        assert_eq!(ours.apply(&commit, now()).err(), Some(Forbidden::Extension.into()));
    }

    // Somebody whom no device vouches for.
    let mut stranger = Peer::new(11);
    stranger.credential.credential = Peer::new(12).credential.credential;
    let package = stranger.key_package();
    let refused = read_key_package(&NETWORK, &package, now());
    assert_eq!(refused, Err(tokenim_mls::CertificateError::Leaf.into()));
    let (commit, _) = peer.add(&mut theirs, &package);
    assert_eq!(
        ours.apply(&commit, now()).err(),
        Some(tokenim_mls::CertificateError::Leaf.into())
    );

    assert!(ours.to_bytes().unwrap() == before, "something has changed");
}
