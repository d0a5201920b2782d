#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/rpc.md alone: a second implementation of that page. Objects of other
pages are taken from the vectors of their crates and put in without their version byte.

    python3 generate.py NAME     prints NAME.json, for NAME of: messages, refused, codes, calls
"""

import json
import pathlib
import sys

CRATES = pathlib.Path(__file__).resolve().parents[3]
NETWORK = bytes([7] * 32)


def load(crate, name):
    return json.loads((CRATES / crate / "tests/vectors" / (name + ".json")).read_text())


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def octets(data):
    return varint(len(data)) + data


def text(string):
    return octets(string.encode())


def sequence(items):
    return varint(len(items)) + b"".join(items)


def option(item):
    return b"\0" if item is None else b"\1" + item


def frame(body):
    return len(body).to_bytes(4, "big") + body


def header(kind):
    return b"\1" + NETWORK + kind


RPC = varint(0)


def request(number, *fields):
    return b"\1" + varint(number) + b"".join(fields)


response = request

# --- objects of other pages ------------------------------------------------------------------------------------------


def inner(hexadecimal):
    """An object without its version byte."""
    return bytes.fromhex(hexadecimal)[1:]


MAILBOX_REQUESTS = load("mailbox", "requests")
WRITE = next(case for case in MAILBOX_REQUESTS if case["kind"] == "write" and case["error"] is None)
OPEN_WRITE = next(case for case in MAILBOX_REQUESTS if case["name"] == "open_mailbox")
CONTACT = load("mailbox", "contact")
CONTACT_KEYS = inner(next(case for case in CONTACT["keys"] if case["name"] == "x_wing")["bytes"])
PUBLICATION = next(case for case in CONTACT["publications"] if case["name"] == "valid")
READ = next(case for case in MAILBOX_REQUESTS if case["kind"] == "read" and case["error"] is None)
OPEN = inner(next(case for case in load("mailbox", "descriptors") if case["write"] is None)["bytes"])
STATEMENTS = load("mailbox", "statements")
RECEIPT = inner(STATEMENTS["receipts"][0]["bytes"])
HEAD = inner(STATEMENTS["heads"][0]["bytes"])
QUORUM_RECEIPT = inner(load("mailbox", "quorum_receipts")["good"][0]["bytes"])
LOOKUP = load("ledger", "lookup")["cases"]
NODE_SET_PROOF = inner(next(case for case in LOOKUP if case["name"] == "the node set")["proof"])
LOOKUP_PROOF = inner(next(case for case in LOOKUP if case["error"] is None)["proof"])
ACCEPTANCE = inner(load("ledger", "acceptance")["cases"][0]["proof"])
TRANSACTIONS = [bytes.fromhex(case["bytes"]) for case in load("ledger", "transactions") if case["error"] is None]
GROUP_STEPS = {case["name"]: case for case in load("mailbox", "group_log")["steps"]}
GROUP_START, GROUP_CHILD = [inner(GROUP_STEPS[name]["update"]) for name in ("start", "first_child")]
KEY = bytes.fromhex(WRITE["node"])
TAG = bytes([3] * 32)
ENVELOPE_ID = bytes([4] * 32)
ID = bytes([5] * 32)


def finality_proof():
    """One header and its certificate, from the vectors of consensus."""
    case = load("consensus", "finality")["accepted"][0]
    certificate = bytes.fromhex(case["certificate"])
    return sequence([inner(case["header"])]) + octets(certificate)


def identity_update():
    """The identity update in the first transaction: between the number of the body and the key of the sponsor."""
    first = TRANSACTIONS[0]
    assert first[:2] == b"\1\0"
    keys = bytes.fromhex(load("ledger", "network")["config"])
    # Of the sponsors the configuration names: whichever comes last in the transaction.
    places = [first.rfind(keys[at : at + 32]) for at in range(len(keys) - 31)]
    return first[2 : max(places)]


# --- files -----------------------------------------------------------------------------------------------------------


def short(data):
    """Bytes in hexadecimal, without a long tail of zeros, which is counted."""
    rest = data.rstrip(b"\0")
    zeros = len(data) - len(rest)
    return {"bytes": rest.hex(), "zeros": zeros} if zeros > 64 else {"bytes": data.hex(), "zeros": 0}


def paid_put():
    """All of a put but the envelope."""
    paid = OPEN_WRITE["postage"]
    postage = varint(0) + varint(paid["hour"]) + varint(paid["nonce"])
    return OPEN + bytes.fromhex(OPEN_WRITE["body"]) + postage


def publication():
    """All of a publication but the stock."""
    fields = bytes.fromhex(PUBLICATION["body"]) + bytes.fromhex(PUBLICATION["signature"])
    return inner(PUBLICATION["descriptor"]) + fields


def messages():
    out = []

    def add(name, kind, object_name, data):
        out.append({"name": name, "object": object_name, "kind": kind, **short(data)})

    def ask(name, kind, data):
        add(name, kind, "request", data)

    def answer(name, kind, data):
        add(name, kind, "response", data)

    add("request stream", "Rpc", "header", header(RPC))
    add("consensus stream", "Consensus", "header", header(varint(1) + b"\4"))
    ask("status", "Status", request(0))
    ask("node set", "NodeSet", request(1))
    ask("lookup", "Lookup", request(2, ID))
    ask("submit identity", "SubmitIdentity", request(3, identity_update()))
    ask("transaction status", "TransactionStatus", request(4, ID))
    envelope = bytes(range(200))
    signature = varint(1) + bytes.fromhex(WRITE["signature"])
    signed = inner(WRITE["descriptor"]) + bytes.fromhex(WRITE["body"]) + signature
    ask("put with a signature", "Put", request(5, signed, octets(envelope)))
    ask("put with postage", "Put", request(5, paid_put(), octets(b"")))
    ask("put of the longest envelope", "Put", request(5, paid_put(), octets(bytes(67_584))))
    signed = inner(READ["descriptor"]) + bytes.fromhex(READ["body"]) + bytes.fromhex(READ["signature"])
    ask("read at once", "Read", request(6, signed, varint(0)))
    ask("read with a wait", "Read", request(6, signed, varint(30_000)))
    ask("anchor", "Anchor", request(7, QUORUM_RECEIPT))
    ask("acceptance of a receipt", "Acceptance", request(8, varint(0), QUORUM_RECEIPT, varint(500)))
    ask("acceptance of an envelope", "Acceptance", request(8, varint(1), TAG, ENVELOPE_ID, varint(0)))
    ask("finality", "Finality", request(9, varint(2**64 - 1)))
    inside = [transaction[1:] for transaction in TRANSACTIONS]
    ask("gossip of nothing", "Gossip", request(10, varint(0), sequence([])))
    ask("gossip", "Gossip", request(10, varint(0), sequence(inside)))
    listing = varint(1) + varint(2**64 - 1) + varint(300) + TAG
    since = varint(2) + varint(7) + varint(0)
    ask("changes from the start", "Changes", request(10, varint(1), varint(0)))
    ask("changes in a list", "Changes", request(10, varint(1), listing))
    ask("changes since", "Changes", request(10, varint(1), since))
    ask("log entries", "LogEntries", request(10, varint(2), TAG, varint(65_536)))
    ask("fetch", "Fetch", request(10, varint(3), TAG, ENVELOPE_ID))
    ask("publish contact", "PublishContact", request(11, publication(), inner(PUBLICATION["stock"])))
    ask("fetch contact keys", "FetchContact", request(12, TAG, option(None)))
    ask("fetch contact", "FetchContact", request(12, TAG, option(varint(0xf0a1))))
    ask("history", "History", request(13, ID, varint(300)))
    ask("start of a session", "SubmitGroup", request(14, GROUP_START))
    ask("child of an entry", "SubmitGroup", request(14, GROUP_CHILD))
    ask("group node at once", "GroupNode", request(15, ID, ID, b"\0", varint(0)))
    ask("group node with a wait", "GroupNode", request(15, ID, TAG, b"\xff", varint(30_000)))

    answer("refusal", "Error", response(0, varint(300), varint(1500), text("too many requests")))
    answer("refusal of a later version", "Error", response(0, varint(65_535), varint(0), text("")))
    status = (
        text("tokenim-node 0.1.0") + NETWORK + KEY + varint(1) + b"\1" + varint(20_000_000) + varint(1_810_000_000_000)
        + varint(3) + varint(4) + varint(3) + varint(1_800_000_000_000) + varint(100) + varint(204_800)
    )
    answer("status", "Status", response(1, status))
    answer("node set", "NodeSet", response(2, NODE_SET_PROOF))
    answer("lookup", "Lookup", response(3, LOOKUP_PROOF))
    answer("submitted", "SubmitIdentity", response(4, ID, varint(300)))
    answer("unknown transaction", "TransactionStatus", response(5, varint(0)))
    answer("waiting transaction", "TransactionStatus", response(5, varint(1)))
    answer("applied transaction", "TransactionStatus", response(5, varint(2), varint(128), varint(0)))
    rejected = varint(1) + varint(9) + varint(2) + varint(1)
    answer("rejected transaction", "TransactionStatus", response(5, varint(2), varint(128), rejected))
    answer("refused transaction", "TransactionStatus", response(5, varint(3), varint(0)))
    answer("receipt", "Put", response(6, RECEIPT))
    answer("empty page", "Read", response(7, HEAD, sequence([]), varint(0), b"\0"))
    place = varint(9) + varint(3) + varint(1_800_000_000_000) + varint(8) + ENVELOPE_ID + varint(1_800_000_000)
    items = [place + option(octets(envelope)), place + option(None)]
    answer("page", "Read", response(7, HEAD, sequence(items), varint(11), b"\1"))
    answer("queued anchor", "Anchor", response(8, varint(0)))
    answer("final anchor", "Anchor", response(8, varint(1), varint(77)))
    answer("acceptance", "Acceptance", response(9, ACCEPTANCE))
    answer("finality", "Finality", response(10, finality_proof()))
    answer("gossiped", "Gossip", response(11, varint(0), varint(2)))
    answer("changes", "Changes", response(11, varint(1), sequence([TAG, ENVELOPE_ID]), listing, b"\1"))
    answer("no changes", "Changes", response(11, varint(1), sequence([]), since, b"\0"))
    entry = varint(8) + ENVELOPE_ID + varint(1_800_000_000)
    answer("log entries", "LogEntries", response(11, varint(2), sequence([entry, entry]), varint(10), b"\0"))
    answer("copy", "Fetch", response(11, varint(3), octets(envelope)))
    answer("published", "PublishContact", response(12, varint(300)))
    answer("no contact", "FetchContact", response(13, option(None)))
    answer("contact without a package", "FetchContact", response(13, option(CONTACT_KEYS + option(None) + b"\0")))
    package = option(octets(bytes(4_096)))
    answer("contact with the longest package", "FetchContact", response(13, option(CONTACT_KEYS + package + b"\1")))
    genesis, record = identity_update()[1:65], identity_update()[65:]
    answer("no history", "History", response(14, genesis, sequence([]), b"\0"))
    entry = record + varint(128) + varint(1_800_000_000_000)
    answer("history", "History", response(14, genesis, sequence([entry]), b"\1"))
    answer("submitted group update", "SubmitGroup", response(15, ID, varint(300)))
    answer("group node", "GroupNode", response(16, LOOKUP_PROOF))
    absence = inner(next(case for case in LOOKUP if case["name"] == "nothing, an empty place")["proof"])
    answer("no group node", "GroupNode", response(16, absence))
    return out


def refused():
    out = []

    def add(name, object_name, data, error):
        out.append({"name": name, "object": object_name, **short(data), "error": error})

    add("empty", "header", b"", "Truncated")
    add("a later version", "header", b"\2" + NETWORK + RPC, "UnknownVersion")
    add("an unknown kind", "header", header(varint(2)), "Malformed")
    add("no channel", "header", header(varint(1)), "Truncated")
    add("a byte more", "header", header(RPC) + b"\0", "TrailingBytes")
    add("a longer number", "header", header(b"\x80\0"), "NotCanonical")
    add("too long", "header", header(RPC) + bytes(31), "TooLong")
    add("empty", "request", b"", "Truncated")
    add("a later version", "request", b"\2\0", "UnknownVersion")
    add("version zero", "request", b"\0\0", "UnknownVersion")
    add("an unknown number", "request", request(99), "Malformed")
    add("an unknown node request", "request", request(10, varint(4)), "Malformed")
    add("a byte more", "request", request(0, b"\0"), "TrailingBytes")
    add("a longer number", "request", b"\1\x80\0", "NotCanonical")
    add("half an id", "request", request(2, ID[:31]), "Truncated")
    unpaid = OPEN + bytes.fromhex(OPEN_WRITE["body"])
    add("an unknown authority", "request", request(5, unpaid, b"\2", octets(b"")), "Malformed")
    add("half a postage", "request", request(5, unpaid, b"\0", varint(500_000)), "Truncated")
    add("too long an envelope", "request", request(5, paid_put(), varint(67_585) + bytes(67_585)), "Malformed")
    add("33 packages", "request", request(11, publication(), CONTACT_KEYS, varint(33)), "Malformed")
    long = varint(1) + varint(4_097)
    add("too long a package", "request", request(11, publication(), CONTACT_KEYS, long + bytes(4_097)), "Malformed")
    add("half a tag", "request", request(12, TAG[:31]), "Truncated")
    add("no word on a suite", "request", request(12, TAG), "Truncated")
    add("a suite beyond 16 bits", "request", request(12, TAG, option(varint(65_536))), "Malformed")
    add("129 transactions", "request", request(10, varint(0), varint(129)), "Malformed")
    add("an unknown cursor", "request", request(10, varint(1), varint(3)), "Malformed")
    add("a wait beyond 32 bits", "request", request(8, varint(1), TAG, ENVELOPE_ID, varint(2**32)), "Malformed")
    add("an unknown group update", "request", request(14, varint(2), GROUP_START[1:]), "Malformed")
    add("half a child", "request", request(14, GROUP_CHILD[:300]), "Truncated")
    add("a wait for a group node beyond 32 bits", "request", request(15, ID, ID, b"\0", varint(2**32)), "Malformed")
    add("a group node without a count", "request", request(15, ID, ID), "Truncated")
    add("empty", "response", b"", "Truncated")
    add("a later version", "response", b"\2\x08\0", "UnknownVersion")
    add("an unknown number", "response", response(99), "Malformed")
    add("too long a text", "response", response(0, varint(100), varint(0), text("x" * 257)), "Malformed")
    add("a text that is none", "response", response(0, varint(100), varint(0), octets(b"\xff")), "Malformed")
    add("a code beyond 16 bits", "response", response(0, varint(65_536), varint(0), text("")), "Malformed")
    place = varint(9) + varint(3) + varint(1) + varint(8) + ENVELOPE_ID + varint(1)
    add("65 items", "response", response(7, HEAD, varint(65)), "Malformed")
    add("half an item", "response", response(7, HEAD, varint(1), place[:20]), "Truncated")
    add("a flag of 2", "response", response(7, HEAD, sequence([]), varint(0), b"\2"), "Malformed")
    add("an option of 2", "response", response(13, b"\2"), "Malformed")
    genesis = identity_update()[1:65]
    add("65 records", "response", response(14, genesis, varint(65)), "Malformed")
    add("half a contact", "response", response(13, option(CONTACT_KEYS)), "Truncated")
    add("no word on reuse", "response", response(13, option(CONTACT_KEYS + option(None))), "Truncated")
    add("1025 tags", "response", response(11, varint(1), varint(1025)), "Malformed")
    add("1025 entries", "response", response(11, varint(2), varint(1025)), "Malformed")
    return out


CODES = """
100 malformed 101 too-large 102 truncated 103 unsupported-version 104 foreign-network 105 unsupported-stream
106 envelope-mismatch 107 bad-expiry 108 too-slow 200 unauthorized 201 foreign-node 202 not-in-swarm 203 nodes-only
204 invalid-receipt 205 invalid-transaction 206 postage-too-low 207 postage-stale 208 outdated-stock 300 rate-limited
301 busy 302 mailbox-full 303 pending 400 not-found 401 starting 402 not-progressing 403 storage-full 404 stopping
405 role-disabled 406 internal
"""


def codes():
    words = CODES.split()
    blames = {1: "Input", 2: "Caller", 3: "Load", 4: "Node"}
    pairs = zip(words[::2], words[1::2])
    return [{"number": int(number), "name": name, "blame": blames[int(number) // 100]} for number, name in pairs]


def calls():
    status = request(0)
    refusal = response(0, varint(401), varint(250), text("starting"))
    return {
        "network": NETWORK.hex(),
        "request": status.hex(),
        "call": (frame(header(RPC)) + frame(status)).hex(),
        "response": refusal.hex(),
        "answer": frame(refusal).hex(),
    }


FILES = {"messages": messages, "refused": refused, "codes": codes, "calls": calls}

if __name__ == "__main__":
    print(json.dumps(FILES[sys.argv[1]](), indent=1))
