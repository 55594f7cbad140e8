"""`--freeze-inputs` makes overridable initializers constants, compresses them, and changes nothing else."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nncompress
from nncompress.model.freeze import freeze_inputs
from nncompress.onnx_file.read import load
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.inspect import inspect_file
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.prepare import Preparing
from tests.models import noise, proto_of, run, saved, session
from tests.support import COMPRESSING, nncompress as command

each_ir = pytest.mark.parametrize("ir_version", [3, 8])
STEPS = {
    "run": ["-p", "quantize-weights"],
    "factorize": ["--rank", 8],
    "prune": ["--even-if-larger"],
}
NAMES = ["x", "w", "bias"]


def overridable(ir_version: int) -> onnx.ModelProto:
    """y = x @ w + bias, in which w and bias are initializers and inputs; the way of all files before IR version 4."""
    halves = noise(64, 96, dtype=np.float16).astype(np.float32)  # which any pass can store
    body = "g (float[N,64] x, float[64,96] w, float[96] bias) => (float[N,96] y) { a = MatMul(x, w) y = Add(a, bias) }"
    return proto_of(body, opset=8, ir_version=ir_version, w=halves, bias=noise(96))


def inputs_of(path: Path) -> list[str]:
    return [info.name for info in onnx.load(path).graph.input]


def test_without_the_option_an_overridable_weight_stays_an_input(tmp_path: Path) -> None:
    model = load(saved(overridable(8), tmp_path / "m.onnx"))
    small = nncompress.compress(model, [QuantizeWeights()])
    nncompress.save(small, tmp_path / "small.onnx")
    assert inputs_of(tmp_path / "small.onnx") == NAMES
    assert small.ir.ir_version == 8


def test_before_ir_version_4_no_caller_can_override_a_weight_and_so_it_is_a_constant(tmp_path: Path) -> None:
    path = saved(overridable(3), tmp_path / "m.onnx")
    assert [info.name for info in session(path).get_inputs()] == ["x"]
    with pytest.raises(Exception, match=r"[Ii]nvalid.*w"):
        run(path, x=noise(5, 64), w=noise(64, 96))
    nncompress.save(nncompress.compress(load(path), [QuantizeWeights()]), tmp_path / "small.onnx")
    assert inputs_of(tmp_path / "small.onnx") == ["x"]
    assert [info.name for info in session(tmp_path / "small.onnx").get_inputs()] == ["x"]
    assert session(tmp_path / "small.onnx").get_overridable_initializers() == []
    assert onnx.load(tmp_path / "small.onnx").ir_version == 4
    inspection = inspect_file(path)
    assert [weight.barrier for weight in inspection.weights] == [None]
    assert inspection.prediction is not None
    assert inspection.prediction.bytes_after == (tmp_path / "small.onnx").stat().st_size


def test_the_inputs_that_an_old_file_lists_stay_where_its_initializers_are_tiny(tmp_path: Path) -> None:
    body = "g (float[N,8] x, float[8,12] w) => (float[] y) { y = MatMul(x, w) }"
    model = load(saved(proto_of(body, opset=8, ir_version=3, w=noise(8, 12)), tmp_path / "m.onnx"))
    small = nncompress.compress(model, [QuantizeWeights()])
    assert (small.ir.ir_version, [value.name for value in small.ir.graph.inputs]) == (3, ["x", "w"])
    assert small.ledger[0].outcomes[0].reason == (
        "it is also an input of the graph (--freeze-inputs makes it a constant)"
    )
    frozen = nncompress.compress(model, [QuantizeWeights()], freeze_inputs=True)
    assert [value.name for value in frozen.ir.graph.inputs] == ["x"]


@each_ir
def test_with_it_the_weight_is_a_constant_and_is_compressed(ir_version: int, tmp_path: Path) -> None:
    path = saved(overridable(ir_version), tmp_path / "m.onnx")
    small = nncompress.compress(load(path), [QuantizeWeights()], freeze_inputs=True)
    nncompress.save(small, tmp_path / "small.onnx")
    proto = onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert inputs_of(tmp_path / "small.onnx") == ["x"]
    assert proto.graph.input[0] == onnx.load(path).graph.input[0]
    assert proto.ir_version == max(4, ir_version)
    assert small.ledger[0].form == "folded"
    assert small.ledger[0].bytes_after * 3 < small.ledger[0].bytes_before
    x = noise(5, 64, seed=1)
    (before,), (after,) = run(path, x=x), run(tmp_path / "small.onnx", x=x)
    steps = np.abs(noise(64, 96)).max(axis=0) / 127  # a value moves by one step at most where nothing is clipped far
    assert np.all(np.abs(before - after) <= np.abs(x).sum(axis=1, keepdims=True) * steps)


@pytest.mark.parametrize(
    ("ir_version", "freeze", "note"),
    [
        (8, True, "--freeze-inputs: 2 initializers that were also inputs are constants now"),
        (3, True, "2 initializers that were also inputs are constants, which no caller could override; "
                  "IR version 3 became 4"),
        (3, False, "2 initializers that were also inputs are constants, which no caller could override; "
                   "IR version 3 became 4"),
        (8, False, None),
    ],
)  # fmt: skip
def test_a_note_says_what_became_a_constant(ir_version: int, freeze: bool, note: str | None, tmp_path: Path) -> None:
    model = load(saved(overridable(ir_version), tmp_path / "m.onnx"))
    compressed = compress_graph(model, [QuantizeWeights()], preparing=Preparing(freeze_inputs=freeze))
    assert compressed.notes == (() if note is None else (note,))


def test_a_model_that_nothing_changes_stays_as_it_was(tmp_path: Path) -> None:
    model = load(saved(overridable(3), tmp_path / "m.onnx"))
    small = nncompress.compress(model, [QuantizeWeights(min_size=10**6)])
    assert (small.ir.ir_version, [value.name for value in small.ir.graph.inputs]) == (3, NAMES)


@each_ir
def test_the_model_given_is_left_alone(ir_version: int, tmp_path: Path) -> None:
    model = load(saved(overridable(ir_version), tmp_path / "m.onnx"))
    nncompress.compress(model, [QuantizeWeights()], freeze_inputs=True)
    assert [value.name for value in model.ir.graph.inputs] == NAMES
    assert (model.ir.ir_version, len(model.interface.graph.input if model.interface else ())) == (ir_version, 3)


def test_an_input_without_an_initializer_stays(tmp_path: Path) -> None:
    proto = overridable(3)
    del proto.graph.initializer[:]
    model = load(saved(proto, tmp_path / "m.onnx"))
    assert freeze_inputs(model) == 0
    assert (len(model.ir.graph.inputs), model.ir.ir_version) == (3, 4)


def test_inputs_of_graphs_inside_nodes_stay(tmp_path: Path) -> None:
    proto = overridable(8)
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["go"]), helper.make_node("Mul", ["a0", "a0"], ["a1"])], "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in
         (("i", TensorProto.INT64), ("on", TensorProto.BOOL), ("a0", TensorProto.FLOAT))],
        [helper.make_tensor_value_info(name, kind, []) for name, kind in
         (("go", TensorProto.BOOL), ("a1", TensorProto.FLOAT))],
    )  # fmt: skip
    constants = [
        helper.make_tensor(n, kind, [], [3]) for n, kind in (("m", TensorProto.INT64), ("s", TensorProto.FLOAT))
    ]
    proto.graph.initializer.extend(constants)
    proto.graph.node.append(helper.make_node("Loop", ["m", "", "s"], ["z"], body=body))
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, []))
    model = load(saved(proto, tmp_path / "m.onnx"))
    assert freeze_inputs(model) == 2
    (inner,) = model.ir.graph.subgraphs()
    assert [value.name for value in inner.inputs] == ["i", "on", "a0"]


@pytest.mark.parametrize("name", [name for name in COMPRESSING if name != "slim"])  # one product has no channels within
def test_every_command_that_writes_a_model_has_the_option(name: str, tmp_path: Path) -> None:
    path, out = saved(overridable(8), tmp_path / "m.onnx"), tmp_path / "out.onnx"
    steps = STEPS.get(name, [])
    refused = command(name, *steps, path, "-o", out, "--no-validate")
    assert refused.exit_code == 4
    assert "--freeze-inputs makes it a constant" in refused.stderr
    done = command(name, *steps, path, "-o", out, "--freeze-inputs", "--seconds", 0, "--min-cosine", -1)
    assert done.exit_code in (0, 1), done.stderr  # factors of noise are far off, which is a verdict and no error
    assert "--freeze-inputs: 2 initializers that were also inputs are constants now" in done.stdout
    assert done.exit_code == 1 or inputs_of(out) == ["x"]
