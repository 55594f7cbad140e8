"""What a command is at, on the last line of a terminal until something is printed; nothing elsewhere.

The first line stands before the libraries are loaded that draw a bar, and hides no cursor: a signal may end it there.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nncompress.progress import Stage, at, listening

if TYPE_CHECKING:
    from rich.progress import Progress

_ERASE = "\r\x1b[2K"
_LONGEST = 48  # of a stage's words


@contextmanager
def progress_shown(command: str) -> Iterator[None]:
    """Until the block ends; the line is gone then. Work that is counted has a bar and the time left."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    with listening(_line.show):
        at(f"starting {command}")
        try:
            yield
        finally:
            hide()


def draw() -> None:
    """Bars from now on: to be called when an interrupt can no longer leave the cursor hidden."""
    _line.draws = True


def hide() -> None:
    """Clears the line, so that something can be printed; the next stage shows it again."""
    _line.hide()


class _Line:
    draws = False

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._written = False
        self._lock = threading.RLock()

    def show(self, stage: Stage) -> None:
        with self._lock:
            if not self.draws:
                self._written = True
                sys.stderr.write(f"{_ERASE}{stage.doing}")
                sys.stderr.flush()
                return
            words = _short(stage.doing)
            if self._progress is None:
                self.hide()
                self._progress = _bar()
                self._task = self._progress.add_task(words, total=stage.total)
                self._progress.start()
            self._progress.update(self._task, description=words, completed=stage.done, total=stage.total)

    def hide(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
            if self._written:
                self._written = False
                sys.stderr.write(_ERASE)
                sys.stderr.flush()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Left(ProgressColumn):
        """Nothing where nobody knows."""

        def render(self, task: Task) -> Text:
            left = task.time_remaining if task.total else None
            return Text("" if left is None else f"about {timedelta(seconds=int(left))} left")

    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TimeElapsedColumn(),
        Left(),
    )
    console = Console(stderr=True, highlight=False)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)


def _short(words: str) -> str:
    from nncompress.report.layout import folded

    return folded(words, _LONGEST)[0]


_line = _Line()
