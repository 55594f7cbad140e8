"""The README and the pages in docs/ show what really happens, and name only what exists."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import nncompress as package
from nncompress.passes import ALL_PASSES
from tests.readme import NAMES, README, blocks, is_shown_truly, refreshed, run, what_happens
from tests.support import COMMANDS, ROOT, SAMPLES, nncompress

TEXT = README.read_text()
TEXTS = {name: page.read_text() for name, page in NAMES.items()}
MAKEFILE = (ROOT / "Makefile").read_text()
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
OTHER_PROGRAM = re.compile(r"(^|`)(pip|python -m|optimum-cli|git|docker) [^`\n]*", re.MULTILINE)
each_page = pytest.mark.parametrize("name", TEXTS)


def prose(text: str) -> str:
    """Without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """What the headings are called in links, as GitHub makes it of them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def help_of_all() -> str:
    return "".join(nncompress(command, "--help").stdout for command in COMMANDS) + nncompress("--help").stdout


@pytest.mark.slow
@each_page
def test_commands_and_programs_do_what_is_shown(name: str, tmp_path: Path) -> None:
    untrue = [
        f"{one.command}\nprints\n" + "\n".join(printed)
        for one, printed in what_happens(TEXTS[name], tmp_path / "reader", NNCOMPRESS_SECONDS="0.1")
        if not is_shown_truly(one.shown, printed)
    ]
    assert not untrue, "\n".join([*untrue, f"python -m tests.readme {name} puts what is printed into the page"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_rule_for_make_makes_a_model_and_leaves_none_where_it_fails(tmp_path: Path) -> None:
    (rule,) = (block.text for block in blocks(TEXTS["docs/ci-budgets.md"]) if block.file == "Makefile")
    (tmp_path / "Makefile").write_text(rule)
    shutil.copy(SAMPLES / "digits_mlp.onnx", tmp_path / "model.onnx")
    shutil.copy(SAMPLES / "data/image_evaluation.npz", tmp_path / "eval.npz")
    made = run(["make", "model.int8.onnx"], tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "model.int8.onnx").is_file()
    assert (tmp_path / "model.report.json").is_file()

    (tmp_path / "Makefile").write_text(rule.replace('--max-drop "1 %"', "--min-ratio 100"))
    (tmp_path / "model.int8.onnx").unlink()
    failed = run(["make", "model.int8.onnx"], tmp_path)
    assert failed.returncode == 2
    assert "Error 1" in failed.stderr
    assert not (tmp_path / "model.int8.onnx").exists()


def test_a_line_that_is_not_printed_is_noticed() -> None:
    printed = ["PASS  a: latency 1.02x slower", "", "  b  1", "  c  2"]
    assert is_shown_truly(["WARN  a: latency not distinguishable", "...", " b 1", "..."], printed)
    assert is_shown_truly(["...", "  c  2"], printed)
    assert not is_shown_truly(["...", "  b  1"], printed)
    assert not is_shown_truly(["...", "  b  3", "..."], printed)
    assert not is_shown_truly(["...", "  c  2", "  b  1"], printed)
    assert not is_shown_truly(["FAIL  a: latency", "..."], printed)
    assert refreshed(["...", "  b  3", "..."], printed) == ["...", "  b  1", "..."]


@each_page
def test_every_link_leads_to_a_page_and_a_heading_that_exist(name: str) -> None:
    for target, anchor in LINK.findall(prose(TEXTS[name])):
        if not target.startswith("http"):
            page = (NAMES[name].parent / target).resolve() if target else NAMES[name]
            assert page.exists(), f"{name}: {target}"
            assert not anchor or anchor in anchors(page.read_text()), f"{name}: {target}#{anchor}"


def test_the_readme_links_to_every_page() -> None:
    assert set(NAMES) - {"README.md"} == {target for target, _ in LINK.findall(TEXT) if target.startswith("docs/")}


def test_nothing_is_said_twice() -> None:
    sentences = Counter(
        " ".join(sentence.split())
        for text in TEXTS.values()
        for sentence in re.split(r"(?<=[.:;])\s|\n\n|\|", prose(text))
        if len(sentence) > 40
    )
    assert [sentence for sentence, times in sentences.items() if times > 1] == []


def test_the_readme_is_short_and_says_what_the_package_and_its_help_say() -> None:
    description = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["description"]
    assert TEXT.splitlines()[2] == f"`nncompress` {description[0].lower()}{description[1:]}."
    assert f"  {description}.\n" in re.sub(r"(?<=\S)\n  (?=\S)", " ", nncompress("--help").stdout)
    assert (package.__doc__ or "").splitlines()[0] == f"{description}."
    assert len(TEXT.splitlines()) < 200


def test_every_command_pass_and_make_target_named_is_one_that_exists() -> None:
    table = TEXT.partition("## Commands")[2].partition("## Exit codes")[0]
    assert re.findall(r"^\| `(\w+)", table, re.MULTILINE) == COMMANDS
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    everything = "".join(TEXTS.values())
    assert {"demo", "test", "check", "help"} <= set(re.findall(r"\bmake ([a-z]+)\b", everything)) & targets
    for name in re.findall(r"(?<!mkdir )-p ([a-z-]+)", everything):
        assert name == "verb-object" or name in {one.name for one in ALL_PASSES}


@each_page
def test_every_option_named_exists(name: str) -> None:
    ours = OTHER_PROGRAM.sub("", TEXTS[name])
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)):
        assert re.search(rf"{option}\b", help_of_all()), f"{option} is not an option of any command"


def test_the_first_screen_has_what_a_reader_needs() -> None:
    screen = TEXT.partition("## Commands")[0]
    for part in ("$ nncompress quantize", "make demo", "make test", "pip install"):
        assert part in screen


def test_the_ci_script_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "set -euo pipefail" in script
    assert re.search(r"^(exec )?make test\b", script, re.MULTILINE)
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "\nmake test " in TEXT


def test_the_lock_names_no_machine() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"index-url|find-links|file:|https?:|\s/", lock)
    versions = re.findall(r"^([a-z0-9-]+)==\S+", lock, re.MULTILINE)
    for name in ("onnx", "onnxruntime", "onnx-ir", "numpy", "typer", "pytest", "ruff", "mypy"):
        assert name in versions
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", lock)) > len(versions)


def test_the_changelog_has_the_version_of_the_package() -> None:
    from importlib.metadata import version

    assert f"## [{version('nncompress')}]" in (ROOT / "CHANGELOG.md").read_text()
