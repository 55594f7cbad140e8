"""The committed JSON Schema of recipes, for what help says of passes and settings without importing them."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any


@functools.cache
def recipe_schema() -> dict[str, Any]:
    """It is written from the passes and settings, and tested to be theirs; importing them takes three times as long as
    the help of a command may."""
    schema = files("nncompress.config").joinpath("recipe.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(schema))


@functools.cache
def steps_by_pass() -> dict[str, dict[str, Any]]:
    """{name of a pass: the JSON Schema of its step}"""
    steps = recipe_schema()["properties"]["steps"]["items"]["oneOf"]
    return {step["properties"]["pass"]["const"]: step for step in steps}


def values_of(setting: str) -> list[str]:
    """What a setting of a recipe can be; [] for one that the committed schema does not have yet."""
    values: list[str] = recipe_schema()["properties"].get(setting, {"anyOf": [{"enum": []}]})["anyOf"][0]["enum"]
    return values
