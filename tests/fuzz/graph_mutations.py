"""Mutations of the graph: nodes, names, attributes, graphs inside nodes, functions, inputs, outputs and versions."""

from __future__ import annotations

import random

import onnx
from onnx import AttributeProto, TensorProto, helper

from nncompress.onnx_file.walk import all_graphs, nodes_of
from tests.fuzz.tensor_mutations import DIMS

NAMES = ("", "nowhere", "x", "y", "w", "v0", "c0", "w.a0", "x" * 3000, "a\nb\x1b[2J", "\u202eevil", "sub/graph:0")
INTEGERS = (-(2**63), -(2**31), -100, -2, -1, 0, 1, 2, 3, 4, 5, 7, 64, 1000, 2**31, 2**63 - 1)
OPS = (
    "MatMul", "Gemm", "Conv", "ConvTranspose", "Gather", "LSTM", "GRU", "RNN", "Einsum", "Transpose", "Reshape",
    "Slice", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Concat", "Mul", "Div", "Expand", "Constant",
    "ConstantOfShape", "Loop", "If", "Scan", "DequantizeLinear", "Split", "Shape", "layer", "NoSuchOp", "", "BitShift",
)  # fmt: skip
EQUATIONS = (
    "ab,bc->ac",
    "ab,bc",
    "...a,ab->...b",
    "",
    "->",
    "ab",
    "a,a->a",
    "aab,bc->ac",
    "a b , b c -> a c",
    "☃,b->b",
)


def _graph(rng: random.Random, proto: onnx.ModelProto) -> onnx.GraphProto:
    return rng.choice(list(all_graphs(proto)))


def _nodes(rng: random.Random, proto: onnx.ModelProto) -> object:
    return rng.choice([graph.node for graph in all_graphs(proto)] + [function.node for function in proto.functions])


def _node(rng: random.Random, proto: onnx.ModelProto) -> onnx.NodeProto:
    roots = [proto.graph.node, *(function.node for function in proto.functions)]
    return rng.choice([node for nodes in roots for node in nodes_of(nodes)])


def _attribute(rng: random.Random, proto: onnx.ModelProto) -> AttributeProto:
    roots = [proto.graph.node, *(function.node for function in proto.functions)]
    return rng.choice([a for nodes in roots for node in nodes_of(nodes) for a in node.attribute])


# ------------------------------------------------------------------------------------------------ nodes
def rearrange_nodes(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Drops, doubles, swaps or reverses nodes."""
    holder = _nodes(rng, proto)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in holder]  # type: ignore[attr-defined]
    one = rng.randrange(len(nodes))
    other = rng.randrange(len(nodes))
    swapped = list(nodes)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    new = rng.choice((nodes[:one] + nodes[one + 1 :], [*nodes, nodes[one]], swapped, nodes[::-1], nodes * 3))
    del holder[:]  # type: ignore[attr-defined]
    holder.extend(new)  # type: ignore[attr-defined]


def change_op(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    node.op_type = rng.choice(OPS)
    if rng.random() < 0.2:
        node.domain = rng.choice(("", "ai.onnx", "com.microsoft", "local", "nowhere", "a\nb"))


def rename_value(rng: random.Random, proto: onnx.ModelProto) -> None:
    """A name that collides, dangles, is empty or is odd, at one place only."""
    node = _node(rng, proto)
    side = rng.choice([side for side in (node.input, node.output) if side])
    graph = _graph(rng, proto)
    known = [name for other in graph.node for name in (*other.input, *other.output)] + [
        t.name for t in graph.initializer
    ]
    side[rng.randrange(len(side))] = rng.choice((*NAMES, *known, *known))


def resize_operands(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    side = rng.choice((node.input, node.output))
    if rng.random() < 0.5:
        del side[rng.randrange(len(side)) :]
    else:
        side.extend([rng.choice((*NAMES, *side))] * rng.choice((1, 2, 50)))


def rename_node(rng: random.Random, proto: onnx.ModelProto) -> None:
    _node(rng, proto).name = rng.choice(NAMES)


# ------------------------------------------------------------------------------------------------ attributes
def rearrange_attributes(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = rng.choice([n for n in nodes_of(proto.graph.node) if n.attribute])
    index = rng.randrange(len(node.attribute))
    if rng.random() < 0.5:
        del node.attribute[index]
    else:
        node.attribute.add().CopyFrom(node.attribute[index])


def change_attribute(rng: random.Random, proto: onnx.ModelProto) -> None:
    attribute = _attribute(rng, proto)
    if attribute.ints and rng.random() < 0.8:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(INTEGERS)
    elif attribute.HasField("i"):
        attribute.i = rng.choice(INTEGERS)
    elif attribute.HasField("s"):
        attribute.s = rng.choice((*[text.encode() for text in EQUATIONS], b"\xff\xfe", b"x" * 5000))
    elif attribute.HasField("f"):
        attribute.f = rng.choice((float("nan"), float("inf"), -1e30))
    else:
        attribute.ints.extend([rng.choice(INTEGERS)])


def confuse_attribute(rng: random.Random, proto: onnx.ModelProto) -> None:
    """A type that does not fit the value, a reference to a function's attribute, another name."""
    attribute = _attribute(rng, proto)
    what = rng.randrange(4)
    if what == 0:
        attribute.type = rng.choice(list(range(15)))
    elif what == 1:
        attribute.ref_attr_name = rng.choice(NAMES)
    elif what == 2:
        attribute.name = rng.choice((*NAMES, "value", "axis", "perm", "value_ints", "sparse_value", "to"))
    else:
        for name in ("i", "f", "s", "t", "g", "ints"):
            attribute.ClearField(name)


def add_attribute(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    name = rng.choice(("axis", "axes", "perm", "group", "transA", "transB", "alpha", "beta", "to", "equation", "value",
                       "value_ints", "value_float", "hidden_size", "direction", "block_size", "allowzero"))  # fmt: skip
    value = rng.choice((rng.choice(INTEGERS), [rng.choice(INTEGERS)] * rng.randint(1, 4), 1.5, rng.choice(EQUATIONS)))
    node.attribute.append(helper.make_attribute(name, value))


# ------------------------------------------------------------------------------------------------ graphs and functions
def nest(rng: random.Random, proto: onnx.ModelProto) -> None:
    """A node goes into both branches of an If, one to fifty times over."""
    index = rng.randrange(len(proto.graph.node))
    node = onnx.NodeProto.FromString(proto.graph.node[index].SerializeToString())
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    condition = helper.make_tensor("deep", TensorProto.BOOL, [], [True])
    for _ in range(rng.choice((1, 1, 1, 2, 5, 24, 25, 30, 50))):
        body = helper.make_graph([node], "body", [], outputs)
        node = helper.make_node("If", ["deep"], list(node.output), then_branch=body)
        if rng.random() < 0.1:
            node.attribute.append(helper.make_attribute("else_branch", body))
    proto.graph.node[index].CopyFrom(node)
    proto.graph.initializer.append(condition)


def tie_function(rng: random.Random, proto: onnx.ModelProto) -> None:
    """A function that is given twice, calls itself or another one, or has other arguments than its callers."""
    name = rng.choice(("f", "g", "layer"))
    called = rng.choice((name, "f", "g", "Relu", "MatMul"))
    opsets = [helper.make_opsetid(domain, 1 if domain == "local" else 17) for domain in ("", "local")]
    nodes = [
        helper.make_node(called, rng.choice((["a"], ["a", "b"], [])), [f"o{i}"], domain=rng.choice(("local", "")))
        for i in range(rng.choice((1, 2, 10)))
    ]
    made = helper.make_function("local", name, rng.choice((["a", "b"], ["a"], ["a", "a"], [])), ["o0"], nodes, opsets)
    proto.functions.append(made)
    proto.opset_import.append(helper.make_opsetid("local", 1))
    caller = _node(rng, proto)
    caller.op_type, caller.domain = name, "local"


def rearrange_initializers(rng: random.Random, proto: onnx.ModelProto) -> None:
    graph = _graph(rng, proto)
    index = rng.randrange(len(graph.initializer))
    tensor = TensorProto.FromString(graph.initializer[index].SerializeToString())
    what = rng.randrange(5)
    if what == 0:
        del graph.initializer[index]
    elif what == 1:
        _graph(rng, proto).initializer.append(tensor)
    elif what == 2:
        graph.output.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    elif what == 3:
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    else:
        graph.node.append(helper.make_node("Constant", [], [tensor.name], value=tensor))


def change_interface(rng: random.Random, proto: onnx.ModelProto) -> None:
    graph = _graph(rng, proto)
    infos = rng.choice([side for side in (graph.input, graph.output, graph.value_info) if side])
    index = rng.randrange(len(infos))
    what = rng.randrange(7)
    if what == 0:
        del infos[index]
    elif what == 1:
        infos.append(infos[index])
    elif what == 2:
        infos[index].name = rng.choice((*NAMES, *[t.name for t in graph.initializer]))
    elif what == 3:
        infos[index].type.tensor_type.elem_type = rng.choice((0, 1, 7, 8, 10, 25, 99, -1))
    elif what == 4:
        infos[index].ClearField("type")
    elif what == 5:
        infos[index].type.sequence_type.elem_type.tensor_type.elem_type = 1
    else:
        infos[index].type.tensor_type.shape.dim.add(dim_value=rng.choice(DIMS))


def state_shapes(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Shapes of values inside that may not be true, and metadata at every level."""
    graph = _graph(rng, proto)
    names = [name for node in graph.node for name in node.output] + [t.name for t in graph.initializer]
    dims = [rng.choice(("N", "", *DIMS)) for _ in range(rng.randint(0, 5))]
    graph.value_info.append(helper.make_tensor_value_info(rng.choice((*names, "z")), rng.choice((1, 7, 10)), dims))
    for holder in (proto, graph, rng.choice(list(graph.node))):
        for _ in range(rng.randint(0, 2)):
            holder.metadata_props.add(key=rng.choice(NAMES), value=rng.choice(NAMES))


# ------------------------------------------------------------------------------------------------ versions
def change_versions(rng: random.Random, proto: onnx.ModelProto) -> None:
    what = rng.randrange(5)
    if what == 0:
        proto.ir_version = rng.choice((0, 1, 2, 3, 4, 9, 10, 13, 14, 15, 99, -1, 2**62))
    elif what == 1:
        proto.opset_import[0].version = rng.choice((*range(1, 30), 0, -1, 2**40))
    elif what == 2:
        proto.opset_import[0].domain = rng.choice(("ai.onnx", "ai.onnx.ml", "nowhere", "a\nb"))
    elif what == 3:
        proto.opset_import.add(domain=rng.choice(("", "ai.onnx", "local")), version=rng.choice((1, 5, 13, 17, 26)))
    else:
        del proto.opset_import[:]


def odd_fields(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Fields that hardly any file has."""
    what = rng.randrange(6)
    if what == 0:
        proto.training_info.add()
    elif what == 1:
        proto.graph.quantization_annotation.add(tensor_name=rng.choice(NAMES)).quant_parameter_tensor_names.add(key="k")
    elif what == 2:
        proto.graph.ClearField("name")
    elif what == 3:
        proto.ClearField("graph")
    elif what == 4:
        _node(rng, proto).overload = rng.choice(NAMES)
    else:
        proto.model_version, proto.doc_string = rng.choice(DIMS), rng.choice(NAMES)


GRAPH_MUTATIONS = (
    rearrange_nodes, change_op, rename_value, rename_value, resize_operands, rename_node, rearrange_attributes,
    change_attribute, confuse_attribute, add_attribute, nest, tie_function, rearrange_initializers, change_interface,
    state_shapes, change_versions, odd_fields,
)  # fmt: skip
