//! Which leaf certificates are refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use tokenim_mls::{CertificateError, LeafCertificate, SessionSuite, SignedLeafCertificate};
use tokenim_wire::{DecodeError, NetworkId, Object, UnixSeconds};

const LEAF: [u8; 32] = [9; 32];

fn certificate() -> LeafCertificate {
    LeafCertificate {
        identity: owner(1).identity,
        device: owner(1).device.verifying_key(),
        leaf: LEAF,
        suite: SessionSuite::PostQuantum,
        created: NOW,
        expires: later(DAY),
    }
}

fn sign(certificate: LeafCertificate) -> Vec<u8> {
    SignedLeafCertificate::sign(&NETWORK, &owner(1).device, certificate)
        .unwrap()
        .to_bytes()
        .unwrap()
}

fn check(bytes: &[u8]) -> Result<LeafCertificate, CertificateError> {
    SignedLeafCertificate::check(&NETWORK, SessionSuite::PostQuantum, &LEAF, bytes)
}

#[test]
fn a_certificate_is_signed_by_its_device_for_its_leaf_and_suite() {
    let bytes = sign(certificate());
    assert_eq!(check(&bytes), Ok(certificate()));
    let (suite, network) = (SessionSuite::PostQuantum, NetworkId::from_bytes([2; 32]));
    let check_as = SignedLeafCertificate::check;
    assert_eq!(
        check_as(&network, suite, &LEAF, &bytes),
        Err(CertificateError::Signature)
    );
    assert_eq!(
        check_as(&NETWORK, SessionSuite::Classical, &LEAF, &bytes),
        Err(CertificateError::Suite)
    );
    assert_eq!(check_as(&NETWORK, suite, &[8; 32], &bytes), Err(CertificateError::Leaf));
    assert_eq!(
        check_as(&NETWORK, suite, &LEAF[..31], &bytes),
        Err(CertificateError::Leaf)
    );

    // Another device's signature, and another identity than was signed.
    let mut signed = SignedLeafCertificate::sign(&NETWORK, &owner(2).device, certificate()).unwrap();
    assert_eq!(check(&signed.to_bytes().unwrap()), Err(CertificateError::Signature));
    signed = SignedLeafCertificate::sign(&NETWORK, &owner(1).device, certificate()).unwrap();
    signed.certificate.identity = owner(2).identity;
    assert_eq!(check(&signed.to_bytes().unwrap()), Err(CertificateError::Signature));

    assert_eq!(check(&bytes[..bytes.len() - 1]), Err(DecodeError::Truncated.into()));
    assert_eq!(
        check(&[bytes.clone(), vec![0]].concat()),
        Err(DecodeError::TrailingBytes.into())
    );
    let version = [&[2], &bytes[1..]].concat();
    assert!(matches!(
        check(&version),
        Err(CertificateError::Malformed(DecodeError::UnknownVersion { .. }))
    ));
}

#[test]
fn a_certificate_lasts_for_1_second_to_90_days() {
    let lasting = |seconds| {
        check(&sign(LeafCertificate {
            expires: later(seconds),
            ..certificate()
        }))
    };
    assert_eq!(lasting(0), Err(CertificateError::Lifetime));
    assert!(lasting(1).is_ok());
    assert!(lasting(90 * DAY).is_ok());
    assert_eq!(lasting(90 * DAY + 1), Err(CertificateError::Lifetime));
    let before = LeafCertificate {
        expires: UnixSeconds::ZERO,
        ..certificate()
    };
    assert_eq!(check(&sign(before)), Err(CertificateError::Lifetime));

    assert_eq!(certificate().check_time(NOW.saturating_sub(120)), Ok(()));
    assert_eq!(
        certificate().check_time(NOW.saturating_sub(121)),
        Err(CertificateError::NotYetValid)
    );
    assert_eq!(certificate().check_time(later(DAY - 1)), Ok(()));
    assert_eq!(certificate().check_time(later(DAY)), Err(CertificateError::Expired));
}
