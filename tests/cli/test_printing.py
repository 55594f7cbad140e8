"""In GitHub Actions, nothing that a name holds becomes a command of the runner, and no format is damaged."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support import ROOT, dense_model, nncompress

NAMES = ["::error::one", " ::add-mask::two", "three##[error]pwned"]
MODEL = "::error title=pwned::model.onnx"
BUDGET = f'[[budget]]\npath = "{MODEL}"\nmax_size = "1 B"\nlevel = "warn"\n'


def obeyed(text: str) -> Iterator[str]:
    """The lines that the runner obeys (ActionCommand.cs of actions/runner), on the safe side."""
    for line in re.split(r"[\r\n]", text):
        if re.match(r"::[^:]*::", line.lstrip()) or "##[" in line:
            yield line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a job with a hostile model, its result, and saved reports of both kinds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    dense_model(tmp_path / MODEL, [(NAMES[0], 64, 96), (NAMES[1], 96, 96), (NAMES[2], 96, 32)])
    Path("nncompress.toml").write_text(BUDGET)
    made = nncompress("quantize", MODEL, "-o", f"s{MODEL}", "--no-validate", "--json", "run.json", "-q")
    checked = nncompress("check", "--json", "check.json")
    assert [made.exit_code, checked.exit_code] == [0, 0]
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", MODEL, "-v"],
        ["inspect", MODEL, "--json", "-"],
        ["inspect", MODEL, f"s{MODEL}"],
        ["quantize", MODEL, "--dry-run", "--no-validate", "-v"],
        ["quantize", MODEL, "-o", f"s{MODEL}", "--force", "--no-validate", "--if-changed", "--json", "run.json"],
        ["report", "run.json", "-v"],
        *(["report", "run.json", f"--{name}", "-"] for name in ("json", "markdown", "html", "junit", "sarif", "csv")),
        ["report", "run.json", "run.json"],
        *(
            ["report", "run.json", "run.json", f"--{name}", "-"]
            for name in ("json", "markdown", "html", "junit", "sarif", "csv")
        ),
        ["report", "check.json"],
        *(["report", "check.json", f"--{name}", "-"] for name in ("json", "markdown", "html", "junit", "sarif")),
        ["verify", "run.json"],
    ],
    ids=" ".join,
)
def test_stdout_holds_no_command(arguments: list[str], here: Path) -> None:
    ended = nncompress(*arguments)
    assert ended.exit_code == 0, ended.stderr
    assert list(obeyed(ended.stdout)) == []
    assert "pwned" in ended.stdout or "up to date" in ended.stdout


@pytest.mark.parametrize("width", ["20", "33", "80"])
def test_a_line_that_is_folded_starts_no_command(width: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", width)
    shown = nncompress("report", "run.json", "-v").stdout
    assert "\x1b[" in shown
    assert list(obeyed(shown)) == []


def test_stderr_holds_only_the_commands_that_are_meant(here: Path) -> None:
    ended = nncompress("quantize", f"##[error]{MODEL}", "-o", "out.onnx")
    assert (ended.exit_code, list(obeyed(ended.stderr))) == (3, [])
    said = nncompress("check").stderr
    assert list(obeyed(said)) == said.splitlines()
    assert re.fullmatch(r"::warning title=[^:\n]*::[^\n]*\n", said)


def test_formats_for_machines_hold_the_names_as_they_are(here: Path) -> None:
    names = {line["name"] for line in json.loads(nncompress("report", "run.json", "--json", "-").stdout)["ledger"]}
    assert names >= set(NAMES)
    found = json.loads(nncompress("inspect", MODEL, "--json", "-").stdout)
    assert {weight["name"] for weight in found["weights"]} == set(NAMES)
    assert ET.fromstring(nncompress("report", "check.json", "--junit", "-").stdout)[0].get("name") == MODEL


def test_elsewhere_names_are_printed_as_they_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert nncompress("inspect", MODEL).stdout.startswith(MODEL)
    assert NAMES[2] in nncompress("inspect", MODEL).stdout


def test_commands_print_through_one_place() -> None:
    allowed = {
        "printing.py": {"sys.stdout", "sys.stderr"},
        "outputs.py": {"sys.stdout", "sys.stderr"},  # annotations; asks which of them somebody looks at
        "streams.py": {"sys.stdout", "sys.stderr"},  # makes them
        "progress.py": {"sys.stderr"},  # asks whether it is a terminal
        "help.py": {"sys.stdout"},  # asks the same
        "app.py": {"typer.echo"},  # --version
        "with_options.py": {"typer.echo"},
    }
    for file in sorted((ROOT / "nncompress/cli").glob("*.py")):
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
        used = {ast.unparse(node) for node in nodes} & {"sys.stdout", "sys.stderr", "typer.echo"}
        assert used <= allowed.get(file.name, set()), f"{file.name} prints past printing.py"
