"""Every operator with weights, in every place and form: the result computes what its new weights imply.

Passes give weights new values; forms and rewiring must compute with exactly these. So the result is compared with the
original into which numpy has put the new values: same operators, same order of summation, differences of rounding only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import helper, numpy_helper

from nncompress.forms.form import Storing
from nncompress.model.arithmetic import fold_arithmetic
from nncompress.model.normalise import normalise
from nncompress.model.weights import find_weights
from nncompress.onnx_file.walk import all_graphs, all_tensors, nodes_of
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, context_for, noise, proto_from, session

Shape = tuple[int, ...]
DTYPES = {"float": np.float32, "double": np.float64, "float16": np.float16}


@dataclass(frozen=True)
class Case:
    """Nodes in ONNX text with FLOAT for the type; weights and inputs by name, their sizes in terms of a, b and c."""

    nodes: str
    weights: Mapping[str, str]
    inputs: Mapping[str, str]
    output: str = "y"
    others: Mapping[str, np.ndarray] = field(default_factory=dict)  # constants that are no weights
    functions: str = ""
    rank: int = 3

    @property
    def kinds(self) -> list[str]:
        """Types for which onnxruntime has kernels on the CPU."""
        only_float = re.search("Conv|LSTM|GRU|RNN|Fused", self.nodes)
        return ["float"] if only_float else list(DTYPES)


def ids(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape))).reshape(shape) % 3


FUNCTION = '<domain: "local", opset_import: ["" : 17, "local" : 1]>'
STEPS = np.array(3)
CASES: dict[str, Case] = {
    "Conv with groups": Case("y = Conv<group=2>(x, w)", {"w": "2*a,b,3"}, {"x": "2,2*b,c+3"}),
    "Conv depthwise": Case(
        "y = Conv<group=8, pads=[1,1,1,1], strides=[2,2]>(x, w)", {"w": "8,1,3,3"}, {"x": "1,8,a+3,c+3"}, rank=4
    ),
    "Conv of kernel 1 with bias": Case(
        "y = Conv<strides=[2], pads=[1,0]>(x, w, k)", {"w": "16,b+8,1"}, {"x": "2,b+8,c+3"},
        others={"k": noise(16, seed=8)},
    ),
    "ConvTranspose": Case("y = ConvTranspose<strides=[2]>(x, w)", {"w": "a,b,3"}, {"x": "2,a,c+3"}),
    "ConvTranspose with groups": Case("y = ConvTranspose<group=2>(x, w)", {"w": "2*a,b,3"}, {"x": "2,2*a,c+3"}),
    "ConvTranspose depthwise": Case(
        "y = ConvTranspose<group=8, output_padding=[1], strides=[2]>(x, w)", {"w": "8,1,3"}, {"x": "2,8,c+3"}
    ),
    "Gemm": Case("y = Gemm<alpha=0.5, beta=2.0>(x, w, k)", {"w": "a,16"}, {"x": "c,a"}, rank=2,
        others={"k": noise(16)}),
    "Gemm transB": Case(
        "y = Gemm<alpha=0.5, beta=2.0, transB=1>(x, w, k)", {"w": "16,a"}, {"x": "c,a"}, others={"k": noise(16)}, rank=2
    ),
    "Gemm transA": Case("y = Gemm<transA=1, alpha=3.0>(x, w)", {"w": "a,b"}, {"x": "a,c"}, rank=2),
    "Gemm of a left weight": Case("y = Gemm<transA=1, transB=1>(w, x)", {"w": "a,b"}, {"x": "c,a"}, rank=2),
    "MatMul": Case("y = MatMul(x, w)", {"w": "a,b"}, {"x": "2,c,a"}),
    "MatMul with a vector": Case("y = MatMul(x, w)", {"w": "a"}, {"x": "2,c,a"}, rank=2),
    "MatMul of a left vector": Case("y = MatMul(w, x)", {"w": "a"}, {"x": "2,a,c"}, rank=2),
    "MatMul of a left weight": Case("y = MatMul(w, x)", {"w": "b,a"}, {"x": "2,a,c"}),
    "MatMul of batched weights": Case("y = MatMul(x, w)", {"w": "2,a,b"}, {"x": "3,1,c,a"}, rank=4),
    "MatMul of a batched left weight": Case("y = MatMul(w, x)", {"w": "2,b,a"}, {"x": "a,c"}),
    "two weights in a product": Case("p = MatMul(u, v) y = MatMul(x, p)", {"u": "a,b", "v": "b,c"}, {"x": "c,a"},
        rank=2),
    "FusedMatMul": Case(
        "y = com.microsoft.FusedMatMul<transB=1, alpha=0.5>(x, w)", {"w": "b,a"}, {"x": "2,c,a"}
    ),
    "Gather": Case("y = Gather(w, i)", {"w": "a+2,b"}, {}, others={"i": ids(2, 3)}),
    "Gather along the last axis": Case("y = Gather<axis=-1>(w, i)", {"w": "b,a+2"}, {}, others={"i": ids(4)}, rank=2),
    "Gather in the middle": Case("y = Gather<axis=1>(w, i)", {"w": "b,a+2,c"}, {}, others={"i": ids(2, 2)}, rank=4),
    "Gather of one": Case("y = Gather<axis=1>(w, i)", {"w": "b,a+2,c"}, {}, others={"i": np.array(-1)}, rank=2),
    "Gather of a tied weight": Case(
        "e = Gather(w, i) t = Transpose(w) y = MatMul(e, t)", {"w": "a+2,b"}, {}, others={"i": ids(4)}, rank=2
    ),
    "LSTM": Case(
        "y, h, last = LSTM<direction=\"bidirectional\", hidden_size=8>(x, w, r)", {"w": "2,32,b", "r": "2,32,8"},
        {"x": "4,c,b"}, rank=4,
    ),
    "GRU": Case(
        "y, h = GRU<direction=\"reverse\", hidden_size=8, linear_before_reset=1>(x, w, r)",
        {"w": "1,24,b", "r": "1,24,8"}, {"x": "4,c,b"}, rank=4,
    ),
    "RNN": Case(
        "y, h = RNN<direction=\"bidirectional\", hidden_size=8, layout=0>(x, w, r)", {"w": "2,8,b", "r": "2,8,8"},
        {"x": "4,c,b"}, rank=4,
    ),
    "Einsum": Case("y = Einsum<equation=\"bij, jk -> bik\">(x, w)", {"w": "a,b"}, {"x": "2,c,a"}),
    "Einsum by heads": Case(
        "y = Einsum<equation=\"bhid,hde->bhie\">(x, w)", {"w": "2,a,b"}, {"x": "3,2,c,a"}, rank=4
    ),
    "Einsum of a left weight": Case("y = Einsum<equation=\"Aj,bjk->bAk\">(w, x)", {"w": "b,a"}, {"x": "2,a,c"}),
    "behind Transpose": Case("t = Transpose<perm=[1,0]>(w) y = MatMul(x, t)", {"w": "b,a"}, {"x": "c,a"}, rank=2),
    "behind Reshape": Case("t = Reshape(w, s) y = MatMul(x, t)", {"w": "a,4,8"}, {"x": "c,4*a"}, rank=2,
                           others={"s": np.array([-1, 8])}),
    "behind a factor": Case("t = Mul(w, f) y = MatMul(x, t)", {"w": "a,b"}, {"x": "c,a"}, rank=2,
                            others={"f": np.array(0.125)}),
    "behind Concat": Case(
        "t = Concat<axis=1>(u, v) y = MatMul(x, t)", {"u": "a,b", "v": "a,c"}, {"x": "2,a"}, rank=2
    ),
    "behind Slice": Case(
        "t = Slice(w, o, e) y = MatMul(x, t)", {"w": "a+1,b"}, {"x": "c,a"}, rank=2,
        others={"o": np.array([1]), "e": np.array([1000])}, ),
    "added as well": Case("p = MatMul(x, w) y = Add(p, w)", {"w": "a,a"}, {"x": "a,a"}, rank=2),
    "in a branch": Case(
        "y = If(yes) <then_branch = t () => (FLOAT[?,?] p) { p = MatMul(x, u) }, "
        "else_branch = e () => (FLOAT[?,?] q) { q = MatMul(x, v) }>",
        {"u": "a,b", "v": "a,b"}, {"x": "c,a"}, others={"yes": np.array(True)}, rank=2,
    ),
    "in a loop": Case(
        "y = Loop(steps, yes, x) <body = t (int64 step, bool on, FLOAT[?,?] h) => (bool again, FLOAT[?,?] n) "
        "{ again = Identity(on) m = MatMul(h, w) e = Gather(u, step) p = Add(m, e) n = Tanh(p) }>",
        {"w": "b,b", "u": "a+2,b"}, {"x": "c,b"}, others={"steps": STEPS, "yes": np.array(True)}, rank=2,
    ),
    "in a scan": Case(
        "s, y = Scan<num_scan_inputs=1, body = t (FLOAT[?] h, FLOAT[?] z) => (FLOAT[?] n, FLOAT[?] o) "
        "{ q = MatMul(h, w) r = Add(q, z) n = Tanh(r) o = Identity(n) }>(start, x)",
        {"w": "40,40"}, {"x": "c,40"}, others={"start": noise(40)}, rank=2,
    ),
    "handed to a function": Case(
        "h = local.outer(x, u) y = local.layer(h, v)", {"u": "a,b", "v": "b,8"}, {"x": "c,a"}, rank=2,
        functions=f"{FUNCTION} layer (p, k) => (q) {{ q = MatMul(p, k) }}"
        f" {FUNCTION} outer (p, k) => (q) {{ r = local.layer(p, k) q = Relu(r) }}",
    ),
    "inside a function": Case(
        "h = local.layer(x) y = local.layer(h)", {"w": "40,40"}, {"x": "c,40"}, rank=2,
        functions=f"{FUNCTION} layer (p) => (q) {{ r = MatMul(p, w) q = Relu(r) }}",
    ),
    "looked up in a function": Case(
        "y = local.look(w, i)", {"w": "a+2,b"}, {}, others={"i": ids(4)}, rank=2,
        functions=f"{FUNCTION} look (k, j) => (q) {{ q = Gather(k, j) }}",
    ),
}  # fmt: skip


def shape_of(text: str, sizes: Mapping[str, int]) -> Shape:
    return tuple(eval(part, {}, dict(sizes)) for part in text.split(","))


def made(case: Case, kind: str, sizes: Mapping[str, int], seed: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model and a feed."""
    dtype = DTYPES[kind]
    feed = {
        name: noise(*shape_of(text, sizes), seed=seed + i).astype(dtype)
        for i, (name, text) in enumerate(case.inputs.items())
    }
    inputs = ", ".join(f"{kind}[{','.join('?' for _ in array.shape)}] {name}" for name, array in feed.items())
    header = '<ir_version: 8, opset_import: ["" : 17, "local" : 1, "com.microsoft" : 1]>'
    body = f"g ({inputs}) => ({kind}[{','.join('?' * case.rank)}] {case.output}) {{ {case.nodes} }} {case.functions}"
    proto = onnx.parser.parse_model(f"{header} {body.replace('FLOAT', kind)}")
    for i, (name, text) in enumerate(case.weights.items()):
        weight = noise(*shape_of(text, sizes), seed=seed + 10 + i) / 4
        proto.graph.initializer.append(numpy_helper.from_array(weight.astype(dtype), name))
    for name, array in case.others.items():
        proto.graph.initializer.append(
            numpy_helper.from_array(array.astype(dtype) if array.dtype.kind == "f" else array, name)
        )
    return proto, feed


def move_inside(proto: onnx.ModelProto, *, as_nodes: bool) -> None:
    """Puts each weight that is read in one graph only into it, as an initializer or a Constant node; in functions,
    which have no initializers, always as a node."""
    inner = [graph for graph in all_graphs(proto) if graph is not proto.graph]
    for tensor in list(proto.graph.initializer):
        graphs = [graph for graph in inner if any(tensor.name in node.input for node in graph.node)]
        functions = [f for f in proto.functions if any(tensor.name in node.input for node in f.node)]
        outside = any(tensor.name in node.input for node in proto.graph.node)
        if len(graphs) + len(functions) != 1 or (outside and not functions):
            continue
        if graphs and not as_nodes:
            graphs[0].initializer.append(tensor)
        else:
            (graphs or functions)[0].node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
        proto.graph.initializer.remove(tensor)


def with_new_values(proto: onnx.ModelProto, passes: list[Pass], form: str) -> onnx.ModelProto:
    """The original graph, constant arithmetic done, with the values that the passes give its weights."""
    plain = as_model(proto)
    fold_arithmetic(plain)
    expected = onnx.ModelProto.FromString(proto_from(plain).SerializeToString())
    normalise(plain)
    for one in passes:
        one.apply(plain, Context(Storing(plain.opset, form)))
    new = {weight.given_name: weight.tensor.numpy() for weight in find_weights(plain)}
    for graph in all_graphs(expected):
        for tensor in graph.initializer:
            if tensor.name in new:
                tensor.CopyFrom(numpy_helper.from_array(new[tensor.name], tensor.name))
    for nodes in (expected.graph.node, *(function.node for function in expected.functions)):
        for node in nodes_of(nodes):
            if node.op_type == "Constant" and node.output[0] in new:
                node.attribute[0].t.CopyFrom(numpy_helper.from_array(new[node.output[0]]))
    return expected


def tolerance(kind: str, reference: np.ndarray) -> float:
    """Rounding of sums that are taken in another order, or fused into other kernels."""
    return 64 * float(np.finfo(DTYPES[kind]).eps) * max(1.0, float(np.abs(reference).max()))


VALUE_PASSES = st.tuples(
    st.lists(st.builds(
        PruneMagnitude, sparsity=st.sampled_from([0.3, 0.9]), min_size=st.just(1), only_if_smaller=st.just(False)
    ), max_size=1),
    st.lists(
        st.builds(
            QuantizeWeights, dtype=st.sampled_from(["int8", "uint8"]), symmetric=st.booleans(), min_size=st.just(1),
            granularity=st.sampled_from(["channel", "tensor"]), only_if_smaller=st.just(False),
            small_constants=st.just("keep"),
        ), max_size=1,
    ),
).map(lambda parts: [one for part in parts for one in part]).filter(bool)  # fmt: skip
SIZES = st.fixed_dictionaries({name: st.integers(1, 12) for name in "abc"})
few = settings(
    max_examples=16, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)


@pytest.mark.parametrize("name", CASES)
@few
@given(
    st.data(), SIZES, VALUE_PASSES, st.sampled_from(["folded", "dequantize"]), st.integers(0, 99),
    st.sampled_from(["outside", "initializer inside", "node inside"]),
)  # fmt: skip
def test_the_result_computes_with_the_new_weights(
    name: str, data: st.DataObject, sizes: dict[str, int], passes: list[Pass], form: str, seed: int, place: str
) -> None:
    case = CASES[name]
    kind = data.draw(st.sampled_from(case.kinds))
    proto, feed = made(case, kind, sizes, seed)
    if place != "outside" or name == "inside a function":
        move_inside(proto, as_nodes=place == "node inside")
    compressed = compress_graph(as_model(proto), passes, form=form)
    assert compressed.changed or min(sizes.values()) <= 2, "pruning may find nothing to drop in two values"
    result = proto_from(compressed.model)
    onnx.checker.check_model(result, full_check="com.microsoft" not in case.nodes)
    expected = session(with_new_values(proto, passes, form), exact=True).run([case.output], feed)[0]
    found = session(result, exact=True).run([case.output], feed)[0]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.abs(found.astype(np.float64) - expected).max(initial=0) <= tolerance(kind, expected)


SPLIT = [
    "Conv of kernel 1 with bias",
    "Gemm",
    "Gemm transB",
    "MatMul",
    "in a branch",
    "in a loop",
    "in a scan",
    "inside a function",
]


def with_products(proto: onnx.ModelProto, one: Factorize) -> onnx.ModelProto:
    """The original graph with the products of the factors for weights."""
    plain = as_model(proto)
    normalise(plain)
    one.apply(plain, context_for(plain))
    factors = {weight.name: weight.array().astype(np.float64) for weight in find_weights(plain)}
    expected = onnx.ModelProto.FromString(proto.SerializeToString())
    for tensor in all_tensors(expected):
        a, b = factors.get(f"{tensor.name}.a0"), factors.get(f"{tensor.name}.b0")
        if a is None or b is None:
            continue
        matrix = b[:, :, 0] @ a[:, :, 0] if a.ndim == 3 else a @ b
        turned = any(attr.name == "transB" for node in expected.graph.node for attr in node.attribute)
        values = (matrix.T if turned else matrix).reshape(tensor.dims)
        tensor.CopyFrom(numpy_helper.from_array(values.astype(numpy_helper.to_array(tensor).dtype), tensor.name))
    return expected


@pytest.mark.parametrize("name", SPLIT)
@settings(few, max_examples=8)
@given(
    st.fixed_dictionaries({name: st.integers(24, 40) for name in "abc"}), st.sampled_from(["float", "double"]),
    st.integers(0, 99), st.booleans(), st.sampled_from([1, 3, 6]),
)  # fmt: skip
def test_factors_compute_with_their_product(
    name: str, sizes: dict[str, int], kind: str, seed: int, inside: bool, rank: int
) -> None:
    case = CASES[name]
    kind = kind if kind in case.kinds else "float"
    proto, feed = made(case, kind, sizes, seed)
    if inside or name == "inside a function":
        move_inside(proto, as_nodes=True)
    compressed = compress_graph(as_model(proto), [Factorize(rank=rank, min_size=1)])
    assert compressed.changed
    result = proto_from(compressed.model)
    onnx.checker.check_model(result, full_check=True)
    expected = session(with_products(proto, Factorize(rank=rank, min_size=1)), exact=True).run([case.output], feed)[0]
    found = session(result, exact=True).run([case.output], feed)[0]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.abs(found - expected).max() <= 4 * tolerance(kind, expected), "two products in place of one"
