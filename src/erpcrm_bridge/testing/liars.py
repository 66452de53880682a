"""Connectors that each break one rule of the contract. The conformance kit is tested with them: each is caught, each check catches one.

A liar is the memory connector with one mistake, of the kind that is really made. Its docstring says what it does wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from erpcrm_bridge.connector import (
    Applied,
    Capabilities,
    Change,
    Description,
    Found,
    ListWrite,
    Outcome,
    Page,
    Question,
    Record,
    Rejected,
    Selection,
    Stale,
    Unknown,
    Write,
)
from erpcrm_bridge.errors import ConnectorBug, CursorExpired, PermissionDenied, TransientError
from erpcrm_bridge.model.values import Fields, same
from erpcrm_bridge.testing import conformance
from erpcrm_bridge.testing.bench import MemoryBench
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.system import MemorySystem

_counter = itertools.count()
_UNCONDITIONAL = MemoryBench.options(conditional=False)
_IN_FULL = MemoryBench.options(conditional=False, incremental="full", reports_deletes=False)
_STAMPED = MemoryBench.options(resolution=60.0)


class Liar(Struct, frozen=True):
    """A connector that breaks a rule, the check that has to catch it, and the options of the bench (``bench.MemoryBench``) where it can."""

    kind: type[MemoryConnector]
    check: str
    options: dict[str, Any] = {}

    def bench(self) -> MemoryBench:
        """Return a clean bench with this connector on it."""
        return MemoryBench(**self.options, connect=self.connect)

    def connect(self, system: MemorySystem) -> MemoryConnector:
        return self.kind(system, page_size=3, credential=MemoryBench.secrets[0])


_liars: list[Liar] = []
_Kind = TypeVar("_Kind", bound=type[MemoryConnector])


def _breaks(check: Callable[[conformance.Bench], None], options: dict[str, Any] | None = None) -> Callable[[_Kind], _Kind]:
    """Count the class among the liars."""

    def count(kind: _Kind) -> _Kind:
        _liars.append(Liar(kind, check.__name__, options or {}))
        return kind

    return count


def liars() -> list[Liar]:
    """Return all liars, in the order of this file."""
    return list(_liars)


def _able(said: Description, **changed: Any) -> Description:
    """Return the description with other capabilities."""
    return replace(
        said, streams={name: replace(stream, capabilities=replace(stream.capabilities, **changed)) for name, stream in said.streams.items()}
    )


def _with_records(page: Page, change: Any) -> Page:
    """Return the page with ``change`` done to each record."""
    return replace(page, changes=[replace(one, record=change(one.record)) if one.record else one for one in page.changes])


class _Reader(MemoryConnector):
    """Delivers each record otherwise than the system told it."""

    def spoil(self, record: Record) -> Record:
        raise NotImplementedError

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            yield _with_records(page, self.spoil)

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        return [self.spoil(record) for record in super().read(selection, keys)]


# -- describe -----------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.describes_its_system_truthfully)
class TellsAnotherIdentityEachTime(MemoryConnector):
    """Takes the connection's for the system's identity."""

    def describe(self) -> Description:
        return replace(super().describe(), identity=f"connection-{next(_counter)}")


@_breaks(conformance.describes_its_system_truthfully)
class ForgetsAField(MemoryConnector):
    """Does not describe a field that it delivers."""

    def describe(self) -> Description:
        said = super().describe()
        streams = {
            name: replace(stream, fields={field: spec for field, spec in stream.fields.items() if field != "Amount"})
            for name, stream in said.streams.items()
        }
        return replace(said, streams=streams)


@_breaks(conformance.declares_no_less_than_the_system_offers)
class DeclaresLess(MemoryConnector):
    """Does not declare the conditional writes that its system has."""

    def describe(self) -> Description:
        self._described = _able(super().describe(), conditional=False, window="one call")
        return self._described


@_breaks(conformance.declares_no_less_than_the_system_offers)
class DeclaresNoMoves(MemoryConnector):
    """Does not declare the moves that its system has."""

    def describe(self) -> Description:
        self._described = _able(super().describe(), moves={})
        return self._described


@_breaks(conformance.each_write_has_one_outcome)
class DeclaresTooGreatBatches(MemoryConnector):
    """Declares batches that the system does not take."""

    def describe(self) -> Description:
        self._described = _able(super().describe(), max_batch=2000)
        return self._described


# -- read_changes -------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.reads_the_whole_stream)
class DropsTheLastChangeOfAPage(MemoryConnector):
    """An index that is one too small."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            yield replace(page, changes=page.changes[:-1])


@_breaks(conformance.reads_on_from_each_pages_cursor)
class CursorOneTooFar(MemoryConnector):
    """Each page's cursor is that of the next page, read ahead."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        pages = list(super().read_changes(selection, since))
        for page, ahead in zip(pages, [*pages[1:], pages[-1]], strict=True):
            yield replace(page, cursor=ahead.cursor)


@_breaks(conformance.loses_nothing_to_people_who_work_meanwhile)
@_breaks(conformance.loses_nothing_to_people_who_work_meanwhile, _IN_FULL)
class CursorOfTheEnd(MemoryConnector):
    """Reads ahead, and takes the last page's cursor when it is handed out: what people did meanwhile is lost."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        *pages, last = super().read_changes(selection, since)
        yield from pages
        *_, now = super().read_changes(selection, last.cursor)
        yield replace(last, cursor=now.cursor)


@_breaks(conformance.a_cursor_outlives_its_connector)
class KeepsItsCursorsToItself(MemoryConnector):
    """A cursor is a number that only this connector object understands; another one begins at the end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: dict[str, str] = {}

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        if since is not None and since not in self._known:
            *_, last = super().read_changes(selection, None)
            yield Page([], last.cursor)
            return
        for page in super().read_changes(selection, since and self._known[since]):
            mine = f"{id(self)}-{len(self._known)}"
            self._known[mine] = page.cursor
            yield replace(page, cursor=mine)


@_breaks(conformance.reads_what_changed_since_a_cursor)
class SwallowsTombstones(MemoryConnector):
    """Leaves the deleted out of the changes, though it declares that it reports them."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            yield replace(page, changes=[change for change in page.changes if change.record])


@_breaks(conformance.a_quiet_stream_still_gives_a_cursor)
class YieldsNothingWhenQuiet(MemoryConnector):
    """Leaves out the page without changes, and its cursor with it."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        return (page for page in super().read_changes(selection, since) if page.changes)


@_breaks(conformance.complete_means_that_nothing_was_left_out)
class SaysCompleteOfAnyRead(MemoryConnector):
    """Calls the last page of a read from a cursor complete."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        pages = list(super().read_changes(selection, since))
        yield from pages[:-1]
        yield replace(pages[-1], complete=True)


@_breaks(conformance.complete_means_that_nothing_was_left_out)
class PagesByOffset(MemoryConnector):
    """Counts how many records it has skipped; when one of these is deleted, the next is skipped too. Says complete."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        if since is not None:
            yield from super().read_changes(selection, since)
            return
        skip = 0
        while True:
            pages = list(super().read_changes(selection, None))
            live = [change for page in pages for change in page.changes if change.record]
            last = skip + 3 >= len(live)
            yield Page(live[skip : skip + 3], pages[-1 if last else min(skip // 3, len(pages) - 1)].cursor, last)
            if last:
                return
            skip += 3


@_breaks(conformance.a_listing_stream_says_when_it_was_read_whole)
class NeverSaysComplete(MemoryConnector):
    """Declares lists_keys, and does not say when a stream was read whole."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        return (replace(page, complete=False) for page in super().read_changes(selection, since))


@_breaks(conformance.a_read_that_fails_says_so)
class EndsQuietlyWhenThrottled(MemoryConnector):
    """Takes a refusal for the end of the stream."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        try:
            yield from super().read_changes(selection, since)
        except TransientError:
            return


@_breaks(conformance.tells_where_a_merged_record_went)
class ForgetsWhereMergedRecordsWent(MemoryConnector):
    """Tells a merge as a delete."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            yield replace(page, changes=[replace(change, merged_into=None) for change in page.changes])


@_breaks(conformance.a_restored_record_comes_back)
class NeverForgetsADelete(MemoryConnector):
    """Keeps the keys of the deleted, and delivers none of them again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._gone: set[str] = set()

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            self._gone |= {change.key for change in page.changes if change.record is None}
            yield replace(page, changes=[change for change in page.changes if change.record is None or change.key not in self._gone])


@_breaks(conformance.a_changed_row_is_a_change_of_its_document)
class IgnoresChangedRows(MemoryConnector):
    """Leaves out a change where nothing but a list of the document moved."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: dict[str, Fields] = {}

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            yield replace(page, changes=[change for change in page.changes if since is None or self._is_news(change)])
            self._seen |= {change.key: self._scalars(change) for change in page.changes}

    def _is_news(self, change: Change) -> bool:
        return change.record is None or not same(self._seen.get(change.key), self._scalars(change))

    @staticmethod
    def _scalars(change: Change) -> Fields:
        return {name: value for name, value in change.record.fields.items() if not isinstance(value, list)} if change.record else {}


@_breaks(conformance.a_cursor_that_it_does_not_know_loses_nothing)
class TakesAnyCursor(MemoryConnector):
    """Takes a cursor that it does not know for the end of the stream."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        try:
            yield from super().read_changes(selection, since)
        except CursorExpired:
            yield Page([], since or "")


@_breaks(conformance.an_edit_since_the_read_makes_a_write_stale, _UNCONDITIONAL)
@_breaks(conformance.an_edited_row_makes_a_list_write_stale, _UNCONDITIONAL)
class NeverReadsAgain(MemoryConnector):
    """Writes without a re-read, to a system without conditional writes."""

    def _against_present(self, selection: Selection, writes: Sequence[Write], able: Capabilities) -> tuple[list[Any], list[Outcome]]:
        return super()._against_present(selection, [replace(write, version="?") for write in writes], replace(able, conditional=True))


@_breaks(conformance.reads_on_from_each_pages_cursor, _IN_FULL)
class SparesTheNextReadTooEarly(MemoryConnector):
    """Each page's cursor, not only the last one's, says that the stream was read up to now."""

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        pages = list(super().read_changes(selection, since))
        return (replace(page, cursor=pages[-1].cursor) for page in pages)


@_breaks(conformance.loses_nothing_to_people_who_work_meanwhile, _STAMPED)
@_breaks(conformance.reads_what_changed_since_a_cursor, _STAMPED)
class TakesStampsForUnique(MemoryConnector):
    """Reads on after its cursor's stamp, though more changes may bear that stamp."""

    def _wire_call(self, verb: str, args: dict[str, Any]) -> Any:
        answer = super()._wire_call(verb, args)
        return {**answer, "exact": True} if verb == "changes" else answer


# -- read ---------------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.delivers_what_was_asked_and_nothing_else)
class LeavesOutEmptyFields(_Reader):
    """Delivers no field that is null."""

    def spoil(self, record: Record) -> Record:
        return replace(record, fields={name: value for name, value in record.fields.items() if value is not None})


@_breaks(conformance.delivers_what_was_asked_and_nothing_else)
class DeliversEverything(MemoryConnector):
    """Reads all fields, whatever was asked for."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        shape = self.describe().streams[selection.stream].fields
        return super().read(replace(selection, fields=tuple(shape)), keys)


@_breaks(conformance.tells_the_kinds_of_empty_apart)
class TakesBlankForNull(_Reader):
    """Takes "" for null."""

    def spoil(self, record: Record) -> Record:
        return replace(record, fields={name: None if value == "" else value for name, value in record.fields.items()})


@_breaks(conformance.tells_the_kinds_of_empty_apart)
class TakesFalseForNull(_Reader):
    """Takes all that is not true for null: 0 and false too."""

    def spoil(self, record: Record) -> Record:
        return replace(
            record, fields={name: value or (value if isinstance(value, list) else None) for name, value in record.fields.items()}
        )


@_breaks(conformance.values_are_of_their_described_types)
class ReadsMoneyAsFloats(_Reader):
    """Decodes JSON with floats."""

    def spoil(self, record: Record) -> Record:
        return replace(record, fields={name: float(v) if isinstance(v, Decimal) else v for name, v in record.fields.items()})


@_breaks(conformance.values_are_of_their_described_types)
class ReadsNumbersAsText(_Reader):
    """Delivers numbers as text, though it describes numbers."""

    def spoil(self, record: Record) -> Record:
        return replace(record, fields={name: str(v) if isinstance(v, Decimal) else v for name, v in record.fields.items()})


@_breaks(conformance.versions_move_with_their_records)
class GivesOneVersionForAll(_Reader):
    """Fills in the version with a constant."""

    def spoil(self, record: Record) -> Record:
        return replace(record, version="1")


@_breaks(conformance.versions_move_with_their_records)
class NumbersItsReadings(MemoryConnector):
    """read() makes the version up."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        return [replace(record, version=f"{int(record.version) + 1000}") for record in super().read(selection, keys)]


@_breaks(conformance.read_leaves_out_what_is_not_there)
class InventsRecords(MemoryConnector):
    """Returns an empty record for a key that does not exist."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        records = super().read(selection, keys)
        names = (*selection.fields, *(child.stream for child in selection.children))
        missing = set(keys) - {record.key for record in records}
        return [*records, *(Record(key, "0", dict.fromkeys(names)) for key in missing)]


@_breaks(conformance.read_tells_the_present_state)
class ReadsFromACache(MemoryConnector):
    """Keeps what it has read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept: dict[str, Record] = {}

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        new = [key for key in keys if key not in self._kept]
        self._kept |= {record.key: record for record in super().read(selection, new)}
        return [self._kept[key] for key in keys if key in self._kept]


@_breaks(conformance.a_field_that_may_not_be_read_is_never_null)
class DeliversNullForForbidden(MemoryConnector):
    """Fills in null for a field that the system did not answer."""

    def _record(self, selection: Selection, row: Any) -> Record:
        row["fields"] = {**dict.fromkeys(selection.fields), **row["fields"]}
        return super()._record(selection, row)


@_breaks(conformance.records_that_may_not_be_read_are_named)
class NamesOneOfTheForbidden(MemoryConnector):
    """Stops at the first record that may not be read, and names no other."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        try:
            return super().read(selection, keys)
        except PermissionDenied as denied:
            raise PermissionDenied(denied.message, keys=denied.keys[:1]) from denied


@_breaks(conformance.records_that_may_not_be_read_are_named)
class CallsForbiddenGone(MemoryConnector):
    """Leaves out what may not be read, and says that it tells the two apart."""

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        try:
            return super().read(selection, keys)
        except PermissionDenied as denied:
            return super().read(selection, [key for key in keys if key not in denied.keys])


# -- find ---------------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.finds_by_reference_what_it_created)
class FindsFromACache(MemoryConnector):
    """Keeps the answers to questions."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept: dict[str, Found] = {}

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        new = [question for question in questions if str(question.fields) not in self._kept]
        answers = super().find(selection, new)
        self._kept |= {str(question.fields): answers[question.ref] for question in new}
        return {question.ref: self._kept[str(question.fields)] for question in questions}


@_breaks(conformance.finds_by_values_what_is_there_now)
class FindsByTheFirstField(MemoryConnector):
    """Asks for one field only."""

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        return super().find(selection, [replace(question, fields=dict([*question.fields.items()][:1])) for question in questions])


@_breaks(conformance.finds_by_values_what_is_there_now)
class AnswersOnlyWhatItFinds(MemoryConnector):
    """Leaves out the questions that no record matches."""

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        return {ref: found for ref, found in super().find(selection, questions).items() if found.keys}


# -- write --------------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.creates_hold_what_was_written)
class DropsFalsyValues(MemoryConnector):
    """Sends only what is "there": no 0, no false, no blank text."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [replace(w, fields={n: v for n, v in w.fields.items() if v or v is None}) for w in writes])


@_breaks(conformance.clearing_clears)
class SkipsNulls(MemoryConnector):
    """Takes null for "not said": nothing is ever cleared."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [replace(w, fields={n: v for n, v in w.fields.items() if v is not None}) for w in writes])


@_breaks(conformance.each_write_has_one_outcome)
class LosesAnOutcome(MemoryConnector):
    """Answers for all writes of a batch but the last."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, writes)[: max(1, len(writes) - 1)]


@_breaks(conformance.each_write_has_one_outcome)
class AnswersTwice(MemoryConnector):
    """Answers for a batch's first write twice."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = super().write(selection, writes)
        return [*outcomes, *outcomes[:1]] if len(outcomes) > 1 else outcomes


@_breaks(conformance.touches_only_what_a_write_names)
class WritesTheWholeRecord(MemoryConnector):
    """Fills up an update with what it read of the record earlier."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: dict[str, Fields] = {}

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        for page in super().read_changes(selection, since):
            self._seen |= {change.key: change.record.fields for change in page.changes if change.record}
            yield page

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        shape = self.describe().streams[selection.stream].fields
        full = []
        for write in writes:
            seen = {name: value for name, value in self._seen.get(write.key or "", {}).items() if name in shape and shape[name].updatable}
            seen = {name: value for name, value in seen.items() if not isinstance(value, list)}
            full.append(replace(write, fields={**seen, **write.fields}) if write.operation == "update" else write)
        return super().write(selection, full)


@_breaks(conformance.applied_tells_what_is_held)
class TellsOnlyWhatWasAsked(MemoryConnector):
    """Takes the write's own fields for the record's."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        asked = {write.ref: write.fields for write in writes}
        return [replace(o, fields=asked[o.ref]) if isinstance(o, Applied) else o for o in super().write(selection, writes)]


@_breaks(conformance.applied_tells_what_the_system_made_of_it)
class TellsWhatWasAskedAsHeld(MemoryConnector):
    """Tells the record as it was, with what was asked on top: not what the system made of it."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        asked = {write.ref: write.fields for write in writes}
        outcomes = super().write(selection, writes)
        return [replace(o, fields={**o.fields, **asked[o.ref]}) if isinstance(o, Applied) else o for o in outcomes]


@_breaks(conformance.applied_tells_what_is_held)
class TellsTheVersionBefore(MemoryConnector):
    """Tells the version that the write was based on."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        based = {write.ref: write.version for write in writes}
        return [replace(o, version=based[o.ref] or o.version) if isinstance(o, Applied) else o for o in super().write(selection, writes)]


@_breaks(conformance.a_repeated_create_makes_no_second_record)
class DoublesRepeatedCreates(MemoryConnector):
    """Sends each create under a reference of its own."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [replace(w, reference=w.reference and f"{w.reference}-{next(_counter)}") for w in writes])


@_breaks(conformance.an_update_never_creates)
class UpsertsItsUpdates(MemoryConnector):
    """Makes a record where the one to be updated is gone."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        by_ref = {write.ref: write for write in writes}
        for outcome in super().write(selection, writes):
            write = by_ref[outcome.ref]
            if isinstance(outcome, Stale) and outcome.gone and write.operation == "update":
                fields = {"Name": "revived", **write.fields}
                outcomes += super().write(selection, [replace(write, operation="create", key=None, fields=fields)])
            else:
                outcomes.append(outcome)
        return outcomes


@_breaks(conformance.an_edit_since_the_read_makes_a_write_stale)
class IgnoresWhatWasExpected(MemoryConnector):
    """The last to write wins."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [replace(write, version=None, expect={}) for write in writes])


@_breaks(conformance.a_conditional_write_has_no_window)
class ComparesBeforeAndWritesUnconditionally(MemoryConnector):
    """Declares conditional writes, and has the window of a re-read."""

    def _against_present(self, selection: Selection, writes: Sequence[Write], able: Capabilities) -> tuple[list[Any], list[Outcome]]:
        rows, outcomes = super()._against_present(selection, writes, replace(able, conditional=False))
        return [{**row, "version": None} for row in rows], outcomes


@_breaks(conformance.a_delete_spares_what_was_edited)
class DeletesBlindly(MemoryConnector):
    """Sends no condition with a delete."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [replace(w, version=None, expect={}) if w.operation == "delete" else w for w in writes])


@_breaks(conformance.deletes_and_tells_so)
class OnlySaysThatItDeletes(MemoryConnector):
    """Answers Applied to a delete, and does nothing."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        if writes and writes[0].operation == "delete":
            return [Applied(write.ref, write.key or "", "0", {}) for write in writes]
        return super().write(selection, writes)


@_breaks(conformance.a_bad_write_harms_no_neighbour)
class FailsTheBatchForOne(MemoryConnector):
    """Stops at the first refusal, and calls the rest of the batch refused too."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for write in writes:
            if any(isinstance(outcome, Rejected) for outcome in outcomes):
                outcomes.append(Rejected(write.ref, "record", "the batch was refused"))
            else:
                outcomes += super().write(selection, [write])
        return outcomes


@_breaks(conformance.a_bad_write_harms_no_neighbour)
class RaisesForTheBatch(MemoryConnector):
    """Raises for the whole batch where one write is refused."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = super().write(selection, writes)
        if any(isinstance(outcome, Rejected) for outcome in outcomes):
            raise PermissionDenied("A record was refused.")
        return outcomes


@_breaks(conformance.a_rejection_names_the_field)
class KeepsTheFieldToItself(MemoryConnector):
    """Does not say which field was refused, though the system does."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return [replace(o, field=None) if isinstance(o, Rejected) else o for o in super().write(selection, writes)]


@_breaks(conformance.a_lost_answer_is_unknown)
class CallsALostAnswerRejected(MemoryConnector):
    """Takes a broken connection for a refusal: the create will be sent again."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return [Rejected(o.ref, "record", o.reason) if isinstance(o, Unknown) else o for o in super().write(selection, writes)]


@_breaks(conformance.a_lost_answer_is_unknown)
class CallsALostAnswerApplied(MemoryConnector):
    """Takes a broken connection for success."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        asked = {write.ref: write for write in writes}
        return [
            Applied(o.ref, asked[o.ref].key or "?", "0", asked[o.ref].fields) if isinstance(o, Unknown) else o
            for o in super().write(selection, writes)
        ]


# -- lists and states ---------------------------------------------------------------------------------------------------------------


def _with_lists(writes: Sequence[Write], change: Any) -> list[Write]:
    return [replace(write, lists={name: change(said) for name, said in write.lists.items()}) for write in writes]


@_breaks(conformance.documents_are_created_whole)
class ForgetsLineKeys(MemoryConnector):
    """Does not tell the keys of the rows that it added."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return [replace(o, line_keys={}) if isinstance(o, Applied) else o for o in super().write(selection, writes)]


@_breaks(conformance.rows_are_added_changed_and_removed_by_key)
class DropsRowsThatAreNotNamed(MemoryConnector):
    """Writes a list whole where a change of one row was asked for."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, [self._whole_lists(selection, write) for write in writes])

    def _whole_lists(self, selection: Selection, write: Write) -> Write:
        keys = {child.stream: child.key for child in selection.children}
        lists = {}
        for name, said in write.lists.items():
            known = [(key, {keys.get(name, "line"): key, **fields}) for key, fields in said.change.items()]
            lists[name] = ListWrite(replace=True, rows=(*known, *said.add.items())) if known else said
        return replace(write, lists=lists)


@_breaks(conformance.rows_are_added_changed_and_removed_by_key)
class NeverRemovesRows(MemoryConnector):
    """Writes a list without taking rows away."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, _with_lists(writes, lambda said: replace(said, remove=())))


@_breaks(conformance.a_list_can_be_written_whole)
class OnlyAddsToLists(MemoryConnector):
    """Sends the rows of a list that is to be written whole as rows to add."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        return super().write(selection, _with_lists(writes, self._added))

    @staticmethod
    def _added(said: ListWrite) -> ListWrite:
        if not said.replace:
            return said
        plain = {line: {n: v for n, v in row.items() if n not in ("Id", "line")} for line, row in said.rows}
        return ListWrite(add={f"{line}-{next(_counter)}": row for line, row in plain.items()})


@_breaks(conformance.a_repeated_list_write_appends_nothing)
class AppendsRows(MemoryConnector):
    """Appends the rows to add each time it is asked, and looks at no version."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        self._named: dict[str, str] = {}
        renamed = [replace(write, version=None, expect={}) if write.lists else write for write in _with_lists(writes, self._renamed)]
        return [self._told(outcome) for outcome in super().write(selection, renamed)]

    def _renamed(self, said: ListWrite) -> ListWrite:
        new = {f"{line}-{next(_counter)}": (line, row) for line, row in said.add.items()}
        self._named |= {mine: line for mine, (line, _) in new.items()}
        return replace(said, add={mine: row for mine, (_, row) in new.items()})

    def _told(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Applied):
            return outcome
        keys = {name: {self._named.get(line, line): key for line, key in lines.items()} for name, lines in outcome.line_keys.items()}
        return replace(outcome, line_keys=keys)


@_breaks(conformance.a_move_goes_one_step)
class RefusesWhatIsThereAlready(MemoryConnector):
    """Takes a state that is there already for a refused move."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for write in writes:
            present = super().read(selection, [write.key]) if write.move and write.key else []
            if write.move and present and present[0].fields[write.move[0]] == write.move[1]:
                outcomes.append(Rejected(write.ref, "record", "it is in that state", write.move[0]))
            else:
                outcomes += super().write(selection, [write])
        return outcomes


@_breaks(conformance.an_unlisted_move_is_refused)
class CallsARefusedMoveApplied(MemoryConnector):
    """Says Applied of a move that the system has no call for."""

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        asked = {write.ref: write for write in writes}
        return [
            Applied(o.ref, asked[o.ref].key or "", "0", {}) if isinstance(o, Rejected) and asked[o.ref].move else o
            for o in super().write(selection, writes)
        ]


# -- manners ------------------------------------------------------------------------------------------------------------------------


@_breaks(conformance.shows_no_secret)
class ShowsItsSettings(MemoryConnector):
    """Prints its credential in its repr."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._token = options.get("credential", "")

    def __repr__(self) -> str:
        return f"ShowsItsSettings(token={self._token!r})"


@_breaks(conformance.closes_without_complaint)
class ComplainsWhenClosed(MemoryConnector):
    """Raises at close."""

    def close(self) -> None:
        raise ConnectorBug("The session was closed already.")
