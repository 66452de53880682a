"""The property of every test here: any input ends soon, in a result or in an error of the bridge that a person can act on."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from erpcrm_bridge.errors import BridgeError, ConfigError

T = TypeVar("T")
SOAK = bool(os.environ.get("ERPCRM_SOAK"))
searched = settings(
    derandomize=not SOAK, max_examples=3_000 if SOAK else 60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

NASTY_TEXTS = [
    "",
    " ",
    "\0",
    "\n",
    "\r",
    "\t",
    "\x1b[31mred",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202eabc",
    "\ufeff",
    "\u212a",
    "ﬁeld",
    "𝐧𝐚𝐦𝐞",
    "__class__",
    "__import__('os').system('true')",
    "None",
    "lambda",
    "import os",
    "v",
    "o",
    "errors",
    "'",
    '"',
    "\\",
    "'''",
    "'] + exit(1) + ['",
    ")]+exit(1)#",
    "{0}",
    "{name.__class__}",
    "%s%n",
    "${env:HOME}",
    "${env:NOT_THERE}",
    "${file:/dev/zero}",
    "${file:../../../etc/shadow}",
    "$connection.x",
    "$foo",
    "../../../etc/passwd",
    "/dev/zero",
    "a" * 300,
    "a" * 5_000,
    "9" * 400 + "h",
    "nan%",
    "%Y%m%d %d",
    "(((((",
    "(a+)+$",
    "-1",
    "1e999999999",
]
nasty_text = st.sampled_from(NASTY_TEXTS) | st.text(max_size=8)
nasty_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**29), 10**29) | st.sampled_from(["0.5", "1.25"]) | nasty_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(nasty_text, inner, max_size=3),
    max_leaves=5,
)


class Hung(BaseException):
    """It did not end in time."""


@contextmanager
def soon(seconds: float = 5.0) -> Iterator[None]:
    """Raise Hung inside, also out of a blocking call, when ``seconds`` have passed."""

    def ring(number: int, frame: Any) -> None:
        raise Hung(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ending(act: Callable[[], T], *, seconds: float = 5.0) -> T | BridgeError:
    """Return what ``act`` gives, or the bridge's error that it raises; any other end fails the test."""
    with soon(seconds):
        try:
            return act()
        except BridgeError as error:
            told(error)
            return error


def refused(act: Callable[[], Any], *, seconds: float = 5.0) -> BridgeError:
    """Return the error in which ``act`` must end."""
    found = ending(act, seconds=seconds)
    assert isinstance(found, BridgeError), found
    return found


def told(error: BridgeError) -> None:
    """A message is a sentence with a way out, or complaints with their places; it is no dump of Python."""
    assert error.message.strip()
    complaints = error.complaints if isinstance(error, ConfigError) else ()
    assert complaints or error.way_out or not isinstance(error, ConfigError)
    for complaint in complaints:
        assert complaint.what.strip()
        assert complaint.file
        assert (complaint.line > 0) == (complaint.column > 0)
    assert not re.search(r"Traceback|object at 0x|input_value=", str(error))


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """Return ``value`` (plain data) with one to three parts of it replaced, renamed, doubled or taken out."""
    for _ in range(draw(st.integers(1, 3))):
        value = _alter(draw, value)
    return value


def _alter(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, (dict, list)) or not value or draw(st.integers(0, 7)) == 0:
        return draw(nasty_value)
    if isinstance(value, list):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _alter(draw, value[place]), *value[place + 1 :]]
    name = draw(st.sampled_from(sorted(value, key=str)))
    match draw(st.sampled_from(["into", "into", "into", "rename", "remove", "add"])):
        case "into":
            return {**value, name: _alter(draw, value[name])}
        case "rename":
            return {draw(nasty_text) if key == name else key: item for key, item in value.items()}
        case "remove":
            return {key: item for key, item in value.items() if key != name}
    return {**value, draw(nasty_text): draw(nasty_value)}
