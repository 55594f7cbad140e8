"""The commands that write a model: what they leave behind, and the exit code of every way to end."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.support import COMPRESSING, MLP, SAMPLES, dense_model, files_in, last_line, nncompress, one_line

WORK = {
    "quantize": [],
    "share": [],
    "binarize": [],
    "prune": ["--sparsity", 0.8],
    "factorize": ["--rank", 4],
    "slim": ["--share", 0.5, "--multiple", 4],
    "shrink": [],
    "run": ["-p", "prune-magnitude:sparsity=0.8", "-p", "quantize-weights"],
}
each_command = pytest.mark.parametrize("command", COMPRESSING)
AT_WORK = ("prune", "factorize", "shrink", "run")  # encodings are written alike, whichever they are
each_command_at_work = pytest.mark.parametrize(
    "command", ["quantize", *(pytest.param(name, marks=pytest.mark.slow) for name in AT_WORK)]
)


@each_command_at_work
def test_a_smaller_model_is_written_and_nothing_else(command: str, model: Path, out: Path) -> None:
    before = model.read_bytes()
    ended = nncompress(command, *WORK[command], model, "-o", out, "--seconds", 0)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert files_in(out.parent) == {"small.onnx"}
    assert files_in(model.parent) == {"model.onnx"}
    assert model.read_bytes() == before
    assert out.stat().st_size < len(before) / 1.5
    onnx.checker.check_model(onnx.load(out), full_check=True)
    assert last_line(ended.stdout).partition("  ")[0] in {"PASS", "WARN"}
    assert "model.onnx -> small.onnx" in ended.stdout
    assert "on synthetic inputs" in ended.stdout


def test_without_a_name_the_result_stands_beside_the_model_and_is_not_overwritten(model: Path) -> None:
    given = ("quantize", model, "--no-validate", "-q")
    made = model.with_name("model.small.onnx")
    assert "model.onnx -> model.small.onnx" in nncompress(*given, "--dry-run").stdout
    assert not made.exists()
    assert nncompress(*given).exit_code == 0
    first = made.stat()
    refused = nncompress(*given)
    assert (refused.exit_code, f"{made} exists (--force overwrites it)" in one_line(refused.stderr)) == (2, True)
    assert made.stat() == first
    assert nncompress(*given, "-f").exit_code == 0
    assert made.stat().st_ino != first.st_ino
    assert nncompress("run", "-p", "quantize-weights", model, "--no-validate", "-f").exit_code == 0


@each_command_at_work
@pytest.mark.parametrize(("option", "limit"), [("--min-cosine", 0.9999999), ("--max-size", "1 kB")])
def test_a_missed_gate_ends_with_1_and_keeps_nothing(
    command: str, option: str, limit: object, model: Path, out: Path
) -> None:
    if command == "shrink" and option == "--min-cosine":
        option, limit = "--min-ratio", 1000  # its outputs are those of the original
    ended = nncompress(command, *WORK[command], model, "-o", out, "--seconds", 0, option, limit)
    assert ended.exit_code == 1
    assert last_line(ended.stdout).startswith("FAIL  model.onnx -> small.onnx")
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAIL  ")]
    assert failed[0].startswith(f"FAIL  {option.removeprefix('--').removeprefix('min-')}: ")
    assert (len(failed), ended.stderr) == (2, "")
    assert files_in(out.parent) == set()


def test_keep_failed_keeps_the_result_of_a_missed_gate(model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, "--max-size", "1 kB", "--keep-failed")
    assert ended.exit_code == 1
    assert files_in(out.parent) == {"small.onnx"}


@each_command
def test_a_limit_fails_where_nothing_was_measured(command: str, model: Path, out: Path) -> None:
    ended = nncompress(command, *WORK[command], model, "-o", out, "--no-validate", "--min-cosine", 0.5)
    assert ended.exit_code == 1
    assert "not measured" in ended.stdout
    assert files_in(out.parent) == set()


@each_command
def test_a_model_that_is_not_there_ends_with_3(command: str, tmp_path: Path, out: Path) -> None:
    missing = tmp_path / "missing.onnx"
    ended = nncompress(command, *WORK[command], missing, "-o", out)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert one_line(ended.stderr) == f"nncompress: error: cannot read {missing}: no such file"
    assert files_in(out.parent) == set()


@each_command
@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07", bytes(range(256)) * 9, b"PK\x03\x04" + bytes(90)])
def test_a_file_that_is_no_model_ends_with_3(command: str, content: bytes, tmp_path: Path, out: Path) -> None:
    given = tmp_path / "text.onnx"
    given.write_bytes(content)
    ended = nncompress(command, *WORK[command], given, "-o", out)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert one_line(ended.stderr).startswith("nncompress: error: ")
    assert "text.onnx" in ended.stderr
    assert files_in(out.parent) == set()


def test_a_folder_given_as_the_model_ends_with_3(tmp_path: Path, out: Path) -> None:
    ended = nncompress("quantize", tmp_path, "-o", out)
    assert ended.exit_code == 3
    assert str(tmp_path) in one_line(ended.stderr)


def test_a_model_cut_short_ends_with_3(model: Path, out: Path) -> None:
    model.write_bytes(model.read_bytes()[:-1000])
    ended = nncompress("quantize", model, "-o", out)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "model.onnx" in one_line(ended.stderr)
    assert files_in(out.parent) == set()


@each_command_at_work
def test_a_file_that_exists_is_not_overwritten_without_force(command: str, model: Path, out: Path) -> None:
    out.write_text("mine")
    ended = nncompress(command, *WORK[command], model, "-o", out, "--seconds", 0)
    assert ended.exit_code == 2
    assert one_line(ended.stderr) == f"nncompress: error: {out} exists (--force overwrites it)"
    assert out.read_text() == "mine"
    assert nncompress(command, *WORK[command], model, "-o", out, "--seconds", 0, "--force").exit_code == 0
    assert out.stat().st_size > 1000


@pytest.mark.slow
def test_force_keeps_the_old_file_where_a_gate_fails(model: Path, out: Path) -> None:
    out.write_text("mine")
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, "--force", "--max-size", "1 kB")
    assert ended.exit_code == 1
    assert out.read_text() == "mine"
    assert files_in(out.parent) == {"small.onnx"}


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
def test_the_input_is_never_the_output(force: list[str], link: str, model: Path) -> None:
    before = model.read_bytes()
    target = model if link == "same" else model.with_name("other.onnx")
    if link == "symbolic":
        target.symlink_to(model)
    elif link == "hard":
        target.hardlink_to(model)
    ended = nncompress("quantize", model, "-o", target, *force)
    assert ended.exit_code == 2
    assert "is the input itself" in one_line(ended.stderr)
    assert model.read_bytes() == before


def test_the_data_file_of_the_input_is_never_the_output(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.onnx.data"):
        (tmp_path / name).write_bytes((SAMPLES / "digits_wide" / name).read_bytes())
    before = (tmp_path / "model.onnx.data").read_bytes()
    ended = nncompress("quantize", tmp_path / "model.onnx", "-o", tmp_path / "model.onnx.data", "--force")
    assert ended.exit_code == 2
    assert "is the input itself" in one_line(ended.stderr)
    assert (tmp_path / "model.onnx.data").read_bytes() == before


@each_command
def test_a_folder_that_is_not_there_ends_with_4(command: str, model: Path, tmp_path: Path) -> None:
    ended = nncompress(command, *WORK[command], model, "-o", tmp_path / "nowhere" / "small.onnx")
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert f"the folder {tmp_path / 'nowhere'} does not exist" in one_line(ended.stderr)


def test_a_folder_given_as_the_output_ends_with_2(model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out.parent)
    assert ended.exit_code == 2
    assert "it is a folder; name a file in it" in one_line(ended.stderr)


def test_a_model_that_is_quantized_already_ends_with_4(model: Path, out: Path) -> None:
    assert nncompress("quantize", model, "-o", out, "--seconds", 0).exit_code == 0
    again = nncompress("quantize", out, "-o", out.with_name("again.onnx"), "--seconds", 0)
    assert (again.exit_code, again.stdout) == (4, "")
    assert "nothing was compressed: it is quantized already" in one_line(again.stderr)
    assert files_in(out.parent) == {"small.onnx"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["quantize", "--min-size", 10**6], "3 weights: fewer than 1000000 elements (--min-size)"),
        (["factorize", "--energy", 0.9999], "of its energy; only up to"),
        (["prune", "--threshold", 1e-9], "3 weights: no value is small enough to become zero"),
        (["quantize", "--exclude", "fc*"], "3 weights: excluded"),
    ],
)
def test_nothing_to_compress_ends_with_4_and_the_reason(
    command: list[object], reason: str, model: Path, out: Path
) -> None:
    ended = nncompress(*command, model, "-o", out, "--seconds", 0)
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert one_line(ended.stderr).startswith("nncompress: error: nothing was compressed: ")
    assert reason in ended.stderr
    assert files_in(out.parent) == set()


def test_a_result_that_would_be_larger_ends_with_4(tmp_path: Path, out: Path) -> None:
    tiny = dense_model(tmp_path / "tiny.onnx", [("w", 2, 2)])
    ended = nncompress("quantize", tiny, "-o", out, "--even-if-larger", "--min-size", 1, "--seconds", 0)
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert "the result would not be smaller" in one_line(ended.stderr)
    assert files_in(out.parent) == set()
    for_speed = nncompress(
        "quantize", tiny, "-o", out, "--even-if-larger", "--min-size", 1, "--seconds", 0, "--for", "speed",
        "--activations", "float",
    )  # fmt: skip
    assert for_speed.exit_code == 0
    assert out.is_file()
    unknown = nncompress("quantize", tiny, "-o", out, "--for", "fun")
    assert unknown.exit_code == 2
    assert "unknown aim --for 'fun': it is size, speed, both or accuracy" in one_line(unknown.stderr)


@each_command_at_work
def test_a_dry_run_reports_and_writes_nothing(command: str, model: Path, out: Path) -> None:
    ended = nncompress(command, *WORK[command], model, "--seconds", 0, "--dry-run")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "smaller" in last_line(ended.stdout)
    assert files_in(model.parent) == {"model.onnx"}
    assert nncompress(command, *WORK[command], model, "-o", out, "--seconds", 0, "--dry-run").exit_code == 0
    assert files_in(out.parent) == set()


def test_a_dry_run_fails_where_the_run_would_fail(model: Path) -> None:
    ended = nncompress("quantize", model, "--seconds", 0, "--dry-run", "--max-size", "1 kB")
    assert ended.exit_code == 1
    assert files_in(model.parent) == {"model.onnx"}


def test_what_was_not_run_is_not_called_proven(model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out, "--no-validate", "-q")
    assert ended.exit_code == 0
    assert one_line(ended.stdout).startswith("WARN  model.onnx -> small.onnx")
    assert ended.stdout.endswith("not validated\n")


@pytest.mark.slow
def test_weights_are_chosen_by_their_names_and_by_those_of_their_nodes(model: Path, out: Path) -> None:
    ended = nncompress("quantize", model, "-o", out, "--seconds", 0, "--include", "fc[12]", "--exclude", "matmul0")
    assert ended.exit_code == 0
    graph = onnx.load(out).graph
    types = {i.name: i.data_type for i in graph.initializer}
    casts = {node.output[0]: types.get(node.input[0]) for node in graph.node if node.op_type == "Cast"}
    assert casts["fc1"] == casts["fc3"] == onnx.TensorProto.FLOAT16  # which holds them to the bit
    assert onnx.TensorProto.INT8 in casts.values()


@pytest.mark.slow
def test_a_recipe_runs_its_passes_in_order(model: Path, out: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\npass = "prune-magnitude"\nsparsity = 0.8\n\n[[steps]]\npass = "quantize-weights"\n')
    ended = nncompress("run", recipe, model, "-o", out, "--seconds", 0)
    assert ended.exit_code == 0
    other = out.with_name("other.onnx")
    options = ["-p", "prune-magnitude:sparsity=0.8", "-p", "quantize-weights"]
    assert nncompress("run", *options, model, "-o", other, "--seconds", 0).exit_code == 0
    assert out.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_large_weights_can_be_put_beside_the_model(out: Path) -> None:
    assert nncompress("quantize", MLP, "-o", out, "--seconds", 0, "--external-data").exit_code == 0
    (data,) = files_in(out.parent) - {"small.onnx"}
    assert data.startswith("small.onnx.")
    assert data.endswith(".data")
    assert out.stat().st_size < (out.parent / data).stat().st_size
