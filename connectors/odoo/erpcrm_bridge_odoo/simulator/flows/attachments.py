"""Attachments: files at records, their size, checksum and type; those of a record go with it. And the modules that are installed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from typing import Any

from erpcrm_bridge_odoo.simulator import errors, orm
from erpcrm_bridge_odoo.simulator.computes import COMPUTES
from erpcrm_bridge_odoo.simulator.env import INVERSES, Env, prepares
from erpcrm_bridge_odoo.simulator.known import real_model
from erpcrm_bridge_odoo.simulator.store import Row

OCTETS = "application/octet-stream"
_IMAGES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_WORDS = re.compile(rb"[\x20-\x7E]{4,}")
NO_ACCESS = "Sorry, you are not allowed to access this document."


@prepares("ir.attachment")
def _prepared(env: Env, vals: Row) -> Row:
    of, key = vals.get("res_model"), vals.get("res_id")
    if of and key and (of not in env.database.models or key not in env.store.table(of).rows):
        if env.version < 19 and of in env.database.models:
            raise errors.NotSimulatedError("attachments of records that are not there")
        if of not in env.database.models and real_model(of):
            raise errors.NotSimulatedError(f"attachments of {of}")
        if env.version < 19 and of not in env.database.models:
            raise errors.builtin(KeyError, of)
        raise errors.access(NO_ACCESS)
    content = _content(vals.get("datas"), vals.get("raw"))
    kind = vals.get("mimetype") or _kind(env, vals, content)
    return {**vals, "mimetype": kind, **_figures(env, content, kind, given=bool(vals.get("datas") or vals.get("raw")))}


def _content(datas: Any, raw: Any) -> bytes:
    """Return the octets; what is no base64 is passed over."""
    if datas:
        try:
            return base64.b64decode(datas)
        except (binascii.Error, ValueError) as error:
            raise errors.OdooError("binascii.Error", str(error)) from error
    return str(raw).encode() if raw else b""


def _kind(env: Env, vals: Row, content: bytes) -> str:
    """Return the type: by the name's ending, else by the address, else by how the content begins."""
    for told in (vals.get("name"), vals.get("url")):
        found = mimetypes.guess_type(str(told).split("?")[0])[0] if told else None
        if found:
            return found
    if content.startswith(b"%PDF"):
        return "application/pdf"
    if env.version < 19:
        return next((kind for mark, kind in _IMAGES if content.startswith(mark)), OCTETS)
    return "text/plain" if len(content) > 1 and all(32 <= one < 127 or one in b"\t\n\r" for one in content) else OCTETS


def _figures(env: Env, content: bytes, kind: str, *, given: bool = True) -> Row:
    """Return what is known of octets: their number, their sum, and the words of a text; 17 has a word for what is no text."""
    if not content and (env.version >= 19 or not given):
        return {"file_size": 0, "checksum": None, "_content": b"", "index_content": None}
    words = b"\n".join(_WORDS.findall(content)).decode() if kind.startswith("text/") else None
    told = {"file_size": len(content), "checksum": _sum(content), "_content": content}
    return {**told, "index_content": kind.partition("/")[0] if words is None and env.version < 19 else words}


def _sum(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _put(env: Env, key: int, given: Any, *, coded: bool) -> None:
    row = env.row("ir.attachment", key)
    content = _content(given, None) if coded else _content(None, given)
    kind = row["mimetype"] if row["checksum"] == _sum(content) else _kind(env, row if env.version >= 19 else {}, content)
    env.set("ir.attachment", key, {**_figures(env, content, kind, given=bool(given)), "mimetype": kind})


INVERSES["ir.attachment", "datas"] = lambda env, key, given: _put(env, key, given, coded=True)
INVERSES["ir.attachment", "raw"] = lambda env, key, given: _put(env, key, given, coded=False)


def _datas(env: Env, row: Row) -> str | None:
    content: bytes = row.get("_content") or b""
    if env.context.get("bin_size"):
        return _size(len(content)) if content else None
    return base64.b64encode(content).decode()


def _raw(env: Env, row: Row) -> str | None:
    content: bytes = row.get("_content") or b""
    if env.context.get("bin_size"):
        return _size(len(content)) if content else None
    return content.decode(errors="replace")


def _size(octets: int) -> str:
    shown, units = float(octets), ["bytes", "Kb", "Mb", "Gb"]
    while shown >= 1024 and len(units) > 1:
        shown, units = shown / 1024, units[1:]
    return f"{shown:0.2f} {units[0]}"


def _named(env: Env, row: Row) -> str | None:
    if not row.get("res_model") or not row.get("res_id"):
        return None
    return orm.display(env, row["res_model"], row["res_id"])


COMPUTES["ir.attachment", "datas"] = _datas
COMPUTES["ir.attachment", "raw"] = _raw
COMPUTES["ir.attachment", "res_name"] = _named
COMPUTES["ir.module.module", "installed_version"] = lambda env, row: row["latest_version"]
