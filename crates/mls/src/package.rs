//! Key packages: what a device leaves for others, so that they can add it while it sleeps (RFC 9420, section 10).

use crate::{
    CONTEXT_EXTENSION_TYPE, CREDENTIAL_TYPE, CertificateError, Forbidden, LeafCertificate, Owner, SessionError,
    SessionSuite, SignedLeafCertificate,
    authority::certificate,
    crypto::leaf_key,
    header::{Header, Kind},
    store::{Packages, Store},
    tools::Tools,
};
use core::{fmt, time::Duration};
use mls_rs::{
    MlsMessage,
    group::LeafNode,
    mls_rs_codec::{MlsDecode, MlsEncode},
};
use mls_rs_core::{
    crypto::{CipherSuiteProvider as _, HpkePublicKey, SignatureSecretKey},
    extension::{ExtensionList, ExtensionType},
    identity::{Credential, CredentialType, CustomCredential, SigningIdentity},
    key_package::KeyPackageData,
    time::MlsTime,
};
use rand_core::CryptoRng;
use tokenim_wire::{NetworkId, Object, UnixSeconds, limits::KEY_PACKAGE_BYTES_MAX};
use zeroize::Zeroizing;

/// A key package that was just made.
#[derive(Clone)]
pub struct NewKeyPackage {
    /// What to publish.
    pub package: Vec<u8>,
    /// What to keep until a Welcome for it comes, and to wipe when it has been used or has expired.
    pub secrets: Zeroizing<Vec<u8>>,
    /// Its name (RFC 9420, section 5.2), which a Welcome names it by.
    pub reference: [u8; 32],
}

impl fmt::Debug for NewKeyPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKeyPackage").finish_non_exhaustive()
    }
}

/// What a key package says, checked: it is signed by its leaf, the leaf by its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageInfo {
    /// Its name.
    pub reference: [u8; 32],
    /// Its suite.
    pub suite: SessionSuite,
    /// What the device says of the leaf. Whether the device is the identity's and live, the ledger says.
    pub certificate: LeafCertificate,
    /// Until when it may be used.
    pub expires: UnixSeconds,
}

/// Everything a client needs to make a leaf.
pub(crate) struct NewLeaf {
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) identity: SigningIdentity,
}

impl NewLeaf {
    /// Draws a leaf key and has the device vouch for it.
    pub(crate) fn new(
        owner: &Owner,
        suite: SessionSuite,
        now: UnixSeconds,
        lifetime: u64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, SessionError> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        let certificate = LeafCertificate {
            identity: owner.identity,
            device: owner.device.verifying_key(),
            leaf: leaf_key(&seed),
            suite,
            created: now,
            expires: now.saturating_add(lifetime),
        };
        certificate.check_lifetime()?;
        let leaf = certificate.leaf.to_vec();
        let signed = SignedLeafCertificate::sign(&owner.network, &owner.device, certificate)?;
        let credential = CustomCredential::new(CredentialType::new(CREDENTIAL_TYPE), signed.to_bytes()?);
        Ok(Self {
            seed,
            identity: SigningIdentity::new(Credential::Custom(credential), leaf.into()),
        })
    }

    pub(crate) fn signer(&self) -> SignatureSecretKey {
        SignatureSecretKey::new_slice(self.seed.as_slice())
    }
}

/// Makes a key package that is good from now on for `lifetime` seconds, at most
/// [`SESSION_LEAF_LIFETIME_SECONDS_MAX`](tokenim_wire::limits::SESSION_LEAF_LIFETIME_SECONDS_MAX).
///
/// # Errors
/// [`CertificateError::Lifetime`]; [`SessionError::Local`].
pub fn key_package(
    owner: &Owner,
    suite: SessionSuite,
    now: UnixSeconds,
    lifetime: u64,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<NewKeyPackage, SessionError> {
    let tools = Tools::new(owner.network, suite);
    let leaf = NewLeaf::new(owner, suite, now, lifetime, rng)?;
    let packages = Packages::default();
    let client = tools.client(
        leaf.signer(),
        Some(leaf.identity.clone()),
        Duration::from_secs(lifetime),
        Store::default(),
        packages.clone(),
    );
    let message = tools.draw(rng, || {
        client.generate_key_package_message(
            ExtensionList::new(),
            ExtensionList::new(),
            Some(MlsTime::from(now.get())),
        )
    })?;
    let package = tools.run(|| message.to_bytes())?;
    let (reference, kept) = packages.take().ok_or(SessionError::Local)?;
    let reference = reference.try_into().map_err(|_| SessionError::Local)?;
    let secrets = PackageSecrets {
        suite,
        reference,
        seed: leaf.seed,
        kept,
    };
    Ok(NewKeyPackage {
        package,
        secrets: secrets.to_bytes(),
        reference,
    })
}

/// Reads a key package as someone who wants to add its device: it is signed, good now, and its keys can be sealed to.
///
/// # Errors
/// [`SessionError::Malformed`], [`SessionError::Suite`], [`SessionError::Certificate`], [`SessionError::Forged`],
/// [`SessionError::Forbidden`] if the device does not know the context of sessions.
pub fn read_key_package(network: &NetworkId, bytes: &[u8], now: UnixSeconds) -> Result<PackageInfo, SessionError> {
    if bytes.len() > KEY_PACKAGE_BYTES_MAX || Header::read(bytes)?.kind != Kind::KeyPackage {
        return Err(SessionError::Malformed);
    }
    let message = MlsMessage::from_bytes(bytes).map_err(|_| SessionError::Malformed)?;
    let package = message.as_key_package().ok_or(SessionError::Malformed)?;
    let suite = SessionSuite::from_number(package.cipher_suite().raw_value()).ok_or(SessionError::Suite)?;
    let tools = Tools::new(*network, suite);
    let leaf = package.signing_identity();

    let certificate = certificate(leaf)?;
    let Credential::Custom(credential) = &leaf.credential else {
        return Err(CertificateError::Type.into());
    };
    SignedLeafCertificate::check(network, suite, leaf.signature_key.as_bytes(), credential.data())?;
    certificate.check_time(now)?;
    let expires = tools.run(|| package.expiration())?.seconds_since_epoch();
    if expires <= now.get() {
        return Err(CertificateError::Expired.into());
    }

    let crypto = tools.crypto();
    let node = leaf_node(bytes).map_err(|_| SessionError::Malformed)?;
    for key in [&package.hpke_init_key, &node.public_key] {
        crypto.kem_public_key_validate(key).map_err(|_| SessionError::Forged)?;
    }
    let context = ExtensionType::new(CONTEXT_EXTENSION_TYPE);
    let credential = CredentialType::new(CREDENTIAL_TYPE);
    if !node.capabilities.extensions.contains(&context) || !node.capabilities.credentials.contains(&credential) {
        return Err(Forbidden::Extension.into());
    }
    // Either signature is at the end of what it signs.
    let whole = package.mls_encode_to_vec().map_err(|_| SessionError::Malformed)?;
    let inner = node.mls_encode_to_vec().map_err(|_| SessionError::Malformed)?;
    for (label, signed, signature) in [
        (&b"KeyPackageTBS"[..], whole, &package.signature),
        (&b"LeafNodeTBS"[..], inner, &node.signature),
    ] {
        let content = before_signature(&signed, signature).ok_or(SessionError::Malformed)?;
        let message = sign_content(label, content).ok_or(SessionError::Malformed)?;
        crypto
            .verify(&leaf.signature_key, signature, &message)
            .map_err(|_| SessionError::Forged)?;
    }

    let reference = tools.run(|| message.key_package_reference(&crypto))?;
    let reference = reference.ok_or(SessionError::Malformed)?.to_vec();
    Ok(PackageInfo {
        reference: reference.try_into().map_err(|_| SessionError::Local)?,
        suite,
        certificate,
        expires: UnixSeconds::new(expires),
    })
}

/// The names of the key packages that a Welcome is for.
///
/// # Errors
/// [`SessionError::Malformed`] if it is no Welcome.
pub fn welcome_packages(welcome: &[u8]) -> Result<Vec<[u8; 32]>, SessionError> {
    if Header::read(welcome)?.kind != Kind::Welcome {
        return Err(SessionError::Malformed);
    }
    let welcome = MlsMessage::from_bytes(welcome).map_err(|_| SessionError::Malformed)?;
    welcome
        .welcome_key_package_references()
        .into_iter()
        .map(|reference| reference.to_vec().try_into().map_err(|_| SessionError::Malformed))
        .collect()
}

/// The leaf within the message of a key package: behind version, wire format, version, suite, and init key.
fn leaf_node(mut bytes: &[u8]) -> Result<LeafNode, mls_rs::mls_rs_codec::Error> {
    for _ in 0..4 {
        u16::mls_decode(&mut bytes)?;
    }
    HpkePublicKey::mls_decode(&mut bytes)?;
    LeafNode::mls_decode(&mut bytes)
}

fn before_signature<'a>(signed: &'a [u8], signature: &Vec<u8>) -> Option<&'a [u8]> {
    let mut end = Vec::new();
    mls_rs::mls_rs_codec::byte_vec::mls_encode(signature, &mut end).ok()?;
    signed.strip_suffix(end.as_slice())
}

/// `SignContent` (RFC 9420, section 5.1.2).
fn sign_content(label: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    mls_rs::mls_rs_codec::byte_vec::mls_encode(&[b"MLS 1.0 ", label].concat(), &mut out).ok()?;
    mls_rs::mls_rs_codec::byte_vec::mls_encode(&content.to_vec(), &mut out).ok()?;
    Some(out)
}

/// The secrets of a key package.
///
/// ```text
/// version 1 │ suite 2 │ reference 32 │ leaf seed 32 │ init key 32 │ leaf's HPKE key 32 │ expiry 8 │ key package
/// ```
pub(crate) struct PackageSecrets {
    pub(crate) suite: SessionSuite,
    pub(crate) reference: [u8; 32],
    pub(crate) seed: Zeroizing<[u8; 32]>,
    pub(crate) kept: KeyPackageData,
}

const VERSION: u8 = 1;

impl PackageSecrets {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts: [&[u8]; 8] = [
            &[VERSION],
            &self.suite.number().to_be_bytes(),
            &self.reference,
            self.seed.as_slice(),
            &self.kept.init_key,
            &self.kept.leaf_node_key,
            &self.kept.expiration.to_be_bytes(),
            &self.kept.key_package_bytes,
        ];
        // Allocated once: nothing is left behind where it grew.
        let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let mut out = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            out.extend_from_slice(part);
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = bytes.split_first_chunk::<1>()? else {
            return None;
        };
        let (suite, rest) = rest.split_first_chunk::<2>()?;
        let (reference, rest) = rest.split_first_chunk::<32>()?;
        let (seed, rest) = rest.split_first_chunk::<32>()?;
        let (init_key, rest) = rest.split_first_chunk::<32>()?;
        let (leaf_node_key, rest) = rest.split_first_chunk::<32>()?;
        let (expiration, package) = rest.split_first_chunk::<8>()?;
        Some(Self {
            suite: SessionSuite::from_number(u16::from_be_bytes(*suite))?,
            reference: *reference,
            seed: Zeroizing::new(*seed),
            kept: KeyPackageData::new(
                package.to_vec(),
                init_key.to_vec().into(),
                leaf_node_key.to_vec().into(),
                u64::from_be_bytes(*expiration),
            ),
        })
    }
}
