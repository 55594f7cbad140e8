"""The reports that options ask for: valid, complete, and never written over somebody's file."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support import IMAGES, MLP, ROOT, files_in, nncompress, one_line

from .test_compressing import WORK, each_command_at_work

SCHEMA = json.loads((ROOT / "nncompress/report/report.schema.json").read_text())


@each_command_at_work
def test_json_follows_the_published_schema(command: str, out: Path) -> None:
    ended = nncompress(
        command, *WORK[command], MLP, "-o", out, "--data", IMAGES, "--seconds", 0.05, "--json", "-",
        "--min-sqnr", -99, "--keep-failed",
    )  # fmt: skip
    report = json.loads(ended.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["command"] == command
    assert report["comparison"]["reference"]["file_bytes"] == MLP.stat().st_size
    assert sum(line["bytes_before"] for line in report["ledger"]) == MLP.stat().st_size
    assert sum(line["bytes_after"] for line in report["ledger"]) == out.stat().st_size


@pytest.mark.slow
def test_json_of_a_comparison_follows_the_published_schema() -> None:
    ended = nncompress("compare", MLP, MLP, "--seconds", 0, "--json", "-")
    report = json.loads(ended.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert (report["command"], report["ledger"]) == ("compare", [])


@pytest.mark.slow
def test_json_of_a_failed_gate_is_as_complete(model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, "--max-size", "1 kB", "--json", "-")
    assert ended.exit_code == 1
    report = json.loads(ended.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["summary"]["rules_failed"] == ["max-size"]


@pytest.mark.slow
def test_all_reports_can_be_written_at_once(model: Path, out: Path) -> None:
    files = {option: out.parent / f"report.{option}" for option in ("json", "markdown", "html")}
    options = [part for option, file in files.items() for part in (f"--{option}", file)]
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, "-q", *options)
    assert ended.exit_code == 0
    one_line(ended.stdout)
    assert files_in(out.parent) == {"small.onnx", "report.json", "report.markdown", "report.html"}
    assert json.loads(files["json"].read_text())["summary"]["level"] == "pass"
    assert "| fc1 |" in files["markdown"].read_text()
    assert files["html"].read_text().startswith("<!DOCTYPE html>")


@pytest.mark.slow
@pytest.mark.parametrize(("option", "start"), [("--markdown", "#"), ("--html", "<!DOCTYPE html>")])
def test_a_report_on_stdout_is_alone_there(option: str, start: str, model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, option, "-")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.startswith(start)
    assert "\nChecks\n  level" not in ended.stdout


@pytest.mark.parametrize("option", ["--json", "--markdown", "--html"])
def test_a_report_never_replaces_a_file_of_the_command(option: str, model: Path, out: Path) -> None:
    before = model.read_bytes()
    for path in (model, out):
        ended = nncompress("quantize", model, "-o", out, option, path)
        assert ended.exit_code == 2
        assert "would overwrite another file of this command" in one_line(ended.stderr)
    compared = nncompress("compare", model, model, option, model)
    assert compared.exit_code == 2
    assert model.read_bytes() == before
    assert files_in(out.parent) == set()


def test_two_reports_need_two_files(model: Path, out: Path) -> None:
    report = out.with_name("report")
    ended = nncompress("quantize", model, "-o", out, "--json", report, "--html", report)
    assert ended.exit_code == 2
    assert files_in(out.parent) == set()


def test_a_report_that_cannot_be_written_is_noticed_before_the_work(model: Path, out: Path) -> None:
    nowhere = out.parent / "nowhere" / "report.json"
    ended = nncompress("quantize", model, "-o", out, "--json", nowhere)
    assert ended.exit_code == 4
    assert f"the folder {nowhere.parent} does not exist" in one_line(ended.stderr)
    in_place_of_a_folder = nncompress("quantize", model, "-o", out, "--html", out.parent)
    assert in_place_of_a_folder.exit_code == 2
    assert files_in(out.parent) == set()
