"""Values, and the one way they are packed.

An *external* value is what a system holds: null, boolean, integer, Decimal, text, list or object (JSON values; never a float).
A *canonical* value is a scalar: null, boolean, integer, Decimal or text. Dates are ISO 8601 text (``2026-05-01``), instants are
UTC text with milliseconds (``2026-05-01T07:25:37.000Z``), references are golden ids, so that they compare, order and pack as they stand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

External: TypeAlias = Any
"""None | bool | int | Decimal | str | list[External] | dict[str, External]"""
Canonical: TypeAlias = Any
"""None | bool | int | Decimal | str; in a document also a list of lines (dicts of such scalars, each with an ``id``)"""
Fields: TypeAlias = dict[str, Any]
"""Names (external names, or canonical paths such as ``billing.city``) to values. A name that is absent was not said."""

_Kind = TypeVar("_Kind")
LONGEST = 400
"""Digits before or after the point. No amount, quantity or rate has more; a number that has would fill the memory when written out."""
WIDE = Context(prec=3 * LONGEST, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""In which numbers of any length that ``unpack`` gives are multiplied, added and rounded without losing a digit."""


def _number(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return number if -LONGEST < number.adjusted() < LONGEST else text


_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_plain_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=_number)

pack = _plain_encoder.encode
"""Return JSON bytes; Decimals keep their digits and their scale."""
unpack = _decoder.decode
"""Return the value of JSON bytes; numbers with a point or an exponent are Decimals; one that is out of all proportion (1e400 and
beyond) stays text, so that it is at fault alone. Raises one of UNREADABLE."""


def unpacker(kind: type[_Kind]) -> Callable[[bytes], _Kind]:
    """Return what reads JSON bytes as values of this kind, numbers as ``unpack`` does. It raises one of UNREADABLE."""
    return msgspec.json.Decoder(kind, float_hook=_number).decode


UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading bytes that are no JSON value raises."""


def normal(value: Any) -> Any:
    """Return ``value`` so that equal values have one form: 5900.00 and 5900 are one number, 1 and true are two values."""
    if isinstance(value, Decimal):
        if value.adjusted() >= LONGEST:
            return value.normalize(WIDE)
        return int(value) if value == value.to_integral_value() else value.normalize(WIDE)
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items()}
    return value


def digest(value: Any) -> str:
    """Return 16 hexadecimal characters that stand for ``value``; equal values have equal digests."""
    return _digest_of_compound(value) if isinstance(value, (list, dict)) else _digest_of_scalar(value)


def _digest_of_compound(value: Any) -> str:
    return hashlib.blake2b(_encoder.encode(normal(value)), digest_size=8).hexdigest()


_digest_of_scalar = lru_cache(maxsize=8192, typed=True)(_digest_of_compound)  # it is asked again for each system that holds the value


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same: numbers by amount, booleans never equal to numbers, lists and objects in depth."""
    if one is other:
        return True
    if type(one) is str:
        return bool(one == other)
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, (list, dict)):
        return type(one) is type(other) and bool(normal(one) == normal(other))
    return bool(one == other)
