"""Recipe files: steps, and the settings that go with them; read with every problem at once, and written.

seed = 0
[data]
path = "eval.npz"
[limits]
max_drop = "1 %"
[[steps]]
pass = "prune-magnitude"
sparsity = 0.5
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nncompress.config.settings import KEYS, Settings, option_values, settings_problems, settings_table
from nncompress.errors import InputError, UsageError, nearest
from nncompress.files.kinds import is_model
from nncompress.files.texts import read_text
from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass
from nncompress.passes.document import step_schema
from nncompress.passes.option_types import typed_value
from nncompress.passes.rules import Rule
from nncompress.passes.spec import make_pass

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says."""

    steps: tuple[Pass, ...]
    options: Mapping[str, Any]  # {name of an option of the command: value}


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe with `changes` such as "steps.0.sparsity=0.4" made to it. Raises UsageError with all problems."""
    content = _read(path)
    if isinstance(content, dict):
        for change in changes:
            _change(content, change)
    else:
        content = {"(no table)": content}
    problems = [
        f"unknown key {key!r}{nearest(key, known)}" for key in content if key not in (known := ("steps", *KEYS))
    ]
    problems += settings_problems(content)
    steps, wrong = _steps(content.get("steps"))
    if problems or wrong:
        raise UsageError(f"{path}: {'; '.join([*problems, *wrong])}")
    return Recipe(tuple(steps), option_values(content, path.parent))


def recipe_text(steps: Sequence[Pass], options: Mapping[str, Any], path: Path) -> str:
    """The text of the recipe that load_recipe reads as these steps and options, JSON if the name says so."""
    tables = [{"pass": step.name, **_options_set(step)} for step in steps]
    content = {**settings_table(options, path.parent), "steps": tables}
    return json.dumps(content, indent=2) + "\n" if path.suffix == ".json" else _toml(content)


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe; recipe.schema.json holds a copy."""
    schema = TypeAdapter(Settings).json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    steps = [step_schema(kind) for kind in ALL_PASSES]
    schema["properties"]["steps"] = {"type": "array", "minItems": 1, "items": {"oneOf": steps}}
    whole: dict[str, Any] = _closed({**schema, "required": ["steps"], "$defs": definitions})
    return {"$schema": SCHEMA_ID, **whole, "title": "nncompress recipe"}


# ------------------------------------------------------------------------------------------------ reading
def _read(path: Path) -> Any:
    try:
        text = read_text(path)
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (InputError, ValueError, RecursionError) as error:
        if is_model(path):
            order = "run takes the recipe (TOML or JSON) before the model"
            raise UsageError(f"{path}: it is an ONNX model, not a recipe: {order}") from error
        if isinstance(error, InputError):
            raise UsageError(f"recipe: {error}") from error
        raise UsageError(f"{path} is no {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error


def _steps(tables: object) -> tuple[list[Pass], list[str]]:
    if not isinstance(tables, list) or not tables or not all(isinstance(step, dict) for step in tables):
        return [], ['it needs [[steps]] with pass = "NAME"']
    passes, problems = [], []
    for number, step in enumerate(tables, 1):
        options = {key: value for key, value in step.items() if key != "pass"}
        try:
            passes.append(make_pass(str(step.get("pass", "")), options))
        except UsageError as error:
            problems.append(f"step {number}: {error}")
    return passes, problems


def _change(content: dict[str, Any], change: str) -> None:
    """Sets one value; tables on the way are made where they are missing, steps are not."""
    place, equals, text = change.partition("=")
    *parents, last = place.strip().split(".")
    if not equals or not all([*parents, last]):
        raise UsageError(f"--set {change!r} is not PLACE=VALUE, such as steps.0.sparsity=0.4")
    if not parents and last not in ("steps", *KEYS):
        _refuse_unplaced(content, change, last)
    holder: Any = content
    for key in parents:
        holder = holder.setdefault(key, {}) if isinstance(holder, dict) else _item(holder, key, change)
    if isinstance(holder, dict):
        holder[last] = typed_value(text)
    else:
        raise UsageError(f"--set {change!r}: {'.'.join(parents)} is not a table")


def _refuse_unplaced(content: Mapping[str, Any], change: str, key: str) -> None:
    """Raises UsageError for an option of a pass that is given without its step."""
    steps = content.get("steps")
    names = [
        str(step.get("pass")) if isinstance(step, dict) else "" for step in (steps if isinstance(steps, list) else ())
    ]
    fields = {kind.name: {field.name for field in dataclasses.fields(kind)} for kind in ALL_PASSES}
    shown = change if change.partition("=")[2] else f"{key}=VALUE"
    places = [f"--set steps.{n}.{shown}" for n, name in enumerate(names) if key in fields.get(name, ())]
    if places:
        raise UsageError(f"--set {change}: {key} is an option of a step: {' or '.join(places)}")


def _item(holder: object, key: str, change: str) -> Any:
    if not isinstance(holder, list):
        raise UsageError(f"--set {change!r}: there is nothing below {key!r}")
    if not key.isdecimal() or len(key) > 9 or int(key) >= len(holder):
        raise UsageError(f"--set {change!r}: there is no step {key!r}; they are 0 to {len(holder) - 1}")
    return holder[int(key)]


# ------------------------------------------------------------------------------------------------ writing
def _options_set(step: Pass) -> dict[str, Any]:
    """The options that differ from their defaults."""
    fields = [field for field in dataclasses.fields(step) if getattr(step, field.name) != field.default]
    values = {field.name: getattr(step, field.name) for field in fields}
    return {name: list(map(_item_set, value)) if isinstance(value, tuple) else value for name, value in values.items()}


def _item_set(item: Any) -> Any:
    return item.table() if isinstance(item, Rule) else item


def _toml(content: Mapping[str, Any]) -> str:
    """Steps as [[steps]], and a table within a table on one line."""
    import tomlkit  # it takes longer than all else that reading a recipe needs

    def inline(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        table = tomlkit.inline_table()
        table.update(value)
        return table

    tables = {
        key: {name: inline(item) for name, item in value.items()}
        for key, value in content.items()
        if isinstance(value, dict)
    }
    return tomlkit.dumps({**content, **tables})


def _closed(schema: Any) -> Any:
    """`schema` with no other keys allowed in any table."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(item) for key, item in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(closed.get("properties"), dict) else closed
