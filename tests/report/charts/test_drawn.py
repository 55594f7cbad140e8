"""The chart of characters: a mark for each result, where its size and loss are."""

from __future__ import annotations

from dataclasses import replace

from nncompress.report.charts.drawn import drawn
from nncompress.report.charts.front import fronts
from tests.report.charts.test_front import results


def test_smaller_models_that_lose_more_stand_further_left_and_up() -> None:
    given = results([100_000, 400_000, 900_000, 950_000])
    losses, on_front = (3e-2, 1e-3, 1e-5, 2e-3), (True, True, True, False)
    rows = zip(given.results, losses, on_front, strict=True)
    marked = tuple(replace(row, loss=loss, on_front=front) for row, loss, front in rows)
    (front,) = fronts(replace(given, results=marked, loss_name="1 - cosine"))
    lines = drawn(front)
    assert max(map(len, lines)) <= 72
    assert lines[0] == "1 - cosine"
    plot = [line.partition("|")[2] for line in lines if "|" in line]
    places = [(mark, row, line.index(mark)) for row, line in enumerate(plot) for mark in line if mark in "*o"]
    stars = [(row, column) for mark, row, column in places if mark == "*"]
    assert stars == sorted(stars)
    assert [column for _, column in stars] == sorted({column for _, column in stars})
    assert [mark for mark, *_ in places].count("o") == 1
    assert "1e-05" in "".join(lines)
    assert "kB" in lines[-1]
