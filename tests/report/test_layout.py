"""No word is broken, no column lost and no line too long, whatever the width."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len

from nncompress.report.layout import CUT, Section, folded, laid_out, plain, shortened, told_apart
from nncompress.report.tables import Table, make_table

HEADER = ["weight", "read by", "shape", "before", "SQNR", "what was done"]
NAMES = ["encoder.layer.11.attention.self.query.weight", "重み" * 9, "w"]


def ledger(count: int = 6) -> Table:
    rows = [
        [NAMES[n % 3], "Conv", f"float {n}×64×3×3", f"{n + 1}.00 kB", "42.8 dB" * (n % 2), f"int{n}, per channel"]
        for n in range(count)
    ]
    return make_table("Ledger", HEADER, [*rows, ["total", "", "", "99 kB", "", ""]], {3, 4})


def words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if CUT not in word]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_every_cell_stands_there_whole_or_with_its_middle_cut(width: int) -> None:
    shown = [line.text for line in laid_out([ledger()], width)]
    assert max(map(cell_len, shown)) <= width
    text = " ".join(shown)
    for row in ledger().rows:
        for cell in row[1:]:
            assert set(words(cell)) <= set(words(text))
    kept = {word for word in text.replace(",", " ").split() if CUT in word}
    assert all(any(re.fullmatch(re.escape(k).replace(CUT, ".+"), name) for name in NAMES) for k in kept)


def test_a_column_that_says_the_same_in_every_row_is_said_once() -> None:
    lines = plain([ledger()]).splitlines()
    assert lines[1] == "  read by: Conv (where there is one)"
    assert sum("Conv" in line for line in lines) == 1
    two = plain([ledger(1)]).splitlines()
    assert two[1].split() == ["weight", "read", "by", "shape", "before", "what", "was", "done"]  # SQNR is empty


def test_the_end_of_a_name_is_kept() -> None:
    assert shortened("encoder.layer.11.query.weight", 16) == "encod….ry.weight"[:5] + CUT + "ery.weight"
    assert shortened("short", 16) == "short"
    assert cell_len(shortened("重み" * 9, 11)) <= 11


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.text("abc重,.", min_size=1, max_size=30), min_size=1, max_size=20), st.integers(8, 60))
def test_folded_lines_hold_all_words_in_their_order(parts: list[str], width: int) -> None:
    lines = folded(" ".join(parts), width, indent=2)
    assert all(cell_len(line) <= width for line in lines)
    shown = " ".join(lines).split()
    assert len(shown) == len(parts)
    for word, part in zip(shown, parts, strict=True):
        assert word == part or CUT in word


def test_sections_are_an_empty_line_apart_and_empty_ones_are_left_out() -> None:
    sections: list[Section] = [["one"], [], make_table("none", ["a"], [], set()), ["two", "three"]]
    assert plain(sections) == "one\n\ntwo\nthree\n"


def test_names_that_would_look_alike_lose_what_they_start_with() -> None:
    names = [f"encoder.layers.{i}.attention.query.weight" for i in (3, 11)]
    assert told_apart(names, 24) == ["…3.atten…on.query.weight", "…11.atte…on.query.weight"]
    assert told_apart(["a" * 30, "b" * 30], 9) == ["aaa…aaaaa", "bbb…bbbbb"]
    assert told_apart(["x" * 20 + "1" + "y" * 20, "x" * 20 + "2" + "y" * 20], 9) == ["xxx…yyyyy"] * 2
