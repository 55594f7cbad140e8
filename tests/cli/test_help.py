"""Every command and option is documented, and the examples in the help are ones that work."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import onnx
import pytest

from nncompress.cli.help import EXITS, exits
from nncompress.cli.options import LimitOptions, ProofOptions, ReportOptions, WriteOptions
from nncompress.cli.pass_commands import PASS_COMMANDS, PassCommand
from nncompress.passes import pass_named
from nncompress.passes.document import field_texts
from tests.support import COMMANDS, IMAGES, MLP, nncompress, nncompress_process

each_command = pytest.mark.parametrize("command", COMMANDS)
IMPORTANT = {"quantize", "prune", "run", "compare", "check", "report"}
RECIPE = '[[steps]]\npass = "prune-magnitude"\nsparsity = 0.5\n[[steps]]\npass = "quantize-weights"\n'


def help_of(command: str) -> str:
    ended = nncompress(command, "--help")
    assert ended.exit_code == 0
    return ended.stdout


def examples_of(command: str) -> list[list[str]]:
    found = re.search(r"Examples?:\n((?:    .+\n)+)", help_of(command))
    assert found, f"the help of {command} has no example"
    return [shlex.split(line) for line in found[1].splitlines()]


def sections_of(command: str) -> dict[str, str]:
    """{title: entries} of what stands below the text."""
    parts = re.split(r"^([A-Z][a-z ]+):\n", help_of(command), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@each_command
def test_a_command_is_listed_with_what_it_does(command: str) -> None:
    assert re.search(rf"^  {command} +[A-Z]\w+", nncompress("--help").stdout, re.MULTILINE)


@each_command
def test_a_command_has_examples_of_its_own_with_options_that_exist(command: str) -> None:
    examples, known = examples_of(command), help_of(command)
    assert len(examples) >= (2 if command in IMPORTANT else 1)
    for example in examples:
        assert example[:2] == ["nncompress", command]
        for option in (part for part in example if re.match(r"-+[a-z]", part)):
            assert re.search(rf"(^|[ ,]){option}\b", known, re.MULTILINE), f"{option} is not an option of {command}"


@each_command
def test_examples_come_before_the_options_and_exit_codes_last(command: str) -> None:
    text, titles = help_of(command), list(sections_of(command))
    assert text.index("  Example") < text.index("\nOptions:\n")
    assert titles[-1] == "Exit codes"
    assert titles.count("Exit codes") == 1


def test_every_command_states_its_own_exit_codes() -> None:
    assert sorted(EXITS) == sorted(COMMANDS)
    with pytest.raises(KeyError):
        exits("unheard-of")


@each_command
def test_every_exit_code_is_explained(command: str) -> None:
    listed = [int(code) for code in re.findall(r"^  (\d+) +[a-zA-Z]", sections_of(command)["Exit codes"], re.MULTILINE)]
    assert listed == sorted(exits(command))
    assert {0, 2, 5, 130} <= set(listed)


@each_command
def test_every_option_and_argument_is_explained(command: str) -> None:
    sections = {title: text for title, text in sections_of(command).items() if title != "Exit codes"}
    for entry in (entry for text in sections.values() for entry in re.split(r"\n(?=  [-\[A-Za-z])", text.rstrip())):
        words = re.sub(r"\[(default|required)[^\]]*\]", "", entry)
        assert re.search(r"\s{2,}[A-Z][^\n]*[a-z.]", words.lstrip()), f"{command}: no text in {entry!r}"


@pytest.mark.parametrize("command", PASS_COMMANDS, ids=lambda command: command.name)
def test_every_field_of_its_passes_is_an_option_with_its_text_and_default(command: PassCommand) -> None:
    shown = " ".join(help_of(command.name).split()).replace("- ", "-")  # lines are broken at hyphens, too
    for kind in map(pass_named, command.passes):
        texts = field_texts(kind)
        for field in fields(kind):
            option = field.metadata.get("option", f"--{field.name.replace('_', '-')}").partition("/")[0]
            text = f"(?i:{re.escape(texts[field.name][0])}){re.escape(texts[field.name][1:])}"
            entry = re.search(rf"{option} [^.]*?{text}[^\[.]*\.(?: \[default: ([^\]]+)\])?", shown)
            assert entry, f"{field.name} of {kind.name} is not in the help of {command.name}"
            if field.default in (None, ()):
                assert entry[1] is None
            elif len(command.passes) == 1:
                assert entry[1] == {True: option.removeprefix("--")}.get(field.default, str(field.default))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that examples name."""
    folder = tmp_path_factory.mktemp("files")
    model = onnx.load(MLP)
    model.graph.node[0].doc_string = "as an exporter writes it" * 1000  # which shrink finds
    onnx.save(model, folder / "model.onnx")
    shutil.copy(IMAGES, folder / "eval.npz")
    shutil.copy(IMAGES.with_name("image_calibration.npz"), folder / "calib.npz")
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "models").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name in ("small", "smaller", "report"):
            options = ("--no-validate", "--json", f"{name}.json")
            assert nncompress("quantize", "model.onnx", "-o", f"{name}.onnx", *options).exit_code == 0
        assert nncompress("init", "model.onnx", "small.onnx").exit_code == 0
    for name in ("model", "report"):
        shutil.copy(folder / f"{name}.onnx", folder / "models")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "sweep"])  # which needs a shell
def test_every_example_works(command: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(files, tmp_path / "files"))
    monkeypatch.setenv("NNCOMPRESS_SECONDS", "0.05")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for _, *arguments in examples_of(command):
        overwriting = ["--force"] if command == "init" or "-o" in arguments else []
        sooner = ["--seconds", "0.05"] if "--seconds" in arguments else []  # the last one counts
        ended = nncompress(*arguments, *overwriting, *sooner)
        assert not ended.exit_code, f"{' '.join(arguments)}: {ended.stderr}"


@each_command
def test_short_and_long_help_are_the_same(command: str) -> None:
    assert nncompress(command, "-h").stdout == help_of(command)


@each_command
def test_help_is_a_command_too(command: str) -> None:
    assert nncompress("help", command).stdout == help_of(command)


def test_help_of_nothing_is_that_of_all_and_of_an_unknown_command_an_error() -> None:
    assert nncompress("help").stdout == nncompress("--help").stdout
    refused = nncompress("help", "quantise")
    assert (refused.exit_code, "no such command 'quantise'. Did you mean 'quantize'?" in refused.stderr) == (2, True)
    assert nncompress("--debug", "help", "passes").stdout == help_of("passes")
    assert nncompress("-V").stdout == nncompress("--version").stdout


def test_exit_codes_are_in_the_help() -> None:
    text = " ".join(nncompress("--help").stdout.split())
    for code in ("0 done", "1 a gate failed", "2 wrong usage", "3 input unreadable", "4 no usable output", "130 inter"):
        assert code in text


@pytest.mark.parametrize("kind", [ProofOptions, LimitOptions, WriteOptions, ReportOptions])
def test_shared_options_say_what_they_are_about(kind: type) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__)


def test_the_command_can_be_run_as_a_module_from_anywhere(tmp_path: object) -> None:
    ended = nncompress_process("--version", cwd=tmp_path)  # type: ignore[arg-type]
    assert ended.exit_code == 0
