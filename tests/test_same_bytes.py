"""The same model and options give the same bytes, whatever the number of threads, of passes or of linear algebra."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nncompress.onnx_file.read import load
from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.models import noise, proto_of, saved

ROOT = Path(__file__).resolve().parent.parent
BODY = "g (float[N,384] x) => (float[N,96] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }"
ALONE: list[Pass] = [Factorize(ratio=0.9), PruneMagnitude(), QuantizeWeights(), QuantizeWeights(symmetric=False)]
RECIPES: list[list[Pass]] = [*([one] for one in ALONE), ALONE[:3]]
SCRIPT = """
import sys
from hashlib import sha256
from pathlib import Path
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.workflow.pipeline import compress_graph
from tests.test_same_bytes import RECIPES

source, target = map(Path, sys.argv[1:])
for passes in RECIPES:
    for threads in (1, 2):
        write(compress_graph(load(source), passes, threads=threads).model, target)
        print(sha256(target.read_bytes()).hexdigest())
        target.unlink()
"""


def matrix(rows: int, columns: int, seed: int) -> np.ndarray:
    """Singular values close to each other, whose vectors show every rounding; a few large rows, which get a scale."""
    values = noise(rows, columns, seed=seed)
    values[:4] *= 30
    return values


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(proto_of(BODY, w=matrix(384, 1536, 0), v=matrix(1536, 96, 1)), tmp_path / "model.onnx")


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path, model: Path) -> None:
    processes = []
    for count in "123":
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count)
        command = [sys.executable, "-c", SCRIPT, str(model), str(tmp_path / count)]
        environment = {**os.environ, **counts, "PYTHONPATH": str(ROOT)}
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    hashes = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    by_recipe = [{of_process[2 * i + j] for of_process in hashes for j in (0, 1)} for i in range(len(RECIPES))]
    assert [len(different) for different in by_recipe] == [1] * len(RECIPES)
    assert len(set.union(*by_recipe)) == len(RECIPES)  # and each pass did something of its own


def test_every_pass_is_in_it_and_changes_both_matrices(model: Path) -> None:
    assert {type(one) for one in ALONE} == set(ALL_PASSES)
    for passes in RECIPES[:-1]:
        outcomes = compress_graph(load(model), passes).outcomes
        assert [type(outcome) for outcome in outcomes] == [Rewritten, Rewritten]
