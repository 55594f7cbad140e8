"""What a run did: multiply-accumulates for the sizes that were run, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import pytest

from nncompress.report.tables import comparison_table, feeds_lines
from nncompress.results.record import Work
from nncompress.workflow.bench import bench_files
from nncompress.workflow.compare import compare_files
from nncompress.workflow.proof import Proof

FREE = """
<ir_version: 8, opset_import: ["" : 17]>
free (float[batch, steps, 4] x) => (float[batch, steps, 3] y) <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> {
    y = MatMul(x, w)
}
"""
MADE_UP = Proof(dims={"batch": 2, "steps": 5}, seconds=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ir.save(ir.from_onnx_text(FREE), tmp_path / "free.onnx")
    return tmp_path / "free.onnx"


def test_work_is_counted_for_the_sizes_that_were_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    report = compare_files(path, path, proof=MADE_UP)
    run = report.comparison.run
    assert report.comparison.reference.macs is None  # of one sample, whose steps are free
    assert run is not None
    assert run.work == Work(("x 2×5×4",), 2 * 5 * 4 * 3, 2 * 5 * 4 * 3)
    assert report.environment.made_at == "1970-01-01T00:00:00Z"
    assert ("multiply-accumulates as run", "120", "120", "same") in comparison_table(report).rows
    assert "Sizes that were run: x 2×5×4." in feeds_lines(
        replace(report.comparison, run=replace(run, feeds=replace(run.feeds, source="data")))
    )


def test_nothing_is_counted_where_nothing_is_run(path: Path) -> None:
    report = compare_files(path, path, proof=replace(MADE_UP, validate=False))
    assert report.comparison.run is None
    assert all("as run" not in row[0] for row in comparison_table(report).rows)


def test_bench_counts_the_same_and_estimates_energy_from_it(path: Path) -> None:
    (model,) = bench_files([path], replace(MADE_UP, seconds=0.01)).models
    assert model.macs == 120
    assert model.energy is not None
