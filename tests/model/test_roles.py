"""What the table of roles says of single nodes, and what is no weight operand."""

import onnx_ir as ir
import pytest

from nncompress.model.roles import Role, operand_roles


def roles(op: str, domain: str = "", **attributes: object) -> tuple[Role, ...]:
    inputs = [ir.Value(name=name, shape=ir.Shape((4, 2, 3))) for name in "abc"]
    return operand_roles(ir.Node(domain, op, inputs, ir.convenience.convert_attributes(attributes)))  # type: ignore[arg-type]


def shown(found: tuple[Role, ...]) -> list[tuple[int, object, object]]:
    return [(role.index, role.channel, role.contraction) for role in found]


@pytest.mark.parametrize(
    ("op", "domain", "attributes", "expected"),
    [
        ("Conv", "", {}, [(1, (0,), "rest")]),
        ("FusedConv", "com.microsoft", {}, [(1, (0,), "rest")]),
        ("ConvTranspose", "", {}, [(1, (1,), "rest")]),
        ("ConvTranspose", "", {"group": 2}, [(1, (0, 1), "rest")]),
        ("ConvTranspose", "", {"group": 4}, [(1, (0, 1), "rest")]),
        ("MatMul", "", {}, [(1, "rest", (-2,)), (0, "rest", (-1,))]),
        ("FusedMatMul", "com.microsoft", {"transB": 1}, [(1, "rest", (-1,)), (0, "rest", (-1,))]),
        ("FusedMatMul", "com.microsoft", {"transA": 1}, [(1, "rest", (-2,)), (0, "rest", (-2,))]),
        ("Gemm", "", {}, [(1, (1,), "rest"), (0, (0,), "rest")]),
        ("Gemm", "", {"transA": 1, "transB": 1}, [(1, (0,), "rest"), (0, (1,), "rest")]),
        ("Attention", "com.microsoft", {}, [(1, (1,), "rest")]),
        ("Gather", "", {}, [(0, (0,), ())]),
        ("Gather", "", {"axis": -1}, [(0, (-1,), ())]),
        ("GRU", "", {}, [(1, (0, 1), (2,)), (2, (0, 1), (2,))]),
        ("Einsum", "", {"equation": "ab,bc->ac"}, [(1, "rest", (0,)), (0, "rest", (1,))]),
        ("Einsum", "", {"equation": "abc,bcd->ad"}, [(1, "rest", (0, 1)), (0, "rest", (1, 2))]),
        ("Einsum", "", {"equation": "ab,bc"}, [(1, "rest", (0,)), (0, "rest", (1,))]),
        ("Einsum", "", {"equation": "...b,bc->...c"}, [(1, "rest", (0,)), (0, "rest", (-1,))]),
        ("Einsum", "", {"equation": "b...c,bd->d...c"}, [(1, "rest", (0,)), (0, "rest", (0,))]),
        ("Einsum", "", {"equation": "ab,bc,cd->ad"}, [(2, "rest", (0,)), (1, "rest", (0, 1)), (0, "rest", (1,))]),
        # no contraction, or not ours to read
        ("Einsum", "", {"equation": "aab,bc->ac"}, []),
        ("Einsum", "", {"equation": "ab,ab->ab"}, []),
        ("Attention", "", {}, []),
        ("MatMul", "some.vendor", {}, []),
        ("MatMulInteger", "", {}, []),
        ("Relu", "", {}, []),
    ],
)
def test_the_weight_operands_of_a_node(
    op: str, domain: str, attributes: dict[str, object], expected: list[tuple[int, object, object]]
) -> None:
    assert shown(roles(op, domain, **attributes)) == expected


def test_a_transposed_convolution_says_how_many_groups_it_has() -> None:
    assert [role.groups for role in roles("ConvTranspose", group=2)] == [2]
    assert {role.groups for op in ("ConvTranspose", "Conv", "MatMul") for role in roles(op)} == {1}


@pytest.mark.parametrize(("op", "kind"), [("Conv", "linear"), ("Gather", "table"), ("LSTM", "recurrent")])
def test_a_role_says_what_kind_of_reading_it_is(op: str, kind: str) -> None:
    assert {role.kind for role in roles(op)} == {kind}
