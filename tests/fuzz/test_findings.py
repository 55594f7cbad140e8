"""What fuzzing has found: each is a small model of its own, and stays refused, or compressed, for the reason given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from nncompress.errors import InputError
from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.read import load
from nncompress.passes.factorize import Factorize
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import noise, proto_of, saved
from tests.support import nncompress, one_line

Change = Callable[[onnx.ModelProto], object]


def linear() -> onnx.ModelProto:
    proto = proto_of("g (float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) y = Relu(a) }", w=noise(8, 8))
    proto.graph.node[0].name = "product"
    return proto


def sparse(proto: onnx.ModelProto, dims: list[int], indices: np.ndarray, values: np.ndarray) -> None:
    del proto.graph.initializer[:]
    made = helper.make_sparse_tensor(numpy_helper.from_array(values, "w"), numpy_helper.from_array(indices, "i"), dims)
    proto.graph.sparse_initializer.append(made)


def typed_besides_empty_raw(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, [8, 8], noise(64).tolist()))
    proto.graph.initializer[0].raw_data = b""


def attribute(proto: onnx.ModelProto, name: str, value: object) -> AttributeProto:
    proto.graph.node[0].op_type = "Gemm"
    proto.graph.node[0].attribute.append(helper.make_attribute(name, value))
    return proto.graph.node[0].attribute[-1]


def tensor_that_is_not_there(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.add(name="value", type=AttributeProto.TENSOR)
    proto.graph.node.append(node)


ONE = np.array([1], np.int64)
REFUSED: dict[str, tuple[Change, str]] = {
    # 200 bytes that became half a gigabyte, of which a singular value decomposition was then made
    "sparse tensor from nothing": (
        lambda p: sparse(p, [8192, 16384], ONE, np.ones(1, np.float32)), "too large to store densely"),
    "sparse indices that are no integers": (
        lambda p: sparse(p, [8, 8], ONE.astype(np.complex64), np.ones(1, np.float32)), "its indices are no integers"),
    # tracebacks of protobuf, onnx, onnx-ir and numpy, some of them only when the result was written
    "name that is no text": (
        lambda p: p.graph.node[0].output.__setitem__(0, "zzzz"), "the output of a NodeProto is not UTF-8 text"),
    "segment": (lambda p: setattr(p.graph.initializer[0].segment, "end", 4), "it is a segment of a tensor"),
    "too many dimensions": (
        lambda p: p.graph.initializer[0].dims.extend([1] * 90), "92 dimensions are more than 64"),
    "data besides empty raw data": (typed_besides_empty_raw, "its data are given twice, as float_data and as raw_data"),
    "attribute of a wrong type": (
        lambda p: attribute(p, "transB", [1]),
        "node 'product' (Gemm), attribute 'transB': it is of type INTS, but the operator takes INT"),
    "type that does not fit the value": (
        lambda p: setattr(attribute(p, "transB", 1), "type", AttributeProto.GRAPH),
        "its type says 'g', its value is in i"),
    "tensor that is not there": (tensor_that_is_not_there, "its type says 't', its value is in nothing"),
    "reference outside of a function": (
        lambda p: setattr(attribute(p, "transB", 1), "ref_attr_name", "t"),
        "it refers to 't', but it is in no function"),
    "attribute given twice": (
        lambda p: (attribute(p, "transB", 1), attribute(p, "transB", 0)), "it is given twice"),
    # onnx-ir made up a value, or dropped the initializer, and printed the name as it was onto the terminal
    "input that nothing defines": (
        lambda p: p.graph.node[0].input.__setitem__(1, "a\x1b[2J"),
        "graph 'g': node 'product' (MatMul) reads 'a\\x1b[2J', which nothing defines"),
    "output that nothing computes": (
        lambda p: setattr(p.graph.output[0], "name", "z"), "its output 'z' is computed by none of its nodes"),
    "initializer without a name": (
        lambda p: p.graph.initializer.append(numpy_helper.from_array(noise(4))), "has an initializer without a name"),
    "node without an output": (lambda p: p.graph.node[0].ClearField("output"), "(MatMul) has no output"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_model_is_refused_in_one_line(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change, message = REFUSED[name]
    proto = linear()
    change(proto)
    blob = proto.SerializeToString().replace(b"zzzz", b"z\xffzz")
    (tmp_path / "m.onnx").write_bytes(blob)
    with pytest.raises(InputError) as error:
        load(tmp_path / "m.onnx")
    assert message in str(error.value)
    assert str(error.value).isprintable()
    ended = nncompress("quantize", tmp_path / "m.onnx", "-o", tmp_path / "out.onnx", "--no-validate")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert message in one_line(ended.stderr)


def test_what_onnx_ir_logs_does_not_reach_the_terminal() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("onnx_ir").handlers)


def layered(body: str, call: str, **weights: np.ndarray) -> onnx.ModelProto:
    """A model whose function has an attribute that its caller gives."""
    text = (
        f'<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[N,16] x) => (float[N,16] y) {{ {call} }}'
        f' <domain: "local", opset_import: ["" : 17]> {body}'
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


@pytest.mark.parametrize(
    "body",
    [
        "layer <t> (x, w) => (y) { y = Gemm<transB: int = @t>(x, w) }",
        "layer <t> (x, w) => (y) { r = Flatten<axis: int = @t>(w) y = MatMul(x, r) }",
        "layer <t> (x, w) => (y) { r = Concat<axis: int = @t>(w) y = MatMul(x, r) }",
    ],
)
def test_attributes_that_callers_of_a_function_give_can_be_read(body: str, tmp_path: Path) -> None:
    proto = layered(body, "y = local.layer<t = 1>(x, w)", w=noise(16, 16))
    model = load(saved(proto, tmp_path / "m.onnx"))
    compressed = compress_graph(model, [Factorize(min_size=1, rank=2), QuantizeWeights(min_size=1)])
    assert sum(line.bytes_before for line in compressed.lines) == 16 * 16 * 4
    file_facts(model)


def test_attributes_of_other_domains_may_be_of_any_type(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "FusedMatMul", "com.microsoft"
    proto.graph.node[0].attribute.append(helper.make_attribute("transB", [1.5]))
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert not compress_graph(load(saved(proto, tmp_path / "m.onnx")), [QuantizeWeights(min_size=1)]).changed


def test_a_lookup_without_indices_is_no_weight(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.node[0].op_type = "Gather"
    del proto.graph.node[0].input[:]
    proto.graph.node[0].input.append("w")
    assert not compress_graph(load(saved(proto, tmp_path / "m.onnx")), [QuantizeWeights(min_size=1)]).changed


def test_a_shape_that_is_no_list_of_integers_is_not_read(tmp_path: Path) -> None:
    body = "g (float[N,8] x) => (float[N,8] y) { r = Reshape(w, s) y = MatMul(x, r) }"
    proto = proto_of(body, w=noise(8, 8), s=np.array([8, 8], np.complex64))
    (line,) = compress_graph(load(saved(proto, tmp_path / "m.onnx")), [QuantizeWeights(min_size=1)]).lines[:1]
    assert (line.name, line.shape) == ("w", (8, 8))


def test_a_cast_to_no_type_can_be_counted(tmp_path: Path) -> None:
    proto = proto_of("g (float[N,8] x) => (float[N,8] y) { r = Cast<to=0>(w) y = MatMul(x, r) }", w=noise(8, 8))
    assert file_facts(load(saved(proto, tmp_path / "m.onnx"))).parameters == 64


def test_unknown_keys_of_external_data_are_not_printed(tmp_path: Path) -> None:
    proto = linear()
    tensor = proto.graph.initializer[0]
    (tmp_path / "data.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "data.bin"), ("a\x1b[2J", "1"), ("checksum", "2")):
        tensor.external_data.add(key=key, value=value)
    assert load(saved(proto, tmp_path / "m.onnx")).ir.graph.initializers["w"].const_value is not None  # without warning
