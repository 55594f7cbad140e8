"""The committed schemas are those of the code. `python -m tests.test_schemas` writes them anew."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nncompress.config.recipe import recipe_schema
from nncompress.report.check_json import check_schema
from nncompress.report.json_report import json_schema
from tests.support import MLP, ROOT, nncompress

SCHEMAS: dict[str, tuple[Path, Callable[[], dict[str, Any]]]] = {
    "recipe": (ROOT / "nncompress/config/recipe.schema.json", recipe_schema),
    "report": (ROOT / "nncompress/report/report.schema.json", json_schema),
    "check": (ROOT / "nncompress/report/check.schema.json", check_schema),
}
RECIPE = """
seed = 3
seconds = 0.5
form = "dequantize"
[data]
path = "eval.npz"
dims = { batch = 2 }
[limits]
max_size = "4 MB"
min_cosine = 0.99
[[steps]]
pass = "prune-magnitude"
sparsity = 0.5
include = ["fc*"]
"""


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_committed_schema_is_the_one_printed_and_that_of_the_code(kind: str) -> None:
    path, made = SCHEMAS[kind]
    assert json.loads(path.read_text()) == made(), "python -m tests.test_schemas writes it anew"
    assert nncompress("schema", kind).stdout == path.read_text()
    jsonschema.Draft202012Validator.check_schema(made())


def test_recipes_follow_their_schema() -> None:
    validator = jsonschema.Draft202012Validator(recipe_schema())
    validator.validate(tomllib.loads(RECIPE))
    for wrong in (
        "sed = 1",
        RECIPE.replace("sparsity", "sparsty"),
        RECIPE.replace("seed = 3", 'seed = "x"'),
        "seed = 1",
    ):
        assert list(validator.iter_errors(tomllib.loads(wrong)))


def test_what_check_writes_follows_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nncompress.toml").write_text(f'[[budget]]\npath = "{MLP}"\nmax_size = "1 MB"\n')
    ended = nncompress("check", "--json", "-")
    jsonschema.Draft202012Validator(check_schema()).validate(json.loads(ended.stdout))


if __name__ == "__main__":
    for path, made in SCHEMAS.values():
        path.write_text(json.dumps(made(), indent=2) + "\n")
