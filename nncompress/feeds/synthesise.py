"""Makes inputs that a model accepts from its graph alone; what is measured on them is called synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import onnx_ir as ir

from nncompress.errors import InputError
from nncompress.feeds.feeds import SYNTHETIC, Feeds
from nncompress.feeds.known_sizes import known_sizes
from nncompress.feeds.names import LENGTH, MASK, OFF, RATE, is_state
from nncompress.feeds.sizes import key_of, shape_with, size_choices
from nncompress.feeds.specs import InputSpec
from nncompress.feeds.synthetic import InputRecipe, Synthetic
from nncompress.feeds.tables import IndexLimits

LARGEST_INPUT = 2**26  # elements
SAMPLE_RATE = 16000


def input_specs(model: ir.Model) -> tuple[InputSpec, ...]:
    """The inputs that have to be fed, in order: those that are no initializers."""
    return tuple(_spec(value) for value in _fed(model))


def synthesise_choices(
    model: ir.Model, *, seed: int, count: int = 4, dims: Mapping[str, int] = MappingProxyType({})
) -> tuple[Feeds, ...]:
    """Alternatives that differ in the sizes of free dimensions, likeliest first: the first that runs is the one.

    `dims` sets free dimensions by symbol or as INPUT:AXIS. Raises UsageError for a name that is none of them, and
    InputError for inputs that cannot be made up (strings, sequences) or would be larger than LARGEST_INPUT.
    """
    specs = input_specs(model)
    for spec in specs:
        if spec.dtype is None:
            raise InputError(f"input {spec.name!r} is no numeric tensor, so none can be made up: give --data")
    limits = _limits(model)
    choices, too_large = [], None
    for sizes in size_choices(specs, dims, known_sizes(model, specs)):
        recipes = tuple(_recipe(spec, _Context(specs, sizes, limits)) for spec in specs)
        largest = max(recipes, key=lambda recipe: recipe.elements, default=None)
        if largest is not None and largest.elements > LARGEST_INPUT:
            too_large = too_large or largest
            continue
        choices.append(_feeds(recipes, seed, count))
    if too_large is not None and not choices:
        raise InputError(
            f"input {too_large.name!r} of shape {list(too_large.shape)} is too large to make up; "
            "give --dim NAME=SIZE or --data"
        )
    return (*choices, *_with_ones(choices[0]))


@dataclass(frozen=True)
class _Context:
    """What filling one input depends on besides the input."""

    specs: Sequence[InputSpec]
    sizes: Mapping[str, int]
    limits: Mapping[str, int]  # rows of the smallest table that an input indexes


def _recipe(spec: InputSpec, context: _Context) -> InputRecipe:
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
        return InputRecipe(name, dtype, shape, "constant" if is_state(name) else "normal", 0)
    if dtype.name == "bool":
        return InputRecipe(name, dtype, shape, "constant", 0 if OFF.search(name) else 1)
    if limit is not None:
        return InputRecipe(name, dtype, shape, "below", min(limit, _largest(dtype.name)))
    if LENGTH.search(name) and len(shape) <= 1:
        return InputRecipe(name, dtype, shape, "constant", _sequence_length(spec, context))
    return InputRecipe(name, dtype, shape, "below", 256 if dtype.name == "uint8" else 2)


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


def _limits(model: ir.Model) -> dict[str, int]:
    limits = IndexLimits(model)
    rows = {value.name or "": limits.limit(value) for value in _fed(model)}
    return {name: limit for name, limit in rows.items() if limit is not None}


def _fed(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def _spec(value: ir.Value) -> InputSpec:
    shape = None if value.shape is None else tuple(_size(dim) for dim in value.shape)
    numeric = isinstance(value.type, ir.TensorType) and value.dtype not in (
        None,
        ir.DataType.STRING,
        ir.DataType.UNDEFINED,
    )
    return InputSpec(value.name or "", value.dtype.numpy() if numeric and value.dtype is not None else None, shape)


def _size(dim: int | ir.SymbolicDim) -> int | str | None:
    """Negative sizes and "?" are how some exporters write that a size is not known."""
    if isinstance(dim, int):
        return dim if dim >= 0 else None
    return None if dim.value in (None, "", "?") else str(dim.value)


def _feeds(recipes: tuple[InputRecipe, ...], seed: int, count: int) -> Feeds:
    shapes = ", ".join(f"{recipe.name} {list(recipe.shape)}" for recipe in recipes)
    note = f"inputs made up: {shapes or 'none'}"
    return Feeds(Synthetic(recipes, seed, count), tuple(range(count)), SYNTHETIC, seed, notes=(note,))


def _with_ones(feeds: Feeds) -> tuple[Feeds, ...]:
    """The same with ones for the integers of unknown use: the last resort where a zero is not accepted."""
    source = feeds.source
    assert isinstance(source, Synthetic)
    ones = tuple(
        replace(recipe, fill="constant", value=1) if (recipe.fill, recipe.value) == ("below", 2) else recipe
        for recipe in source.recipes
    )
    return () if ones == source.recipes else (_feeds(ones, source.seed, source.count),)
