"""Reads attributes of a node whose values may not be there to read.

Inside a function an attribute may be a reference to one that each caller gives; operators of other domains are not
checked for the types of theirs. Both read as None, which callers take as "not known".
"""

from __future__ import annotations

import onnx_ir as ir


def int_of(node: ir.Node, name: str, default: int) -> int | None:
    """The integer attribute, or its default where it is absent; None where it is not known."""
    attr = node.attributes.get(name)
    if attr is None:
        return default
    return int(attr.as_int()) if not attr.is_ref() and attr.type == ir.AttributeType.INT else None


def ints_of(node: ir.Node, name: str) -> list[int] | None:
    """The list of integers; [] where it is absent, None where it is not known."""
    attr = node.attributes.get(name)
    if attr is None:
        return []
    return list(attr.as_ints()) if not attr.is_ref() and attr.type == ir.AttributeType.INTS else None


def text_of(node: ir.Node, name: str) -> str | None:
    """The text; "" where it is absent, None where it is not known or not UTF-8."""
    attr = node.attributes.get(name)
    if attr is None:
        return ""
    known = not attr.is_ref() and attr.type == ir.AttributeType.STRING and isinstance(attr.value, str)
    return str(attr.value) if known else None
