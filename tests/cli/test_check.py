"""`check` as a CI step would use it: exit codes, reports, and what lands on which stream."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support import MLP, last_line, nncompress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "m.onnx").write_bytes(MLP.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def budget(limits: str, path: str = "m.onnx") -> None:
    Path("nncompress.toml").write_text(f'[[budget]]\npath = "{path}"\n{limits}\n')


def test_a_missed_limit_ends_with_1_and_is_said_on_stderr_whatever_the_format(here: Path) -> None:
    budget('max_size = "100 kB"\nmax_params = "1 M"')
    ended = nncompress("check", "--json", "-")
    assert ended.exit_code == 1
    tree = json.loads(ended.stdout)
    assert [(rule["rule"], rule["level"]) for rule in tree["models"][0]["rules"]] == [
        ("max-size", "fail"),
        ("max-params", "pass"),
    ]
    assert ended.stderr.startswith(
        "nncompress: m.onnx: max-size failed: 341 kB, limit <= 100 kB (nncompress.toml); 241 kB above the limit:"
    )


def test_exit_zero_and_warnings_do_not_break_a_build(here: Path) -> None:
    budget('max_size = "100 kB"')
    ended = nncompress("check", "--exit-zero")
    assert ended.exit_code == 0
    assert last_line(ended.stdout).startswith("FAIL")
    budget('max_size = "100 kB"\nlevel = "warn"')
    ended = nncompress("check")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert last_line(ended.stdout).startswith("WARN")


def test_an_unreadable_model_ends_with_3_after_all_others_were_checked(here: Path) -> None:
    (here / "a.onnx").write_bytes(b"no model")
    Path("nncompress.toml").write_text('[[budget]]\npath = "*.onnx"\nmax_size = "1 MB"\n')
    ended = nncompress("check", "--json", "r.json", "--junit", "r.xml", "--markdown", "-", "--exit-zero")
    assert ended.exit_code == 3
    assert "1 of 2 checks failed (1 of 2 models)" in ended.stdout
    assert ended.stderr.startswith("nncompress: a.onnx: readable failed: a.onnx: it is not an ONNX model")
    assert json.loads(Path("r.json").read_text())["models"][0]["figures"] is None
    assert ET.parse("r.xml").getroot().get("failures") == "1"
    again = nncompress("report", "r.json")
    assert "a.onnx" in again.stdout


def test_reports_are_written_beside_the_text(here: Path) -> None:
    budget('max_size = "100 kB"')
    ended = nncompress("check", "--json", "r.json", "--junit", "r.xml", "--markdown", "r.md")
    assert last_line(ended.stdout).startswith("FAIL  1 of 1 check failed")
    assert json.loads(Path("r.json").read_text())["level"] == "fail"
    assert ET.parse("r.xml").getroot().get("failures") == "1"
    assert Path("r.md").read_text().startswith("## ❌ FAIL: 1 of 1 check failed")


def test_configuration_errors_are_all_said_and_end_with_2(here: Path) -> None:
    budget("max_sise = 3\nmin_cosine = 7")
    ended = nncompress("check")
    assert ended.exit_code == 2
    assert "did you mean 'max_size'?" in ended.stderr
    assert "7 is no cosine" in ended.stderr
    assert "nncompress.toml has 2 problems" in ended.stderr


def test_a_glob_that_matches_nothing_ends_with_2_unless_it_is_optional(here: Path) -> None:
    budget("max_size = 3000", "no-*.onnx")
    ended = nncompress("check")
    assert ended.exit_code == 2
    assert "'no-*.onnx' matches no file" in ended.stderr
    budget("max_size = 3000\noptional = true", "no-*.onnx")
    assert nncompress("check").exit_code == 0


def test_another_configuration_may_be_named(here: Path) -> None:
    (here / "ci").mkdir()
    (here / "ci/limits.toml").write_text('[[budget]]\npath = "../*.onnx"\nmax_size = "1 MB"\n')
    ended = nncompress("check", "--config", "ci/limits.toml")
    assert (ended.exit_code, last_line(ended.stdout)) == (0, "PASS  1 check on 1 model")
    assert nncompress("check", "--config", "gone.toml").exit_code == 2


def test_regressions_against_a_saved_check(here: Path) -> None:
    budget('max_size = "1 MB"')
    assert nncompress("check", "--json", "old.json").exit_code == 0
    assert nncompress("check", "--baseline", "old.json", "--max-regression", "0 %").exit_code == 0
    tree = json.loads(Path("old.json").read_text())
    tree["models"][0]["figures"]["size_bytes"] -= 20_000
    Path("old.json").write_text(json.dumps(tree))
    ended = nncompress("check", "--baseline", "old.json")
    assert ended.exit_code == 1
    assert re.search(r"FAIL +regression-size +321 kB -> 341 kB \(6.23 % worse\) +<= 1 % worse", ended.stdout)
    assert nncompress("check", "--baseline", "old.json", "--max-regression", "10 %").exit_code == 0


def test_sizes_and_threads_come_from_options_and_from_the_configuration(here: Path) -> None:
    budget('reference = "m.onnx"\nmin_cosine = 0.9')
    text = Path("nncompress.toml").read_text()
    assert nncompress("check", "--dim", "batch=3", "--bench-threads", 2).exit_code == 0
    Path("nncompress.toml").write_text(f"bench_threads = 2\n[data]\ndims = {{ batch = 3 }}\n{text}")
    shown = nncompress("check", "--show-config").stdout.split()
    assert shown[shown.index("dim") :][:3] == ["dim", "batch=3", "nncompress.toml"]
    assert shown[shown.index("bench_threads") :][:3] == ["bench_threads", "2", "nncompress.toml"]
    assert nncompress("check").exit_code == 0
    ended = nncompress("check", "--dim", "bach=3")
    assert (ended.exit_code, "has a free dimension 'bach' (did you mean 'batch'?)" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--max-regression", "1 %"], 2, "--max-regression needs --baseline"),
        (["--baseline", "gone.json"], 3, "baseline: cannot read gone.json: no such file"),
        (["--baseline", "m.onnx"], 3, "baseline: cannot read m.onnx: it is not UTF-8 text"),
        (["--json", "-", "--junit", "-"], 2, "only one report can go to stdout, not --json and --junit"),
        (["--json", "m.onnx"], 2, "would overwrite another file of this command"),
        (["--json", "nncompress.toml"], 2, "would overwrite another file of this command"),
        (["--json", "a", "--junit", "a"], 2, "would overwrite another file of this command"),
        (["--json", "nowhere/a"], 4, "cannot write nowhere/a"),
        (["--bench-threads", "0"], 2, "--bench-threads must be 1 to 1024, not 0"),
        (["--dim", "batch"], 2, "--dim 'batch' is not NAME=SIZE, such as batch=1"),
    ],
)
def test_options_that_cannot_be_meant(here: Path, options: list[str], exit_code: int, message: str) -> None:
    budget('max_size = "1 MB"')
    ended = nncompress("check", *options)
    assert ended.exit_code == exit_code
    assert message in ended.stderr
