"""Which constants may be computed by nodes at load instead: not those that a runtime wants to find as constants.

onnxruntime folds nodes over constants before it looks for most patterns, but shapes, sizes and the operands of integer
operators are looked up earlier. Operators of other domains and functions may want to find anything.
"""

from __future__ import annotations

import onnx_ir as ir

from nncompress.model.node_attributes import standard_op

_ALL = range(1 << 16)
_WANTED = {  # operands that have to be constants, or are a shape, sizes, axes or counts
    "AffineGrid": (1,),
    "BlackmanWindow": _ALL,
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": _ALL,
    "ConvInteger": _ALL,
    "CumSum": (1,),
    "DequantizeLinear": _ALL,
    "Dropout": (1, 2),
    "DynamicQuantizeLinear": _ALL,
    "Expand": (1,),
    "HammingWindow": _ALL,
    "HannWindow": _ALL,
    "If": _ALL,
    "Loop": (0, 1),
    "MatMulInteger": _ALL,
    "MaxUnpool": (2,),
    "MelWeightMatrix": _ALL,
    "NonMaxSuppression": (2, 3, 4),
    "OneHot": (1, 2),
    "Pad": (1, 2, 3),
    "QLinearConv": _ALL,
    "QLinearMatMul": _ALL,
    "QuantizeLinear": _ALL,
    "Range": _ALL,
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}


def may_be_computed(value: ir.Value) -> bool:
    """True if standard operators read the constant, and none of them needs to find it as one."""
    if value.is_graph_input() or value.is_graph_output() or not value.uses():
        return False
    return all(_takes_results(use.node, use.idx) for use in value.uses())


def _takes_results(node: ir.Node, index: int) -> bool:
    op = standard_op(node)
    if op is None or (op.startswith("Reduce") and index == 1):
        return False
    return index not in _WANTED.get(op, ())
