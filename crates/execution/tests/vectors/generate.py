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
        self.identities, self.incarnations, self.recent = {}, {}, {}
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
        for one in transactions:
            try:
                self.frame(one, height)
                one.apply(self, height, leaves)
                self.recent[one.name()] = one.valid_until
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

    def apply(self, machine, height, leaves):
        if not self.leaves or any(a >= b for a, b in zip(self.leaves, self.leaves[1:])):
            raise Rejected(20)
        leaves.update(self.leaves)


class Incarnation(Transaction):
    def __init__(self, sponsor, valid_until, node, number):
        super().__init__(sponsor, valid_until)
        self.node, self.incarnation = node, number

    def body(self):
        return varint(3) + self.node.public + varint(self.incarnation)

    def apply(self, machine, height, leaves):
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

    def apply(self, machine, height, leaves):
        key = self.node.public
        if machine.current.has(key) or any(node[0] == key for node in machine.waiting):
            raise Rejected(21)
        if len(self.admitted) < 3:
            raise Rejected(26)
        machine.waiting.append((key, self.at, height))


class Identity:
    """A state of an identity."""

    def __init__(self, number):
        self.root, self.genesis = ledger.genesis_of(number)
        self.id = ledger.identity_id(self.genesis)
        self.seq, self.head, self.devices = 0, self.id, []

    def encode(self):
        devices = [
            keys + varint(added) + (b"\x00" if revoked is None else b"\x01" + varint(revoked))
            for keys, added, revoked in self.devices
        ]
        return b"\x01" + self.id + varint(self.seq) + self.head + self.genesis + ledger.sequence(devices)


class Update(Transaction):
    """Adds a device, or revokes one, as the record after `seq`, `head`."""

    def __init__(self, sponsor, valid_until, person, seq, head, device, revoke=False, genesis=False):
        super().__init__(sponsor, valid_until)
        self.person, self.seq, self.device, self.revoke, self.genesis = person, seq, device, revoke, genesis
        root, genesis_bytes = ledger.genesis_of(person)
        self.id = ledger.identity_id(genesis_bytes)
        keys = ledger.device_keys(device)
        record = NETWORK + self.id + varint(seq) + (head or self.id)
        if revoke:
            record += varint(1) + H("tokenim/device-id/v1", Key("device", device).public)
        else:
            consent = Key("device", device).sign(NETWORK, "tokenim/device-consent/v1", self.id + varint(seq) + keys)
            record += varint(0) + keys + consent
        self.record = record + varint(0) + root.sign(NETWORK, "tokenim/record-by-root/v1", record)
        self.genesis_bytes = genesis_bytes

    def digest(self):
        return H("tokenim/record-digest/v1", self.record)

    def body(self):
        return varint(0) + (b"\x01" + self.genesis_bytes if self.genesis else b"\x00") + self.record

    def apply(self, machine, height, leaves):
        state = machine.identities.get(self.id)
        if state and self.genesis:
            raise Rejected(5)
        if not state and not self.genesis:
            raise Rejected(4)
        new = state or Identity(self.person)
        if self.seq != new.seq + 1:
            raise Rejected(9)
        keys = ledger.device_keys(self.device)
        if self.revoke:
            new.devices = [(k, a, height if k == keys else r) for k, a, r in new.devices]
        else:
            new.devices.append((keys, height, None))
        new.seq, new.head = self.seq, self.digest()
        machine.identities[self.id] = new


def scenario():
    machine = Machine()
    blocks, time = [], ledger.STARTED

    def block(*transactions):
        nonlocal time
        time += 500
        data, outcomes = machine.block(time, list(transactions))
        blocks.append({"block": data, "outcomes": outcomes})

    leaves = sorted(some("leaf", number) for number in range(6))
    first = Update(NODES[0], 9, 1, 1, None, 11, genesis=True)
    second = Update(NODES[1], 9, 1, 2, first.digest(), 12)
    third = Update(NODES[1], 9, 1, 3, second.digest(), 11, revoke=True)
    kept = Anchor(NODES[2], 9, leaves[:4])
    newcomer = Key("node", 10)
    block()
    block(first, kept, Incarnation(NODES[3], 6, NODES[3], 2))
    # Repeated, too early, without and with a genesis out of place.
    block(
        kept,
        third,
        second,
        Update(NODES[0], 9, 2, 1, None, 21),
        Update(NODES[0], 9, 1, 1, None, 11, genesis=True),
        Anchor(NODES[2], 9, leaves[2:]),
    )
    block(
        third,
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
    block()
    # The newcomer has its place since the block at height 7.
    block(Anchor(newcomer, 9, leaves[:2]), Registration(NODES[1], 9, newcomer, [0, 1, 2]))
    for _ in range(8):
        block()
    return {"config": CONFIG, "genesis": b"\x01" + machine.headers[0] + blob(b"\x01\x00"), "blocks": blocks}


if __name__ == "__main__":
    json.dump(ledger.hexed(scenario()), sys.stdout, indent=1)
    print()
