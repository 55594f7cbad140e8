"""Functions called like standard operators, which onnxruntime runs, are not taken for them, whatever they say."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from nncompress.feeds.fed import input_specs
from nncompress.feeds.synthesise import synthesise_choices
from nncompress.model.decoded import decoded_weights
from nncompress.model.inventory import take_inventory
from nncompress.model.linear import find_linears
from nncompress.model.weights import find_weights
from nncompress.passes import ALL_PASSES
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, noise, proto_of, saved
from tests.support import nncompress, one_line

ODD = {  # attributes of other types than the standard operator has
    "Gather": "axis = 1.5", "GatherND": 'batch_dims = "one"', "GatherElements": "axis = [1]", "OneHot": "axis = 0.5",
    "Slice": "axes = 1.5, starts = 0.0", "Reshape": 'allowzero = "no", shape = 2.0', "Flatten": "axis = 1.5",
    "Constant": "value = 1.5, value_ints = 2.5", "ConstantOfShape": "value = 1.5", "Transpose": "perm = 1.5",
    "Squeeze": "axes = 0.0", "Unsqueeze": 'axes = "0"', "Concat": "axis = 1.5", "Cast": "to = 1.5", "Mul": "axis = 1.5",
    "Sub": "axis = 1.5", "DequantizeLinear": "axis = 1.5", "Conv": "group = 1.5", "ConvTranspose": "group = [1]",
    "MatMul": "transA = 1.5", "Gemm": "transA = 1.5, transB = 2.5", "Einsum": "equation = 1", "LSTM": "layout = 1.5",
    "Equal": "axis = 1.5", "BatchNormalization": "epsilon = 1", "Loop": "body = 1", "Scan": "body = 1.5",
    "Identity": "axis = 1.5", "Add": "axis = 1.5", "Softmax": "axis = 1.5", "EmbedLayerNormalization": "axis = 1.5",
    "FusedMatMul": "transA = 1.5", "GatherBlockQuantized": "gather_axis = 1.5",
}  # fmt: skip
REFUSED = {"Add", "Constant", "Gather", "Mul", "Squeeze", "Sub", "Unsqueeze"}  # by onnxruntime 1.31, or it aborts
BUILT_IN = {"EmbedLayerNormalization", "FusedMatMul", "GatherBlockQuantized"}  # of the domain com.microsoft


def calling(names: list[str], domain: str) -> onnx.ModelProto:
    """Functions that return their first operand, called with inputs and weights; in domain "none" without any."""
    calls, functions = [], []
    for i, name in enumerate(names):
        call, attributes = (
            f"{domain}.{name} <{ODD[name]}>",
            ", ".join(part.split()[0] for part in ODD[name].split(", ")),
        )
        calls.append(f"x{i + 1} = {call} (x{i}, w{i}) w{i + 1} = {call} (w{i}, x{i}) i{i + 1} = {call} (i{i}, w{i})")
        calls.append(f"n{i} = none.{name} <{ODD[name]}> ()")
        functions.append(f"{_head(domain)} {name} <{attributes}> (a, b) => (c) {{ c = Abs(a) }}")
        functions.append(f"{_head('none')} {name} <{attributes}> () => (c) {{ c = Constant <value_float = 1.0> () }}")
    last = len(names)
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17, "{domain}" : 1, "none" : 1]> '
        "g (float[N, K] x0, int64[M] i0) => (float[N, 64] y, float[M, 64] z) "
        f"{{ {' '.join(calls)} y = MatMul(x{last}, w{last}) z = Gather(w0, i{last}) }} {' '.join(functions)}"
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(noise(64, 64), "w0"))
    return proto


def _head(domain: str) -> str:
    return f'<domain: "{domain}", opset_import: ["" : 17]>'


@pytest.mark.parametrize("domain", ["local", "com.microsoft"])
@pytest.mark.parametrize("name", ODD)
def test_every_reader_of_attributes_gets_past_it(name: str, domain: str) -> None:
    if domain == "com.microsoft" and name in BUILT_IN:
        pytest.skip("onnxruntime takes it for its own")
    model = as_model(calling([name], domain))
    assert [spec.name for spec in input_specs(model.ir)] == ["x0", "i0"]
    assert [array.shape for array in next(iter(synthesise_choices(model.ir, seed=0)[0])).values()] == [(1, 16), (1,)]
    assert dict(take_inventory(model).ops)[f"none.{name}"] == 1
    assert decoded_weights(model) == []
    assert [weight.name for weight in find_weights(model)] == ["w0"]
    assert [type(linear.bias) for linear in find_linears(model)] == [str]
    for kind in ALL_PASSES:
        if not kind.needs:
            compress_graph(model, [kind()])


def test_the_command_line_compresses_such_a_model(tmp_path: Path) -> None:
    model = saved(calling([name for name in ODD if name not in REFUSED], "local"), tmp_path / "model.onnx")
    ended = nncompress("quantize", model, "-o", tmp_path / "out.onnx", "--seconds", "0.01", "--dim", "K=64")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert nncompress("inspect", model).exit_code == 0


def test_a_lookup_of_ones_own_with_a_fraction_as_axis_is_compressed(tmp_path: Path) -> None:
    body = (
        "g (int64[N] i) => (float[N,64] y) { y = local.Gather <axis = 1.5> (w, i) } "
        '<domain: "local", opset_import: ["" : 17]> Gather <axis> (t, i) => (b) { b = Gather (t, i) }'
    )
    model = saved(proto_of(body, w=noise(64, 64)), tmp_path / "model.onnx")
    ended = nncompress("quantize", model, "-o", tmp_path / "out.onnx", "--seconds", "0.01")
    assert (ended.exit_code, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", ["Constant", "Squeeze"])
def test_what_onnxruntime_does_not_run_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    model = saved(calling([name], "local"), tmp_path / "model.onnx")
    ended = nncompress("quantize", model, "-o", tmp_path / "out.onnx", "--seconds", "0.01", "--dim", "K=64")
    if ended.exit_code:  # another version may run it
        assert ended.exit_code == 3
        assert "onnxruntime" in one_line(ended.stderr)
