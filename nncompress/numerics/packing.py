"""Codes of fewer bits than a byte has, packed without gaps: planes of 4, 2 and 1 bits, of which each byte holds 2 to 8.

A code of b bits is cut into planes whose widths are the powers of two that add up to b, the highest bits first: 3 bits
are a plane of 2 and one of 1. All planes hold as many codes, a multiple of 8, so that a code takes b bits exactly.
"""

from __future__ import annotations

import numpy as np

_WIDTHS = (4, 2, 1)
_BLOCK = 1 << 20  # codes, a multiple of 8


def plane_widths(bits: int) -> tuple[int, ...]:
    """Of codes of 1 to 7 bits."""
    return tuple(width for width in _WIDTHS if bits & width)


def padded(count: int) -> int:
    """How many codes a plane holds of `count`."""
    return -(-count // 8) * 8


def packed_bytes(count: int, bits: int) -> int:
    """Of all planes."""
    return padded(count) // 8 * bits


def pack(codes: np.ndarray, bits: int, offset: int = 0) -> list[np.ndarray]:
    """uint8 or int8 codes [n] as one uint8 array for each plane; with `offset` added, each is 0 or more and below
    2^bits. Of the codes in a byte, the first has the highest bits."""
    planes = [np.empty(packed_bytes(len(codes), width), np.uint8) for width in plane_widths(bits)]
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK] + codes.dtype.type(offset)
        whole = np.zeros(padded(len(block)), np.uint8)
        whole[: len(block)] = block
        left = bits
        for width, plane in zip(plane_widths(bits), planes, strict=True):
            left -= width
            columns = ((whole >> left) & (2**width - 1)).reshape(-1, 8 // width)
            byte = columns[:, 0].copy()
            for column in columns.T[1:]:
                byte = (byte << width) | column
            plane[start * width // 8 :][: len(byte)] = byte
    return planes
