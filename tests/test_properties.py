"""Random small graphs, random passes in every legal order: the output stays within the bound that the weights imply.

The bound is computed alongside. Every layer is y = x W (+ b) with |x| known; if W becomes V, then
|y' - y| <= |x'| |V - W| + |x' - x| |W| element by element, in exact arithmetic. V is what numpy says that the passes
made of W, so that the bound holds for every pass: it is what onnxruntime computes from the stored form that is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import helper, numpy_helper

from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.model.weights import find_weights
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, context_for, proto_from, run, session

EPS = float(np.finfo(np.float32).eps)
Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(x, w) -> the layer's product, without its bias"""


@dataclass
class Layer:
    """One product with the weight `weight`; `apply` works on absolute values as well, as it only sums products."""

    weight: str
    apply: Apply
    relu: bool


@dataclass
class Graph:
    """A chain of layers under construction, and what numpy needs to follow it."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    width: int = 0
    current: str = "x"
    nodes_of_constants: list[str] = field(default_factory=list)  # weights that are no initializers

    def named(self, prefix: str) -> str:
        return f"{prefix}{len(self.layers)}"


Made = tuple[onnx.ModelProto, Graph, dict[str, np.ndarray], np.ndarray]


def matmul(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return x @ w


def transposed(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return x @ w.T


def convolution(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """[n, C] seen as [n, C, 1] with a kernel of 1."""
    return x @ w[:, :, 0].T


# ------------------------------------------------------------------------------------------------ random graphs
def weight_of(draw: st.DrawFn, graph: Graph, shape: tuple[int, ...]) -> str:
    """A new constant, or one that is there already (tied)."""
    same = [name for name, array in graph.constants.items() if array.shape == shape and name.startswith("w")]
    if same and draw(st.booleans()):
        return draw(st.sampled_from(same))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    array = rng.standard_normal(shape) * draw(st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
    kind = draw(st.sampled_from(["normal", "outliers", "sparse", "constant", "odd"]))
    if kind == "outliers":
        array.reshape(-1)[rng.integers(0, array.size, 3)] *= 100
    elif kind == "sparse":
        array[rng.random(shape) < 0.7] = 0
    elif kind == "constant":
        array[:] = 0.37
    elif kind == "odd":
        array[..., 0] = 0
    name = f"w{len(graph.constants)}"
    graph.constants[name] = array.astype(np.float32)
    return name


def add_layer(draw: st.DrawFn, graph: Graph) -> None:
    out = draw(st.sampled_from([8, 16, 64, graph.width]))
    kind = draw(st.sampled_from(["MatMul", "Gemm", "GemmT", "Transpose", "Conv", "If", "Constant"]))
    flipped = kind in ("GemmT", "Transpose")
    shape = (out, graph.width, 1) if kind == "Conv" else (out, graph.width) if flipped else (graph.width, out)
    weight = weight_of(draw, graph, shape)
    x, y = graph.current, graph.named("y")
    extra: list[onnx.NodeProto] = []
    if kind == "Transpose":
        extra = [helper.make_node("Transpose", [weight], [graph.named("t")])]
        extra.append(helper.make_node("MatMul", [x, graph.named("t")], [y]))
    elif kind in ("Gemm", "GemmT"):
        extra = [helper.make_node("Gemm", [x, weight], [y], transB=int(flipped), name=graph.named("node"))]
    elif kind == "Conv":
        u, v, axes = graph.named("u"), graph.named("v"), "axes"
        graph.constants[axes] = np.array([2])
        extra = [
            helper.make_node("Unsqueeze", [x, axes], [u]),
            helper.make_node("Conv", [u, weight], [v]),
            helper.make_node("Squeeze", [v, axes], [y]),
        ]
    elif kind == "If":
        branches = {}
        for branch in ("then_branch", "else_branch"):
            inner = f"{y}_{branch}"
            node = helper.make_node("MatMul", [x, weight], [inner])
            info = helper.make_tensor_value_info(inner, 1, None)
            branches[branch] = helper.make_graph([node], branch, [], [info])
        extra = [helper.make_node("If", ["condition"], [y], **branches)]
    elif kind == "Constant" and weight not in {layer.weight for layer in graph.layers}:
        held = numpy_helper.from_array(graph.constants[weight])
        graph.nodes_of_constants.append(weight)
        extra = [helper.make_node("Constant", [], [weight], value=held), helper.make_node("MatMul", [x, weight], [y])]
    else:
        extra = [helper.make_node("MatMul", [x, weight], [y])]
    relu = draw(st.booleans())
    graph.nodes += extra
    graph.layers.append(Layer(weight, convolution if kind == "Conv" else transposed if flipped else matmul, relu))
    graph.current, graph.width = y, out
    if relu:
        graph.nodes.append(helper.make_node("Relu", [y], [f"{y}_r"]))
        graph.current = f"{y}_r"


@st.composite
def graphs(draw: st.DrawFn) -> Made:
    """The model, how to follow it, a feed, and the values with which the chain of layers begins."""
    graph = Graph(width=draw(st.sampled_from([8, 16, 64])))
    batch = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    feed: dict[str, np.ndarray] = {"condition": np.array(draw(st.booleans()))}
    if draw(st.booleans()):
        table = weight_of(draw, graph, (draw(st.sampled_from([10, 40])), graph.width))
        ids = rng.integers(0, len(graph.constants[table]), batch)
        graph.nodes.append(helper.make_node("Gather", [table, "ids"], ["x"]))
        graph.inputs.append(helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch"]))
        graph.layers.append(Layer(table, matmul, False))
        feed["ids"], start = ids, np.eye(len(graph.constants[table]))[ids]  # a lookup is a product with unit rows
    else:
        start = rng.standard_normal((batch, graph.width)).astype(np.float32)
        graph.inputs.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", graph.width]))
        feed["x"] = start
    for _ in range(draw(st.integers(1, 4))):
        add_layer(draw, graph)
    inputs = [*graph.inputs, helper.make_tensor_value_info("condition", onnx.TensorProto.BOOL, [])]
    output = helper.make_tensor_value_info(graph.current, onnx.TensorProto.FLOAT, ["batch", graph.width])
    held = {name: array for name, array in graph.constants.items() if name not in graph.nodes_of_constants}
    constants = [numpy_helper.from_array(array, name) for name, array in held.items()]
    opset = helper.make_opsetid("", draw(st.sampled_from([13, 17, 21])))
    made = helper.make_graph(graph.nodes, "random", inputs, [output], constants)
    return helper.make_model(made, opset_imports=[opset], ir_version=10), graph, feed, start.astype(np.float64)


def chains() -> st.SearchStrategy[list[Pass]]:
    """Passes in the order of their stages, each left out, once or twice."""
    factorize = st.builds(Factorize, ratio=st.sampled_from([0.3, 0.8]), min_size=st.just(64))
    prune = st.builds(
        PruneMagnitude, sparsity=st.sampled_from([0.2, 0.6, 0.95]), scope=st.sampled_from(["lamp", "weight", "global"]),
        min_size=st.just(1),
    )  # fmt: skip
    quantize = st.builds(
        QuantizeWeights, dtype=st.sampled_from(["int8", "uint8"]), symmetric=st.booleans(), min_size=st.just(1),
        granularity=st.sampled_from(["channel", "tensor"]), range=st.sampled_from(["minmax", "mse"]),
        only_if_smaller=st.booleans(),
    )  # fmt: skip
    some = st.tuples(st.lists(factorize, max_size=1), st.lists(prune, max_size=2), st.lists(quantize, max_size=1))
    return some.map(lambda parts: [one for part in parts for one in part]).filter(bool)


# ------------------------------------------------------------------------------------------------ the bound
def values_after(model: Model, passes: list[Pass], graph: Graph) -> dict[str, np.ndarray]:
    """What numpy says each weight has become, factors multiplied out; of equal ones only one is kept."""
    plain = model.clone()
    normalise(plain)
    for one in passes:
        one.apply(plain, context_for(plain))
    held = {weight.name: weight.array().astype(np.float64) for weight in find_weights(plain)}
    transposed_ones = {layer.weight for layer in graph.layers if layer.apply is transposed}
    after = {}
    for name, array in graph.constants.items():
        equals = [
            n
            for n, other in graph.constants.items()
            if other.tobytes() == array.tobytes() and other.shape == array.shape
        ]
        for kept in equals:
            if kept in held:
                after[name] = held[kept]
            elif f"{kept}.a0" in held:
                a, b = held[f"{kept}.a0"], held[f"{kept}.b0"]
                product = (b[:, :, 0] @ a[:, :, 0])[:, :, None] if a.ndim == 3 else a @ b
                after[name] = product.T if transposed_ones & set(equals) else product
    return after


def bound(graph: Graph, after: dict[str, np.ndarray], start: np.ndarray) -> np.ndarray:
    """How far the outputs may be off, element by element, the rounding of float32 sums included."""
    x, off = start, np.zeros_like(start)
    for layer in graph.layers:
        w, v = graph.constants[layer.weight].astype(np.float64), after[layer.weight]
        largest = np.abs(x) + off
        moved = layer.apply(largest, np.abs(v - w)) + layer.apply(off, np.abs(w))
        # factors are a product more, whose terms can be larger than those of the weight that they stand for
        rounding = 8 * EPS * (w.shape[0] + w.shape[1]) * layer.apply(largest, np.abs(w) + np.abs(v) + np.abs(w).max())
        x, off = layer.apply(x, w), moved + rounding
        x = np.maximum(x, 0) if layer.relu else x
    return off


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(graphs(), chains(), st.sampled_from(["folded", "dequantize"]))
def test_whatever_passes_do_the_output_stays_within_the_bound(made: Made, passes: list[Pass], form: str) -> None:
    proto, graph, feed, start = made
    model = as_model(proto)
    before = proto_from(model).SerializeToString(deterministic=True)
    compressed = compress_graph(model, passes, form=form)
    assert proto_from(model).SerializeToString(deterministic=True) == before
    result = proto_from(compressed.model)
    onnx.checker.check_model(result, full_check=True)
    assert [i.name for i in result.graph.input] == [i.name for i in proto.graph.input]
    (reference,), (found,) = run(proto, **feed), session(result, exact=form == "dequantize").run(None, feed)
    assert found.shape == reference.shape
    limit = bound(graph, values_after(model, passes, graph), start)
    assert np.all(np.abs(found.astype(np.float64) - reference) <= limit)
