#!/usr/bin/env python3
"""Makes the vectors beside it: a second implementation of docs/spec/envelope.md and of the pages that it builds on.

It shares no code with the crates. Run it in this folder; it prints one file's content:

    python3 generate.py hpke > hpke.json
    python3 generate.py hpke_refused > hpke_refused.json
    python3 generate.py sealed > sealed.json

Needs the packages `cryptography` (50; X25519, AES-GCM, Ed25519, and ML-KEM-768 to open what was made) and `kyber-py`
(1.2; ML-KEM-768 with given randomness). `refused.json` is made in the tests, from the same page (see vectors.rs).
"""

import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kyber_py.ml_kem import ML_KEM_768

X25519, X_WING = 0x0020, 0x647A

# --- wire ---------------------------------------------------------------------------------------------------------


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def blob(data):
    return varint(len(data)) + data


def H(label, *parts):
    return hashlib.sha256(bytes([len(label)]) + label.encode() + b"".join(parts)).digest()


def some(text, length=32):
    """Bytes without meaning, the same for the same text."""
    return hashlib.shake_256(b"tokenim envelope vectors: " + text.encode()).digest(length)


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


# --- HPKE (RFC 9180), base mode, sequence number 0 ------------------------------------------------------------------


def extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def labeled_extract(suite, salt, label, ikm):
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def x25519(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def x25519_base(secret):
    return raw(X25519PrivateKey.from_private_bytes(secret).public_key())


class Dhkem:
    """DHKEM(X25519, HKDF-SHA256): RFC 9180, sections 4.1 and 7.1.3."""

    number, randomness = X25519, 32
    suite = b"KEM\x00\x20"

    def derive(self, ikm):
        prk = labeled_extract(self.suite, b"", b"dkp_prk", ikm)
        return labeled_expand(self.suite, prk, b"sk", b"", 32)

    def public(self, secret):
        return x25519_base(secret)

    def encapsulate(self, public, ikm):
        ephemeral = self.derive(ikm)
        enc = x25519_base(ephemeral)
        return enc, self.shared_secret(x25519(ephemeral, public), enc, public)

    def decapsulate(self, secret, enc):
        return self.shared_secret(x25519(secret, enc), enc, self.public(secret))

    def shared_secret(self, dh, enc, public):
        prk = labeled_extract(self.suite, b"", b"eae_prk", dh)
        return labeled_expand(self.suite, prk, b"shared_secret", enc + public, 32)


class XWing:
    """draft-connolly-cfrg-xwing-kem-10; DeriveKeyPair as in draft-ietf-hpke-pq."""

    number, randomness = X_WING, 64
    suite = b"KEM\x64\x7a"

    def derive(self, ikm):
        label = b"DeriveKeyPair"
        labeled = ikm + b"HPKE-v1" + self.suite + len(label).to_bytes(2, "big") + label + (32).to_bytes(2, "big")
        return hashlib.shake_256(labeled).digest(32)

    def expand(self, secret):
        expanded = hashlib.shake_256(secret).digest(96)
        return expanded[:64], expanded[64:]

    def public(self, secret):
        seed, by_x25519 = self.expand(secret)
        public, _ = ML_KEM_768.key_derive(seed)
        assert public == raw(MLKEM768PrivateKey.from_seed_bytes(seed).public_key())
        return public + x25519_base(by_x25519)

    def encapsulate(self, public, randomness):
        ephemeral = randomness[32:]
        enc = x25519_base(ephemeral)
        by_x25519 = x25519(ephemeral, public[1184:])
        by_ml_kem, ciphertext = ML_KEM_768._encaps_internal(public[:1184], randomness[:32])
        return ciphertext + enc, self.combine(by_ml_kem, by_x25519, enc, public[1184:])

    def decapsulate(self, secret, enc, zero=False):
        seed, by_x25519 = self.expand(secret)
        by_ml_kem = MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(enc[:1088])
        shared = bytes(32) if zero else x25519(by_x25519, enc[1088:])
        return self.combine(by_ml_kem, shared, enc[1088:], x25519_base(by_x25519))

    def combine(self, by_ml_kem, by_x25519, ephemeral, recipient):
        return hashlib.sha3_256(by_ml_kem + by_x25519 + ephemeral + recipient + b"\\.//^\\").digest()


KEMS = {X25519: Dhkem(), X_WING: XWing()}


def key_schedule(kem, shared_secret, info):
    suite = b"HPKE" + kem.number.to_bytes(2, "big") + b"\x00\x01\x00\x02"
    context = b"\x00" + labeled_extract(suite, b"", b"psk_id_hash", b"")
    context += labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared_secret, b"secret", b"")
    return labeled_expand(suite, secret, b"key", context, 32), labeled_expand(suite, secret, b"base_nonce", context, 12)


def encrypt(kem, shared_secret, info, aad, plaintext):
    key, nonce = key_schedule(kem, shared_secret, info)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def hpke():
    cases = [("empty", b"", b"", b""), ("short", b"info", b"aad", b"plaintext"), ("long", some("info", 200), b"", bytes(5000))]
    for kem in KEMS.values():
        for name, info, aad, plaintext in cases:
            ikm_r, randomness = some(f"ikmR {name}"), some(f"randomness {name}", kem.randomness)
            secret = kem.derive(ikm_r)
            public = kem.public(secret)
            enc, shared_secret = kem.encapsulate(public, randomness)
            assert kem.decapsulate(secret, enc) == shared_secret
            key, nonce = key_schedule(kem, shared_secret, info)
            ciphertext = encrypt(kem, shared_secret, info, aad, plaintext)
            yield {
                "name": name,
                "suite": kem.number,
                "ikmR": ikm_r.hex(),
                "skRm": secret.hex(),
                "pkRm": public.hex(),
                "randomness": randomness.hex(),
                "enc": enc.hex(),
                "shared_secret": shared_secret.hex(),
                "key": key.hex(),
                "base_nonce": nonce.hex(),
                "info": info.hex(),
                "aad": aad.hex(),
                "pt_zeros": len(plaintext) if name == "long" else None,
                "pt": None if name == "long" else plaintext.hex(),
                "ct": None if name == "long" else ciphertext.hex(),
                "ct_sha256": hashlib.sha256(ciphertext).hexdigest(),
            }


def hpke_refused():
    """Bytes that are no key, keys that are not sealed to, and what does not open."""
    for kem in KEMS.values():
        secret = kem.derive(some("refused"))
        public = kem.public(secret)
        randomness = some("refused randomness", kem.randomness)
        enc, shared_secret = kem.encapsulate(public, randomness)
        ciphertext = encrypt(kem, shared_secret, b"info", b"aad", b"plaintext")

        def key(name, error, public):
            return {"name": name, "suite": kem.number, "step": "key", "error": error, "key": public.hex()}

        yield key("key_one_byte_short", "Length", public[:-1])
        yield key("key_one_byte_long", "Length", public + b"\x00")
        yield key("key_empty", "Length", b"")
        if kem.number == X_WING:
            # the first coefficient in the first twelve bits: 3329, the modulus, and 4095
            yield key("key_with_a_coefficient_at_the_modulus", "NotReduced", b"\x01" + bytes([public[1] & 0xF0 | 0x0D]) + public[2:])
            yield key("key_with_the_largest_coefficient", "NotReduced", b"\xff" + bytes([public[1] | 0x0F]) + public[2:])
            yield key("key_of_only_ones", "NotReduced", b"\xff" * 1184 + public[1184:])

        def seal(name, public):
            return {"name": name, "suite": kem.number, "step": "seal", "error": "PublicKey", "key": public.hex()}

        order_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
        yield seal("key_of_order_one", public[:-32] + bytes(32))
        yield seal("key_of_order_eight", public[:-32] + order_8)

        def opened(name, enc=enc, info=b"info", aad=b"aad", ciphertext=ciphertext, error="Refused"):
            return {
                "name": name,
                "suite": kem.number,
                "step": "open",
                "error": error,
                "secret": secret.hex(),
                "enc": enc.hex(),
                "info": info.hex(),
                "aad": aad.hex(),
                "ct": ciphertext.hex(),
            }

        def flipped(data, position):
            return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

        yield opened("encapsulated_key_one_byte_short", enc=enc[:-1], error="Length")
        yield opened("encapsulated_key_one_byte_long", enc=enc + b"\x00", error="Length")
        yield opened("encapsulated_key_empty", enc=b"", error="Length")
        yield opened("another_info", info=b"Info")
        yield opened("another_aad", aad=b"")
        yield opened("ciphertext_changed", ciphertext=flipped(ciphertext, 0))
        yield opened("tag_changed", ciphertext=flipped(ciphertext, len(ciphertext) - 1))
        yield opened("tag_missing", ciphertext=ciphertext[:-16])
        yield opened("ciphertext_empty", ciphertext=b"")
        yield opened("last_byte_of_the_encapsulated_key_changed", enc=flipped(enc, len(enc) - 1))
        for name, point in [("one", bytes(32)), ("eight", order_8)]:
            enc_small = enc[:-32] + point
            if kem.number == X_WING:
                # What someone who does not look would open: X25519's share of the secret is zero.
                zero = kem.decapsulate(secret, enc_small, zero=True)
            else:
                zero = kem.shared_secret(bytes(32), enc_small, public)
            sealed = encrypt(kem, zero, b"info", b"aad", b"plaintext")
            yield opened(f"encapsulated_key_of_order_{name}", enc=enc_small, ciphertext=sealed)
        if kem.number == X_WING:
            yield opened("first_byte_of_the_ml_kem_ciphertext_changed", enc=flipped(enc, 0))
            yield opened("last_byte_of_the_ml_kem_ciphertext_changed", enc=flipped(enc, 1087))


# --- envelope -------------------------------------------------------------------------------------------------------


def padded(length):
    for bucket in (512, 1024, 2048, 4096):
        if length <= bucket:
            return bucket
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def digest_if_long(data):
    return data.hex() if len(data) <= 2400 else H("tokenim/vector/v1", data).hex()


def sealed():
    cases = [
        ("empty", 2, 0, 0, None),
        ("with_a_checkpoint", 1, 97, 20, (1_000_000, some("header"))),
        ("with_the_highest_checkpoint", 1, 97, 20, (2**64 - 1, b"\xff" * 32)),
        ("largest_in_the_first_bucket", 1, 97, 259, None),
        ("smallest_in_the_second_bucket", 1, 97, 260, None),
        ("padme", 2, 255, 5000, None),
        ("longest", 65535, 90, 62464, (2**64 - 1, b"\xff" * 32)),
    ]
    network, message_id, expiry = some("network"), some("message id", 16), 1_800_086_400
    signer = Ed25519PrivateKey.from_private_bytes(some("signing seed"))
    sender, recipient, recipient_device = some("sender"), some("recipient"), some("recipient device")
    sender_device = H("tokenim/device-id/v1", raw(signer.public_key()))
    for kem in KEMS.values():
        seed, randomness = some("envelope seed"), some("randomness", kem.randomness)
        secret = kem.derive(seed)
        public = kem.public(secret)
        enc, shared_secret = kem.encapsulate(public, randomness)
        assert kem.decapsulate(secret, enc) == shared_secret
        aad = b"\x01" + varint(kem.number) + varint(expiry) + blob(enc)
        label = b"tokenim/envelope/v1"
        info = bytes([len(label)]) + label + network + kem.number.to_bytes(2, "big")
        for name, kind, body_byte, body_bytes, checkpoint in cases:
            payload = bytes(32) + sender + sender_device + recipient + recipient_device + message_id + varint(expiry)
            payload += b"\x00" if checkpoint is None else b"\x01" + varint(checkpoint[0]) + checkpoint[1]
            payload += varint(kind) + blob(bytes([body_byte]) * body_bytes)
            statement = H("tokenim/envelope-info/v1", info) + H("tokenim/envelope-header/v1", aad) + blob(enc)
            statement += varint(kem.number) + blob(public) + payload
            label = b"tokenim/envelope-signature/v1"
            signature = signer.sign(bytes([len(label)]) + label + network + statement)
            plaintext = payload + signature
            length = len(plaintext)
            plaintext += bytes(padded(length + 4) - length - 4) + length.to_bytes(4, "big")
            envelope = aad + blob(encrypt(kem, shared_secret, info, aad, plaintext))
            yield {
                "name": name,
                "suite": kem.number,
                "network": network.hex(),
                "sender": sender.hex(),
                "sender_device": sender_device.hex(),
                "sender_signing_seed": some("signing seed").hex(),
                "recipient": recipient.hex(),
                "recipient_device": recipient_device.hex(),
                "recipient_envelope_seed": seed.hex(),
                "recipient_envelope_key": public.hex(),
                "randomness": randomness.hex(),
                "message_id": message_id.hex(),
                "expiry": expiry,
                "checkpoint": None if checkpoint is None else {"height": checkpoint[0], "header": checkpoint[1].hex()},
                "kind": kind,
                "body_byte": body_byte,
                "body_bytes": body_bytes,
                "info": info.hex(),
                "aad": aad.hex(),
                "statement": digest_if_long(statement),
                "signature": signature.hex(),
                "envelope_bytes": len(envelope),
                "envelope": envelope.hex() if len(envelope) <= 2400 else None,
                "envelope_id": H("tokenim/envelope-id/v1", envelope).hex(),
            }


def main():
    files = {"hpke": hpke, "hpke_refused": hpke_refused, "sealed": sealed}
    lines = (json.dumps(vector) for vector in files[sys.argv[1]]())
    print("[\n  " + ",\n  ".join(lines) + "\n]")


if __name__ == "__main__":
    main()
