"""Lays tables and paragraphs out in lines: of any length for a pipe, as wide as it is for a terminal.

No word is broken and no column is lost. A column that is empty is not shown, one that says the same in every row is a
line above the table. Where the width is not enough, names are cut in the middle and texts folded between words; where
that is not enough either, each row is a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

from nncompress.report.tables import Table

Section = Table | Sequence[str]
Kind = Literal["title", "header", "text"]
SAME_FROM_ROWS = 3
CUT = "…"
_GAP, _INDENT = 2, 2
_NUMBER = r"(?:[<>]=? )?[-(]?[\d.,]+(?: ± [\d.,]+)?(?: (?:[kMGT]?B|dB|ms|mJ|s|%|points?)(?!\w))?\S*"
_WORDS = re.compile(rf"(\s*)({_NUMBER}|\S+)")  # a number stays with its unit and what compares it
_LEAST_NAME, _LEAST_TEXT = 16, 24  # columns that a name is cut to, a text folded to


@dataclass(frozen=True)
class Line:
    """One line of a screen, and what it is."""

    text: str
    kind: Kind = "text"


def laid_out(sections: Iterable[Section], width: int | None = None) -> list[Line]:
    """The lines of all sections, an empty one between two; no longer than `width`. Empty sections are left out."""
    lines: list[Line] = []
    for section in sections:
        inside = list(_table_lines(section, width) if isinstance(section, Table) else _paragraph(section, width))
        if inside:
            lines += [*([Line("")] if lines else []), *inside]
    return lines


def plain(sections: Iterable[Section]) -> str:
    """The same as text, nothing cut."""
    return "".join(f"{line.text}\n" for line in laid_out(sections))


def folded(text: str, width: int | None, indent: int = 0) -> list[str]:
    """`text` in lines of at most `width` cells, broken between words; all but the first are indented."""
    if width is None or _cells(text) <= width:
        return [text]
    margin = " " * (len(text) - len(text.lstrip()))
    lines, line = [], margin
    for gap, word in _WORDS.findall(text.strip()):
        if line.strip() and _cells(line) + len(gap) + _cells(word) > width:
            lines.append(line)
            line, gap = margin + " " * indent, ""
        line += gap + shortened(word, max(1, width - _cells(line) - len(gap)))
    return [*lines, line]


def shortened(name: str, width: int) -> str:
    """`name` with as much cut out of its middle as has to be; more of its end is kept than of its start."""
    if _cells(name) <= width:
        return name
    tail = (width - 1) * 2 // 3
    head = width - 1 - tail
    while head + tail and _cells(name[:head]) + _cells(name[len(name) - tail :]) >= width:  # wide characters
        head, tail = (head - 1, tail) if head else (head, tail - 1)
    return name[:head] + CUT + name[len(name) - tail :]


def told_apart(names: Sequence[str], width: int) -> list[str]:
    """Each name in `width` cells: where `shortened` would make two of them look alike, what all start with is cut."""
    plainly = [shortened(name, width) for name in names]
    if len(set(plainly)) == len(set(names)):
        return plainly
    parts = zip(*(re.findall(r"[^./:_]*[./:_]", name) for name in names), strict=False)
    shared = "".join(same[0] for same in takewhile(lambda same: len(set(same)) == 1, parts))
    return [shortened(CUT + name[len(shared) :], width) for name in names] if shared else plainly


def _cells(text: str) -> int:
    """How wide a terminal shows it."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # help and lists of passes do without

    return cell_len(text)


# ------------------------------------------------------------------------------------------------ sections
def _paragraph(lines: Sequence[str], width: int | None) -> Iterator[Line]:
    for line in lines:
        yield from (Line(part) for part in folded(line, width, _INDENT))


def _table_lines(table: Table, width: int | None) -> Iterator[Line]:
    if not table.rows:
        return
    yield from (Line(part, "title") for part in (folded(table.title, width, _INDENT) if table.title else []))
    shown, same = _without_same(table)
    for text in same:
        yield from (Line(part) for part in folded(" " * _INDENT + text, width, _INDENT))
    widths = _widths(shown, width)
    if widths:
        yield from _columns(shown, widths)
    elif table.sentences:
        yield from _paragraph(table.sentences, width)
    else:
        yield from _records(shown, width or 0)


def _without_same(table: Table) -> tuple[Table, list[str]]:
    """The table without columns that are empty or the same in every row that has them, and what these say."""
    kept, same = [], []
    for column, title in enumerate(table.header):
        cells = {row[column] for row in table.rows} - {""}
        filled = sum(row[column] != "" for row in table.rows)
        if not cells:
            continue
        is_text = column not in table.numeric and title and table.header[0] and column
        if is_text and filled >= SAME_FROM_ROWS and len(cells) == 1 and len(min(cells)) > 1:
            same.append(f"{title}: {cells.pop()}" + ("" if filled == len(table.rows) else " (where there is one)"))
        else:
            kept.append(column)
    rows = tuple(tuple(row[column] for column in kept) for row in table.rows)
    numeric = frozenset(place for place, column in enumerate(kept) if column in table.numeric)
    return replace(table, header=tuple(table.header[c] for c in kept), rows=rows, numeric=numeric), same


def _widths(table: Table, width: int | None) -> list[int] | None:
    """Of the columns; None where they cannot stand side by side."""
    rows = [table.header, *table.rows]
    natural = [max(_cells(row[column]) for row in rows) for column in range(len(table.header))]
    if width is None:
        return natural
    room = width - _INDENT - _GAP * (len(natural) - 1)
    least = [_least(table, column, natural[column]) for column in range(len(natural))]
    if sum(least) > room:
        return None
    widths = list(least)
    while (spare := room - sum(widths)) > 0 and widths != natural:
        hungry = [i for i in range(len(widths)) if widths[i] < natural[i]]
        for i in hungry:
            widths[i] += min(natural[i] - widths[i], max(1, spare // len(hungry)), room - sum(widths))
    return widths


def _least(table: Table, column: int, natural: int) -> int:
    """The width below which a column must not get: of numbers all, of texts their longest word, of names a part."""
    if column in table.numeric:
        return natural
    words = [word for row in table.rows for word in row[column].split()] or [""]
    texts = any(" " in row[column] for row in table.rows)
    longest = min(max(map(_cells, words)), _LEAST_NAME)
    return min(natural, max(longest, _cells(table.header[column]), _LEAST_TEXT if texts else 0))


def _columns(table: Table, widths: Sequence[int]) -> Iterator[Line]:
    if any(table.header):
        yield from (Line(line, "header") for line in _row(table.header, widths, table.numeric))
    firsts = [row[0] for row in table.rows]
    if not any(" " in first for first in firsts):
        firsts = told_apart(firsts, widths[0])
    for first, row in zip(firsts, table.rows, strict=True):
        yield from (Line(line) for line in _row((first, *row[1:]), widths, table.numeric))


def _row(row: Sequence[str], widths: Sequence[int], numeric: frozenset[int]) -> list[str]:
    cells = [folded(cell, widths[i]) for i, cell in enumerate(row)]
    height = max(map(len, cells))
    lines = []
    for number in range(height):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = [_padded(part, widths[i], right=i in numeric) for i, part in enumerate(parts)]
        lines.append((" " * _INDENT + (" " * _GAP).join(padded)).rstrip())
    return lines


def _records(table: Table, width: int) -> Iterator[Line]:
    """Each row as a paragraph: its first cell, and below it the others with their titles."""
    for row in table.rows:
        yield from (Line(line) for line in folded(" " * _INDENT + row[0], width, _INDENT))
        named = [f"{title} {cell}".strip() for title, cell in zip(table.header[1:], row[1:], strict=True) if cell]
        if named:
            yield from (Line(line) for line in folded(" " * 2 * _INDENT + ", ".join(named), width, 0))


def _padded(cell: str, width: int, *, right: bool) -> str:
    padding = " " * (width - _cells(cell))
    return padding + cell if right else cell + padding
