"""What a system no longer offers of what was pinned: the fields on which rules pause until it does, or until they are mended.

A pause is of a field, never of its flow: the rules that stand on it say nothing and write nothing, and all others go on. It is no change of
the rules (the digest of a mapping stays), so nothing is mapped anew when it is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from erpcrm_bridge.connector import Description, Field, Stream

Break: TypeAlias = Literal["gone", "type", "unreadable", "uncreatable", "unupdatable", "value"]


class Pause(Struct, frozen=True):
    """What of one stream is left alone, each with its reason. ``silent`` fields are neither read nor written, those ``on_create`` and
    ``on_update`` are not written then, and of ``values`` (by field) none is written. ``gone``: why the whole stream is silent."""

    silent: dict[str, str] = {}
    on_create: dict[str, str] = {}
    on_update: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    gone: str = ""

    def __bool__(self) -> bool:
        return bool(self.silent or self.on_create or self.on_update or self.values or self.gone)


NOTHING = Pause()


def breaks(was: Field, now: Field | None) -> Iterator[tuple[Break, str]]:
    """Yield in which ways a field no longer is what it was, each with the words for it; of a ``value`` the value that is gone."""
    if now is None:
        yield "gone", "removed"
        return
    if was.type != now.type:
        yield "type", f"type {was.type} -> {now.type}"
    if was.readable and not now.readable:
        yield "unreadable", "no longer readable"
    if was.creatable and not now.creatable:
        yield "uncreatable", "no longer createable"
    if was.updatable and not now.updatable:
        yield "unupdatable", "no longer updateable"
    for value in was.choices:
        if value not in now.choices:
            yield "value", value


def pause(was: Stream, now: Stream | None) -> Pause:
    """Return what of a stream is to be left alone, as it is now and as it was pinned."""
    if now is None:
        return Pause(gone=f"the stream {was.name} is gone")
    silent: dict[str, str] = {}
    on_create: dict[str, str] = {}
    on_update: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    for name, field in was.fields.items():
        if now.fields.get(name) == field:
            continue
        for kind, what in breaks(field, now.fields.get(name)):
            if kind in ("gone", "type", "unreadable"):
                silent.setdefault(name, f"{was.name}.{name}: {what}")
            elif kind == "uncreatable":
                on_create[name] = f"{was.name}.{name}: {what}"
            elif kind == "unupdatable":
                on_update[name] = f"{was.name}.{name}: {what}"
            else:
                values.setdefault(name, {})[what] = f"{was.name}.{name}: picklist - {what}"
    return Pause(silent, on_create, on_update, values)


def held_against(pinned: Description | None, live: Description) -> tuple[Mapping[str, Stream], dict[str, Pause]]:
    """Return the streams to compile mappings against, silent fields as they were pinned among them, and what of each is to be left alone.

    Nothing is where nothing was pinned, or another system was.
    """
    if pinned is None or pinned.identity != live.identity:
        return live.streams, {}
    streams, pauses = dict(live.streams), {}
    for name, was in pinned.streams.items():
        now = live.streams.get(name)
        if now == was or not (found := pause(was, now)):
            continue
        pauses[name] = found
        if now is None:
            streams[name] = was
        else:
            streams[name] = msgspec.structs.replace(now, fields={**now.fields, **{one: was.fields[one] for one in found.silent}})
    return streams, pauses
