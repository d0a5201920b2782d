//! TLS 1.3 in which a certificate is nothing but an Ed25519 public key (RFC 7250), on both sides.
//!
//! The name of the server never crosses the network (SNI is off). It is the key that the dialler expects, spelt as a
//! DNS name, since that is what the TLS library hands to the verifier and files session tickets under: so the tickets
//! of one peer are never offered to another.

use ring::{hkdf, hmac};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, PeerMisbehaved,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, ServerSessionMemoryCache,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SigningKey},
};
use std::{fmt::Write as _, sync::Arc};
use tokenim_identity::NodeKey;
use tokenim_transport::{PeerId, TransportError};
use zeroize::Zeroizing;

/// The only protocol spoken here; another version gets another name.
pub(crate) const ALPN: &[u8] = b"tokenim/1";

/// Sessions remembered for resumption on either side.
const SESSIONS_MAX: usize = 256;

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What precedes the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Under which a peer's key is spelt as a name; `.invalid` never resolves (RFC 6761).
const NAME_SUFFIX: &str = ".tokenim.invalid";

/// The alert with which a dialler refuses another key than the expected one. Nothing else here raises it.
pub(crate) const WRONG_PEER_ALERT: u8 = 0x31;

/// A crypto failure that no input of ours can cause.
fn local_fault(error: impl std::fmt::Display) -> TransportError {
    TransportError::Io(error.to_string())
}

/// The signing key of a seed, and its public half.
pub(crate) fn signing_key(seed: &[u8; 32]) -> Result<(Arc<dyn SigningKey>, PeerId), TransportError> {
    let mut der = Zeroizing::new([0; 48]);
    for (slot, byte) in der.iter_mut().zip(PKCS8_PREFIX.iter().chain(seed)) {
        *slot = *byte;
    }
    let key = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice())).map_err(local_fault)?;
    let peer = key
        .public_key()
        .and_then(|spki| peer_of_spki(spki.as_ref()))
        .ok_or_else(|| local_fault("no Ed25519 public key"))?;
    Ok((key, peer))
}

fn spki_of(peer: &PeerId) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), peer.as_bytes()].concat()
}

/// The key inside of a SubjectPublicKeyInfo, if that is an Ed25519 key in its only encoding.
fn peer_of_spki(spki: &[u8]) -> Option<PeerId> {
    let (prefix, key) = spki.split_first_chunk::<12>()?;
    let key: [u8; 32] = key.try_into().ok()?;
    (*prefix == SPKI_PREFIX).then(|| PeerId::from_bytes(key))
}

/// The peer of an established connection.
pub(crate) fn peer_of(connection: &quinn::Connection) -> Option<PeerId> {
    let chain = connection
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    match chain.as_slice() {
        [only] => peer_of_spki(only),
        _ => None,
    }
}

/// A key as a name: 32 hexadecimal digits, a dot, 32 more (a label takes 63), and the suffix.
pub(crate) fn name_of(peer: &PeerId) -> String {
    let mut name = String::with_capacity(81);
    for (index, byte) in peer.as_bytes().iter().enumerate() {
        if index == 16 {
            name.push('.');
        }
        // Writing to a string can't fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(NAME_SUFFIX);
    name
}

fn is_name_of(name: &ServerName<'_>, peer: &PeerId) -> bool {
    matches!(name, ServerName::DnsName(text) if text.as_ref() == name_of(peer))
}

/// Accepts raw Ed25519 keys only: as a dialler the one in the name, as a listener any.
#[derive(Debug)]
struct RawKeys(WebPkiSupportedAlgorithms);

impl RawKeys {
    fn verify_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key.as_ref()),
            signature,
            &self.0,
        )
    }

    /// The key shown, if it is one that only its holder can sign for.
    fn key_shown(key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<PeerId, Error> {
        peer_of_spki(key)
            .filter(|peer| more.is_empty() && NodeKey::from_bytes(peer.to_bytes()).is_ok())
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
    }
}

impl ServerCertVerifier for RawKeys {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !is_name_of(name, &Self::key_shown(key, more)?) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::key_shown(key, more).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The TLS configurations of an endpoint with this seed: as the one who dials, and as the one who is dialled. Without
/// early data, which could be replayed.
pub(crate) fn configs(seed: &[u8; 32]) -> Result<(ClientConfig, ServerConfig), TransportError> {
    let crypto = Arc::new(CryptoProvider {
        kx_groups: vec![provider::kx_group::X25519],
        ..provider::default_provider()
    });
    let (key, peer) = signing_key(seed)?;
    let shown = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki_of(&peer))], key));
    let verifier = Arc::new(RawKeys(crypto.signature_verification_algorithms));

    let mut client = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(local_fault)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&shown))));
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.enable_sni = false;
    client.enable_early_data = false;
    client.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);

    let mut server = ServerConfig::builder_with_provider(crypto)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(local_fault)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown)));
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.max_early_data_size = 0;
    server.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    Ok((client, server))
}

/// The keys that QUIC itself needs, derived from the seed so that a restarted endpoint still recognises the connections
/// of its former life and can tell their peers at once that they are gone.
pub(crate) struct QuicKeys {
    /// Makes stateless reset tokens (RFC 9000, section 10.3.2).
    pub(crate) reset: hmac::Key,
    /// Protects the tokens by which addresses are validated (RFC 9000, section 8.1).
    pub(crate) tokens: hkdf::Prk,
    /// Lets the endpoint recognise its own connection ids. Guards nothing.
    pub(crate) connection_ids: u64,
}

/// Derives the keys of QUIC: HKDF-SHA256 with the label as salt and the seed as input, expanded with one info each.
pub(crate) fn quic_keys(seed: &[u8; 32]) -> Result<QuicKeys, TransportError> {
    let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tokenim/transport-quic/v1").extract(seed);
    let derive = |info: &[u8]| -> Result<Zeroizing<[u8; 32]>, TransportError> {
        let mut key = Zeroizing::new([0; 32]);
        root.expand(&[info], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .map_err(local_fault)?;
        Ok(key)
    };
    let ids = derive(b"connection ids")?;
    Ok(QuicKeys {
        reset: hmac::Key::new(hmac::HMAC_SHA256, derive(b"stateless reset")?.as_slice()),
        tokens: hkdf::Salt::new(hkdf::HKDF_SHA256, b"tokenim/transport-quic/tokens/v1")
            .extract(derive(b"address validation")?.as_slice()),
        connection_ids: ids.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spelt_as_a_name_that_tls_takes() {
        let (_, peer) = signing_key(&[7; 32]).unwrap();
        let name = name_of(&peer);
        assert_eq!(name.replace('.', ""), format!("{peer}tokeniminvalid"));
        assert!(is_name_of(&ServerName::try_from(name).unwrap(), &peer));
        let (_, other) = signing_key(&[8; 32]).unwrap();
        assert!(!is_name_of(&ServerName::try_from(name_of(&other)).unwrap(), &peer));
    }

    #[test]
    fn only_the_one_encoding_of_a_key_is_taken() {
        let (_, peer) = signing_key(&[7; 32]).unwrap();
        let spki = spki_of(&peer);
        assert_eq!(peer_of_spki(&spki), Some(peer));
        assert_eq!(peer_of_spki(&spki[..43]), None);
        assert_eq!(peer_of_spki(&[&spki[..], &[0]].concat()), None);
        for index in 0..12 {
            let mut damaged = spki.clone();
            damaged[index] ^= 1;
            assert_eq!(peer_of_spki(&damaged), None, "byte {index}");
        }
    }

    #[test]
    fn keys_that_anyone_can_sign_for_are_refused() {
        // The neutral element, and a point of order 8.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let order_8 = [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ];
        for key in [neutral, order_8] {
            let shown = CertificateDer::from(spki_of(&PeerId::from_bytes(key)));
            assert!(RawKeys::key_shown(&shown, &[]).is_err());
        }
        let (_, honest) = signing_key(&[7; 32]).unwrap();
        let shown = CertificateDer::from(spki_of(&honest));
        assert_eq!(RawKeys::key_shown(&shown, &[]).unwrap(), honest);
        assert!(RawKeys::key_shown(&shown, std::slice::from_ref(&shown)).is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_keys() {
        let (first, again, other) = (
            quic_keys(&[1; 32]).unwrap(),
            quic_keys(&[1; 32]).unwrap(),
            quic_keys(&[2; 32]).unwrap(),
        );
        let tag = |keys: &QuicKeys| hmac::sign(&keys.reset, b"x").as_ref().to_vec();
        assert_eq!(tag(&first), tag(&again));
        assert_ne!(tag(&first), tag(&other));
        assert_eq!(first.connection_ids, again.connection_ids);
        assert_ne!(first.connection_ids, other.connection_ids);
    }
}
