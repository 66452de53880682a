"""What a connector must pass.

An author subclasses nothing. They write a ``Bench``: a clean system with the connector on it, samples, and what other people do there;
and one line in a test file::

    test_conformance = conformance_tests(MyBench)          # MyBench() is called once for each check, and closed

``erpcrm_bridge.testing.bench`` is a whole one, with every extra; begin with the members of ``Bench`` and add extras one by one.

Beyond ``Bench``, each small protocol of this module that the bench has the methods of (``WithDocuments``, ``WithMoves``,
``LosesAnswers``, ``ActsBeforeTheWrite`` …) brings its checks along; those that it has not are skipped and named. What a system offers
and the bench cannot produce is not proved: give the bench as many as its system allows.

A check is a function of a bench that raises AssertionError with a sentence: what the connector did, and which rule that breaks.
"""

# ruff: noqa: S101 - an AssertionError is this kit's verdict; Check.run refuses to run where asserts are compiled away
# mypy: disable-error-code="type-abstract"
# (the protocols of a bench are handed about as values, to ask whether it has them)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import (
    Applied,
    Capabilities,
    Change,
    Connector,
    Deferred,
    Field,
    ListsKeys,
    ListWrite,
    Outcome,
    Page,
    Question,
    Record,
    Rejected,
    Selection,
    Stale,
    Stream,
    Unknown,
    Write,
)
from erpcrm_bridge.errors import BridgeError, CursorExpired, InputError, PermissionDenied, SchemaDrift, TransientError, UsageError
from erpcrm_bridge.model.values import Fields, same

_MOST_PAGES = 10_000


class Bench(Protocol):
    """A clean system, the connector on it, and the other people in it.

    ``selection`` is the stream to be checked, with an external id where the system has one. ``offered`` is what the *system* offers
    there, from its own documentation: a connector that declares less fails. ``samples`` are at least three valid records of the
    selection's fields (key and external id left out; fields that a create may not name, too), in the form in which the system holds
    them, so that what is written is what is held: let them carry the edge values that the system knows (0, "", false, null, a long
    text, other scripts, an amount of 17 digits). Any field's value in one sample must be valid in another. ``another(n)`` is one more
    valid record, different for each n. ``several_pages`` is a number of records that fills at least three pages of ``read_changes``.
    ``refusal`` is a field, and a value that the system refuses for it. Other people are not the bridge: ``create``, ``edit`` and
    ``delete`` go past the connector.
    """

    selection: Selection
    offered: Capabilities
    samples: Sequence[Fields]
    several_pages: int
    refusal: tuple[str, Any]

    def clean(self) -> Connector:
        """Return a connector on a system without records of the stream. Called once, first."""

    def reconnect(self) -> Connector:
        """Return a second connector on the same system, as it now stands."""

    def another(self, number: int) -> Fields:
        """Return one more valid record, different for each number."""

    def create(self, fields: Fields) -> str:
        """Another user makes a record; return its key."""

    def edit(self, key: str, fields: Fields) -> None:
        """Another user changes fields of a record."""

    def delete(self, key: str) -> None:
        """Another user deletes a record."""

    def close(self) -> None:
        """Close the connectors given out, and let go of the system."""


@runtime_checkable
class ActsBeforeTheWrite(Protocol):
    """The bench can act at the worst moment: after any re-read of the connector's, just before the system's own write."""

    def before_the_write(self, act: Callable[[], object]) -> None:
        """At the next write, call ``act`` just before the system does it."""


@runtime_checkable
class LosesAnswers(Protocol):
    """The bench can lose an answer."""

    def lose_the_answer(self) -> None:
        """The next write is done, and its answer lost."""


@runtime_checkable
class Throttles(Protocol):
    """The bench can refuse reading for a while."""

    def throttle(self, after: int) -> None:
        """Refuse, for a while, the calls that read changes, from the one after the next ``after`` on."""


@runtime_checkable
class HidesFields(Protocol):
    """The bench can take a right away."""

    def hide(self, field: str) -> None:
        """The connector's credential may no longer read ``field``."""


@runtime_checkable
class HidesRecords(Protocol):
    """The bench can take away the right to some records, or make it untellable how they stand."""

    def hide_records(self, keys: Sequence[str]) -> None:
        """The connector can no longer read these; they are there all the same."""


@runtime_checkable
class Normalises(Protocol):
    """The system keeps some values otherwise than they were written."""

    normalised: tuple[str, Any, Any]
    """A field, a value to write, and the value that is then held (another one)."""


@runtime_checkable
class Merges(Protocol):
    """The system can merge two records, and its stream tells which one stayed."""

    def merge(self, loser: str, winner: str) -> None:
        """Another user merges ``loser`` into ``winner``."""


@runtime_checkable
class Restores(Protocol):
    """A deleted record can be brought back under its key."""

    def restore(self, key: str) -> None:
        """Another user brings a deleted record back."""


@runtime_checkable
class HoldsSecrets(Protocol):
    """The connection has secrets."""

    secrets: tuple[str, ...]


class ListSamples(Struct, frozen=True):
    """A list of a document: its external ``name`` (of a child: its stream), the ``key`` field of its rows, at least three valid and
    different ``rows`` without keys in the form in which they are held, and a ``change``: a field, and another valid value for it."""

    name: str
    key: str
    rows: tuple[Fields, ...]
    change: tuple[str, Any]


@runtime_checkable
class WithDocuments(Protocol):
    """The stream's records are documents. ``selection`` reads their lists."""

    lists: tuple[ListSamples, ...]

    def edit_line(self, key: str, name: str, line: str, fields: Fields) -> None:
        """Another user changes a row (by its key) of the list ``name`` of the document ``key``, and nothing else of it."""


class MoveSamples(Struct, frozen=True):
    """A state field: a fresh record's state ``start`` (a sample becomes such a record), a state ``next`` that a move leads to from there,
    and one, ``beyond``, that no declared move reaches from ``start``."""

    field: str
    start: str
    next: str
    beyond: str


@runtime_checkable
class WithMoves(Protocol):
    """The stream has a state field."""

    moves: MoveSamples


class NotOffered(Exception):
    """The bench, or the system, has not what this check is about."""


class Check(Struct, frozen=True):
    """One rule, by the name of the fact it proves."""

    name: str
    function: Callable[[Bench], None]

    def run(self, bench: Bench) -> None:
        """Raise AssertionError where the connector breaks the rule, NotOffered where the bench cannot show it, and UsageError under
        ``python -O``, where nothing would be checked."""
        if not __debug__:
            raise UsageError("The conformance kit proves nothing without assert statements.", way_out="Run it without -O.")
        try:
            self.function(bench)
        except (AssertionError, NotOffered):
            raise
        except BridgeError as error:
            raise AssertionError(f"{self.name}: the connector raised {type(error).__name__}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{self.name}: connector or bench broke down with {type(error).__name__}, see the cause above.") from error


_checks: list[Check] = []


def _check(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
    _checks.append(Check(function.__name__, function))
    return function


def checks() -> list[Check]:
    """Return all checks, in the order in which an author is best served."""
    return list(_checks)


def conformance_tests(bench: Callable[[], Bench]) -> Callable[[Check], None]:
    """Return a test function for pytest, one case a check. ``bench`` is called for each and must give a clean one."""
    import pytest

    @pytest.mark.parametrize("check", checks(), ids=lambda check: check.name)
    def conforms(check: Check) -> None:
        present = bench()
        try:
            check.run(present)
        except NotOffered as reason:
            pytest.skip(str(reason))
        finally:
            present.close()

    return conforms


# -- reading ------------------------------------------------------------------------------------------------------------------------


@_check
def describes_its_system_truthfully(bench: Bench) -> None:
    """Identity, streams and fields are there, and are the same for a second connector."""
    connector = bench.clean()
    said = connector.describe()
    assert said.identity, "describe() gives no identity of the system: links hang on it."
    assert said.identity == bench.reconnect().describe().identity, "A second connector on the same system tells another identity."
    for stream, names in _asked_streams(bench.selection).items():
        assert stream in said.streams, f"describe() does not name the stream {stream}."
        shape = said.streams[stream].fields
        for name in names:
            assert name in shape, f"describe() does not name the field {stream}.{name}, which is read."
            assert shape[name].name == name, f"The field {stream}.{name} is described under the name {shape[name].name}."
            assert shape[name].readable, f"The field {stream}.{name} is delivered, and described as not readable."
    able = said.streams[bench.selection.stream].capabilities
    assert able.max_batch >= 1, "max_batch must be at least one."
    assert able.conditional or able.window, "A stream without conditional writes says its window in words (L5)."
    assert not able.create or able.upsert or able.find, "A stream that can neither upsert nor find may not be created into (L3)."


@_check
def declares_no_less_than_the_system_offers(bench: Bench) -> None:
    bench.clean()
    said = _able(bench)
    for name in (
        "create",
        "update",
        "delete",
        "reports_deletes",
        "lists_keys",
        "tells_gone",
        "conditional",
        "upsert",
        "find",
        "version_exact",
    ):
        if getattr(bench.offered, name):
            assert getattr(said, name), f"The system offers {name}, and the connector does not declare it."
    assert (bench.offered.incremental, said.incremental) != ("log", "full"), (
        "The system keeps a change log, and the connector reads in full."
    )
    assert said.max_batch >= min(bench.offered.max_batch, 200), "The system takes greater batches than the connector declares."
    for field, moves in bench.offered.moves.items():
        for state, reached in moves.items():
            missing = set(reached) - set(said.moves.get(field, {}).get(state, ()))
            assert not missing, f"The system has moves of {field} that the connector does not declare: {len(missing)} from one state."


@_check
def reads_the_whole_stream(bench: Bench) -> None:
    """A read from nowhere delivers each record, as it stands, and no other."""
    connector = bench.clean()
    made = _fill(bench)
    pages = _pages(connector, bench.selection, None)
    delivered = _states(pages)
    live = {key for key, change in delivered.items() if change.record}
    assert live >= made.keys(), f"{len(made.keys() - live)} of {len(made)} records were in no page of a full read."
    assert live <= made.keys(), f"A full read delivered {len(live - made.keys())} records that do not exist."
    for key, fields in made.items():
        _holds(_record_of(delivered[key]), fields)


@_check
def delivers_what_was_asked_and_nothing_else(bench: Bench) -> None:
    """Every asked field is there, whatever it holds; a field that was not asked is not (L11)."""
    connector = bench.clean()
    made = _fill(bench, 3)
    some = msgspec.structs.replace(bench.selection, fields=bench.selection.fields[:2], children=())
    for selection in (bench.selection, some):
        asked = {*selection.fields, *(child.stream for child in selection.children)}
        for record in [*_live(_pages(connector, selection, None)), *connector.read(selection, list(made))]:
            assert set(record.fields) >= asked, f"Fields that were asked for are not delivered: {sorted(asked - set(record.fields))}."
            assert set(record.fields) <= asked, f"Fields that were not asked for are delivered: {sorted(set(record.fields) - asked)}."


@_check
def tells_the_kinds_of_empty_apart(bench: Bench) -> None:
    """null, "", 0 and false are four values, and come as they are held."""
    connector = bench.clean()
    made = {bench.create(sample): sample for sample in bench.samples}
    for record in connector.read(bench.selection, list(made)):
        _holds(record, made[record.key])


@_check
def values_are_of_their_described_types(bench: Bench) -> None:
    """Numbers are integers or Decimals, never floats; a value fits the field that describe() tells of."""
    connector = bench.clean()
    made = _fill(bench, 3)
    shape = connector.describe().streams[bench.selection.stream].fields
    for record in [*_live(_pages(connector, bench.selection, None)), *connector.read(bench.selection, list(made))]:
        for name in bench.selection.fields:
            assert name in record.fields, f"{name} was asked for and is not delivered."
            value = record.fields[name]
            assert _plain(value), (
                f"{name} comes as a {type(value).__name__}: values are null, boolean, integer, Decimal, text, list, object."
            )
            assert value is None or _fits(shape[name], value), f"{name} is described as {shape[name].type}, and comes otherwise."


@_check
def reads_on_from_each_pages_cursor(bench: Bench) -> None:
    """Whichever page's cursor a read starts from, nothing of the later pages is left out."""
    connector = bench.clean()
    _fill(bench)
    pages = _pages(connector, bench.selection, None)
    assert len(pages) >= 3, f"{bench.several_pages} records came in {len(pages)} pages: the bench must fill three."
    for number, page in enumerate(pages):
        later = {change.key for after in pages[number + 1 :] for change in after.changes}
        again = set(_states(_pages(connector, bench.selection, page.cursor)))
        assert later <= again, f"A read from the cursor of page {number + 1} leaves out {len(later - again)} records of later pages."


@_check
def reads_what_changed_since_a_cursor(bench: Bench) -> None:
    """Edits, new records and deletes after a cursor are in the pages read from it; no deleted record is delivered as if it were there."""
    connector = bench.clean()
    keys = list(_fill(bench, 4))
    cursor = _pages(connector, bench.selection, None)[-1].cursor
    edited = _another_value(bench, bench.samples[0])
    bench.edit(keys[0], edited)
    bench.delete(keys[1])
    new = bench.another(500)
    made = bench.create(new)
    _changed_since(bench, connector, cursor, {keys[0]: edited, made: new}, keys[1])


@_check
def a_cursor_outlives_its_connector(bench: Bench) -> None:
    connector = bench.clean()
    keys = list(_fill(bench, 4))
    cursor = _pages(connector, bench.selection, None)[-1].cursor
    connector.close()
    edited = _another_value(bench, bench.samples[0])
    bench.edit(keys[0], edited)
    bench.delete(keys[1])
    _changed_since(bench, bench.reconnect(), cursor, {keys[0]: edited}, keys[1])


@_check
def a_cursor_that_it_does_not_know_loses_nothing(bench: Bench) -> None:
    """CursorExpired, or the whole stream: never the silence that would be taken for "nothing changed"."""
    connector = bench.clean()
    made = _fill(bench, 2)
    try:
        pages = _pages(connector, bench.selection, "no cursor of this system")
    except CursorExpired:
        return
    assert _states(pages).keys() >= made.keys(), "A read from a cursor that is none ended without an error, and left records out."


@_check
def a_quiet_stream_still_gives_a_cursor(bench: Bench) -> None:
    """A read that finds nothing yields a page: from its cursor later changes are read."""
    connector = bench.clean()
    first = _pages(connector, bench.selection, None)[-1].cursor
    fields = bench.another(1)
    key = bench.create(fields)
    pages = _pages(connector, bench.selection, first)
    assert key in _states(pages), "A record made after a read of an empty stream is not in the next one."
    again = _pages(connector, bench.selection, pages[-1].cursor)
    edited = _another_value(bench, fields)
    bench.edit(key, edited)
    _holds(_record_of(_states(_pages(connector, bench.selection, again[-1].cursor))[key]), edited)


@_check
def loses_nothing_to_people_who_work_meanwhile(bench: Bench) -> None:
    """Edits, new and deleted records between two pages are delivered in this read or from its cursors."""
    connector = bench.clean()
    made = _fill(bench)
    reading = iter(connector.read_changes(bench.selection, None))
    first = next(reading)
    delivered = {change.key for change in first.changes}
    rest = [key for key in made if key not in delivered]
    early, late = next(iter(delivered)), rest[-1]
    edited = _another_value(bench, made[early])
    bench.edit(early, edited)
    bench.edit(late, _another_value(bench, made[late]))
    bench.edit(late, made[late])
    new = bench.another(600)
    key = bench.create(new)
    pages = [first, *_bounded(reading)]
    for cursor in {page.cursor for page in pages}:
        states = _states([*pages, *_pages(connector, bench.selection, cursor)])
        assert made.keys() | {key} <= states.keys(), "A record was in no page, though it was there all along."
        _holds(_record_of(states[early]), edited)
        _holds(_record_of(states[late]), made[late])
        _holds(_record_of(states[key]), new)


@_check
def complete_means_that_nothing_was_left_out(bench: Bench) -> None:
    """Only the last page may be complete, and only where every record that existed throughout was in the read (L8)."""
    connector = bench.clean()
    made = _fill(bench)
    whole = _pages(connector, bench.selection, None)
    assert not any(page.complete for page in whole[:-1]), "A page that is not the last one says complete."
    _complete_is_true(_pages(connector, bench.selection, whole[0].cursor), set(made), "a read from the first page's cursor")
    _complete_is_true(_pages(connector, bench.selection, whole[-1].cursor), set(made), "a read from the last page's cursor")
    reading = iter(connector.read_changes(bench.selection, None))
    first = next(reading)
    for change in first.changes:
        bench.delete(change.key)
    throughout = set(made) - {change.key for change in first.changes}
    _complete_is_true([first, *_bounded(reading)], throughout, "a full read, some records of which were deleted meanwhile,")


@_check
def a_listing_stream_says_when_it_was_read_whole(bench: Bench) -> None:
    connector = bench.clean()
    if not _able(bench).lists_keys:
        raise NotOffered("the stream's full reads are not bracketed")
    made = _fill(bench)
    pages = _pages(connector, bench.selection, None)
    assert pages[-1].complete, "lists_keys is declared, and the last page of a quiet full read does not say complete."
    if isinstance(connector, ListsKeys):
        listed = {key for keys in connector.keys(bench.selection) for key in keys}
        assert listed == set(made), "keys() does not list the keys of the stream."


@_check
def read_leaves_out_what_is_not_there(bench: Bench) -> None:
    connector = bench.clean()
    keys = list(_fill(bench, 3))
    bench.delete(keys[0])
    records = connector.read(bench.selection, keys)
    assert sorted(record.key for record in records) == sorted(keys[1:]), (
        "read() must return the records that exist, once each, and no other."
    )
    assert connector.read(bench.selection, []) == [], "read() of no keys must return nothing."


@_check
def read_tells_the_present_state(bench: Bench) -> None:
    """read() asks the system: an edit made just now is in it."""
    connector = bench.clean()
    fields = dict(bench.samples[0])
    key = bench.create(fields)
    _pages(connector, bench.selection, None)
    _one(connector, bench.selection, key)
    edited = _another_value(bench, fields)
    bench.edit(key, edited)
    _holds(_one(connector, bench.selection, key), edited)


@_check
def versions_move_with_their_records(bench: Bench) -> None:
    """One state has one version, however it is read; a changed record has another."""
    connector = bench.clean()
    made = _fill(bench, 2)
    key = next(iter(made))
    paged = _record_of(_states(_pages(connector, bench.selection, None))[key])
    before = _one(connector, bench.selection, key)
    assert paged.version == before.version, "read() and read_changes() tell different versions of one state."
    bench.edit(key, _another_value(bench, made[key]))
    assert _one(connector, bench.selection, key).version != before.version, "A record was changed, and its version is the same."


@_check
def a_field_that_may_not_be_read_is_never_null(bench: Bench) -> None:
    bench.clean()
    offers = _has(bench, HidesFields)
    name, sample = _cleared(bench)
    key = bench.create(sample)
    offers.hide(name)
    connector = bench.reconnect()
    for reading in (
        lambda: _pages(connector, bench.selection, None),
        lambda: connector.read(bench.selection, [key]),
    ):
        try:
            reading()
        except (PermissionDenied, SchemaDrift):
            continue
        raise AssertionError(f"{name} may not be read, and the connector delivers records: not permitted is not null (L11).")


@_check
def records_that_may_not_be_read_are_named(bench: Bench) -> None:
    """What is not permitted is neither missing nor a trouble of its neighbours."""
    connector = bench.clean()
    offers = _has(bench, HidesRecords)
    keys = list(_fill(bench, 4))
    bench.delete(keys[3])
    offers.hide_records(keys[1:3])
    if not _able(bench).tells_gone:
        assert [record.key for record in connector.read(bench.selection, keys)] == keys[:1], "read() must leave out what it cannot see."
        return
    named = None
    try:
        connector.read(bench.selection, keys)
    except (PermissionDenied, InputError) as error:
        named = sorted(error.keys)
    assert named is not None, "A record that may not be read was left out as if it were not there: tells_gone says otherwise (L8)."
    assert named == sorted(keys[1:3]), "The error must name every key that may not be read, and no other."
    read = [record.key for record in connector.read(bench.selection, [keys[0], keys[3]])]
    assert read == keys[:1], "Without the keys that may not be read, read() must answer."


@_check
def a_read_that_fails_says_so(bench: Bench) -> None:
    """A refusal in the middle of paging is a TransientError, never the end of the stream."""
    connector = bench.clean()
    offers = _has(bench, Throttles)
    made = _fill(bench)
    offers.throttle(1)
    try:
        pages = _pages(connector, bench.selection, None)
    except TransientError:
        return
    assert _states(pages).keys() >= made.keys(), "The system refused to answer in the middle of a read, and the read ended as if whole."


@_check
def tells_where_a_merged_record_went(bench: Bench) -> None:
    connector = bench.clean()
    offers = _has(bench, Merges)
    if not _able(bench).reports_deletes:
        raise NotOffered("the stream tells nothing of records that are gone")
    loser, winner = list(_fill(bench, 2))
    cursor = _pages(connector, bench.selection, None)[-1].cursor
    offers.merge(loser, winner)
    change = _states(_pages(connector, bench.selection, cursor)).get(loser)
    assert change is not None, "A record was merged into another, and no change tells of it."
    assert change.record is None, "A record was merged into another, and is delivered as if it were there."
    assert change.merged_into == winner, "A merged record's change does not name the one that took its place."


@_check
def a_restored_record_comes_back(bench: Bench) -> None:
    connector = bench.clean()
    offers = _has(bench, Restores)
    ((key, fields),) = _fill(bench, 1).items()
    bench.delete(key)
    cursor = _pages(connector, bench.selection, None)[-1].cursor
    offers.restore(key)
    change = _states(_pages(connector, bench.selection, cursor)).get(key)
    assert change is not None, "A deleted record was brought back, and no change tells of it."
    _holds(_record_of(change), fields)


# -- finding ------------------------------------------------------------------------------------------------------------------------


@_check
def finds_by_values_what_is_there_now(bench: Bench) -> None:
    """All named fields must match; each question has its answer; new, edited and deleted records are seen at once."""
    connector = bench.clean()
    if not _able(bench).find:
        raise NotOffered("the stream cannot be searched")
    one, other = bench.another(1), bench.another(2)
    names = [name for name in one if one[name] is not None and not same(one[name], other[name])][:2]
    question = Question("one", {name: one[name] for name in names})
    nobody = Question("nobody", {name: bench.another(9)[name] for name in names})
    found = connector.find(bench.selection, [question, nobody])
    assert set(found) == {"one", "nobody"}, "find() must answer each question, by its ref."
    assert found["one"].keys == (), "find() found a record in an empty stream."
    key = bench.create(one)
    beside = bench.create({**other, names[0]: one[names[0]]})
    assert set(connector.find(bench.selection, [question])["one"].keys) == ({key} if len(names) > 1 else {key, beside}), (
        "find() must return just the records that hold all the values asked for, new ones at once."
    )
    bench.edit(key, {names[0]: other[names[0]]})
    assert key not in connector.find(bench.selection, [question])["one"].keys, "find() returned a record that no longer holds the value."
    bench.delete(beside)
    assert connector.find(bench.selection, [question])["one"].keys == (), "find() returned a record that was deleted."


@_check
def finds_by_reference_what_it_created(bench: Bench) -> None:
    connector = bench.clean()
    external = _referenced(bench)
    question = Question("q", {external: "G0000000000001"})
    assert connector.find(bench.selection, [question])["q"].keys == (), "find() found a reference that nobody wrote."
    key = _applied(_write(bench, connector, _create(bench.samples[0], "w", "G0000000000001"))["w"]).key
    for asked in (connector, bench.reconnect()):
        found = asked.find(bench.selection, [question])["q"].keys
        assert found == (key,), "A record that was just created is not found by its reference."
    bench.delete(key)
    assert connector.find(bench.selection, [question])["q"].keys == (), "A deleted record is found by its reference."


# -- writing ------------------------------------------------------------------------------------------------------------------------


@_check
def creates_hold_what_was_written(bench: Bench) -> None:
    """Each sample that is created is held as it was given, edge values and null included, and comes as a change."""
    connector = _creating(bench)
    cursor = _pages(connector, bench.selection, None)[-1].cursor
    writes = [_create(sample, f"w{number}", f"G000000000000{number}") for number, sample in enumerate(bench.samples)]
    outcomes = _write(bench, connector, *writes)
    changed = _states(_pages(connector, bench.selection, cursor))
    for write in writes:
        key = _applied(outcomes[write.ref]).key
        _holds(_one(bench.reconnect(), bench.selection, key), write.fields)
        assert key in changed, "A record that the bridge created is not among the changes."


@_check
def each_write_has_one_outcome(bench: Bench) -> None:
    """A full batch of updates: one outcome each, by its ref."""
    connector = _updating(bench)
    size = min(_able(bench).max_batch, 25)
    keys = [bench.create(bench.another(number)) for number in range(size)]
    records = {record.key: record for record in connector.read(bench.selection, keys)}
    writes = [_update(records[key], _another_value(bench, bench.another(number)), f"w{number}") for number, key in enumerate(keys)]
    for write, outcome in zip(writes, _write(bench, connector, *writes).values(), strict=True):
        assert _applied(outcome).key in keys, "An update was applied to a record that was not named."
        _holds(_one(connector, bench.selection, write.key or ""), write.fields)


@_check
def touches_only_what_a_write_names(bench: Bench) -> None:
    connector = _updating(bench)
    fields = dict(bench.samples[0])
    key = bench.create(fields)
    names = [name for name in _updatable(bench) if _values_of(bench, name, fields)]
    assert len(names) >= 2, "The bench's samples need two fields with different values."
    _pages(connector, bench.selection, None)
    theirs = {names[1]: _values_of(bench, names[1], fields)[0]}
    bench.edit(key, theirs)
    ours = {names[0]: _values_of(bench, names[0], fields)[0]}
    _applied(_write(bench, connector, _update(_one(connector, bench.selection, key), ours))["w"])
    _holds(_one(bench.reconnect(), bench.selection, key), {**fields, **theirs, **ours})


@_check
def applied_tells_what_is_held(bench: Bench) -> None:
    """An outcome's fields and version are those of a fresh read (L1)."""
    connector = _updating(bench)
    key = bench.create(bench.samples[0])
    record = _one(connector, bench.selection, key)
    fields = _another_value(bench, bench.samples[0])
    _told_as_held(bench, _applied(_write(bench, connector, _update(record, fields))["w"]), fields)
    if _able(bench).create:
        _told_as_held(bench, _applied(_write(bench, connector, _create(bench.samples[1], "c", "G0000000000001"))["c"]), bench.samples[1])


@_check
def applied_tells_what_the_system_made_of_it(bench: Bench) -> None:
    """Where the system keeps another value than was written, the outcome tells the kept one (L1)."""
    connector = _updating(bench)
    name, written, held = _has(bench, Normalises).normalised
    key = bench.create(bench.samples[0])
    outcome = _applied(_write(bench, connector, _update(_one(connector, bench.selection, key), {name: written}))["w"])
    _told_as_held(bench, outcome, {name: held})


@_check
def clearing_clears(bench: Bench) -> None:
    """null in a write empties the field, and is held as null."""
    connector = _updating(bench)
    name, fields = _cleared(bench)
    key = bench.create(fields)
    _applied(_write(bench, connector, _update(_one(connector, bench.selection, key), {name: None}))["w"])
    _holds(_one(bench.reconnect(), bench.selection, key), {**fields, name: None})


@_check
def a_repeated_create_makes_no_second_record(bench: Bench) -> None:
    """Where upsert is declared a create may be repeated; elsewhere ``find`` knows the first by its reference (L3)."""
    connector = _creating(bench)
    external = _referenced(bench)
    write = _create(bench.samples[0], "w", "G0000000000001")
    first = _applied(_write(bench, connector, write)["w"])
    if _able(bench).upsert:
        again = _applied(_write(bench, bench.reconnect(), write)["w"])
        assert again.key == first.key, "A create that was repeated under its reference made a second record."
    found = connector.find(bench.selection, [Question("q", {external: "G0000000000001"})])["q"] if _able(bench).find else None
    assert found is None or found.keys == (first.key,), "A created record is not, or not alone, found by its reference."
    there = _live(_pages(connector, bench.selection, None))
    assert {record.key for record in there} == {first.key}, "There is more than the one record that was created."


@_check
def an_update_never_creates(bench: Bench) -> None:
    """The update of a deleted record is Stale and gone, or Rejected; the record stays deleted (L3)."""
    connector = _updating(bench)
    sample = dict(bench.samples[0])
    key = bench.create(sample)
    beside = bench.create(bench.another(3))
    record = _one(connector, bench.selection, key)
    bench.delete(key)
    for write in (
        _update(record, _another_value(bench, sample)),
        Write("w", "update", key, _another_value(bench, sample), reference="G0000000000001"),
    ):
        outcome = _write(bench, connector, write)["w"]
        gone = (isinstance(outcome, Stale) and outcome.gone) or isinstance(outcome, Rejected)
        assert gone, f"The update of a deleted record is {type(outcome).__name__}: it must be Stale with gone, or Rejected."
        there = {record.key for record in _live(_pages(bench.reconnect(), bench.selection, None))}
        assert there == {beside}, "The update of a deleted record made a record."


@_check
def an_edit_since_the_read_makes_a_write_stale(bench: Bench) -> None:
    """Someone changed the field after the bridge read it: the write is Stale, and the edit stays (L5)."""
    connector = _updating(bench)
    fields = dict(bench.samples[0])
    key = bench.create(fields)
    name, ours, theirs = _two_values(bench, fields)
    record = _one(connector, bench.selection, key)
    bench.edit(key, {name: theirs})
    _is_stale(bench, connector, _update(record, {name: ours}), {**fields, name: theirs})


@_check
def a_conditional_write_has_no_window(bench: Bench) -> None:
    """Where conditional writes are declared, an edit at the very last moment makes the write Stale too."""
    connector = _updating(bench)
    offers = _has(bench, ActsBeforeTheWrite)
    if not _able(bench).conditional:
        raise NotOffered("the stream has no conditional writes")
    fields = dict(bench.samples[0])
    key = bench.create(fields)
    name, ours, theirs = _two_values(bench, fields)
    record = _one(connector, bench.selection, key)
    offers.before_the_write(lambda: bench.edit(key, {name: theirs}))
    _is_stale(bench, connector, _update(record, {name: ours}), {**fields, name: theirs})


@_check
def a_bad_write_harms_no_neighbour(bench: Bench) -> None:
    """One refused write in a batch leaves the others applied (L9), and itself wholly undone."""
    connector = _updating(bench)
    name, bad = bench.refusal
    samples = [bench.another(number) for number in range(3)]
    keys = [bench.create(sample) for sample in samples]
    records = {record.key: record for record in connector.read(bench.selection, keys)}
    changes = [_another_value(bench, sample, but=name) for sample in samples]
    changes[1] = {**changes[1], name: bad}
    writes = [_update(records[key], change, key) for key, change in zip(keys, changes, strict=True)]
    outcomes = _write(bench, connector, *writes)
    assert isinstance(outcomes[keys[1]], Rejected), f"A refused value's write is {type(outcomes[keys[1]]).__name__}, not Rejected."
    for place in (0, 2):
        _applied(outcomes[keys[place]])
        _holds(_one(connector, bench.selection, keys[place]), changes[place])
    _holds(_one(connector, bench.selection, keys[1]), samples[1])


@_check
def a_rejection_names_the_field(bench: Bench) -> None:
    connector = bench.clean()
    name, bad = bench.refusal
    able = _able(bench)
    writes: list[Write] = []
    if able.update:
        key = bench.create(bench.samples[0])
        writes.append(_update(_one(connector, bench.selection, key), {name: bad}))
    if able.create:
        writes.append(_create({**bench.another(3), name: bad}, "w", "G0000000000001"))
    before = len(_live(_pages(connector, bench.selection, None)))
    for write in writes:
        outcome = _write(bench, connector, write)["w"]
        assert isinstance(outcome, Rejected), f"A refused value's {write.operation} is {type(outcome).__name__}, not Rejected."
        assert outcome.field == name, "A rejection must name the field at fault, where the system tells it."
        assert outcome.reason, "A rejection must carry the system's own sentence."
    assert len(_live(_pages(connector, bench.selection, None))) == before, "A create that was refused made a record."


@_check
def a_lost_answer_is_unknown(bench: Bench) -> None:
    """Done, and the answer lost: Unknown, never Applied or Rejected; and what was created is found (L3)."""
    connector = _creating(bench)
    offers = _has(bench, LosesAnswers)
    offers.lose_the_answer()
    outcome = _write(bench, connector, _create(bench.samples[0], "w", "G0000000000001"))["w"]
    assert isinstance(outcome, Unknown), f"The answer was lost, and the outcome is {type(outcome).__name__}: nobody knows that."
    if bench.selection.external_id and _able(bench).find:
        found = connector.find(bench.selection, [Question("q", {bench.selection.external_id: "G0000000000001"})])["q"].keys
        assert len(found) == 1, "A record whose create was not answered is not found by its reference."


@_check
def deletes_and_tells_so(bench: Bench) -> None:
    connector = bench.clean()
    if not _able(bench).delete:
        raise NotOffered("records of the stream cannot be deleted")
    made = _fill(bench, 2)
    key, beside = made
    record = _one(connector, bench.selection, key)
    write = Write("w", "delete", key, {}, version=record.version, expect=record.fields)
    outcome = _applied(_write(bench, connector, write)["w"])
    assert (outcome.key, outcome.fields) == (key, {}), "The outcome of a delete names its key and holds no fields."
    assert [left.key for left in bench.reconnect().read(bench.selection, [key, beside])] == [beside], (
        "A delete must delete its record alone."
    )
    again = _write(bench, connector, write)["w"]
    assert isinstance(again, Stale) and again.gone, "The delete of a deleted record must be Stale with gone."  # noqa: PT018 - one fact


@_check
def a_delete_spares_what_was_edited(bench: Bench) -> None:
    """A delete rests on a state: a record that was changed since is not deleted (L5)."""
    connector = bench.clean()
    if not _able(bench).delete:
        raise NotOffered("records of the stream cannot be deleted")
    fields = dict(bench.samples[0])
    key = bench.create(fields)
    record = _one(connector, bench.selection, key)
    edited = _another_value(bench, fields)
    bench.edit(key, edited)
    write = Write("w", "delete", key, {}, version=record.version, expect=record.fields)
    _is_stale(bench, connector, write, {**fields, **edited})


# -- documents ----------------------------------------------------------------------------------------------------------------------


@_check
def documents_are_created_whole(bench: Bench) -> None:
    """A create writes its lists; the outcome tells each new row's key by its line id."""
    connector = _creating(bench)
    lists = _has(bench, WithDocuments).lists
    outcome = _document(bench, connector)
    for sample in lists:
        rows = _rows(bench, outcome.key, sample)
        keys = outcome.line_keys.get(sample.name, {})
        assert set(keys) == {"L0", "L1"}, "The outcome must tell the keys of the rows added, by line id."
        assert len(rows) == 2, f"A document was created with two rows of {sample.name}, and has {len(rows)}."
        for number in (0, 1):
            assert keys[f"L{number}"] in rows, "line_keys names a row that the document does not have."
            _holds_row(rows[keys[f"L{number}"]], sample.rows[number])
        told = {row[sample.key]: row for row in outcome.fields[sample.name]}
        assert told.keys() == rows.keys(), "Applied.fields does not tell the rows that are held."


@_check
def rows_are_added_changed_and_removed_by_key(bench: Bench) -> None:
    """One write may do all three; rows that it does not name stay as they are."""
    connector = _creating(bench)
    for number, sample in enumerate(_has(bench, WithDocuments).lists):
        document = _document(bench, connector, number)
        lines = document.line_keys[sample.name]
        field, value = sample.change
        said = ListWrite(add={"L2": sample.rows[2]}, change={lines["L0"]: {field: value}})
        changed = _applied(_write(bench, connector, _list_update(document, sample, said))["w"])
        rows = _rows(bench, document.key, sample)
        new = changed.line_keys[sample.name]["L2"]
        assert rows.keys() == {*lines.values(), new}, "A row was added, and the document has other rows than before and the new one."
        _holds_row(rows[lines["L0"]], {**sample.rows[0], field: value})
        _holds_row(rows[lines["L1"]], sample.rows[1])
        _holds_row(rows[new], sample.rows[2])
        removed = _applied(_write(bench, connector, _list_update(changed, sample, ListWrite(remove=(lines["L0"],))))["w"])
        rows = _rows(bench, document.key, sample)
        assert rows.keys() == {lines["L1"], new}, "A row was removed by its key, and others are gone or it is still there."
        assert {row[sample.key] for row in removed.fields[sample.name]} == rows.keys(), "Applied.fields does not tell the rows left."


@_check
def a_list_can_be_written_whole(bench: Bench) -> None:
    """``replace``: known rows keep their keys, new ones are added, the others go."""
    connector = _creating(bench)
    for number, sample in enumerate(_has(bench, WithDocuments).lists):
        document = _document(bench, connector, number)
        kept = document.line_keys[sample.name]["L1"]
        rows = (("L1", {sample.key: kept, **sample.rows[1]}), ("L2", dict(sample.rows[2])))
        outcome = _applied(_write(bench, connector, _list_update(document, sample, ListWrite(replace=True, rows=rows)))["w"])
        new = outcome.line_keys.get(sample.name, {}).get("L2")
        present = _rows(bench, document.key, sample)
        assert present.keys() == {kept, new}, "A list that was written whole must have just the rows given, known ones under their keys."
        _holds_row(present[kept], sample.rows[1])
        _holds_row(present[new or ""], sample.rows[2])


@_check
def a_repeated_list_write_appends_nothing(bench: Bench) -> None:
    """The very same write again, as after a lost answer, makes no row twice, whatever its outcome."""
    connector = _creating(bench)
    for number, sample in enumerate(_has(bench, WithDocuments).lists):
        document = _document(bench, connector, number)
        write = _list_update(document, sample, ListWrite(add={"L2": sample.rows[2]}))
        _applied(_write(bench, connector, write)["w"])
        _write(bench, bench.reconnect(), write)
        there = len(_rows(bench, document.key, sample))
        assert there == 3, f"A write that adds one row to two was repeated, and the document has {there}: lists are never appended to."


@_check
def a_changed_row_is_a_change_of_its_document(bench: Bench) -> None:
    connector = _creating(bench)
    offers = _has(bench, WithDocuments)
    for number, sample in enumerate(offers.lists):
        document = _document(bench, connector, number)
        before = _one(connector, bench.selection, document.key)
        cursor = _pages(connector, bench.selection, None)[-1].cursor
        line = document.line_keys[sample.name]["L0"]
        field, value = sample.change
        offers.edit_line(document.key, sample.name, line, {field: value})
        change = _states(_pages(connector, bench.selection, cursor)).get(document.key)
        assert change is not None, f"A row of {sample.name} was changed, and no change tells of its document."
        record = _record_of(change)
        _holds_row({row[sample.key]: row for row in record.fields[sample.name]}[line], {field: value})
        if _able(bench).version_exact:
            assert record.version != before.version, "version_exact is declared, and a row changed under the same version."


@_check
def an_edited_row_makes_a_list_write_stale(bench: Bench) -> None:
    """Someone changed a row after the bridge read the document: the write is Stale, and the edit stays (L5)."""
    connector = _creating(bench)
    offers = _has(bench, WithDocuments)
    for number, sample in enumerate(offers.lists):
        document = _document(bench, connector, number)
        line = document.line_keys[sample.name]["L0"]
        field, value = sample.change
        offers.edit_line(document.key, sample.name, line, {field: value})
        write = _list_update(document, sample, ListWrite(change={line: {field: sample.rows[0][field]}}))
        outcome = _write(bench, connector, write)["w"]
        assert isinstance(outcome, Stale), f"A row was changed by someone since it was read, and the write is {type(outcome).__name__}."
        _holds_row(_rows(bench, document.key, sample)[line], {field: value})


# -- states -------------------------------------------------------------------------------------------------------------------------


@_check
def a_move_goes_one_step(bench: Bench) -> None:
    """A listed move is carried out; one that is there already is Applied and changes nothing."""
    connector = bench.clean()
    moves = _has(bench, WithMoves).moves
    key = bench.create(bench.samples[0])
    first = _applied(_write(bench, connector, _move(_one(connector, bench.selection, key), moves.field, moves.next))["w"])
    _told_as_held(bench, first, {moves.field: moves.next})
    there = _one(connector, bench.selection, key)
    for write in (_move(there, moves.field, moves.next), Write("w", "move", key, {}, move=(moves.field, moves.next))):
        again = _applied(_write(bench, connector, write)["w"])
        assert again.fields[moves.field] == moves.next, "A state that is there already must be told as held."


@_check
def an_unlisted_move_is_refused(bench: Bench) -> None:
    connector = bench.clean()
    moves = _has(bench, WithMoves).moves
    key = bench.create(bench.samples[0])
    outcome = _write(bench, connector, _move(_one(connector, bench.selection, key), moves.field, moves.beyond))["w"]
    assert isinstance(outcome, Rejected), f"A move that no call leads to is {type(outcome).__name__}, not Rejected."
    held = _one(bench.reconnect(), bench.selection, key).fields[moves.field]
    assert held == moves.start, "A refused move changed the state."


# -- manners ------------------------------------------------------------------------------------------------------------------------


@_check
def shows_no_secret(bench: Bench) -> None:
    connector = bench.clean()
    secrets = _has(bench, HoldsSecrets).secrets
    shown = [repr(connector), str(connector), repr(connector.describe())]
    shown += [repr(value) for value in vars(connector).values()] if hasattr(connector, "__dict__") else []
    for secret in secrets:
        assert all(secret not in text for text in shown), "A secret of the connection is shown by repr()."


@_check
def closes_without_complaint(bench: Bench) -> None:
    connector = bench.clean()
    key = bench.create(bench.samples[0])
    connector.read(bench.selection, [key])
    connector.close()
    left = bench.reconnect()
    assert [record.key for record in left.read(bench.selection, [key])] == [key], "After close() a new connector does not work."


# -- what the checks are written with -----------------------------------------------------------------------------------------------

T = TypeVar("T")


def _has(bench: Bench, kind: type[T]) -> T:
    """Return the bench as one that offers ``kind``. Raises NotOffered."""
    if not isinstance(bench, kind):
        raise NotOffered(f"the bench has not {kind.__name__}")
    return bench


def _able(bench: Bench) -> Capabilities:
    return _stream(bench).capabilities


def _creating(bench: Bench) -> Connector:
    connector = bench.clean()
    if not _able(bench).create:
        raise NotOffered("nothing is created in this stream")
    return connector


def _updating(bench: Bench) -> Connector:
    connector = bench.clean()
    if not _able(bench).update:
        raise NotOffered("records of this stream cannot be changed")
    return connector


def _referenced(bench: Bench) -> str:
    """Return the name of the external-id field. Raises NotOffered where creates carry no reference, or cannot be found by it."""
    able = _able(bench)
    if not (able.create and able.find and bench.selection.external_id):
        raise NotOffered("creates carry no reference that could be found")
    return bench.selection.external_id


def _asked_streams(selection: Selection) -> dict[str, tuple[str, ...]]:
    return {selection.stream: selection.fields, **{child.stream: child.fields for child in selection.children}}


def _bounded(pages: Iterator[Page]) -> list[Page]:
    taken: list[Page] = []
    for page in pages:
        taken.append(page)
        assert len(taken) < _MOST_PAGES, "read_changes() does not come to an end."
    return taken


def _pages(connector: Connector, selection: Selection, since: str | None) -> list[Page]:
    pages = _bounded(iter(connector.read_changes(selection, since)))
    assert pages, "read_changes() must yield at least one page, for its cursor."
    assert all(page.cursor for page in pages), "Each page must have a cursor."
    assert not any(page.problems for page in pages), "Records of the bench are told as problems."
    for page in pages:
        told, plain = page.heads, msgspec.structs.replace(page, changes=list(page.changes)).heads
        assert (list(told[0]), list(told[1])) == plain, "A page tells other keys or versions than its records have."
    return pages


def _states(pages: Sequence[Page]) -> dict[str, Change]:
    """Return each key's last change in the pages."""
    return {change.key: change for page in pages for change in page.changes}


def _live(pages: Sequence[Page]) -> list[Record]:
    return [change.record for change in _states(pages).values() if change.record is not None]


def _record_of(change: Change) -> Record:
    assert change.record is not None, "A record that is there is told as gone."
    assert change.record.key == change.key, "A change's key and its record's key differ."
    return change.record


def _one(connector: Connector, selection: Selection, key: str) -> Record:
    records = connector.read(selection, [key])
    assert [record.key for record in records] == [key], "read() of one record that exists must return it, once."
    return records[0]


def _fill(bench: Bench, count: int | None = None) -> dict[str, Fields]:
    """Have another user make records; return their fields by key."""
    return {bench.create(fields): fields for fields in map(bench.another, range(count or bench.several_pages))}


def _holds(record: Record, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        assert name in record.fields, f"{name} was asked for and is not delivered."
        held = record.fields[name]
        assert same(held, value), f"{name} holds a {_kind(value)}, and another value ({_kind(held)}) is delivered."


def _holds_row(row: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        assert name in row, f"A row of a list is delivered without its field {name}."
        assert same(row[name], value), f"A row's {name} holds another value than it should."


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return "blank text" if value == "" else type(value).__name__


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) and _plain(item) for name, item in value.items())
    return value is None or isinstance(value, (bool, int, Decimal, str))


def _fits(field: Field, value: Any) -> bool:
    kinds: dict[str, type | tuple[type, ...]] = {"number": (int, Decimal), "boolean": bool, "list": list, "object": dict}
    if isinstance(value, bool) and field.type != "boolean":
        return False
    fits = isinstance(value, kinds.get(field.type, str))
    return fits and not (isinstance(value, str) and field.length is not None and len(value) > field.length)


_described: WeakKeyDictionary[Bench, Stream] = WeakKeyDictionary()


def _stream(bench: Bench) -> Stream:
    """Return the bench's stream as it was described first: to find samples by, and what to ask; a system may be slow to describe."""
    if bench not in _described:
        _described[bench] = bench.reconnect().describe().streams[bench.selection.stream]
    return _described[bench]


def _updatable(bench: Bench) -> list[str]:
    """Return the fields of the samples that a write may change."""
    shape = _stream(bench).fields
    return [name for name in bench.samples[0] if shape[name].updatable]


def _values_of(bench: Bench, name: str, fields: Mapping[str, Any]) -> list[Any]:
    """Return valid values of the field, each other than the one in ``fields``, none twice, null not among them."""
    found: list[Any] = []
    for sample in (*bench.samples, *(bench.another(number) for number in range(900, 904))):
        value = sample.get(name)
        if value is not None and not same(value, fields.get(name)) and not any(same(value, other) for other in found):
            found.append(value)
    return found


def _another_value(bench: Bench, fields: Mapping[str, Any], *, but: str = "") -> Fields:
    """Return one updatable field with a valid value other than the one in ``fields``."""
    for name in _updatable(bench):
        values = _values_of(bench, name, fields) if name != but else []
        if values:
            return {name: values[-1]}
    raise AssertionError("The bench's samples have no updatable field with two values.")


def _two_values(bench: Bench, fields: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return an updatable field, and two valid values for it, other than the one in ``fields`` and than each other."""
    for name in _updatable(bench):
        values = _values_of(bench, name, fields)
        if len(values) >= 2:
            return name, values[0], values[1]
    raise AssertionError("The bench's samples have no updatable field with three values.")


def _cleared(bench: Bench) -> tuple[str, Fields]:
    """Return a field that can be emptied, and a sample that holds a value in it."""
    shape = _stream(bench).fields
    for name in _updatable(bench):
        if shape[name].nullable and not shape[name].required:
            for sample in bench.samples:
                if sample.get(name):
                    return name, dict(sample)
    raise NotOffered("no field of the stream can be emptied")


def _create(fields: Fields, ref: str, reference: str) -> Write:
    return Write(ref, "create", None, dict(fields), reference=reference)


def _update(record: Record, fields: Fields, ref: str = "w") -> Write:
    expect = {name: record.fields[name] for name in fields if name in record.fields}
    return Write(ref, "update", record.key, dict(fields), version=record.version, expect=expect)


def _move(record: Record, field: str, wanted: str) -> Write:
    return Write("w", "move", record.key, {}, version=record.version, expect={field: record.fields[field]}, move=(field, wanted))


def _list_update(document: Applied, sample: ListSamples, said: ListWrite) -> Write:
    expect = {sample.name: document.fields[sample.name]}
    return Write("w", "update", document.key, {}, version=document.version, expect=expect, lists={sample.name: said})


def _write(bench: Bench, connector: Connector, *writes: Write) -> dict[str, Outcome]:
    """Return the outcomes by ref, in the order of the writes."""
    outcomes = list(connector.write(bench.selection, writes))
    refs = sorted(outcome.ref for outcome in outcomes)
    assert refs == sorted(write.ref for write in writes), f"{len(writes)} writes have {len(refs)} outcomes: each has just one, by its ref."
    by_ref = {outcome.ref: outcome for outcome in outcomes}
    return {write.ref: by_ref[write.ref] for write in writes}


def _applied(outcome: Outcome) -> Applied:
    if isinstance(outcome, Deferred):
        raise NotOffered("writes of this stream are deferred")
    assert isinstance(outcome, Applied), f"A valid write is {type(outcome).__name__}: {getattr(outcome, 'reason', '')}"
    return outcome


def _told_as_held(bench: Bench, outcome: Applied, fields: Fields) -> None:
    """Check that the outcome is what a fresh read tells, and that ``fields`` are held."""
    fresh = _one(bench.reconnect(), bench.selection, outcome.key)
    assert outcome.fields.keys() == fresh.fields.keys(), "Applied.fields must hold all fields and lists of the selection."
    for name, value in fresh.fields.items():
        assert same(outcome.fields[name], value), f"Applied tells another {name} than a fresh read: it is what is held that counts (L1)."
    assert outcome.version == fresh.version, "Applied tells another version than a fresh read."
    _holds(fresh, fields)


def _is_stale(bench: Bench, connector: Connector, write: Write, held: Fields) -> None:
    outcome = _write(bench, connector, write)["w"]
    assert isinstance(outcome, Stale), (
        f"Someone changed the record since it was read, and the write is {type(outcome).__name__}, not Stale."
    )
    assert not outcome.gone, "The record is there, and the outcome says that it is gone."
    _holds(_one(bench.reconnect(), bench.selection, write.key or ""), held)


def _changed_since(bench: Bench, connector: Connector, cursor: str, present: Mapping[str, Fields], deleted: str) -> None:
    pages = _pages(connector, bench.selection, cursor)
    states = _states(pages)
    for key, fields in present.items():
        assert key in states, "A record that was changed or made after the cursor is not in what is read from it."
        _holds(_record_of(states[key]), fields)
    if _able(bench).reports_deletes:
        assert deleted in states, "Deletes are reported, and one after the cursor is not in what is read from it."
    assert deleted not in states or states[deleted].record is None, "A deleted record is delivered as if it were there."


def _complete_is_true(pages: Sequence[Page], throughout: set[str], what: str) -> None:
    if pages[-1].complete:
        left_out = throughout - {change.key for page in pages for change in page.changes}
        assert not left_out, f"{what} says complete, and {len(left_out)} records that existed throughout were not in it."
    assert not any(page.complete for page in pages[:-1]), "A page that is not the last one says complete."


def _document(bench: Bench, connector: Connector, number: int = 0) -> Applied:
    """Create the ``number``-th document from the first sample, with the first two rows of each list, as lines L0 and L1."""
    lists = {
        sample.name: ListWrite(add={f"L{number}": dict(row) for number, row in enumerate(sample.rows[:2])})
        for sample in _has(bench, WithDocuments).lists
    }
    write = Write("w", "create", None, dict(bench.samples[0]), reference=f"G{number:013}", lists=lists)
    return _applied(_write(bench, connector, write)["w"])


def _rows(bench: Bench, key: str, sample: ListSamples) -> dict[str, Fields]:
    """Return the rows of a document's list by key, from a fresh read."""
    rows = _one(bench.reconnect(), bench.selection, key).fields[sample.name]
    by_key = {row[sample.key]: row for row in rows}
    assert len(by_key) == len(rows), f"Two rows of {sample.name} have one key."
    return by_key
