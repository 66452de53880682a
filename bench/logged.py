"""A system with a change log, in this process, over the records of a CSV file: a source with a cursor that costs next to nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from erpcrm_bridge.connector import (
    Applied,
    Capabilities,
    Change,
    Description,
    Field,
    Found,
    Outcome,
    Page,
    Question,
    Record,
    Selection,
    Stream,
    Write,
)

ABLE = Capabilities(reports_deletes=True, tells_gone=True, conditional=True, upsert=True, version_exact=True, max_batch=2_000)
PAGE = 10_000


class LoggedSystem:
    """The records of ``path`` by their first column, under the identity of the system whose links they have. Its log begins empty."""

    def __init__(self, path: Path, identity: str) -> None:
        self._name, self._identity = path.name, identity
        with path.open(newline="", encoding="utf-8") as file:
            self._columns, *rows = csv.reader(file)
        self.records: dict[str, dict[str, str | None]] = {row[0]: {**zip_up(self._columns, row)} for row in rows}
        self._log: list[str] = []

    def edit(self, key: str, field: str, value: str) -> None:
        """What a person does: one field of one record."""
        self.records[key] = {**self.records[key], field: value}
        self._log.append(key)

    def describe(self) -> Description:
        return Description(self._identity, {self._name: Stream(self._name, {name: Field(name) for name in self._columns}, ABLE)})

    def read_changes(self, selection: Selection, since: str | None) -> Iterator[Page]:
        start = int(since.removeprefix("log ")) if since and since.startswith("log ") else 0
        for at in range(start, max(len(self._log), start + 1), PAGE):
            keys = self._log[at : at + PAGE]
            yield Page([Change(key, self._record(key, at + number)) for number, key in enumerate(keys, 1)], f"log {at + len(keys)}")

    def read(self, selection: Selection, keys: Sequence[str]) -> list[Record]:
        return [self._record(key, len(self._log)) for key in keys if key in self.records]

    def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
        return {question.ref: Found(()) for question in questions}

    def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
        done: list[Outcome] = []
        for write in writes:
            key = write.key or f"new {len(self.records)}"
            self.records[key] = {**self.records.get(key, dict.fromkeys(self._columns)), **write.fields}
            self._log.append(key)
            record = self._record(key, len(self._log))
            done.append(Applied(write.ref, key, record.version, record.fields))
        return done

    def close(self) -> None:
        """Nothing is held."""

    def _record(self, key: str, at: int) -> Record:
        return Record(key, f"at {at}", self.records[key])


def zip_up(columns: list[str], row: list[str]) -> dict[str, str | None]:
    """Return a row by column; an empty cell is null."""
    return {name: cell or None for name, cell in zip(columns, row, strict=True)}
