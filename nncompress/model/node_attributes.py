"""Reads operator, operands and attributes of a node, which may not be there to read, or not be what they are called.

Inside a function an attribute may be a reference to one that each caller gives. Operators of other domains may be
called like standard ones, and nothing checks the types of their attributes. All this reads as None: not known.
"""

from __future__ import annotations

import onnx_ir as ir

from nncompress.model.calls import NodeLike


def standard_op(node: NodeLike) -> str | None:
    """The name of a standard operator; None for one of another domain, whatever it is called.

    onnxruntime never takes a function for a standard operator, not even one without a domain.
    """
    return node.op_type if node.domain == "" else None  # onnx-ir has made "" of "ai.onnx"


def operand(node: NodeLike, index: int) -> ir.Value | None:
    """The input at `index`; None where it is left out."""
    return node.inputs[index] if 0 <= index < len(node.inputs) else None


def int_of(node: NodeLike, name: str, default: int) -> int | None:
    """The integer attribute, or its default where it is absent; None where it is not known."""
    attr = node.attributes.get(name)
    if attr is None:
        return default
    return int(attr.as_int()) if not attr.is_ref() and attr.type == ir.AttributeType.INT else None


def float_of(node: NodeLike, name: str, default: float) -> float | None:
    """The number; its default where it is absent, None where it is not known."""
    attr = node.attributes.get(name)
    if attr is None:
        return default
    return float(attr.as_float()) if not attr.is_ref() and attr.type == ir.AttributeType.FLOAT else None


def ints_of(node: NodeLike, name: str) -> list[int] | None:
    """The list of integers; [] where it is absent, None where it is not known."""
    attr = node.attributes.get(name)
    if attr is None:
        return []
    return list(attr.as_ints()) if not attr.is_ref() and attr.type == ir.AttributeType.INTS else None


def text_of(node: NodeLike, name: str) -> str | None:
    """The text; "" where it is absent, None where it is not known or not UTF-8."""
    attr = node.attributes.get(name)
    if attr is None:
        return ""
    known = not attr.is_ref() and attr.type == ir.AttributeType.STRING and isinstance(attr.value, str)
    return str(attr.value) if known else None
