"""TAB: what the three shells are offered, by the protocol of each, and once in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nncompress.cli.completion import completing
from nncompress.passes import ALL_PASSES
from tests.support import COMMANDS, plain_environment

PROGRAM = f"#!{sys.executable}\nfrom nncompress.__main__ import main\nmain()\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the command `nncompress` in bin."""
    program = tmp_path / "bin/nncompress"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {**plain_environment(), "HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def asked(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What the command answers to the script of a shell."""
    return subprocess.run(
        ["nncompress"], executable=home / "bin/nncompress", env={**environment(home), **variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def in_bash(home: Path, program: str) -> str:
    return subprocess.run(
        ["bash", "--norc", "-c", f"{program}\ntrue"], env=environment(home),
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["quan"], ["quantize"]),
        (["quantize", "--max-s"], ["--max-size"]),
        (["quantize", "--form", ""], ["folded", "dequantize", "integer"]),
        (["quantize", "--per", "t"], ["tensor"]),
        (["quantize", "--equ"], ["--equalise"]),
        (["prune", "--scope", ""], ["lamp", "weight", "global"]),
        (["passes", "p"], ["prune-magnitude"]),
        (["run", "-p", ""], [kind.name for kind in ALL_PASSES]),
        (["schema", "re"], ["recipe", "report"]),
        (["quantize", "mod"], []),  # then bash offers files
    ],
)
def test_bash_is_offered(typed: list[str], offered: list[str], home: Path) -> None:
    words = " ".join(["nncompress", *typed])
    found = asked(home, _NNCOMPRESS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(typed)))
    assert (found.returncode, found.stdout.split(), found.stderr) == (0, offered, "")


@pytest.mark.slow
def test_zsh_and_fish_are_offered_the_same_and_files_otherwise(home: Path) -> None:
    zsh = asked(home, _NNCOMPRESS_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="nncompress passes q")
    assert '"quantize-weights"' in zsh.stdout
    zsh = asked(home, _NNCOMPRESS_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="nncompress quantize m")
    assert zsh.stdout == "_files\n"
    fish = {"_NNCOMPRESS_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert (
        asked(home, **fish, _TYPER_COMPLETE_ARGS="nncompress passes q").stdout
        == "quantize-activations\nquantize-weights\n"
    )
    fish["_TYPER_COMPLETE_FISH_ACTION"] = "is-args"
    codes = [asked(home, **fish, _TYPER_COMPLETE_ARGS=f"nncompress {line}").returncode for line in ("pas", "bench m")]
    assert codes == [0, 1]


@pytest.mark.parametrize(("shell", "start"), [("bash", "_nncompress"), ("zsh", "#compdef"), ("fish", "complete --com")])
def test_there_is_a_script_for_each_shell(shell: str, start: str, home: Path) -> None:
    script = asked(home, _NNCOMPRESS_COMPLETE=f"source_{shell}")
    assert script.returncode == 0
    assert script.stdout.lstrip().startswith(start)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.slow
def test_a_real_bash_completes_once_it_is_installed(home: Path) -> None:
    assert f"bash completion installed in {home}" in in_bash(home, "nncompress --install-completion")
    assert ".bash_completions/nncompress.sh" in (home / ".bashrc").read_text()
    program = """
        source ~/.bash_completions/nncompress.sh
        complete -p nncompress
        offered() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nncompress_completion nncompress; echo "${COMPREPLY[*]}"
        }
        offered nncompress ""
        offered nncompress quantize --form d
    """
    declared, commands, values = in_bash(home, program).splitlines()
    assert declared.startswith("complete -o default -F ")
    assert commands.split() == COMMANDS
    assert values == "dequantize"


def test_only_a_metavar_that_lists_values_is_completed() -> None:
    assert completing(None) is None
    assert completing("PATH") is None
    complete = completing("mse|minmax")
    assert complete is not None
    assert [complete(typed) for typed in ("", "mi", "x")] == [["mse", "minmax"], ["minmax"], []]
