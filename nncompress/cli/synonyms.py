"""What options and commands of other tools are called here: onnxruntime, Olive, optimum, onnxsim, coreutils.

An answer begins with the option or command that is meant, or is a sentence where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nncompress.errors import printable
from nncompress.report.formats import ALL_FORMATS

_DYNAMIC = "--form integer, which rounds activations at every inference; no ranges are calibrated"
_FOLDER = "--output FILE (a model each; sweep writes many into a folder)"
_MODEL = "the model stands by itself, without an option"

OPTIONS: Mapping[str, str] = {
    # what may be overwritten, and where results go
    **dict.fromkeys(("--overwrite", "--yes", "-y", "--clobber", "--exist-ok"), "--force"),
    **dict.fromkeys(("--output-dir", "--output-folder", "--out-dir", "--outdir"), _FOLDER),
    **dict.fromkeys(("--out", "--output-model", "--output-path", "--model-output", "--save", "--dst"), "--output"),
    **dict.fromkeys(("--model", "--input", "--input-model", "--model-input", "--onnx-model", "-m", "-i"), _MODEL),
    **dict.fromkeys(("--report", "--format", "--output-format", "--log-file"), "--json FILE (or --markdown, --html)"),
    **dict.fromkeys(("--use-external-data-format", "--save-as-external-data"), "--external-data"),
    **dict.fromkeys(("--config-file", "--settings"), "--config"),
    **dict.fromkeys(("--silent", "--log-level"), "--quiet"),
    **dict.fromkeys(("--no-color", "--no-colour"), "colour goes by the variables NO_COLOR and FORCE_COLOR"),
    "--check-only": "--dry-run",
    "--skip-validation": "--no-validate",
    # which weights
    **dict.fromkeys(("--nodes-to-exclude", "--skip", "--ignore", "--disabled-nodes"), "--exclude"),
    **dict.fromkeys(("--nodes-to-quantize", "--nodes-to-include", "--layers", "--only"), "--include"),
    **dict.fromkeys(("--op-types-to-quantize", "--operators-to-quantize", "--ops", "--op-type"), "--op-types"),
    "--op-types-to-exclude": "--op-types, which names those to take",
    # how they are compressed
    "--biases": "--small-constants",  # its name before other constants were
    "--per-channel": "--per channel",
    "--per-tensor": "--per tensor",
    "--weight-symmetric": "--symmetric",
    **dict.fromkeys(
        ("--weight-type", "--weights-dtype", "--qtype", "--precision", "--quant-type", "--weight-dtype"), "--dtype"
    ),
    **dict.fromkeys(("--fp16", "--float16", "--half"), "--dtype float16"),
    **dict.fromkeys(("--int8", "--qint8"), "--dtype int8, which is the default"),
    **dict.fromkeys(("--quant-format", "--qdq"), "--form (dequantize is QDQ)"),
    **dict.fromkeys(("--weight-bits", "--nbits", "--num-bits"), "--bits"),
    **dict.fromkeys(("--block-size", "--group-size"), "--block"),
    **dict.fromkeys(("--amount", "--prune-ratio", "--pruning-ratio"), "--sparsity"),
    **dict.fromkeys(("--activation-type", "--activation-symmetric", "--static"), _DYNAMIC),
    **dict.fromkeys(("--approach", "--quant-mode", "--mode", "--dynamic", "--activations"), _DYNAMIC),
    "--extra-options": "every option stands by itself: nncompress quantize --help lists them",
    "--reduce-range": "weights have 8 bits: in the form folded they are decoded to float, where nothing overflows",
    # on what it is run
    **dict.fromkeys(("--calibration-data", "--calibrate-dataset", "--calib-data", "--calib"), "--calibration"),
    **dict.fromkeys(("--calibrate-method", "--calibration-method"), "--range"),
    **dict.fromkeys(("--dataset", "--eval-data", "--input-data", "--data-dir", "--samples", "--inputs"), "--data"),
    **dict.fromkeys(("--input-shape", "--overwrite-input-shape", "--batch-size", "--dynamic-axes"), "--dim NAME=SIZE"),
    **dict.fromkeys(("--num-threads", "--intra-op-num-threads"), "--bench-threads (--threads is of compressing)"),
    **dict.fromkeys(("--iterations", "--repeat", "--runs", "--warmup", "--test-times", "--duration"), "--seconds"),
    # what it may cost
    **dict.fromkeys(("--atol", "--rtol", "--tolerance", "--threshold-cosine"), "--min-cosine (or --min-sqnr)"),
    **dict.fromkeys(("--max-accuracy-drop", "--accuracy-loss", "--max-loss", "--tolerable-loss"), "--max-drop"),
    **dict.fromkeys(("--size-limit", "--budget", "--target-size"), "--max-size"),
}  # fmt: skip

COMMANDS: Mapping[str, str] = {
    **dict.fromkeys(("optimize", "optimise", "simplify", "lossless"), "shrink, which keeps every bit"),
    **dict.fromkeys(("compress", "reduce"), "quantize, prune, factorize, slim or shrink, or run for several passes"),
    **dict.fromkeys(("validate", "evaluate", "eval", "accuracy"), "compare"),
    **dict.fromkeys(("info", "show", "summary", "stats", "view", "list", "ls"), "inspect"),
    **dict.fromkeys(("benchmark", "profile", "perf", "perf-test", "latency", "time"), "bench"),
    **dict.fromkeys(("diff", "cmp"), "compare, which runs both; inspect MODEL MODEL2 shows what differs in the files"),
    **dict.fromkeys(("sparsify", "sparse"), "prune"),
    **dict.fromkeys(("svd", "decompose", "low-rank", "lowrank"), "factorize"),
    **dict.fromkeys(("quant", "quantization", "int8", "calibrate"), "quantize"),
    **dict.fromkeys(("test", "lint", "gate", "budget"), "check"),
    **dict.fromkeys(("config", "setup", "new"), "init"),
    **dict.fromkeys(("grid", "search", "tune"), "auto, or sweep for recipes of yours"),
    **dict.fromkeys(("env", "environment", "diagnose"), "doctor"),
    **dict.fromkeys(("apply", "pipeline", "exec"), "run"),
    **dict.fromkeys(("hash", "checksum"), "verify"),
    "version": "--version",
    "convert": "torch.onnx.export and tf2onnx make a model .onnx; float16 is nncompress quantize --dtype float16",
    "export": "torch.onnx.export and tf2onnx make a model .onnx",
}  # fmt: skip


def option_meant(error: Any) -> str | None:
    """What to say about an option that is called otherwise here, or that lacks its file; None where that is not why.

    `error`: what typer raised for a command line that it cannot understand.
    """
    name, context = getattr(error, "option_name", None), error.ctx
    if name in {f"--{entry.name}" for entry in ALL_FORMATS}:
        return f"{name} needs the file to write: {name} FILE, or {name} - for stdout"
    if name is None or context is None or not hasattr(error, "possibilities"):
        return None
    spelled, own = name.lower().replace("_", "-"), _options_of(context.command)
    answer = spelled if spelled in own else OPTIONS.get(spelled)
    if answer is None:
        return None
    said, option = f"no such option: {printable(name)}", answer.split()[0].strip(",")
    if not option.startswith("-"):
        return f"{said}; {answer}"
    if option in own:
        return f"{said}; here it is {answer}"
    commands: Mapping[str, Any] = getattr(context.find_root().command, "commands", {})
    having = [other for other, command in commands.items() if option in _options_of(command)]
    return f"{said}; {answer} is an option of {', '.join(having)}"


def command_meant(name: str, commands: Mapping[str, Any]) -> str | None:
    """The same of a command, of those that there are."""
    answer = COMMANDS.get(name.lower().replace("_", "-"))
    if answer is None:
        return None
    here = answer.split()[0].strip(",") in {*commands, "--version"}
    return f"no such command: {printable(name)}; {'here it is ' if here else ''}{answer}"


def _options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
