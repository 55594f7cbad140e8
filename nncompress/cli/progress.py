"""What a command is at, on the last line of a terminal, while a model runs in the child process; nothing elsewhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK = re.compile(r"(?P<doing>.*) block (?P<number>\d+) of (?P<count>\d+).*")


@contextmanager
def progress_shown() -> Iterator[None]:
    """Until the block ends; the line is gone then. Blocks that are counted have a bar and the time left."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from nncompress.runtime.child import listening

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(30), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        line = progress.add_task("", total=None, visible=False)

        def listener(part: str, what: str) -> None:
            text, done, total = stage_text(part, what)
            progress.update(line, description=text, completed=done, total=total, visible=True)

        with listening(listener):
            yield


def stage_text(part: str, what: str) -> tuple[str, int, int | None]:
    """What to say of a stage, how much of it is done, and of how much; None: nobody knows."""
    from nncompress.runtime.child import stage_words

    block = _BLOCK.fullmatch(what)
    if block is None:
        return stage_words(part, what), 0, None
    number, count = int(block["number"]), int(block["count"])
    return f"{block['doing']} block {number} of {count}", number - 1, count
