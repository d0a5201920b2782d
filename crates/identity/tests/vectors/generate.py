#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/identity.md alone: a second implementation of that page, slow and
not constant-time.

    python3 generate.py NAME     prints NAME.json, for NAME of: keys, verdicts, chain, refused, names, keystore

`keystore` needs the package `cryptography` 44 or newer for Argon2id and AES-256-GCM; the rest needs nothing.
slip10.json, bip39.json and speccheck.json are published elsewhere and name their source.
"""

import hashlib
import hmac
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# --- wire ------------------------------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def labelled(label, data):
    return bytes([len(label)]) + label.encode() + data


def digest(label, data):
    return hashlib.sha256(labelled(label, data)).digest()


# --- Ed25519 (RFC 8032, section 5.1) ---------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    a, b, c, d = f - e, h - g, h + g, f + e
    return a * b % P, c * d % P, b * c % P, a * d % P


def times(scalar, point):
    out = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            out = add(out, point)
        point = add(point, point)
        scalar >>= 1
    return out


def negated(point):
    x, y, z, t = point
    return -x % P, y, z, -t % P


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    """Any encoding of any point, canonical or not (ZIP-215)."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - xx) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
ZERO = (0, 1, 1, 0)


def small(point):
    return same(times(8, point), ZERO)


def sha512(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little")


def secret(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & (1 << 254) - 8 | 1 << 254, h[32:]


def public(seed):
    return compress(times(secret(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = secret(seed)
    r = sha512(prefix + message) % L
    commitment = compress(times(r, BASE))
    k = sha512(commitment + public(seed) + message) % L
    return commitment + ((r + k * scalar) % L).to_bytes(32, "little")


def key_error(data):
    point = decompress(data)
    if point is None:
        return "NotAPoint"
    if compress(point) != data:
        return "NotCanonical"
    return "SmallOrder" if small(point) else None


def verdicts_of(key, message, signature):
    """strict; ZIP-215; and what the plain `verify` of ed25519-dalek does, which is neither."""
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    a, r = decompress(key), decompress(r_bytes)
    if a is None or s >= L:
        return dict(strict=False, zip215=False, plain=False)
    k = sha512(r_bytes + key + message) % L
    expected = add(times(s, BASE), negated(times(k, a)))
    plain = compress(expected) == r_bytes
    zip215 = r is not None and same(times(8, r), times(8, expected))
    strict = plain and key_error(key) is None and not small(r)
    return dict(strict=strict, zip215=zip215, plain=plain)


def torsion():
    """The eight points of small order."""
    y = 2
    while True:
        point = decompress(y.to_bytes(32, "little"))
        if point is not None:
            point = times(L, point)
            if not same(times(4, point), ZERO):
                return [times(n, point) for n in range(8)]
        y += 1


def non_canonical():
    """Every encoding of a point that is not its canonical one."""
    out = []
    for y in [1, P - 1]:
        out.append((y | 1 << 255).to_bytes(32, "little"))
    for y in range(P, 1 << 255):
        for sign in (0, 1 << 255):
            data = (y | sign).to_bytes(32, "little")
            if decompress(data) is not None:
                out.append(data)
    return out


# --- words and roots -------------------------------------------------------------------------------------------------


def slip10(seed, path):
    out = hmac.digest(b"ed25519 seed", seed, "sha512")
    for index in path:
        out = hmac.digest(out[32:], b"\0" + out[:32] + (index | 1 << 31).to_bytes(4, "big"), "sha512")
    return out[:32]


def root_seed(words, index):
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)
    return slip10(seed, [1414090061, 0, index])


# --- bech32m (BIP-350) -----------------------------------------------------------------------------------------------

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            if top >> bit & 1:
                check ^= factor
    return check


def five_bits(data):
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[at:at + 5], 2) for at in range(0, len(bits), 5)]


def bech32(prefix, values, constant=0x2BC830A3):
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + values + [0] * 6) ^ constant
    values = values + [check >> 5 * (5 - at) & 31 for at in range(6)]
    return prefix + "1" + "".join(ALPHABET[value] for value in values)


def name_of(identity):
    return bech32("tim", five_bits(identity))


# --- identities ------------------------------------------------------------------------------------------------------


def genesis(root, next_root):
    return b"\1" + root + digest("tokenim/next-root/v1", next_root)


def identity_of(genesis_bytes):
    return digest("tokenim/genesis/v1", genesis_bytes)


class DeviceOf:
    """A device whose secrets are made of one letter each."""

    def __init__(self, letter, envelope=None):
        self.signing, self.envelope_seed = letter * 32, bytes([letter[0] + 1]) * 32
        self.inbox, self.inbox_nonce = bytes([letter[0] + 2]) * 32, bytes([letter[0] + 3]) * 16
        self.envelope = envelope or varint(0x20) + varint(32) + bytes([letter[0] + 4]) * 32
        self.key = public(self.signing)
        self.id = digest("tokenim/device-id/v1", self.key)
        self.keys = self.key + self.envelope + public(self.inbox) + self.inbox_nonce
        self.secrets = b"\1" + self.signing + self.envelope_seed + self.inbox + self.inbox_nonce


def statement(label, network, body):
    return labelled(label, network + body)


def consent(network, identity, seq, device):
    return statement("tokenim/device-consent/v1", network, identity + varint(seq) + device.keys)


def add_device(device, consent_signature):
    return varint(0) + device.keys + consent_signature


def revoke_device(device_id):
    return varint(1) + device_id


def record(network, identity, seq, prev, op):
    return network + identity + varint(seq) + prev + op


ROOT = varint(0)
BY_ROOT, BY_DEVICE = "tokenim/record-by-root/v1", "tokenim/record-by-device/v1"


def by_device(device):
    return varint(1) + device.id


def signed(network, record_bytes, signer, seed, label):
    return record_bytes + signer + sign(seed, statement(label, network, record_bytes))


def record_digest(signed_bytes):
    return digest("tokenim/record-digest/v1", signed_bytes)


def state(identity, seq, head, root, next_root, devices):
    out = identity + varint(seq) + head + root + next_root + varint(len(devices))
    for device, added, revoked in devices:
        out += device.keys + varint(added) + (b"\0" if revoked is None else b"\1" + varint(revoked))
    return out


NETWORK = bytes(range(32))
WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid " \
        "letter advice cage absurd amount doctor acoustic bless"
ENTROPY = "80" * 32
ROOT_SEED, NEXT_SEED = root_seed(WORDS, 0), root_seed(WORDS, 1)
ROOT_KEY, NEXT_KEY = public(ROOT_SEED), public(NEXT_SEED)
GENESIS = genesis(ROOT_KEY, NEXT_KEY)
IDENTITY = identity_of(GENESIS)
NEXT_ROOT = GENESIS[33:]
FIRST, SECOND, THIRD = DeviceOf(b"a"), DeviceOf(b"g"), DeviceOf(b"m")


def added(device, seq, prev, **other):
    """A signed record that adds a device; `other` says what is different about it."""
    network, identity = other.get("network", NETWORK), other.get("identity", IDENTITY)
    agreed = other.get("agreed") or consent(network, identity, seq, device)
    op = add_device(device, sign(other.get("consent_seed", device.signing), agreed))
    body = record(network, identity, seq, prev, op)
    return signed(other.get("signed_network", network), body, other.get("signer", ROOT), other.get("seed", ROOT_SEED),
                  other.get("label", BY_ROOT))


def revoked(device_id, seq, prev, signer=ROOT, seed=ROOT_SEED, label=BY_ROOT):
    return signed(NETWORK, record(NETWORK, IDENTITY, seq, prev, revoke_device(device_id)), signer, seed, label)


def chain():
    steps, devices, head = [], [], IDENTITY

    def step(name, bytes_, height, devices):
        nonlocal head
        head = record_digest(bytes_)
        at = len(steps) + 1
        steps.append(dict(
            name=name, height=height, record=(b"\1" + bytes_).hex(), digest=head.hex(),
            state=(b"\1" + state(IDENTITY, at, head, ROOT_KEY, NEXT_ROOT, devices)).hex(),
        ))

    step("root_adds_first", added(FIRST, 1, head), 12, [(FIRST, 12, None)])
    step("root_adds_second", added(SECOND, 2, head), 300, [(FIRST, 12, None), (SECOND, 300, None)])
    step("first_revokes_itself", revoked(FIRST.id, 3, head, by_device(FIRST), FIRST.signing, BY_DEVICE), 301,
         [(FIRST, 12, 301), (SECOND, 300, None)])
    step("root_revokes_second", revoked(SECOND.id, 4, head), 301, [(FIRST, 12, 301), (SECOND, 300, 301)])
    agreed = consent(NETWORK, IDENTITY, 1, FIRST)
    return dict(
        network=NETWORK.hex(), entropy=ENTROPY, words=WORDS,
        roots=[dict(index=n, seed=root_seed(WORDS, n).hex(), key=public(root_seed(WORDS, n)).hex()) for n in (0, 1, 7)],
        genesis=GENESIS.hex(), identity=IDENTITY.hex(), name=name_of(IDENTITY),
        state=(b"\1" + state(IDENTITY, 0, IDENTITY, ROOT_KEY, NEXT_ROOT, [])).hex(),
        devices=[dict(secrets=d.secrets.hex(), envelope=d.envelope.hex(), keys=d.keys.hex(), id=d.id.hex())
                 for d in (FIRST, SECOND)],
        consent=dict(signed_bytes=agreed.hex(), signature=sign(FIRST.signing, agreed).hex()),
        steps=steps,
    )


def refused():
    one = added(FIRST, 1, IDENTITY)
    head = record_digest(one)

    def object_(seq=1, head=head, devices=((FIRST, 12, None),)):
        return b"\1" + state(IDENTITY, seq, head, ROOT_KEY, NEXT_ROOT, list(devices))

    live, gone = object_(), object_(devices=[(FIRST, 12, 13)])
    two = object_(devices=[(FIRST, 12, None), (SECOND, 12, None)])
    many = [DeviceOf(bytes([n])) for n in range(100, 164)]
    good = added(SECOND, 2, head)
    other = bytes(32)
    flipped = good[:-1] + bytes([good[-1] ^ 0x20])
    long_key = DeviceOf(b"g", varint(0x20) + varint(33) + bytes(33))
    short_key = DeviceOf(b"g", varint(0x20) + varint(31) + bytes(31))
    strange = DeviceOf(b"g", varint(0x647A) + varint(32) + bytes(32))
    weak = DeviceOf(b"g")
    weak.keys = compress(torsion()[1]) + weak.keys[32:]
    wide = DeviceOf(b"g")
    wide.keys = non_canonical()[-1] + wide.keys[32:]
    cases = [
        ("another_network", live, added(SECOND, 2, head, network=other), "WrongNetwork"),
        ("another_identity", live, added(SECOND, 2, head, identity=other), "WrongIdentity"),
        ("replayed", live, one, "WrongSequence"),
        ("one_missing", live, added(SECOND, 3, head), "WrongSequence"),
        ("number_zero", live, added(SECOND, 0, head), "WrongSequence"),
        ("follows_another", live, added(SECOND, 2, IDENTITY), "WrongPrevious"),
        ("device_adds_device", live,
         added(SECOND, 2, head, signer=by_device(FIRST), seed=FIRST.signing, label=BY_DEVICE), "NotAllowed"),
        ("device_adds_itself", live,
         added(SECOND, 2, head, signer=by_device(SECOND), seed=SECOND.signing, label=BY_DEVICE), "NotAllowed"),
        ("device_revokes_another", two, revoked(FIRST.id, 2, head, by_device(SECOND), SECOND.signing, BY_DEVICE),
         "NotAllowed"),
        ("added_twice", live, added(FIRST, 2, head), "DeviceExists"),
        ("added_after_revocation", gone, added(FIRST, 2, head), "DeviceExists"),
        ("revokes_unknown", live, revoked(SECOND.id, 2, head), "UnknownDevice"),
        ("unknown_revokes_itself", live, revoked(SECOND.id, 2, head, by_device(SECOND), SECOND.signing, BY_DEVICE),
         "UnknownDevice"),
        ("revoked_twice", gone, revoked(FIRST.id, 2, head), "DeviceRevoked"),
        ("revoked_revokes_itself", gone, revoked(FIRST.id, 2, head, by_device(FIRST), FIRST.signing, BY_DEVICE),
         "DeviceRevoked"),
        ("revoked_before_added", object_(devices=[(FIRST, 21, None)]), revoked(FIRST.id, 2, head), "HeightWentBack"),
        ("too_many_records", object_(seq=1024), added(SECOND, 1025, head), "RecordsFull"),
        ("too_many_devices", object_(devices=[(d, 1, 2) for d in many]), added(FIRST, 2, head), "DevicesFull"),
        ("consent_by_root", live, added(SECOND, 2, head, consent_seed=ROOT_SEED), "Consent"),
        ("consent_to_another_number", live,
         added(SECOND, 2, head, agreed=consent(NETWORK, IDENTITY, 1, SECOND)), "Consent"),
        ("consent_to_another_identity", live,
         added(SECOND, 2, head, agreed=consent(NETWORK, other, 2, SECOND)), "Consent"),
        ("consent_in_another_network", live,
         added(SECOND, 2, head, agreed=consent(other, IDENTITY, 2, SECOND)), "Consent"),
        ("consent_to_another_envelope_key", live,
         added(SECOND, 2, head, agreed=consent(NETWORK, IDENTITY, 2, DeviceOf(b"g", varint(0x20) + varint(32) + bytes(32)))),
         "Consent"),
        ("signed_by_next_root", live, added(SECOND, 2, head, seed=NEXT_SEED), "Signature"),
        ("signed_by_device_as_root", live, added(SECOND, 2, head, seed=SECOND.signing), "Signature"),
        ("signed_under_the_label_of_devices", live, added(SECOND, 2, head, label=BY_DEVICE), "Signature"),
        ("signed_for_another_network", live, added(SECOND, 2, head, signed_network=other), "Signature"),
        ("signature_changed", live, flipped, "Signature"),
        ("device_signed_under_the_label_of_roots", live, revoked(FIRST.id, 2, head, by_device(FIRST), FIRST.signing),
         "Signature"),
        ("root_signed_as_device", live, revoked(FIRST.id, 2, head, by_device(FIRST), ROOT_SEED, BY_DEVICE), "Signature"),
        ("unknown_operation", live,
         signed(NETWORK, record(NETWORK, IDENTITY, 2, head, varint(2)), ROOT, ROOT_SEED, BY_ROOT), "Malformed"),
        ("unknown_signer", live, good[:-65] + varint(2) + good[-64:], "Malformed"),
        ("envelope_key_too_long", live, added(long_key, 2, head), "Malformed"),
        ("envelope_key_too_short", live, added(short_key, 2, head), "Malformed"),
        ("unknown_suite", live, added(strange, 2, head), "Malformed"),
        ("device_key_of_small_order", live, added(weak, 2, head), "Malformed"),
        ("device_key_not_canonical", live, added(wide, 2, head), "Malformed"),
        ("trailing_byte", live, good + b"\0", "TrailingBytes"),
        ("truncated", live, good[:-1], "Truncated"),
    ]
    return dict(network=NETWORK.hex(), height=20, cases=[
        dict(name=name, state=before.hex(), record=(b"\1" + bytes_).hex(), error=error)
        for name, before, bytes_, error in cases
    ])


def keys():
    cases = [(f"good_{n}", public(bytes([n]) * 32)) for n in range(3)]
    cases += [(f"small_order_{n}", compress(point)) for n, point in enumerate(torsion())]
    cases += [(f"not_canonical_{n}", data) for n, data in enumerate(non_canonical())]
    bad = [n.to_bytes(32, "little") for n in range(2, 40) if decompress(n.to_bytes(32, "little")) is None]
    cases += [(f"not_a_point_{n}", data) for n, data in enumerate(bad[:4])]
    mixed = add(decompress(public(bytes(32))), torsion()[1])
    cases.append(("mixed_order_is_accepted", compress(mixed)))
    return [dict(name=name, key=data.hex(), error=key_error(data)) for name, data in cases]


def verdicts():
    with open(os.path.join(HERE, "speccheck.json")) as file:
        published = json.load(file)["cases"]
    cases = [(c["name"], *(bytes.fromhex(c[part]) for part in ("key", "message", "signature"))) for c in published]
    points = [compress(point) for point in torsion()]
    points += [data for data in non_canonical() if small(decompress(data))]
    for a, key in enumerate(points):
        for r, commitment in enumerate(points):
            cases.append((f"small_order_{a}_{r}", key, b"Zcash", commitment + bytes(32)))
    seed, message = bytes(range(32)), b"an honest signature"
    good = sign(seed, message)
    cases.append(("honest", public(seed), message, good))
    cases.append(("honest_other_message", public(seed), message + b".", good))
    cases.append(("honest_other_key", public(bytes(32)), message, good))
    above = int.from_bytes(good[32:], "little") + L
    cases.append(("s_plus_order", public(seed), message, good[:32] + above.to_bytes(32, "little")))
    cases.append(("r_not_a_point", public(seed), message, (2).to_bytes(32, "little") + good[32:]))
    cases.append(("key_not_a_point", (2).to_bytes(32, "little"), message, good))
    return dict(
        source="speccheck_*: see speccheck.json; small_order_*: every pair of encodings of points of small order with "
               "s = 0 over 'Zcash', the construction by which ZIP-215 (https://zips.z.cash/zip-0215) is tested; the rest "
               "made here",
        cases=[
            dict(name=name, key=key.hex(), message=message.hex(), signature=signature.hex(),
                 **verdicts_of(key, message, signature))
            for name, key, message, signature in cases
        ],
    )


def names():
    good = name_of(IDENTITY)
    values = five_bits(IDENTITY)
    swapped = good[:10] + good[11] + good[10] + good[12:]
    assert swapped != good
    cases = [
        ("lower_case", good, None),
        ("upper_case", good.upper(), None),
        ("mixed_case", good[:20].upper() + good[20:], "Checksum"),
        ("one_letter_wrong", good[:30] + ("q" if good[30] != "q" else "p") + good[31:], "Checksum"),
        ("two_letters_swapped", swapped, "Checksum"),
        ("last_letter_missing", good[:-1], "Checksum"),
        ("empty", "", "Checksum"),
        ("no_separator", good.replace("1", ""), "Checksum"),
        ("letter_outside_of_the_alphabet", good[:30] + "b" + good[31:], "Checksum"),
        ("space_after", good + " ", "Checksum"),
        ("old_checksum", bech32("tim", values, 1), "Checksum"),
        ("padding_not_zero", bech32("tim", values[:-1] + [values[-1] | 1]), "Checksum"),
        ("another_prefix", bech32("bc", values), "Prefix"),
        ("a_byte_short", bech32("tim", five_bits(IDENTITY[:-1])), "Length"),
        ("a_byte_long", bech32("tim", five_bits(IDENTITY + b"\0")), "Length"),
        ("no_data", bech32("tim", []), "Length"),
    ]
    return dict(identity=IDENTITY.hex(), cases=[dict(name=n, text=text, error=error) for n, text, error in cases])


def keystore():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    passphrase, salt, nonce = b"correct horse battery staple", bytes(range(16)), bytes(range(16, 28))

    def sealed(kind, cost, secret, derive=None, zeros=bytes(32), version=b"\1", label="tokenim/keystore/v1"):
        memory, passes, lanes = derive or cost
        key = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(passphrase)
        header = varint(kind) + b"".join(map(varint, cost)) + salt + nonce
        body = AESGCM(key).encrypt(nonce, zeros + secret, labelled(label, b"\1" + header))
        return version + header + varint(len(body)) + body

    least = (8, 1, 1)
    good = sealed(0, least, b"a secret of 32 bytes, not a byte")
    changed = {f"byte_{at}_changed": good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
               for at in (5, 20, 21, 32, 34, 66, len(good) - 1)}
    opened = [
        ("phrase", 0, good, b"a secret of 32 bytes, not a byte"),
        ("device", 1, sealed(1, (16, 2, 2), FIRST.secrets), FIRST.secrets),
        ("node", 2, sealed(2, (64, 1, 4), bytes(32)), bytes(32)),
        ("nothing", 2, sealed(2, least, b""), b""),
    ]
    closed = [
        ("empty", 0, b"", "Malformed"),
        ("truncated", 0, good[:-1], "Malformed"),
        ("trailing_byte", 0, good + b"\0", "Malformed"),
        ("unknown_version", 0, b"\2" + good[1:], "UnknownVersion"),
        ("unknown_kind", 0, b"\1\3" + good[2:], "Malformed"),
        ("another_kind", 1, good, "WrongKind"),
        ("kind_changed", 1, b"\1\1" + good[2:], "WrongPassphraseOrDamaged"),
        ("memory_above_the_limit", 0, sealed(0, (262145, 1, 1), b"", least), "UnsupportedCost"),
        ("memory_of_32_bits", 0, sealed(0, ((1 << 32) - 1, 1, 1), b"", least), "UnsupportedCost"),
        ("memory_below_the_least", 0, sealed(0, (7, 1, 1), b"", least), "UnsupportedCost"),
        ("memory_below_the_least_for_its_lanes", 0, sealed(0, (15, 1, 2), b"", least), "UnsupportedCost"),
        ("passes_above_the_limit", 0, sealed(0, (8, 17, 1), b"", least), "UnsupportedCost"),
        ("no_passes", 0, sealed(0, (8, 0, 1), b"", least), "UnsupportedCost"),
        ("lanes_above_the_limit", 0, sealed(0, (136, 1, 17), b"", least), "UnsupportedCost"),
        ("no_lanes", 0, sealed(0, (8, 1, 0), b"", least), "UnsupportedCost"),
        ("no_commitment", 0, sealed(0, least, b"", None, b""), "WrongPassphraseOrDamaged"),
        ("commitment_not_zero", 0, sealed(0, least, b"", None, bytes(31) + b"\1"), "WrongPassphraseOrDamaged"),
        ("another_label", 0, sealed(0, least, b"", label="tokenim/keystore/v2"), "WrongPassphraseOrDamaged"),
    ]
    closed += [(name, 0, data, "WrongPassphraseOrDamaged") for name, data in changed.items()]
    return dict(
        passphrase=passphrase.decode(), salt=salt.hex(), nonce=nonce.hex(),
        opened=[dict(name=n, kind=kind, bytes=data.hex(), secret=secret.hex()) for n, kind, data, secret in opened],
        closed=[dict(name=n, kind=kind, bytes=data.hex(), error=error) for n, kind, data, error in closed],
    )


if __name__ == "__main__":
    made = dict(keys=keys, verdicts=verdicts, chain=chain, refused=refused, names=names, keystore=keystore)
    print(json.dumps(made[sys.argv[1]](), indent=1, ensure_ascii=False))
