#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/mailbox.md (and wire.md, identity.md) alone: a second
implementation of that page, slow and not constant-time.

    python3 generate.py NAME     prints NAME.json, for NAME of: descriptors, postage, requests, contact, quorums,
                                 node_sets, mountain_ranges, statements, quorum_receipts, evidence, group_log,
                                 refused_objects
"""

import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../identity/tests/vectors"))
sys.dont_write_bytecode = True

# Ed25519, and what all formats share.
from generate import labelled, public, sign, varint  # noqa: E402

# --- wire ------------------------------------------------------------------------------------------------------------


def text(string):
    return varint(len(string.encode())) + string.encode()


def sequence(items):
    return varint(len(items)) + b"".join(items)


def digest(label, *parts):
    return hashlib.sha256(labelled(label, b"".join(parts))).digest()


def be(number, length=8):
    return number.to_bytes(length, "big")


# --- what the vectors are about --------------------------------------------------------------------------------------

NETWORK = bytes([7] * 32)
READER = bytes([201] * 32)
WRITER = bytes([202] * 32)
SEEDS = [bytes([number] * 32) for number in range(1, 10)]


def envelope(number):
    return digest("tokenim/envelope-id/v1", b"envelope %d" % number)


def flip(data, position=-1):
    """With one bit changed."""
    data = bytearray(data)
    data[position] ^= 1
    return bytes(data)


def signed(seed, label, body, network=NETWORK):
    return sign(seed, labelled(label, network + body))


# --- mailboxes -------------------------------------------------------------------------------------------------------


def descriptor(write, read, nonce):
    policy = varint(0) if write is None else varint(1) + write
    return policy + read + nonce


def tag_of(body):
    return digest("tokenim/mailbox-tag/v1", body)


OPEN = descriptor(None, public(READER), bytes(16))
KEYED = descriptor(public(WRITER), public(READER), bytes(range(16)))
TAG = tag_of(OPEN)


def descriptors():
    cases = []
    for name, write, nonce in [
        ("open", None, bytes(16)),
        ("another_nonce", None, bytes([1] * 16)),
        ("keyed", public(WRITER), bytes(range(16))),
        ("one_key_for_both", public(READER), bytes(16)),
    ]:
        body = descriptor(write, public(READER), nonce)
        cases.append(
            dict(
                name=name,
                write=write and write.hex(),
                read=public(READER).hex(),
                nonce=nonce.hex(),
                bytes=(b"\1" + body).hex(),
                tag=tag_of(body).hex(),
            )
        )
    return cases


NOW = 1_800_000_000
SKEW = 120


# --- postage ---------------------------------------------------------------------------------------------------------

HOUR = NOW // 3600
BITS = 12


def work(tag, of, hour, nonce):
    return digest("tokenim/postage/v1", tag, of, be(hour), be(nonce))


def worth(data):
    """Leading zero bits."""
    return 256 - int.from_bytes(data, "big").bit_length()


def search(tag, of, hour, fits, nonce=0):
    """The first nonce from this one on, over the largest to zero, whose worth fits."""
    while not fits(worth(work(tag, of, hour, nonce))):
        nonce = (nonce + 1) % 2**64
    return nonce


def stamp(hour=HOUR, bits=BITS, tag=TAG, of=envelope(1)):
    return dict(hour=hour, nonce=search(tag, of, hour, lambda value: value >= bits))


def postage():
    other = tag_of(KEYED)

    def case(name, error=None, bits=BITS, now=NOW, tag=TAG, of=envelope(1), **paid):
        paid = paid or stamp(bits=bits)
        return dict(
            name=name, error=error, tag=tag.hex(), envelope=of.hex(), **paid, bits=bits, now=now,
            work=work(tag, of, paid["hour"], paid["nonce"]).hex(),
        )

    def worth_exactly(bits):
        return dict(hour=HOUR, nonce=search(TAG, envelope(1), HOUR, lambda value: value == bits))

    checks = [
        case("the_default"),
        case("exactly_enough", **worth_exactly(BITS)),
        case("none_asked", bits=0, **worth_exactly(0)),
        case("more_than_asked", bits=8, **worth_exactly(13)),
        case("sixteen", bits=16),
        case("hour_before", **stamp(HOUR - 1)),
        case("hour_after", **stamp(HOUR + 1)),
        case("end_of_the_hour_after", now=(HOUR + 2) * 3600 - 1),
        case("begin_of_the_hour_before", now=(HOUR - 1) * 3600),
        case("one_bit_short", "PostageTooLow", **worth_exactly(BITS - 1)),
        case("no_work", "PostageTooLow", **worth_exactly(0)),
        case("one_bit_short_of_the_most", "PostageTooLow", bits=32, **worth_exactly(13)),
        case("other_mailbox", "PostageTooLow", tag=other, **stamp()),
        case("other_envelope", "PostageTooLow", of=envelope(2), **stamp()),
        case("other_nonce", "PostageTooLow", hour=HOUR, nonce=stamp()["nonce"] + 1),
        case("work_of_another_hour", "PostageTooLow", hour=HOUR + 1, nonce=stamp()["nonce"]),
        case("two_hours_old", "PostageStale", **stamp(HOUR - 2)),
        case("two_hours_ahead", "PostageStale", **stamp(HOUR + 2)),
        case("stale_a_second_after", "PostageStale", now=(HOUR + 2) * 3600),
        case("stale_a_second_before", "PostageStale", now=(HOUR - 1) * 3600 - 1),
        case("last_hour_of_all", "PostageStale", hour=2**64 - 1, nonce=0),
        case("stale_before_too_low", "PostageStale", hour=0, nonce=0),
    ]
    searches = []
    for bits, start in [(0, 5), (1, 0), (8, 0), (8, 1000), (12, 0), (12, 2**64 - 3), (14, 7)]:
        found = search(TAG, envelope(1), HOUR, lambda value: value >= bits, start)
        searches.append(dict(tag=TAG.hex(), envelope=envelope(1).hex(), hour=HOUR, bits=bits, start=start, nonce=found))
    return dict(checks=checks, searches=searches)


# --- requests --------------------------------------------------------------------------------------------------------


def request(kind, name, error=None, box=OPEN, tag=None, at=None, node=None, seed="right", network=NETWORK, **fields):
    """`error` is the first check that fails."""
    at = public(SEEDS[0]) if at is None else at
    node = at if node is None else node
    tag = tag_of(box) if tag is None else tag
    expiry = fields.get("expiry", NOW + 300)
    nonce = bytes([5] * 16)
    if kind == "write":
        label, right = "tokenim/mailbox-write/v1", WRITER if box == KEYED else None
        keep = fields.get("keep", NOW + 86_400)
        body = node + tag + envelope(1) + varint(keep) + varint(expiry) + nonce
    else:
        label, right = "tokenim/mailbox-read/v1", READER
        body = node + tag + varint(fields.get("start", 300)) + varint(expiry) + nonce
    seed = right if seed == "right" else seed
    signature = None if seed is None else signed(seed, label, body, network)
    if fields.get("flipped"):
        signature = flip(signature, 40)
    return dict(
        name=name,
        kind=kind,
        node=at.hex(),
        descriptor=(b"\1" + box).hex(),
        body=body.hex(),
        signature=signature and signature.hex(),
        postage=fields.get("paid", stamp() if signature is None else None),
        bits=fields.get("bits", BITS),
        now=NOW,
        error=error,
    )


def requests():
    other = public(SEEDS[1])
    out = []
    for kind in ["write", "read"]:
        box = KEYED if kind == "write" else OPEN
        out += [
            request(kind, "valid", box=box),
            request(kind, "other_node", "WrongNode", box=box, node=other),
            request(kind, "other_mailbox", "WrongTag", box=box, tag=tag_of(descriptor(None, public(WRITER), bytes(16)))),
            request(kind, "just_in_time", box=box, expiry=NOW - SKEW),
            request(kind, "too_late", "Expired", box=box, expiry=NOW - SKEW - 1),
            request(kind, "longest", box=box, expiry=NOW + 300 + SKEW),
            request(kind, "too_long", "LifetimeTooLong", box=box, expiry=NOW + 300 + SKEW + 1),
            request(kind, "other_key", "SignatureInvalid", box=box, seed=SEEDS[3]),
            request(kind, "other_network", "SignatureInvalid", box=box, network=bytes(32)),
            request(kind, "changed_signature", "SignatureInvalid", box=box, flipped=True),
            request(kind, "node_before_all_else", "WrongNode", box=box, node=other, expiry=0, seed=SEEDS[3]),
        ]
    days = 30 * 86_400
    less = dict(hour=HOUR, nonce=search(TAG, envelope(1), HOUR, lambda value: value == BITS - 1))
    out += [
        request("write", "open_mailbox"),
        request("write", "same_postage_for_another_node", at=other),
        request("write", "shortest_envelope", keep=NOW + 1),
        request("write", "expired_envelope", "EnvelopeExpired", keep=NOW),
        request("write", "longest_envelope", keep=NOW + days + SKEW),
        request("write", "too_long_envelope", "EnvelopeLifetimeTooLong", keep=NOW + days + SKEW + 1),
        request("write", "postage_for_a_key", "SignatureMissing", box=KEYED, seed=None),
        request("write", "signature_for_an_open_mailbox", "PostageMissing", seed=WRITER),
        request("write", "read_key_writes_to_an_open_mailbox", "PostageMissing", seed=READER),
        request("write", "postage_of_another_hour", "PostageStale", paid=stamp(HOUR - 2)),
        request("write", "postage_too_low", "PostageTooLow", paid=less),
        request("write", "postage_that_was_enough_before", "PostageTooLow", paid=less, bits=BITS + 4),
        request("write", "postage_for_another_envelope", "PostageTooLow", paid=stamp(of=envelope(2))),
        request("write", "postage_for_another_mailbox", "PostageTooLow", paid=stamp(tag=tag_of(KEYED))),
        request("write", "no_postage_asked", paid=dict(hour=HOUR, nonce=0), bits=0),
        request("write", "time_before_postage", "EnvelopeExpired", keep=NOW, paid=less),
        request("write", "read_key_writes", "SignatureInvalid", box=KEYED, seed=READER),
        request("read", "write_key_reads", "SignatureInvalid", box=KEYED, seed=WRITER),
    ]
    return out


# --- contact stock ---------------------------------------------------------------------------------------------------

DAY = 86_400
IDENTITY = bytes([51] * 32)
DEVICE = bytes([203] * 32)
X25519, X_WING = 0x0020, 0x647A
ENVELOPE_KEYS = {X25519: bytes([9] * 32), X_WING: bytes(range(64)) * 19}


def contact_keys(seed=DEVICE, suite=X_WING, network=NETWORK, flipped=False, late=None, **fields):
    """Signed by the device with this seed, then `late` fields changed."""

    def body(fields):
        return (
            fields.get("identity", IDENTITY)
            + fields.get("device", digest("tokenim/device-id/v1", public(DEVICE)))
            + varint(suite)
            + sequence([bytes([byte]) for byte in fields.get("key", ENVELOPE_KEYS[suite])])
            + varint(fields.get("created", NOW))
            + varint(fields.get("expires", NOW + DAY))
            + varint(fields.get("number", 300))
            + bytes([fields.get("bits", 14)])
        )

    signature = signed(seed, "tokenim/contact-keys/v1", body(fields), network)
    return body(dict(fields, **(late or {}))) + (flip(signature, 40) if flipped else signature)


def contact_stock(keys, packages):
    return keys + sequence([sequence([bytes([byte]) for byte in package]) for package in packages])


PACKAGES = [b"first package", b"", bytes(range(200))]


def contact():
    device = public(DEVICE)

    def keys(name, error=None, suite=X_WING, asked=IDENTITY, of=device, listed=None, now=NOW, **more):
        return dict(
            name=name, error=error, identity=asked.hex(), device=of.hex(), suite=suite if listed is None else listed,
            now=now, bytes=(b"\1" + contact_keys(suite=suite, **more)).hex(),
        )

    other = public(SEEDS[5])
    all_keys = [
        keys("x_wing"),
        keys("x25519", suite=X25519),
        keys("longest", expires=NOW + 30 * DAY),
        keys("shortest", expires=NOW + 1),
        keys("made_by_a_fast_clock", created=NOW + SKEW),
        keys("lasts_no_time", "Lifetime", expires=NOW),
        keys("expires_before_it_is_made", "Lifetime", expires=NOW - 1),
        keys("lasts_too_long", "Lifetime", expires=NOW + 30 * DAY + 1),
        keys("made_in_the_future", "NotYetValid", created=NOW + SKEW + 1),
        keys("expired", "Expired", created=NOW - DAY, expires=NOW),
        keys("other_identity", "WrongIdentity", asked=bytes([52] * 32)),
        keys("other_device", "WrongDevice", of=other),
        keys("weaker_suite_than_the_ledger_shows", "WrongSuite", suite=X25519, listed=X_WING),
        keys("other_suite_than_the_ledger_shows", "WrongSuite", listed=X25519),
        keys("signed_by_another_device", "SignatureInvalid", seed=SEEDS[5]),
        keys("signed_by_the_inbox_key", "SignatureInvalid", seed=READER),
        keys("other_network", "SignatureInvalid", network=bytes(32)),
        keys("changed_signature", "SignatureInvalid", flipped=True),
        keys("changed_key", "SignatureInvalid", late=dict(key=flip(ENVELOPE_KEYS[X_WING]))),
        keys("changed_number", "SignatureInvalid", late=dict(number=301)),
        keys("changed_postage", "SignatureInvalid", late=dict(bits=0)),
        keys("changed_expiry", "SignatureInvalid", late=dict(expires=NOW + DAY + 1)),
    ]

    def publish(name, error=None, box=OPEN, node=None, tag=None, stock=None, named=None, seed=READER, network=NETWORK,
                expiry=NOW + 300, flipped=False):
        stock = contact_stock(contact_keys(suite=X25519), PACKAGES) if stock is None else stock
        body = (
            (public(SEEDS[0]) if node is None else node)
            + (tag_of(box) if tag is None else tag)
            + digest("tokenim/contact-stock/v1", stock if named is None else named)
            + varint(expiry)
            + bytes([5] * 16)
        )
        signature = signed(seed, "tokenim/contact-publish/v1", body, network)
        return dict(
            name=name, error=error, node=public(SEEDS[0]).hex(), descriptor=(b"\1" + box).hex(), body=body.hex(),
            signature=(flip(signature, 40) if flipped else signature).hex(), stock=(b"\1" + stock).hex(), now=NOW,
        )

    def stock(packages=PACKAGES, suite=X25519, **more):
        return contact_stock(contact_keys(suite=suite, **more), packages)

    publications = [
        publish("valid"),
        publish("x_wing_keys", stock=stock(suite=X_WING)),
        publish("without_packages", stock=stock([])),
        publish("as_many_packages_as_may_be", stock=stock([bytes([number]) for number in range(32)])),
        publish("longest_package", stock=stock([bytes(4096)])),
        publish("keys_that_no_device_signed", stock=stock(seed=SEEDS[5])),
        publish("just_in_time", expiry=NOW - SKEW),
        publish("longest", expiry=NOW + 300 + SKEW),
        publish("other_node", "WrongNode", node=public(SEEDS[1])),
        publish("other_mailbox", "WrongTag", tag=tag_of(KEYED)),
        publish("too_late", "Expired", expiry=NOW - SKEW - 1),
        publish("too_long", "LifetimeTooLong", expiry=NOW + 300 + SKEW + 1),
        publish("mailbox_with_a_key", "NotAnInbox", box=KEYED),
        publish("expired_keys", "Contact", stock=stock(created=NOW - DAY, expires=NOW)),
        publish("keys_of_the_future", "Contact", stock=stock(created=NOW + SKEW + 1)),
        publish("keys_for_too_long", "Contact", stock=stock(expires=NOW + 30 * DAY + 1)),
        publish("other_packages", "WrongStock", named=stock(PACKAGES[:1])),
        publish("packages_in_another_order", "WrongStock", named=stock(PACKAGES[::-1])),
        publish("other_keys", "WrongStock", named=stock(number=301)),
        publish("signed_by_another_key", "SignatureInvalid", seed=WRITER),
        publish("signed_by_the_device", "SignatureInvalid", seed=DEVICE),
        publish("other_network", "SignatureInvalid", network=bytes(32)),
        publish("changed_signature", "SignatureInvalid", flipped=True),
    ]
    return dict(network=NETWORK.hex(), keys=all_keys, publications=publications)


# --- quorums and placement -------------------------------------------------------------------------------------------


def quorum(replicas):
    faulty = max(replicas - 1, 0) // 3
    return dict(
        replicas=replicas,
        faulty=faulty,
        write=max(replicas // 2 + 1, 2 * faulty + 1),
        read=max(replicas - faulty, 1),
    )


def quorums():
    by_nodes = [dict(nodes=n, **quorum(min(5, n))) for n in list(range(11)) + [100, 1024]]
    return dict(by_nodes=by_nodes, by_replicas=[quorum(r) for r in range(13)])


def placement(key, anchor):
    return digest("tokenim/placement/v1", key, anchor)


def members(count):
    keys = sorted(public(seed) for seed in SEEDS[:count])
    return [(key, placement(key, NETWORK), "[::1]:%d" % (9000 + i)) for i, key in enumerate(keys)]


def node_set(epoch, nodes):
    return b"\1" + varint(epoch) + sequence([key + place + text(address) for key, place, address in nodes])


def swarm(nodes, tag):
    scored = [(digest("tokenim/rendezvous/v1", tag, place), key) for key, place, _ in nodes]
    scored.sort(key=lambda pair: (-int.from_bytes(pair[0], "big"), pair[1]))
    return [key for _, key in scored[:5]]


def node_sets():
    out = []
    for count in [0, 1, 4, 5, 9]:
        nodes = members(count)
        tags = [digest("tokenim/mailbox-tag/v1", bytes([number])) for number in range(6)]
        out.append(
            dict(
                epoch=count * 1000,
                members=[dict(key=k.hex(), placement=p.hex(), address=a) for k, p, a in nodes],
                anchor=NETWORK.hex(),
                bytes=node_set(count * 1000, nodes).hex(),
                leaves=[digest("tokenim/node-set-leaf/v1", key).hex() for key, _, _ in nodes],
                swarms=[dict(tag=tag.hex(), nodes=[key.hex() for key in swarm(nodes, tag)]) for tag in tags],
            )
        )
    return out


# --- Merkle mountain range -------------------------------------------------------------------------------------------


def node(left, right):
    return digest("tokenim/mmr-node/v1", left, right)


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return node(tree(leaves[:half]), tree(leaves[half:]))


def ranges(size):
    """The mountains as (first leaf, number of leaves), the tallest first."""
    out, first = [], 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            out.append((first, 1 << height))
            first += 1 << height
    return out


def peaks(leaves):
    return [tree(leaves[first : first + count]) for first, count in ranges(len(leaves))]


def bag(tops):
    return tops[0] if len(tops) == 1 else node(tops[0], bag(tops[1:]))


def root(leaves):
    return digest("tokenim/mmr-root/v1", be(len(leaves)), bag(peaks(leaves)) if leaves else b"")


def path(leaves, index):
    """The siblings of a leaf of a perfect tree, from the leaf up."""
    if len(leaves) == 1:
        return []
    half = len(leaves) // 2
    if index < half:
        return path(leaves[:half], index) + [tree(leaves[half:])]
    return path(leaves[half:], index - half) + [tree(leaves[:half])]


def prove(leaves, index):
    mountains = ranges(len(leaves))
    at = next(i for i, (first, count) in enumerate(mountains) if index < first + count)
    first, count = mountains[at]
    tops = peaks(leaves)
    right = [bag(tops[at + 1 :])] if at + 1 < len(tops) else []
    return path(leaves[first : first + count], index - first) + right + tops[:at][::-1]


def leaf(number):
    return digest("tokenim/log-leaf/v1", be(number), envelope(number), be(NOW + number))


def accumulator(leaves):
    return b"\1" + varint(len(leaves)) + sequence(peaks(leaves))


def all_nodes(leaves):
    """In the order of making."""
    out, stack = [], []
    for item in leaves:
        out.append(item)
        stack.append((0, item))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (height, right), (_, left) = stack.pop(), stack.pop()
            out.append(node(left, right))
            stack.append((height + 1, out[-1]))
    return out


def mountain_ranges():
    leaves = [leaf(number) for number in range(40)]
    lists = [
        dict(size=size, root=root(leaves[:size]).hex(), accumulator=accumulator(leaves[:size]).hex())
        for size in list(range(18)) + [31, 32, 40]
    ]
    proofs = []
    for size, index in [(1, 0), (2, 1), (3, 0), (3, 2), (7, 3), (7, 5), (7, 6), (16, 9), (39, 17), (40, 33), (40, 39)]:
        proofs.append(
            dict(
                size=size,
                index=index,
                leaf=leaves[index].hex(),
                root=root(leaves[:size]).hex(),
                proof=[item.hex() for item in prove(leaves[:size], index)],
            )
        )

    good = prove(leaves[:7], 3)
    top = root(leaves[:7])

    def refused(name, error, size=7, index=3, of=leaves[3], to=top, proof=good):
        return dict(
            name=name,
            error=error,
            size=size,
            index=index,
            leaf=of.hex(),
            root=to.hex(),
            proof=[item.hex() for item in proof],
        )

    bad = [
        refused("other_leaf", "WrongRoot", of=leaves[2]),
        refused("other_index", "WrongRoot", index=2),
        refused("other_root", "WrongRoot", to=root(leaves[:6])),
        refused("other_size_same_shape", "WrongRoot", size=6),
        refused("root_without_the_size", "WrongRoot", to=bag(peaks(leaves[:7]))),
        refused("siblings_exchanged", "WrongRoot", proof=[good[1], good[0]] + good[2:]),
        refused("a_digest_changed", "WrongRoot", proof=good[:2] + [flip(good[2])]),
        refused("a_digest_missing", "WrongLength", proof=good[:-1]),
        refused("a_digest_more", "WrongLength", proof=good + [bytes(32)]),
        refused("no_digest", "WrongLength", proof=[]),
        refused("inner_node_as_leaf", "WrongLength", index=1, of=node(leaves[2], leaves[3]), proof=good[1:]),
        refused("inner_node_in_a_shorter_list", "WrongRoot", size=5, index=1, of=node(leaves[2], leaves[3]),
                proof=good[1:] + [bytes(32)]),
        refused("index_is_the_size", "OutOfRange", index=7),
        refused("index_beyond_the_size", "OutOfRange", index=2**64 - 1),
        refused("empty_list", "OutOfRange", size=0, index=0),
        refused("list_too_long", "OutOfRange", size=2**62),
    ]
    return dict(
        leaves=[item.hex() for item in leaves],
        nodes=[item.hex() for item in all_nodes(leaves)],
        lists=lists,
        proofs=proofs,
        refused=bad,
    )


# --- statements of nodes ---------------------------------------------------------------------------------------------

RECEIPT = "tokenim/storage-receipt/v1"
HEAD = "tokenim/mailbox-head/v1"


def position(index, size, top, height, epoch=3, incarnation=1):
    return dict(set_epoch=epoch, incarnation=incarnation, index=index, size=size, root=top.hex(), height=height)


def encode_position(p):
    numbers = [p["set_epoch"], p["incarnation"], p["index"], p["size"]]
    return b"".join(map(varint, numbers)) + bytes.fromhex(p["root"]) + varint(p["height"])


def receipt(at, seed=SEEDS[0], number=None, expiry=None, tag=TAG, network=NETWORK, by=None, flipped=False):
    """A receipt for the envelope that is at this line, unless another number is given."""
    number = at["index"] if number is None else number
    expiry = NOW + number if expiry is None else expiry
    body = public(seed) + tag + envelope(number) + varint(expiry) + encode_position(at)
    signature = signed(by or seed, RECEIPT, body, network)
    signature = flip(signature, 40) if flipped else signature
    value = dict(
        body=dict(node=public(seed).hex(), tag=tag.hex(), envelope=envelope(number).hex(), expiry=expiry, position=at),
        signature=signature.hex(),
    )
    return value, body + signature


def head(at, seed=SEEDS[0], tag=TAG, network=NETWORK, by=None, flipped=False):
    nonce = bytes(range(16))
    body = public(seed) + tag + encode_position(at) + nonce
    signature = signed(by or seed, HEAD, body, network)
    signature = flip(signature, 40) if flipped else signature
    value = dict(
        body=dict(node=public(seed).hex(), tag=tag.hex(), position=at, nonce=list(nonce)), signature=signature.hex()
    )
    return value, body + signature


LEAVES = [leaf(number) for number in range(40)]


def line(index, height=1000, **more):
    """The position of a receipt in an honest log."""
    return position(index, index + 1, root(LEAVES[: index + 1]), height, **more)


def whole(size, height=1000, **more):
    """The position of a head in an honest log."""
    return position(size, size, root(LEAVES[:size]), height, **more)


def object_case(made, **more):
    value, data = made
    return dict(more, value=value, bytes=(b"\1" + data).hex())


def statements():
    largest = dict(line(0), set_epoch=2**64 - 1, incarnation=2**64 - 1, index=2**64 - 2, size=2**64 - 1, height=2**64 - 1)
    receipts = [
        object_case(receipt(line(0)), name="first_line"),
        object_case(receipt(line(20, height=2**40, epoch=300, incarnation=200)), name="later_line"),
        object_case(receipt(dict(line(4), size=9, root=root(LEAVES[:9]).hex())), name="log_went_on"),
        object_case(receipt(largest, number=1, expiry=2**64 - 1), name="largest_numbers"),
    ]
    heads = [
        object_case(head(whole(0, height=0)), name="empty_log"),
        object_case(head(whole(21)), name="some_lines"),
        object_case(head(dict(largest, index=2**64 - 1)), name="largest_numbers"),
    ]
    entries = [
        dict(
            index=number,
            envelope=envelope(number).hex(),
            expiry=NOW + number,
            bytes=(varint(number) + envelope(number) + varint(NOW + number)).hex(),
            leaf=leaf(number).hex(),
        )
        for number in [0, 1, 127, 128, 2**40]
    ]
    bad_receipts = [
        object_case(receipt(line(0), network=bytes(32)), name="other_network", error="SignatureInvalid"),
        object_case(receipt(line(0), by=SEEDS[1]), name="other_key", error="SignatureInvalid"),
        object_case(receipt(line(0), flipped=True), name="changed_signature", error="SignatureInvalid"),
        object_case(receipt(dict(line(4), size=4)), name="line_at_the_size", error="IndexOutOfLog"),
        object_case(receipt(dict(line(4), size=0)), name="empty_log", error="IndexOutOfLog"),
    ]
    value, data = receipt(line(0))
    expired = dict(value, body=dict(value["body"], expiry=NOW + 1))
    changed = bytes.fromhex(value["body"]["node"]) + TAG + envelope(0) + varint(NOW + 1) + encode_position(line(0))
    bad_receipts.append(object_case((expired, changed + data[-64:]), name="changed_expiry", error="SignatureInvalid"))
    as_head = signed(SEEDS[0], HEAD, data[:-64])
    bad_receipts.append(
        object_case((dict(value, signature=as_head.hex()), data[:-64] + as_head), name="other_label", error="SignatureInvalid")
    )
    bad_heads = [
        object_case(head(whole(9), network=bytes(32)), name="other_network", error="SignatureInvalid"),
        object_case(head(whole(9), by=SEEDS[1]), name="other_key", error="SignatureInvalid"),
        object_case(head(whole(9), flipped=True), name="changed_signature", error="SignatureInvalid"),
        object_case(head(line(9)), name="about_a_line", error="NotAHead"),
        object_case(head(dict(whole(9), index=0)), name="index_zero", error="NotAHead"),
    ]
    return dict(
        network=NETWORK.hex(), entries=entries, receipts=receipts, heads=heads, refused_receipts=bad_receipts,
        refused_heads=bad_heads,
    )


# --- quorum receipts -------------------------------------------------------------------------------------------------

EPOCH = 3


def seed_of(key):
    return next(seed for seed in SEEDS if public(seed) == key)


def issuer(member, key, height, flipped=False, at=None, **more):
    """What member `member` adds; its log has as many lines before as its index says."""
    at = at or dict(line(member, height=height), incarnation=member + 1)
    value, _ = receipt(at, seed=seed_of(key), number=7, expiry=NOW, flipped=flipped, **more)
    fields = {name: at[name] for name in ["incarnation", "index", "size", "root", "height"]}
    return dict(fields, member=member, signature=value["signature"])


def encode_quorum_receipt(tag, epoch, issuers):
    parts = []
    for i in issuers:
        numbers = [i["member"], i["incarnation"], i["index"], i["size"]]
        parts.append(
            b"".join(map(varint, numbers)) + bytes.fromhex(i["root"]) + varint(i["height"]) + bytes.fromhex(i["signature"])
        )
    return b"\1" + tag + envelope(7) + varint(NOW) + varint(epoch) + sequence(parts)


def receipt_leaf(tag, epoch, issuers):
    data = tag + envelope(7) + be(NOW) + be(epoch) + be(len(issuers), 1)
    for i in issuers:
        data += be(i["member"], 2) + be(i["incarnation"]) + be(i["index"]) + be(i["size"])
        data += bytes.fromhex(i["root"]) + be(i["height"]) + bytes.fromhex(i["signature"])
    return digest("tokenim/quorum-receipt/v1", data)


def quorum_receipt(name, nodes, issuers, tag=TAG, epoch=EPOCH, **more):
    value = dict(tag=tag.hex(), envelope=envelope(7).hex(), expiry=NOW, set_epoch=epoch, issuers=issuers)
    return dict(
        more,
        name=name,
        node_set=node_set(EPOCH, nodes).hex(),
        value=value,
        bytes=encode_quorum_receipt(tag, epoch, issuers).hex(),
    )


def quorum_receipts():
    good, bad = [], []
    for count, heights in [
        (1, [5]),
        (2, [9, 8]),
        (3, [9, 8]),
        (4, [30, 10, 20]),
        (4, [30, 10, 20, 5]),
        (5, [7, 7, 7]),
        (9, [30, 10, 20]),
        (9, [50, 40, 30, 20, 10]),
    ]:
        nodes = members(count)
        keepers = sorted(swarm(nodes, TAG))[: len(heights)]
        keys = [key for key, _, _ in nodes]
        issuers = [issuer(keys.index(key), key, height) for key, height in zip(keepers, heights)]
        time = sorted(heights)[quorum(min(5, count))["faulty"]]
        good.append(
            quorum_receipt(
                "%d_of_%d" % (len(heights), count), nodes, issuers, leaf=receipt_leaf(TAG, EPOCH, issuers).hex(),
                signed_height=time,
            )
        )

    nodes = members(4)
    keys = [key for key, _, _ in nodes]
    three = [issuer(member, keys[member], 10 + member) for member in range(3)]

    def refused(name, error, issuers, nodes=nodes, **more):
        bad.append(quorum_receipt(name, nodes, issuers, error=error, **more))

    def changed(place, **fields):
        return three[:place] + [dict(three[place], **fields)] + three[place + 1 :]

    refused("too_few", "TooFewIssuers", three[:2])
    refused("none", "TooFewIssuers", [])
    refused("one_twice", "IssuersNotAscending", [three[0], three[1], three[1]])
    refused("unsorted", "IssuersNotAscending", [three[1], three[0], three[2]])
    refused("beyond_the_node_set", "MemberOutOfRange", changed(2, member=4))
    refused("far_beyond_the_node_set", "MemberOutOfRange", changed(2, member=65_535))
    refused("line_not_in_the_log", "IndexOutOfLog", changed(1, index=2))
    refused("changed_signature", "SignatureInvalid", [three[0], issuer(1, keys[1], 11, flipped=True), three[2]])
    refused("signed_for_another_network", "SignatureInvalid", [three[0], three[1], issuer(2, keys[2], 12, network=bytes(32))])
    refused("signed_for_another_mailbox", "SignatureInvalid", [issuer(0, keys[0], 10, tag=tag_of(KEYED))] + three[1:])
    refused("signed_by_another_node", "SignatureInvalid", [three[0], three[1], issuer(2, keys[3], 12)])
    refused("changed_height", "SignatureInvalid", changed(0, height=9))
    refused("changed_root", "SignatureInvalid", changed(0, root=bytes(32).hex()))
    refused("changed_incarnation", "SignatureInvalid", changed(0, incarnation=9))
    refused("foreign_set_epoch", "ForeignSetEpoch", three, epoch=EPOCH + 1)
    # In a larger set only the swarm's nodes count.
    nine = members(9)
    all_keys = [key for key, _, _ in nine]
    keepers = swarm(nine, TAG)
    outside = next(key for key in all_keys if key not in keepers)
    chosen = sorted(keepers[:2] + [outside])
    refused("outside_of_the_swarm", "NotInSwarm", [issuer(all_keys.index(key), key, 10) for key in chosen], nodes=nine)
    three_nodes = members(3)
    keys = [key for key, _, _ in three_nodes]
    four = [issuer(member, keys[min(member, 2)], 10) for member in range(4)]
    refused("more_than_replicas", "MemberOutOfRange", four, nodes=three_nodes)
    return dict(network=NETWORK.hex(), good=good, refused=bad)


# --- evidence --------------------------------------------------------------------------------------------------------


def evidence():
    honest, lying = SEEDS[0], SEEDS[1]
    fake = digest("tokenim/log-leaf/v1", b"another log")

    def as_receipt(made):
        return dict(Receipt=made[0]), varint(0) + made[1]

    def as_head(made):
        return dict(Head=made[0]), varint(1) + made[1]

    def pair(variant, name, fields, one, other, error=None):
        number = ["TwoRoots", "ShrunkLog", "TwoEntries"].index(variant)
        value = {variant: {fields[0]: one[0], fields[1]: other[0]}}
        return dict(
            name=name, error=error, convicts=public(lying).hex(), value=value,
            bytes=(b"\1" + varint(number) + one[1] + other[1]).hex(),
        )

    def roots(name, one, other, error=None):
        return pair("TwoRoots", name, ("one", "other"), one, other, error)

    def shrunk(name, one, other, error=None):
        return pair("ShrunkLog", name, ("before", "after"), one, other, error)

    def entries(name, one, other, error=None):
        return pair("TwoEntries", name, ("one", "other"), one, other, error)

    def opened(name, promise, statement, number, leaves, index=None, proof_index=None, error=None):
        """Line `index` of a log with these leaves is opened; it holds envelope `number`."""
        index = promise[0]["body"]["position"]["index"] if index is None else index
        entry = dict(index=index, envelope=envelope(number).hex(), expiry=NOW + number)
        data = varint(index) + envelope(number) + varint(NOW + number)
        proof = prove(leaves, index if proof_index is None else proof_index)
        value = dict(
            receipt=promise[0], statement=statement[0], opened=entry, proof=[item.hex() for item in proof]
        )
        return dict(
            name=name, error=error, convicts=public(lying).hex(), value=dict(ContradictedReceipt=value),
            bytes=(b"\1" + varint(3) + promise[1] + statement[1] + data + sequence(proof)).hex(),
        )

    def said(at, **more):
        return receipt(at, seed=lying, **more)

    def answered(at, **more):
        return head(at, seed=lying, **more)

    other_root = root([fake] + LEAVES[1:6])
    split = dict(whole(6), root=other_root.hex())
    good = [
        roots("two_heads_of_one_size", as_head(answered(whole(6))), as_head(answered(split))),
        roots("receipt_and_head_of_one_size", as_receipt(said(line(5))), as_head(answered(split))),
        roots(
            "two_receipts_of_one_size",
            as_receipt(said(line(5))),
            as_receipt(said(dict(line(5), root=other_root.hex(), height=2000))),
        ),
        shrunk("head_after_head", as_head(answered(whole(6, height=10))), as_head(answered(whole(5, height=11)))),
        shrunk("receipt_after_head", as_head(answered(whole(6, height=10))), as_receipt(said(line(3, height=11)))),
        entries("two_envelopes", said(line(5)), said(dict(line(5), size=9), number=6)),
        entries("two_expiries", said(line(5)), said(line(5), expiry=1)),
    ]
    # The log as opened has envelope 30 at line 5.
    swapped = LEAVES[:5] + [digest("tokenim/log-leaf/v1", be(5), envelope(30), be(NOW + 30))] + LEAVES[6:12]
    lie = dict(whole(12), root=root(swapped).hex())
    good.append(opened("another_envelope_at_the_line", said(line(5)), as_head(answered(lie)), 30, swapped))

    bad = [
        roots("same_root", as_head(answered(whole(6))), as_receipt(said(line(5))), "NoContradiction"),
        roots("sizes_differ", as_head(answered(whole(6))), as_head(answered(whole(7))), "NoContradiction"),
        roots("other_node", as_head(answered(whole(6))), as_head(head(split, seed=honest)), "DifferentLogs"),
        roots("other_mailbox", as_head(answered(whole(6))), as_head(answered(split, tag=tag_of(KEYED))), "DifferentLogs"),
        roots("other_set_epoch", as_head(answered(whole(6))), as_head(answered(dict(split, set_epoch=4))), "DifferentLogs"),
        roots("other_incarnation", as_head(answered(whole(6))), as_head(answered(dict(split, incarnation=2))), "DifferentLogs"),
        roots("forged_head", as_head(answered(whole(6))), as_head(answered(split, by=honest)), "Head"),
        roots("forged_receipt", as_receipt(said(line(5), flipped=True)), as_head(answered(split)), "Receipt"),
        roots("foreign_network", as_head(answered(whole(6))), as_head(answered(split, network=bytes(32))), "Head"),
        shrunk("same_height", as_head(answered(whole(6, height=10))), as_head(answered(whole(5, height=10))), "NoContradiction"),
        shrunk("grown", as_head(answered(whole(5, height=10))), as_head(answered(whole(6, height=11))), "NoContradiction"),
        shrunk("wrong_order", as_head(answered(whole(5, height=11))), as_head(answered(whole(6, height=10))), "NoContradiction"),
        shrunk("forged", as_head(answered(whole(6, height=10))), as_head(answered(whole(5, height=11), by=honest)), "Head"),
        entries("same_entry", said(line(5)), said(dict(line(5), size=9)), "NoContradiction"),
        entries("other_line", said(line(5)), said(line(6)), "NoContradiction"),
        entries("other_incarnation", said(line(5)), said(line(5, incarnation=2), number=6), "DifferentLogs"),
        entries("forged", said(line(5)), said(line(5), number=6, by=honest), "Receipt"),
        opened("the_envelope_promised", said(line(5)), as_head(answered(whole(12))), 5, LEAVES[:12], error="NoContradiction"),
        opened("another_line", said(line(5)), as_head(answered(whole(12))), 6, LEAVES[:12], index=6, error="NoContradiction"),
        opened("not_in_the_log", said(line(5)), as_head(answered(whole(12))), 30, swapped, error="Proof"),
        opened("proof_of_another_line", said(line(5)), as_head(answered(lie)), 30, swapped, proof_index=4, error="Proof"),
        opened("line_not_yet_there", said(line(5)), as_head(answered(dict(whole(5)))), 30, swapped[:6], error="Proof"),
        opened(
            "log_of_another_incarnation", said(line(5)), as_head(answered(dict(lie, incarnation=2))), 30, swapped,
            error="DifferentLogs",
        ),
        opened("forged_promise", said(line(5), by=honest), as_head(answered(lie)), 30, swapped, error="Receipt"),
    ]
    return dict(network=NETWORK.hex(), good=good, refused=bad)


# --- bytes that are not objects --------------------------------------------------------------------------------------


# --- the group log ---------------------------------------------------------------------------------------------------

DAY = 24 * 60 * 60
KEPT = 14 * DAY
NOW_MILLIS = NOW * 1000 + 999
EPOCH_SEEDS = [bytes([number] * 32) for number in range(101, 120)]
SETS = {3: members(4), 4: members(5)}


def handle_of(nonce, key):
    return digest("tokenim/group-handle/v1", nonce, key)


def one_shot(number):
    """The tag of the mailbox that holds commit `number` alone."""
    return digest("tokenim/mailbox-tag/v1", b"commit %d" % number)


def commit_receipt(number, epoch=4, expiry=NOW + 30 * DAY, tag=None, first=0, count=3, flipped=False):
    """A quorum receipt for commit `number`, without its version."""
    tag = one_shot(number) if tag is None else tag
    parts = []
    for member, (key, _, _) in list(enumerate(SETS.get(epoch, SETS[4])))[first : first + count]:
        at = dict(line(member, height=1000 + member, epoch=epoch), incarnation=member + 1)
        value, _ = receipt(at, seed=seed_of(key), number=number, expiry=expiry, tag=tag, flipped=flipped)
        numbers = [member, at["incarnation"], at["index"], at["size"]]
        parts.append(
            b"".join(map(varint, numbers))
            + bytes.fromhex(at["root"])
            + varint(at["height"])
            + bytes.fromhex(value["signature"])
        )
    return tag + envelope(number) + varint(expiry) + varint(epoch) + sequence(parts)


def group_child(handle, parent, number, next_seed, author=bytes(96), tag=None, of=None):
    commitment = hashlib.sha256(b"commitment %d" % number).digest()
    tag = one_shot(number) if tag is None else tag
    of = [envelope(number)] if of is None else of
    return handle + parent + commitment + public(next_seed) + varint(len(author)) + author + tag + sequence(of)


def part(number, index):
    """The number of the envelope that holds part `index` of commit `number`."""
    return 1000 + 10 * number + index


def parts(number, count):
    return [envelope(part(number, index)) for index in range(count)]


def part_receipts(number, indices, **how):
    """Receipts of these parts of commit `number`; `how` of each by its index."""
    return [commit_receipt(part(number, index), tag=one_shot(number), **how.get("at%d" % index, {})) for index in indices]


def entry_id(child):
    return digest("tokenim/group-entry/v1", child)


def signed_child(child, seed, receipts, network=NETWORK, label="tokenim/group-child/v1"):
    """An update without its version."""
    return varint(1) + child + signed(seed, label, child, network) + sequence(receipts)


def encode_place(place):
    return varint(place["height"]) + varint(place["time"]) + varint(place["index"])


def encode_node(node):
    children = [child + encode_place(place) for child, place in node["children"]]
    return b"\1" + node["key"] + encode_place(node["place"]) + sequence(children)


def group_log():
    """Updates in their order, what each of them makes, or why it makes nothing."""
    root_key, nonce = EPOCH_SEEDS[0], bytes(range(32))
    start = nonce + public(root_key)
    handle = handle_of(nonce, public(root_key))
    nodes, steps = {}, []

    def step(name, update, error=None, parent=None, child=None, key=None):
        place = dict(height=100 + len(steps), time=NOW_MILLIS, index=len(steps) % 3)
        made = []
        if error is None:
            entry = handle if child is None else entry_id(child)
            if child is not None:
                nodes[parent]["children"].append((child, place))
                made.append(dict(entry=parent.hex(), node=encode_node(nodes[parent]).hex()))
            nodes[entry] = dict(key=key, place=place, children=[])
            made.append(dict(entry=entry.hex(), node=encode_node(nodes[entry]).hex()))
        steps.append(dict(name=name, update=(b"\1" + update).hex(), place=place, error=error, made=made))

    def follow(name, parent, number, seed, next_seed, error=None, receipt_bytes=None, receipts=None, signing={}, **fields):
        child = group_child(handle, parent, number, next_seed, **fields)
        only = commit_receipt(number) if receipt_bytes is None else receipt_bytes
        update = signed_child(child, seed, [only] if receipts is None else receipts, **signing)
        step(name, update, error, parent, child, public(next_seed))
        return entry_id(child)

    one, two, three = EPOCH_SEEDS[1:4]
    follow("child_before_the_start", handle, 0, root_key, one, error="ParentUnknown")
    step("start", varint(0) + start, key=public(root_key))
    step("start_again", varint(0) + start, error="Exists")
    first = follow("first_child", handle, 0, root_key, one)
    follow("same_child", handle, 0, root_key, one, error="Duplicate")
    other_nodes = commit_receipt(0, first=1)
    follow("same_child_other_receipt", handle, 0, root_key, one, error="Duplicate", receipt_bytes=other_nodes)
    follow("unknown_parent", bytes(32), 1, root_key, one, error="ParentUnknown")
    follow("signed_by_an_outsider", handle, 1, two, two, error="Signature")
    follow("signed_by_its_own_key", handle, 1, one, one, error="Signature")
    follow("signed_for_another_network", handle, 1, root_key, one, error="Signature", signing=dict(network=bytes(32)))
    follow("other_label", handle, 1, root_key, one, error="Signature", signing=dict(label="tokenim/group-child/v2"))
    child = group_child(handle, handle, 1, one)
    changed = group_child(handle, handle, 1, two)
    step("changed_next_key", varint(1) + changed + signed(root_key, "tokenim/group-child/v1", child) + sequence([commit_receipt(1)]), "Signature")
    follow("receipt_of_another_envelope", handle, 1, root_key, one, error="ReceiptForeign", receipt_bytes=commit_receipt(2, tag=one_shot(1)))
    follow("receipt_of_another_mailbox", handle, 1, root_key, one, error="ReceiptForeign", receipt_bytes=commit_receipt(1, tag=one_shot(2)))
    follow("kept_too_shortly", handle, 1, root_key, one, error="KeptTooShortly", receipt_bytes=commit_receipt(1, expiry=NOW + KEPT - 1))
    follow("kept_for_long_enough", handle, 1, root_key, one, receipt_bytes=commit_receipt(1, expiry=NOW + KEPT))
    follow("older_node_set", handle, 2, root_key, one, error="UnknownSetEpoch", receipt_bytes=commit_receipt(2, epoch=2))
    follow("node_set_to_come", handle, 2, root_key, one, error="UnknownSetEpoch", receipt_bytes=commit_receipt(2, epoch=5))
    follow("previous_node_set", handle, 2, root_key, two, receipt_bytes=commit_receipt(2, epoch=3))
    follow("too_few_receipts", handle, 3, root_key, two, error="Receipt", receipt_bytes=commit_receipt(3, count=2))
    follow("changed_receipt", handle, 3, root_key, two, error="Receipt", receipt_bytes=commit_receipt(3, flipped=True))
    follow("child_of_the_first", first, 4, one, three)
    follow("child_of_the_first_by_the_root_key", first, 5, root_key, three, error="Signature")
    follow("same_commit_other_author", first, 4, one, three, author=bytes([1] * 96))
    follow("no_receipt", first, 5, one, three, error="ReceiptForeign", receipts=[])
    follow("two_receipts_of_one_part", first, 5, one, three, error="ReceiptForeign", receipts=[commit_receipt(5)] * 2)
    many = dict(of=parts(5, 3))
    follow("receipt_of_a_part_missing", first, 5, one, three, error="ReceiptForeign", receipts=part_receipts(5, [0, 1]), **many)
    follow("receipts_in_another_order", first, 5, one, three, error="ReceiptForeign", receipts=part_receipts(5, [0, 2, 1]), **many)
    follow("receipt_of_a_part_twice", first, 5, one, three, error="ReceiptForeign", receipts=part_receipts(5, [0, 1, 1]), **many)
    follow("receipt_too_many", first, 5, one, three, error="ReceiptForeign", receipts=part_receipts(5, [0, 1, 2, 3]), **many)
    short = dict(at1=dict(expiry=NOW + KEPT - 1))
    follow("a_part_kept_too_shortly", first, 5, one, three, error="KeptTooShortly", receipts=part_receipts(5, range(3), **short), **many)
    old = dict(at2=dict(epoch=2))
    follow("a_part_of_an_older_node_set", first, 5, one, three, error="UnknownSetEpoch", receipts=part_receipts(5, range(3), **old), **many)
    few = dict(at2=dict(count=2))
    follow("a_part_with_too_few_receipts", first, 5, one, three, error="Receipt", receipts=part_receipts(5, range(3), **few), **many)
    # The first part that is refused says why.
    both = dict(few, **dict(at1=dict(epoch=2)))
    follow("two_parts_refused", first, 5, one, three, error="UnknownSetEpoch", receipts=part_receipts(5, range(3), **both), **many)
    moved = dict(at1=dict(epoch=3))
    follow("three_parts_of_two_node_sets", first, 5, one, three, receipts=part_receipts(5, range(3), **moved), **many)
    follow("eight_parts", first, 12, one, three, receipts=part_receipts(12, range(8)), of=parts(12, 8))
    follow("no_author", handle, 6, root_key, one, author=b"")
    follow("longest_author", handle, 7, root_key, one, author=bytes(range(128)))
    for number in [8, 9, 10]:
        follow("child_%d" % number, handle, number, root_key, one)
    follow("ninth_child", handle, 11, root_key, one, error="Full")
    follow("known_child_of_a_full_entry", handle, 10, root_key, one, error="Duplicate")
    return dict(
        network=NETWORK.hex(),
        now=NOW,
        current=node_set(4, SETS[4]).hex(),
        previous=node_set(3, SETS[3]).hex(),
        handles=[
            dict(nonce=nonce.hex(), key=public(root_key).hex(), handle=handle.hex()),
            dict(nonce=nonce.hex(), key=public(two).hex(), handle=handle_of(nonce, public(two)).hex()),
            dict(nonce=bytes(32).hex(), key=public(root_key).hex(), handle=handle_of(bytes(32), public(root_key)).hex()),
        ],
        steps=steps,
    )


def refused_objects():
    out = []

    def case(kind, name, error, data):
        out.append(dict(object=kind, name=name, error=error, bytes=data.hex()))

    key = public(READER)
    plain = b"\1" + OPEN
    case("descriptor", "empty", "Truncated", b"")
    case("descriptor", "unknown_version", "UnknownVersion", b"\2" + OPEN)
    case("descriptor", "unknown_policy", "Malformed", b"\1" + varint(2) + key + bytes(16))
    case("descriptor", "long_policy", "NotCanonical", b"\1\x80\0" + key + bytes(16))
    case("descriptor", "trailing_byte", "TrailingBytes", plain + b"\0")
    case("descriptor", "too_long", "TooLong", plain + bytes(40))
    case("descriptor", "cut", "Truncated", plain[:-1])
    case("descriptor", "key_of_small_order", "Malformed", b"\1\0" + b"\1" + bytes(31) + bytes(16))
    case("descriptor", "key_not_a_point", "Malformed", b"\1\0" + b"\2" + bytes(31) + bytes(16))

    keys = contact_keys()
    case("contact_keys", "empty", "Truncated", b"")
    case("contact_keys", "unknown_version", "UnknownVersion", b"\2" + keys)
    case("contact_keys", "cut", "Truncated", b"\1" + keys[:-1])
    case("contact_keys", "trailing_byte", "TrailingBytes", b"\1" + keys + b"\0")
    case("contact_keys", "too_long", "TooLong", b"\1" + keys + bytes(200))
    case("contact_keys", "too_much_postage", "Malformed", b"\1" + contact_keys(bits=33))
    case("contact_keys", "key_of_another_length", "Malformed", b"\1" + contact_keys(key=bytes(32)))
    case("contact_keys", "unknown_suite", "Malformed", b"\1" + keys[:64] + varint(1) + keys[67:])
    end = keys.index(varint(NOW)) + len(varint(NOW)) - 1
    case("contact_keys", "long_time", "NotCanonical", b"\1" + keys[:end] + bytes([keys[end] | 0x80, 0]) + keys[end + 1 :])
    stock = contact_stock(keys, PACKAGES)
    case("contact_stock", "unknown_version", "UnknownVersion", b"\0" + stock)
    case("contact_stock", "cut", "Truncated", b"\1" + stock[:-1])
    case("contact_stock", "trailing_byte", "TrailingBytes", b"\1" + stock + b"\0")
    case("contact_stock", "too_many_packages", "Malformed", b"\1" + contact_stock(keys, [b""] * 33))
    case("contact_stock", "package_too_long", "Malformed", b"\1" + contact_stock(keys, [bytes(4097)]))

    nodes = members(4)
    case("node_set", "unsorted", "Malformed", node_set(3, [nodes[1], nodes[0]] + nodes[2:]))
    case("node_set", "one_twice", "Malformed", node_set(3, [nodes[0], nodes[0]]))
    case("node_set", "too_many", "Malformed", b"\1\3" + varint(1025) + bytes(66))
    long = nodes[0][:2] + ("a" * 129,)
    case("node_set", "address_too_long", "Malformed", node_set(3, [long]))
    body = node_set(3, nodes[:1])
    case("node_set", "address_not_text", "Malformed", body[:-1] + b"\xff")
    case("node_set", "long_epoch", "NotCanonical", b"\1\x83\0" + body[2:])

    tops = peaks(LEAVES[:7])
    case("accumulator", "peak_missing", "Malformed", b"\1" + varint(7) + sequence(tops[:2]))
    case("accumulator", "peak_more", "Malformed", b"\1" + varint(7) + sequence(tops + [bytes(32)]))
    case("accumulator", "empty_with_peak", "Malformed", b"\1" + varint(0) + sequence(tops[:1]))
    case("accumulator", "too_many_leaves", "Malformed", b"\1" + varint(1 << 62) + sequence(tops[:1]))
    case("accumulator", "more_peaks_than_any_list", "Malformed", b"\1" + varint(2**63 - 1) + varint(63) + bytes(1900))

    value, data = receipt(line(0))
    case("storage_receipt", "unknown_version", "UnknownVersion", b"\0" + data)
    case("storage_receipt", "trailing_byte", "TrailingBytes", b"\1" + data + b"\0")
    case("storage_receipt", "too_long", "TooLong", b"\1" + data + bytes(256))
    case("storage_receipt", "cut", "Truncated", b"\1" + data[:-1])
    at = 96 + len(varint(NOW))
    case("storage_receipt", "long_number", "NotCanonical", b"\1" + data[:at] + b"\x83\0" + data[at + 1 :])
    case("storage_receipt", "number_too_large", "Malformed", b"\1" + data[:at] + b"\xff" * 10 + data[at + 1 :])
    case("signed_head", "unknown_version", "UnknownVersion", b"\2" + head(whole(9))[1])
    case("signed_head", "cut", "Truncated", b"\1" + head(whole(9))[1][:-1])

    keys = [key for key, _, _ in nodes]
    issuers = [issuer(member, keys[member], 10) for member in range(4)]
    six = encode_quorum_receipt(TAG, EPOCH, (issuers * 2)[:6])
    case("quorum_receipt", "six_issuers", "Malformed", six)
    good = encode_quorum_receipt(TAG, EPOCH, issuers[:3])
    case("quorum_receipt", "one_issuer_more_announced", "Truncated", good.replace(b"\3\3" + b"\0", b"\3\4" + b"\0", 1))
    case("quorum_receipt", "trailing_byte", "TrailingBytes", good + b"\0")
    case("quorum_receipt", "member_too_large", "Malformed", encode_quorum_receipt(TAG, EPOCH, [dict(issuers[0], member=65_536)]))

    two = evidence()["good"][0]
    data = bytes.fromhex(two["bytes"])
    case("misconduct", "unknown_variant", "Malformed", b"\1\4" + data[2:])
    case("misconduct", "unknown_statement", "Malformed", b"\1\0\2" + data[3:])
    case("misconduct", "cut", "Truncated", data[:-1])
    contradiction = bytes.fromhex(evidence()["good"][-1]["bytes"])
    length = len(contradiction) - 32 * len(evidence()["good"][-1]["value"]["ContradictedReceipt"]["proof"]) - 1
    case("misconduct", "proof_too_long", "Malformed", contradiction[:length] + varint(63) + bytes(63 * 32))

    key = public(EPOCH_SEEDS[0])
    start = varint(0) + bytes(32) + key
    child = group_child(bytes(32), bytes(32), 0, EPOCH_SEEDS[1])
    update = signed_child(child, EPOCH_SEEDS[0], [commit_receipt(0)])
    case("group_update", "empty", "Truncated", b"")
    case("group_update", "unknown_version", "UnknownVersion", b"\2" + start)
    case("group_update", "unknown_variant", "Malformed", b"\1\2" + start[1:])
    case("group_update", "long_variant", "NotCanonical", b"\1\x80\0" + start[1:])
    case("group_update", "start_cut", "Truncated", b"\1" + start[:-1])
    case("group_update", "trailing_byte", "TrailingBytes", b"\1" + start + b"\0")
    case("group_update", "key_of_small_order", "Malformed", b"\1\0" + bytes(32) + b"\1" + bytes(31))
    case("group_update", "next_key_not_a_point", "Malformed", b"\1" + update[:97] + b"\2" + bytes(31) + update[129:])
    long = group_child(bytes(32), bytes(32), 0, EPOCH_SEEDS[1], author=bytes(129))
    case("group_update", "author_too_long", "Malformed", b"\1" + signed_child(long, EPOCH_SEEDS[0], [commit_receipt(0)]))
    case("group_update", "child_cut", "Truncated", b"\1" + update[:-1])
    case("group_update", "child_with_trailing_byte", "TrailingBytes", b"\1" + update + b"\0")
    case("group_update", "too_long", "TooLong", b"\1" + update + bytes(7168))
    for name, of in [("no_part", []), ("nine_parts", parts(0, 9)), ("a_part_twice", parts(0, 3) + parts(0, 1))]:
        bad = group_child(bytes(32), bytes(32), 0, EPOCH_SEEDS[1], of=of)
        case("group_update", name, "Malformed", b"\1" + signed_child(bad, EPOCH_SEEDS[0], [commit_receipt(0)]))
        place = dict(height=1, time=2, index=3)
        case("group_node", name, "Malformed", encode_node(dict(key=key, place=place, children=[(bad, place)])))
    case("group_update", "nine_receipts", "Malformed", b"\1" + signed_child(child, EPOCH_SEEDS[0], [commit_receipt(0)] * 9))
    largest = group_child(bytes(32), bytes(32), 0, EPOCH_SEEDS[1], of=parts(0, 8))
    case("group_update", "a_receipt_announced_but_missing", "Truncated", b"\1" + signed_child(largest, EPOCH_SEEDS[0], [commit_receipt(0)] * 8)[: -len(commit_receipt(0))])
    place = dict(height=1, time=2, index=3)
    entry = encode_node(dict(key=key, place=place, children=[(child, place)]))
    case("group_node", "unknown_version", "UnknownVersion", b"\0" + entry[1:])
    case("group_node", "cut", "Truncated", entry[:-1])
    case("group_node", "trailing_byte", "TrailingBytes", entry + b"\0")
    case("group_node", "long_height", "NotCanonical", entry[:33] + b"\x81\0" + entry[34:])
    case("group_node", "index_too_large", "Malformed", entry[:35] + varint(2**32) + entry[36:])
    nine = encode_node(dict(key=key, place=place, children=[(child, place)] * 9))
    case("group_node", "nine_children", "Malformed", nine)
    return out


# --- printing --------------------------------------------------------------------------------------------------------

NAMES = dict(
    descriptors=descriptors,
    postage=postage,
    requests=requests,
    contact=contact,
    quorums=quorums,
    node_sets=node_sets,
    mountain_ranges=mountain_ranges,
    statements=statements,
    quorum_receipts=quorum_receipts,
    evidence=evidence,
    group_log=group_log,
    refused_objects=refused_objects,
)

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
        sys.exit(__doc__.strip())
    print(json.dumps(NAMES[sys.argv[1]](), indent=1))
