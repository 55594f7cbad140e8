"""Prints laid-out lines: in colour and no wider than it is on a terminal, plain and whole anywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

from nncompress.report.layout import Line

Laid = Callable[[int | None], Sequence[Line]]
"""The lines for a width; None: for any."""

_KINDS = {"title": "bold", "header": "dim", "text": ""}
_WORDS = {
    r"(?<!\S)(PASS|DONE)(?!\S)": "bold green",
    r"(?<!\S)(WARN|NOISE|INFO)(?![^\s:,])": "bold yellow",
    r"(?<!\S)(FAIL|LOST|NONE|error:)(?!\S)": "bold red",
}


def is_terminal(stream: TextIO) -> bool:
    """True for a terminal, and where a variable says that there is one."""
    return stream.isatty() or any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))


def print_lines(laid: Laid, stream: TextIO) -> None:
    """Rich reads NO_COLOR, FORCE_COLOR and TERM itself."""
    if not is_terminal(stream):
        stream.write("".join(f"{line.text}\n" for line in laid(None)))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        stream.write("".join(f"{line.text}\n" for line in laid(None)))
        return
    plain = bool(os.environ.get("NO_COLOR"))  # rich would keep bold and dim
    for line in laid(console.width):
        text = Text(line.text, "" if plain else _KINDS[line.kind])
        for pattern, style in _WORDS.items() if not plain else ():
            text.highlight_regex(pattern, style)
        console.print(text)
