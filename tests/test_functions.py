"""Model-local functions: what they compute stays, whatever they are called and whichever opset they import."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nncompress.errors import InputError
from nncompress.model.inventory import take_inventory
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.passes.factorize import Factorize
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Skipped
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import as_model, noise, proto_of, run, saved
from tests.support import nncompress, one_line

THIN = noise(32, 3) @ noise(3, 24)
EVERY = QuantizeWeights(min_size=1, only_if_smaller=False)


def relative_error(compressed: Compressed, proto: onnx.ModelProto, **feed: np.ndarray) -> float:
    (before,), (after,) = run(proto, **feed), run(compressed.model, **feed)
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))


# ------------------------------------------------------------------------------------------------ names
def test_a_function_called_like_an_operator_is_no_operator_that_could_be_split() -> None:
    body = (
        "g (float[4,32] x) => (float[4,24] y) { y = local.MatMul(x, w) } "
        '<domain: "local", opset_import: ["" : 17]> MatMul (a, k) => (b) { r = Relu(a) b = MatMul(r, k) }'
    )
    compressed = compress_graph(as_model(proto_of(body, w=THIN)), [Factorize(energy=0.9999, min_size=1)])
    (outcome,) = compressed.outcomes
    assert isinstance(outcome, Skipped)
    assert outcome.reason == "it is not read directly as the second operand"


def test_a_function_called_like_a_lookup_is_called_as_before() -> None:
    body = (
        "g (int64[5] i) => (float[5,24] y) { y = local.Gather(w, i) } "
        '<domain: "local", opset_import: ["" : 17]> Gather (t, i) => (b) { j = Abs(i) b = Gather(t, j) }'
    )
    proto = proto_of(body, w=noise(32, 24))
    compressed = compress_graph(as_model(proto), [EVERY])
    assert compressed.changed
    assert relative_error(compressed, proto, i=-np.arange(1, 6)) < 0.01


def test_a_function_called_like_a_lookup_may_take_other_operands() -> None:
    body = (
        "g (int64[5] i) => (float[5,24] y) { o = Constant<value = int64 {1}>() y = local.Gather(w, i, o) } "
        '<domain: "local", opset_import: ["" : 17]> Gather (t, i, o) => (b) { j = Add(i, o) b = Gather(t, j) }'
    )
    proto = proto_of(body, w=noise(32, 24))
    compressed = compress_graph(as_model(proto), [EVERY])
    assert [line.form for line in compressed.lines] == ["folded", ""]
    assert relative_error(compressed, proto, i=np.arange(5)) < 0.01


def test_the_inventory_names_operators_of_other_domains_in_full() -> None:
    body = (
        "g (float[4,32] x) => (float[4,24] y) { y = local.Conv(x, w) } "
        '<domain: "local", opset_import: ["" : 17]> Conv (a, k) => (b) { b = MatMul(a, k) }'
    )
    found = take_inventory(as_model(proto_of(body, w=THIN)))
    assert found.ops == (("local.Conv", 1), ("MatMul", 1))
    assert found.bytes_by_op == (("local.Conv", THIN.nbytes),)
    assert found.macs is None  # the function may be called any number of times


# ------------------------------------------------------------------------------------------------ opsets
def function_of_opset(opset: int, model_opset: int) -> onnx.ModelProto:
    weight = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(noise(64, 64)))
    nodes = [weight, helper.make_node("MatMul", ["x", "w"], ["y"])]
    function = helper.make_function("my", "F", ["x"], ["y"], nodes, [helper.make_opsetid("", opset)])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 64]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="my")], "g", ends[:1], ends[1:])
    imports = [helper.make_opsetid("", model_opset), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=8)


def test_a_function_of_the_models_opset_is_compressed() -> None:
    proto = function_of_opset(17, 17)
    compressed = compress_graph(as_model(proto), [EVERY])
    assert compressed.lines[0].form == "folded"
    assert relative_error(compressed, proto, x=noise(4, 64)) < 0.01


@pytest.mark.parametrize(
    ("own", "models", "reason"),
    [
        (13, 17, "it lies in a function of opset 13, and the model has 17: export both with one opset"),
        (17, 13, "it lies in a function of opset 17, and the model has 13: export both with one opset"),
        (8, 8, "it is in a Constant node, which cannot hold integers before opset 9"),
    ],
)
def test_where_no_form_can_be_written_the_weight_is_left_alone(own: int, models: int, reason: str) -> None:
    compressed = compress_graph(as_model(function_of_opset(own, models)), [EVERY])
    assert compressed.outcomes == (Skipped("w", "quantize-weights", reason),)


def test_factors_of_a_constant_node_are_counted_on_its_line() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(THIN))
    body = (
        'g (float[4,32] x) => (float[4,24] y) { y = local.f(x) } <domain: "local", opset_import: ["" : 17]> '
        "f (a) => (b) { b = MatMul(a, w) }"
    )
    proto = proto_of(body)
    proto.functions[0].node.insert(0, constant)
    line, others = compress_graph(as_model(proto), [Factorize(energy=0.9999, min_size=1)]).lines
    assert (line.bytes_before, line.bytes_after) == (4 * 32 * 24, 4 * 3 * (32 + 24))
    assert line.form == "factors (dense)"
    assert (others.bytes_before, others.bytes_after) == (0, 0)


# ------------------------------------------------------------------------------------------------ defaults
def function_with_default(tensor: TensorProto) -> onnx.ModelProto:
    constant = helper.make_node("Constant", [], ["k"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, ref_attr_name="wt")
    nodes = [constant, helper.make_node("MatMul", ["a", "k"], ["b"])]
    function = helper.make_function(
        "local", "F", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)],
        attribute_protos=[onnx.AttributeProto(name="wt", type=onnx.AttributeProto.TENSOR, t=tensor)],
    )  # fmt: skip
    proto = proto_of("g (float[4,32] x) => (float[4,24] y) { h = local.F(x) y = MatMul(h, w) }", w=noise(64, 24))
    proto.functions.append(function)
    return proto


def external(location: str) -> TensorProto:
    tensor = TensorProto(name="wt", dims=[32, 64], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_external_data_of_a_default_are_taken_into_the_result(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(noise(32, 64).tobytes())
    model = load(saved(function_with_default(external("w.bin")), tmp_path / "m.onnx"))
    assert [file.path.name for file in model.files] == ["m.onnx", "w.bin"]
    (tmp_path / "made").mkdir()
    write(compress_graph(model, [EVERY]).model, tmp_path / "made/o.onnx")
    (before,), (after,) = (run(tmp_path / name, x=noise(4, 32)) for name in ("m.onnx", "made/o.onnx"))
    assert np.linalg.norm(before - after) < 0.01 * np.linalg.norm(before)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname"])
def test_a_default_cannot_name_a_file_elsewhere(tmp_path: Path, location: str) -> None:
    with pytest.raises(InputError, match="external data of 'wt'"):
        load(saved(function_with_default(external(location)), tmp_path / "m.onnx"))


def test_a_default_tells_the_truth_about_its_size(tmp_path: Path) -> None:
    lie = TensorProto(name="wt", dims=[32, 64], data_type=TensorProto.FLOAT, raw_data=b"abc")
    with pytest.raises(InputError, match="'wt': 3 bytes of data"):
        load(saved(function_with_default(lie), tmp_path / "m.onnx"))


def test_a_graph_as_a_default_is_refused(tmp_path: Path) -> None:
    proto = function_with_default(numpy_helper.from_array(noise(32, 64), "wt"))
    inner = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }").graph
    proto.functions[0].attribute_proto.add(name="body", type=onnx.AttributeProto.GRAPH, g=inner)
    with pytest.raises(InputError, match="function 'F' has a graph as a default attribute"):
        load(saved(proto, tmp_path / "m.onnx"))


# ------------------------------------------------------------------------------------------------ odd ones
def test_a_function_without_a_domain_that_nothing_calls_is_kept(tmp_path: Path) -> None:
    function = helper.make_function("", "Mine", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    function.domain = ""
    function.opset_import.add(domain="", version=17)
    proto = proto_of("g (float[4,32] x) => (float[4,64] y) { y = MatMul(x, w) }", w=noise(32, 64))
    proto.functions.append(function)
    saved(proto, tmp_path / "m.onnx")
    ended = nncompress("quantize", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--seconds", 0, "-q")
    assert ended.exit_code == 0
    assert [one.name for one in onnx.load(tmp_path / "o.onnx").functions] == ["Mine"]


def test_more_functions_than_any_model_has_are_refused_at_once(tmp_path: Path) -> None:
    proto = proto_of("g (float[4,32] x) => (float[4,64] y) { y = MatMul(x, w) }", w=noise(32, 64))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString() + b"\xca\x01\x00" * 200_000)
    ended = nncompress("quantize", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx")
    assert ended.exit_code == 3
    assert "200,000 functions are more than 100,000" in one_line(ended.stderr)
