"""`verify` finds every flipped bit, in every file that a report names."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from nncompress.errors import InputError
from nncompress.workflow.verify import verify_report
from tests.support import SAMPLES, files_in, nncompress, one_line

FLIPS = 300
FILES = ("model.onnx", "model.onnx.data", "small.onnx")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data file, its compressed result and the report."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copy(SAMPLES / "digits_wide" / name, folder)
    ended = nncompress(
        "quantize", folder / "model.onnx", "-o", folder / "small.onnx", "--no-validate", "-q",
        "--json", folder / "report.json",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.stderr
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same elsewhere, to be damaged; the report still names the old paths."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def test_untouched_files_pass_one_line_each(made: Path) -> None:
    ended = nncompress("verify", made / "report.json")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        f"PASS  original: {made / 'model.onnx'}",
        f"PASS  original's data: {made / 'model.onnx.data'}",
        f"PASS  result: {made / 'small.onnx'}",
        "",
        "PASS  3 of 3 files are the same",
    ]
    assert ended.stderr == ""


def test_every_one_of_300_flipped_bits_is_found(copy: Path) -> None:
    choose = random.Random(4)
    found = 0
    for number in range(FLIPS):
        name = FILES[number % len(FILES)]
        bit = choose.randrange((copy / name).stat().st_size * 8)
        flip(copy / name, bit)
        outcomes = {file.path.name: file.outcome for file in verify_report(copy / "report.json", copy)}
        found += outcomes == {other: "differs" if other == name else "same" for other in FILES}
        flip(copy / name, bit)
    assert found == FLIPS
    assert {file.outcome for file in verify_report(copy / "report.json", copy)} == {"same"}


def test_a_difference_ends_with_exit_code_1_and_shows_both_hashes(copy: Path) -> None:
    flip(copy / "small.onnx", 8000)
    ended = nncompress("verify", copy / "report.json", "--against-dir", copy)
    assert ended.exit_code == 1
    failed, verdict = (line for line in ended.stdout.splitlines() if line.startswith("FAIL"))
    assert verdict == "FAIL  2 of 3 files are the same"
    assert failed.startswith(f"FAIL  result: {copy / 'small.onnx'}: SHA-256 is ")
    assert "the report says" in failed


def test_a_missing_file_ends_with_exit_code_3(copy: Path) -> None:
    (copy / "model.onnx.data").unlink()
    ended = nncompress("verify", copy / "report.json", "--against-dir", copy)
    assert ended.exit_code == 3
    failed, _ = (line for line in ended.stdout.splitlines() if line.startswith("FAIL"))
    assert failed.endswith(f"cannot read {copy / 'model.onnx.data'}: no such file")
    flip(copy / "model.onnx", 99)
    assert nncompress("verify", copy / "report.json", "--against-dir", copy).exit_code == 1


def test_files_are_found_beside_a_report_that_was_moved_with_them(copy: Path, made: Path) -> None:
    gone = made.with_name("gone")
    made.rename(gone)
    try:
        files = verify_report(copy / "report.json")
    finally:
        gone.rename(made)
    assert {file.path.parent for file in files} == {copy}
    assert {file.outcome for file in files} == {"same"}


def test_data_in_a_folder_below_the_model_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    proto = onnx.load(SAMPLES / "digits_mlp.onnx")
    (tmp_path / "models/weights").mkdir(parents=True)
    onnx.save(proto, tmp_path / "models/m.onnx", save_as_external_data=True, location="weights/all.bin")
    monkeypatch.chdir(tmp_path)
    nncompress("quantize", "models/m.onnx", "-o", "small.onnx", "--no-validate", "--json", "report.json")
    ended = nncompress("verify", "report.json")
    assert (ended.exit_code, ended.stdout.splitlines()[1]) == (0, "PASS  original's data: models/weights/all.bin")
    monkeypatch.chdir("/")
    assert nncompress("verify", tmp_path / "report.json").exit_code == 0
    assert nncompress("verify", tmp_path / "report.json", "--against-dir", tmp_path).exit_code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{}", "there is no field 'schema_version'"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"PASS", "report is not JSON"),
        (b'{"schema_version": 2}', "report is damaged"),
        (b'{"schema_version": ' + b"1" * 5000 + b"}", "holds a whole number of more than 64 bits"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=["empty", "not text", "not JSON", "no fields", "long number", "deep"],
)
def test_what_is_no_report_is_refused_in_one_line(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(text)
    ended = nncompress("verify", tmp_path / "report.json")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert message in one_line(ended.stderr)
    assert str(tmp_path / "report.json") in ended.stderr


def test_what_check_saved_names_no_pair_of_files(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nncompress.toml").write_text(f"[[budget]]\npath = '{made / 'small.onnx'}'\nmax_size = '1 MB'\n")
    assert nncompress("check", "--json", "check.json").exit_code == 0
    ended = nncompress("verify", "check.json")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "check.json: it is a report of nncompress check; give one of a command that" in one_line(ended.stderr)


def test_a_report_or_folder_that_is_not_there_is_refused(made: Path, tmp_path: Path) -> None:
    assert nncompress("verify", tmp_path / "none.json").exit_code == 3
    with pytest.raises(InputError, match="there is no such folder"):
        verify_report(made / "report.json", tmp_path / "none")
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("name", ["x" * 5000, "a\\u0000b", "\\ud800", "/dev/zero", "\\u001b[2J"])
def test_odd_paths_in_a_report_are_only_missing_files(name: str, copy: Path) -> None:
    report = copy / "report.json"
    report.write_text(report.read_text().replace(f'"{copy.parent}', '"').replace('"model.onnx.data"', f'"{name}"'))
    ended = nncompress("verify", report, "--against-dir", copy)
    assert (ended.exit_code, ended.stderr.count("\n") <= 1) == (3, True)
    assert "\x1b" not in ended.stdout
