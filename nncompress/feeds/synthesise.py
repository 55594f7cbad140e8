"""Makes inputs that a model accepts from its graph alone; what is measured on them is called synthetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import onnx_ir as ir

from nncompress.errors import InputError
from nncompress.feeds.fed import fed_values, input_specs
from nncompress.feeds.feeds import SYNTHETIC, Feeds
from nncompress.feeds.followed import Followed
from nncompress.feeds.known_sizes import known_sizes
from nncompress.feeds.names import LENGTH, MASK, OFF, RATE, is_state
from nncompress.feeds.sizes import (
    Sizes,
    check_dims,
    free_sizes,
    has_sizes,
    key_of,
    shape_with,
    size_choices,
    with_ranks,
)
from nncompress.feeds.specs import InputSpec, require_feedable
from nncompress.feeds.synthetic import SEQUENCE_LENGTH, InputRecipe, Synthetic
from nncompress.feeds.tables import Tables
from nncompress.feeds.vocabulary import keys_for, words_for
from nncompress.model.model import Model
from nncompress.model.shapes import infer_shapes

LARGEST_INPUT = 2**26  # elements
SAMPLE_RATE = 16000
_MOST_INFERRED_NODES = 20_000
_MOST_REFILLED = 8  # choices of sizes that are tried with other integers, too
_COUNT = 8
_UNKNOWN_LIMIT = 2  # below which integers of unknown use are drawn
_SHOWN = 4  # names of free dimensions in a message


def synthesise_choices(
    model: ir.Model, *, seed: int, count: int = 4, dims: Mapping[str, int] = MappingProxyType({})
) -> tuple[Feeds, ...]:
    """Alternatives that differ in the sizes of free dimensions, likeliest first: the first that runs is the one.

    After them the likeliest with other integers: 1 where their use is not known, 0, and 0 but for single ones, which
    may say how many there are of something. `dims` sets free dimensions by symbol or as INPUT:AXIS. Raises UsageError
    for a name that is none of them, and InputError for inputs that cannot be made up or would be larger than
    LARGEST_INPUT.
    """
    specs = input_specs(model)
    require_feedable(specs)
    for spec in specs:
        if spec.kind == "?":
            raise InputError(f"input {spec.name!r} states no type, so none can be made up: {how_to_give(specs)}")
    check_dims(dims, specs)
    filling = _Filling(model)
    choices, too_large = [], None
    for tried, sizes in _specs_and_sizes(model, specs, dims):
        recipes = filling.recipes(tried, sizes)
        largest = max(recipes, key=lambda recipe: recipe.elements, default=None)
        if largest is not None and largest.elements > LARGEST_INPUT:
            too_large = too_large or largest
            continue
        choices.append(recipes)
    if too_large is not None and not choices:
        shown = f"input {too_large.name!r} of shape {list(too_large.shape)}"
        raise InputError(f"{shown} is too large to make up; {how_to_give(specs)}")
    others = [tuple(map(fill, recipes)) for fill in (_ones, _zeros, _counts) for recipes in choices[:_MOST_REFILLED]]
    return tuple(_feeds(recipes, seed, count) for recipes in dict.fromkeys((*choices, *others)))


def how_to_give(specs: Sequence[InputSpec]) -> str:
    """What a user can do about inputs that were not made up well."""
    if not specs:
        return "it has no inputs that could be given"
    data = "give --data" if all(spec.is_array for spec in specs) else "give --data as test_data_set_* folders"
    free = free_sizes(specs)
    if not free:
        return data
    more = " ..." if len(free) > _SHOWN else ""
    return f"{data}, or --dim NAME=SIZE for {', '.join(map(repr, free[:_SHOWN]))}{more}"


def _specs_and_sizes(
    model: ir.Model, specs: Sequence[InputSpec], dims: Mapping[str, int]
) -> Iterator[tuple[tuple[InputSpec, ...], Sizes]]:
    """Ranks for inputs that state none, those first at which the graph demands a size, and sizes for each."""
    ranked = [(tried, known_sizes(model, tried)) for tried in with_ranks(specs) if has_sizes(tried, dims)]
    for tried, known in sorted(ranked, key=lambda each: not each[1]):
        for sizes in size_choices(tried, dims, known):
            yield tried, sizes


class _Filling:
    """How the inputs of one model are filled."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._values = {value.name or "": value for value in fed_values(model)}
        self._followed = Followed(model)
        tables = Tables(self._followed)
        rows = {name: tables.rows(value) for name, value in self._values.items()}
        self._open = any(None in found for found in rows.values())
        self._limits = _smallest(rows)
        nodes = sum(1 for _ in model.graph.all_nodes())
        self._inferences = max(1, _MOST_INFERRED_NODES // max(1, nodes))  # that are worth their time

    def recipes(self, specs: tuple[InputSpec, ...], sizes: Sizes) -> tuple[InputRecipe, ...]:
        """One for each input, of these sizes."""
        if self._open and self._inferences:
            self._inferences -= 1
            shapes = infer_shapes(Model(self._model), {spec.name: shape_with(spec, sizes) for spec in specs})
            tables = Tables(self._followed, shapes)
            self._limits = _smallest({name: tables.rows(value) for name, value in self._values.items()})
        context = _Context(specs, sizes, self._limits)
        return tuple(self._recipe(spec, context) for spec in specs)

    def _recipe(self, spec: InputSpec, context: _Context) -> InputRecipe:
        value, shape = self._values[spec.name], shape_with(spec, context.sizes)
        if spec.holds[-1:] == ("map",):
            keys = keys_for(value, self._followed, spec.key)
            return InputRecipe(spec.name, spec.dtype, (len(keys),), "normal", holds=spec.holds, keys=keys)
        if spec.dtype is None:
            words = words_for(value, self._followed)
            return InputRecipe(spec.name, None, shape, "words", words=words, holds=spec.holds)
        return replace(_numbers(spec, context), holds=spec.holds)


def _smallest(rows: Mapping[str, Sequence[int | None]]) -> dict[str, int]:
    """{input: rows of the smallest thing of a known size that it indexes}"""
    known = {name: [size for size in sizes if size] for name, sizes in rows.items()}
    return {name: min(sizes) for name, sizes in known.items() if sizes}


@dataclass(frozen=True)
class _Context:
    """What filling one input depends on besides the input."""

    specs: Sequence[InputSpec]
    sizes: Mapping[str, int]
    limits: Mapping[str, int]  # rows of the smallest table that an input indexes


def _numbers(spec: InputSpec, context: _Context) -> InputRecipe:
    """The first rule that applies to the input's name and type fills it."""
    assert spec.dtype is not None
    name, dtype, shape = spec.name, spec.dtype, shape_with(spec, context.sizes)
    floating = "float" in dtype.name or "complex" in dtype.name
    limit = context.limits.get(name)
    if RATE.search(name) and len(shape) <= 1:
        return InputRecipe(name, dtype, shape, "constant", SAMPLE_RATE)
    if MASK.search(name) and limit != 1:
        return InputRecipe(name, dtype, shape, "constant", 1)
    if floating:
        starts = is_state(name) and not all(is_state(other.name) for other in context.specs)
        return InputRecipe(name, dtype, shape, "constant" if starts else "normal", 0)
    if dtype.name == "bool":
        return InputRecipe(name, dtype, shape, "constant", 0 if OFF.search(name) else 1)
    if limit is not None:
        return InputRecipe(name, dtype, shape, "below", min(limit, _largest(dtype.name)))
    if LENGTH.search(name) and len(shape) <= 1:
        return InputRecipe(name, dtype, shape, "constant", _sequence_length(spec, context))
    return InputRecipe(name, dtype, shape, "below", 256 if dtype.name == "uint8" else _UNKNOWN_LIMIT)


def _sequence_length(spec: InputSpec, context: _Context) -> int:
    """Size of the free dimension (not the first) of the first other input that has one, else of its second one."""
    others = [other for other in context.specs if other.name != spec.name and len(other.shape or ()) > 1]
    for other in others:
        for axis, size in enumerate(other.shape or ()):
            if axis > 0 and not isinstance(size, int):
                return context.sizes[key_of(other, axis)]
    return shape_with(others[0], context.sizes)[1] if others else 1


def _largest(dtype: str) -> int:
    """One more than the largest value of a small integer type."""
    bits = int("".join(c for c in dtype if c.isdecimal()) or 64)
    return 1 << min(bits if dtype.startswith("u") else bits - 1, 62)


def _feeds(recipes: tuple[InputRecipe, ...], seed: int, count: int) -> Feeds:
    shapes = ", ".join(f"{recipe.name} {_shown(recipe)}" for recipe in recipes)
    note = f"inputs made up: {shapes or 'none'}"
    return Feeds(Synthetic(recipes, seed, count), tuple(range(count)), SYNTHETIC, seed, notes=(note,))


def _shown(recipe: InputRecipe) -> str:
    shape = f"{{{len(recipe.keys)} keys}}" if recipe.keys else str(list(recipe.shape))
    return f"{SEQUENCE_LENGTH} x {shape}" if recipe.holds[-1:] == ("sequence",) else shape


def _ones(recipe: InputRecipe) -> InputRecipe:
    return _constant(recipe, 1) if recipe.value == _UNKNOWN_LIMIT else recipe


def _zeros(recipe: InputRecipe) -> InputRecipe:
    return _constant(recipe, 0)


def _counts(recipe: InputRecipe) -> InputRecipe:
    return _constant(recipe, _COUNT if recipe.elements == 1 and len(recipe.shape) <= 1 else 0)


def _constant(recipe: InputRecipe, value: int) -> InputRecipe:
    """The same with one value where integers are drawn."""
    return replace(recipe, fill="constant", value=value) if recipe.fill == "below" else recipe
