"""What GitHub Actions reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from nncompress.errors import UsageError
from nncompress.report.github import annotation_lines, in_actions, summary_path, without_commands
from nncompress.results.verdict import RuleResult
from tests.sample_report import HOSTILE


def test_each_missed_rule_is_one_line() -> None:
    rules = [
        RuleResult("size", "pass", "1 kB", "<= 2 kB", ""),
        RuleResult("drop", "fail", "2 %", "<= 1 %", "compress less"),
        RuleResult("latency", "warn", "1.2", "<= 1.1", ""),
    ]
    assert list(annotation_lines(rules, "a,b:c.onnx")) == [
        "::error title=nncompress%3A a%2Cb%3Ac.onnx%3A drop::2 %25, limit <= 1 %25; compress less",
        "::warning title=nncompress%3A a%2Cb%3Ac.onnx%3A latency::1.2, limit <= 1.1",
    ]


def test_a_hostile_name_cannot_start_a_command_of_its_own() -> None:
    rule = RuleResult("drop", "fail", f"{HOSTILE}\n::add-mask::x\r::stop-commands::y", "-", HOSTILE)
    (line,) = annotation_lines([rule], f"{HOSTILE}::x,title=y")
    assert line.isprintable()
    assert line.count("::") - line.count("::add-mask::") * 2 - line.count("::stop-commands::") * 2 == 2
    assert line.startswith("::error title=nncompress%3A ")


def test_the_summary_is_where_actions_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with pytest.raises(UsageError, match="needs the variable GITHUB_STEP_SUMMARY"):
        summary_path()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "s.md"))
    assert summary_path() == tmp_path / "s.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert not in_actions()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", r"\x3a:error::x"),
        ("a\n  ::error::x\r\n\t::add-mask::y\n", "a\n  \\x3a:error::x\r\n\t\\x3a:add-mask::y\n"),
        ("a\r::error::x", "a\r\\x3a:error::x"),
        ("a ##[error]x ###[warning]y", r"a #\x23[error]x ##\x23[warning]y"),
        ("torch::nn::Linear: C:: \n\n :", "torch::nn::Linear: C:: \n\n :"),
    ],
)
def test_text_without_commands(text: str, shown: str) -> None:
    assert without_commands(text) == shown
    assert without_commands(shown) == shown
