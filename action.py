"""What action.yml runs: nncompress with the words of ARGS, taken apart as a shell does it, but run by no shell.

Words stand apart by spaces or lines. Quotes and backslashes keep a word together and a glob as it is written; any other
*, ? or [] becomes the files that it matches, if there are some. Nothing else means anything: no variable, no command.
"""

from __future__ import annotations

import glob
import os
import re
import sys

WITH_SUMMARY = {
    "quantize",
    "share",
    "auto",
    "binarize",
    "prune",
    "factorize",
    "slim",
    "shrink",
    "run",
    "sweep",
    "compare",
    "check",
    "report",
}
_PIECE = re.compile(
    r"""(?P<apart>(?:\s|\\\n)+)|'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|\\(?P<escaped>.)|(?P<bare>[^\s'"\\]+)""",
    re.DOTALL,
)
_IN_DOUBLE = re.compile(r'\\([$`"\\\n])')


def words(text: str) -> list[str]:
    """The words of `text`, globs expanded. Raises ValueError for a quote that does not close."""
    found: list[tuple[str, str]] = []  # (as it stands, as a pattern)
    place, within = 0, False
    while place < len(text):
        piece = _PIECE.match(text, place)
        if piece is None:
            what = "the quote" if text[place] in "'\"" else "a backslash"
            raise ValueError(f"{what} does not close in {text[place:].rstrip()!r}")
        place, kind = piece.end(), str(piece.lastgroup)
        if kind != "apart":
            literal = _IN_DOUBLE.sub(_unescaped, piece[kind]) if kind == "double" else piece[kind]
            before = found.pop() if within else ("", "")
            pattern = literal if kind == "bare" else glob.escape(literal)
            found.append((before[0] + literal, before[1] + pattern))
        within = kind != "apart"
    return [word for literal, pattern in found for word in _expanded(literal, pattern)]


def _unescaped(match: re.Match[str]) -> str:
    return "" if match[1] == "\n" else match[1]


def _expanded(literal: str, pattern: str) -> list[str]:
    return sorted(glob.glob(pattern)) or [literal]  # noqa: PTH207 - as a shell does it


def main() -> None:
    """Becomes nncompress; ends with 2 where ARGS cannot be meant."""
    try:
        given = words(os.environ.get("ARGS", ""))
        if not given:
            raise ValueError("there is no command: give one, such as check")
    except ValueError as error:
        message = str(error).replace("%", "%25")
        sys.stderr.write(f"::error title=nncompress::args: {message}\n")
        sys.exit(2)
    summary = ["--github-summary"] if WITH_SUMMARY.intersection(given[:1]) else []
    os.execvp("nncompress", ["nncompress", *given, *summary])


if __name__ == "__main__":
    main()
