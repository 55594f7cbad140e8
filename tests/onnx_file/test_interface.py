"""What a model states about itself, from its inputs to its metadata, is the same in every result."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from onnx import TensorProto, helper

from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.prepare import Preparing
from tests.models import noise, proto_of, run, saved

WAYS: dict[str, tuple[Pass, str]] = {
    "nothing": (QuantizeWeights(min_size=1 << 30), "folded"),
    "folded": (QuantizeWeights(), "folded"),
    "dequantize": (QuantizeWeights(), "dequantize"),
    "pruned": (PruneMagnitude(sparsity=0.7), "folded"),
    "factors": (Factorize(rank=4, min_size=1), "folded"),
}


def with_everything_stated() -> onnx.ModelProto:
    """A function, a branch, overridable and unread inputs, with texts and metadata wherever there is room for them."""
    proto = proto_of(
        'g (float[N,64] x, float[N,"M"] unread, float[2] given, seq(float[K]) s) '
        "=> (float[N,64] y, float[N,64] again, float[?,64] z, seq(float[K]) s_out) { "
        "a = MatMul(x, w) b = local.f(a, v) y = Relu(b) again = Identity(x) s_out = Identity(s) z = If(c) <"
        "then_branch = t () => (float[N,64] p) { p = MatMul(x, w) }, "
        "else_branch = e () => (float[N,64] q) { q = Identity(x) }> } "
        '<domain: "local", opset_import: ["" : 17]> f (a, k) => (b) { b = MatMul(a, k) }',
        ir_version=11, w=noise(64, 64), v=noise(64, 64, seed=1), given=np.ones(2, np.float32), c=np.array(True),
    )  # fmt: skip
    graph, function = proto.graph, proto.functions[0]
    proto.producer_name, proto.producer_version, proto.domain, proto.model_version = "p", "1\n2", "d", 77
    for domain, version in (("ai.onnx.ml", 3), ("zz", 9), ("aa", 2)):
        proto.opset_import.add(domain=domain, version=version)
    graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 64]))
    function.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 64]))
    graph.quantization_annotation.add(tensor_name="a").quant_parameter_tensor_names.add(key="SCALE", value="given")
    proto.configuration.add(name="two", num_devices=2).device.extend(["one", "other"])
    graph.input[0].type.denotation = "IMAGE"
    graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    own = [proto, graph, function, function.node[0], graph.value_info[0]]
    for number, holder in enumerate([*own, *graph.node, *graph.initializer, *graph.input, *graph.output]):
        holder.doc_string = f"text {number}\n\u00e9"
        for key in ("zz", "aa") if holder in (proto, graph) else ("aa", "zz"):  # onnx-ir sorts those of all others
            holder.metadata_props.add(key=key, value=f"{number}\x01")
    for number, node in enumerate(graph.node):
        node.name = f"node {number}"
    onnx.checker.check_model(proto)
    return proto


def to_bytes(messages: Iterable[Message]) -> list[bytes]:
    return [message.SerializeToString(deterministic=True) for message in messages]


def without_graph(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model but for its graph; a domain or overload that is stated as empty is not stated."""
    rest = onnx.ModelProto.FromString(proto.SerializeToString())
    rest.ClearField("graph")
    for function in rest.functions:
        for holder, name in [(function, "overload"), *((node, "domain") for node in function.node)]:
            if not getattr(holder, name):
                holder.ClearField(name)
    return rest


@pytest.mark.parametrize("way", WAYS)
def test_everything_stated_about_a_model_survives_every_pass(tmp_path: Path, way: str) -> None:
    one, form = WAYS[way]
    proto = with_everything_stated()
    compressed = compress_graph(load(saved(proto, tmp_path / "m.onnx")), [one], form=form, keep_metadata=True)
    assert compressed.changed is (way != "nothing")
    write(compressed.model, tmp_path / "o.onnx")
    result = onnx.load(tmp_path / "o.onnx")
    assert without_graph(result) == without_graph(proto)
    for field in ("input", "output", "value_info", "metadata_props", "quantization_annotation"):
        assert to_bytes(getattr(result.graph, field)) == to_bytes(getattr(proto.graph, field)), field
    assert (result.graph.name, result.graph.doc_string) == (proto.graph.name, proto.graph.doc_string)
    nodes = {node.name: node for node in result.graph.node}
    for node in proto.graph.node:
        found = nodes[node.name]
        assert (found.op_type, found.doc_string, list(found.output)) == (
            node.op_type,
            node.doc_string,
            list(node.output),
        )
        assert to_bytes(found.metadata_props) == to_bytes(node.metadata_props)
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    untouched = proto.graph.initializer if way == "nothing" else proto.graph.initializer[2:]
    for tensor in untouched:  # callers may override `given`, and `c` is no weight
        assert tensors[tensor.name] == tensor


@pytest.mark.parametrize("way", ["folded", "pruned", "factors"])
def test_initializers_that_callers_may_override_stay_inputs_with_their_values(tmp_path: Path, way: str) -> None:
    one, form = WAYS[way]
    body = "g (float[2,64] x, float[64,64] w) => (float[2,64] y) { a = MatMul(x, w) y = MatMul(a, v) }"
    proto = proto_of(body, w=noise(64, 64), v=noise(64, 64, seed=1))
    model = load(saved(proto, tmp_path / "m.onnx"))
    for freeze in (False, True):
        write(
            compress_graph(model, [one], form=form, preparing=Preparing(freeze_inputs=freeze)).model,
            tmp_path / f"{freeze}.onnx",
        )
        result = onnx.load(tmp_path / f"{freeze}.onnx")
        assert [value.name for value in result.graph.input] == (["x"] if freeze else ["x", "w"])
        assert ([t for t in result.graph.initializer if t.name == "w"] == [proto.graph.initializer[0]]) is not freeze
    x, zeros = noise(2, 64), np.zeros((64, 64), np.float32)
    assert not run(tmp_path / "False.onnx", x=x, w=zeros)[0].any()


def test_what_small_tensors_say_of_themselves_does_not_grow_with_every_round_trip(tmp_path: Path) -> None:
    path = saved(with_everything_stated(), tmp_path / "m.onnx")
    for number in range(3):
        write(load(path), tmp_path / f"{number}.onnx")
        path = tmp_path / f"{number}.onnx"
    tensors = onnx.load(path).graph.initializer
    assert to_bytes(tensors) == to_bytes(with_everything_stated().graph.initializer)
