#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/conversation.md (and wire.md, identity.md, envelope.md, mailbox.md) alone:
a second implementation of those pages, slow and not constant-time. Needs the package `cryptography` (48) for AES-GCM and
Ed25519.

    python3 generate.py NAME     prints NAME.json, for NAME of: bodies, contexts, orders, epochs, wrapped, children,
                                 policy, links, refused_objects, welcomes, notes
"""

import hashlib
import hmac
import itertools
import json
import os
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../identity/tests/vectors"))
sys.dont_write_bytecode = True

# The text of an identity.
from generate import name_of  # noqa: E402

# --- wire ------------------------------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def blob(data):
    return varint(len(data)) + data


def text(string):
    return blob(string.encode())


def sequence(items):
    return varint(len(items)) + b"".join(items)


def option(data):
    return b"\0" if data is None else b"\1" + data


def labelled(label, data=b""):
    return bytes([len(label)]) + label.encode() + data


def digest(label, *parts):
    return hashlib.sha256(labelled(label, b"".join(parts))).digest()


def be(number, length=8):
    return number.to_bytes(length, "big")


def some(name, length=32):
    """Bytes without meaning, the same for the same name."""
    return hashlib.shake_256(b"tokenim conversation vectors: " + name.encode()).digest(length)


def flip(data, position=-1):
    """With one bit changed."""
    data = bytearray(data)
    data[position] ^= 1
    return bytes(data)


def public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


NETWORK = bytes([7] * 32)

# --- what a message says ---------------------------------------------------------------------------------------------

ID = [some("message %d" % number, 16) for number in range(4)]
VIEW = digest("tokenim/session-view/v1", some("entry"), some("authenticator"))


def content(kind, *fields):
    return varint(kind) + b"".join(fields)


def body(inside, id=ID[0], view=VIEW, epoch=3, clock=9, sent=1_800_000_000_123, seen=None):
    return b"\1" + id + view + varint(epoch) + varint(clock) + varint(sent) + option(seen) + inside


def checkpoint(height):
    return varint(height) + some("header")


def attachment(name="holiday photos.zip", mime="application/zip", length=5_000_000):
    return content(7, some("digest"), some("key"), varint(length), text(name), text(mime))


def bodies():
    marks = sorted(ID)
    hexes = [id.hex() for id in marks]
    attached = dict(
        digest=some("digest").hex(),
        key=some("key").hex(),
        bytes=5_000_000,
        name="holiday photos.zip",
        mime="application/zip",
    )
    extension = dict(name="org.example/poll", required=True, body=list(b"yes?"))
    cases = [
        ("text", {"Text": "Good morning"}, content(0, text("Good morning"))),
        ("longest_text", {"Text": "ä" * 30720}, content(0, text("ä" * 30720))),
        ("reply", {"Reply": dict(to=ID[1].hex(), text="So it is.")}, content(1, ID[1], text("So it is."))),
        ("reaction", {"Reaction": dict(to=ID[1].hex(), emoji="👍🏽")}, content(2, ID[1], option(text("👍🏽")))),
        ("reaction_taken_back", {"Reaction": dict(to=ID[1].hex(), emoji=None)}, content(2, ID[1], option(None))),
        ("edit", {"Edit": dict(of=ID[0].hex(), text="Good evening")}, content(3, ID[0], text("Good evening"))),
        ("delete", {"Delete": dict(of=ID[0].hex())}, content(4, ID[0])),
        ("delivered", {"Delivered": dict(ids=hexes[:1])}, content(5, sequence(marks[:1]))),
        ("read", {"Read": dict(ids=hexes)}, content(6, sequence(marks))),
        ("attachment", {"Attachment": attached}, attachment()),
        ("typing", "Typing", content(8)),
        ("extension", {"Extension": extension}, content(9, text("org.example/poll"), b"\1", blob(b"yes?"))),
        (
            "optional_extension",
            {"Extension": dict(name="a", required=False, body=[])},
            content(9, text("a"), b"\0", blob(b"")),
        ),
    ]
    out = []
    for name, value, inside in cases:
        fields = dict(id=ID[0].hex(), view=VIEW.hex(), epoch=3, clock=9, sent=1_800_000_000_123, checkpoint=None)
        fields["content"] = value
        out.append(dict(name=name, value=fields, bytes=body(inside).hex()))
    fields = dict(fields, checkpoint=dict(height=5_000_000, header=some("header").hex()), content="Typing")
    out.append(dict(name="checkpoint", value=fields, bytes=body(content(8), seen=checkpoint(5_000_000)).hex()))
    top = 2**64 - 1
    largest = dict(id=ID[3].hex(), view=bytes(32).hex(), epoch=top, clock=top, sent=top)
    largest["checkpoint"] = dict(height=top, header=some("header").hex())
    largest["content"] = "Typing"
    made = body(content(8), ID[3], bytes(32), top, top, top, checkpoint(top))
    out.append(dict(name="largest", value=largest, bytes=made.hex()))
    view = dict(entry=some("entry").hex(), authenticator=some("authenticator").hex(), view=VIEW.hex())
    return dict(views=[view], bodies=out)


# --- contexts --------------------------------------------------------------------------------------------------------

PEOPLE = sorted(some("person %d" % number) for number in range(6))
HANDLE = some("handle")
LEAVING, MEMBER, ADMIN, OWNER = range(4)
ROLES = ["Leaving", "Member", "Admin", "Owner"]


def context(kind, name, timer, roles, handle=HANDLE):
    roles = [person + varint(role) for person, role in roles]
    return b"\1" + handle + varint(kind) + text(name) + option(None if timer is None else varint(timer)) + sequence(roles)


def contexts():
    cases = [
        ("two", 0, "", None, [(PEOPLE[0], OWNER), (PEOPLE[1], OWNER)]),
        ("two_of_whom_one_leaves", 0, "", 86400, [(PEOPLE[0], LEAVING), (PEOPLE[1], OWNER)]),
        ("group", 1, "", None, [(PEOPLE[2], OWNER)]),
        ("longest_timer", 1, "Reading circle", 31536000, [(PEOPLE[2], OWNER)]),
        ("every_role", 1, "ß" * 64, 1, [(PEOPLE[1], LEAVING), (PEOPLE[2], OWNER), (PEOPLE[4], ADMIN), (PEOPLE[5], OWNER)]),
    ]
    out = []
    for name, kind, title, timer, roles in cases:
        fields = dict(kind=kind, title=title, timer=timer, roles=[[person.hex(), ROLES[role]] for person, role in roles])
        out.append(dict(name=name, **fields, bytes=context(kind, title, timer, roles).hex()))
    return dict(handle=HANDLE.hex(), contexts=out)


def orders():
    keys = []
    for epoch, clock, device, id in itertools.product((0, 1, 256, 2**64 - 1), (0, 255, 256), (0, 1), (0, 1)):
        device, id = sorted(some("device %d" % n) for n in (0, 1))[device], sorted(ID[:2])[id]
        bytes_ = be(epoch) + be(clock) + device + id
        keys.append(dict(epoch=epoch, clock=clock, device=device.hex(), id=id.hex(), bytes=bytes_.hex()))
    return keys


# --- the keys of an epoch --------------------------------------------------------------------------------------------


def derive(key, label, context=b""):
    """HKDF-Expand of RFC 5869, section 2.3, for the one block that 32 bytes take."""
    return hmac.new(key, labelled(label, context) + b"\1", hashlib.sha256).digest()


def mailbox(key, context=b""):
    write = public(derive(key, "tokenim/epoch-write/v1", context))
    read = public(derive(key, "tokenim/epoch-read/v1", context))
    descriptor = varint(1) + write + read + derive(key, "tokenim/epoch-nonce/v1", context)[:16]
    return descriptor, digest("tokenim/mailbox-tag/v1", descriptor)


def epoch_secret(exported, network=NETWORK, handle=HANDLE):
    return derive(exported, "tokenim/epoch-secret/v1", network + handle)


def commit_tag(secret, commit):
    return hmac.new(derive(secret, "tokenim/epoch-commit/v1"), commit, hashlib.sha256).digest()


def commit_mailbox(secret, tag):
    return mailbox(derive(secret, "tokenim/epoch-once/v1"), tag)


def signing_seed(secret):
    return derive(secret, "tokenim/epoch-sign/v1")


def epochs():
    out = []
    for number in range(3):
        exported = some("exported %d" % number)
        handle = some("handle %d" % (number // 2))
        secret = epoch_secret(exported, handle=handle)
        descriptor, tag = mailbox(secret)
        commits = []
        for commit in (b"", b"commit", some("commit", 5000)):
            name = commit_tag(secret, commit)
            once, once_tag = commit_mailbox(secret, name)
            commits.append(dict(commit=commit.hex(), tag=name.hex(), descriptor=once.hex(), mailbox=once_tag.hex()))
        out.append(
            dict(
                network=NETWORK.hex(),
                handle=handle.hex(),
                label="tokenim/session-epoch/v1",
                context=(NETWORK + handle).hex(),
                exported=exported.hex(),
                secret=secret.hex(),
                write_seed=derive(secret, "tokenim/epoch-write/v1").hex(),
                read_seed=derive(secret, "tokenim/epoch-read/v1").hex(),
                descriptor=descriptor.hex(),
                tag=tag.hex(),
                signing_seed=signing_seed(secret).hex(),
                key=public(signing_seed(secret)).hex(),
                commits=commits,
            )
        )
    return out


# --- envelopes -------------------------------------------------------------------------------------------------------

SUITE = 0xF0A0
EXPIRY = 1_802_000_000


def padded(length):
    for bucket in (512, 1024, 2048, 4096):
        if length <= bucket:
            return bucket
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def pad(message):
    return message + bytes(padded(len(message) + 4) - len(message) - 4) + be(len(message), 4)


def header(suite=SUITE, expiry=EXPIRY, enc=b""):
    return b"\1" + varint(suite) + varint(expiry) + blob(enc)


def envelope(key, nonce, plaintext, head=None):
    head = head or header(enc=nonce)
    return head + blob(AESGCM(key).encrypt(nonce, plaintext, head))


def wrap(secret, message, nonce, expiry=EXPIRY):
    key = derive(secret, "tokenim/epoch-wrap/v1")
    return envelope(key, nonce, pad(message), header(expiry=expiry, enc=nonce))


def wrapped():
    secret, nonce = some("secret"), some("nonce", 12)
    key = derive(secret, "tokenim/epoch-wrap/v1")
    good = []
    for length in (0, 1, 508, 509, 4092, 4093, 20000):
        message = some("message", length)
        made = wrap(secret, message, nonce)
        good.append(dict(message=message.hex(), expiry=EXPIRY, nonce=nonce.hex(), envelope=made.hex()))
    message = some("message", 100)
    made = wrap(secret, message, nonce)
    plain = pad(message)
    longer = message + bytes(1024 - 104) + be(100, 4)
    refused = [
        ("empty", "Malformed", b""),
        ("unknown_version", "Malformed", b"\2" + made[1:]),
        ("cut", "Malformed", made[:-1]),
        ("trailing_byte", "Malformed", made + b"\0"),
        ("suite_of_sealed_envelopes", "OtherSuite", envelope(key, nonce, plain, header(suite=0x20, enc=nonce))),
        ("nonce_too_short", "Malformed", header(enc=nonce[:11]) + blob(bytes(528))),
        ("nonce_too_long", "Malformed", header(enc=nonce + b"\0") + blob(bytes(528))),
        ("of_another_epoch", "Refused", wrap(some("another secret"), message, nonce)),
        ("under_the_key_of_author_boxes", "Refused", envelope(derive(secret, "tokenim/epoch-author/v1"), nonce, plain)),
        ("changed_ciphertext", "Refused", flip(made, 40)),
        ("changed_tag", "Refused", flip(made)),
        ("changed_nonce", "Refused", flip(made, 15)),
        ("changed_expiry", "Refused", header(expiry=EXPIRY + 1, enc=nonce) + made[len(header(enc=nonce)) :]),
        ("authenticated_without_its_header", "Refused", header(enc=nonce) + blob(AESGCM(key).encrypt(nonce, plain, b""))),
        ("shorter_than_a_tag", "Refused", header(enc=nonce) + blob(bytes(15))),
        ("empty_ciphertext", "Refused", header(enc=nonce) + blob(b"")),
        ("not_padded", "Refused", envelope(key, nonce, message)),
        ("padded_to_the_next_bucket", "Refused", envelope(key, nonce, longer)),
        ("padding_not_zero", "Refused", envelope(key, nonce, flip(plain, 300))),
        ("length_beyond_the_plaintext", "Refused", envelope(key, nonce, plain[:-4] + be(509, 4))),
    ]
    refused = [dict(name=name, error=error, envelope=data.hex()) for name, error, data in refused]
    return dict(secret=secret.hex(), good=good, refused=refused)


# --- children of an entry --------------------------------------------------------------------------------------------


def envelope_ids(sealed):
    return sequence([digest("tokenim/envelope-id/v1", part) for part in sealed])


def claim(handle, parent, commitment, next_key, tag, sealed):
    return handle + parent + commitment + next_key + tag + envelope_ids(sealed)


def author_box(secret, seed, leaf, claimed, nonce, network=NETWORK, label="tokenim/session-author/v1", signed_leaf=None):
    message = labelled(label, network + be(leaf if signed_leaf is None else signed_leaf, 4) + claimed)
    aad = labelled("tokenim/session-author-box/v1", claimed)
    plain = be(leaf, 4) + sign(seed, message)
    return nonce + AESGCM(derive(secret, "tokenim/epoch-author/v1")).encrypt(nonce, plain, aad)


def children():
    secret, entry, nonce = some("secret"), some("entry"), some("box nonce", 12)
    leaves = [some("leaf %d" % number) for number in range(3)]
    commit, other_commit = some("the commit", 700), some("another commit", 700)
    next_key = public(signing_seed(some("next secret")))
    other_key = public(signing_seed(some("other secret")))
    name = commit_tag(secret, commit)
    tag = commit_mailbox(secret, name)[1]
    stored = wrap(secret, commit, some("wrap nonce", 12))
    split = [wrap(secret, commit[at : at + 300], some("nonce at %d" % at, 12)) for at in (0, 300, 600)]

    def child(
        handle=HANDLE, parent=entry, commitment=name, key=next_key, where=tag, sealed=stored, leaf=1, by=None, box=None, **how
    ):
        claimed = claim(handle, parent, commitment, key, where, sealed if isinstance(sealed, list) else [sealed])
        box = box or author_box(secret, leaves[leaf if by is None else by], leaf, claimed, nonce, **how)
        return claimed[:128] + blob(box) + claimed[128:]

    cases = []

    def case(title, verdict, made, sealed=stored, author=None, applied=1, key=next_key, permitted=True):
        cases.append(
            dict(
                name=title,
                child=made.hex(),
                envelopes=[part.hex() for part in (sealed if isinstance(sealed, list) else [sealed])],
                applied=None if applied is None else dict(author=applied, permitted=permitted, next=key and key.hex()),
                verdict=verdict,
                author=author,
            )
        )

    good = child()
    garbage = stored[:-1] + bytes([stored[-1] ^ 1])
    other = wrap(secret, other_commit, some("wrap nonce", 12))
    moved = claim(HANDLE, entry, name, other_key, tag, [stored])
    case("valid", "Valid", good, author=1)
    case("valid_of_the_removed", "Valid", good, author=1, key=None)
    case("of_another_session", "Foreign", child(handle=some("other")))
    case("of_another_entry", "Foreign", child(parent=some("other")))
    case("no_box", "AuthorBox", child(box=b"\0"))
    case("box_too_short", "AuthorBox", child(box=author_box(secret, leaves[1], 1, bytes(192), nonce)[:-1]))
    case("box_of_another_child", "AuthorBox", child(box=author_box(secret, leaves[1], 1, moved, nonce)))
    case("box_of_another_epoch", "AuthorBox", child(box=author_box(some("x"), leaves[1], 1, good[:128] + good[225:], nonce)))
    case("no_such_leaf", "AuthorBox", child(leaf=3, by=1))
    case("signed_by_another_leaf", "AuthorBox", child(leaf=1, by=2))
    case("signed_for_another_leaf", "AuthorBox", child(signed_leaf=2))
    case("signed_in_another_network", "AuthorBox", child(network=bytes(32)))
    case("signed_for_another_purpose", "AuthorBox", child(label="tokenim/group-child/v1"))
    case("another_mailbox", "Mailbox", child(where=mailbox(secret)[1]), author=1)
    case("mailbox_of_another_commit", "Mailbox", child(where=commit_mailbox(secret, some("x"))[1]), author=1)
    case("envelope_damaged", "Envelope", child(sealed=garbage), sealed=garbage, author=1)
    case("envelope_of_another_epoch", "Envelope", child(sealed=wrap(some("x"), commit, nonce)), wrap(some("x"), commit, nonce), 1)
    case("not_an_envelope", "Envelope", child(sealed=b"garbage"), b"garbage", 1)
    case("another_commit", "Commitment", child(sealed=other), other, 1)
    case("not_applied", "NotApplied", good, author=1, applied=None)
    case("made_by_another", "Author", good, author=1, applied=2)
    case("made_by_another_and_forbidden", "Author", good, author=1, applied=2, permitted=False)
    case("forbidden", "Forbidden", good, author=1, permitted=False)
    case("forbidden_with_another_key", "Forbidden", good, author=1, permitted=False, key=other_key)
    case("another_next_key", "NextKey", good, author=1, key=other_key)
    case("other_bytes_than_the_envelope", "OtherEnvelope", good, other)
    parted = child(sealed=split)
    swapped = [split[0], split[2], split[1]]
    broken = [split[0], split[1][:-1] + bytes([split[1][-1] ^ 1]), split[2]]
    foreign = [split[0], wrap(some("x"), commit[300:600], nonce), split[2]]
    fewer = claim(HANDLE, entry, name, next_key, tag, split[:2])
    case("valid_in_three_parts", "Valid", parted, split, 1)
    case("box_for_fewer_parts", "AuthorBox", child(sealed=split, box=author_box(secret, leaves[1], 1, fewer, nonce)), split)
    case("a_part_damaged", "Envelope", child(sealed=broken), broken, 1)
    case("a_part_of_another_epoch", "Envelope", child(sealed=foreign), foreign, 1)
    case("parts_named_in_another_order", "Commitment", child(sealed=swapped), swapped, 1)
    case("a_part_not_named", "Commitment", child(sealed=split[:2]), split[:2], 1)
    case("a_part_not_given", "OtherEnvelope", parted, split[:2])
    case("no_part_given", "OtherEnvelope", parted, [])
    case("parts_given_in_another_order", "OtherEnvelope", parted, swapped)
    case("a_part_given_twice", "OtherEnvelope", parted, [split[0], split[1], split[1]])
    case("a_part_too_many_given", "OtherEnvelope", parted, split + [stored])
    return dict(
        network=NETWORK.hex(),
        handle=HANDLE.hex(),
        entry=entry.hex(),
        secret=secret.hex(),
        leaf_seeds=[seed.hex() for seed in leaves],
        commit=commit.hex(),
        nonce=nonce.hex(),
        built=good.hex(),
        id=digest("tokenim/group-entry/v1", good).hex(),
        children=cases,
    )


# --- policy ----------------------------------------------------------------------------------------------------------


def verdict(case):
    """The table of section 6, from top to bottom; devices are (person, number), roles dicts without plain members."""
    before, after, author = case["before"], case["after"], tuple(case["author"])
    members, added, removed = ([tuple(d) for d in case[what]] for what in ("members", "added", "removed"))
    live = lambda device: list(device) not in case["revoked"]
    roles, new_roles = dict(before["roles"]), dict(after["roles"])
    role = lambda person: roles.get(person, MEMBER)
    new_role = lambda person: new_roles.get(person, MEMBER)
    group = before["kind"] == 1
    admin = group and role(author[0]) in (ADMIN, OWNER)
    owner = group and role(author[0]) == OWNER
    left = {person for person, number in members if (person, number) not in removed} | {person for person, _ in added}

    if not live(author):
        return "AuthorRevoked"
    if before["kind"] != after["kind"] or before["handle"] != after["handle"]:
        return "Identity"
    for device in removed:
        target = role(device[0])
        if device[0] == author[0] or not live(device) or target == LEAVING or device in added:
            continue
        if owner or (admin and target == MEMBER):
            continue
        return "Remove"
    if not all(live(device) for device in added):
        return "AddNotLive"
    if len(set(added)) < len(added) or any(device in members and device not in removed for device in added):
        return "AddTwice"
    for device in added:
        if role(device[0]) == LEAVING:
            return "AddLeaving"
        if device[0] == author[0] or device in removed or admin or role(device[0]) in (ADMIN, OWNER):
            continue
        return "Add"
    if before["name"] != after["name"] and not admin:
        return "Name"
    if before["timer"] != after["timer"] and not (admin if group else role(author[0]) != LEAVING):
        return "Timer"
    changed = [person for person in sorted(set(roles) | set(new_roles)) if role(person) != new_role(person)]
    for person in changed:
        if role(person) == LEAVING:
            if new_role(person) != MEMBER or person in left:
                return "Role"
        elif person == author[0]:
            if new_role(person) > role(person):
                return "Role"
        elif not owner or new_role(person) == LEAVING:
            return "Role"
    if any(new_role(person) > role(person) and person not in left for person in new_roles):
        return "RoleOfStranger"
    if group and roles != new_roles and not any(of == OWNER and person in left for person, of in new_roles.items()):
        return "NoOwner"
    return None


def numbers(seed):
    """Numbers without meaning below a bound, the same each time."""
    stream = hashlib.shake_256(seed).digest(1 << 20)
    place = 0

    def number(below):
        nonlocal place
        place += 4
        return int.from_bytes(stream[place - 4 : place], "big") % below

    return number


def policy():
    draw = numbers(b"tokenim conversation vectors: policy")
    seen, out = {}, []
    # Of the last owner there is: who would leave only one that is not there, only one that is leaving, or only itself.
    absent = dict(handle=0, kind=1, name="", timer=None, roles=[[0, OWNER], [1, OWNER]])
    for lower in (LEAVING, MEMBER, ADMIN):
        roles = [[0, lower]] * (lower != MEMBER) + [[1, OWNER]]
        for members in ([[0, 0], [2, 0]], [[0, 0], [1, 0]]):
            change = dict(members=members, author=[0, 0], added=[], removed=[], revoked=[])
            case = dict(before=absent, after=dict(absent, roles=roles), **change)
            out.append(dict(case, error=verdict(case)))
        change = dict(members=[[0, 0], [2, 0]], author=[0, 0], added=[[1, 1]], removed=[], revoked=[])
        case = dict(before=absent, after=dict(absent, roles=roles), **change)
        out.append(dict(case, error=verdict(case)))
    while len(out) < 500:
        kind = 0 if draw(4) == 0 else 1
        people = 2 if kind == 0 else 2 + draw(4)
        members = [[p, n] for p in range(people) for n in range(1 + draw(2)) if draw(8)]
        if not members:
            continue
        if kind == 0:
            roles = [[p, LEAVING if draw(4) == 0 else OWNER] for p in range(2)]
        else:
            roles = [[p, (LEAVING, ADMIN, OWNER, OWNER)[draw(4)]] for p in range(people) if draw(2)]
            if not any(role == OWNER for _, role in roles):
                continue
        before = dict(handle=0, kind=kind, name="", timer=None, roles=roles)
        author = members[draw(len(members))]
        after = dict(before, roles=[list(entry) for entry in roles])
        others = [device for device in members if device != author]
        removed, added = [], []
        what = draw(8)
        if what in (0, 1, 7) and others:
            removed = [others[draw(len(others))]]
            if draw(4) == 0:
                added = [removed[0]]
        if what in (2, 3) or draw(12) == 0:
            added = added + [[draw(6), draw(4)]]
        if what == 4 and kind == 1:
            after["name"] = "another"
        if what == 5:
            after["timer"] = 60
        if what in (6, 7):
            after["roles"] = [[p, r] for p, r in after["roles"] if kind == 0 or draw(3)]
            listed = [p for p, _ in after["roles"]]
            if kind == 1:
                person = draw(people + 1)
                if person not in listed:
                    after["roles"].append([person, (LEAVING, ADMIN, OWNER)[draw(3)]])
            else:
                after["roles"][draw(2)][1] = (LEAVING, OWNER)[draw(2)]
            after["roles"].sort()
            if kind == 1 and not any(role == OWNER for _, role in after["roles"]):
                continue
        if draw(40) == 0:
            after["handle"] = 1
        revoked = [device for device in members + added if draw(10) == 0]
        case = dict(before=before, after=after, members=members, author=author, added=added, removed=removed, revoked=revoked)
        result = verdict(case)
        if seen.get(result, 0) >= 120:
            continue
        seen[result] = seen.get(result, 0) + 1
        out.append(dict(case, error=result))
    return out


# --- codes -----------------------------------------------------------------------------------------------------------


def code(prefix, label, payload, version="1"):
    return "TIM:%s:%s:%s" % (prefix, version, (payload + digest(label, payload)[:4]).hex().upper())


LINK, INVITE = "tokenim/link-code/v1", "tokenim/invite-link/v1"


def device_keys():
    seeds = [some("device signing"), some("device inbox")]
    envelope_key = varint(0x0020) + blob(some("device envelope"))
    return public(seeds[0]) + envelope_key + public(seeds[1]) + some("inbox nonce", 16)


def links():
    secret, expires = some("link secret"), 1_800_000_600
    reveal_nonce = some("reveal nonce")
    reveal = device_keys() + reveal_nonce
    commitment = digest("tokenim/link-commitment/v1", reveal)
    payload = NETWORK + secret + commitment + be(expires)
    shown = code("LINK", LINK, payload)
    meeting = derive(secret, "tokenim/link-mailbox/v1", NETWORK)
    descriptor, tag = mailbox(meeting)
    answers = []
    for number in range(3):
        answer = some("identity") + public(some("owner's device")) + some("answer nonce %d" % number)
        answer_digest = digest("tokenim/link-answer/v1", answer)
        full = digest("tokenim/link-number/v1", NETWORK, commitment, answer_digest, reveal_nonce)
        eight = "%08d" % (int.from_bytes(full[:8], "big") % 10**8)
        answers.append(dict(message=(b"\1\0" + answer).hex(), number=eight[:4] + " " + eight[4:]))

    def consent(seq, network=NETWORK, identity=some("identity"), keys=device_keys(), by=some("device signing")):
        signature = sign(by, labelled("tokenim/device-consent/v1", network + identity + varint(seq) + keys))
        return b"\1\3" + varint(seq) + signature

    agreed = [
        dict(seq=seq, ask=(b"\1\2" + varint(seq)).hex(), consent=consent(seq).hex()) for seq in (2, 300, 2**64 - 1)
    ]
    others = dict(
        another_network=consent(2, network=bytes([8] * 32)),
        another_identity=consent(2, identity=some("another identity")),
        other_keys=consent(2, keys=flip(device_keys())),
        another_device=consent(2, by=some("owner's device")),
        another_place=consent(3),
        another_place_said_to_be_this_one=b"\1\3" + varint(2) + consent(3)[3:],
        one_bit_of_the_signature=flip(consent(2), 40),
    )
    nonce = some("link nonce", 12)
    key = derive(secret, "tokenim/link-wrap/v1", NETWORK)
    sealed = envelope(key, nonce, pad(b"\1\1" + reveal))

    invite_secret = some("invite secret")
    invite_payload = NETWORK + HANDLE + some("asked") + invite_secret + be(expires)
    invite = code("INVITE", INVITE, invite_payload)
    proofs = []
    for number in range(2):
        asker = some("asker %d" % number)
        proof = derive(invite_secret, "tokenim/invite-proof/v1", NETWORK + HANDLE + some("asked") + asker)
        proofs.append(dict(asker=asker.hex(), proof=proof.hex()))
    refused = [
        ("link", "empty", "NotACode", ""),
        ("link", "a_verification_code", "NotACode", "TIM:VERIFY:1:" + "0" * 216),
        ("link", "without_a_version", "NotACode", "TIM:LINK:" + shown[11:]),
        ("link", "version_with_a_zero_before", "NotACode", "TIM:LINK:01:" + shown[11:]),
        ("link", "version_with_a_sign", "NotACode", "TIM:LINK:+1:" + shown[11:]),
        ("link", "version_too_large_for_a_byte", "NotACode", "TIM:LINK:257:" + shown[11:]),
        ("link", "later_version", "Version", code("LINK", LINK, payload, "2")),
        ("link", "an_invitation", "IsInvitation", invite),
        ("link", "relabelled_invitation", "Damaged", "TIM:LINK" + invite[10:]),
        ("link", "check_of_an_invitation", "Damaged", code("LINK", INVITE, payload)),
        ("link", "small_letters", "Damaged", shown[:11] + shown[11:].lower()),
        ("link", "small_prefix", "NotACode", shown.lower()),
        ("link", "one_digit_changed", "Damaged", shown[:60] + ("0" if shown[60] != "0" else "1") + shown[61:]),
        ("link", "cut", "Damaged", shown[:-1]),
        ("link", "one_digit_more", "Damaged", shown + "0"),
        ("link", "not_a_digit", "Damaged", shown[:-1] + "G"),
        ("link", "blank_before", "NotACode", " " + shown),
        ("link", "letter_of_two_bytes", "Damaged", shown[:-2] + "ä"),
        ("invite", "a_link_code", "IsDeviceLink", shown),
        ("invite", "relabelled_link_code", "Damaged", "TIM:INVITE" + shown[8:]),
        ("invite", "later_version", "Version", code("INVITE", INVITE, invite_payload, "255")),
        ("invite", "check_of_a_link", "Damaged", code("INVITE", LINK, invite_payload)),
        ("invite", "cut", "Damaged", invite[:-2]),
    ]
    return dict(
        network=NETWORK.hex(),
        code=shown,
        secret=secret.hex(),
        commitment=commitment.hex(),
        expires=expires,
        descriptor=descriptor.hex(),
        tag=tag.hex(),
        reveal=(b"\1\1" + reveal).hex(),
        nonce=nonce.hex(),
        envelope=sealed.hex(),
        answers=answers,
        agreed=agreed,
        not_agreed=[dict(name=name, consent=message.hex()) for name, message in others.items()],
        done=b"\1\4".hex(),
        refusal=b"\1\5".hex(),
        invite=dict(
            code=invite,
            handle=HANDLE.hex(),
            ask=some("asked").hex(),
            secret=invite_secret.hex(),
            expires=expires,
            proofs=proofs,
        ),
        refused=[dict(kind=kind, name=name, error=error, code=shown) for kind, name, error, shown in refused],
    )


# --- what does not decode --------------------------------------------------------------------------------------------


def refused_objects():
    out = []

    def case(kind, name, error, data, more=0):
        """`more` bytes `x` follow."""
        out.append(dict(object=kind, name=name, error=error, bytes=data.hex(), more=more))

    good = body(content(0, text("hi")))
    start = body(b"")
    case("body", "empty", "Truncated", b"")
    case("body", "unknown_version", "UnknownVersion", b"\2" + good[1:])
    case("body", "cut", "Truncated", good[:-1])
    case("body", "trailing_byte", "TrailingBytes", good + b"\0")
    case("body", "too_long", "TooLong", b"\1", 62464)
    case("body", "long_epoch", "NotCanonical", good[:49] + b"\x83\0" + good[50:])
    case("body", "epoch_too_large", "Malformed", good[:49] + b"\xff" * 9 + b"\2" + good[50:])
    case("body", "checkpoint_neither_there_nor_not", "Malformed", start[:-1] + b"\2" + good[len(start):])
    hello = content(0, text("hi"))
    for name, error, seen in [
        ("checkpoint_without_header", "Truncated", varint(7)),
        ("header_cut", "Truncated", checkpoint(7)[:20]),
        ("long_height", "NotCanonical", b"\x87\0" + some("header")),
        ("height_too_large", "Malformed", b"\xff" * 9 + b"\2" + some("header")),
    ]:
        case("body", name, error, body(b"" if error == "Truncated" else hello, seen=seen))
    case("body", "no_content", "Truncated", start)
    case("body", "unknown_content", "Malformed", start + content(10))
    case("body", "long_number_of_content", "NotCanonical", start + b"\x80\0" + text("hi"))
    case("body", "empty_text", "Malformed", start + content(0, text("")))
    case("body", "text_too_long", "Malformed", start + content(0, varint(61441)), 61441)
    case("body", "text_not_utf8", "Malformed", start + content(0, blob(b"\xff")))
    case("body", "text_announced_longer_than_it_is", "Truncated", start + content(0, varint(100), b"hi"))
    case("body", "text_announced_longer_than_memory", "Truncated", start + content(0, b"\xff" * 9 + b"\1", b"hi"))
    case("body", "empty_reply", "Malformed", start + content(1, ID[0], text("")))
    case("body", "empty_reaction", "Malformed", start + content(2, ID[0], option(text(""))))
    case("body", "reaction_too_long", "Malformed", start + content(2, ID[0], option(text("x" * 65))))
    case("body", "reaction_neither_there_nor_not", "Malformed", start + content(2, ID[0], b"\2", text("x")))
    case("body", "no_marks", "Malformed", start + content(5, sequence([])))
    case("body", "marks_twice", "Malformed", start + content(5, sequence([ID[0], ID[0]])))
    case("body", "marks_not_ascending", "Malformed", start + content(6, sequence(sorted(ID, reverse=True))))
    many = sorted(some("mark %d" % number, 16) for number in range(257))
    case("body", "too_many_marks", "Malformed", start + content(6, sequence(many)))
    case("body", "attachment_too_long", "Malformed", start + attachment(length=104857601))
    case("body", "attachment_without_name", "Malformed", start + attachment(name=""))
    case("body", "attachment_in_a_folder", "Malformed", start + attachment(name="a/b"))
    case("body", "attachment_in_a_folder_of_windows", "Malformed", start + attachment(name="a\\b"))
    case("body", "attachment_named_as_the_folder_above", "Malformed", start + attachment(name=".."))
    case("body", "attachment_with_a_zero_in_its_name", "Malformed", start + attachment(name="a\0b"))
    case("body", "attachment_with_a_control_character", "Malformed", start + attachment(name="a\u0085b"))
    case("body", "attachment_name_too_long", "Malformed", start + attachment(name="x" * 256))
    for name, mime in [
        ("no_subtype", "text"),
        ("empty_subtype", "text/"),
        ("empty_type", "/plain"),
        ("two_strokes", "text/plain/x"),
        ("capitals", "Text/plain"),
        ("parameter", "text/plain;charset=utf-8"),
        ("long", "a/" + "x" * 126),
    ]:
        case("body", "media_type_with_" + name if name == "capitals" else "media_type_" + name, "Malformed", start + attachment(mime=mime))
    case("body", "extension_without_name", "Malformed", start + content(9, text(""), b"\0", blob(b"")))
    case("body", "extension_in_capitals", "Malformed", start + content(9, text("Poll"), b"\0", blob(b"")))
    case("body", "extension_name_too_long", "Malformed", start + content(9, text("x" * 65), b"\0", blob(b"")))
    case("body", "extension_neither_required_nor_not", "Malformed", start + content(9, text("x"), b"\2", blob(b"")))
    case("body", "extension_too_long", "Malformed", start + content(9, text("x"), b"\0", varint(61441)), 61441)

    two = [(PEOPLE[0], OWNER), (PEOPLE[1], OWNER)]
    good = context(1, "name", 60, two)
    case("context", "empty", "Truncated", b"")
    case("context", "unknown_version", "UnknownVersion", b"\0" + good[1:])
    case("context", "cut", "Truncated", good[:-1])
    case("context", "trailing_byte", "TrailingBytes", good + b"\0")
    case("context", "too_long", "TooLong", b"\1", 3072)
    case("context", "unknown_kind", "Malformed", context(2, "", None, two))
    case("context", "name_too_long", "Malformed", context(1, "x" * 129, None, two))
    case("context", "name_of_two_lines", "Malformed", context(1, "a\nb", None, two))
    case("context", "timer_of_zero", "Malformed", context(1, "", 0, two))
    case("context", "timer_of_more_than_a_year", "Malformed", context(1, "", 31536001, two))
    case("context", "unknown_role", "Malformed", context(1, "", None, [(PEOPLE[0], 4)] + two[1:]))
    case("context", "no_roles", "Malformed", context(1, "", None, []))
    case("context", "no_owner", "Malformed", context(1, "", None, [(PEOPLE[0], ADMIN)]))
    case("context", "plain_member_named", "Malformed", context(1, "", None, [(PEOPLE[0], MEMBER)] + two[1:]))
    case("context", "roles_not_ascending", "Malformed", context(1, "", None, two[::-1]))
    case("context", "role_twice", "Malformed", context(1, "", None, [two[0], two[0]]))
    many = sorted((some("owner %d" % number), OWNER) for number in range(65))
    case("context", "too_many_roles", "Malformed", context(1, "", None, many))
    case("context", "two_with_a_name", "Malformed", context(0, "us", None, two))
    case("context", "two_who_are_one", "Malformed", context(0, "", None, two[:1]))
    case("context", "two_who_are_the_same", "Malformed", context(0, "", None, [two[0], two[0]]))
    case("context", "two_who_are_three", "Malformed", context(0, "", None, two + [(PEOPLE[2], OWNER)]))
    case("context", "two_of_whom_one_is_admin", "Malformed", context(0, "", None, [two[0], (PEOPLE[1], ADMIN)]))
    case("context", "two_of_whom_one_is_member", "Malformed", context(0, "", None, [two[0], (PEOPLE[1], MEMBER)]))

    answer = b"\1\0" + some("identity") + public(some("owner's device")) + some("nonce")
    reveal = b"\1\1" + device_keys() + some("nonce")
    case("link_message", "empty", "Truncated", b"")
    case("link_message", "unknown_version", "UnknownVersion", b"\3" + answer[1:])
    case("link_message", "unknown_variant", "Malformed", b"\1\6" + answer[2:])
    case("link_message", "answer_cut", "Truncated", answer[:-1])
    case("link_message", "answer_with_a_trailing_byte", "TrailingBytes", answer + b"\0")
    case("link_message", "device_key_of_small_order", "Malformed", answer[:34] + b"\1" + bytes(31) + answer[66:])
    case("link_message", "reveal_cut", "Truncated", reveal[:-1])
    case("link_message", "envelope_key_of_an_unknown_suite", "Malformed", reveal[:34] + varint(0x21) + reveal[35:])
    consent = b"\1\3\2" + some("signature", 64)
    case("link_message", "ask_without_a_number", "Truncated", b"\1\2")
    case("link_message", "ask_with_a_longer_form_of_a_number", "NotCanonical", b"\1\2\x82\0")
    case("link_message", "ask_with_a_number_too_large", "Malformed", b"\1\2" + b"\xff" * 9 + b"\2")
    case("link_message", "consent_cut", "Truncated", consent[:-1])
    case("link_message", "consent_with_a_trailing_byte", "TrailingBytes", consent + b"\0")
    case("link_message", "done_with_a_trailing_byte", "TrailingBytes", b"\1\4\0")
    case("link_message", "refused_with_a_trailing_byte", "TrailingBytes", b"\1\5\0")
    case("link_message", "too_long", "TooLong", reveal, 2048)

    ask = b"\1" + varint(3) + HANDLE + some("proof")
    two = varint(0) + PEOPLE[0]
    order = [(3, 1, DEVICES[0], ID[0]), (3, 2, DEVICES[0], ID[0])]
    hello = content(0, text("hi"))
    both = [said(place, PEOPLE[1], hello) for place in order]
    good = page(two, both)
    case("note", "empty", "Truncated", b"")
    case("note", "unknown_version", "UnknownVersion", b"\2" + ask[1:])
    case("note", "unknown_number", "Malformed", b"\1" + varint(6) + HANDLE)
    case("note", "too_long", "TooLong", ask, 62400)
    case("note", "request_cut", "Truncated", ask[:-1])
    case("note", "request_with_a_trailing_byte", "TrailingBytes", ask + b"\0")
    case("note", "page_of_neither_kind", "Malformed", page(varint(2) + PEOPLE[0], both))
    case("note", "page_without_messages", "Malformed", page(two, []))
    case("note", "page_out_of_order", "Malformed", page(two, both[::-1]))
    case("note", "page_with_a_message_twice", "Malformed", page(two, both[:1] * 2))
    case("note", "page_cut", "Truncated", good[:-1])
    case("note", "page_with_a_trailing_byte", "TrailingBytes", good + b"\0")
    many = [said((4, number, DEVICES[0], ID[0]), PEOPLE[1], hello) for number in range(257)]
    case("note", "too_many_messages_on_a_page", "Malformed", page(two, many))
    for name, inside in [
        ("delivered", content(5, sequence([ID[0]]))),
        ("read", content(6, sequence([ID[0]]))),
        ("typing", content(8)),
        ("deletion", content(4, ID[0])),
    ]:
        case("note", name + "_on_a_page", "Malformed", page(two, [said(order[0], PEOPLE[1], inside)]))
    case("note", "name_of_a_page_of_two_lines", "Malformed", page(of_group("a\nb"), both))
    case("note", "name_of_a_page_too_long", "Malformed", page(of_group("x" * 129), both))
    case("note", "gone_neither_there_nor_not", "Malformed", page(two, [both[0][:-5] + b"\2" + both[0][-4:]]))
    door = b"\1" + varint(5) + HANDLE
    case("note", "unknown_word_about_a_door", "Malformed", door + varint(3) + PEOPLE[0])
    case("note", "word_about_a_door_cut", "Truncated", door + varint(2) + PEOPLE[0][:-1])
    return out


# --- Welcomes --------------------------------------------------------------------------------------------------------

NOTE_MAX = 8 * 1024
WRAPPED_MAX = 64 * 1024 - 4


def welcomes():
    """What a note says of Welcomes of these lengths, and the envelopes that are stored for them; key and nonces are the first
    bytes of `random`."""
    random, entry, out = some("welcome"), some("entry"), []
    for length in (0, 1, 500, NOTE_MAX, NOTE_MAX + 1, WRAPPED_MAX, WRAPPED_MAX + 1, 3 * WRAPPED_MAX):
        welcome = (some("welcome bytes") * (length // 32 + 1))[:length]
        sealed, tag = [], None
        if length <= NOTE_MAX:
            place = varint(0) + blob(welcome)
        else:
            key = derive(random, "tokenim/welcome-wrap/v1")
            tag = mailbox(random, b"welcome")[1]
            head = header(enc=random[:12])
            for at in range(0, length, WRAPPED_MAX):
                sealed.append(envelope(key, random[:12], pad(welcome[at : at + WRAPPED_MAX]), head))
            place = varint(1) + random + envelope_ids(sealed)
        note = b"\1" + varint(1) + HANDLE + entry + place
        short = len(note) < 5000
        out.append(
            dict(
                length=length,
                note=note.hex() if short else None,
                digest=hashlib.sha256(note).hexdigest(),
                tag=tag and tag.hex(),
                envelopes=[digest("tokenim/envelope-id/v1", part).hex() for part in sealed],
            )
        )
    return dict(random=random.hex(), filling=some("welcome bytes").hex(), handle=HANDLE.hex(), entry=entry.hex(), expiry=EXPIRY, welcomes=out)


# --- notes -----------------------------------------------------------------------------------------------------------

def said(order, author, inside, sent=1_800_000_000_123, gone=None):
    epoch, clock, device, id = order
    place = varint(epoch) + varint(clock) + device + id
    return place + author + varint(sent) + option(None if gone is None else varint(gone)) + inside


def page(of, messages):
    return b"\1" + varint(4) + of + sequence(messages)


def of_group(name):
    return varint(1) + HANDLE + text(name)


DEVICES = sorted(some("device %d" % number) for number in (0, 1))


def notes():
    """The notes of numbers 3 to 5."""
    secret, asker = some("invite secret"), some("asker 0")
    proof = derive(secret, "tokenim/invite-proof/v1", NETWORK + HANDLE + some("asked") + asker)
    kept = dict(secret=secret.hex(), expires=1_800_000_600)
    link = secret + varint(1_800_000_600)
    orders = [(0, 1, DEVICES[0], ID[0]), (0, 1, DEVICES[1], ID[0]), (2**64 - 1, 0, DEVICES[0], ID[1])]
    insides = [
        ({"Text": "Good morning"}, content(0, text("Good morning"))),
        ({"Reaction": dict(to=ID[0].hex(), emoji="👍🏽")}, content(2, ID[0], option(text("👍🏽")))),
        ({"Edit": dict(of=ID[0].hex(), text="Good evening")}, content(3, ID[0], text("Good evening"))),
    ]
    gone = [None, 0, 2**64 - 1]
    values = [
        dict(
            order=dict(epoch=order[0], clock=order[1], device=order[2].hex(), id=order[3].hex()),
            author=name_of(PEOPLE[1]),
            sent=1_800_000_000_123,
            gone=at,
            content=value,
        )
        for order, (value, _), at in zip(orders, insides, gone)
    ]
    written = [said(order, PEOPLE[1], inside, gone=at) for order, (_, inside), at in zip(orders, insides, gone)]
    longest = content(0, text("ä" * 30720))
    alone = dict(values[0], content={"Text": "ä" * 30720})
    door = b"\1" + varint(5) + HANDLE
    cases = [
        ("request", {"Ask": dict(handle=HANDLE.hex(), proof=list(proof))}, b"\1" + varint(3) + HANDLE + proof),
        ("page_of_two", {"Page": dict(of={"Direct": name_of(PEOPLE[0])}, messages=values)}, page(varint(0) + PEOPLE[0], written)),
        (
            "page_of_a_group",
            {"Page": dict(of={"Group": [HANDLE.hex(), "Reading circle"]}, messages=values[:1])},
            page(of_group("Reading circle"), written[:1]),
        ),
        (
            "longest_message_on_a_page",
            {"Page": dict(of={"Group": [HANDLE.hex(), "ß" * 64]}, messages=[alone])},
            page(of_group("ß" * 64), [said(orders[0], PEOPLE[1], longest)]),
        ),
        ("link_made", {"Door": [HANDLE.hex(), {"Made": kept}]}, door + varint(0) + link),
        ("link_revoked", {"Door": [HANDLE.hex(), {"Revoked": kept}]}, door + varint(1) + link),
        ("refused", {"Door": [HANDLE.hex(), {"Refused": name_of(PEOPLE[2])}]}, door + varint(2) + PEOPLE[2]),
    ]
    return dict(
        secret=secret.hex(),
        name=digest("tokenim/invite-name/v1", secret).hex(),
        notes=[dict(name=name, value=value, bytes=bytes_.hex()) for name, value, bytes_ in cases],
    )


# --- printing --------------------------------------------------------------------------------------------------------

NAMES = dict(
    bodies=bodies,
    contexts=contexts,
    orders=orders,
    epochs=epochs,
    wrapped=wrapped,
    children=children,
    policy=policy,
    links=links,
    refused_objects=refused_objects,
    welcomes=welcomes,
    notes=notes,
)

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
        sys.exit(__doc__.strip())
    made = NAMES[sys.argv[1]]()
    if isinstance(made, list):
        print("[\n" + ",\n".join(" " + json.dumps(case, ensure_ascii=False) for case in made) + "\n]")
    else:
        print(json.dumps(made, indent=1, ensure_ascii=False))
