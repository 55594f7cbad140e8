"""Imports point one way, each third-party library has its place, and no file or function grows out of hand."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "nncompress"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES = 300, 60  # STYLE.md asks for about 250 and 40

# What each part may import from other parts; lower parts come first. A part is a folder or a module at the top.
# "report.record" is the result types alone: whoever measures may name them, only the command line may render them.
ALLOWED = {
    "errors": set(),
    "numerics": set(),
    "report": {"errors"},
    "environment": {"report.record"},
    "metric_names": {"errors"},
    "child_process": {"errors"},
    "model": {"errors", "report.record"},
    "calibrate": {"errors"},
    "validate": {"errors", "report.record", "report.bench_record", "metric_names", "child_process", "calibrate"},
    "forms": {"errors", "numerics", "model"},
    "passes": {"errors", "report.record", "numerics", "model", "forms"},
    "worst_values": {"report.record", "numerics", "model"},
    "compression": {"errors", "report.record", "model", "forms", "passes", "worst_values"},
    "limit_types": {"errors", "report.units", "metric_names"},
    "settings": {"errors", "metric_names", "limit_types"},
    "recipe": {"errors", "passes"},
    "recipe_file": {"errors", "model", "passes", "settings", "recipe"},
    "inspection": {"errors", "report.record", "report.inspection_record", "model", "passes", "compression"},
    "budget": {"errors", "metric_names", "model", "limit_types", "settings"},
    "starter": {"errors", "report.record", "report.units", "model"},
    "workflow": {
        "errors", "report.record", "report.verdict", "environment", "model", "calibrate", "validate", "forms",
        "passes", "compression", "recipe",
    },
    "benching": {"report.bench_record", "report.record", "environment", "model", "validate", "workflow"},
    "budget_check": {"errors", "report", "environment", "metric_names", "model", "calibrate", "workflow", "budget"},
    "trial": {
        "errors", "report.json_report", "report.summary", "report.sweep_record", "report.verdict", "child_process",
        "environment", "model", "passes", "recipe", "workflow",
    },
    "verify": {"errors", "report.check_record", "report.record", "report.saved", "model"},
    "sweeping": {"errors", "report.record", "report.sweep_record", "child_process", "model", "trial", "verify"},
    "api": {
        "errors", "report.record", "report.sweep_record", "model", "forms", "passes", "compression", "recipe",
        "workflow", "trial", "sweeping",
    },
    "cli": {
        "errors", "report", "environment", "metric_names", "model", "validate", "passes", "recipe", "recipe_file",
        "inspection", "workflow", "benching", "budget", "budget_check", "starter", "trial", "sweeping", "verify",
    },
    "__init__": {"errors", "api"},
    "__main__": {"cli"},
}  # fmt: skip

# Where third-party libraries may be imported; those not named here nowhere.
HOMES = {
    "numpy": {"numerics", "model", "calibrate", "validate", "forms", "passes", "worst_values", "inspection"},
    "onnx_ir": {"model", "calibrate", "forms", "passes", "worst_values", "inspection"},
    "onnx": {"model", "calibrate"},
    "google": {"model", "calibrate"},  # protobuf's errors
    "onnxruntime": {"calibrate", "validate"},
    "ml_dtypes": {"numerics", "model", "calibrate", "validate", "forms"},
    "backports": {"model"},
    "compression": {"model"},  # compression.zstd of Python 3.14
    "pydantic": {"recipe", "recipe_file", "report", "budget", "settings", "limit_types"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "rich": {"report", "cli"},
    "typer": {"cli"},
    "distributed": {"cli"},  # optional
}


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(source: str) -> Iterator[str]:
    """Dotted names of all imported modules, wherever the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which way they point"
            assert node.module is not None
            if node.module in {"nncompress", "nncompress.report"}:  # then the names are modules
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def problem_with(part: str, imported: str) -> str | None:
    """Which rule this import breaks."""
    top, *rest = imported.split(".")
    if top == "nncompress":
        if not rest or rest[0] == part or {rest[0], ".".join(rest[:2])} & ALLOWED[part]:
            return None
        return f"{part} may import only {', '.join(sorted(ALLOWED[part])) or 'nothing'} of nncompress"
    if top in HOMES:
        return None if part in HOMES[top] else f"{top} is for {', '.join(sorted(HOMES[top]))} only"
    return None if top in sys.stdlib_module_names else f"{top} is neither a dependency nor in the standard library"


def test_every_part_has_its_place_in_the_order() -> None:
    assert {part_of(file) for file in FILES} == set(ALLOWED)


def test_the_order_of_the_parts_has_no_cycle() -> None:
    order = list(ALLOWED)
    for part, allowed in ALLOWED.items():
        upward = {a for a in allowed if a.partition(".")[0] in order[order.index(part) :]}
        assert not upward, f"{part} comes before {', '.join(upward)} in the order and may not import it"


def test_imports_point_one_way() -> None:
    violations = [
        f"{file.relative_to(PACKAGE.parent)} imports {imported}: {problem}"
        for file in FILES
        for imported in imports_of(file.read_text())
        if (problem := problem_with(part_of(file), imported))
    ]
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize(
    ("part", "imported", "rule"),
    [
        ("numerics", "nncompress.model.model", "numerics may import only nothing of nncompress"),
        ("passes", "nncompress.workflow", "passes may import only"),
        ("validate", "nncompress.report.verdict", "validate may import only"),
        ("passes", "onnxruntime", "onnxruntime is for calibrate, validate only"),
        ("numerics", "onnx_ir", "onnx_ir is for"),
        ("model", "scipy.sparse", "scipy is neither a dependency nor"),
    ],
)
def test_an_import_the_wrong_way_is_noticed(part: str, imported: str, rule: str) -> None:
    assert rule in (problem_with(part, imported) or "")


def test_files_are_short() -> None:
    long = {str(f.relative_to(PACKAGE)): n for f in FILES if (n := len(f.read_text().splitlines())) > MOST_LINES}
    assert not long, f"longer than {MOST_LINES} lines: {long}"


def test_functions_are_short() -> None:
    long = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert not long, f"longer than {MOST_FUNCTION_LINES} lines: {long}"


def test_every_file_says_first_what_it_is_for() -> None:
    silent = [f for f in FILES if f.read_text().strip() and not ast.get_docstring(ast.parse(f.read_text()))]
    assert not silent, [str(f.relative_to(PACKAGE)) for f in silent]
