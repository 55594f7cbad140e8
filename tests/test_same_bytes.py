"""The same model and options give the same bytes, whatever the hash seed and the number of threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nncompress.onnx_file.read import load
from nncompress.passes import ALL_PASSES
from nncompress.passes.spec import described, parse_step
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.models import noise, proto_of, saved
from tests.support import SAMPLES, plain_environment
from tests.test_catalogue import STRONG

BODY = "g (float[N,384] x) => (float[N,96] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }"
# those that find something to do in any model; for what needs data see cli/test_calibration.py
ALWAYS = [kind for kind in ALL_PASSES if not kind.needs and len(STRONG[kind]) == 1]
ALONE = [*(described(STRONG[kind][-1]) for kind in ALWAYS), "quantize-weights:symmetric=false"]
CHAIN = ["factorize:ratio=0.7", "prune-magnitude:sparsity=0.5,scope=global", "quantize-weights"]
SCRIPT = """
import json, sys
from hashlib import sha256
from pathlib import Path
from tests.test_catalogue import STRONG
from tests.support import nncompress

QUIETLY = ("--no-validate", "-q", "--force")
models, recipes, target = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
for model in models:
    for recipe in recipes:
        for threads in (1, 2):
            steps = [part for step in recipe for part in ("-p", step)]
            ended = nncompress("run", *steps, model, "-o", target, "--threads", threads, *QUIETLY)
            assert ended.exit_code == 0, ended.stderr
            print(sha256(target.read_bytes()).hexdigest())
"""


def matrix(rows: int, columns: int, seed: int) -> np.ndarray:
    """Singular values close to each other, whose vectors show every rounding; a few large rows, which get a scale."""
    values = noise(rows, columns, seed=seed)
    values[:4] *= 30
    return values


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return saved(proto_of(BODY, w=matrix(384, 1536, 0), v=matrix(1536, 96, 1)), tmp_path / "model.onnx")


def hashes(models: Sequence[Path], recipes: list[list[str]], folder: Path) -> list[set[str]]:
    """Of each model with each recipe the different results of three processes with one and two threads each."""
    processes = []
    for count, hash_seed in ("1", "0"), ("2", "1"), ("3", "12345"):
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count)
        given = (json.dumps(list(map(str, models))), json.dumps(recipes), str(folder / f"{count}.onnx"))
        environment = {**plain_environment(), **counts, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", SCRIPT, *given]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [{line for lines in printed for line in lines[i : i + 2]} for i in range(0, len(printed[0]), 2)]


@pytest.mark.slow
def test_bytes_of_large_matrices_do_not_depend_on_threads(tmp_path: Path, large: Path) -> None:
    recipes = [*([step] for step in ALONE), CHAIN]
    different = hashes([large], recipes, tmp_path)
    assert [len(results) for results in different] == [1] * len(recipes)
    assert len(set.union(*different)) == len(recipes)  # and each pass did something of its own


def test_every_pass_changes_both_matrices(large: Path) -> None:
    for one in map(parse_step, ALONE):
        assert [type(outcome) for outcome in compress_graph(load(large), [one]).outcomes] == [Rewritten, Rewritten]


@pytest.mark.slow
def test_bytes_of_real_models_do_not_depend_on_threads(tmp_path: Path) -> None:
    models = [SAMPLES / "digits_cnn.onnx", SAMPLES / "digits_transformer.onnx", SAMPLES / "digits_wide/model.onnx"]
    different = hashes(models, [*([step] for step in ALONE), CHAIN], tmp_path)
    assert [len(results) for results in different] == [1] * len(models) * (len(ALONE) + 1)
