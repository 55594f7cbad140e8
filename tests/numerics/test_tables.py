"""Tables are those of their papers, and each has its use."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from nncompress.numerics.tables import Scheme, tables

NF4 = [-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803, 0.1609302,
       0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0]  # fmt: skip


def test_four_bits_of_normal_float_are_those_of_qlora() -> None:
    (table,) = tables("normal-float", 4)
    np.testing.assert_allclose(table, NF4, atol=1e-5)


def test_powers_of_two_are_powers_of_two() -> None:
    (table,) = tables("power-of-two", 3)
    assert table.tolist() == [-1, -0.5, -0.25, 0, 0.125, 0.25, 0.5, 1]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("scheme", get_args(Scheme))
def test_a_table_has_as_many_values_as_there_are_codes(scheme: Scheme, bits: int) -> None:
    for table in tables(scheme, bits):
        assert len(table) == 2**bits
        assert table.dtype == np.float32
        assert (np.diff(table) > 0).all()
        assert (0 in table, table.max(), np.abs(table).max()) == (True, 1, 1)


def test_a_piecewise_table_is_even_on_both_sides_of_its_break() -> None:
    for table, end in zip(tables("piecewise", 5), (0.2, 0.3, 0.4, 0.5), strict=True):
        for part in (table[(table >= 0) & (table <= np.float32(end))], table[table >= np.float32(end)]):
            steps = np.diff(part)
            assert len(steps) == 8
            np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
