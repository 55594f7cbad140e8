"""Finds out what is in a model file, where its bytes are, and what quantizing it would save.

Nothing is written, and nothing is run.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx_ir as ir

from nncompress.feeds.fed import fed_values
from nncompress.forms.form import DEFAULT_FORM
from nncompress.model.arithmetic import fold_arithmetic
from nncompress.model.constants import stored_bytes
from nncompress.model.decoded import Decoded, decoded_weights
from nncompress.model.inventory import take_inventory
from nncompress.model.model import Model
from nncompress.model.value_types import element_text, type_of, type_text
from nncompress.model.weights import Weight, find_weights
from nncompress.onnx_file.facts import LARGEST_COUNTED_BYTES, file_bytes
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import written_bytes
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.inspection import Inspection, LeftAlone, PortFacts, Prediction, WeightFacts
from nncompress.results.record import LedgerLine, Skipped
from nncompress.results.worst import is_rewritten
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.prepare import Preparing, prepare

_NAMES_KEPT = 5
_PREDICTED = QuantizeWeights(range="minmax")  # how the default chooses ranges takes long and changes no size
_OWN_FIGURES = re.compile(r" \([0-9,]+ bytes [^)]*\)")  # of one weight, which would keep equal reasons apart


def inspect_file(path: Path) -> Inspection:
    """Reads the model once, one weight at a time. Raises InputError for anything unreadable or unsafe."""
    model = load(path)
    main, *data = model.files
    small = file_bytes(model) <= LARGEST_COUNTED_BYTES
    inventory = take_inventory(model, count_nonzeros=small)
    size = file_bytes(model)
    imports = model.ir.opset_imports.items()
    return Inspection(
        path=str(path),
        file_bytes=size,
        sha256=main.sha256(),
        external_files=tuple((file.path.name, file.size_bytes) for file in data),
        opset=model.opset,
        opsets=tuple(sorted((domain, version) for domain, version in imports if domain)),
        ir_version=model.ir.ir_version,
        producer=" ".join(filter(None, (model.ir.producer_name, model.ir.producer_version))),
        inputs=tuple(map(_port, fed_values(model.ir))),
        outputs=tuple(map(_port, model.ir.graph.outputs)),
        nodes=inventory.nodes,
        functions=len(model.ir.functions),
        ops=inventory.ops,
        parameters=inventory.parameters,
        nonzeros=inventory.nonzeros if small else None,
        macs=inventory.macs,
        constant_bytes=inventory.constant_bytes,
        weight_bytes_loaded=inventory.weight_bytes_loaded,
        bytes_by_dtype=tuple((element_text(ir.DataType[name.upper()]), n) for name, n in inventory.bytes_by_dtype),
        bytes_by_op=inventory.bytes_by_op,
        quantized=inventory.quantized,
        weights=_weights(prepare(model, [_PREDICTED], DEFAULT_FORM, Preparing()).model, size, count=small),
        prediction=_prediction(model, size),
        notes=(*model.notes, *([f"onnx.checker says: {model.complaint}"] if model.complaint else [])),
    )


# ------------------------------------------------------------------------------------------------ interface
def _port(value: ir.Value) -> PortFacts:
    shape = None if value.shape is None else tuple(_dim(dim) for dim in value.shape)
    return PortFacts(value.name or "", type_text(type_of(value)), shape)


def _dim(dim: int | ir.SymbolicDim) -> int | str:
    if isinstance(dim, int):
        return dim if dim >= 0 else "?"
    return str(dim.value) if dim.value else "?"


# ------------------------------------------------------------------------------------------------ weights
def _weights(model: Model, size: int, *, count: bool) -> tuple[WeightFacts, ...]:
    model = model.clone()
    fold_arithmetic(model)
    decoded = decoded_weights(model)
    parts = {id(part) for weight in decoded for part in weight.parts}
    facts = [_weight(weight, size, count=count) for weight in find_weights(model) if id(weight.value) not in parts]
    facts += [_decoded(weight, size) for weight in decoded]
    return tuple(sorted(facts, key=lambda weight: (-weight.size_bytes, weight.name)))


def _weight(weight: Weight, size: int, *, count: bool) -> WeightFacts:
    nbytes = stored_bytes(weight.value, weight.tensor)
    zeros, nonfinite = _counts(weight) if count else (None, None)
    return WeightFacts(
        name=weight.name,
        ops=weight.ops,
        shape=weight.shape,
        dtype=element_text(weight.dtype),
        size_bytes=nbytes,
        share=nbytes / size,
        uses=len({id(use.node) for use in weight.uses}),
        sparsity=zeros / max(1, weight.size) if zeros is not None else None,
        nonfinite=nonfinite,
        barrier=weight.barrier,
    )


def _decoded(decoded: Decoded, size: int) -> WeightFacts:
    return WeightFacts(
        name=decoded.value.name or "",
        ops=decoded.ops,
        shape=tuple(int(d) for d in decoded.codes.shape.numpy()),
        dtype=element_text(decoded.codes.dtype),
        size_bytes=decoded.size_bytes,
        share=decoded.size_bytes / size,
        uses=decoded.uses,
        sparsity=None,
        nonfinite=None,
        barrier="it is stored as integers already",
    )


def _counts(weight: Weight) -> tuple[int, int]:
    """(zeros, NaN and infinities)"""
    array = weight.array()
    return int(array.size - np.count_nonzero(array)), int(array.size - np.count_nonzero(np.isfinite(array)))


# ------------------------------------------------------------------------------------------------ what could be done
def _prediction(model: Model, size: int) -> Prediction | None:
    """What `quantize` without options would write."""
    compressed = compress_graph(model, [_PREDICTED], threads=os.cpu_count() or 1)
    parts = {part.name for decoded in decoded_weights(model) for part in decoded.parts}
    weights = [line for line in compressed.lines if line.kind == "weight" and line.name not in parts]
    if not weights:
        return None
    after = written_bytes(compressed.model) if compressed.changed else size
    count = sum(map(is_rewritten, weights))
    return Prediction("nncompress quantize", size, after, count, _left_alone(weights, compressed.notes))


def _left_alone(weights: list[LedgerLine], notes: tuple[str, ...]) -> tuple[LeftAlone, ...]:
    groups: dict[str, list[LedgerLine]] = defaultdict(list)
    for line in weights:
        if not is_rewritten(line):
            reasons = [outcome.reason for outcome in line.outcomes if isinstance(outcome, Skipped)]
            groups[_OWN_FIGURES.sub("", [*reasons, *notes, "not considered"][0])].append(line)
    left_alone = []
    for reason, group in groups.items():
        group.sort(key=lambda line: (-line.bytes_before, line.name))
        size = sum(line.bytes_before for line in group)
        left_alone.append(LeftAlone(reason, len(group), size, tuple(line.name for line in group[:_NAMES_KEPT])))
    return tuple(sorted(left_alone, key=lambda left: (-left.size_bytes, left.reason)))
