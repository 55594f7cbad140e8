"""Made-up inputs: a recipe for each input, from which any number of feeds follows by seed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nncompress.feeds.specs import Array, Feed


@dataclass(frozen=True)
class InputRecipe:
    """How one input is filled: standard normal, integers in [0, limit), or `value` everywhere."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fill: Literal["normal", "below", "constant"]
    value: float = 0  # the constant, or the limit of "below"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def make(self, seed: int, index: int) -> Array:
        """The array of feed `index`: depends on seed, index and the input's name alone."""
        if self.fill == "constant":
            return np.full(self.shape, self.value).astype(self.dtype)
        random = np.random.default_rng([seed, index, zlib.crc32(self.name.encode("utf-8", "surrogatepass"))])
        if self.fill == "below":
            return random.integers(0, int(self.value), size=self.shape).astype(self.dtype)
        return np.asarray(random.standard_normal(self.shape, dtype=np.float32)).astype(self.dtype)


@dataclass(frozen=True)
class Synthetic:
    """A source of `count` made-up feeds."""

    recipes: tuple[InputRecipe, ...]
    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"feed {index}"

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        for index in indices:
            yield {recipe.name: recipe.make(self.seed, index) for recipe in self.recipes}, ()
