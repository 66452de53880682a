"""Runs what the documents show, and holds it against what they say comes of it.

A fenced block of a document is one of three things:

* ``console``: lines ``$ command``, each followed by what it prints. They are run in their order, in one folder, as at a terminal.
* a block with a file's name after its language (```` ```yaml config.yaml ````): the file is written before the commands that follow.
* ``text``: a drawing, or a form; nothing is done with it.

``<!-- after README.md -->`` at the top of a document: it goes on in the folder in which that one ended. A command that ends with another
exit code than 0 is followed by ``$ echo $?``. What differs from run to run is declared in ``NAMES`` and ``TIMES``: an id stands for
whatever id the run has given in its place, the same one throughout.

Run as a script with the names of documents, it writes into them what their commands print now: ``python tests/docs/console.py README.md``.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
WIDTH = 116
PATIENCE = 120
"""Seconds that one command may take."""

NAMES = re.compile(
    r"\b[GLRPI][0-9A-HJKMNP-TV-Z]{13}\b"  # golden records, links, runs, what is parked, intentions
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # what a folder of CSV files is
    r"|\b[0-9a-f]{16}\b|(?<=apply )[0-9a-f]{8}\b"  # a plan's fingerprint, and the beginning of it
)
TIMES = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z|\bin \d+\.\d\ds\b")
HOME = "/home/anna/bridge"
"""What the documents call the folder in which they are run."""
SHOWN_ONLY = {
    "export BRIDGE_STORE='postgresql://bridge:PASSWORD@db.example.com/bridge'": "this test has a server of its own",
    "make demo": ".ci/run runs it, from the wheel alone",
    "make test": "it runs this test",
    "make install": "`make test` does the same before it runs this test",
    'export PATH="$PWD/.venv/bin:$PATH"': "this test puts the same programs on the path",
}
"""Commands that are shown and not run here, each with the reason."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the file's name after it, its text, and the number of the document's line on which it opens."""

    language: str
    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command, what the document says it prints, and the lines of the document (from, to) on which that stands."""

    text: str
    output: str
    start: int
    end: int


@dataclass(slots=True)
class Place:
    """A folder in which documents are run, and the names that stand in them by what they are in this run."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    status: int = 0

    def copy(self, folder: Path) -> Place:
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder, names=dict(self.names))


def documents() -> list[Path]:
    """Return every document of the project that may show something."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(markdown: str) -> list[Block]:
    """Return the fenced blocks of a document. Raises ValueError for one that is not closed."""
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(markdown.splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif opened is None:
            opened, lines = (line[3:].strip(), number), []
        else:
            language, _, name = opened[0].partition(" ")
            found.append(Block(language, name.strip(), "".join(f"{text}\n" for text in lines), opened[1]))
            opened = None
    if opened is not None:
        raise ValueError(f"the block that opens on line {opened[1]} is not closed")
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block. Raises ValueError where one begins with output."""
    found: list[Command] = []
    lines = block.text.splitlines()
    number = 0
    while number < len(lines):
        if not lines[number].startswith("$ "):
            raise ValueError(f"line {block.line + number + 1}: a console block begins with `$ command`")
        text = lines[number][2:]
        number += 1
        while text.endswith("\\"):
            text += "\n" + lines[number].removeprefix("> ")
            number += 1
        start = number
        while number < len(lines) and not lines[number].startswith("$ "):
            number += 1
        output = "".join(f"{line}\n" for line in lines[start:number])
        found.append(Command(text, output, block.line + start, block.line + number))
    return found


def after(markdown: str) -> Path | None:
    """Return the document that this one goes on from."""
    found = re.search(r"^<!-- after (\S+) -->$", markdown, re.MULTILINE)
    return ROOT / found[1] if found else None


class Wrong(AssertionError):
    """What a document shows is not what happens."""


def play(document: Path, place: Place) -> Iterator[tuple[Command, str]]:
    """Run a document's blocks in order; yield each command with what it has printed, in the document's own names.

    Raises Wrong for a command that failed and is not followed by ``$ echo $?``.
    """
    markdown = document.read_text(encoding="utf-8")
    for block in blocks(markdown):
        if block.name:
            path = place.folder / block.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            shown = commands(block)
            for command, following in zip(shown, [*shown[1:], None], strict=True):
                if command.text in SHOWN_ONLY:
                    continue
                printed = run(_in_this_run(command.text, place), place)
                if place.status and (following is None or following.text != "echo $?"):
                    raise Wrong(f"{document.name}:{command.start}: `{command.text}` ended with {place.status}:\n{printed}")
                yield command, told(command.output, printed, place)


def run(command: str, place: Place) -> str:
    """Run a command as at a terminal without colour; return what it prints there. Sets the place's status."""
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(place.folder.parent),
        "LANG": "C.UTF-8",
        "LOGNAME": "anna",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": str(WIDTH),
        "LINES": "50",
        **place.environ,
    }
    master, terminal = pty.openpty()
    try:
        script = f"(exit {place.status})\n{command}\n"
        process = subprocess.Popen(
            ["sh", "-c", script], cwd=place.folder, env=environ, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        printed = _read(master, process)
    finally:
        os.close(master)
    place.status = process.wait()
    text = printed.decode().replace("\r\n", "\n").replace(str(place.folder), HOME)
    # A terminal that cannot move its cursor back keeps an empty line where progress was shown.
    return "".join(f"{line.rstrip()}\n" for line in text.lstrip("\n").splitlines())


def _read(master: int, process: subprocess.Popen[bytes]) -> bytes:
    printed = b""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # the last one that held the terminal has let go
            return printed
        printed += piece
    process.kill()
    raise Wrong(f"after {PATIENCE} s it had printed this, and did not end:\n{printed.decode(errors='replace')}")


def told(shown: str, printed: str, place: Place) -> str:
    """Return ``printed`` with the document's names for what it names, and the document's times where all else is the same."""
    _learn(NAMES.findall(shown), NAMES.findall(printed), place)
    if _bare(shown) == _bare(printed):
        times = iter(TIMES.findall(shown))
        printed = TIMES.sub(lambda _: next(times), printed)
    back = {actual: name for name, actual in place.names.items()}
    return NAMES.sub(lambda found: back.get(found[0], found[0]), printed)


def _learn(shown: list[str], printed: list[str], place: Place) -> None:
    """Pair the names of a document with those of this run, in their order; a pair that contradicts an earlier one is left out."""
    known = {actual: name for name, actual in place.names.items()}
    for name, actual in zip(shown, printed, strict=False):
        if len(name) == len(actual) and name not in place.names and actual not in known:
            place.names[name], known[actual] = actual, name
    for actual in printed:
        if actual not in known:
            place.names[actual] = known[actual] = actual


def _bare(text: str) -> str:
    """Return a text without what differs from run to run."""
    return TIMES.sub("⟨time⟩", NAMES.sub("⟨name⟩", text))


def _in_this_run(command: str, place: Place) -> str:
    return NAMES.sub(lambda found: place.names.get(found[0], found[0]), command)


def start(document: Path, folder: Path, environ: dict[str, str] | None = None, ended: dict[Path, Place] | None = None) -> Place:
    """Return a new folder below ``folder`` in which a document can be run. What it goes on from has been run there, unchecked, or is
    copied from ``ended``, where that is kept."""
    ended = {} if ended is None else ended
    before = after(document.read_text(encoding="utf-8"))
    if before is None:
        place = Place(folder / "bridge", environ=environ or {})
        place.folder.mkdir()
        return place
    if before not in ended:
        earlier = Path(tempfile.mkdtemp(dir=folder))
        ended[before] = start(before, earlier, ended=ended)
        for _ in play(before, ended[before]):
            pass
    place = ended[before].copy(folder / "bridge")
    place.environ = environ or {}
    return place


def write(document: Path) -> None:
    """Write into a document what its commands print now, up to the first that goes wrong. Raises Wrong then."""
    lines = document.read_text(encoding="utf-8").splitlines()
    news: list[tuple[Command, str]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            news.extend(play(document, start(document, Path(folder))))
    finally:
        for command, printed in reversed(news):
            lines[command.start : command.end] = printed.splitlines()
        document.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(Path(name).resolve())
