#!/usr/bin/env python3
"""Makes chain.json: a second implementation of docs/spec/execution.md runs a short chain.

It shares no code with the crates; encodings, hashes and proofs are those of the generator of the ledger's vectors.

    python3 generate.py > chain.json
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../ledger/tests/vectors"))
sys.dont_write_bytecode = True

import generate as ledger  # noqa: E402
from generate import H, Key, blob, header_digest, some, state_key, u32, u64, varint  # noqa: E402

LIFETIME, DELAY, INTERVAL, QUOTA, WINDOW = 8, 3, 2, 16, 1_200
CONFIG = ledger.config(4, [QUOTA, LIFETIME, DELAY, INTERVAL, WINDOW])
NETWORK = ledger.network_id(CONFIG)
NODES = ledger.NODES
VALIDATORS = b"\x01" + ledger.validator_set(NODES)
ledger.NETWORK = NETWORK

# --- Merkle mountain range over headers ---------------------------------------------------------------------------


def mountain_root(leaves):
    peaks, at = [], 0
    while at < len(leaves):
        size = 1 << (len(leaves) - at).bit_length() - 1
        level = leaves[at : at + size]
        while len(level) > 1:
            level = [H("tokenim/mmr-node/v1", *level[pair : pair + 2]) for pair in range(0, len(level), 2)]
        peaks.append(level[0])
        at += size
    out = H("tokenim/mmr-root/v1", u64(0))
    if peaks:
        bag = peaks.pop()
        while peaks:
            bag = H("tokenim/mmr-node/v1", peaks.pop(), bag)
        out = H("tokenim/mmr-root/v1", u64(len(leaves)), bag)
    return out


# --- the state machine --------------------------------------------------------------------------------------------


class Rejected(Exception):
    def __init__(self, code):
        self.code = code


class Set:
    def __init__(self, epoch, members):
        self.epoch, self.members = epoch, sorted(members)

    def encode(self):
        return b"\x01" + varint(self.epoch) + ledger.sequence([key + place + blob(at) for key, place, at in self.members])

    def summary(self):
        leaves = [H("tokenim/node-set-leaf/v1", key) for key, _, _ in self.members]
        return u64(self.epoch) + u32(len(leaves)) + ledger.merkle_root(leaves)

    def has(self, key):
        return any(member[0] == key for member in self.members)


class Machine:
    def __init__(self):
        places = [(key.public, H("tokenim/placement/v1", key.public, NETWORK)) for key in NODES]
        members = [(key, place, f"192.0.2.{at}:7400".encode()) for at, (key, place) in enumerate(places)]
        self.current = self.previous = Set(0, members)
        self.changed, self.waiting = 0, []
        self.identities, self.incarnations, self.recent, self.groups = {}, {}, {}, {}
        # Transactions applied so far in the block.
        self.applied = 0
        self.set_changed_once = False
        self.headers = []
        self.block(ledger.STARTED, [])

    def state(self):
        queue = [key + blob(at) + varint(height) for key, at, height in self.waiting]
        out = {
            state_key(0): self.current.encode(),
            state_key(2): b"\x01" + varint(self.changed) + ledger.sequence(queue),
            state_key(3): VALIDATORS,
        }
        if self.set_changed_once:
            out[state_key(1)] = self.previous.encode()
        for identity, value in self.identities.items():
            out[state_key(4, identity)] = value.encode()
        for node, number in self.incarnations.items():
            out[state_key(5, node)] = varint(number)
        for (handle, entry), node in self.groups.items():
            out[state_key(7, handle + entry)] = node.encode()
        for name, height in self.recent.items():
            out[state_key(6, name)] = varint(height)
        return out

    def block(self, time, transactions):
        """The next block of these transactions, and what becomes of them."""
        height = len(self.headers)
        parent = header_digest(self.headers[-1]) if self.headers else bytes(32)
        self.recent = {name: last for name, last in self.recent.items() if last >= height}
        due = [node for node in self.waiting if node[2] + DELAY <= height]
        if due and self.changed + INTERVAL <= height:
            self.waiting = [node for node in self.waiting if node not in due]
            self.previous, self.changed, self.set_changed_once = self.current, height, True
            placed = [(key, H("tokenim/placement/v1", key, parent), at) for key, at, _ in due]
            self.current = Set(self.previous.epoch + 1, self.previous.members + placed)
        leaves, outcomes = set(), []
        self.applied = 0
        for one in transactions:
            try:
                self.frame(one, height)
                one.apply(self, height, time, leaves)
                self.recent[one.name()] = one.valid_until
                self.applied += 1
                outcomes.append(None)
            except Rejected as rejected:
                outcomes.append(rejected.code)
        payload = b"\x01" + ledger.sequence([one.encode() for one in transactions])
        header = ledger.header(
            chain=NETWORK,
            height=height,
            time=time,
            parent=parent,
            payload_root=H("tokenim/payload/v1", payload),
            state_root=ledger.state_root(self.state()),
            receipts_root=ledger.merkle_root(sorted(leaves)),
            node_set_root=H("tokenim/node-sets/v1", self.current.summary(), self.previous.summary()),
            header_mmr_root=mountain_root([header_digest(before) for before in self.headers]),
            next_validators=H("tokenim/validator-set/v1", VALIDATORS),
        )
        self.headers.append(header)
        return b"\x01" + header + blob(payload), outcomes

    def frame(self, one, height):
        if one.valid_until < height:
            raise Rejected(0)
        if one.valid_until > height + LIFETIME:
            raise Rejected(1)
        if one.name() in self.recent:
            raise Rejected(2)
        if not self.current.has(one.sponsor.public):
            raise Rejected(3)


# --- transactions -------------------------------------------------------------------------------------------------


class Transaction:
    nonce = 0

    def __init__(self, sponsor, valid_until):
        Transaction.nonce += 1
        self.sponsor, self.valid_until, self.number = sponsor, valid_until, Transaction.nonce

    def encode(self):
        return ledger.transaction(self.body(), self.sponsor, self.valid_until, self.number, NETWORK)[0]

    def name(self):
        return ledger.transaction(self.body(), self.sponsor, self.valid_until, self.number, NETWORK)[1]


class Anchor(Transaction):
    def __init__(self, sponsor, valid_until, leaves):
        super().__init__(sponsor, valid_until)
        self.leaves = leaves

    def body(self):
        return ledger.anchor(self.leaves)

    def apply(self, machine, height, time, leaves):
        if not self.leaves or any(a >= b for a, b in zip(self.leaves, self.leaves[1:])):
            raise Rejected(20)
        leaves.update(self.leaves)


class Incarnation(Transaction):
    def __init__(self, sponsor, valid_until, node, number):
        super().__init__(sponsor, valid_until)
        self.node, self.incarnation = node, number

    def body(self):
        return varint(3) + self.node.public + varint(self.incarnation)

    def apply(self, machine, height, time, leaves):
        if self.node is not self.sponsor:
            raise Rejected(27)
        if self.incarnation <= machine.incarnations.get(self.node.public, -1):
            raise Rejected(28)
        machine.incarnations[self.node.public] = self.incarnation


class Registration(Transaction):
    def __init__(self, sponsor, valid_until, node, admitted):
        super().__init__(sponsor, valid_until)
        self.node, self.at, self.admitted = node, b"192.0.2.99:7400", admitted

    def body(self):
        return ledger.registration(self.node, self.at, self.admitted)

    def apply(self, machine, height, time, leaves):
        key = self.node.public
        if machine.current.has(key) or any(node[0] == key for node in machine.waiting):
            raise Rejected(21)
        if len(self.admitted) < 3:
            raise Rejected(26)
        machine.waiting.append((key, self.at, height))


class Node:
    """An entry of a group log."""

    def __init__(self, key, place):
        self.key, self.place, self.children = key, place, []

    def encode(self):
        children = ledger.sequence([child + place for child, place in self.children])
        return b"\x01" + self.key + self.place + children


class Start(Transaction):
    def __init__(self, sponsor, valid_until, number):
        super().__init__(sponsor, valid_until)
        self.handle, self.update, self.key = ledger.group_start(number)

    def body(self):
        return self.update

    def apply(self, machine, height, time, leaves):
        if (self.handle, self.handle) in machine.groups:
            raise Rejected(42)
        place = varint(height) + varint(time) + varint(machine.applied)
        machine.groups[self.handle, self.handle] = Node(self.key.public, place)


class Follow(Transaction):
    """The epoch after `parent`, by the commit and the receipt with this number; `signer` is a number too."""

    def __init__(self, sponsor, valid_until, handle, parent, number, signer, receipt=None, **changes):
        super().__init__(sponsor, valid_until)
        self.handle, self.parent, self.signer, self.after = handle, parent, Key("epoch", signer), Key("epoch", number + 1)
        self.stored = ledger.Receipt(number)
        self.child = handle + parent + some("commitment", number) + self.after.public
        self.child += blob(some("author", number) * 3) + self.stored.tag + ledger.sequence([self.stored.envelope])
        self.receipt = ledger.Receipt(number if receipt is None else receipt)
        for name, value in changes.items():
            setattr(self.receipt, name, value)
        if "signatures" not in changes:
            self.receipt.signatures = [self.receipt.signature(member) for member in self.receipt.members]
        self.entry = H("tokenim/group-entry/v1", self.child)

    def body(self):
        signature = self.signer.sign(NETWORK, "tokenim/group-child/v1", self.child)
        return varint(4) + varint(1) + self.child + signature + ledger.sequence([self.receipt.encode()])

    def apply(self, machine, height, time, leaves):
        parent = machine.groups.get((self.handle, self.parent))
        if parent is None:
            raise Rejected(43)
        if (self.receipt.tag, self.receipt.envelope) != (self.stored.tag, self.stored.envelope):
            raise Rejected(47)
        if any(child == self.child for child, _ in parent.children):
            raise Rejected(44)
        if len(parent.children) == 8:
            raise Rejected(45)
        if self.signer.public != parent.key:
            raise Rejected(46)
        if self.receipt.expiry < time // 1000 + 14 * 24 * 60 * 60:
            raise Rejected(48)
        if self.receipt.epoch not in (machine.current.epoch, machine.previous.epoch):
            raise Rejected(49)
        if self.receipt.signatures != [self.receipt.signature(member) for member in self.receipt.members]:
            raise Rejected(50)
        if len(self.receipt.members) < 3:
            raise Rejected(50)
        place = varint(height) + varint(time) + varint(machine.applied)
        parent.children.append((self.child, place))
        machine.groups[self.handle, self.entry] = Node(self.after.public, place)


class Op:
    """Adds a device."""

    def __init__(self, device):
        self.device = device

    def encode(self, identity, seq):
        return ledger.add_op(NETWORK, identity, seq, self.device)

    def check(self, state, time):
        pass

    def change(self, state, height, time):
        state.devices.append((ledger.device_keys(self.device), height, None))


class Revoke(Op):
    def encode(self, identity, seq):
        return ledger.revoke_op(self.device)

    def change(self, state, height, time):
        keys = ledger.device_keys(self.device)
        state.devices = [(k, a, height if k == keys else r) for k, a, r in state.devices]


class Rotate(Op):
    """By the next root, whose key and the one after it are given."""

    def __init__(self, key, after):
        self.key, self.after = key, after

    def encode(self, identity, seq):
        return ledger.rotate_op(self.after)

    def change(self, state, height, time):
        state.pending = (self, time + WINDOW)
        state.wait_for_root(self.key, self.after, height, time + WINDOW)


class Complete(Op):
    def __init__(self):
        pass

    def encode(self, identity, seq):
        return ledger.COMPLETE

    def check(self, state, time):
        if state.pending is None:
            raise Rejected(37)
        if time < state.pending[1]:
            raise Rejected(38)

    def change(self, state, height, time):
        op, _ = state.pending
        state.take_root(op.key, op.after)
        state.pending = None


class Link(Op):
    def __init__(self, commitment):
        self.commitment = commitment

    def encode(self, identity, seq):
        return ledger.link_op(self.commitment)

    def check(self, state, time):
        if self.commitment in state.links:
            raise Rejected(39)

    def change(self, state, height, time):
        state.links.append(self.commitment)


class Update(Transaction):
    """A record of a person as the one after `seq`, `head`."""

    def __init__(self, sponsor, valid_until, person, seq, head, op, signer=None, genesis=False):
        super().__init__(sponsor, valid_until)
        self.person, self.seq, self.op, self.genesis = person, seq, op, genesis
        _, self.genesis_bytes = ledger.genesis_of(person)
        self.id = ledger.identity_id(self.genesis_bytes)
        self.prev = head or self.id
        signer = signer or ledger.Root("root", person)
        self.record = ledger.signed_record(NETWORK, self.id, seq, self.prev, op.encode(self.id, seq), signer)

    def digest(self):
        return H("tokenim/record-digest/v1", self.record)

    def body(self):
        return varint(0) + (b"\x01" + self.genesis_bytes if self.genesis else b"\x00") + self.record

    def apply(self, machine, height, time, leaves):
        state = machine.identities.get(self.id)
        if state and self.genesis:
            raise Rejected(5)
        if not state and not self.genesis:
            raise Rejected(4)
        if not state:
            state = ledger.Identity(self.person)
            state.pending = None
        if self.seq != state.seq + 1:
            raise Rejected(9)
        if self.prev != state.head:
            raise Rejected(10)
        self.op.check(state, time)
        state.follow(self.record, height, time)
        self.op.change(state, height, time)
        machine.identities[self.id] = state


def scenario():
    machine = Machine()
    blocks, time = [], ledger.STARTED

    def block(*transactions):
        nonlocal time
        time += 500
        data, outcomes = machine.block(time, list(transactions))
        blocks.append({"block": data, "outcomes": outcomes})

    leaves = sorted(some("leaf", number) for number in range(6))
    first = Update(NODES[0], 9, 1, 1, None, Op(11), genesis=True)
    second = Update(NODES[1], 9, 1, 2, first.digest(), Op(12))
    third = Update(NODES[1], 9, 1, 3, second.digest(), Revoke(11))
    # A rival of it, and a new root, which the device asks for when its time has come.
    rival = Update(NODES[3], 9, 1, 3, second.digest(), Link(some("link", 0)))
    last = Key("later root", 1)
    after = ledger.Root("next root", 1, is_next=True)
    fourth = Update(NODES[2], 9, 1, 4, third.digest(), Rotate(after.key, last), signer=after)
    early = Update(NODES[3], 12, 1, 5, fourth.digest(), Complete(), signer=ledger.Device(12))
    due = Update(NODES[2], 13, 1, 5, fourth.digest(), Complete(), signer=ledger.Device(12))
    root = ledger.Root("next root", 1)
    linked = Update(NODES[0], 13, 1, 6, due.digest(), Link(some("link", 1)), signer=root)
    again = Update(NODES[0], 13, 1, 7, linked.digest(), Link(some("link", 1)), signer=root)
    idle = Update(NODES[0], 13, 1, 7, linked.digest(), Complete(), signer=root)
    strayed = Update(NODES[0], 13, 1, 7, due.digest(), Link(some("link", 2)), signer=root)
    kept = Anchor(NODES[2], 9, leaves[:4])
    newcomer = Key("node", 10)
    block()
    block(first, kept, Incarnation(NODES[3], 6, NODES[3], 2))
    # Repeated, too early, without and with a genesis out of place.
    block(
        kept,
        third,
        second,
        Update(NODES[0], 9, 2, 1, None, Op(21)),
        Update(NODES[0], 9, 1, 1, None, Op(11), genesis=True),
        Anchor(NODES[2], 9, leaves[2:]),
    )
    block(
        third,
        rival,
        fourth,
        Registration(NODES[0], 9, newcomer, [0, 1]),
        Registration(NODES[0], 9, newcomer, [1, 2, 3]),
        Registration(NODES[1], 9, newcomer, [0, 1, 2]),
        Anchor(newcomer, 9, leaves[:1]),
    )
    block(
        Incarnation(NODES[3], 9, NODES[3], 2),
        Incarnation(NODES[2], 9, NODES[3], 3),
        Incarnation(NODES[3], 9, NODES[3], 3),
        Anchor(NODES[0], 4, leaves[:1]),
        Anchor(NODES[0], 14, leaves[:1]),
        Anchor(NODES[0], 13, []),
        Anchor(NODES[0], 13, leaves[::-1]),
        Anchor(NODES[0], 13, leaves[5:]),
    )
    # The window has passed from the block at height 7 on.
    block(early)
    # The newcomer has its place since the block at height 7.
    block(
        Anchor(newcomer, 9, leaves[:2]),
        Registration(NODES[1], 9, newcomer, [0, 1, 2]),
        due,
        linked,
        again,
        idle,
        strayed,
    )
    # Two sessions; the first one's children are by receipts of the node set before, which is that of the genesis.
    one, two = Start(NODES[0], 14, 1), Start(NODES[1], 14, 20)
    handle = one.handle
    child = Follow(NODES[0], 14, handle, handle, 1, 1)
    beside = Follow(NODES[1], 14, handle, handle, 2, 1)
    block(Follow(NODES[2], 14, handle, handle, 1, 1), one, Start(NODES[1], 14, 1), two, beside, child)
    block(
        Follow(NODES[2], 14, handle, handle, 1, 1),
        Follow(NODES[2], 14, handle, handle, 3, 2),
        Follow(NODES[2], 14, two.handle, handle, 3, 1),
        Follow(NODES[2], 14, handle, handle, 3, 1, receipt=4),
        Follow(NODES[2], 14, handle, handle, 3, 1, expiry=time // 1000 + 14 * 24 * 60 * 60 - 1),
        Follow(NODES[2], 14, handle, handle, 3, 1, epoch=2),
        Follow(NODES[2], 14, handle, handle, 3, 1, members=[0, 1]),
        Follow(NODES[2], 14, handle, handle, 3, 1, signatures=[bytes(64)] * 3),
        Follow(NODES[2], 14, handle, child.entry, 5, 2),
        Follow(NODES[2], 14, handle, child.entry, 6, 1),
        Follow(NODES[2], 14, handle, beside.entry, 7, 3),
    )
    block(*[Follow(NODES[3], 16, handle, handle, number, 1) for number in range(30, 37)])
    for _ in range(6):
        block()
    return {"config": CONFIG, "genesis": b"\x01" + machine.headers[0] + blob(b"\x01\x00"), "blocks": blocks}


if __name__ == "__main__":
    json.dump(ledger.hexed(scenario()), sys.stdout, indent=1)
    print()
