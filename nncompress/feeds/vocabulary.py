"""Which texts a model knows: what the nodes that read an input of texts, or a map, compare them with."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from nncompress.feeds.followed import Followed
from nncompress.model.constants import constant_tensor
from nncompress.model.node_attributes import operand

MOST_WORDS = 1000
ANY_WORDS = tuple(map(str, range(10)))  # where none are known: texts that can also be read as numbers
_ANY_KEYS: dict[type, tuple[str | int, ...]] = {str: ("a", "b", "c"), int: (0, 1, 2)}


def words_for(value: ir.Value, followed: Followed) -> tuple[str, ...]:
    """Texts for an input: those that the model knows, else any."""
    words: dict[str, None] = {}
    for node, position in followed.uses(value):
        if position == 0 or node.op_type == "Equal":
            words |= dict.fromkeys(_texts_of(node, position))
    return tuple(words)[:MOST_WORDS] or ANY_WORDS


def keys_for(value: ir.Value, followed: Followed, kind: type) -> tuple[str | int, ...]:
    """Keys of this kind for a map: those that the model looks up, else any."""
    keys: dict[str | int, None] = {}
    for node, _ in followed.uses(value):
        for attribute in node.attributes.values():
            if attribute.is_ref() or not attribute.name.endswith("_vocabulary"):
                continue
            if kind is int and attribute.type == ir.AttributeType.INTS:
                keys |= dict.fromkeys(attribute.as_ints())
            elif kind is str and attribute.type == ir.AttributeType.STRINGS:
                keys |= dict.fromkeys(attribute.as_strings())
    return tuple(keys)[:MOST_WORDS] or _ANY_KEYS[kind]


def _texts_of(node: ir.Node, position: int) -> Iterator[str]:
    for attribute in node.attributes.values():
        if not attribute.is_ref() and attribute.type == ir.AttributeType.STRINGS:
            yield from attribute.as_strings()
        elif not attribute.is_ref() and attribute.type == ir.AttributeType.TENSOR:
            yield from _texts_in(attribute.as_tensor())
    if node.op_type == "Equal":
        yield from _texts_in(constant_tensor(operand(node, 1 - position)))


def _texts_in(tensor: ir.TensorProtocol | None) -> Iterator[str]:
    if tensor is not None and tensor.dtype == ir.DataType.STRING:
        for text in tensor.numpy().reshape(-1):
            yield text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
