#!/usr/bin/env python3
"""Computes the vectors of safety numbers and verification codes from the last section of docs/spec/identity.md alone.

    python3 verification.py NAME     prints NAME.json, for NAME of: safety, code

Keys and bech32m are those of generate.py beside it, which come from the same page.
"""

import hashlib
import json
import sys

from generate import bech32, five_bits, labelled, public


def fingerprints(root, identity):
    """Every hash on the way, the last one being the fingerprint."""
    out = [hashlib.sha512(labelled("tokenim/fingerprint/v1", root + identity)).digest()]
    while len(out) < 5200:
        out.append(hashlib.sha512(out[-1] + root).digest())
    return out


class Person:
    def __init__(self, name, root):
        self.name = name
        self.id = hashlib.sha256(name.split("_")[0].encode()).digest()
        self.root = public(bytes([root]) * 32)
        self.hashes = fingerprints(self.root, self.id)
        self.fingerprint = self.hashes[-1]


# An underscore: the same person after the root changed.
PEOPLE = [Person("ada", 1), Person("ben", 2), Person("carla", 3), Person("ada_later", 4), Person("ben_later", 5)]
BY_NAME = {person.name: person for person in PEOPLE}
PAIRS = [("ada", "ben"), ("ben", "ada"), ("ada", "carla"), ("ben", "carla"), ("ada_later", "ben"), ("ada", "ben_later"),
         ("ada_later", "ben_later"), ("ada", "ada"), ("ada", "ada_later")]


def people():
    return [
        dict(name=person.name, id=person.id.hex(), root=person.root.hex(), first_hash=person.hashes[0].hex(),
             second_hash=person.hashes[1].hex(), fingerprint=person.fingerprint.hex())
        for person in PEOPLE
    ]


def thirty(fingerprint):
    groups = [int.from_bytes(fingerprint[at:at + 5], "big") % 100000 for at in range(0, 30, 5)]
    return "".join(f"{group:05}" for group in groups)


def number(one, other):
    digits = "".join(sorted(thirty(BY_NAME[name].fingerprint) for name in (one, other)))
    return [digits[at:at + 5] for at in range(0, 60, 5)]


def safety():
    groups = number("ada", "ben")
    digits, text = "".join(groups), " ".join(groups)
    read = [
        ("as_written", text), ("without_blanks", digits), ("every_digit_apart", " ".join(digits)),
        ("lines_and_tabs", "\n " + "\t\r\n".join(groups) + " \n"), ("no_break_spaces", "\u00a0".join(groups)),
    ]
    refused = [
        ("empty", "", "Length"), ("blanks_only", " \n", "Length"), ("a_digit_short", digits[1:], "Length"),
        ("a_digit_long", digits + "0", "Length"), ("one_person_only", digits[:30], "Length"),
        ("hyphens", "-".join(groups), "Character"), ("a_letter", "O" + digits[1:], "Character"),
        ("digits_of_another_script", "\u0661" + digits[1:], "Character"), ("sign_before", "+" + digits, "Character"),
        ("a_letter_after", digits + "x", "Character"), ("nul_after", digits + "\0", "Character"),
    ]
    return dict(
        people=people(),
        numbers=[dict(one=one, other=other, number=" ".join(number(one, other))) for one, other in PAIRS],
        read=[dict(name=name, text=text) for name, text in read],
        refused=[dict(name=name, text=text, error=error) for name, text, error in refused],
    )


def name_of(identity, prefix="tim"):
    return bech32(prefix, five_bits(identity)).upper()


def shown(fingerprint):
    return fingerprint[:32].hex().upper()


def code(one, other):
    pair = sorted((BY_NAME[name].id, BY_NAME[name].fingerprint) for name in (one, other))
    return ":".join(["TIM:VERIFY:1", *(name_of(id) for id, _ in pair), *(shown(print_) for _, print_ in pair)])


def changed(text, at):
    """One hexadecimal digit changed."""
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1:]


def codes():
    good, fields = code("ada", "ben"), code("ada", "ben").split(":")
    first, second, one, other = fields[3:]

    def made(*rest, head="TIM:VERIFY:1"):
        return ":".join([head, *rest])

    expected = good
    compared = [
        ("same", good, "Match"), ("scanned_the_other_way_round", code("ben", "ada"), "Match"),
        ("root_of_one_changed", code("ada_later", "ben"), "Mismatch"),
        ("root_of_the_other_changed", code("ada", "ben_later"), "Mismatch"),
        ("both_roots_changed", code("ada_later", "ben_later"), "Mismatch"),
        ("fingerprints_exchanged", made(first, second, other, one), "Mismatch"),
        ("first_digit_changed", changed(good, len(made(first, second)) + 1), "Mismatch"),
        ("last_digit_changed", changed(good, len(good) - 1), "Mismatch"),
        ("another_contact", code("ada", "carla"), "OtherPeople"),
        ("two_strangers", code("carla", "carla"), "OtherPeople"), ("oneself", code("ada", "ada"), "OtherPeople"),
        ("oneself_with_the_fingerprints_of_both", made(first, first, *sorted([one, other])), "OtherPeople"),
    ]
    refused = [
        ("empty", "", "NotACode"), ("another_qr_code", "HTTPS://EXAMPLE.ORG", "NotACode"),
        ("a_name_alone", first, "NotACode"), ("small_prefix", "tim:verify:1" + good[12:], "NotACode"),
        ("blank_before", " " + good, "NotACode"), ("prefix_alone", "TIM:VERIFY:", "NotACode"),
        ("nothing_after_the_version", "TIM:VERIFY:1", "NotACode"),
        ("no_version", made(first, second, one, other, head="TIM:VERIFY:"), "NotACode"),
        ("version_is_a_word", made(first, second, one, other, head="TIM:VERIFY:ONE"), "NotACode"),
        ("version_not_shortest", made(first, second, one, other, head="TIM:VERIFY:01"), "NotACode"),
        ("version_with_a_sign", made(first, second, one, other, head="TIM:VERIFY:+1"), "NotACode"),
        ("version_above_a_byte", made(first, second, one, other, head="TIM:VERIFY:256"), "NotACode"),
        ("version_zero", made(first, second, one, other, head="TIM:VERIFY:0"), "Version"),
        ("version_two", made(first, second, one, other, head="TIM:VERIFY:2"), "Version"),
        ("version_two_of_another_shape", "TIM:VERIFY:2:whatever", "Version"),
        ("a_field_missing", made(first, second, one), "Fields"),
        ("a_field_more", made(first, second, one, other, other), "Fields"),
        ("colon_after", good + ":", "Fields"),
        ("small_letters_in_a_name", made(first.lower(), second, one, other), "SmallLetters"),
        ("small_letters_in_a_fingerprint", made(first, second, one, other.lower()), "SmallLetters"),
        ("small_letters_everywhere", made(first, second, one, other).lower().replace("tim:verify", "TIM:VERIFY"),
         "SmallLetters"),
        ("name_mistyped", made(first[:-1] + ("Q" if first[-1] != "Q" else "P"), second, one, other), "Identity"),
        ("name_of_something_else", made(name_of(BY_NAME["ada"].id, "bc"), second, one, other), "Identity"),
        ("name_too_short", made(first, name_of(BY_NAME["ben"].id[:-1]), one, other), "Identity"),
        ("name_empty", made("", second, one, other), "Identity"),
        ("fingerprint_empty", made(first, second, one, ""), "Fingerprint"),
        ("fingerprint_too_short", made(first, second, one, other[:-2]), "Fingerprint"),
        ("fingerprint_odd", made(first, second, one[:-1], other), "Fingerprint"),
        ("fingerprint_too_long", made(first, second, one, other + "00"), "Fingerprint"),
        ("fingerprint_with_another_letter", made(first, second, one, "G" + other[1:]), "Fingerprint"),
        ("line_end_after", good + "\n", "Fingerprint"), ("truncated", good[:-1], "Fingerprint"),
        ("names_exchanged", made(second, first, one, other), "Order"),
        ("people_exchanged", made(second, first, other, one), "Order"),
        ("oneself_out_of_order", made(first, first, *sorted([one, other], reverse=True)), "Order"),
    ]
    return dict(
        people=people(),
        codes=[dict(one=one, other=other, text=code(one, other)) for one, other in PAIRS],
        expected=expected,
        compared=[dict(name=name, scanned=text, verdict=verdict) for name, text, verdict in compared],
        refused=[dict(name=name, text=text, error=error) for name, text, error in refused],
    )


if __name__ == "__main__":
    print(json.dumps(dict(safety=safety, code=codes)[sys.argv[1]](), indent=1))
