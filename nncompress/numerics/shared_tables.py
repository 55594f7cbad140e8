"""Tables of shared values: the best one for a weight, or for each group of its channels, and which value each has.

Weights are seen as [before, channels, after]. `owners` (int [channels]) says which table a channel has; None: all have
the same one.
"""

from __future__ import annotations

import numpy as np

from nncompress.numerics.kmeans import best_centers, nearest

_MANY_ZEROS = 0.1  # share of a weight; from that on one of the values is 0
SMALLEST_HALF, LARGEST_HALF = 2.0**-14, 65504.0
_MOST_LOST = 2.0**-10  # of the largest value of any table, where they are rounded to half precision


def best_tables(
    ratios: np.ndarray, importance: np.ndarray | None, count: int, owners: np.ndarray | None, start: np.ndarray | None
) -> list[np.ndarray]:
    """float32 [`count` or fewer], ascending, for each group; or those as good as can be from `start` [groups, k]. Where
    many of `ratios` (finite floats) are 0, each table has that value. `importance` broadcasts against them."""
    has_zero = bool(np.count_nonzero(ratios == 0) >= _MANY_ZEROS * ratios.size)
    if owners is None:
        return [_table(ratios, importance, count, has_zero, None if start is None else start[0])]
    tables = []
    for group in range(owners[-1] + 1):
        own = owners == group
        counts = importance[:, own] if importance is not None and importance.shape[1] > 1 else importance
        tables.append(_table(ratios[:, own], counts, count, has_zero, None if start is None else start[group]))
    return _as_halves(tables)


def _table(
    ratios: np.ndarray, importance: np.ndarray | None, count: int, has_zero: bool, start: np.ndarray | None
) -> np.ndarray:
    if not has_zero:
        return best_centers(ratios, count, importance, start)
    others = ratios != 0
    if not others.any():
        return np.zeros(1, np.float32)
    kept = None if importance is None else np.broadcast_to(importance, ratios.shape)[others]
    values = best_centers(ratios[others], max(1, count - 1), kept, _without_zero(start))
    return np.unique(np.append(values, np.float32(0)))[: max(count, 1)]


def _without_zero(start: np.ndarray | None) -> np.ndarray | None:
    others = None if start is None else start[start != 0]
    return None if others is None or not len(others) else others


def _as_halves(tables: list[np.ndarray]) -> list[np.ndarray]:
    """As float16 has them, none of them denormal, where that loses next to nothing: they take half the bytes then."""
    halves = [_as_half(table) for table in tables]
    lost = max(np.abs(half - table).max() for half, table in zip(halves, tables, strict=True))
    least = min((size for table in tables if (size := np.abs(table).max()) > 0), default=0.0)
    largest = max(np.abs(table).max() for table in tables)
    return [np.unique(half) for half in halves] if lost <= _MOST_LOST * least and largest <= LARGEST_HALF else tables


def _as_half(table: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = table.astype(np.float16).astype(np.float32)
    nearest_normal = np.copysign(np.where(np.abs(table) < SMALLEST_HALF / 2, 0, SMALLEST_HALF), table)
    return np.where(np.abs(table) < SMALLEST_HALF, nearest_normal + np.float32(0), half).astype(np.float32)


def coded(ratios: np.ndarray, tables: list[np.ndarray], owners: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """uint8, like `ratios`: which value of its table is nearest to each; and the tables, [groups, k], shorter ones
    filled with their last value."""
    if owners is None:
        return nearest(ratios, tables[0]), tables[0][None]
    codes = np.empty(ratios.shape, np.uint8)
    for group, table in enumerate(tables):
        own = owners == group
        codes[:, own] = nearest(ratios[:, own], table)
    k = max(map(len, tables))
    return codes, np.stack([np.pad(table, (0, k - len(table)), mode="edge") for table in tables])


def looked_up(values: np.ndarray, codes: np.ndarray, owners: np.ndarray | None) -> np.ndarray:
    """What `codes` [before, channels, after] stand for in the tables `values` [groups, k]."""
    found: np.ndarray = values[0][codes] if owners is None else values[owners[:, None], codes]
    return found
