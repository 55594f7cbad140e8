"""Float constants in the narrowest type that holds them exactly, and the nodes that make floats of them at load.

float32                     as they are
int8, uint8                 whole numbers           Cast
float16, bfloat16           short fractions         Cast
uint8 times a unit          whole multiples of it   Cast -> Mul
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft
from nncompress.numerics.grid import smallest_normal
from nncompress.numerics.scales import CAST_BYTES, MUL_BYTES

BFLOAT16_FROM_OPSET = 13
_WHOLE = (np.int8, np.uint8)


@dataclass(frozen=True)
class Narrow:
    """`values` times `unit` (float32; None: 1) are the numbers."""

    values: np.ndarray
    unit: np.ndarray | None = None

    @property
    def size_bytes(self) -> int:
        """Of tensor data, exactly."""
        return self.values.nbytes + (0 if self.unit is None else self.unit.nbytes)

    @property
    def node_bytes(self) -> int:
        """Of the nodes, estimated."""
        return (self.values.dtype != np.float32) * CAST_BYTES + (self.unit is not None) * MUL_BYTES

    def draft(self, draft: Draft, prefix: str) -> ir.Value:
        """The numbers as float32."""
        value = draft.constant(self.values, prefix)
        if self.values.dtype != np.float32:
            value = draft.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
        return value if self.unit is None else draft.node("Mul", [value, draft.constant(self.unit, prefix)])


def narrowest(numbers: np.ndarray, opset: int) -> Narrow:
    """The smallest way to store `numbers` (finite), nodes counted in."""
    array = numbers.astype(np.float32)
    return min(_exact(array, opset), key=lambda narrow: narrow.size_bytes + narrow.node_bytes)


def _exact(array: np.ndarray, opset: int) -> Iterator[Narrow]:
    yield Narrow(array)
    if array.nbytes <= CAST_BYTES:
        return
    halves = (np.float16, ml_dtypes.bfloat16) if opset >= BFLOAT16_FROM_OPSET else (np.float16,)
    with np.errstate(over="ignore", invalid="ignore"):
        for dtype in (*_WHOLE, *halves):
            values = array.astype(dtype)
            if np.array_equal(values.astype(np.float32), array) and not _denormal(values):
                yield Narrow(values)
        unit = np.float32(array.max(initial=0) / np.float32(255))
        multiples = np.rint(array / unit) if unit >= np.finfo(np.float32).tiny else -array
        if multiples.min(initial=0) >= 0 and np.array_equal(multiples * unit, array):
            yield Narrow(multiples.astype(np.uint8), np.array(unit))


def _denormal(values: np.ndarray) -> bool:
    """True where some runtimes would read zeros."""
    if values.dtype in _WHOLE:
        return False
    smallest = np.abs(values[values != 0]).min(initial=1)
    return float(smallest) < smallest_normal(values.dtype)
