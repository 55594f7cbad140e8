"""Help is quick: it imports none of the large libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import COMMANDS, plain_environment

HEAVY = {"numpy", "onnx", "onnxruntime", "onnx_ir", "pydantic", "rich", "jinja2", "sympy", "ml_dtypes", "asyncio"}
TYPERS_OWN = {"pydantic"}  # typer itself imports it to read a command's parameters (0.1 s)
PROGRAM = """
import sys
from nncompress.__main__ import main
sys.argv = ["nncompress", *sys.argv[1:]]
try:
    main()
finally:
    print("MODULES", *sys.modules, file=sys.stderr)
"""
ALL_HELP = """
import sys
from nncompress.__main__ import main
for command in sys.argv[1:]:
    sys.argv = ["nncompress", command, "--help"]
    try:
        main()
    except SystemExit:
        print(command, *sys.modules, file=sys.stderr)
"""


def modules_after(*arguments: str, **variables: str) -> set[str]:
    """Names of the top-level modules that were imported by the time the command line ended."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**plain_environment(), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("MODULES "))
    assert ended.stdout.strip(), "it printed nothing"
    return {name.partition(".")[0] for name in line.split()[1:]}


@pytest.mark.parametrize("arguments", ["--help", "--version", "passes", "passes quantize-weights", "schema recipe"])
def test_help_imports_no_large_library(arguments: str) -> None:
    modules = modules_after(*arguments.split())
    assert "typer" in modules, "the list of modules is not the one of the command line"
    assert modules & HEAVY <= (set() if arguments.startswith("--") else TYPERS_OWN)


@pytest.mark.slow
def test_help_of_no_command_imports_a_large_library() -> None:
    """One process for all: what the help of a command imports is there after all others as well."""
    ended = subprocess.run(
        [sys.executable, "-c", ALL_HELP, *COMMANDS], env=plain_environment(), capture_output=True, text=True, check=True
    )
    modules = dict(line.split(" ", 1) for line in ended.stderr.splitlines())
    assert list(modules) == COMMANDS
    large = {command: {name.partition(".")[0] for name in names.split()} & HEAVY for command, names in modules.items()}
    assert set.union(*large.values()) <= TYPERS_OWN, large
    assert ended.stdout.count("Usage: ") == len(COMMANDS)


def test_completing_an_option_imports_no_large_library() -> None:
    typed = {"COMP_WORDS": "nncompress quantize --fo", "COMP_CWORD": "2"}
    assert modules_after(_NNCOMPRESS_COMPLETE="complete_bash", **typed) & HEAVY <= TYPERS_OWN


def test_importing_the_package_imports_no_large_library() -> None:
    program = "import nncompress, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], env=plain_environment(), capture_output=True, text=True, check=True
    )
    assert not {name.partition(".")[0] for name in ended.stdout.split()} & HEAVY


@pytest.mark.parametrize(
    "module", ["calibrate.collector", "calibrate.measure", "calibrate.spreads", "validate.in_child"]
)
def test_what_runs_models_in_a_child_imports_nothing_that_reads_them(module: str) -> None:
    program = f"import sys, nncompress.{module}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in modules
    assert not {"onnx", "onnx_ir", "sympy"} & set(modules)
