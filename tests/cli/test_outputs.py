"""The reports that options ask for: valid, complete, and never written over somebody's file."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from nncompress.cli.outputs import write_text
from nncompress.errors import NoOutputError
from tests.cli.test_compress import WORK, each_command_at_work
from tests.support import (
    IMAGES,
    MLP,
    ROOT,
    SAMPLES,
    dense_model,
    files_in,
    nncompress,
    one_line,
)

SCHEMA = json.loads((ROOT / "nncompress/report/report.schema.json").read_text())


@each_command_at_work
def test_json_follows_the_published_schema(command: str, out: Path) -> None:
    model, data = MLP, ["--data", IMAGES]
    if command == "shrink":  # whose weights are not to be had smaller to the bit
        model, data = dense_model(out.with_name("dense.onnx"), [("fc1", 64, 64), ("fc2", 64, 64)]), []
    ended = nncompress(
        command, *WORK[command], model, "-o", out, *data, "--seconds", 0.05, "--json", "-", "--min-sqnr", -99,
        "--keep-failed",
    )  # fmt: skip
    report = json.loads(ended.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert report["command"] == command
    assert report["comparison"]["reference"]["file_bytes"] == model.stat().st_size
    assert sum(line["bytes_before"] for line in report["ledger"]) == model.stat().st_size
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


# ------------------------------------------------------------------------------------------------ never over an input
@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with external data, samples, a recipe, budgets, and a hard link to the model."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for path in (SAMPLES / "digits_wide").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "feeds").mkdir()
    for name in ("d.npz", "feeds/0.npz"):
        (folder / name).write_bytes(IMAGES.read_bytes())
    (folder / "r.toml").write_text('[[steps]]\npass = "quantize-weights"\n')
    (folder / "scores.py").write_text("def score(outputs, labels): return 0.5\n")
    limits = 'reference = "model.onnx"\ndata = "d.npz"\nmetric = "scores.py:score"\nmin_cosine = 0.9\n'
    (folder / "nncompress.toml").write_text(f'[[budget]]\npath = "model.onnx"\n{limits}')
    (folder / "hard.json").hardlink_to("model.onnx")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MODEL = "model.onnx"
READING = [
    (["quantize", MODEL, "-o", "o.onnx"], "model.onnx.data"),
    (["quantize", MODEL, "-o", "o.onnx"], "hard.json"),
    (["quantize", MODEL, "-o", "o.onnx", "--data", "feeds"], "feeds/0.npz"),
    (["quantize", MODEL, "-o", "o.onnx", "--data", "d.npz", "--metric", "scores.py:score"], "scores.py"),
    (["quantize", MODEL, "-o", "o.onnx"], "nncompress.toml"),
    (["run", "r.toml", MODEL, "-o", "o.onnx"], "r.toml"),
    (["compare", MODEL, MODEL], "model.onnx.data"),
    (["bench", MODEL], "model.onnx.data"),
    (["sweep", MODEL, "--recipe", "r.toml", "-o", "out"], "model.onnx.data"),
    (["sweep", MODEL, "--recipe", "r.toml", "-o", "."], "model--r.json"),
    (["check"], "model.onnx.data"),
    (["check"], "d.npz"),
    (["check"], "scores.py"),
]


@pytest.mark.parametrize(("command", "file"), READING)
def test_no_report_goes_over_what_the_command_reads_or_writes(here: Path, command: list[str], file: str) -> None:
    before = contents(here)
    ended = nncompress(*command, "--json", file)
    assert ended.exit_code == 2
    assert f"{file} would overwrite another file of this command" in one_line(ended.stderr)
    assert contents(here) == before


def test_no_summary_goes_over_an_input(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(here)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", MODEL)
    for command in (["quantize", MODEL, "-o", "o.onnx"], ["compare", MODEL, MODEL], ["check"]):
        ended = nncompress(*command, "--github-summary")
        assert (ended.exit_code, "would overwrite another file" in one_line(ended.stderr)) == (2, True)
    assert contents(here) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize("target", ["d.npz", "feeds/0.npz", "r.toml", "nncompress.toml", "scores.py"])
def test_no_model_goes_over_what_the_command_reads(here: Path, target: str, dry: tuple[str, ...]) -> None:
    before = contents(here)
    data = "feeds" if target.startswith("feeds") else "d.npz"
    given = ("--data", data, "--metric", "scores.py:score", "--force", "--no-validate", *dry)
    ended = nncompress("run", "r.toml", MODEL, "-o", target, *given)
    assert ended.exit_code == 2
    assert one_line(ended.stderr).endswith(
        f"{target} is an input of this command: inputs are never modified, name another output"
    )
    assert contents(here) == before


# ------------------------------------------------------------------------------------------------ whole or not at all
def test_a_report_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        for name in ("r.json", "new.json"):
            with pytest.raises(NoOutputError, match=rf"cannot write .*/{name}: file too large"):
                write_text(tmp_path / name, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == {"r.json": b"old"}


def test_links_and_fifos_are_written_through(model: Path, out: Path) -> None:
    folder = out.parent
    os.mkfifo(folder / "fifo")
    (folder / "old.json").write_text("old")
    (folder / "link.json").symlink_to("old.json")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((folder / "fifo").read_text()))
    reader.start()
    given = ("--json", folder / "link.json", "--csv", folder / "fifo")
    assert nncompress("quantize", model, "--dry-run", "--no-validate", *given).exit_code == 0
    reader.join(10)
    assert read[0].startswith("name,")
    assert json.loads((folder / "old.json").read_text())["command"] == "quantize"
    assert files_in(folder) == {"fifo", "old.json", "link.json"}


# ------------------------------------------------------------------------------------------------ odd places and names
@pytest.fixture
def impatient() -> Iterator[None]:
    """Ends what waits for a FIFO."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["run", "fifo", MODEL, "--dry-run"], 2),
        (["check", "--config", "fifo"], 2),
        (["check", "--baseline", "fifo"], 3),
        (["quantize", MODEL, "--dry-run", "--data", "fifo"], 3),
        (["quantize", MODEL, "--dry-run", "--data", "d.npz", "--labels", "fifo"], 3),
        (["report", "--merge", "swept"], 3),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_what_is_read_is_never_waited_for(here: Path, command: list[str], code: int) -> None:
    os.mkfifo("fifo")
    (here / "swept").mkdir()
    os.mkfifo("swept/sweep.json")
    ended = nncompress(*command)
    assert (ended.exit_code, "regular file" in one_line(ended.stderr)) == (code, True)


@pytest.mark.parametrize("name", ["b\udcff.onnx", "a\tb.onnx", "a\\b.onnx"])
def test_a_name_that_no_model_can_give_its_data_is_refused_before_the_work(model: Path, out: Path, name: str) -> None:
    target = out.with_name(name)
    ended = nncompress("quantize", model, "-o", target, "--external-data", "--no-validate")
    assert ended.exit_code == 2
    assert "its name must be printable UTF-8 without backslashes" in one_line(ended.stderr)
    assert nncompress("quantize", model, "-o", target, "--no-validate").exit_code == 0


def test_data_may_have_a_name_that_is_not_utf_8(here: Path) -> None:
    (here / "b\udcff.npz").write_bytes(IMAGES.read_bytes())
    ended = nncompress(
        "quantize", MODEL, "--dry-run", "--no-validate", "-q", "--data", "b\udcff.npz", "--json", "r.json"
    )
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ["data", "b\\udcff.npz"] in json.loads(Path("r.json").read_text())["options"]


def test_a_link_that_leads_to_itself_is_no_model(here: Path) -> None:
    (here / "loop").symlink_to("loop")
    ended = nncompress("quantize", "loop", "-o", "x.onnx", "--no-validate", "--json", "x.json")
    assert (ended.exit_code, "links go in a circle" in one_line(ended.stderr)) == (3, True)
    assert nncompress("quantize", MODEL, "-o", "x.onnx", "--data", "loop").exit_code == 3


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for command in (["quantize", MLP, "-o", "x.onnx", "--json", "x.json"], ["compare", MLP, MLP, "--json", "x.json"]):
        ended = nncompress(*command, "--seconds", 0)
        assert (ended.exit_code, one_line(ended.stderr)[-12:]) == (4, "no such file")
