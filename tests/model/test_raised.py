"""A raised model computes the same, keeps its names, its notes and the nodes of others, and reads no large tensor."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nncompress.model.raised import CannotRaise, raised
from nncompress.model.tensors import FileTensor
from nncompress.onnx_file.read import load
from tests.models import as_model, dense_constant, model_of, noise, proto_of, run, saved

X = {"x": noise(2, 3, 8, 8, seed=1)}
BODIES = {
    "Softmax over several axes": "y = Softmax(x)",
    "LogSoftmax": "y = LogSoftmax<axis=2>(x)",
    "Dropout": "a = Dropout<ratio=0.3>(x) y = Relu(a)",
    "BatchNormalization": "a = Conv(x, w) y = BatchNormalization(a, b, b, b, p)",
    "Flatten and Gemm": "a = Flatten(x) y = Gemm(a, v, c)",
    "axes as attributes": "a = ReduceSum<axes=[2,3], keepdims=0>(x) s = Squeeze<axes=[0]>(r) z = Unsqueeze<axes=[0]>(s)"
    " y = Mul(a, z)",
    "Split and Concat": "a, b0 = Split<axis=2, split=[3, 5]>(x) y = Concat<axis=2>(b0, a)",
    "a large Constant": "a = Flatten(x) y = MatMul(a, k)",
}  # fmt: skip
CONSTANTS = {
    "w": noise(4, 3, 3, 3), "b": noise(4), "p": np.abs(noise(4)) + 1, "v": noise(192, 16), "c": noise(16),
    "r": noise(1, 2, 3),
}  # fmt: skip


def old(body: str, opset: int) -> onnx.ModelProto:
    read = {
        name: array
        for name, array in CONSTANTS.items()
        if f" {name}," in body or f" {name})" in body or f"({name})" in body
    }
    proto = proto_of(f"g (float[N,3,8,8] x) => (float y) {{ {body} }}", opset=opset, ir_version=4, **read)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    if " k)" in body:
        proto.graph.node.insert(0, dense_constant("k", noise(192, 16)))
    return proto


@pytest.mark.parametrize("opset", [7, 9, 11])
@pytest.mark.parametrize("body", BODIES)
def test_a_raised_model_gives_the_same_outputs(body: str, opset: int) -> None:
    proto = old(BODIES[body], opset)
    newer = raised(as_model(proto), 13)
    assert newer.opset == 13
    np.testing.assert_allclose(run(newer, **X)[0], run(proto, **X)[0], rtol=1e-6, atol=1e-7)


def branches(opset: int) -> onnx.ModelProto:
    """An If whose branches have operators that changed, one of them with a large weight of its own, and a node of
    somebody else's."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("t", "e")]
    product = [helper.make_node("MatMul", ["h", "k"], ["m"]), helper.make_node("Softmax", ["m"], ["t"])]
    then = helper.make_graph([dense_constant("k", noise(64, 64)), *product], "then", [], ends[:1])
    other = helper.make_graph([helper.make_node("Dropout", ["h"], ["e"], ratio=0.5)], "other", [], ends[1:])
    body = "g (bool c, float[2,64] x) => (float[2,64] y) { h = com.microsoft.Gelu(x) }"
    text = f'<ir_version: 4, opset_import: ["" : {opset}, "com.microsoft" : 1]> {body}'
    proto = onnx.parser.parse_model(text)
    proto.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other, name="choice"))
    return proto


def test_graphs_inside_nodes_are_raised_and_nodes_of_other_domains_stay() -> None:
    proto = branches(8)
    newer = raised(as_model(proto), 13)
    for c in (True, False):
        feed = {"c": np.array(c), "x": noise(2, 64)}
        np.testing.assert_allclose(run(newer, **feed)[0], run(proto, **feed)[0], rtol=1e-6, atol=1e-7)
    assert newer.ir.graph[0].domain == "com.microsoft"
    assert dict(newer.ir.opset_imports) == {"": 13, "com.microsoft": 1}


def test_the_other_name_of_the_standard_domain_is_known() -> None:
    proto = old("y = Relu(x)", 9)
    proto.opset_import[0].domain = "ai.onnx"
    newer = raised(as_model(proto), 13)
    assert newer.opset == 13
    assert np.array_equal(run(newer, **X)[0], run(proto, **X)[0])


def test_large_tensors_stay_where_they_are(tmp_path: Path) -> None:
    for proto in (branches(8), old(BODIES["Flatten and Gemm"], 9)):
        model = load(saved(proto, tmp_path / "m.onnx"))
        newer = raised(model, 13)
        large = [value.const_value for value in newer.ir.graph.initializers.values() if value.const_value.nbytes > 4096]
        large += [
            node.attributes["value"].value
            for graph in newer.ir.graph.subgraphs()
            for node in graph
            if node.op_type == "Constant" and node.attributes["value"].value.nbytes > 4096
        ]
        assert [type(tensor) for tensor in large] == [FileTensor]


def test_names_and_notes_of_the_model_stay() -> None:
    proto = old(BODIES["Flatten and Gemm"], 8)
    proto.producer_name, proto.doc_string, proto.graph.doc_string = "maker", "about the model", "about the graph"
    proto.metadata_props.add(key="license", value="MIT")
    proto.graph.node[1].name, proto.graph.node[1].doc_string = "fc", "the classifier"
    proto.graph.node[1].metadata_props.add(key="layer", value="7")
    proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 192]))
    annotation = proto.graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="c")
    newer = raised(as_model(proto), 13)
    assert (newer.ir.producer_name, newer.ir.doc_string, newer.ir.graph.doc_string) == (
        "maker", "about the model", "about the graph",
    )  # fmt: skip
    assert dict(newer.ir.metadata_props) == {"license": "MIT"}
    node = next(node for node in newer.ir.graph if node.op_type == "Gemm")
    assert (node.name, node.doc_string, dict(node.metadata_props)) == ("fc", "the classifier", {"layer": "7"})
    (value,) = (value for node in newer.ir.graph for value in node.outputs if value.name == "a")
    assert str(value.shape) == "[N,192]"
    assert value.meta["quant_parameter_tensor_names"] == {"SCALE_TENSOR": "c"}


def test_the_model_given_is_left_alone() -> None:
    model = as_model(old(BODIES["Dropout"], 8))
    raised(model, 13)
    assert (model.opset, len(model.ir.graph[0].inputs)) == (8, 1)


def test_functions_of_an_older_opset_are_a_reason_against_it() -> None:
    body = (
        'g (float[2] x) => (float[2] y) { y = local.F(x) } <domain: "local", opset_import: ["" : 9]> '
        "F (a) => (b) { b = Relu(a) }"
    )
    with pytest.raises(CannotRaise, match="its function 'F' is of opset 9, and functions are not converted"):
        raised(model_of(body, opset=9), 13)


def test_what_the_converter_cannot_do_is_said_in_its_words() -> None:
    node = helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=2)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 3, 2]) for name in "xy"]
    constants = [numpy_helper.from_array(noise(1, 6, 2), name) for name in "wr"]
    proto = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], constants), ir_version=4)
    proto.opset_import[0].version = 2
    with pytest.raises(CannotRaise, match=r"onnx's version converter says: No Adapter From Version \S+ for GRU"):
        raised(as_model(proto), 7)
