"""Wrong usage: exit code 2 and one line on stderr that says what would be right; no traceback unless asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import MLP, SAMPLES, files_in, nncompress, nncompress_process, one_line

QUANTIZE = ["quantize", MLP, "-o", "OUT"]
RUN = ["run", MLP, "-o", "OUT"]
COMPARE = ["compare", MLP, MLP]

REFUSED = [
    (["quantise"], "no such command 'quantise'. Did you mean 'quantize'?"),
    (["quantize", "-o", "OUT"], "missing argument 'MODEL'; see nncompress quantize -h"),
    (["compare", MLP], "missing argument 'CAND'; see nncompress compare -h"),
    ([*QUANTIZE, "--min-cosin", 0.9], "no such option: --min-cosin (Possible options: --min-cosine"),
    ([*QUANTIZE, "--rank", 5], "no such option: --rank"),
    ([*QUANTIZE, "--min-size", "many"], "--min-size must be a whole number, not 'many'"),
    (
        [*QUANTIZE, "extra.onnx"],
        "unexpected argument 'extra.onnx', it takes MODEL: nncompress sweep takes several models",
    ),
    (["passes", "--al"], "no such option: --al"),
    (["quantize", MLP, "-o", "-"], "-o -: a model is no text, and does not go to stdout: name a file, such as -o"),
    (["sweep", MLP, "-o", "-"], "-o -: models are no text, and do not go to stdout: name a folder, such as -o results"),
    (["inspect", MLP, "--json"], "--json needs the file to write: --json FILE, or --json - for stdout"),
    (["inspect", MLP, "--json", "-v"], "--json needs the file to write, not -v: --json FILE, or --json - for stdout"),
    (["inspect", MLP, "--json", "b.onnx"], "--json b.onnx would overwrite another file of this command, or a model"),
    ([*COMPARE, "--html", "nncompress.toml"], "would overwrite another file of this command, or a configuration"),
    (["quantize", MLP, "-o", "/dev/stdout"], "cannot write /dev/stdout: it is not a regular file; name another output"),
    ([*QUANTIZE, "--dtype", "int7"], "dtype must be 'int8', 'uint8', 'float16' or 'bfloat16', not 'int7'"),
    ([*QUANTIZE, "--per", "row"], "--per must be 'auto', 'channel' or 'tensor', not 'row'"),
    ([*QUANTIZE, "--form", "qdq"], "unknown form 'qdq': it is folded, dequantize, integer"),
    ([*QUANTIZE, "--include", "fc1.wieght"], "'fc1.wieght' matches no weight and no node that reads one (did you mean"),
    ([*QUANTIZE, "--exclude", "nothing*"], "'nothing*' matches no weight and no node that reads one"),
    ([*QUANTIZE, "--max-size", "ten"], "--max-size: 'ten' is not a size such as '4 MB'"),
    ([*QUANTIZE, "--max-size", "4 MX"], "unknown unit 'MX' in size '4 MX'"),
    ([*QUANTIZE, "--max-size", "4"], "--max-size: size '4' is ambiguous: write '4 MB', or '4 B' for bytes"),
    ([*QUANTIZE, "--max-drop", "1 %"], "--max-drop needs labels: --data with --labels NPZ or as an array 'labels'"),
    ([*COMPARE, "--max-drop", "1 point"], "--max-drop needs labels: --data with --labels NPZ"),
    ([*QUANTIZE, "--max-drop", "1"], "share '1' is ambiguous: write '1 %'"),
    ([*QUANTIZE, "--min-cosine", "2"], "--min-cosine: 2.0 is no cosine: it must lie between -1 and 1"),
    ([*QUANTIZE, "--min-cosine", "nan"], "--min-cosine: nan is no cosine: it must lie between -1 and 1"),
    ([*QUANTIZE, "--min-ratio", "0"], "--min-ratio: 0.0 is no ratio: it must be above 0"),
    ([*QUANTIZE, "--max-latency-ratio", "nan"], "--max-latency-ratio: nan is no ratio: it must be above 0"),
    ([*QUANTIZE, "--dim", "batch"], "--dim 'batch' is not NAME=SIZE, such as batch=1"),
    ([*QUANTIZE, "--dim", "batch=0"], "--dim 'batch=0' is not NAME=SIZE"),
    ([*QUANTIZE, "--labels", "l.npz"], "--labels needs --data: labels belong to samples"),
    ([*QUANTIZE, "--dim", f"batch={'9' * 5000}"], "is not NAME=SIZE, such as batch=1"),
    ([*QUANTIZE, "--bench-threads", "0"], "--bench-threads must be 1 to 1024, not 0"),
    ([*QUANTIZE, "--bench-threads", "3000000000"], "--bench-threads must be 1 to 1024, not 3000000000"),
    ([*QUANTIZE, "--seconds", "-1"], "--seconds must be 0 (latency is not measured) to 3600, not -1"),
    ([*QUANTIZE, "--seconds", "nan"], "--seconds must be 0 (latency is not measured) to 3600, not nan"),
    ([*QUANTIZE, "--seconds", "1e300"], "--seconds must be 0 (latency is not measured) to 3600, not 1e+300"),
    ([*QUANTIZE, "--seed", "-1"], f"--seed must be 0 to {2**63 - 1}, not -1"),
    ([*QUANTIZE, "--seed", 2**63], f"--seed must be 0 to {2**63 - 1}, not {2**63}"),
    ([*QUANTIZE, "--threads", "-2"], "--threads must be 0 (all cores) to 1024, not -2"),
    ([*QUANTIZE, "--threads", "100000"], "--threads must be 0 (all cores) to 1024, not 100000"),
    (["bench", MLP, "--seed", "-1"], "--seed must be 0 to"),
    ([*COMPARE, "--seconds", "3601"], "--seconds must be 0 (latency is not measured) to 3600, not 3601"),
    (["sweep", MLP, "--recipe", "r.toml", "-o", "OUT", "--shard", f"1/{'9' * 5000}"], "is not I/N with I from 1 to N"),
    (["prune", MLP, "-o", "OUT", "--sparsity", "50"], "sparsity must lie between 0 and 1, not at 50"),
    (["prune", MLP, "-o", "OUT", "--sparsity", "half"], "sparsity must be a number, not 'half'"),
    (["prune", MLP, "-o", "OUT", "--sparsity", "50 % of it"], "sparsity must be a number, not '50 % of it'"),
    (["prune", MLP, "-o", "OUT", "--sparsity", "120 %"], "sparsity must lie between 0 and 1, not at 1.2"),
    ([*QUANTIZE, "--op-types", "Gemm,Cnv"], "no operator of type 'Cnv' reads a weight: those that read one are Gemm"),
    ([*QUANTIZE, "--op-types", ""], "no operator of type '' reads a weight: those that read one are Gemm"),
    ([*QUANTIZE, "--op-types", "Gem"], "no operator of type 'Gem' reads a weight (did you mean 'Gemm'?)"),
    (["factorize", MLP, "-o", "OUT", "--rank", "3", "--ratio", "0.5"], "give one of rank, energy, ratio and keep"),
    ([*RUN, "-p", "prun-magnitude"], "unknown pass 'prun-magnitude' (did you mean 'prune-magnitude'?)"),
    ([*RUN, "-p", "factorize:rnk=3"], "factorize: unknown option 'rnk' (did you mean 'rank'?)"),
    (
        [*RUN, "-p", "quantize-weights", "-p", "prune-magnitude"],
        "prune-magnitude after quantize-weights would undo it; the order that works: prune-magnitude, quantize-weights",
    ),
    (RUN, "give either a recipe and a model, or passes with -p and one model"),
    ([*RUN, "other.onnx", "-p", "factorize"], "give either a recipe and a model, or passes with -p and one model"),
    ([*COMPARE, "--json", "-", "--html", "-"], "only one report can go to stdout, not --json and --html"),
    (["passes", "factorise"], "unknown pass 'factorise' (did you mean 'factorize'?)"),
]


def with_output(arguments: list[object], out: Path) -> list[object]:
    return [out if argument == "OUT" else argument for argument in arguments]


def test_an_empty_command_line_shows_help_and_is_no_success() -> None:
    ended = nncompress()
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Usage: nncompress")


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_meant_ends_with_2_and_one_line(arguments: list[object], message: str, out: Path) -> None:
    ended = nncompress(*with_output(arguments, out))
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert one_line(ended.stderr).startswith("nncompress: error: ")
    assert message in ended.stderr
    assert files_in(out.parent) == set()


def test_a_recipe_with_a_typo_names_its_place_and_the_nearest_key(out: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\npass = "quantize-weights"\ngranularty = "tensor"\n')
    ended = nncompress("run", recipe, MLP, "-o", out)
    assert ended.exit_code == 2
    assert one_line(ended.stderr) == (
        f"nncompress: error: {recipe}: step 1: quantize-weights: "
        "unknown option 'granularty' (did you mean 'granularity'?)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (f"seed={'9' * 5000}", "seed must be a whole number, not '999"),
        (f"steps.{'9' * 5000}.min_size=1", "they are 0 to 0"),
    ],
)
def test_a_change_by_a_number_of_thousands_of_digits_is_refused(
    change: str, message: str, out: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[[steps]]\npass = "quantize-weights"\n')
    ended = nncompress("run", recipe, MLP, "-o", out, "--set", change)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert message in one_line(ended.stderr)


def test_a_variable_is_held_to_the_same_bounds(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNCOMPRESS_SEED", "-1")
    ended = nncompress("quantize", MLP, "-o", out)
    assert ended.exit_code == 2
    assert one_line(ended.stderr) == (
        f"nncompress: error: --seed must be 0 to {2**63 - 1}, not -1 (--seed is set by NNCOMPRESS_SEED)"
    )


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ("nothing.npz", 3, "no such file or folder"),
        (SAMPLES / "README.md", 3, "data is a folder, a .npz or a .npy file"),
        (SAMPLES / "data/tokens_evaluation.npz", 3, "'image'"),
        (
            SAMPLES / "digits_wide",
            3,
            "it is a folder with an ONNX model, no samples: the model is named before the options",
        ),
    ],
)
def test_data_that_does_not_fit_ends_with_3_before_anything_is_written(
    data: object, code: int, message: str, out: Path
) -> None:
    ended = nncompress("quantize", MLP, "-o", out, "--data", data)
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert message in one_line(ended.stderr)
    assert files_in(out.parent) == set()


def test_no_command_at_all_shows_the_help() -> None:
    ended = nncompress()
    assert ended.exit_code == 2
    assert "Commands:" in ended.stdout + ended.stderr


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert nncompress("--version").stdout == f"nncompress {version('nncompress')}\n"


def test_an_unexpected_error_ends_with_5_and_one_line(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("first\nsecond \x1b[31m")

    monkeypatch.setattr("nncompress.workflow.compress.compress_file", broken)
    ended = nncompress("quantize", MLP, "-o", out)
    assert (ended.exit_code, ended.stdout) == (5, "")
    assert one_line(ended.stderr) == (
        r"nncompress: error: internal error: ZeroDivisionError: first\nsecond \x1b[31m (--debug shows where)"
    )
    traced = nncompress("--debug", "quantize", MLP, "-o", out)
    assert traced.exit_code == 5
    assert "Traceback (most recent call last)" in traced.stderr


@pytest.mark.slow
def test_debug_shows_where_a_deliberate_error_came_from(out: Path) -> None:
    plain = nncompress_process("quantize", "missing.onnx", "-o", out)
    assert (plain.exit_code, plain.stdout) == (3, "")
    assert one_line(plain.stderr) == "nncompress: error: cannot read missing.onnx: no such file"
    for ended in (
        nncompress_process("--debug", "quantize", "missing.onnx", "-o", out),
        nncompress_process("quantize", "missing.onnx", "-o", out, env={"NNCOMPRESS_DEBUG": "1"}),
    ):
        assert ended.exit_code == 3
        assert "Traceback (most recent call last)" in ended.stderr
        assert ended.stderr.splitlines()[-1] == one_line(plain.stderr)
