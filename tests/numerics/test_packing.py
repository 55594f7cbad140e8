"""Codes come back from their planes, each of which is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.numerics.packing import pack, packed_bytes, plane_widths


def bits_of(code: int, bits: int) -> str:
    return format(code, f"0{bits}b")


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 250])
@pytest.mark.parametrize("bits", range(1, 8))
def test_each_plane_has_its_bits_of_each_code_in_a_row(bits: int, count: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 2**bits, count).astype(np.uint8)
    planes, start = pack(codes, bits), 0
    assert sum(plane.nbytes for plane in planes) == packed_bytes(count, bits) == -(-count // 8) * bits
    for width, plane in zip(plane_widths(bits), planes, strict=True):
        wanted = "".join(bits_of(code, bits)[start : start + width] for code in codes)
        got = "".join(bits_of(byte, 8) for byte in plane)
        assert got == wanted.ljust(len(got), "0")
        start += width
    assert start == bits
