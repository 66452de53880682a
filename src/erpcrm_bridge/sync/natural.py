"""Natural keys: the canonical fields by which records that are not linked yet may be matched, in a form that forgives spelling. Pure.

The forms serve for matching only and are never written anywhere.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeAlias

from xxhash import xxh3_64_intdigest

from erpcrm_bridge.mapping import EntityRules, MatchRule
from erpcrm_bridge.model.values import Fields, digest

_FORMS = 6
"""Raised by whoever changes a form or a hash: what the store holds is then drawn anew."""
_HALF = 1 << 63
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_MISSPELLED = 65
"""Of 100: as alike is a word to itself with two letters swapped or one wrong, from four letters on."""
_NO_SPELLING = re.compile(r"[\d\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""What is never one for another by a slip of the pen: digits, and signs that are a word each."""
_ROMAN = re.compile(r"[ivx]+")
_WORD = re.compile(r"[^\W_]+")
_NO_WORD = re.compile(r"[\W_]")
_SMALL = bytes(ord(chr(n).lower()) if n < 128 and chr(n).isalnum() else ord(" ") for n in range(256))
"""What each byte of ascii text is in small letters; a blank for what is no letter or digit."""
_SIGNS = bytes(n for n in range(128) if not chr(n).isalnum())
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ð": "d"})
_UMLAUT_U = re.compile("(?<![aeq])ue")
"""How ü is spelled out; the `ue` of Bauer, Neuer and Quelle is none."""
_SYLLABLES = re.compile("[\u0900-\u1aaf\u1b00-\u1cff\u3099\u309a\ua800-\uabff\U00011000-\U00011fff]")
"""Scripts, of India and Thailand and others, and the kana, whose marks are no accents: another one is another vowel or consonant."""
# Legal forms as single words after punctuation is gone; those of several words are joined first.
_LEGAL = frozenset(
    [
        "gmbh",
        "mbh",
        "ag",
        "kg",
        "ohg",
        "ug",
        "se",
        "ev",
        "eg",
        "gbr",
        "co",
        "company",
        "corp",
        "corporation",
        "inc",
        "incorporated",
        "ltd",
        "limited",
        "llc",
        "llp",
        "lp",
        "plc",
        "sa",
        "sas",
        "sarl",
        "srl",
        "spa",
        "sl",
        "slu",
        "bv",
        "nv",
        "ab",
        "as",
        "asa",
        "oy",
        "oyj",
        "aps",
        "kft",
        "zrt",
        "sro",
        "doo",
        "dd",
        "pty",
        "pte",
        "kk",
        "sp",
        "zoo",
        "kgaa",
        "gesellschaft",
        "aktiengesellschaft",
        "kommanditgesellschaft",
        "cie",
        "compagnie",
        "sociedad",
        "limitada",
        "anonima",
        "societe",
        "anonyme",
        "the",
        "and",
        "und",
        "u",
        "et",
        "y",
        "e",
    ]
)
_NUMBERS = frozenset(["tax_id", "postal_code", "number", "po_number", "phone", "mobile"])
_GIVEN = frozenset(["tax_id", "po_number", "phone", "mobile"])
"""Numbers that people type in, and for which they type something where there is none."""
_COUNTRY = "abcdefghijklmnopqrstuvwxyz0"
_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?")
_DOTTED = re.compile(r"\b(?:\w\.\s?){2,}")
_JOINED = (
    ("mit beschrankter haftung", ""),
    ("limited liability company", ""),
    ("public limited company", ""),
    ("besloten vennootschap", ""),
    ("sp z o o", ""),
    ("sp z oo", ""),
    ("societa per azioni", ""),
)


def plain(text: str) -> str:
    """Return ``text`` in small letters without accents, its words joined by single blanks."""
    if text.isascii():
        if text.count(".") > 1:
            text = _DOTTED.sub(_undotted, text)
        return b" ".join(text.encode().translate(_SMALL, b"'").split()).decode()
    text = text.casefold()
    if "." in text:
        text = _DOTTED.sub(_undotted, text)
    text = unicodedata.normalize("NFKD", text.translate(_LETTERS).replace("’", "")).replace("'", "")
    text = "".join(c for c in text if not unicodedata.combining(c) or _SYLLABLES.match(c))
    if not _SYLLABLES.search(text):
        return " ".join(_WORD.findall(text))
    return " ".join("".join(c if c.isalnum() or (unicodedata.category(c)[0] == "M" and _SYLLABLES.match(c)) else " " for c in text).split())


def _undotted(match: re.Match[str]) -> str:
    return match.group().replace(".", "").replace(" ", "") + " "


def name_form(text: str) -> str:
    """Return the words of a company's or person's name that tell it apart: no legal form, no umlaut spelled out, in alphabetical order."""
    words = plain(text)
    if " " in words:
        for phrase, instead in _JOINED:
            if phrase in words:
                words = words.replace(phrase, instead)
    words = words.replace("ae", "a").replace("oe", "o")
    if "ue" in words:
        words = _UMLAUT_U.sub("u", words)
    kept = [word for word in words.split() if word not in _LEGAL]
    return " ".join(sorted(kept or words.split()))


def _number_form(text: str) -> str:
    small = text.encode().translate(_SMALL, _SIGNS).decode() if text.isascii() else _NO_WORD.sub("", text).casefold()
    return small.lstrip("0")


def _counting_form(text: str) -> str:
    """Return the form of a number that somebody gave out; empty where it counts nothing, as `n/a`, `none` and `DE000000000`."""
    small = _number_form(text)
    return small if any(c.isdigit() and c != "0" for c in small) else ""


def _website_form(text: str) -> str:
    small = text.casefold()
    return (_SCHEME.sub("", small) if "://" in small else small.removeprefix("www.")).rstrip("/")


def _as_it_stands(text: str) -> str:
    return text


@cache
def _former(path: str) -> Callable[[str], str]:
    last = path.rsplit(".", 1)[-1]
    if last == "name" or last.endswith("_name"):
        return name_form
    if last in _GIVEN:
        return _counting_form
    if last in _NUMBERS:
        return _number_form
    if last == "website":
        return _website_form
    return _as_it_stands if last in {"email", "customer", "order", "parent"} else plain


def form(path: str, value: object) -> str | None:
    """Return the form in which the value of one canonical field is matched; None where it says nothing."""
    if value is None or value == "":
        return None
    return _former(path)(str(value)) or None


def forms_of(path: str, values: Iterable[object]) -> list[str | None]:
    """Return the forms of one field of many records: None where a value is None, empty where it says nothing."""
    former = _former(path)
    return [None if value is None else former(value if isinstance(value, str) else str(value)) for value in values]


def hash_of(number: int, values: Sequence[str]) -> int:
    """Return a signed 64-bit number that stands for these forms under this number."""
    return (xxh3_64_intdigest("\x1f".join(values).encode(), number) ^ _HALF) - _HALF


def key_paths(rule: MatchRule) -> tuple[str, ...]:
    """Return the fields that make a rule's natural key: those that it does not compare by likeness."""
    return tuple(path for path in rule.keys if path not in rule.compare)


_Parts: TypeAlias = Mapping[int, tuple[str, ...]]
"""By number, the fields that make a key."""
_Forms: TypeAlias = Mapping[str, Sequence[str | None]]
"""By field, its form in each of several records; None or empty where it says nothing."""


def _drawn(parts: _Parts, forms: _Forms, count: int) -> list[array[int]]:
    """Return these keys of ``count`` records, a column for each: of many records each step is made at once."""
    found = []
    for number, part in parts.items():
        texts = forms[part[0]] if part else [None] * count
        for path in part[1:]:
            texts = [f"{text}\x1f{more}" if text and more else None for text, more in zip(texts, forms[path], strict=True)]
        keys = array("Q", [xxh3_64_intdigest(text.encode(), number) if text else 0 for text in texts])
        found.append(array("q", keys.tobytes()))
    return found


def _drawn_of(parts: _Parts, *records: Read) -> list[array[int]]:
    forms = {path: forms_of(path, [fields.get(path) for fields in records]) for path in set().union(*parts.values())}
    return _drawn(parts, forms, len(records))


class NaturalKeys:
    """Draws the natural keys of one entity's records. Rules that match by the same fields share a key.

    Kept are those that no other one is a part of: who shares name and postal code is found by the name. ``numbers`` gives, for each match
    rule, the number under which that key is kept by which its matches are found, among others; ``paths`` are the fields that make keys, and
    ``columns`` gives for each rule the place of its key among those that are ``drawn``.
    """

    def __init__(self, match: Sequence[MatchRule]) -> None:
        parts = [key_paths(rule) for rule in match]
        firsts = [parts.index(part) for part in parts]
        within = [[first for first in dict.fromkeys(firsts) if parts[first] and set(parts[first]) <= set(part)] for part in parts]
        self.numbers = [min(found, key=lambda first: len(parts[first]), default=first) for found, first in zip(within, firsts, strict=True)]
        self._kept = sorted(set(self.numbers))
        self._parts = {first: parts[first] for first in dict.fromkeys(firsts)}
        self.columns = [[*self._parts].index(first) for first in firsts]
        self.paths = tuple(dict.fromkeys(path for part in parts for path in part))
        self._moving: dict[frozenset[str], _Parts] = {}

    def of(self, fields: Read) -> list[int]:
        """Return the record's natural key under each match rule, in order; 0 where a field of the rule is empty."""
        found = _drawn_of(self._parts, fields)
        return [found[at][0] for at in self.columns]

    def drawn(self, forms: _Forms, count: int) -> list[array[int]]:
        """Return the keys of so many records of which these are the forms of the fields of ``paths``; 0 where a field is empty."""
        return _drawn(self._parts, forms, count)

    def moved(self, paths: frozenset[str], before: Fields, now: Fields) -> tuple[list[int], list[int]]:
        """Return the keys by which a golden record of which these fields moved is found no more, and those by which it is found now."""
        parts = self._moving.get(paths)
        if parts is None:
            if len(self._moving) > 1_000:
                self._moving.clear()  # of very many fields any may move together
            parts = {number: part for number, part in self._parts.items() if number in self._kept and not paths.isdisjoint(part)}
            self._moving[paths] = parts
        drawn = _drawn_of(parts, before, now)
        return [was for was, is_now in drawn if was and was != is_now], [is_now for was, is_now in drawn if is_now and is_now != was]

    def kept(self, hashes: Sequence[int]) -> list[int]:
        """Return the keys by which a golden record with these natural keys is found. That of one rule is never that of another."""
        return [key for number in self._kept if (key := hashes[number])]


def cross_form(key: str) -> str:
    """Return the form in which a key that another system's record carries is compared: Salesforce shows an id in 15 characters, or in 18,
    of which the last three say which of the others are capitals."""
    if len(key) != 15 or not key.isascii() or not key.isalnum():
        return key
    capitals = (sum(key[start + at].isupper() << at for at in range(5)) for start in (0, 5, 10))
    return key + "".join(_CAPITALS[bits] for bits in capitals)


def drawn_by(rules: EntityRules) -> str:
    """Return what stands for the way in which natural keys are drawn: keys that another way drew are not to be looked up."""
    return digest([_FORMS, [key_paths(rule) for rule in rules.match]])


class Read(Protocol):
    """Fields that are asked for by path, one at a time."""

    def get(self, path: str, /) -> Any: ...


def agrees(rule: MatchRule, one: Read, other: Read) -> bool:
    """Tell whether two records that share a rule's natural key also agree in the fields that the rule compares by similarity."""
    return all(likeness([path], one, other) >= threshold for path, threshold in rule.compare.items())


def agree(rule: MatchRule, one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell the same of the forms of the fields that the rule compares, in its order."""
    return all(alike(left, right) >= least for left, right, least in zip(one, other, rule.compare.values(), strict=True))


def likeness(paths: Iterable[str], one: Read, other: Read) -> float:
    """Return how alike two records are in these fields, from 0 to 100: as alike as in the field in which they are least so. A field that
    one of them does not hold is not alike."""
    return min((alike(form(path, one.get(path)), form(path, other.get(path))) for path in paths), default=100.0)


def contradict(path: str, one: str, other: str) -> bool:
    """Tell whether two forms of a field cannot be spellings of one value: a number with and without its country's letters is one."""
    if path.rsplit(".", 1)[-1] in _NUMBERS:
        one, other = one.lstrip(_COUNTRY), other.lstrip(_COUNTRY)
    return one != other


def alike(left: str | None, right: str | None) -> float:
    """Return how alike two forms are, from 0 to 100. A word more, or quite another word, tells apart, however long the rest is: `Meyer
    Tools Graz` is a branch of `Meyer Tools`, and no misspelling of it. So does another number: `Fund III` is not `Fund II`, nor `Shop 102`
    `Shop 101`. What says nothing is like nothing."""
    if not left or not right:
        return 0.0
    if left == right:
        return 100.0
    ours, theirs = Counter(left.split()), Counter(right.split())
    rest, other_rest = sorted((ours - theirs).elements()), sorted((theirs - ours).elements())
    if len(rest) != len(other_rest):
        return _likeness("".join(rest), "".join(other_rest))
    least, shared = 100.0, " ".join((ours & theirs).elements())
    left = right = shared
    while rest:  # the two words that are most alike are one word, and so on
        likest, one, other = max((_likeness(one, other), one, other) for one in rest for other in other_rest)
        rest.remove(one)
        other_rest.remove(other)
        least, left, right = min(least, likest), f"{left} {one}", f"{right} {other}"
    return _likeness(left, right) if least >= _MISSPELLED else least


def _likeness(one: str, other: str) -> float:
    """Return how alike the letters of two different words are; less than of a misspelling where they differ in a number, or in a sign that
    is a word."""
    from rapidfuzz import fuzz

    ratio: float = fuzz.ratio(one, other)
    if ratio < _MISSPELLED:
        return ratio
    said_otherwise = _ROMAN.fullmatch(one) or _ROMAN.fullmatch(other) or _NO_SPELLING.findall(one) != _NO_SPELLING.findall(other)
    return min(ratio, _MISSPELLED - 1) if said_otherwise else ratio
