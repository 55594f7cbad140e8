"""Stores once what is there twice: weights and constants of the same bytes, and matrices of which one is the other
transposed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import annotating, elements_of
from nncompress.model.edit import Draft, Names, drop_if_unread, insert_before, rename
from nncompress.model.lineage import note_duplicate
from nncompress.model.model import Model, Scope, graphs_below
from nncompress.model.tensors import FileTensor, raw_blocks
from nncompress.model.weights import Weight, find_weights

SMALLEST_MERGED_BYTES = 64  # less than what a second initializer costs in names and headers
SMALLEST_TRANSPOSED_BYTES = 1024  # of a matrix: a Transpose takes its place
_PROBE_BYTES = 4096


def merge_duplicates(model: Model) -> int:
    """Makes weights of the same type, shape and bytes one, and so other constants; returns how many were dropped.

    A weight moves to the main graph if the others lie in graphs that cannot see it. Other constants become one only
    within their graph: onnxruntime looks for the operands of some operators, such as DequantizeLinear, nowhere else.
    """
    groups: dict[object, list[tuple[Scope, ir.Value]]] = {}
    mergeable = list(_mergeable(model))
    weights = {id(weight.value) for weight in find_weights(model)} if len(mergeable) > 1 else set()
    for scope, value in mergeable:
        tensor = value.const_value
        assert tensor is not None
        # a bias that happens to equal a weight is not to be compressed with it
        group = (tensor.dtype, tuple(tensor.shape.numpy()), None if id(value) in weights else id(scope))
        groups.setdefault(group, []).append((scope, value))
    names: Names | None = None
    count = 0
    for candidates in groups.values():
        for same in _equal_sets(candidates):
            (home, kept), *others = same
            if any(scope is not home for scope, _ in others) and home is not model.ir.graph:
                names = names or Names(model)
                _move_to_main(model, home, kept, names)
            for _, value in others:
                value.replace_all_uses_with(kept)
                note_duplicate(value, kept)
                drop_if_unread(value)
                count += 1
    return count


def _mergeable(model: Model) -> Iterator[tuple[Scope, ir.Value]]:
    """Initializers that may be merged, those of the main graph first."""
    named = annotating(model)
    for scope in (model.ir.graph, *graphs_below(model.ir.graph)):
        for value in scope.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes < SMALLEST_MERGED_BYTES:
                continue
            if not (value.is_graph_input() or value.is_graph_output() or value.name in named):
                yield scope, value


def _equal_sets(candidates: list[tuple[Scope, ir.Value]]) -> list[list[tuple[Scope, ir.Value]]]:
    """Sets of two or more with the same bytes. The ends are compared first, so that few tensors are read whole."""
    if len(candidates) < 2:
        return []
    probes = [_probe(value) for _, value in candidates]
    often = Counter(probes)
    by_content: dict[bytes, list[tuple[Scope, ir.Value]]] = {}
    for candidate, probe in zip(candidates, probes, strict=True):
        if often[probe] > 1:
            by_content.setdefault(_digest(candidate[1]), []).append(candidate)
    return [same for same in by_content.values() if len(same) > 1]


def _probe(value: ir.Value) -> bytes:
    """A digest of the first and the last bytes."""
    tensor = value.const_value
    assert tensor is not None
    if isinstance(tensor, FileTensor):
        head = min(_PROBE_BYTES, tensor.nbytes)
        last = tensor.offset + tensor.nbytes - head
        return hashlib.sha256(tensor.file.read(tensor.offset, head) + tensor.file.read(last, head)).digest()
    raw = tensor.tobytes()
    return hashlib.sha256(raw[:_PROBE_BYTES] + raw[-_PROBE_BYTES:]).digest()


def _digest(value: ir.Value) -> bytes:
    assert value.const_value is not None
    digest = hashlib.sha256()
    for block in raw_blocks(value.const_value):
        digest.update(block)
    return digest.digest()


def merge_transposed(model: Model) -> int:
    """Makes a matrix of the main graph that is another one transposed a Transpose of it; returns how many."""
    by_shape: dict[tuple[object, ...], list[Weight]] = {}
    count = 0
    tensors = [value.const_value for value in model.ir.graph.initializers.values()]
    matrices = sum(1 for tensor in tensors if tensor is not None and len(tensor.shape) == 2)
    for weight in find_weights(model) if matrices > 1 else ():
        if not _may_be_turned(model, weight):
            continue
        rows, columns = weight.shape
        kept = next((k for k in by_shape.get((weight.dtype, columns, rows), ()) if _is_transposed(k, weight)), None)
        if kept is None:
            by_shape.setdefault((weight.dtype, rows, columns), []).append(weight)
            continue
        draft = Draft(Names(model))
        weight.value.replace_all_uses_with(draft.node("Transpose", [kept.value], {"perm": [1, 0]}))
        insert_before(model, model.ir.graph, draft, next(iter(model.ir.graph), None))
        note_duplicate(weight.value, kept.value)
        drop_if_unread(weight.value)
        count += 1
    return count


def _may_be_turned(model: Model, weight: Weight) -> bool:
    plain = weight.scope is model.ir.graph and weight.barrier is None and weight.value.producer() is None
    return plain and len(weight.shape) == 2 and weight.tensor.nbytes >= SMALLEST_TRANSPOSED_BYTES


def _is_transposed(weight: Weight, other: Weight) -> bool:
    """True if one holds the other transposed. Three corners are compared first, so that few are read whole."""
    (rows, columns), last = weight.shape, weight.size - 1
    corners = elements_of(weight.tensor, np.array([0, columns - 1, last - columns + 1, last]))
    turned = elements_of(other.tensor, np.array([0, rows - 1, last - rows + 1, last]))
    if not np.array_equal(corners, turned[[0, 2, 1, 3]]):
        return False
    return np.array_equal(weight.tensor.numpy().T, other.tensor.numpy())


def _move_to_main(model: Model, home: Scope, value: ir.Value, names: Names) -> None:
    rename(home, value, names.new("shared"))
    del home.initializers[value.name]  # type: ignore[union-attr, arg-type]
    model.ir.graph.initializers.add(value)
