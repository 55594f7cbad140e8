"""Blocks: which nodes a value takes, what has to be kept, and a model of their own that computes the same."""

import numpy as np
import pytest

from nncompress.model.blocks import (
    Kind,
    block_model,
    constant_nodes,
    draws_random_numbers,
    nodes_behind,
    obstacle_to_carry,
    reads_of,
)
from nncompress.model.model import Model
from nncompress.model.network import Network
from tests.models import model_of, noise, proto_from, run

W, V = noise(4, 4), noise(4, 4, seed=1)
FLOAT = Kind(np.dtype(np.float32), 2)
RESIDUAL = (
    "g (float[N,4] x) => (float[N,4] y) { t = Transpose(w) a = MatMul(x, t) r = Relu(a) b = MatMul(r, v) s = Add(b, r) "
    "y = MatMul(s, t) }"
)
IF = (
    "g (bool c, float[N,4] x) => (float[N,4] y) { a = MatMul(x, w) z = Neg(x) y = If(c) <"
    "then_branch = t () => (float[N,4] p) { p = MatMul(a, v) }, "
    "else_branch = e () => (float[N,4] q) { m = Add(x, a) q = Identity(m) }> }"
)


def residual() -> Network:
    model = model_of(RESIDUAL, w=W, v=V)
    return Network(model, {"x": FLOAT})


def results(nodes: object) -> str:
    return "".join(node.outputs[0].name for node in nodes)  # type: ignore[attr-defined]


def test_nodes_come_behind_those_whose_results_they_read() -> None:
    network = residual()
    values = network.values()
    assert results(nodes_behind([values["b"]], {"x"})) == "tarb"
    assert results(nodes_behind([values["s"]], {"r"})) == "bs"
    assert results(nodes_behind([values["a"], values["b"]], {"x", "r"})) == "bta"


def test_a_graph_of_thousands_of_nodes_in_a_row_is_no_deeper_than_another() -> None:
    chain = " ".join(f"a{i + 1} = Neg(a{i})" for i in range(3000))
    model = model_of(f"g (float[4] x) => (float[4] y) {{ a0 = Neg(x) {chain} y = Neg(a3000) }}")
    (y,) = model.ir.graph.outputs
    assert len(nodes_behind([y], {"x"})) == 3002


def test_a_node_reads_what_the_graphs_inside_it_read() -> None:
    model = model_of(IF, w=W, v=V)
    node = model.ir.graph.node(2)
    assert {value.name for value in reads_of(node)} == {"c", "a", "v", "x"}


def test_what_only_constants_reach_is_computed_by_each_block_that_needs_it() -> None:
    network = residual()
    first = network.plan(["a"], ["y"])
    assert (results(first.nodes), first.kept, first.live) == ("ta", ["a"], frozenset({"a"}))
    network.follow(first, {"a": FLOAT})
    second = network.plan(["b"], ["y"])
    assert (results(second.nodes), second.kept, second.live) == ("rb", ["r", "b"], frozenset({"r", "b"}))
    network.follow(second, dict.fromkeys("rb", FLOAT))
    third = network.plan(["y"], [])
    assert (results(third.nodes), list(third.inputs), third.live) == ("tsy", ["b", "r"], frozenset())


def test_a_node_that_comes_again_leaves_what_it_reads() -> None:
    network = residual()
    node = network.values()["b"].producer()
    plan = network.plan(["b"], ["y"], again=node)
    assert (results(plan.nodes), plan.kept, plan.live) == ("tarb", ["r"], frozenset({"r"}))


def test_random_numbers_are_no_constants() -> None:
    model = model_of(
        "g (float[4] x) => (float[4] y) { n = RandomNormal<shape = [4]>() z = Constant<value = float[2] {1, 2}>() "
        "m = Neg(z) a = Add(n, m) y = Add(a, x) }"
    )
    nodes = nodes_behind([model.ir.graph.outputs[0]], {"x"})
    assert [node.outputs[0].name for node in nodes if id(node) in constant_nodes(nodes)] == ["z", "m"]
    assert [node.op_type for node in nodes if draws_random_numbers(node)] == ["RandomNormal"]
    assert Network(model).random(["m", "a", "y"]) == {"a", "y"}


@pytest.mark.parametrize("body", [RESIDUAL, IF])
def test_blocks_in_a_row_compute_what_the_model_computes(body: str) -> None:
    model = model_of(body, w=W, v=V)
    feed = {"x": noise(3, 4, seed=5)} | ({"c": np.array(False)} if body is IF else {})
    network = Network(model, {name: kind_of(array) for name, array in feed.items()})
    values = dict(feed)
    for wanted in ("a", "y"):
        plan = network.plan([wanted], ["y"])
        block = block_model(model, plan.nodes, plan.inputs, plan.kept)
        made = run(block, **{name: values[name] for name in plan.inputs})
        values |= dict(zip(plan.kept, made, strict=True))
        network.follow(plan, {name: kind_of(values[name]) for name in plan.kept})
    assert np.allclose(values["y"], run(model, **feed)[0], rtol=0, atol=64 * np.finfo(np.float32).eps * 16)


def kind_of(array: np.ndarray) -> Kind:
    return Kind(array.dtype, array.ndim)


def test_a_block_leaves_the_model_as_it_was() -> None:
    network = residual()
    before = proto_from(network.model).SerializeToString(deterministic=True)
    plan = network.plan(["b"], ["y"])
    block_model(network.model, plan.nodes, plan.inputs, plan.kept)
    assert proto_from(network.model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("g (float[4] x) => (int64 y) { q = SequenceConstruct(x) y = SequenceLength(q) }", "'q' is no tensor"),
        ("g (bfloat16[4] x) => (bfloat16[4] q) { q = Neg(x) }", "'q' is bfloat16"),
        ("g (float[4] x) => (float[4] q) { q = Neg(x) }", None),
        ("g (string[4] x) => (string[4] q) { q = Identity(x) }", None),
    ],
)  # fmt: skip
def test_what_python_cannot_take_is_not_carried(body: str, reason: str | None) -> None:
    model: Model = model_of(body)
    said = obstacle_to_carry(Network(model).values()["q"])
    assert said is None if reason is None else reason in str(said)
