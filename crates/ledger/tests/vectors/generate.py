#!/usr/bin/env python3
"""Makes the vectors beside it: a second implementation of docs/spec/ledger.md and of the pages that it builds on.

It shares no code with the crates. Run it in this folder; it prints one file's content:

    python3 generate.py network > network.json

Needs the package `cryptography` for Ed25519.
"""

import json
import sys
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# --- wire ---------------------------------------------------------------------------------------------------------


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def blob(data):
    return varint(len(data)) + data


def sequence(items):
    return varint(len(items)) + b"".join(items)


def H(label, *parts):
    return sha256(bytes([len(label)]) + label.encode() + b"".join(parts)).digest()


def u64(number):
    return number.to_bytes(8, "big")


def u32(number):
    return number.to_bytes(4, "big")


# --- identity -----------------------------------------------------------------------------------------------------


class Key:
    def __init__(self, text, number):
        self.secret = Ed25519PrivateKey.from_private_bytes(some(text, number))
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, network, label, statement):
        return self.raw(bytes([len(label)]) + label.encode() + network + statement)

    def raw(self, message):
        return self.secret.sign(message)


def some(text, number):
    return H("tokenim/test/v1", text.encode(), u64(number))


def genesis_of(number):
    root, after = Key("root", number), Key("next root", number)
    return root, root.public + H("tokenim/next-root/v1", after.public)


def identity_id(genesis):
    return H("tokenim/genesis/v1", b"\x01", genesis)


def device_keys(number):
    """Signing key, envelope key (suite 0x0020), inbox key, inbox nonce."""
    keys = Key("device", number).public + varint(0x20) + blob(some("envelope key", number))
    return keys + Key("inbox", number).public + some("inbox nonce", number)[:16]


class Root:
    """Signs records as root, or as next root, which shows itself."""

    def __init__(self, text, number, is_next=False):
        self.key, self.is_next = Key(text, number), is_next

    def authorize(self, network, record):
        if self.is_next:
            signature = self.key.sign(network, "tokenim/record-by-next-root/v1", record)
            return varint(2) + self.key.public + signature
        return varint(0) + self.key.sign(network, "tokenim/record-by-root/v1", record)


class Device:
    """Signs records as a device."""

    def __init__(self, number):
        self.key = Key("device", number)

    def authorize(self, network, record):
        signature = self.key.sign(network, "tokenim/record-by-device/v1", record)
        return varint(1) + device_id(self.key) + signature


def device_id(key):
    return H("tokenim/device-id/v1", key.public)


def signed_record(network, identity, seq, prev, op, signer):
    record = network + identity + varint(seq) + prev + op
    return record + signer.authorize(network, record)


# Operations: number, then fields.


def add_op(network, identity, seq, device):
    keys = device_keys(device)
    return varint(0) + keys + Key("device", device).sign(
        network, "tokenim/device-consent/v1", identity + varint(seq) + keys
    )


def revoke_op(device):
    return varint(1) + device_id(Key("device", device))


def rotate_op(after):
    return varint(2) + H("tokenim/next-root/v1", after.public)


CANCEL, COMPLETE = varint(5), varint(6)


def link_op(commitment):
    return varint(8) + commitment


def optional(value):
    return b"\x00" if value is None else b"\x01" + value


class Identity:
    """The state of an identity. What a record changes is for the caller to say."""

    def __init__(self, number):
        _, self.genesis = genesis_of(number)
        self.id = identity_id(self.genesis)
        self.seq, self.head, self.log, self.spent = 0, self.id, self.id, 0
        self.root, self.next_root = self.genesis[:32], self.genesis[32:]
        self.standing, self.links, self.devices = varint(0), [], []

    def encode(self):
        devices = [
            keys + varint(added) + optional(None if revoked is None else varint(revoked))
            for keys, added, revoked in self.devices
        ]
        head = self.id + varint(self.seq) + self.head + self.log + varint(self.spent) + self.root + self.next_root
        return b"\x01" + head + optional(None) + self.standing + sequence(self.links) + sequence(devices)

    def follow(self, record, height, time):
        """After a record; to be called before its changes are made."""
        self.seq, self.spent = self.seq + 1, self.spent + 1
        self.head = H("tokenim/record-digest/v1", record)
        self.log = H("tokenim/record-log/v1", self.log + self.head + varint(height) + varint(time))

    def wait_for_root(self, key, after, height, due):
        """A new root is pending, asked for by the next root."""
        op = varint(0) + key.public + H("tokenim/next-root/v1", after.public)
        self.standing = varint(1) + op + varint(1) + varint(height) + varint(due)

    def take_root(self, key, after):
        self.root, self.next_root = key.public, H("tokenim/next-root/v1", after.public)
        self.standing, self.spent = varint(0), 0


def add_device(network, number, device):
    """The first record of an identity, signed."""
    _, genesis = genesis_of(number)
    identity = identity_id(genesis)
    op = add_op(network, identity, 1, device)
    return genesis, signed_record(network, identity, 1, identity, op, Root("root", number))


# --- network ------------------------------------------------------------------------------------------------------

STARTED = 1_800_000_000_000
LIMITS = [16, 1024, 8, 1024, 259_200_000]


def nodes(count):
    return sorted((Key("node", number) for number in range(count)), key=lambda key: key.public)


def validator_set(keys):
    return sequence([key.public + varint(1) for key in keys])


def config(count, limits=LIMITS):
    keys = nodes(count)
    members = [key.public + blob(f"192.0.2.{number}:7400".encode()) for number, key in enumerate(keys)]
    numbers = b"".join(varint(number) for number in limits)
    return b"\x01" + blob(b"test") + varint(STARTED) + validator_set(keys) + sequence(members) + numbers


def network_id(data):
    return H("tokenim/network/v1", data)


def node_set(count, network):
    members = [
        key.public + H("tokenim/placement/v1", key.public, network) + blob(f"192.0.2.{number}:7400".encode())
        for number, key in enumerate(nodes(count))
    ]
    return b"\x01" + varint(0) + sequence(members)


CONFIG = config(4)
NETWORK = network_id(CONFIG)
NODES = nodes(4)

# --- Merkle trees -------------------------------------------------------------------------------------------------


def above(level):
    pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
    return [H("tokenim/merkle-node/v1", *pair) if len(pair) == 2 else pair[0] for pair in pairs]


def merkle_root(leaves):
    top = list(leaves) or [bytes(32)]
    while len(top) > 1:
        top = above(top)
    return H("tokenim/merkle-root/v1", u32(len(leaves)), top[0])


def path(leaves, index):
    """The siblings of one leaf, from the leaf upwards."""
    level, at, out = list(leaves), index, []
    while len(level) > 1:
        if at ^ 1 < len(level):
            out.append(level[at ^ 1])
        level, at = above(level), at // 2
    return out


def siblings_of(leaves, indices):
    """The siblings of several leaves, level by level."""
    level, known, out = list(leaves), sorted(indices), []
    while len(level) > 1:
        for at in known:
            if at ^ 1 < len(level) and at ^ 1 not in known:
                out.append(level[at ^ 1])
        level, known = above(level), sorted({at // 2 for at in known})
    return out


# --- state --------------------------------------------------------------------------------------------------------

EMPTY = b"SPARSE_MERKLE_PLACEHOLDER_HASH__"


def bit(key, index):
    return key[index // 8] >> (7 - index % 8) & 1


def state_root(entries, depth=0):
    """`entries`: key to value."""
    if not entries:
        return EMPTY
    if len(entries) == 1:
        ((key, value),) = entries.items()
        return sha256(b"JMT::LeafNode" + key + sha256(value).digest()).digest()
    left = {key: value for key, value in entries.items() if not bit(key, depth)}
    right = {key: value for key, value in entries.items() if bit(key, depth)}
    return sha256(b"JMT::IntrnalNode" + state_root(left, depth + 1) + state_root(right, depth + 1)).digest()


def state_proof(entries, key):
    siblings, depth = [], 0
    while len(entries) > 1:
        own = {other: value for other, value in entries.items() if bit(other, depth) == bit(key, depth)}
        rest = {other: value for other, value in entries.items() if other not in own}
        siblings.append(state_root(rest, depth + 1) if rest else None)
        entries, depth = own, depth + 1
    siblings.reverse()
    if not entries:
        terminal = b"\x01"
    else:
        ((other, value),) = entries.items()
        terminal = b"\x00" if other == key else b"\x02" + other + sha256(value).digest()
    return terminal + siblings_field(siblings)


def siblings_field(siblings):
    bitmap = bytearray((len(siblings) + 7) // 8)
    for at, sibling in enumerate(siblings):
        if sibling is not None:
            bitmap[at // 8] |= 1 << at % 8
    present = [sibling for sibling in siblings if sibling is not None]
    return varint(len(siblings)) + blob(bytes(bitmap)) + sequence(present)


def state_key(kind, subject=b""):
    return H("tokenim/state-key/v1", bytes([kind]), subject)


# --- transactions -------------------------------------------------------------------------------------------------


def transaction(body, sponsor, valid_until, nonce, network=NETWORK):
    content = body + sponsor.public + varint(valid_until) + varint(nonce)
    signature = sponsor.sign(network, "tokenim/transaction/v1", content)
    return content + signature, H("tokenim/transaction-id/v1", content)


def anchor(leaves):
    return varint(2) + sequence(leaves)


def registration(key, address, validators):
    statement = key.public + blob(address)
    consent = key.sign(NETWORK, "tokenim/node-consent/v1", statement)
    admissions = [
        varint(place) + NODES[place].sign(NETWORK, "tokenim/node-admission/v1", statement) for place in validators
    ]
    return varint(1) + statement + consent + sequence(admissions)


def group_start(number):
    """A session: its handle, the body that starts it, and the key of its first epoch."""
    key, nonce = Key("epoch", number), some("nonce", number)
    handle = H("tokenim/group-handle/v1", nonce, key.public)
    return handle, varint(4) + varint(0) + nonce + key.public, key


def group_child(handle, parent, key, number):
    """The body that adds an entry, and the entry's id."""
    receipt = Receipt(number)
    child = handle + parent + some("commitment", number) + Key("epoch", number + 1).public
    child += blob(some("author", number) * 3) + receipt.tag + sequence([receipt.envelope])
    signature = key.sign(NETWORK, "tokenim/group-child/v1", child)
    return varint(4) + varint(1) + child + signature + sequence([receipt.encode()]), H("tokenim/group-entry/v1", child)


def bodies():
    genesis, record = add_device(NETWORK, 1, 7)
    handle, start, key = group_start(1)
    leaves = sorted(some("leaf", number) for number in range(3))
    return [
        ("identity, created with its first device", varint(0) + b"\x01" + genesis + record),
        ("node, admitted by three of four", registration(Key("node", 10), b"192.0.2.99:7400", [0, 2, 3])),
        ("anchor of three receipts", anchor(leaves)),
        ("incarnation 3 of the sponsor", varint(3) + NODES[1].public + varint(3)),
        ("start of a session", start),
        ("the epoch after it", group_child(handle, handle, key, 1)[0]),
    ]


# --- headers and certificates -------------------------------------------------------------------------------------


def header(**changes):
    fields = {
        "chain": NETWORK,
        "epoch": 0,
        "height": 20_000_000,
        "time": STARTED + 20_000_000 * 500,
        "parent": some("parent", 0),
        "payload_root": H("tokenim/payload/v1", b"payload"),
        "state_root": some("state", 0),
        "receipts_root": some("receipts", 0),
        "node_set_root": some("node sets", 0),
        "header_mmr_root": some("mountains", 0),
        "next_validators": H("tokenim/validator-set/v1", b"\x01" + validator_set(NODES)),
    }
    fields.update(changes)
    return b"".join(varint(value) if isinstance(value, int) else value for value in fields.values())


def header_digest(data):
    return H("tokenim/header/v1", b"\x01" + data)


def certificate(digest, signers=(0, 1, 2), network=NETWORK):
    proposal = varint(0) + varint(20_000_001) + varint(20_000_000) + digest
    space = b"tokenim/consensus/v1/" + network + b"_FINALIZE"
    message = blob(space) + proposal
    bitmap = bytearray(1)
    for signer in signers:
        bitmap[0] |= 1 << signer
    return proposal + u64(4) + bytes(bitmap) + sequence([NODES[signer].raw(message) for signer in signers])


def finality(headers, signed=None):
    return sequence(headers) + blob(certificate(header_digest(headers[-1]) if signed is None else signed))


# --- receipts and acceptance --------------------------------------------------------------------------------------


class Receipt:
    """The receipt of the members 0, 1 and 2 for one envelope."""

    def __init__(self, number=1):
        self.tag, self.envelope = some("tag", number), some("envelope", number)
        self.expiry, self.epoch, self.members = STARTED // 1000 + 10_030_000, 0, [0, 1, 2]
        self.incarnation, self.index, self.size = 3, 20_000 + number, 20_001 + number
        self.root, self.height = some("log", number), 19_999_990
        self.signatures = [self.signature(member) for member in self.members]

    def signature(self, member):
        position = varint(self.epoch) + varint(self.incarnation) + varint(self.index) + varint(self.size)
        position += self.root + varint(self.height)
        body = NODES[member].public + self.tag + self.envelope + varint(self.expiry) + position
        return NODES[member].sign(NETWORK, "tokenim/storage-receipt/v1", body)

    def encode(self):
        issuers = [
            varint(member)
            + varint(self.incarnation)
            + varint(self.index)
            + varint(self.size)
            + self.root
            + varint(self.height)
            + signature
            for member, signature in zip(self.members, self.signatures)
        ]
        return self.tag + self.envelope + varint(self.expiry) + varint(self.epoch) + sequence(issuers)

    def leaf(self):
        issuers = [
            member.to_bytes(2, "big")
            + u64(self.incarnation)
            + u64(self.index)
            + u64(self.size)
            + self.root
            + u64(self.height)
            + signature
            for member, signature in zip(self.members, self.signatures)
        ]
        head = self.tag + self.envelope + u64(self.expiry) + u64(self.epoch) + bytes([len(issuers)])
        return H("tokenim/quorum-receipt/v1", head, *issuers)


def member_leaves():
    return [H("tokenim/node-set-leaf/v1", key.public) for key in NODES]


class Acceptance:
    """A proof whose parts can be changed one by one."""

    def __init__(self, receipt=None):
        self.receipt = receipt or Receipt()
        self.summary = (0, 4, merkle_root(member_leaves()))
        self.current = self.previous = self.summary
        self.keys = [NODES[member].public for member in self.receipt.members]
        self.siblings = siblings_of(member_leaves(), [member for member in self.receipt.members if member < 4])
        self.leaves = sorted([some("receipt", number) for number in range(1, 8)] + [self.receipt.leaf()])
        self.index, self.size = self.leaves.index(self.receipt.leaf()), len(self.leaves)
        self.path = path(self.leaves, self.index)
        self.changes = {}
        self.signed = None
        self.before = None

    def sets_root(self):
        parts = [u64(epoch) + u32(size) + root for epoch, size, root in (self.current, self.previous)]
        return H("tokenim/node-sets/v1", *parts)

    def header(self):
        roots = {"receipts_root": merkle_root(self.leaves), "node_set_root": self.sets_root()}
        return header(**{**roots, **self.changes})

    def encode(self, headers=None):
        sets = b"".join(varint(epoch) + varint(size) + root for epoch, size, root in (self.current, self.previous))
        route = varint(self.index) + varint(self.size) + sequence(self.path)
        chain = [self.header()] if headers is None else headers
        out = b"\x01" + self.receipt.encode() + sets + sequence(self.keys) + sequence(self.siblings) + route
        if not chain:
            return out + sequence([]) + blob(certificate(some("nothing", 0)))
        return out + finality(chain, self.signed)


def child(parent, **changes):
    digest = header_digest(parent)
    fields = {"height": 20_000_001, "time": STARTED + 20_000_001 * 500, "parent": digest}
    return header(**{**fields, **changes})


def acceptance_cases():
    out = []

    def good(name, proof, headers=None):
        out.append((name, proof.encode(headers), None))

    def bad(name, error, change, headers=None):
        receipt = Receipt()
        proof = Acceptance(receipt)
        change(proof)
        out.append((name, proof.encode(headers), error))

    proof = Acceptance()
    good("one header", proof)
    first = proof.header()
    good("final through its child", proof, [first, child(first)])
    proof = Acceptance()
    proof.current = (1, 7, some("other set", 0))
    good("receipt of the previous set epoch", proof)

    def of(**fields):
        def change(proof):
            for name, value in fields.items():
                setattr(proof, name, value)

        return change

    bad("no header", "NoHeader", lambda proof: None, headers=[])
    bad("node sets that the header does not commit to", "NodeSetRoot",
        lambda proof: proof.changes.update(node_set_root=some("other", 0)))
    other = (1, 7, some("other set", 0))
    bad("receipt of an older set epoch", "UnknownSetEpoch", of(current=(2, 7, other[2]), previous=other))
    bad("one key less than issuers", "KeyCount", lambda proof: proof.keys.pop())
    bad("keys in another order", "Members(Root)", lambda proof: proof.keys.reverse())
    bad("a sibling too many beside the members", "Members(Shape)", lambda proof: proof.siblings.append(EMPTY))
    bad("no sibling beside the members", "Members(Shape)", of(siblings=[]))

    def twice(proof):
        proof.receipt.members[1] = 0
        proof.__init__(proof.receipt)

    bad("a member twice", "Members(Position)", twice)

    def beyond(proof):
        proof.receipt.members[2] = 4
        proof.keys[2] = NODES[3].public

    bad("a member beyond the set", "Members(Position)", beyond)
    bad("another place in the block", "Receipt(Root)", of(index=0 if Acceptance().index else 1))
    bad("a place beyond the block", "Receipt(Position)", of(index=8))
    bad("a sibling less in the path", "Receipt(Shape)", lambda proof: proof.path.pop())
    bad("a receipts root of other leaves", "Receipt(Root)",
        lambda proof: proof.changes.update(receipts_root=some("other", 0)))

    def resigned(name, error, change):
        proof = Acceptance()
        change(proof.receipt)
        out.append((name, Acceptance(proof.receipt).encode(), error))

    resigned("another expiry than signed", "QuorumReceipt(SignatureInvalid)",
             lambda receipt: setattr(receipt, "expiry", receipt.expiry + 1))
    resigned("another envelope than signed", "QuorumReceipt(SignatureInvalid)",
             lambda receipt: setattr(receipt, "envelope", some("envelope", 2)))

    def fewer(receipt):
        receipt.members.pop()
        receipt.signatures.pop()

    resigned("two issuers of four nodes", "QuorumReceipt(TooFewIssuers { needed: 3, actual: 2 })", fewer)
    resigned("a line beyond the log", "QuorumReceipt(IndexOutOfLog)",
             lambda receipt: setattr(receipt, "index", receipt.size))
    bad("signed later than anchored", "SignedLater", lambda proof: proof.changes.update(height=19_999_989))
    bad("certificate of another block", "Finality(WrongDigest)", of(signed=some("another block", 0)))
    bad("header of another epoch", "Finality(WrongEpoch)", lambda proof: proof.changes.update(epoch=1))
    bad("header of another network", "Finality(WrongNetwork)",
        lambda proof: proof.changes.update(chain=some("elsewhere", 0)))
    proof = Acceptance()
    first = proof.header()
    out.append(("a child of another header", proof.encode([first, child(header())]),
                "Finality(BrokenChain { index: 0 })"))
    forged = bytearray(proof.encode())
    forged[-1] ^= 1
    out.append(("a forged vote", bytes(forged), "Finality(Signature { signer: 2 })"))
    return out


# --- lookups ------------------------------------------------------------------------------------------------------


def state():
    entries = {
        state_key(0): node_set(4, NETWORK),
        state_key(3): b"\x01" + validator_set(NODES),
        state_key(5, NODES[0].public): varint(3),
    }
    for number in range(40):
        entries[state_key(6, some("transaction", number))] = varint(20_000_000 + number)
    return entries


def lookup(key, value, entries=None, proof=None):
    entries = state() if entries is None else entries
    option = b"\x00" if value is None else b"\x01" + blob(value)
    proof = state_proof(entries, key) if proof is None else proof
    return b"\x01" + option + proof + finality([header(state_root=state_root(state()))])


def lookup_cases():
    entries = state()
    node = state_key(5, NODES[0].public)
    absent = [state_key(5, some("nobody", number)) for number in range(60)]
    by_terminal = {state_proof(entries, key)[0]: key for key in absent}
    empty, beside = by_terminal[1], by_terminal[2]
    cases = [
        ("an incarnation", node, lookup(node, varint(3)), None),
        ("the node set", state_key(0), lookup(state_key(0), node_set(4, NETWORK)), None),
        ("nothing, an empty place", empty, lookup(empty, None), None),
        ("nothing, another leaf", beside, lookup(beside, None), None),
        ("another value", node, lookup(node, varint(4)), "State(Root)"),
        ("absence of what is there", node, lookup(node, None), "State(Kind)"),
        ("presence of what is not there", empty, lookup(empty, varint(3)), "State(Kind)"),
        ("the proof of another key", beside, lookup(empty, None), "State(Root)"),
    ]
    without = {key: value for key, value in entries.items() if key != node}
    cases.append(("a state without the key", node, lookup(node, None, without), "State(Root)"))
    terminal = b"\x02" + node + sha256(varint(3)).digest()
    cases.append(("the key's own leaf as another one", node,
                  lookup(node, None, proof=terminal + state_proof(entries, node)[1:]), "State(OtherLeaf)"))
    # A leaf from the other half of the tree.
    far = next(key for key in entries if bit(key, 0) != bit(empty, 0))
    terminal = b"\x02" + far + sha256(entries[far]).digest()
    cases.append(("a leaf that is not in the way", empty,
                  lookup(empty, None, proof=terminal + state_proof(entries, far)[1:]), "State(OtherLeaf)"))
    return cases


# --- histories ----------------------------------------------------------------------------------------------------


WINDOW = LIMITS[4]


class History:
    """Six records of an identity, as (record, height, time), and the state that they lead to."""

    def __init__(self, number=1):
        self.person = Identity(number)
        self.entries = []
        root, after = Root("root", number), Root("next root", number, is_next=True)
        last = Key("later root", number)

        def add(op, signer, height, time):
            person = self.person
            record = signed_record(NETWORK, person.id, person.seq + 1, person.head, op, signer)
            person.follow(record, height, time)
            self.entries.append((record, height, time))

        start = STARTED + 1_000
        devices = self.person.devices
        add(add_op(NETWORK, self.person.id, 1, 7), root, 3, start)
        devices.append((device_keys(7), 3, None))
        add(add_op(NETWORK, self.person.id, 2, 8), root, 3, start)
        devices.append((device_keys(8), 3, None))
        add(link_op(some("link", 0)), root, 9, start + 500)
        self.person.links.append(some("link", 0))
        add(rotate_op(last), after, 10, start + 1_000)
        due = start + 1_000 + WINDOW
        self.person.wait_for_root(after.key, last, 10, due)
        add(COMPLETE, Device(8), 5_000_000, due)
        self.person.take_root(after.key, last)
        add(revoke_op(7), Root("next root", number), 5_000_000, due)
        devices[0] = (device_keys(7), 3, 5_000_000)

    def page(self, entries=None, genesis=None, more=0):
        entries = self.entries if entries is None else entries
        rows = [record + varint(height) + varint(time) for record, height, time in entries]
        return b"\x01" + (genesis or self.person.genesis) + sequence(rows) + bytes([more])


def history_cases():
    good, other = History(), History(2)
    out = []

    def case(name, error, change=None, **page):
        entries = list(good.entries)
        if change:
            change(entries)
        out.append((name, good.page(entries, **page), error))

    def broken(at, why):
        return f"HistoryRecord {{ at: {at}, why: {why} }}"

    def sequence_error(at, actual):
        return broken(at, f"WrongSequence {{ expected: {at}, actual: {actual} }}")

    def put(place, **changes):
        def change(entries):
            names = ("record", "height", "time")
            entries[place] = tuple(changes.get(name, old) for name, old in zip(names, entries[place]))

        return change

    case("the whole", None)
    case("a record more than the look-up has", None, lambda entries: entries.append(other.entries[0]))
    case("the first record left out", sequence_error(1, 2), lambda entries: entries.pop(0))
    case("a record in the middle left out", sequence_error(3, 4), lambda entries: entries.pop(2))
    case("the last record left out", "HistoryShort { shown: 5, records: 6 }", lambda entries: entries.pop())
    case("nothing", "HistoryShort { shown: 0, records: 6 }", lambda entries: entries.clear())

    def swap(entries):
        entries[1], entries[2] = entries[2], entries[1]

    case("two records in the other order", sequence_error(2, 3), swap)
    case("a record twice", sequence_error(3, 2), lambda entries: entries.insert(1, entries[1]))
    case("another height", "HistoryState", put(2, height=8))
    case("another height of the last", "HistoryState", put(5, height=5_000_001))
    case("another time", "HistoryState", put(2, time=good.entries[2][2] + 1))
    due = good.entries[4][2]
    case("carried out too early", broken(5, f"NotDue {{ due: UnixMillis({due}) }}"), put(4, time=due - 1))
    case("asked for later than it was", broken(5, f"NotDue {{ due: UnixMillis({due + 1}) }}"),
         put(3, time=due + 1 - WINDOW))
    case("a record of another identity", broken(3, "WrongIdentity"), put(2, record=other.entries[2][0]))
    record = good.entries[2][0]
    case("a record that nobody signed", broken(3, "Signature"), put(2, record=record[:-64] + bytes(64)))
    before = good.entries[1][0]
    prev = H("tokenim/record-digest/v1", before)
    never = signed_record(NETWORK, good.person.id, 3, prev, link_op(some("link", 9)), Root("root", 1))
    case("a record that never came on the ledger", broken(4, "WrongPrevious"), put(2, record=never))
    prev = H("tokenim/record-digest/v1", good.entries[4][0])
    never = signed_record(NETWORK, good.person.id, 6, prev, revoke_op(8), Root("next root", 1))
    case("a last record that never came on the ledger", "HistoryState", put(5, record=never))
    case("the genesis record of another identity", "HistoryForeign", genesis=other.person.genesis)
    return out


def history_lookup():
    """The look-up in a state that holds the identity alone."""
    person = History().person
    entries = {state_key(4, person.id): person.encode()}
    proof = state_proof(entries, state_key(4, person.id))
    return b"\x01\x01" + blob(person.encode()) + proof + finality([header(state_root=state_root(entries))])


# --- files --------------------------------------------------------------------------------------------------------


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: hexed(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [hexed(inner) for inner in value]
    return value


def network():
    return {"config": CONFIG, "id": NETWORK, "node_set": node_set(4, NETWORK)}


def keys():
    node, transaction_id = NODES[0].public, some("transaction", 0)
    identity = identity_id(genesis_of(1)[1])
    handle, _, key = group_start(1)
    entry = handle + group_child(handle, handle, key, 1)[1]
    return [
        {"of": "node_set", "subject": b"", "key": state_key(0)},
        {"of": "previous_node_set", "subject": b"", "key": state_key(1)},
        {"of": "node_queue", "subject": b"", "key": state_key(2)},
        {"of": "validators", "subject": b"", "key": state_key(3)},
        {"of": "identity", "subject": identity, "key": state_key(4, identity)},
        {"of": "incarnation", "subject": node, "key": state_key(5, node)},
        {"of": "recent", "subject": transaction_id, "key": state_key(6, transaction_id)},
        {"of": "group", "subject": handle + handle, "key": state_key(7, handle + handle)},
        {"of": "group", "subject": entry, "key": state_key(7, entry)},
    ]


def transactions():
    out = []
    for name, body in bodies():
        data, name_of = transaction(body, NODES[1], 300, 7)
        out.append({"name": name, "bytes": b"\x01" + data, "id": name_of, "error": None})
    data, _ = transaction(anchor([some("leaf", 0)]), NODES[1], 300, 7)
    changed = data.replace(varint(300), varint(301), 1)
    _, name_of = transaction(anchor([some("leaf", 0)]), NODES[1], 301, 7)
    out.append({"name": "another height than signed", "bytes": b"\x01" + changed, "id": name_of, "error": "Signature"})
    foreign, name_of = transaction(anchor([some("leaf", 0)]), NODES[1], 300, 7, some("elsewhere", 0))
    out.append({"name": "signed for another network", "bytes": b"\x01" + foreign, "id": name_of, "error": "Signature"})
    return out


def merkle():
    out = []
    for size in (0, 1, 2, 3, 4, 5, 7, 8, 13):
        leaves = [some("leaf", number) for number in range(size)]
        several = [sorted(pick) for pick in ([0], [0, 1], [0, size - 1], [1, 2, size - 1], list(range(size)))]
        several = [list(pick) for pick in dict.fromkeys(tuple(sorted(set(pick))) for pick in several)]
        several = [pick for pick in several if pick and pick[0] >= 0 and pick[-1] < size]
        out.append(
            {
                "size": size,
                "leaves": leaves,
                "root": merkle_root(leaves),
                "paths": [path(leaves, index) for index in range(size)],
                "several": [{"indices": pick, "siblings": siblings_of(leaves, pick)} for pick in several],
            }
        )
    return out


def states():
    out = []
    for size in (0, 1, 2, 3, 20):
        entries = {some("key", number): some("value", number)[: number % 5] for number in range(size)}
        wanted = list(entries)[:4] + [some("no key", number) for number in range(6)]
        proofs = [{"key": key, "value": entries.get(key), "proof": state_proof(entries, key)} for key in wanted]
        out.append({"entries": sorted(entries.items()), "root": state_root(entries), "proofs": proofs})
    return out


def acceptance():
    cases = [{"name": name, "proof": proof, "error": error} for name, proof, error in acceptance_cases()]
    receipt = Receipt()
    expected = {"envelope": receipt.envelope, "tag": receipt.tag, "expiry": receipt.expiry, "height": 20_000_000,
                "time": STARTED + 20_000_000 * 500, "signed_height": receipt.height, "leaf": receipt.leaf()}
    return {"config": CONFIG, "expected": expected, "cases": cases}


def lookups():
    cases = [{"name": name, "key": key, "proof": proof, "error": error} for name, key, proof, error in lookup_cases()]
    return {"config": CONFIG, "cases": cases}


def history():
    cases = [{"name": name, "page": page, "error": error} for name, page, error in history_cases()]
    return {"config": CONFIG, "identity": History().person.id, "lookup": history_lookup(), "cases": cases}


def refused():
    """Bytes that are no object at all."""
    out = []

    def add(what, name, data, error):
        out.append({"object": what, "name": name, "bytes": data, "error": error})

    keys_of = nodes(2)
    good = config(2)
    head = b"\x01" + blob(b"test") + varint(STARTED)
    member = [key.public + blob(b"192.0.2.1:1") for key in keys_of]
    numbers = b"".join(varint(number) for number in LIMITS)
    sets = validator_set(keys_of)
    add("config", "a byte too many", good + b"\x00", "TrailingBytes")
    add("config", "a byte too few", good[:-1], "Truncated")
    add("config", "no byte", b"", "Truncated")
    add("config", "version 2", b"\x02" + good[1:], "UnknownVersion")
    add("config", "a time with a needless byte",
        b"\x01" + blob(b"test") + varint(STARTED)[:-1] + bytes([varint(STARTED)[-1] | 0x80, 0])
        + sets + sequence(member) + numbers, "NotCanonical")
    add("config", "no name", b"\x01" + blob(b"") + varint(STARTED) + sets + sequence(member) + numbers, "Malformed")
    add("config", "no node", head + sets + sequence([]) + numbers, "Malformed")
    add("config", "nodes out of order", head + sets + sequence(member[::-1]) + numbers, "Malformed")
    add("config", "a node twice", head + sets + sequence([member[0]] * 2) + numbers, "Malformed")
    add("config", "validators out of order", head + validator_set(keys_of[::-1]) + sequence(member) + numbers,
        "Malformed")
    for place, number in ((0, 17), (0, 0), (1, 1025), (1, 0), (2, 1), (3, 0), (4, 999), (4, 2_592_000_001)):
        changed = list(LIMITS)
        changed[place] = number
        add("config", f"limit {place} is {number}", config(2, changed), "Malformed")
    data = b"\x01" + transaction(anchor([some("leaf", 0)]), NODES[1], 300, 7)[0]
    add("transaction", "a byte too many", data + b"\x00", "TrailingBytes")
    add("transaction", "a byte too few", data[:-1], "Truncated")
    add("transaction", "an unknown kind", b"\x01" + varint(5) + data[2:], "Malformed")
    add("transaction", "more leaves than an anchor has", b"\x01" + varint(2) + varint(1025), "Malformed")
    add("transaction", "a sponsor that is no key",
        data.replace(NODES[1].public, b"\x01" + bytes(31)), "Malformed")
    add("payload", "more transactions than a block has", b"\x01" + varint(4097), "Malformed")
    add("payload", "a transaction missing", b"\x01\x01", "Truncated")
    tail = finality([header()])
    one = some("sibling", 0)

    def proof(field):
        return b"\x01\x00" + b"\x01" + field + tail

    add("lookup", "fewer bits than siblings", proof(varint(3) + blob(b"\x00") + sequence([one])), "Malformed")
    add("lookup", "more bits than siblings", proof(varint(3) + blob(b"\x03") + sequence([one])), "Malformed")
    add("lookup", "a bit beyond the depth", proof(varint(3) + blob(b"\x08") + sequence([one])), "Malformed")
    add("lookup", "a bitmap too long", proof(varint(3) + blob(b"\x01\x00") + sequence([one])), "Malformed")
    add("lookup", "deeper than a key", proof(varint(257) + blob(bytes(33)) + sequence([])), "Malformed")
    add("acceptance", "a byte too many", Acceptance().encode() + b"\x00", "TrailingBytes")
    add("acceptance", "a byte too few", Acceptance().encode()[:-1], "Truncated")
    add("acceptance", "version 2", b"\x02" + Acceptance().encode()[1:], "UnknownVersion")
    page = History().page()
    add("history", "a byte too many", page + b"\x00", "TrailingBytes")
    add("history", "a byte too few", page[:-1], "Truncated")
    add("history", "version 2", b"\x02" + page[1:], "UnknownVersion")
    add("history", "a flag of 2", page[:-1] + b"\x02", "Malformed")
    add("history", "more entries than a page has", page[:65] + varint(65), "Malformed")
    return out


FILES = {
    "network": network,
    "keys": keys,
    "transactions": transactions,
    "merkle": merkle,
    "state": states,
    "acceptance": acceptance,
    "lookup": lookups,
    "history": history,
    "refused": refused,
}

if __name__ == "__main__":
    json.dump(hexed(FILES[sys.argv[1]]()), sys.stdout, indent=1)
    print()
