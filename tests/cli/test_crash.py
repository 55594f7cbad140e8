"""Candidates that crash onnxruntime: the tool says which, ends with its exit code, and leaves nothing behind."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from tests.support import command_line, files_in, one_line, plain_environment

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
X, Y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")


def chain(path: Path, depth: int) -> Path:
    """y = Relu(x), behind `depth` functions each of which calls the next."""
    functions = [
        helper.make_function(
            "d", f"f{number}", ["x"], ["y"],
            [helper.make_node(*(("Relu",) if number == depth - 1 else (f"f{number + 1}",)), ["x"], ["y"],
                              domain="" if number == depth - 1 else "d")],
            OPSETS,
        )
        for number in range(depth)
    ]  # fmt: skip
    node = helper.make_node("f0", ["x"], ["y"], domain="d") if depth else helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [X], [Y])
    model = helper.make_model(graph, functions=functions, opset_imports=OPSETS, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def compared(reference: Path, candidate: Path, *, stack_kib: int = 8192) -> subprocess.CompletedProcess[str]:
    command = command_line("compare", reference, candidate, "-q", "--seconds", 0)
    return subprocess.run(
        ["bash", "-c", f'ulimit -s {stack_kib}; exec "$@"', "bash", *command], env=plain_environment(),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


KNOWS_DEPTH = tuple(map(int, version("onnxruntime").split(".")[:2])) >= (1, 32)
"""From then on it refuses functions that call one another more than 100 deep, and does not crash."""


@pytest.mark.slow
@pytest.mark.parametrize("depth", [100, 150, 480])
def test_functions_deeper_than_the_checker_looks_are_run_as_far_as_onnxruntime_does(tmp_path: Path, depth: int) -> None:
    ended = compared(chain(tmp_path / "ref.onnx", 0), chain(tmp_path / "deep.onnx", depth))
    if depth > 100 and KNOWS_DEPTH:
        assert (ended.returncode, ended.stdout) == (4, "")
        assert "exceeds the maximum supported depth of 100" in one_line(ended.stderr)
        return
    assert ended.returncode == 0, ended.stderr
    assert "outputs identical" in ended.stdout


@pytest.mark.slow
def test_functions_so_deep_that_onnxruntime_would_crash_are_refused(tmp_path: Path) -> None:
    ended = compared(chain(tmp_path / "ref.onnx", 0), chain(tmp_path / "deep.onnx", 5000))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.endswith("deep.onnx: its functions call one another more than 500 deep\n")


@pytest.mark.slow
@pytest.mark.skipif(KNOWS_DEPTH, reason="no model is known that crashes this onnxruntime; see runtime/test_child.py")
def test_a_crash_of_onnxruntime_is_reported_and_survived(tmp_path: Path) -> None:
    reference, candidate = chain(tmp_path / "ref.onnx", 0), chain(tmp_path / "deep.onnx", 480)
    ended = compared(reference, candidate, stack_kib=512)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr == (f"nncompress: error: loading the result {candidate}: onnxruntime crashed (SIGSEGV)\n")
    swapped = compared(candidate, reference, stack_kib=512)
    assert swapped.returncode == 3
    assert f"loading the original {candidate}: onnxruntime crashed (SIGSEGV)" in swapped.stderr
    assert files_in(tmp_path) == {"ref.onnx", "deep.onnx"}
