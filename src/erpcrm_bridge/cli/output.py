"""What a command says, and to whom: a person at a terminal, a pipe, cron, or a program that reads JSON.

At a terminal: tables, colour, progress, hints. Otherwise plain lines without colour, progress or hints. ``--json``: one JSON object on
stdout and nothing else there. ``--quiet``: stdout stays empty. Errors go to stderr (with ``--json`` they are the object).
Every text passes the secret book, and control characters that could steer a terminal are taken out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from erpcrm_bridge.cli.exit_codes import DONE
from erpcrm_bridge.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from erpcrm_bridge.model.secrets import SecretBook

Advance = Callable[[int, int | None], None]
"""Called with how many are done, and of how many (None: not known)."""

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows: a plan must read as it will be written."""


class Output:
    """Where a command's words go. ``secrets`` is asked at each text, so that what is read later is kept out too."""

    def __init__(
        self,
        stdin: TextIO,
        stdout: TextIO,
        stderr: TextIO,
        environ: Mapping[str, str],
        secrets: Callable[[], SecretBook | None],
        *,
        json: bool = False,
        quiet: bool = False,
        for_people: bool = False,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self._for_people = for_people
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._environ = environ
        self._secrets = secrets
        self._gone = False

    @property
    def at_terminal(self) -> bool:
        """Whether a person is reading stdout."""
        return self._for_people or self._stdout.isatty()

    def line(self, text: str = "") -> None:
        """Say a line of the result on stdout."""
        if not (self.json or self.quiet):
            self._put(self._stdout, self._clean(text) + "\n")

    def hint(self, text: str) -> None:
        """Say what to do next; only to a person at a terminal."""
        if self.at_terminal:
            self.line(text)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = (), whole: Sequence[str] = ()
    ) -> None:
        """Show rows under columns (those in ``right`` flush right, those in ``whole`` never folded, so that they can be copied).

        In a pipe: one line a row, cells parted by tabs, without a head.
        """
        if self.json or self.quiet:
            return
        texts = [[self._clean(_cell(cell)) for cell in row] for row in rows]
        if not self.at_terminal:
            self._put(self._stdout, "".join("\t".join(re.sub(r"[\t\n]", " ", cell) for cell in row) + "\n" for row in texts))
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=column in whole)
        for row in texts:
            table.add_row(*(Text(cell) for cell in row))
        console = self._console(self._stdout)
        with console.capture() as capture:
            console.print(table)
        lines = [line.rstrip() for line in capture.get().splitlines()]
        self._put(self._stdout, "\n".join(lines).strip("\n") + "\n")

    def object(self, data: Mapping[str, Any]) -> None:
        """Write the one JSON object of ``--json``."""
        from erpcrm_bridge.model.values import pack

        book = self._secrets()
        plain = _plain(data)
        self._put(self._stdout, pack(book.redact_in(plain) if book else plain).decode() + "\n")

    def error(self, text: str) -> None:
        """Say on stderr what went wrong; ``--quiet`` does not silence it."""
        self._put(self._stderr, self._clean(text) + "\n")

    def confirm(self, question: str, *, option: str) -> bool:
        """Ask a person yes or no, on stderr. Raises UsageError, naming the ``option`` that answers, where nobody is at a terminal."""
        if not self._stdin.isatty():
            raise UsageError(f"{question} Nobody is there to answer.", way_out=f"answer beforehand: {option}")
        return typer.confirm(self._clean(question), err=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Advance]:
        """Show on stderr how far long work has come; only to a person at a terminal."""
        if self.quiet or not self._stderr.isatty():
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self._console(self._stderr), transient=True) as bar:
            task = bar.add_task(self._clean(what), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    @contextmanager
    def stations(self) -> Iterator[Callable[[str, int], None]]:
        """Show on stderr at which station long work is (a sentence), and how many records it has come past; only to a person there."""
        if self.quiet or not self._stderr.isatty():
            yield lambda sentence, count: None
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TextColumn("{task.completed:,}"), TimeElapsedColumn()
        with Progress(*columns, console=self._console(self._stderr), transient=True) as bar:
            task = bar.add_task("…", total=None)
            yield lambda sentence, count: bar.update(task, description=self._clean(sentence), completed=count)

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        plain = bool(self._environ.get("NO_COLOR"))
        return Console(file=stream, color_system=None if plain else "auto", highlight=False, emoji=False, markup=False)

    def _clean(self, text: str) -> str:
        book = self._secrets()
        return _STEERING.sub("\N{REPLACEMENT CHARACTER}", book.redact(text) if book else text)

    def _put(self, stream: TextIO, text: str) -> None:
        """Write; where the reader of stdout has gone the command still does its work to the end."""
        if stream is self._stdout and self._gone:
            return
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            if stream is self._stdout:
                self._gone = True
                _let_go(stream)
            if not isinstance(error, BrokenPipeError):
                raise


def _let_go(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: the interpreter would try to write it at its end, and end with a code of its own."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say. ``data``: the object of ``--json`` (keys are a promise); ``show`` says the same to a person."""

    data: Mapping[str, Any]
    show: Callable[[Output], None]
    exit_code: int = DONE

    def deliver(self, output: Output) -> None:
        """Say it."""
        if output.json:
            output.object({**self.data, "exit_code": self.exit_code})
        else:
            self.show(output)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
