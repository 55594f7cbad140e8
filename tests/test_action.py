"""The words that the GitHub Action makes of its `args` are those that a shell makes, and nothing else is done."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from action import WITH_SUMMARY, words
from tests.support import COMMANDS, nncompress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.onnx", "b.onnx", "c d.onnx", ".hidden.onnx", "[x].onnx", "fc1"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/e.onnx").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        'quantize a.onnx -o out.onnx --max-drop "1 %" --max-size \'4 MB\'',
        "bench *.onnx --seconds 1", "bench ?.onnx sub/*.onnx", "inspect [ab].onnx", "inspect '[x]'.onnx \"[\"x].onnx",
        'prune a.onnx --include "fc*" --exclude \'fc?\'', "prune --include fc*", "prune --include=fc* no*.match",
        "a\\ b c\\*d \"e\\\"f\" 'g\\h' \"i\\j\" \"\\\\\"", "''  \"\" x''y", "run \\\n  recipe.toml",
        "  check\n--json\n-\n",
        "\"two\nlines\" \"joined \\\nline\"", "*/*.onnx **/e.onnx",
    ],
)  # fmt: skip
def test_words_are_those_of_bash(here: Path, text: str) -> None:
    script = f"LC_ALL=C; words=({text}); printf '%s\\0' \"${{words[@]}}\""
    shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert words(text) == shell.stdout.split("\0")[:-1]


@given(st.text("ab \n\t'\"\\-=", max_size=30))
def test_quotes_are_read_as_shlex_reads_them(text: str) -> None:
    if "\\\n" in text:
        return  # shlex keeps the line
    try:
        expected = shlex.split(text)
    except ValueError:
        with pytest.raises(ValueError, match="does not close"):
            words(text)
    else:
        assert words(text) == expected


def test_nothing_is_run_and_no_variable_is_read(here: Path) -> None:
    text = "$(touch x) `touch x` $HOME ~ {a,b} ; touch x | # > x"
    assert words(text) == text.split()
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('check --max-drop "1 %', "the quote does not close in '\"1 %'"),
        ("check --json 'a b\n--junit c", 'the quote does not close in "\'a b\\\\n--junit c"'),
        ("check \\", "a backslash does not close"),
    ],
)
def test_a_quote_that_does_not_close_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        words(text)


def test_every_command_that_can_write_a_summary_is_asked_to() -> None:
    assert {command for command in COMMANDS if "--github-summary" in nncompress(command, "-h").stdout} == WITH_SUMMARY
