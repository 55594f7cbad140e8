"""The codes that QuantizeLinear makes of an array, to the bit as onnxruntime computes them.

    code = saturate(round_half_to_even(x / scale) + zero_point)

with the quotient in single precision, whatever the types of x and the scale are.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

_RANGES = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535),
    "int4": (-8, 7), "uint4": (0, 15),
}  # fmt: skip
FLOAT8_TYPES = ("float8_e4m3fn", "float8_e5m2")
CODE_TYPES = (*_RANGES, *FLOAT8_TYPES)  # names of the numpy types that codes may have
_BLOCK = 1 << 22  # elements that are computed at a time


def quantize_linear(
    x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, *, axis: int = 1, block_size: int = 0
) -> np.ndarray | None:
    """Codes of the type of `zero_point`, one of CODE_TYPES, in the shape of `x` (float16, bfloat16, float32).

    `scale` and `zero_point` have one element, one for each index along `axis`, or, with a `block_size`, one for each
    block along it. None where the shapes do not fit each other, or where a quotient is not a number, which
    processors make different codes of.
    """
    by_place = _by_place(x.shape, scale, axis, block_size)
    zero_by_place = _by_place(x.shape, zero_point, axis, block_size)
    if by_place is None or zero_by_place is None or scale.size != zero_point.size:
        return None
    codes = np.empty(x.shape, zero_point.dtype)
    if not x.size:
        return codes
    step = max(1, _BLOCK // max(1, x[0].size)) if x.ndim else 1
    for start in range(0, x.shape[0] if x.ndim else 1, step):
        rows = np.s_[start : start + step] if x.ndim else np.s_[...]
        steps, zeros = (p if p.ndim == 0 or p.shape[0] == 1 else p[rows] for p in (by_place, zero_by_place))
        block = _codes(x[rows], steps, zeros)
        if block is None:
            return None
        codes[rows] = block
    return codes


def _codes(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray | None:
    with np.errstate(all="ignore"):
        quotient = np.divide(x.astype(np.float32), scale.astype(np.float32), dtype=np.float32)
    if np.isnan(quotient).any():
        return None
    dtype = zero_point.dtype
    if dtype.name in FLOAT8_TYPES:
        largest = np.float32(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
        rounded: np.ndarray = np.clip(quotient, -largest, largest).astype(dtype)
        return rounded
    low, high = _RANGES[dtype.name]
    whole = np.rint(np.clip(quotient, -(2.0**24), 2.0**24)).astype(np.int32)
    codes: np.ndarray = np.clip(whole + zero_point.astype(np.int32), low, high).astype(dtype)
    return codes


def _by_place(shape: tuple[int, ...], parameter: np.ndarray, axis: int, block_size: int) -> np.ndarray | None:
    """The parameter in a shape that broadcasts to `shape`; None where it does not fit."""
    if parameter.size == 1 and not block_size and parameter.ndim <= 1:
        return parameter.reshape(())
    if not -len(shape) <= axis < len(shape):
        return None
    axis %= len(shape)
    length = shape[axis]
    if not block_size:
        fits = parameter.shape == (length,)
        return parameter.reshape([length if i == axis else 1 for i in range(len(shape))]) if fits else None
    blocks = -(-length // block_size) if block_size > 0 else 0
    if parameter.shape != (*shape[:axis], blocks, *shape[axis + 1 :]):
        return None
    return parameter.repeat(block_size, axis).take(range(length), axis)
