"""``find``: which rows hold these values now, and whether a reference waits in the side file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from erpcrm_bridge.connector import Found, Question, Selection
from erpcrm_bridge.errors import InputError
from erpcrm_bridge_csv.files import OpenFile
from erpcrm_bridge_csv.settings import Layout, side_name
from erpcrm_bridge_csv.shape import cell_text
from erpcrm_bridge_csv.table import Table


def answers(folder: Path, selection: Selection, layout: Callable[[str], Layout], questions: Sequence[Question]) -> dict[str, Found]:
    """Return, by each question's ref, the keys of the rows whose cells equal its values, as text.

    A row that matches and has no key yet, or that stands in the side file only (asked by reference), is waiting. Raises InputError where
    a row that cannot be read may be a match, SchemaDrift for a column that is not there.
    """
    keys: dict[str, dict[str, None]] = {question.ref: {} for question in questions}
    waiting: dict[str, str] = {}
    values = {question.ref: {name: cell_text(value) for name, value in question.fields.items()} for question in questions}

    with closing(OpenFile(folder / selection.stream)) as file:
        table = Table(file, layout(selection.stream))
        key = table.key(selection.key)
        for ref, cells in matches(table, values):
            if key.of(cells):
                keys[ref][key.of(cells)] = None
            else:
                waiting.setdefault(ref, table.name)

    side = folder / side_name(selection.stream)
    by_reference = {ref: asked for ref, asked in values.items() if selection.external_id in asked and not keys[ref]}
    if by_reference and side.exists():
        with closing(OpenFile(side)) as file:
            for ref, _ in matches(Table(file, layout(selection.stream)), by_reference):
                waiting.setdefault(ref, side.name)
    return {ref: Found(tuple(found), None if found else waiting.get(ref)) for ref, found in keys.items()}


def matches(table: Table, values: dict[str, dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Return (ref, cells) for each row and each set of values that it holds."""
    groups: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = {}
    for ref, asked in values.items():
        groups.setdefault(tuple(asked), {}).setdefault(tuple(asked.values()), []).append(ref)
    placed = [(table.positions(names), wanted) for names, wanted in groups.items()]
    found: list[tuple[str, list[str]]] = []
    for number, cells in table.rows():
        if len(cells) == table.width:
            for at, wanted in placed:
                found.extend((ref, cells) for ref in wanted.get(tuple([cells[i] for i in at]), ()))
        elif any(set(texts) <= {*cells, ""} and any(texts) for _, wanted in placed for texts in wanted):
            raise InputError(
                f"{table.name}, row {number}: this row cannot be read, and may be one that was looked for.", way_out="Mend the row."
            )
    return found
