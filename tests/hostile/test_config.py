"""config.yaml and the strict YAML below it, as nobody should write them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import NASTY_TEXTS, altered, ending, nasty_value, refused, searched

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.settings import load
from erpcrm_bridge.settings.load import connector_settings
from erpcrm_bridge.settings.yaml import read_yaml
from erpcrm_bridge_csv import CsvFactory

SECRET = "hunter2-hunter2"
CONFIG: dict[str, Any] = {
    "apiVersion": "erpcrm-bridge/v1",
    "store": {"url": "sqlite:///./store.db"},
    "mappings": ["."],
    "connections": {
        "crm": {
            "connector": "csv",
            "values": {"currency": "EUR"},
            "budget": {"calls": 10, "parallel": 2},
            "settings": {
                "folder": "./crm",
                "dialect": "dataloader",
                "streams": {"A.csv": {"key": "Id", "encoding": "cp1252", "assigns_keys": {"bridge": "template", "template": "A{n:04d}"}}},
            },
        },
        "erp": {"connector": "csv", "settings": {"folder": "${env:SECRET}"}},
    },
    "flows": {
        "main": {
            "roles": {"crm": "crm", "erp": "erp"},
            "entities": {"customer": {"mappings": {"crm": ["a"], "erp": ["b"]}, "create_in": ["crm"]}},
            "policies": {"customer": {"fields": {"phone": {"on_clash": {"prefer": ["crm"]}, "write_by": ["erp"], "group": "g"}}}},
            "brakes": {"deletes": 20, "creates": None, "changed": "25%", "window": "24h"},
            "schedule": {"cron": "0 6 * * mon-fri", "zone": "Europe/Berlin"},
        }
    },
}


def opened(folder: Path, content: bytes, environ: dict[str, str] | None = None) -> Any:
    """Read a config, and the settings of its connections as CSV settings."""
    path = folder / "config.yaml"
    path.write_bytes(content)
    settings = load(path, {"SECRET": SECRET} if environ is None else environ)
    for connection in settings.connections.values():
        connector_settings(connection, CsvFactory)  # type: ignore[arg-type]  # a protocol over class variables
    return settings


def flow_style(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def test_the_config_that_is_altered_here_is_a_good_one(tmp_path: Path) -> None:
    assert opened(tmp_path, flow_style(CONFIG)).flows["main"].roles == {"crm": "crm", "erp": "erp"}


@searched
@given(value=altered(CONFIG))
def test_an_altered_config_is_read_or_refused_with_its_place_and_never_tells_a_secret(tmp_path_factory: Any, value: Any) -> None:
    folder = tmp_path_factory.mktemp("config")
    found = ending(lambda: opened(folder, flow_style(value)))
    assert SECRET not in str(found)
    assert SECRET not in repr(found)
    assert not isinstance(found, ConfigError) or all(SECRET not in str(complaint) for complaint in found.complaints)
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml"]


@searched
@given(content=st.binary(max_size=200) | st.text(alphabet="{}[]:-,#&*!|>'\"%@`? \n\tabc01\0\u202e", max_size=200).map(str.encode))
def test_any_bytes_are_read_as_yaml_or_refused_with_their_place(content: bytes) -> None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    found = ending(lambda: read_yaml(text, "f.yaml"))
    if isinstance(found, ConfigError):
        lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 2
        assert all(0 <= complaint.line <= lines for complaint in found.complaints)


@searched
@given(value=nasty_value)
def test_what_strict_yaml_reads_is_what_was_written(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=True)
    found = ending(lambda: read_yaml(text, "f.yaml"))
    if not isinstance(found, ConfigError):
        assert found.value == value


BOMBS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
    "open brackets": "[" * 100_000,
    "open braces": "{" * 100_000,
    "nested keys": "? " * 100_000,
    "nested lists": "- " * 100_000,
    "nested blocks": "\n".join(" " * depth + "a:" for depth in range(2_000)),
    "an endless tag": "!" * 100_000 + " a",
    "an endless anchor": "&" + "a" * 100_000 + " b",
    "merge keys": "<<: {a: 1}",
    "directives": "%YAML 9.9\n---\na: b",
    "a Python tag": "!!python/object/apply:os.system ['true']",
    "tabs": "\t" * 100_000,
    "duplicates": "a: 1\n" * 50_000,
    "half a character": "a: \ud800",
    "an open quote": 'a: "' + "x" * 500_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_quickly_and_in_few_words(text: str) -> None:
    error = refused(lambda: read_yaml(text, "f.yaml"), seconds=2)
    assert isinstance(error, ConfigError)
    assert 1 <= len(error.complaints) <= 101


@pytest.mark.parametrize("content", [b"x" * 10_000_000, b"a: 1\n" * 2_000_000, b"#" * 3_000_000], ids=["a line", "lines", "a comment"])
def test_a_config_of_many_megabytes_is_refused_unread(tmp_path: Path, content: bytes) -> None:
    assert "longer than 1 MB" in str(refused(lambda: opened(tmp_path, content), seconds=2))


@pytest.mark.parametrize("name", ["pipe", "zero", "loop", "folder", "a\0b", "a" * 300, "gone"])
def test_what_is_no_file_is_no_config(tmp_path: Path, name: str) -> None:
    strange_files(tmp_path)
    error = refused(lambda: load(tmp_path / name, {}), seconds=2)
    assert isinstance(error, ConfigError)
    assert error.way_out


@pytest.mark.parametrize("name", ["pipe", "zero", "loop", "folder", "a\0b", "a" * 300, "gone", "large"])
def test_what_is_no_file_is_no_secret(tmp_path: Path, name: str) -> None:
    strange_files(tmp_path)
    config = {**CONFIG, "store": {"url": f"postgresql://a:${{file:{name}}}@h/d"}}
    error = refused(lambda: opened(tmp_path, flow_style(config)), seconds=2)
    assert isinstance(error, ConfigError)
    assert [complaint.line for complaint in error.complaints] == [1]


def strange_files(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "folder").mkdir()
    (folder / "large").write_bytes(b"x\n" * 1_000_000)


def test_a_variable_that_is_no_text_is_refused_by_its_name(tmp_path: Path) -> None:
    error = refused(lambda: opened(tmp_path, flow_style(CONFIG), {"SECRET": "hunter\udcff22"}))
    assert "SECRET" in str(error)
    assert "hunter" not in str(error)


@pytest.mark.parametrize("share", ["nan%", "snan%", "inf%", "-inf%", "1e999999999%", "%", "-1%", "101%", "0x1%"])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: str) -> None:
    config = {**CONFIG, "flows": {"main": {**CONFIG["flows"]["main"], "brakes": {"changed": share}}}}
    assert "share" in str(refused(lambda: opened(tmp_path, flow_style(config))))


@pytest.mark.parametrize("name", NASTY_TEXTS)
def test_any_text_may_stand_where_a_folder_is_named(tmp_path: Path, name: str) -> None:
    ending(lambda: opened(tmp_path, flow_style({**CONFIG, "mappings": [name]})))


@pytest.mark.parametrize("codec", ["rot13", "hex", "zlib", "undefined", "utf-7", "raw_unicode_escape", "hz", "cp037", "a\0b", "../x"])
def test_an_encoding_in_which_ascii_is_not_ascii_is_refused(tmp_path: Path, codec: str) -> None:
    assert isinstance(refused(lambda: opened(tmp_path, flow_style(_with_stream(encoding=codec)))), ConfigError)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1252", "iso-8859-15", "shift_jis", "gb18030", "koi8-r", "euc_kr"])
def test_an_encoding_that_exports_come_in_is_taken(tmp_path: Path, codec: str) -> None:
    assert opened(tmp_path, flow_style(_with_stream(encoding=codec))).flows


@pytest.mark.parametrize(
    "template", ["\0{n}", "{n}\n", "{n}\x1b", "{n.__class__}", "{n!r}", "{n:{n}}", "{n:99999999d}", "{0}", "{n}{n}", "{", "x"]
)
def test_a_template_that_does_more_than_hold_a_number_is_refused(tmp_path: Path, template: str) -> None:
    config = _with_stream(assigns_keys={"bridge": "template", "template": template})
    assert isinstance(refused(lambda: opened(tmp_path, flow_style(config))), ConfigError)


def test_who_assigns_keys_is_told_in_the_forms_that_it_may_have(tmp_path: Path) -> None:
    error = refused(lambda: opened(tmp_path, flow_style(_with_stream(assigns_keys="counter"))))
    assert isinstance(error, ConfigError)
    assert "{bridge: counter}" in error.complaints[0].way_out


def _with_stream(**stream: Any) -> dict[str, Any]:
    connection = {"connector": "csv", "settings": {"folder": "./crm", "streams": {"A.csv": stream}}}
    return {**CONFIG, "connections": {**CONFIG["connections"], "crm": connection}}


def test_a_secret_in_the_wrong_place_is_not_quoted_by_the_complaint(tmp_path: Path) -> None:
    error = refused(lambda: opened(tmp_path, flow_style(_with_stream(encoding="${env:SECRET}"))))
    assert "is no known encoding" in str(error)
    assert SECRET not in str(error)
