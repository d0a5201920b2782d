#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/identity.md alone: a second implementation of that page, slow and
not constant-time.

    python3 generate.py NAME     prints NAME.json, for NAME of: keys, verdicts, chain, refused, refused_phrases, recovery,
    names, keystore

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
        self.vault = bytes([letter[0] + 5]) * 32
        self.keys = self.key + self.envelope + public(self.inbox) + self.inbox_nonce
        self.secrets = b"\1" + self.signing + self.envelope_seed + self.inbox + self.inbox_nonce + self.vault


def statement(label, network, body):
    return labelled(label, network + body)


def consent(network, identity, seq, device):
    return statement("tokenim/device-consent/v1", network, identity + varint(seq) + device.keys)


# Operations: their number, then what belongs to it.


def add_device(device, consent_signature):
    return varint(0) + device.keys + consent_signature


def revoke_device(device_id):
    return varint(1) + device_id


def rotate_root(after):
    return varint(2) + digest("tokenim/next-root/v1", after)


def set_recovery(commitment):
    return varint(3) + optional(commitment)


DEACTIVATE, CANCEL, COMPLETE = varint(4), varint(5), varint(6)


def recover(root, after, recovery, keep):
    ids = b"".join(keep)
    return varint(7) + root + digest("tokenim/next-root/v1", after) + optional(recovery) + varint(len(keep)) + ids


def link(commitment):
    return varint(8) + commitment


def unlink(commitment):
    return varint(9) + commitment


def optional(value):
    return b"\0" if value is None else b"\1" + value


def record(network, identity, seq, prev, op):
    return network + identity + varint(seq) + prev + op


BY_ROOT, BY_DEVICE = "tokenim/record-by-root/v1", "tokenim/record-by-device/v1"
BY_NEXT_ROOT, BY_RECOVERY = "tokenim/record-by-next-root/v1", "tokenim/record-by-recovery/v1"


class Root:
    """Signs as the root. Each part can be another than it should be, for the records that are refused."""

    def __init__(self, seed, label=BY_ROOT):
        self.seed, self.label = seed, label

    def authorize(self, network, body):
        return varint(0) + sign(self.seed, statement(self.label, network, body))


class By:
    """Signs as a device."""

    def __init__(self, device, seed=None, label=BY_DEVICE):
        self.device, self.seed, self.label = device, seed or device.signing, label

    def authorize(self, network, body):
        return varint(1) + self.device.id + sign(self.seed, statement(self.label, network, body))


class Next:
    """Signs as the next root, which shows itself."""

    def __init__(self, seed, key=None, label=BY_NEXT_ROOT):
        self.seed, self.key, self.label = seed, key or public(seed), label

    def authorize(self, network, body):
        return varint(2) + self.key + sign(self.seed, statement(self.label, network, body))


class Share:
    """One recovery key."""

    def __init__(self, number, salt=None):
        self.seed, self.salt = bytes([0x60 + number]) * 32, salt or bytes([0x70 + number]) * 16
        self.key = public(self.seed)
        self.leaf = digest("tokenim/recovery-leaf/v1", self.salt + self.key)


def commitment_of(threshold, shares):
    return digest("tokenim/recovery/v1", bytes([threshold]) + b"".join(share.leaf for share in shares))


class Recovery:
    """Signs as recovery keys: those of `signers`, which are places among the shares."""

    def __init__(self, threshold, shares, signers, **other):
        self.threshold, self.shares, self.signers, self.other = threshold, shares, signers, other

    def authorize(self, network, body):
        message = statement(self.other.get("label", BY_RECOVERY), network, body)
        out = varint(3) + bytes([self.threshold]) + varint(len(self.shares))
        out += b"".join(share.leaf for share in self.shares) + varint(len(self.signers))
        for at, index in enumerate(self.signers):
            share = self.shares[index] if index < len(self.shares) else self.shares[0]
            shown = self.other.get("indexes", self.signers)[at]
            salt = self.other.get("salt", share.salt)
            seed = self.other.get("seed", share.seed)
            out += bytes([shown]) + share.key + salt + sign(seed, message)
        return out


def signed(signer, seq, prev, op, network=None, identity=None, signed_network=None):
    """A signed record."""
    body = record(network or NETWORK, identity or IDENTITY, seq, prev, op)
    return body + signer.authorize(signed_network or network or NETWORK, body)


def record_digest(signed_bytes):
    return digest("tokenim/record-digest/v1", signed_bytes)


def log_after(log, record_digest_, height, time):
    return digest("tokenim/record-log/v1", log + record_digest_ + varint(height) + varint(time))


ACTIVE = varint(0)


def pending(op, rank, submitted, due):
    return varint(1) + op + varint(rank) + varint(submitted) + varint(due)


def ended(height):
    return varint(2) + varint(height)


def state(seq=0, head=None, log=None, spent=0, root=None, next_root=None, recovery=None, standing=ACTIVE, links=(),
          devices=()):
    out = IDENTITY + varint(seq) + (head or IDENTITY) + (log or IDENTITY) + varint(spent) + (root or ROOT_KEY)
    out += (next_root or NEXT_ROOT) + optional(recovery) + standing + varint(len(links)) + b"".join(links)
    out += varint(len(devices))
    for device, added, revoked in devices:
        out += device.keys + varint(added) + (b"\0" if revoked is None else b"\1" + varint(revoked))
    return b"\1" + out


NETWORK = bytes(range(32))
WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid " \
        "letter advice cage absurd amount doctor acoustic bless"
OTHER_WORDS = "abandon " * 23 + "art"
ENTROPY = "80" * 32
SEEDS = [root_seed(WORDS, index) for index in range(8)]
KEYS = [public(seed) for seed in SEEDS]
ROOT_SEED, NEXT_SEED = SEEDS[:2]
ROOT_KEY, NEXT_KEY = KEYS[:2]
GENESIS = genesis(ROOT_KEY, NEXT_KEY)
IDENTITY = identity_of(GENESIS)
NEXT_ROOT = GENESIS[33:]
FIRST, SECOND, THIRD = DeviceOf(b"a"), DeviceOf(b"g"), DeviceOf(b"m")
X_WING = DeviceOf(b"s", varint(0x647A) + varint(1216) + bytes(n % 251 for n in range(1216)))
SHARES = [Share(number) for number in range(3)]
COMMITMENT = commitment_of(2, SHARES)
OTHER_COMMITMENT = commitment_of(1, SHARES[:1])
LINK, OTHER_LINK = bytes([0xA1]) * 32, bytes([0xA2]) * 32
WINDOW = 72 * 60 * 60 * 1000
ROOT, NEXT = Root(ROOT_SEED), Next(NEXT_SEED)
RECOVERY = Recovery(2, SHARES, [0, 2])


def next_digest(index):
    return digest("tokenim/next-root/v1", KEYS[index])


def agreed_add(device, seq, seed=None, agreed=None):
    """The operation that adds a device, which agrees to it."""
    agreed = agreed or consent(NETWORK, IDENTITY, seq, device)
    return add_device(device, sign(seed or device.signing, agreed))


def added(device, seq, prev, **other):
    """A signed record that adds a device; `other` says what is different about it."""
    network, identity = other.get("network", NETWORK), other.get("identity", IDENTITY)
    agreed = other.get("agreed") or consent(network, identity, seq, device)
    op = agreed_add(device, seq, other.get("consent_seed"), agreed)
    return signed(other.get("signer", ROOT), seq, prev, op, network, identity, other.get("signed_network"))


def chain():
    """A chain with every operation. Each step says what it changes; the rest follows from the bytes of the record."""
    steps, now, devices = [], dict(seq=0, head=IDENTITY, log=IDENTITY, spent=0, devices=()), {}

    def step(name, height, time, signer, op, **changes):
        seq = now["seq"] + 1
        bytes_ = signed(signer, seq, now["head"], op)
        now.update(seq=seq, head=record_digest(bytes_), spent=now["spent"] + 1)
        now["log"] = log_after(now["log"], now["head"], height, time)
        for device, added, revoked in changes.pop("devices", []):
            devices[device] = (device, added, revoked)
        now.update(changes, devices=tuple(devices.values()))
        steps.append(dict(name=name, height=height, time=time, record=(b"\1" + bytes_).hex(), digest=now["head"].hex(),
                          state=state(**now).hex()))

    step("root_adds_first", 12, 1_000, ROOT, agreed_add(FIRST, 1), devices=[(FIRST, 12, None)])
    step("root_adds_second", 300, 2_000, ROOT, agreed_add(SECOND, 2), devices=[(SECOND, 300, None)])
    step("first_revokes_itself", 301, 2_500, By(FIRST), revoke_device(FIRST.id), devices=[(FIRST, 12, 301)])
    step("root_links_account", 301, 2_500, ROOT, link(LINK), links=(LINK,))
    step("next_root_sets_recovery", 302, 3_000, NEXT, set_recovery(COMMITMENT), recovery=COMMITMENT)
    due = 4_000 + WINDOW
    step("root_begins_to_change_recovery", 303, 4_000, ROOT, set_recovery(OTHER_COMMITMENT),
         standing=pending(varint(1) + optional(OTHER_COMMITMENT), 0, 303, due))
    step("next_root_cancels", 304, 5_000, NEXT, CANCEL, standing=ACTIVE)
    due = 6_000 + WINDOW
    step("next_root_begins_rotation", 305, 6_000, NEXT, rotate_root(KEYS[2]),
         standing=pending(varint(0) + KEYS[1] + next_digest(2), 1, 305, due))
    step("second_completes_it", 306, due, By(SECOND), COMPLETE, standing=ACTIVE, root=KEYS[1], next_root=next_digest(2),
         spent=0)
    root = Root(SEEDS[1])
    step("root_links_another_account", 307, due, root, link(OTHER_LINK), links=(LINK, OTHER_LINK))
    step("root_unlinks_account", 308, due, root, unlink(LINK), links=(OTHER_LINK,))
    due += WINDOW
    step("root_begins_to_deactivate", 309, due - WINDOW, root, DEACTIVATE, standing=pending(varint(2), 0, 309, due))
    step("root_completes_it", 310, due + 1, root, COMPLETE, standing=ended(310), devices=[(SECOND, 300, 310)])
    step("two_of_three_recover", 311, due + 2, RECOVERY, recover(KEYS[4], KEYS[5], COMMITMENT, []), standing=ACTIVE,
         root=KEYS[4], next_root=next_digest(5), spent=0)
    root = Root(SEEDS[4])
    step("root_adds_third", 312, due + 3, root, agreed_add(THIRD, 15), devices=[(THIRD, 312, None)])
    step("root_removes_recovery", 313, due + 4, root, set_recovery(None),
         standing=pending(varint(1) + optional(None), 0, 313, due + 4 + WINDOW))
    step("others_recover_and_keep_a_device", 314, due + 5, Recovery(2, SHARES, [1, 2]),
         recover(KEYS[6], KEYS[7], OTHER_COMMITMENT, [THIRD.id]), standing=ACTIVE, root=KEYS[6],
         next_root=next_digest(7), recovery=OTHER_COMMITMENT, spent=0)
    root = Root(SEEDS[6])
    step("root_revokes_third", 315, due + 6, root, revoke_device(THIRD.id), devices=[(THIRD, 312, 315)])
    step("root_adds_one_with_x_wing", 316, due + 7, root, agreed_add(X_WING, 19), devices=[(X_WING, 316, None)])
    agreed = consent(NETWORK, IDENTITY, 1, FIRST)
    other_genesis = genesis(ROOT_KEY, public(root_seed(OTHER_WORDS, 0)))
    return dict(
        network=NETWORK.hex(), window_ms=WINDOW, entropy=ENTROPY, words=WORDS,
        roots=[dict(index=n, seed=SEEDS[n].hex(), key=KEYS[n].hex()) for n in range(8)],
        genesis=GENESIS.hex(), identity=IDENTITY.hex(), name=name_of(IDENTITY), state=state().hex(),
        second=dict(words=OTHER_WORDS, genesis=other_genesis.hex(), name=name_of(identity_of(other_genesis))),
        devices=[dict(secrets=d.secrets.hex(), envelope=d.envelope.hex(), keys=d.keys.hex(), id=d.id.hex())
                 for d in (FIRST, SECOND, THIRD, X_WING)],
        consent=dict(signed_bytes=agreed.hex(), signature=sign(FIRST.signing, agreed).hex()),
        steps=steps,
    )


def refused():
    """Records that are refused, each for one reason, at height 20 and time 1,000,000."""
    one = added(FIRST, 1, IDENTITY)
    head = record_digest(one)

    def with_(**other):
        return state(**dict(dict(seq=1, head=head, log=head, spent=1, devices=((FIRST, 12, None),)), **other))

    def by(signer, op, **other):
        return signed(signer, 2, head, op, **other)

    other = bytes(32)
    live, gone = with_(), with_(devices=((FIRST, 12, 13),))
    later = with_(devices=((FIRST, 21, None),))
    two = with_(devices=((FIRST, 12, None), (SECOND, 12, None)))
    many = [DeviceOf(bytes([n])) for n in range(100, 164)]
    guarded = with_(recovery=COMMITMENT)
    linked = with_(links=(LINK,))
    stranger, own = By(SECOND), By(FIRST)
    root_waits = with_(standing=pending(varint(2), 0, 15, 1_000_001))
    next_waits = with_(standing=pending(varint(0) + NEXT_KEY + next_digest(2), 1, 15, 1_000_001))
    late = with_(standing=pending(varint(2), 0, 21, 5))
    over = with_(standing=ended(15), devices=((FIRST, 12, 15),), recovery=COMMITMENT)
    good = added(SECOND, 2, head)
    flipped = good[:-1] + bytes([good[-1] ^ 0x20])
    long_key = DeviceOf(b"g", varint(0x20) + varint(33) + bytes(33))
    short_key = DeviceOf(b"g", varint(0x20) + varint(31) + bytes(31))
    short_x_wing = DeviceOf(b"g", varint(0x647A) + varint(32) + bytes(32))
    strange = DeviceOf(b"g", varint(0x21) + varint(32) + bytes(32))
    weak, wide = DeviceOf(b"g"), DeviceOf(b"g")
    weak.keys = compress(torsion()[1]) + weak.keys[32:]
    wide.keys = non_canonical()[-1] + wide.keys[32:]
    off_curve = next(n.to_bytes(32, "little") for n in range(2, 40) if decompress(n.to_bytes(32, "little")) is None)
    revoke, rotate, guard = revoke_device(FIRST.id), rotate_root(KEYS[2]), set_recovery(COMMITMENT)
    rescue = recover(KEYS[4], KEYS[5], None, [])
    keep_two = sorted([FIRST.id, SECOND.id])
    full = 1024
    salted = [SHARES[0], Share(0, bytes(16))]

    cases = [
        # Of another place.
        ("another_network", live, added(SECOND, 2, head, network=other), "WrongNetwork"),
        ("another_identity", live, added(SECOND, 2, head, identity=other), "WrongIdentity"),
        ("replayed", live, one, "WrongSequence"),
        ("one_missing", live, added(SECOND, 3, head), "WrongSequence"),
        ("number_zero", live, added(SECOND, 0, head), "WrongSequence"),
        ("after_the_last_number", with_(seq=(1 << 64) - 1), added(SECOND, 0, head), "RecordsFull"),
        ("follows_another", live, added(SECOND, 2, IDENTITY), "WrongPrevious"),
        ("recovery_of_another_network", guarded, by(RECOVERY, rescue, network=other), "WrongNetwork"),
        ("recovery_follows_another", guarded, signed(RECOVERY, 2, IDENTITY, rescue), "WrongPrevious"),
        # By a signer who may not.
        ("device_adds_device", live, added(SECOND, 2, head, signer=own), "NotAllowed"),
        ("device_adds_itself", live, added(SECOND, 2, head, signer=stranger), "NotAllowed"),
        ("device_revokes_another", two, by(stranger, revoke), "NotAllowed"),
        ("device_rotates_the_root", live, by(own, rotate), "NotAllowed"),
        ("device_sets_recovery", live, by(own, guard), "NotAllowed"),
        ("device_deactivates", live, by(own, DEACTIVATE), "NotAllowed"),
        ("device_cancels", root_waits, by(own, CANCEL), "NotAllowed"),
        ("device_recovers", guarded, by(own, rescue), "NotAllowed"),
        ("device_links", live, by(own, link(LINK)), "NotAllowed"),
        ("device_unlinks", linked, by(own, unlink(LINK)), "NotAllowed"),
        ("root_rotates_the_root", live, by(ROOT, rotate), "NotAllowed"),
        ("root_recovers", guarded, by(ROOT, rescue), "NotAllowed"),
        ("next_root_adds_device", live, added(SECOND, 2, head, signer=NEXT), "NotAllowed"),
        ("next_root_revokes_device", live, by(NEXT, revoke), "NotAllowed"),
        ("next_root_deactivates", live, by(NEXT, DEACTIVATE), "NotAllowed"),
        ("next_root_recovers", guarded, by(NEXT, rescue), "NotAllowed"),
        ("next_root_links", live, by(NEXT, link(LINK)), "NotAllowed"),
        ("recovery_keys_rotate_the_root", guarded, by(RECOVERY, rotate), "NotAllowed"),
        ("recovery_keys_set_recovery", guarded, by(RECOVERY, guard), "NotAllowed"),
        ("recovery_keys_cancel", with_(recovery=COMMITMENT, standing=pending(varint(2), 0, 15, 9)), by(RECOVERY, CANCEL),
         "NotAllowed"),
        # Devices.
        ("added_twice", live, added(FIRST, 2, head), "DeviceExists"),
        ("added_after_revocation", gone, added(FIRST, 2, head), "DeviceExists"),
        ("too_many_devices", with_(devices=[(d, 1, None) for d in many]), added(FIRST, 2, head), "DevicesFull"),
        ("revokes_unknown", live, by(ROOT, revoke_device(SECOND.id)), "UnknownDevice"),
        ("unknown_revokes_itself", live, by(stranger, revoke_device(SECOND.id)), "UnknownDevice"),
        ("unknown_completes", root_waits, by(stranger, COMPLETE), "UnknownDevice"),
        ("revoked_twice", gone, by(ROOT, revoke), "DeviceRevoked"),
        ("revoked_revokes_itself", gone, by(own, revoke), "DeviceRevoked"),
        ("revoked_completes", with_(devices=((FIRST, 12, 13),), standing=pending(varint(2), 0, 15, 9)),
         by(own, COMPLETE), "DeviceRevoked"),
        ("revoked_before_added", later, by(ROOT, revoke), "HeightWentBack"),
        ("completed_by_a_device_before_added",
         with_(devices=((FIRST, 21, None),), standing=pending(varint(2), 0, 15, 9)), by(own, COMPLETE), "HeightWentBack"),
        # Too many records.
        ("too_many_by_the_root", with_(spent=full), by(ROOT, link(LINK)), "RecordsFull"),
        ("too_many_by_the_next_root", with_(spent=full + 128), by(NEXT, rotate), "RecordsFull"),
        ("too_many_by_a_device", with_(spent=full + 128), by(own, revoke), "RecordsFull"),
        # The next root.
        ("another_next_root", live, by(Next(SEEDS[2]), rotate), "WrongNextRoot"),
        ("root_as_next_root", live, by(Next(ROOT_SEED), rotate), "WrongNextRoot"),
        ("root_replaces_what_the_next_root_signed", next_waits, by(ROOT, DEACTIVATE), "Outranked"),
        ("root_sets_recovery_while_the_next_root_waits", next_waits, by(ROOT, guard), "Outranked"),
        ("root_cancels_what_the_next_root_signed", next_waits, by(ROOT, CANCEL), "Outranked"),
        # What is pending.
        ("nothing_to_cancel", live, by(ROOT, CANCEL), "NothingPending"),
        ("nothing_to_complete", live, by(ROOT, COMPLETE), "NothingPending"),
        ("completed_a_millisecond_early", root_waits, by(ROOT, COMPLETE), "NotDue"),
        ("completed_by_a_device_a_millisecond_early", next_waits, by(own, COMPLETE), "NotDue"),
        ("completed_below_its_height", late, by(ROOT, COMPLETE), "HeightWentBack"),
        # After the end.
        ("root_links_after_the_end", over, by(ROOT, link(LINK)), "Deactivated"),
        ("next_root_rotates_after_the_end", over, by(NEXT, rotate), "Deactivated"),
        ("device_completes_after_the_end", over, by(own, COMPLETE), "Deactivated"),
        # Recovery.
        ("nobody_to_recover", live, by(RECOVERY, rescue), "NoRecovery"),
        ("other_recovery_keys", guarded, by(Recovery(1, SHARES[:1], [0]), rescue), "RecoveryProof"),
        ("another_threshold", guarded, by(Recovery(1, SHARES, [0]), rescue), "RecoveryProof"),
        ("no_threshold", with_(recovery=commitment_of(0, SHARES)), by(Recovery(0, SHARES, []), rescue), "RecoveryProof"),
        ("threshold_above_the_keys", with_(recovery=commitment_of(4, SHARES)),
         by(Recovery(4, SHARES, [0, 1, 2]), rescue), "RecoveryProof"),
        ("a_leaf_twice", with_(recovery=commitment_of(2, SHARES[:1] * 2)),
         by(Recovery(2, SHARES[:1] * 2, [0, 1]), rescue), "RecoveryProof"),
        ("a_key_under_two_salts", with_(recovery=commitment_of(2, salted)), by(Recovery(2, salted, [0, 1]), rescue),
         "RecoveryProof"),
        ("leaves_in_another_order", guarded, by(Recovery(2, SHARES[::-1], [0, 2]), rescue), "RecoveryProof"),
        ("too_few_recovery_keys", guarded, by(Recovery(2, SHARES, [1]), rescue), "RecoveryThreshold"),
        ("more_recovery_keys_than_needed", guarded, by(Recovery(2, SHARES, [0, 1, 2]), rescue), "RecoveryThreshold"),
        ("recovery_keys_in_another_order", guarded, by(Recovery(2, SHARES, [2, 0]), rescue), "RecoveryProof"),
        ("recovery_key_twice", guarded, by(Recovery(2, SHARES, [1, 1]), rescue), "RecoveryProof"),
        ("recovery_key_at_two_places", guarded, by(Recovery(2, SHARES, [1, 1], indexes=[1, 2]), rescue), "RecoveryProof"),
        ("recovery_key_beyond_the_leaves", guarded, by(Recovery(2, SHARES, [0, 3]), rescue), "RecoveryProof"),
        ("another_salt", guarded, by(Recovery(2, SHARES, [0, 1], salt=bytes(16)), rescue), "RecoveryProof"),
        ("recovery_signed_by_another_key", guarded, by(Recovery(2, SHARES, [0, 1], seed=SHARES[2].seed), rescue),
         "Signature"),
        ("recovery_signed_under_the_label_of_roots", guarded, by(Recovery(2, SHARES, [0, 1], label=BY_ROOT), rescue),
         "Signature"),
        ("recovery_signed_for_another_network", guarded, by(RECOVERY, rescue, signed_network=other), "Signature"),
        ("recovery_keeps_unknown", guarded, by(RECOVERY, recover(KEYS[4], KEYS[5], None, [SECOND.id])), "UnknownDevice"),
        ("recovery_keeps_revoked", with_(recovery=COMMITMENT, devices=((FIRST, 12, 13),)),
         by(RECOVERY, recover(KEYS[4], KEYS[5], None, [FIRST.id])), "DeviceRevoked"),
        ("recovery_keeps_in_another_order", with_(recovery=COMMITMENT, devices=((FIRST, 12, None), (SECOND, 12, None))),
         by(RECOVERY, recover(KEYS[4], KEYS[5], None, keep_two[::-1])), "NotAscending"),
        ("recovery_keeps_one_twice", guarded, by(RECOVERY, recover(KEYS[4], KEYS[5], None, [FIRST.id] * 2)),
         "NotAscending"),
        ("recovery_before_a_device_was_added", with_(recovery=COMMITMENT, devices=((FIRST, 21, None),)),
         by(RECOVERY, rescue), "HeightWentBack"),
        # Links.
        ("linked_twice", linked, by(ROOT, link(LINK)), "LinkExists"),
        ("too_many_links", with_(links=[bytes([n]) * 32 for n in range(32)]), by(ROOT, link(LINK)), "LinksFull"),
        ("unlinks_unknown", linked, by(ROOT, unlink(OTHER_LINK)), "UnknownLink"),
        # Signatures.
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
        ("signed_by_next_root", live, added(SECOND, 2, head, signer=Root(NEXT_SEED)), "Signature"),
        ("signed_by_device_as_root", live, added(SECOND, 2, head, signer=Root(SECOND.signing)), "Signature"),
        ("signed_under_the_label_of_devices", live, added(SECOND, 2, head, signer=Root(ROOT_SEED, BY_DEVICE)), "Signature"),
        ("signed_under_the_label_of_next_roots", live, by(Root(ROOT_SEED, BY_NEXT_ROOT), DEACTIVATE), "Signature"),
        ("signed_for_another_network", live, added(SECOND, 2, head, signed_network=other), "Signature"),
        ("signature_changed", live, flipped, "Signature"),
        ("device_signed_under_the_label_of_roots", live, by(By(FIRST, label=BY_ROOT), revoke), "Signature"),
        ("root_signed_as_device", live, by(By(FIRST, ROOT_SEED), revoke), "Signature"),
        ("next_root_signed_under_the_label_of_roots", live, by(Next(NEXT_SEED, label=BY_ROOT), rotate), "Signature"),
        ("root_signed_as_next_root", live, by(Next(ROOT_SEED, NEXT_KEY), rotate), "Signature"),
        # Not a record.
        ("unknown_operation", live, by(ROOT, varint(10)), "Malformed"),
        ("unknown_signer", live, good[:-65] + varint(4) + good[-64:], "Malformed"),
        ("envelope_key_too_long", live, added(long_key, 2, head), "Malformed"),
        ("envelope_key_too_short", live, added(short_key, 2, head), "Malformed"),
        ("x_wing_key_too_short", live, added(short_x_wing, 2, head), "Malformed"),
        ("unknown_suite", live, added(strange, 2, head), "Malformed"),
        ("device_key_of_small_order", live, added(weak, 2, head), "Malformed"),
        ("device_key_not_canonical", live, added(wide, 2, head), "Malformed"),
        ("next_root_of_small_order", live, by(Next(NEXT_SEED, compress(torsion()[1])), rotate), "Malformed"),
        ("recovered_root_not_a_point", guarded, by(RECOVERY, recover(off_curve, KEYS[5], None, [])), "Malformed"),
        ("seventeen_leaves", guarded, by(Recovery(2, SHARES[:1] * 17, [0, 1]), rescue), "Malformed"),
        ("sixty_five_kept", guarded, by(RECOVERY, recover(KEYS[4], KEYS[5], None, [bytes([n]) * 32 for n in range(65)])),
         "Malformed"),
        ("option_neither_none_nor_some", live, by(NEXT, varint(3) + b"\2" + COMMITMENT), "Malformed"),
        ("trailing_byte", live, good + b"\0", "TrailingBytes"),
        ("truncated", live, good[:-1], "Truncated"),
        ("longer_than_a_record", live, good + bytes(5120), "TooLong"),
        ("number_not_in_its_shortest_form", live, NETWORK + IDENTITY + b"\x82\0" + good[65:], "NotCanonical"),
    ]
    return dict(network=NETWORK.hex(), height=20, time=1_000_000, window_ms=WINDOW, cases=[
        dict(name=name, state=before.hex(), record=(b"\1" + bytes_).hex(), error=error)
        for name, before, bytes_, error in cases
    ])


def recovery():
    def packed(threshold, index, share, leaves, version=1):
        out = bytes([version, threshold, index]) + share.seed + share.salt + b"".join(s.leaf for s in leaves)
        return five_bits(out)

    def text(*arguments, **other):
        return bech32("timrecovery", packed(*arguments, **other))

    sets = [("one_of_one", 1, SHARES[:1]), ("two_of_three", 2, SHARES),
            ("sixteen_of_sixteen", 16, [Share(number) for number in range(16)])]
    good = text(2, 1, SHARES[1], SHARES)
    values = packed(2, 1, SHARES[1], SHARES)
    assert len(SHARES) == 3 and 8 * (51 + 96) % 5 == 1, "four bits of padding"
    refused = [
        ("empty", "", "Checksum"),
        ("one_letter_wrong", good[:40] + ("q" if good[40] != "q" else "p") + good[41:], "Checksum"),
        ("two_letters_swapped", good[:20] + good[21] + good[20] + good[22:], "Checksum"),
        ("last_letter_missing", good[:-1], "Checksum"),
        ("mixed_case", good[:20].upper() + good[20:], "Checksum"),
        ("another_prefix", bech32("tim", values), "Prefix"),
        ("old_checksum", bech32("timrecovery", values, 1), "Checksum"),
        ("padding_not_zero", bech32("timrecovery", values[:-1] + [values[-1] | 1]), "Content"),
        ("a_digit_too_many", bech32("timrecovery", values + [0]), "Content"),
        ("five_bits_of_padding", bech32("timrecovery", packed(1, 0, SHARES[0], SHARES[:1]) + [0]), "Content"),
        ("unknown_version", text(2, 1, SHARES[1], SHARES, version=2), "Content"),
        ("no_threshold", text(0, 1, SHARES[1], SHARES), "Content"),
        ("threshold_above_the_keys", text(4, 1, SHARES[1], SHARES), "Content"),
        ("place_of_another_key", text(2, 0, SHARES[1], SHARES), "Content"),
        ("place_beyond_the_keys", text(2, 3, SHARES[1], SHARES), "Content"),
        ("leaf_twice", text(2, 1, SHARES[1], [SHARES[1], SHARES[1]]), "Content"),
        ("no_leaves", text(1, 0, SHARES[0], []), "Content"),
        ("leaf_cut", bech32("timrecovery", five_bits(b"\1\1\0" + SHARES[0].seed + SHARES[0].salt + SHARES[0].leaf[:31])),
         "Content"),
        ("seventeen_leaves", text(1, 0, SHARES[0], [Share(number) for number in range(17)]), "Content"),
        ("salt_of_another", text(2, 1, type("", (), dict(seed=SHARES[1].seed, salt=bytes(16))), SHARES), "Content"),
        ("a_name", name_of(IDENTITY), "Prefix"),
    ]
    assert good[20] != good[21]
    return dict(
        sets=[dict(name=name, threshold=threshold, commitment=commitment_of(threshold, shares).hex(), shares=[
            dict(seed=s.seed.hex(), salt=s.salt.hex(), key=s.key.hex(), leaf=s.leaf.hex(),
                 text=text(threshold, index, s, shares))
            for index, s in enumerate(shares)
        ]) for name, threshold, shares in sets],
        refused=[dict(name=name, text=text_, error=error) for name, text_, error in refused],
    )


def refused_phrases():
    with open(os.path.join(HERE, "bip39.json")) as file:
        published = json.load(file)
    # The places of words in the list, as far as the published phrases give them: 24 times 11 bits of entropy and checksum.
    places = {}

    def checksum(entropy):
        return bin(1 << 8 | hashlib.sha256(entropy).digest()[0])[3:]

    for case in published["vectors"]:
        entropy = bytes.fromhex(case["entropy"])
        bits = "".join(f"{byte:08b}" for byte in entropy) + checksum(entropy)
        for at, word in enumerate(case["words"].split()):
            assert places.setdefault(word, bits[11 * at:11 * at + 11]) == bits[11 * at:11 * at + 11]

    def fits(words):
        bits = "".join(places[word] for word in words)
        return checksum(int(bits[:256], 2).to_bytes(32, "big")) == bits[256:]

    good = published["vectors"][4]["words"].split()
    twelve = published["shorter"][0]["words"]
    assert fits(good) and len(set(good)) > 20

    def with_word(at, word):
        return good[:at] + [word] + good[at + 1:]

    cases = [(name, " ".join(words), "WordCount", count) for name, words, count in [
        ("empty", [], 0),
        ("white_space_only", ["", " ", "\n"], 0),
        ("one_word", good[:1], 1),
        ("a_whole_phrase_of_twelve", [twelve], 12),
        ("last_word_missing", good[:-1], 23),
        ("two_words_joined", good[:5] + [good[5] + good[6]] + good[7:], 23),
        ("a_word_too_many", good + ["abandon"], 25),
        ("a_word_cut_in_two", with_word(0, "ham ster"), 25),
        ("two_phrases", good + good, 48),
    ]]
    cases += [(name, " ".join(words), "UnknownWord", place) for name, words, place in [
        ("first_word_unknown", with_word(0, "tokenim"), 1),
        ("last_word_unknown", with_word(23, "tokenim"), 24),
        ("two_words_unknown", with_word(3, "tokenim")[:20] + ["tokenim"] + good[21:], 4),
        ("a_letter_missing", with_word(1, "diagrm"), 2),
        ("four_letters_of_a_word", with_word(1, "diag"), 2),
        ("comma_after", with_word(1, "diagram,"), 2),
        ("numbered", with_word(1, "2.diagram"), 2),
        ("a_word_of_the_french_list", with_word(2, "abaisser"), 3),
        ("a_letter_with_an_accent", with_word(2, "privat\u00e9"), 3),
        ("a_letter_of_another_alphabet", with_word(2, "priv\u0430te"), 3),
        ("full_width_letters", with_word(12, "\uff42\uff4f\uff4f\uff4b"), 13),
        ("a_letter_of_no_width_within", with_word(12, "bo\u200bok"), 13),
    ]]
    wrong_sums = [
        ("another_last_word", with_word(23, "abandon")),
        ("another_first_word", with_word(0, "abandon")),
        ("two_words_exchanged", [good[1], good[0]] + good[2:]),
        ("the_last_two_exchanged", good[:22] + [good[23], good[22]]),
        ("in_reverse", good[::-1]),
        ("one_word_24_times", ["zoo"] * 24),
        ("halves_of_two_phrases", good[:12] + published["vectors"][5]["words"].split()[12:]),
    ]
    assert not any(fits(words) for _, words in wrong_sums)
    cases += [(name, " ".join(words), "Checksum", None) for name, words in wrong_sums]
    return [dict(name=name, text=text, error=error, number=number) for name, text, error, number in cases]


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
    made = dict(keys=keys, verdicts=verdicts, chain=chain, refused=refused, refused_phrases=refused_phrases,
                recovery=recovery, names=names, keystore=keystore)
    print(json.dumps(made[sys.argv[1]](), indent=1, ensure_ascii=False))
