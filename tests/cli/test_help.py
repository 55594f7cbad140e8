"""Every command and option is documented, and the examples in the help are ones that work."""

from __future__ import annotations

import re
import shlex

import pytest

from nncompress.cli.options import LimitOptions, ProofOptions, ReportOptions, SelectOptions, WriteOptions
from tests.support import COMMANDS, nncompress, nncompress_process

each_command = pytest.mark.parametrize("command", COMMANDS)


def help_of(command: str) -> str:
    ended = nncompress(command, "--help")
    assert ended.exit_code == 0
    return ended.stdout


def example_of(command: str) -> list[str]:
    found = re.search(r"Example:\n    (.+)\n", help_of(command))
    assert found, f"the help of {command} has no example"
    return shlex.split(found[1])


@each_command
def test_a_command_is_listed_with_what_it_does(command: str) -> None:
    assert re.search(rf"^  {command} +[A-Z]\w+", nncompress("--help").stdout, re.MULTILINE)


@each_command
def test_a_command_has_an_example_of_its_own_with_options_that_exist(command: str) -> None:
    example, known = example_of(command), help_of(command)
    assert example[:2] == ["nncompress", command]
    for option in (part for part in example if part.startswith("-")):
        assert re.search(rf"(^|[ ,]){option}\b", known, re.MULTILINE), f"{option} is not an option of {command}"


@each_command
def test_every_option_and_argument_is_explained(command: str) -> None:
    _, _, listed = help_of(command).partition("\nArguments:\n")
    listed = listed or help_of(command).partition("\nOptions:\n")[2]
    entries = re.split(r"\n(?=  [-\[A-Z])", listed)
    for entry in entries:
        words = re.sub(r"\[(default|required)[^\]]*\]", "", entry)
        assert re.search(r"\s{2,}[A-Z][^\n]*[a-z]", words.lstrip()), f"{command}: no text in {entry!r}"


@each_command
def test_short_and_long_help_are_the_same(command: str) -> None:
    assert nncompress(command, "-h").stdout == help_of(command)


def test_exit_codes_are_in_the_help() -> None:
    text = " ".join(nncompress("--help").stdout.split())
    for code in ("0 done", "1 a gate failed", "2 wrong usage", "3 input unreadable", "4 no usable output", "130 inter"):
        assert code in text


@pytest.mark.parametrize("kind", [ProofOptions, LimitOptions, WriteOptions, ReportOptions, SelectOptions])
def test_shared_options_say_what_they_are_about(kind: type) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__)


def test_the_command_can_be_run_as_a_module_from_anywhere(tmp_path: object) -> None:
    ended = nncompress_process("--version", cwd=tmp_path)  # type: ignore[arg-type]
    assert ended.exit_code == 0
