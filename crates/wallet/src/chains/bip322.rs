//! BIP-322, *simple*: a message is signed by spending, in a transaction that can't exist, from the address.

use super::secp256k1;
use crate::{LinkError, text::sha256, text::sha256d};
use k256::schnorr;

/// The witness, checked and split: its items, which are all shorter than 253 bytes.
fn items<const N: usize>(witness: &[u8]) -> Result<[&[u8]; N], LinkError> {
    let (count, mut rest) = witness.split_first().ok_or(LinkError::Witness)?;
    if usize::from(*count) != N {
        return Err(LinkError::Witness);
    }
    let mut items = [&[][..]; N];
    for item in &mut items {
        let (length, after) = rest.split_first().ok_or(LinkError::Witness)?;
        if *length > 0xfc {
            return Err(LinkError::Witness);
        }
        (*item, rest) = after.split_at_checked(usize::from(*length)).ok_or(LinkError::Witness)?;
    }
    if rest.is_empty() {
        Ok(items)
    } else {
        Err(LinkError::Witness)
    }
}

/// Verifies a witness of DER signature and compressed key, for the key's hash.
pub(crate) fn verify_p2wpkh(hash: &[u8; 20], message: &[u8], witness: &[u8]) -> Result<(), LinkError> {
    let [signature, key] = items(witness)?;
    let key: &[u8; 33] = key.try_into().map_err(|_| LinkError::Witness)?;
    // BIP-143: compressed. SEC 1 has compact keys of this length too, with which nobody can spend.
    if !matches!(key, [2 | 3, ..]) {
        return Err(LinkError::Witness);
    }
    let Some((SIGHASH_ALL, der)) = signature.split_last() else {
        return Err(LinkError::NotCanonical);
    };
    if secp256k1::hash160(key) != *hash {
        return Err(LinkError::OtherSigner);
    }
    let script = [&[0x00, 0x14], hash.as_slice()].concat();
    // BIP-143, with the script of P2PKH for the code.
    let outpoint = outpoint(&script, message);
    let code = [&[0x19, 0x76, 0xa9, 0x14], hash.as_slice(), &[0x88, 0xac]].concat();
    let digest = sha256d(&[
        &ZERO4, // version
        &sha256d(&[&outpoint]),
        &sha256d(&[&ZERO4]), // sequences
        &outpoint,
        &code,
        &AMOUNT,
        &ZERO4, // sequence
        &sha256d(&[&OUTPUT]),
        &ZERO4, // lock time
        &[*SIGHASH_ALL, 0, 0, 0],
    ]);
    secp256k1::verify_der(key, &digest, der)
}

/// Verifies a witness of one Schnorr signature, for the key that an address shows.
pub(crate) fn verify_p2tr(key: &[u8; 32], message: &[u8], witness: &[u8]) -> Result<(), LinkError> {
    let [item] = items(witness)?;
    // 64 bytes: all is signed by default. 65: the last one says so.
    let (signature, hash_type) = match item {
        [signature @ .., 0x01] if signature.len() == 64 => (signature, 0x01),
        signature if signature.len() == 64 => (signature, 0x00),
        _ => return Err(LinkError::NotCanonical),
    };
    let script = [&[0x51, 0x20], key.as_slice()].concat();
    let digest = tagged(
        b"TapSighash",
        &[
            &[0x00, hash_type], // epoch, type
            &ZERO4,             // version
            &ZERO4,             // lock time
            &sha256(&[&outpoint(&script, message)]),
            &sha256(&[&AMOUNT]),
            &sha256(&[&[0x22], &script]),
            &sha256(&[&ZERO4]), // sequences
            &sha256(&[&OUTPUT]),
            &[0x00], // spent by the key, no annex
            &ZERO4,  // index of the input
        ],
    );
    let signature = schnorr::Signature::from_slice(signature).map_err(|_| LinkError::NotCanonical)?;
    schnorr::VerifyingKey::from_slice(key)
        .and_then(|key| key.verify_raw(&digest, &signature))
        .map_err(|_| LinkError::Signature)
}

/// Everything is signed.
const SIGHASH_ALL: &u8 = &0x01;
/// Version, sequence, lock time and index of both transactions.
const ZERO4: [u8; 4] = [0; 4];
/// The amount that is spent: nothing.
const AMOUNT: [u8; 8] = [0; 8];
/// The one output of the transaction that spends: nothing, to `OP_RETURN`.
const OUTPUT: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x6a];

/// Where the spent output is: the id of the transaction that makes it, and index 0.
fn outpoint(script: &[u8], message: &[u8]) -> [u8; 36] {
    let message_hash = tagged(b"BIP0322-signed-message", &[message]);
    let script_length = u8::try_from(script.len()).unwrap_or(u8::MAX);
    let id = sha256d(&[
        &ZERO4,              // version
        &[0x01],             // inputs
        &[0; 32],            // of no transaction
        &[0xff; 4],          // at no index
        &[0x22, 0x00, 0x20], // 34 bytes: OP_0, push of 32
        &message_hash,
        &ZERO4,  // sequence
        &[0x01], // outputs
        &AMOUNT,
        &[script_length],
        script,
        &ZERO4, // lock time
    ]);
    let mut out = [0; 36];
    for (slot, byte) in out.iter_mut().zip(id) {
        *slot = byte;
    }
    out
}

/// A hash as BIP-340 tags it.
fn tagged(tag: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = sha256(&[tag]);
    let mut all: alloc::vec::Vec<&[u8]> = alloc::vec![&tag, &tag];
    all.extend_from_slice(parts);
    sha256(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, WalletSignature, account::Inner};
    use serde_json::Value;
    use tokenim_wire::hex;

    fn published() -> Value {
        let text = include_str!("../../tests/vectors/bip322.json");
        serde_json::from_str(text).unwrap()
    }

    fn texts<'a>(case: &'a Value, names: &[&str]) -> Vec<&'a str> {
        names.iter().map(|name| case[*name].as_str().unwrap()).collect()
    }

    fn judge(address: &str, message: &str, signature: &str) -> Result<(), LinkError> {
        let account: Account = format!("bip122:000000000019d6689c085ae165831e93:{address}")
            .parse()
            .unwrap();
        let Ok(WalletSignature::Bip322(witness)) = WalletSignature::parse(&account, signature) else {
            return Err(LinkError::Kind);
        };
        match account.inner() {
            Inner::Bitcoin(account) => account.verify_witness(message, &witness),
            _ => unreachable!(),
        }
    }

    #[test]
    fn messages_and_transactions_hash_as_published() {
        for case in published()["tx_hashes"].as_array().unwrap() {
            let [message, message_hash, to_spend] = texts(case, &["message", "message_hash", "to_spend_tx_hash"])
                .try_into()
                .unwrap();
            let hash = tagged(b"BIP0322-signed-message", &[message.as_bytes()]);
            assert_eq!(hex::encode(&hash), message_hash);
            // bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l
            let script = hex::decode("00142b05d564e6a7a33c087f16e0f730d1440123799d").unwrap();
            let mut id = outpoint(&script, message.as_bytes())[..32].to_vec();
            id.reverse();
            assert_eq!(hex::encode(&id), to_spend);
        }
    }

    #[test]
    fn published_signatures_hold() {
        for case in published()["simple"].as_array().unwrap() {
            let [address, message, signature] = texts(case, &["address", "message", "signature"]).try_into().unwrap();
            assert_eq!(judge(address, message, signature), Ok(()), "{case}");
            assert!(judge(address, &format!("{message}."), signature).is_err(), "{case}");
        }
    }

    #[test]
    fn published_errors_are_errors() {
        for case in published()["error"].as_array().unwrap() {
            let [address, message, signature] = texts(case, &["address", "message", "signature"]).try_into().unwrap();
            assert!(judge(address, message, signature).is_err(), "{case}");
        }
    }
}
