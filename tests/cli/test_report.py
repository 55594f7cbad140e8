"""`report` renders saved reports again; in GitHub Actions there are annotations and a summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import last_line, nncompress, nncompress_process, one_line


@pytest.fixture
def saved(model: Path, out: Path) -> list[Path]:
    """Two saved reports of the same model, one of which failed a gate."""
    paths = [out.with_name("a.json"), out.with_name("b.json")]
    nncompress("quantize", model, "-o", out, "--no-validate", "--json", paths[0])
    nncompress("prune", model, "-o", out.with_name("b.onnx"), "--no-validate", "--max-size", "1 B", "--json", paths[1])
    return paths


def test_one_report_is_printed_as_the_command_did(model: Path, out: Path) -> None:
    path = out.with_name("r.json")
    first = nncompress("quantize", model, "-o", out, "--seconds", 0, "--json", path)
    assert nncompress("report", path).stdout == first.stdout
    assert nncompress("report", path, "-q").stdout == last_line(first.stdout) + "\n"


def test_each_format_can_be_made_again(saved: list[Path]) -> None:
    assert nncompress("report", saved[0], "--json", "-").stdout == saved[0].read_text()
    starts = {"markdown": "## ", "html": "<!DOCTYPE html>", "junit": "<?xml", "sarif": "{", "csv": "name,"}
    for option, start in starts.items():
        for reports in (saved[:1], saved):
            ended = nncompress("report", *reports, f"--{option}", "-")
            assert (ended.exit_code, ended.stderr) == (0, "")
            assert ended.stdout.startswith(start)


def test_several_become_one_table_and_a_failed_one_does_not_fail_the_rendering(saved: list[Path]) -> None:
    ended = nncompress("report", *saved)
    assert ended.exit_code == 0
    assert last_line(ended.stdout) == "FAIL  2 results, 1 on the Pareto front, 1 failed"
    assert one_line(nncompress("report", *saved, "-q").stdout).startswith("FAIL  2 results")
    assert len(json.loads(nncompress("report", *saved, "--json", "-").stdout)["results"]) == 2


@pytest.fixture
def checked(model: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a check saved, under a name that says nothing."""
    monkeypatch.chdir(model.parent)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    Path("nncompress.toml").write_text('[[budget]]\npath = "model.onnx"\nmax_size = "1 B"\nmax_params = "1 M"\n')
    path = out.with_name("saved")
    assert nncompress("check", "--json", path).exit_code == 1
    return path


def test_what_check_saved_is_rendered_as_check_did(checked: Path) -> None:
    options = ("--json", "--markdown", "--html", "--junit", "--sarif")
    formats = {option: nncompress("check", option, "-").stdout for option in options}
    assert nncompress("report", checked, "--json", "-").stdout == checked.read_text() == formats["--json"]
    for option, shown in formats.items():
        ended = nncompress("report", checked, option, "-")
        assert (ended.exit_code, ended.stdout, ended.stderr) == (0, shown, "")
    assert nncompress("report", checked).stdout == nncompress("check").stdout
    assert one_line(nncompress("report", checked, "-q").stdout) == "FAIL  1 of 2 checks failed (1 of 1 model)"


def test_what_check_saved_has_no_ledger(checked: Path) -> None:
    ended = nncompress("report", checked, "--csv", "-")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"--csv cannot show {checked}, a report of nncompress check" in one_line(ended.stderr)
    assert "take --json, --markdown, --html, --junit, --sarif, or the text" in ended.stderr


def test_what_check_saved_is_in_no_table(checked: Path, saved: list[Path]) -> None:
    for reports in ([checked, checked], [*saved, checked]):
        ended = nncompress("report", *reports)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert f"{checked} is a report of nncompress check" in one_line(ended.stderr)
        assert "render it alone" in ended.stderr


def test_a_damaged_report_of_a_check_is_named(checked: Path) -> None:
    tree = json.loads(checked.read_text())
    del tree["models"][0]["sha256"]
    checked.write_text(json.dumps(tree))
    ended = nncompress("report", checked)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert f"{checked}: report is damaged: models[0].sha256 is missing" in one_line(ended.stderr)


def test_a_file_that_is_no_report_is_named(saved: list[Path], model: Path) -> None:
    gone = nncompress("report", saved[0], model.with_name("gone.json"))
    assert (gone.exit_code, "gone.json" in one_line(gone.stderr)) == (3, True)
    binary = nncompress("report", model)
    assert (binary.exit_code, f"{model}" in one_line(binary.stderr)) == (3, True)
    assert nncompress("report", saved[0], "--markdown", saved[0]).exit_code == 2


@pytest.mark.slow
def test_in_actions_missed_rules_are_annotations_and_the_summary_grows(model: Path, out: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n\n")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    command = ["quantize", model, "-o", out, "--no-validate", "--max-size", "1 B", "-q", "--github-summary"]
    ended = nncompress_process(*command, env=env)
    assert ended.exit_code == 1
    failed, warned = ended.stderr.splitlines()
    assert failed.startswith("::error title=nncompress%3A small.onnx%3A max-size::")
    assert warned.startswith("::warning title=nncompress%3A small.onnx%3A validated::")
    assert summary.read_text().startswith("before\n\n## ❌ FAIL: model.onnx")
    elsewhere = nncompress_process(*command)
    assert (elsewhere.exit_code, "GITHUB_STEP_SUMMARY" in one_line(elsewhere.stderr)) == (2, True)


def test_check_annotates_too(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "s.md"))
    Path("nncompress.toml").write_text('[[budget]]\npath = "model.onnx"\nmax_size = "1 B"\n')
    ended = nncompress("check", "--github-summary")
    assert ended.exit_code == 1
    assert one_line(ended.stderr).startswith("::error title=nncompress%3A model.onnx%3A max-size::")
    assert (tmp_path / "s.md").read_text().startswith("## ❌ FAIL: 1 of 1 check failed")
