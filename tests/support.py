"""What the end-to-end tests share: the sample models, small models of their own, and the command line in-process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from nncompress.cli.app import app
from nncompress.cli.commands import ALL_COMMANDS, register
from nncompress.cli.pass_commands import PASS_COMMANDS

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_models"
COMMANDS = [command.__name__ for command in ALL_COMMANDS]
COMPRESSING = [*(command.name for command in PASS_COMMANDS), "run"]
IMAGES, TOKENS = SAMPLES / "data/image_evaluation.npz", SAMPLES / "data/tokens_evaluation.npz"
SAMPLE_DATA = {
    "digits_mlp.onnx": IMAGES,
    "digits_cnn.onnx": IMAGES,
    "digits_lstm.onnx": IMAGES,
    "digits_transformer.onnx": TOKENS,
    "digits_wide/model.onnx": IMAGES,
}
MLP = SAMPLES / "digits_mlp.onnx"

register(app)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


def nncompress(*arguments: object) -> Ended:
    """Runs the command line in this process, which always ends by SystemExit."""
    with CliRunner().isolation() as (stdout, stderr, _):
        with pytest.raises(SystemExit) as ended:
            commands().main([str(argument) for argument in arguments], prog_name="nncompress")
        sys.stdout.flush()
        sys.stderr.flush()
        texts = (stream.getvalue().decode().replace("\r\n", "\n") for stream in (stdout, stderr))
        return Ended(int(ended.value.code or 0), *texts)


@cache
def commands() -> Any:
    """All commands. To make them takes 50 ms; a process does it once, too."""
    return typer.main.get_command(app)


def nncompress_process(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout_s: float = 120
) -> Ended:
    """Runs the command line as users do; `env` comes on top of an environment without colour switches."""
    result = subprocess.run(
        command_line(*arguments),
        env={**plain_environment(), **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
    )
    return Ended(result.returncode, result.stdout, result.stderr)


def command_line(*arguments: object) -> list[str]:
    """The command with these arguments, to be started as a process."""
    return [sys.executable, "-m", "nncompress", *map(str, arguments)]


def plain_environment() -> dict[str, str]:
    """This process's environment without what changes colours, width or verbosity."""
    switches = ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS", "TERMINAL_WIDTH")
    kept = {k: v for k, v in os.environ.items() if k not in switches and not k.startswith("NNCOMPRESS_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def files_in(folder: Path) -> set[str]:
    """Every file and folder below `folder`, hidden ones included."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def last_line(text: str) -> str:
    """The line with the verdict."""
    assert text.endswith("\n")
    return text[:-1].rpartition("\n")[2]


def one_line(text: str) -> str:
    """The only line of `text`."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, f"more than one line: {text!r}"
    return text[:-1]


def dense_model(path: Path, layers: Sequence[tuple[str, int, int]]) -> Path:
    """A chain of MatMul and Relu with random weights, (name, rows, columns) each, written to `path`.

    The values are such that float16 holds them: what compresses to the bit finds something to do as well.
    """
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((rows, columns)).astype(np.float16).astype(np.float32), name)
        for name, rows, columns in layers
    ]
    nodes, value = [], "x"
    for number, (name, _, _) in enumerate(layers):
        nodes.append(helper.make_node("MatMul", [value, name], [f"product{number}"], name=f"matmul{number}"))
        nodes.append(helper.make_node("Relu", [f"product{number}"], [f"relu{number}"], name=f"relu{number}"))
        value = f"relu{number}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", layers[0][1]])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", layers[-1][2]])]
    graph = helper.make_graph(nodes, "dense", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
