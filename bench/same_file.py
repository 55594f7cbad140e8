"""How often the latency of a file is called different from its own, on a quiet machine and beside busy processes.

Each seed is a comparison as users run it. Beside busy processes the machine has two more that never wait. Then the same
with a model of 1.3 times the work, whose difference is to be found. Prints the counts, and ends with 1 where a file was
called different from itself more than three times of fifty.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nncompress.results.record import Latency
from nncompress.workflow.compare import compare_files
from nncompress.workflow.proof import Proof
from tests.models import FLOAT

SAMPLES = Path(__file__).parents[1] / "sample_models"
MOST_SHARE = 3 / 50
BUSY = 2
WIDTH, LAYERS, MORE_LAYERS = 192, 20, 26


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[SAMPLES / "digits_mlp.onnx"], help="files to compare")
    parser.add_argument("--seeds", type=int, default=50, help="comparisons of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing each (default: %(default)s)")
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        short, long = (chain(Path(folder) / f"{count}.onnx", count) for count in (LAYERS, MORE_LAYERS))
        for busy in (0, BUSY):
            with busy_processes(busy):
                for model in args.models:
                    claims = count_different(model, model, args.seeds, args.seconds)
                    wrong += claims > MOST_SHARE * args.seeds
                    print(f"{busy} busy processes, {model.name} against itself: different {claims} times", flush=True)
                found = count_different(short, long, args.seeds, args.seconds)
            print(f"{busy} busy processes, 1.3 times the work: different {found} times of {args.seeds}", flush=True)
    return 1 if wrong else 0


def count_different(reference: Path, candidate: Path, seeds: int, seconds: float) -> int:
    """How many of the comparisons call the second faster or slower."""
    return sum(latency(reference, candidate, seed, seconds).distinguishable for seed in range(seeds))


def latency(reference: Path, candidate: Path, seed: int, seconds: float) -> Latency:
    run = compare_files(reference, candidate, proof=Proof(seed=seed, seconds=seconds)).comparison.run
    assert run is not None
    assert run.latency is not None
    return run.latency


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Processes that never wait, until the block ends."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def chain(path: Path, layers: int) -> Path:
    """A model that multiplies by a matrix that many times."""
    weight = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    nodes = [helper.make_node("MatMul", [f"v{i}", "w"], [f"v{i + 1}"]) for i in range(layers)]
    ends = [helper.make_tensor_value_info(name, FLOAT, [8, WIDTH]) for name in ("v0", f"v{layers}")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


if __name__ == "__main__":
    sys.exit(main())
