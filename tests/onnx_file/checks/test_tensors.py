"""Every lie that a model file can tell about itself is found before anything relies on it."""

import math
import re

import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.errors import InputError
from nncompress.onnx_file.checks import functions
from nncompress.onnx_file.checks.functions import check_functions
from nncompress.onnx_file.checks.header import checker_complaint
from nncompress.onnx_file.checks.tensors import check_tensors, nbytes, tensor_problem
from nncompress.onnx_file.walk import all_graphs, all_tensors
from tests.models import dense_constant, noise, proto_of

F, D, I64, U8, S = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT8, TensorProto.STRING


def tensor(data_type: int, dims: list[int], **data: object) -> TensorProto:
    return TensorProto(name="w", data_type=data_type, dims=dims, **data)


def external(dims: list[int], data_type: int = F, **entries: str) -> TensorProto:
    made = tensor(data_type, dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        made.external_data.add(key=key, value=value)
    return made


LIES = [
    (tensor(0, [1], raw_data=b"1234"), "unknown data type 0"),
    (tensor(99, [1], raw_data=b"1234"), "unknown data type 99"),
    (tensor(F, [-1], raw_data=b""), "negative dimension in [-1]"),
    (tensor(F, [-2, -2], raw_data=bytes(16)), "negative dimension in [-2, -2]"),
    (tensor(F, [1 << 21, 1 << 21], raw_data=b"1234"), "its shape [2097152, 2097152] has more than 2^40 elements"),
    (tensor(F, [1 << 62] * 40, raw_data=b""), "has more than 2^40 elements"),
    (tensor(F, [3], raw_data=bytes(8)), "8 bytes of data, but shape [3] needs 12"),
    (tensor(F, [3], raw_data=bytes(16)), "16 bytes of data, but shape [3] needs 12"),
    (tensor(F, [], raw_data=bytes(8)), "8 bytes of data, but shape [] needs 4"),
    (tensor(F, [0], raw_data=bytes(4)), "4 bytes of data, but shape [0] needs 0"),
    (tensor(TensorProto.UINT4, [3], raw_data=bytes(3)), "3 bytes of data, but shape [3] needs 2"),
    (tensor(F, [2], raw_data=bytes(8), float_data=[1, 2]), "its data are given twice, as raw_data and float_data"),
    (tensor(F, [2], float_data=[1, 2], int32_data=[1]), "its data are given twice, as float_data and int32_data"),
    (tensor(F, [2]), "no data for shape [2]"),
    (tensor(F, []), "no data for shape []"),
    (tensor(S, [1], raw_data=b"a"), "strings as raw data"),
    (tensor(F, [2], double_data=[1, 2]), "its data are in double_data, not in float_data"),
    (tensor(I64, [2], int32_data=[1, 2]), "its data are in int32_data, not in int64_data"),
    (tensor(TensorProto.FLOAT16, [2], float_data=[1, 2]), "its data are in float_data, not in int32_data"),
    (tensor(F, [3], float_data=[1, 2]), "2 values, but shape [3] needs 3"),
    (tensor(TensorProto.COMPLEX64, [2], float_data=[1, 2]), "2 values, but shape [2] needs 4"),
    (tensor(TensorProto.INT4, [4], int32_data=[1, 2, 3, 4]), "4 values, but shape [4] needs 2"),
    (tensor(TensorProto.INT2, [5], raw_data=bytes(3)), "3 bytes of data, but shape [5] needs 2"),
    (tensor(TensorProto.UINT2, [4], int32_data=[1, 2]), "2 values, but shape [4] needs 1"),
    (external([1], S, location="w"), "strings cannot be external data"),
    (external([1], location="w", offset="-4"), "the offset of its external data is '-4'"),
    (external([1], location="w", offset="0x4"), "the offset of its external data is '0x4'"),
    (external([1], location="w", offset="٣"), "the offset of its external data is '٣'"),
    (external([1], location="w", offset="9" * 19), "the offset of its external data is '9999999999999999999'"),
    (external([1], location="w", length=""), "the length of its external data is ''"),
    (external([2], location="w", length="4"), "external data of 4 bytes, but shape [2] needs 8"),
]

TRUTHS = [
    tensor(F, [3], raw_data=bytes(12)),
    tensor(F, [], raw_data=bytes(4)),
    tensor(F, [0]),
    tensor(F, [0, 1 << 41]),
    tensor(F, [2], float_data=[1, 2]),
    tensor(D, [2], double_data=[1, 2]),
    tensor(I64, [2], int64_data=[1, 2]),
    tensor(TensorProto.UINT32, [1], uint64_data=[1]),
    tensor(TensorProto.FLOAT16, [2], int32_data=[1, 2]),
    tensor(TensorProto.BFLOAT16, [2], raw_data=bytes(4)),
    tensor(U8, [2], int32_data=[1, 2]),
    tensor(TensorProto.BOOL, [2], raw_data=bytes(2)),
    tensor(TensorProto.INT4, [3], int32_data=[1, 2]),
    tensor(TensorProto.INT4, [3], raw_data=bytes(2)),
    tensor(TensorProto.INT2, [5], int32_data=[1, 2]),
    tensor(TensorProto.UINT2, [5], raw_data=bytes(2)),
    tensor(TensorProto.COMPLEX128, [1], double_data=[1, 2]),
    tensor(TensorProto.FLOAT8E4M3FN, [3], raw_data=bytes(3)),
    tensor(S, [2], string_data=[b"a", b"b"]),
    external([2], location="w", length="8", offset="0"),
    external([2], location="w"),
]


@pytest.mark.parametrize(("lie", "problem"), LIES, ids=[problem[:50] for _, problem in LIES])
def test_a_tensor_that_lies_is_refused(lie: TensorProto, problem: str) -> None:
    assert problem in str(tensor_problem(lie))
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }")
    proto.graph.initializer.append(lie)
    with pytest.raises(InputError, match=re.escape(problem)):
        check_tensors(proto)


@pytest.mark.parametrize("honest", TRUTHS, ids=range(len(TRUTHS)))
def test_an_honest_tensor_is_believed(honest: TensorProto) -> None:
    assert tensor_problem(honest) is None


@pytest.mark.parametrize("dtype", [k for k in dict(TensorProto.DataType.items()) if k not in ("UNDEFINED", "STRING")])
def test_bytes_of_every_type_are_those_that_onnx_writes(dtype: str) -> None:
    number = TensorProto.DataType.Value(dtype)
    for elements in (1, 4, 5):
        made = helper.make_tensor("w", number, [elements], [1] * elements)
        assert tensor_problem(made) is None, (dtype, elements)
    bits = onnx.helper.tensor_dtype_to_np_dtype(number)
    assert nbytes(number, 0) == 0
    assert bits is not None


def test_lies_are_found_wherever_a_tensor_can_be() -> None:
    lie = tensor(F, [3], raw_data=bytes(8))
    lie.name = "deep"
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=lie)], "i", [], [])
    branch = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=onnx.GraphProto(name="e"))
    for where in ("attribute", "subgraph", "function", "sparse"):
        proto = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }")
        if where == "attribute":
            proto.graph.node.extend(inner.node)
        elif where == "subgraph":
            proto.graph.node.append(branch)
        elif where == "function":
            proto.functions.append(onnx.FunctionProto(domain="d", name="f", node=[branch]))
        else:
            proto.graph.sparse_initializer.add(values=lie, indices=tensor(I64, [0]), dims=[9])
        with pytest.raises(InputError, match="tensor 'deep': 8 bytes of data"):
            check_tensors(proto)


# ------------------------------------------------------------------------------------------------ functions
def function(name: str, *calls: str, times: int = 1) -> onnx.FunctionProto:
    nodes = [
        helper.make_node(call, ["a"], [f"o{i}{j}"], domain="d") for i in range(times) for j, call in enumerate(calls)
    ]
    return onnx.FunctionProto(domain="d", name=name, input=["a"], output=["o00"], node=nodes)


def with_functions(*functions: onnx.FunctionProto, call: str) -> onnx.ModelProto:
    node = helper.make_node(call, ["x"], ["y"], domain="d")
    return onnx.ModelProto(graph=onnx.GraphProto(node=[node]), functions=functions)


def test_functions_that_end_are_fine() -> None:
    check_functions(with_functions(function("f", "g", "g"), function("g", "Leaf", times=3), call="f"))


@pytest.mark.parametrize("cycle", [("f",), ("f", "g"), ("f", "g", "h")])
def test_functions_that_call_themselves_are_refused(cycle: tuple[str, ...]) -> None:
    functions = [function(one, other) for one, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True)]
    with pytest.raises(InputError, match=r"function '[fgh]' calls itself"):
        check_functions(with_functions(*functions, call="f"))


def test_a_function_that_calls_itself_in_a_branch_is_refused() -> None:
    branch = helper.make_graph([helper.make_node("f", ["a"], ["o"], domain="d")], "t", [], [])
    looped = onnx.FunctionProto(domain="d", name="f", node=[helper.make_node("If", ["c"], ["z"], then_branch=branch)])
    with pytest.raises(InputError, match="function 'f' calls itself"):
        check_functions(with_functions(looped, call="f"))


def test_an_expansion_without_sane_end_is_refused_at_once() -> None:
    doubling = [function(f"f{i}", f"f{i + 1}", times=2) for i in range(60)]  # 2^60 nodes
    with pytest.raises(InputError, match="its functions expand to more than 100,000 nodes"):
        check_functions(with_functions(*doubling, call="f0"))


def test_the_budget_of_expanded_nodes_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = with_functions(function("f", "g", times=3), function("g", "Leaf", times=4), call="f")
    monkeypatch.setattr(functions, "MOST_TIMES", 1)  # 1 call and 7 nodes are stored
    monkeypatch.setattr(functions, "MOST_EXPANDED_NODES", 12)
    check_functions(proto)
    monkeypatch.setattr(functions, "MOST_EXPANDED_NODES", 11)
    with pytest.raises(InputError, match="expand to more than 11 nodes"):
        check_functions(proto)


def test_a_large_file_may_expand_to_more_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = with_functions(function("f", "g", times=3), function("g", "Leaf", times=4), call="f")
    monkeypatch.setattr(functions, "MOST_EXPANDED_NODES", 1)
    monkeypatch.setattr(functions, "MOST_TIMES", 2)
    check_functions(proto)  # 12 nodes from 8
    monkeypatch.setattr(functions, "MOST_TIMES", 1)
    with pytest.raises(InputError, match="expand to more than 8 nodes"):
        check_functions(proto)


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_of_functions_is_refused_in_either_order(order: int) -> None:
    chain = [function(f"f{i}", f"f{i + 1}") for i in range(functions.DEEPEST_CALLS)]
    check_functions(with_functions(*chain[::order], call="f0"))
    chain.append(function(f"f{len(chain)}", "Leaf"))
    with pytest.raises(InputError, match="its functions call one another more than 500 deep"):
        check_functions(with_functions(*chain[::order], call="f0"))


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two functions have the same domain, name and overload"):
        check_functions(with_functions(function("f", "A"), function("f", "B"), call="f"))


# ------------------------------------------------------------------------------------------------ the standard
def test_a_valid_model_gets_no_complaint_and_a_broken_one_says_what_is_wrong() -> None:
    good = proto_of("g (float[1,2] x) => (float[1,3] y) { y = MatMul(x, w) }", w=noise(2, 3))
    assert checker_complaint(good) is None
    unsorted = proto_of("g (float[1] x) => (float[1] y) { y = Neg(z) z = Abs(x) }")
    assert "topologically sorted" in str(checker_complaint(unsorted))
    wrong = proto_of("g (float[1,2] x) => (float[1,4] y) { y = MatMul(x, w) }", w=noise(2, 3))
    assert "\n" not in str(checker_complaint(wrong))


def test_walking_a_model_finds_every_graph_and_node() -> None:
    inner = helper.make_graph([dense_constant("c", noise(2))], "inner", [], [])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)], "o", [], [])
    proto = onnx.ModelProto(graph=outer, functions=[onnx.FunctionProto(name="f", node=outer.node)])
    assert [graph.name for graph in all_graphs(proto)] == ["o", "inner", "inner", "inner", "inner"]
    assert sum(1 for _ in all_tensors(proto)) == 4
    assert math.prod(next(all_tensors(proto)).dims) == 2
