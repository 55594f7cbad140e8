"""What commands print: results on stdout, messages on stderr.

Names come from files that nobody has checked, and GitHub Actions obeys commands in what a step prints: on neither
stream does a line reach it that it would take for one.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from nncompress.cli.progress import hide
from nncompress.errors import printable

if TYPE_CHECKING:
    from nncompress.report.layout import Section
    from nncompress.report.terminal import Laid


def say(text: str) -> None:
    """A result, on lines of its own. Raises NoOutputError where it cannot be written."""
    _write(sys.stdout, text if text.endswith("\n") else f"{text}\n")


def coloured(stream: TextIO) -> bool:
    """True for a terminal that is not told otherwise, and where FORCE_COLOR is set; never in GitHub Actions."""
    from nncompress.report import github
    from nncompress.report.terminal import is_terminal

    told_not = github.in_actions() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not told_not and is_terminal(stream)


def complain(message: str) -> None:
    """One line on stderr; where it cannot be written, it is lost (see streams.py)."""
    from nncompress.report import github
    from nncompress.report.terminal import is_terminal, print_lines

    text = f"nncompress: {printable(message)}"
    if is_terminal(sys.stderr) and not github.in_actions():
        from nncompress.report.layout import Line, folded

        hide()
        print_lines(lambda width: [Line(part) for part in folded(text, width, indent=2)], sys.stderr)
    else:
        _write(sys.stderr, f"{text}\n")


def say_error(about: str, message: str) -> None:
    """The same, as an annotation in GitHub Actions."""
    from nncompress.report import github

    if github.in_actions():
        sys.stderr.write(github.error_line(about, message) + "\n")
    else:
        complain(message)


def say_sections(*sections: Section) -> None:
    """Tables and paragraphs, in colour on a terminal. Raises NoOutputError where it cannot be written."""
    from nncompress.report.layout import laid_out

    say_lines(lambda width: laid_out(sections, width))


def say_lines(laid: Laid) -> None:
    """The same for lines that are laid out in a way of their own."""
    from nncompress.report import github
    from nncompress.report.terminal import print_lines

    hide()
    if not github.in_actions():
        print_lines(laid, sys.stdout)
        sys.stdout.flush()
        return
    held = io.StringIO()  # FORCE_COLOR still counts, and folds lines wherever they get too wide
    print_lines(laid, held)
    say(held.getvalue())


def _write(stream: TextIO, text: str) -> None:
    from nncompress.report import github

    hide()
    stream.write(github.without_commands(text) if github.in_actions() else text)
    stream.flush()  # here, where what goes wrong is dealt with, and not when Python ends
