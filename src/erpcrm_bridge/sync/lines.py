"""Lines of documents: one flat form for the merge, and which line is which. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from erpcrm_bridge.model.money import quantize
from erpcrm_bridge.model.values import WIDE, Fields, normal


def flatten(fields: Fields, lists: Iterable[str]) -> Fields:
    """Return canonical fields with each line as paths: ``lines/ID`` true, ``lines/ID/field`` its values."""
    flat = dict(fields)
    for name in lists:
        for line in flat.pop(name, None) or ():
            stem = f"{name}/{line['id']}"
            flat[stem] = True
            for field, value in line.items():
                if field != "id":
                    flat[f"{stem}/{field}"] = value
    return flat


def unflatten(flat: Fields, lists: Iterable[str]) -> Fields:
    """Return what ``flatten`` was given; lines in order of their position, then of their id. A line that is not true is left out."""
    names = list(lists)
    if not names:
        return dict(flat)
    fields = {path: value for path, value in flat.items() if "/" not in path}
    if len(fields) == len(flat):
        return fields  # most records have no lines
    for name in names:
        lines: dict[str, Fields] = {}
        for path, value in flat.items():
            if path.startswith(name + "/"):
                _, line_id, *field = path.split("/", 2)
                if flat.get(f"{name}/{line_id}") is not True:
                    continue
                line = lines.setdefault(line_id, {"id": line_id})
                if field:
                    line[field[0]] = value
        if lines or any(path.startswith(name + "/") for path in flat):
            fields[name] = sorted(lines.values(), key=lambda line: (line.get("position") or 0, line["id"]))
    return fields


def match_lines(
    rows: Sequence[tuple[str, Fields]],
    known: Mapping[str, str],
    golden: Sequence[Fields],
    rules: Sequence[Sequence[str]],
    new_id: Callable[[], str],
) -> dict[str, str] | None:
    """Return the line id of each row by the row's key; None where it is in doubt which line is which.

    ``known`` are line ids by row key; other rows are matched with golden lines that no row is known to be, by the first rule with exactly
    one hit in both directions (one that is empty there hits nothing); a row that no rule says anything of is new. A row that several lines
    could be, or a line that several rows could be, is doubt under the last rule that was in doubt, unless they are as many and alike in all
    they say.
    """
    found = {key: known[key] for key, _ in rows if key in known}
    taken = set(known.values())
    lines = [line for line in golden if line["id"] not in taken]
    open_rows = [(key, fields) for key, fields in rows if key not in found]
    row_of = dict(open_rows)
    doubt = False
    for rule in rules:
        by_line = _grouped((str(line["id"]), line) for line in lines if line["id"] not in found.values())
        by_line_form: dict[str, list[str]] = {}
        for line_id, line in by_line.items():
            if _says(line, rule):
                by_line_form.setdefault(_form(line, rule), []).append(line_id)
        by_row_form: dict[str, list[str]] = {}
        for key, fields in open_rows:
            if key not in found and _says(fields, rule):
                by_row_form.setdefault(_form(fields, rule), []).append(key)
        doubt = False
        for text, keys in by_row_form.items():
            hits = by_line_form.get(text, [])
            if len(hits) == 1 and len(keys) == 1:
                found[keys[0]] = hits[0]
            elif len(hits) == len(keys) and _alike([by_line[hit] for hit in hits]) and _alike([row_of[key] for key in keys]):
                found.update(zip(keys, hits, strict=True))
            elif hits:
                doubt = True
    if doubt:
        return None
    for key, _ in open_rows:
        if key not in found:
            found[key] = new_id()
    return found


def _alike(lines: Sequence[Fields]) -> bool:
    plain = [normal({field: value for field, value in line.items() if field != "id"}) for line in lines]
    return all(one == plain[0] for one in plain)


def _grouped(pairs: Iterable[tuple[str, Fields]]) -> dict[str, Fields]:
    return dict(pairs)


def _says(fields: Fields, rule: Sequence[str]) -> bool:
    """Tell whether a line holds anything by which a rule could know it."""
    return any(fields.get(path) is not None for path in rule)


def _form(fields: Fields, rule: Sequence[str]) -> str:
    return repr([normal(fields.get(path)) for path in rule])


def lines_sum(fields: Fields, name: str) -> Decimal | None:
    """Return what the lines of a document come to; None where a line has neither an amount nor a quantity and a unit price."""
    currency = fields.get("currency")
    total = Decimal(0)
    for line in fields.get(name) or ():
        amount = line.get("amount")
        if amount is None and line.get("quantity") is not None and line.get("unit_price") is not None and currency:
            amount = quantize(WIDE.multiply(Decimal(line["quantity"]), Decimal(line["unit_price"])), currency)
        if amount is None:
            return None
        total = WIDE.add(total, amount)
    return total


def sum_complaint(fields: Fields, name: str, total_path: str) -> str | None:
    """Return why the lines of a document do not make its total (no amounts in it); None where they do, or where no total is said."""
    total = fields.get(total_path)
    lines = fields.get(name)
    if total is None or lines is None:
        return None
    found = lines_sum(fields, name)
    if found is None:
        return f"a line of {name} has neither an amount nor a quantity and a unit price"
    if found != total:
        return f"the {len(lines)} {name} do not make the {total_path}"
    return None
