#!/usr/bin/env python3
"""Computes the vectors of this folder from docs/spec/wire.md alone: a second implementation of that page.

    python3 generate.py NAME     prints NAME.json, for NAME of: encoding, refused, hash, frame
"""

import hashlib
import json
import sys


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint((number << 1) ^ (number >> 63) if number >= 0 else ((-number) << 1) - 1)


def counted(data):
    return varint(len(data)) + data


def choice(value):
    if value == "Nothing":
        return varint(0)
    [(name, body)] = value.items()
    if name == "Number":
        return varint(1) + varint(body)
    return varint(2) + bytes([body["left"]]) + varint(body["right"])


def sample(v):
    """The encoding of a Sample, without the version byte."""
    out = bytes([1 if v["flag"] else 0, v["small"]])
    out += varint(v["medium"]) + varint(v["wide"]) + varint(v["long"]) + zigzag(v["signed"])
    out += bytes.fromhex(v["id"])
    out += b"\0" if v["maybe"] is None else b"\1" + varint(v["maybe"])
    out += choice(v["choice"])
    out += varint(len(v["list"])) + b"".join(map(varint, v["list"]))
    out += counted(bytes(v["blob"])) + counted(v["text"].encode())
    return out


def labelled(label, data):
    return hashlib.sha256(bytes([len(label)]) + label.encode() + data).hexdigest()


ZERO = dict(flag=False, small=0, medium=0, wide=0, long=0, signed=0, id="00" * 32, maybe=None, choice="Nothing",
            list=[], blob=[], text="")
MIXED = dict(flag=True, small=200, medium=300, wide=70000, long=1 << 40, signed=-3, id=bytes(range(32)).hex(), maybe=127,
             choice={"Number": 128}, list=[1, 128, 16384], blob=[0, 255], text="é")
FULL = dict(flag=True, small=255, medium=65535, wide=(1 << 32) - 1, long=(1 << 64) - 1, signed=(1 << 31) - 1, id="ff" * 32,
            maybe=65535, choice={"Pair": {"left": 255, "right": 65535}}, list=[65535] * 4, blob=[255] * 8, text="abcdefgh")
LOWEST = dict(ZERO, signed=-(1 << 31), choice={"Pair": {"left": 0, "right": 0}}, text="人間")

VERSION = b"\1"
LABEL = "tokenim/sample/v1"


def encoding():
    return [
        dict(name=name, value=value, bytes=(VERSION + sample(value)).hex(), hash=labelled(LABEL, sample(value)))
        for name, value in [("zero", ZERO), ("mixed", MIXED), ("full", FULL), ("lowest", LOWEST)]
    ]


def refused():
    good = VERSION + sample(ZERO)
    # Offsets in the object made of zeros: 1 version, then one byte each for flag, small, medium, wide, long, signed.
    ident, maybe, option, items, blob, text = 7, 39, 40, 41, 42, 43

    def put(at, data):
        return good[:at] + data + good[at + 1:]

    cases = [
        ("empty", b"", "Truncated"),
        ("version_alone", VERSION, "Truncated"),
        ("trailing_byte", good + b"\0", "TrailingBytes"),
        ("trailing_object", good + good, "TrailingBytes"),
        ("unknown_version_zero", b"\0" + good[1:], "UnknownVersion"),
        ("unknown_version_next", b"\2" + good[1:], "UnknownVersion"),
        ("too_long", good + bytes(129 - len(good)), "TooLong"),
        ("varint_of_two_bytes_for_zero", put(3, b"\x80\x00"), "NotCanonical"),
        ("varint_of_three_bytes_for_300", put(3, b"\xac\x82\x00"), "NotCanonical"),
        ("varint_non_minimal_length", put(items, b"\x80\x00"), "NotCanonical"),
        ("varint_non_minimal_variant", put(option, b"\x80\x00"), "NotCanonical"),
        ("varint_beyond_16_bits", put(3, b"\x80\x80\x04"), "Malformed"),
        ("varint_beyond_32_bits", put(4, b"\x80\x80\x80\x80\x10"), "Malformed"),
        ("varint_beyond_64_bits", put(5, b"\x80" * 9 + b"\x02"), "Malformed"),
        ("varint_without_end", put(5, b"\xff" * 12), "Malformed"),
        ("bool_of_two", put(1, b"\2"), "Malformed"),
        ("option_of_two", put(maybe, b"\2"), "Malformed"),
        ("variant_unknown", put(option, b"\3"), "Malformed"),
        ("list_one_too_many", put(items, varint(5) + bytes(5)), "Malformed"),
        ("list_length_without_items", put(items, varint((1 << 63) - 1)), "Malformed"),
        ("blob_one_too_many", put(blob, counted(bytes(9))), "Malformed"),
        ("blob_length_beyond_input", put(blob, varint(8)), "Truncated"),
        ("text_one_too_many", put(text, counted(b"a" * 9)), "Malformed"),
        ("text_not_utf8", put(text, counted(b"\xff")), "Malformed"),
        ("text_surrogate", put(text, counted(b"\xed\xa0\x80")), "Malformed"),
    ]
    assert good[ident:maybe] == bytes(32) and len(good) == text + 1
    return [dict(name=name, bytes=data.hex(), error=error) for name, data, error in cases]


def hashes():
    cases = [
        ("no_parts", "tokenim/sample/v1", []),
        ("one_empty_part", "tokenim/sample/v1", [b""]),
        ("one_part", "tokenim/sample/v1", [b"abc"]),
        ("parts_are_joined", "tokenim/sample/v1", [b"a", b"bc"]),
        ("another_label", "tokenim/sample/v2", [b"abc"]),
        ("shortest_label", "x", [b"abc"]),
        ("longest_label", "x" * 64, [b"abc"]),
        ("envelope_id", "tokenim/envelope-id/v1", [bytes(range(200))]),
    ]
    return [
        dict(name=name, label=label, parts=[p.hex() for p in parts], hash=labelled(label, b"".join(parts)))
        for name, label, parts in cases
    ]


def frame():
    def one(body):
        return len(body).to_bytes(4, "big") + body

    cases = [
        ("nothing", b"", [], None),
        ("empty_body", one(b""), [b""], None),
        ("one", one(b"hello"), [b"hello"], None),
        ("two", one(b"a") + one(b"bc"), [b"a", b"bc"], None),
        ("longest", one(bytes(16)), [bytes(16)], None),
        ("one_byte_too_long", one(bytes(17)), [], "TooLong"),
        ("length_of_all_ones", b"\xff\xff\xff\xff", [], "TooLong"),
        ("too_long_after_a_good_one", one(b"a") + one(bytes(17)) + one(b"b"), [b"a"], "TooLong"),
        ("header_cut", b"\0\0\0", [], "Truncated"),
        ("body_cut", one(b"hello")[:-1], [], "Truncated"),
        ("body_missing", b"\0\0\0\1", [], "Truncated"),
    ]
    return dict(
        body_bytes_max=16,
        cases=[
            dict(name=name, stream=data.hex(), bodies=[b.hex() for b in bodies], error=error)
            for name, data, bodies, error in cases
        ],
    )


if __name__ == "__main__":
    made = dict(encoding=encoding, refused=refused, hash=hashes, frame=frame)[sys.argv[1]]()
    print(json.dumps(made, indent=1, ensure_ascii=False))
