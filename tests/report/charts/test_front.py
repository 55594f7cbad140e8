"""Labels of the chart of many results."""

from __future__ import annotations

from dataclasses import replace

from nncompress.report.charts.front import LETTER, fronts
from nncompress.results.front import Results, results_of
from tests.sample_report import sample_report


def results(sizes: list[int]) -> Results:
    base = results_of([sample_report()] * len(sizes))
    rows = [
        replace(row, name=f"out/m--{i}.onnx", size_bytes=size)
        for i, (row, size) in enumerate(zip(base.results, sizes, strict=True))
    ]
    return replace(base, results=tuple(rows))


def test_labels_cover_neither_each_other_nor_marks() -> None:
    (front,) = fronts(results([300_000 + 1000 * i for i in range(12)]))
    labelled = [mark for mark in front.marks if mark.label]
    assert 0 < len(labelled) < 12
    rooms = [
        (mark.label_x - (LETTER * len(mark.label) if mark.anchor else 0), mark.label_y, LETTER * len(mark.label))
        for mark in labelled
    ]
    for i, (x, y, width) in enumerate(rooms):
        assert not any(x < x2 + w2 and x2 < x + width and abs(y - y2) < 18 for x2, y2, w2 in rooms[:i])
    assert [mark.name.partition(":")[0] for mark in front.marks] == [f"out/m--{i}.onnx" for i in range(12)]


def test_marks_far_apart_are_all_labelled() -> None:
    (front,) = fronts(results([100_000, 900_000]))
    assert [(mark.label, mark.anchor) for mark in front.marks] == [("m--0.onnx", ""), ("m--1.onnx", "end")]
