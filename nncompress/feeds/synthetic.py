"""Made-up inputs: a recipe for each input, from which any number of feeds follows by seed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nncompress.feeds.specs import Array, Feed

SEQUENCE_LENGTH = 2  # of made-up sequences


@dataclass(frozen=True)
class InputRecipe:
    """How one input is filled: standard normal, integers in [0, limit), some of `words`, or `value` everywhere."""

    name: str
    dtype: np.dtype[Any] | None  # None: texts
    shape: tuple[int, ...]
    fill: Literal["normal", "below", "constant", "words"]
    value: float = 0  # the constant, or the limit of "below"
    words: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()  # what is around the tensor, see InputSpec
    keys: tuple[str | int, ...] = ()  # of a map

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def make(self, seed: int, index: int) -> Any:
        """What feed `index` has for this input: depends on seed, index and the input's name alone."""
        if self.holds[-1:] == ("sequence",):
            return [self._array(seed, index, f"{self.name}:{item}") for item in range(SEQUENCE_LENGTH)]
        array = self._array(seed, index, self.name)
        return dict(zip(self.keys, array.tolist(), strict=True)) if self.holds[-1:] == ("map",) else array

    def _array(self, seed: int, index: int, name: str) -> Array:
        shape = (len(self.keys),) if self.keys else self.shape
        if self.fill == "constant":
            return np.full(shape, self.value).astype(self.dtype)
        random = np.random.default_rng([seed, index, zlib.crc32(name.encode("utf-8", "surrogatepass"))])
        if self.fill == "words":
            return np.array(self.words, dtype=np.str_)[random.integers(0, len(self.words), size=shape)]
        if self.fill == "below":
            return random.integers(0, int(self.value), size=shape).astype(self.dtype)
        return np.asarray(random.standard_normal(shape, dtype=np.float32)).astype(self.dtype)


@dataclass(frozen=True)
class Synthetic:
    """A source of `count` made-up feeds."""

    recipes: tuple[InputRecipe, ...]
    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def draws_integers(self) -> bool:
        """Whether a model may accept one feed and refuse another."""
        return any(recipe.fill == "below" for recipe in self.recipes)

    def absolute(self) -> Synthetic:
        """Itself: there are no files."""
        return self

    def name(self, index: int) -> str:
        return f"feed {index}"

    def read(self, indices: Sequence[int]) -> Iterator[tuple[Feed, tuple[str, ...]]]:
        for index in indices:
            yield {recipe.name: recipe.make(self.seed, index) for recipe in self.recipes}, ()
