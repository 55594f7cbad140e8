"""What an array can be stored as without changing a bit of it: one value, zeros, a narrower type, few values.

Bits count, not values: -0.0 is not 0, and NaN is equal to itself where its bits are. What is stored is computed from
the array whenever it is asked for, and nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import ml_dtypes
import numpy as np

from nncompress.numerics.codebook import MOST_VALUES, Codebook, Filled
from nncompress.numerics.encoded import Encoded
from nncompress.numerics.held import Computed
from nncompress.numerics.narrow import Narrow
from nncompress.numerics.sparse import Pruned

_LEAST_ZEROS = 0.01  # share; below, no layout could gain anything
_BLOCK = 1 << 20  # elements that are looked at together
_SMALL = ("int8", "uint8", "int16", "uint16")
_NARROWER = {  # the type that is tried first at each width, and others that only some opsets know
    "float64": ("int8", "uint8", "float16", "int16", "uint16", "bfloat16", "float32", "int32"),
    "float32": ("int8", "uint8", "float16", "int16", "uint16", "bfloat16"),
    "float16": ("int8", "uint8"),
    "bfloat16": ("int8", "uint8"),
    "int64": (*_SMALL, "int32", "uint32"),
    "int32": _SMALL,
    "uint64": ("uint8", "uint16", "uint32"),
    "uint32": ("uint8", "uint16"),
}
EXACT_TYPES = tuple(_NARROWER)  # names of the numpy types that are looked at


def exact_encodings(array: np.ndarray, read: Callable[[], np.ndarray]) -> Iterator[tuple[Encoded, str]]:
    """Each with what it is in words; () for a type not in EXACT_TYPES. `read` returns the same array at any time."""
    if array.dtype.name not in _NARROWER or not array.size:
        return
    bits = _bits(array)
    if (bits == bits[0]).all():
        yield Filled(array.reshape(-1)[0].copy().reshape(()), array.shape), "one value"
        return
    nonzeros = int(np.count_nonzero(bits))
    signed_zeros = nonzeros > np.count_nonzero(array)
    if not signed_zeros and nonzeros <= (1 - _LEAST_ZEROS) * array.size:
        zeros = 1 - nonzeros / array.size
        yield Pruned(Computed(read), array.shape, nonzeros), f"{zeros:.1%} zeros, all of them there before"
    for dtype in _narrower(array):
        values = Computed(partial(_read_as, read, dtype))
        yield Narrow(values, array.shape, dtype, None if signed_zeros else nonzeros, array.dtype), dtype.name
    codebook = _codebook(array, read)
    if codebook is not None:
        yield codebook, f"{len(codebook.values)} different values"


def _bits(array: np.ndarray) -> np.ndarray:
    """Row-major, as unsigned integers."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")


def _as(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _read_as(read: Callable[[], np.ndarray], dtype: np.dtype) -> np.ndarray:
    return _as(read(), dtype)


def _narrower(array: np.ndarray) -> Iterator[np.dtype]:
    """Types that can hold every value: of each width the first one, and bfloat16 where that is all there is."""
    wide, widths = array.dtype, set()
    is_float = not np.issubdtype(wide, np.integer)
    if is_float and np.isnan(array).any():
        return  # a Cast may change which NaN it is
    flat = np.ascontiguousarray(array).reshape(-1)
    for name in _NARROWER[wide.name]:
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        if dtype.itemsize not in widths and all(
            _holds(flat[start : start + _BLOCK], dtype) for start in range(0, len(flat), _BLOCK)
        ):
            widths.add(dtype.itemsize)
            yield dtype


def _holds(block: np.ndarray, dtype: np.dtype) -> bool:
    return np.array_equal(_bits(_as(_as(block, dtype), block.dtype)), _bits(block))


def _codebook(array: np.ndarray, read: Callable[[], np.ndarray]) -> Codebook | None:
    """None where there are too many values for one byte, of which one stands for 0, be it there or not."""
    bits, known = _bits(array), np.zeros(1, f"u{array.dtype.itemsize}")
    for start in range(0, len(bits), _BLOCK):
        known = np.union1d(known, bits[start : start + _BLOCK])
        if len(known) > MOST_VALUES:
            return None
    values = known.view(array.dtype)
    codes = Computed(lambda: np.searchsorted(known, _bits(read())).astype(np.uint8).reshape(array.shape))
    return Codebook(codes, values, array.shape, array.shape, int(np.count_nonzero(bits)))
