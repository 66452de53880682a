"""What the documents show is what happens."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from erpcrm_bridge.store import open_store

sys.path.insert(0, str(Path(__file__).parent))  # import-mode=importlib puts no folder of tests on the path

import console
from console import ROOT, SHOWN_ONLY, Place, blocks, commands, documents, play, start, told

SHOWING = [path for path in documents() if any(block.language == "console" for block in blocks(path.read_text(encoding="utf-8")))]
NEEDS_POSTGRES = {"use-postgresql.md"}


@pytest.fixture(scope="session")
def ended() -> dict[Path, Place]:
    """Documents that others go on from, run once."""
    return {}


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, marks=[pytest.mark.postgres] if path.name in NEEDS_POSTGRES else []) for path in SHOWING],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_a_document_shows_is_what_its_commands_print(
    document: Path, tmp_path: Path, ended: dict[Path, Place], request: pytest.FixtureRequest
) -> None:
    environ = {"BRIDGE_STORE": request.getfixturevalue("postgres_url")} if document.name in NEEDS_POSTGRES else {}
    place = start(document, tmp_path, environ, ended)
    seen = 0
    for command, printed in play(document, place):
        assert printed == command.output, f"{document.relative_to(ROOT)}:{command.start}: $ {command.text}"
        seen += 1
    assert seen


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_block_of_a_document_is_run_or_is_a_file_or_a_drawing(document: Path) -> None:
    markdown = document.read_text(encoding="utf-8")
    lines = markdown.splitlines()
    for block in blocks(markdown):
        here = f"{document.name}:{block.line}"
        if block.name:
            above = next(line for line in reversed(lines[: block.line - 1]) if line)
            assert f"`{block.name}`" in above, f"{here}: the line above the block names the file that it is"
        else:
            assert block.language in ("console", "text"), f"{here}: {block.language or 'a block without language'} is never run"


def test_the_copy_of_the_store_that_is_shown_is_whole_though_its_log_was_not_taken_in(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "restore-after-losing-the-store.md").read_text(encoding="utf-8")
    copying = next(
        one.text for block in blocks(page) if block.language == "console" for one in commands(block) if "store.backup" in one.text
    )
    (tmp_path / ".erpcrm-bridge").mkdir()
    path = tmp_path / ".erpcrm-bridge" / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        store.set_fact("first", "1")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT count(*) FROM fact").fetchall()
        with open_store(f"sqlite:///{path}") as store:
            store.set_fact("second", "2")
    assert path.with_name("store.db-wal").stat().st_size
    subprocess.run(
        copying, shell=True, check=True, cwd=tmp_path, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )
    with open_store(f"sqlite:///{tmp_path / 'store.backup'}") as store:
        assert (store.fact("first"), store.fact("second")) == ("1", "2")


def test_a_command_that_is_only_shown_is_shown_somewhere_and_shows_no_output() -> None:
    shown = [
        command
        for path in SHOWING
        for block in blocks(path.read_text(encoding="utf-8"))
        if block.language == "console"
        for command in commands(block)
    ]
    assert set(SHOWN_ONLY) <= {command.text for command in shown}
    assert not [command.text for command in shown if command.text in SHOWN_ONLY and command.output.strip()]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("2 writes\n", "3 writes\n"),
        ("G0123456789ABC G0123456789ABC\n", "G0123456789ABC G0123456789ABD\n"),
        ("G0123456789ABC G0123456789ABD\n", "G0123456789ABC G0123456789ABC\n"),
        ("since 2026-05-01 07:25:37Z\n", "since yesterday\n"),
        ("", "one line more\n"),
    ],
)
def test_what_differs_is_seen(shown: str, printed: str) -> None:
    assert told(shown, printed, Place(Path())) != shown


def test_an_id_stands_for_the_one_that_the_run_gave_and_goes_into_later_commands(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shown = "clash P0123456789ABC since 2026-05-01 07:25:37Z\n"
    assert told(shown, "clash P9999999999ZZZ since 2027-01-01 00:00:00Z\n", place) == shown
    assert console._in_this_run("settle P0123456789ABC", place) == "settle P9999999999ZZZ"


def test_a_command_that_fails_unseen_is_told(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("```console\n$ echo well\nwell\n$ exit 3\n```\n")
    place = Place(tmp_path)
    with pytest.raises(console.Wrong, match="ended with 3"):
        list(play(document, place))
    document.write_text("```console\n$ exit 3\n$ echo $?\n3\n```\n")
    assert [printed for _, printed in play(document, Place(tmp_path))] == ["", "3\n"]
