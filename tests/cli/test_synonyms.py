"""What other tools call options and commands is answered by what it is called here, and every answer is one."""

from __future__ import annotations

import pytest
import typer

from nncompress.cli.app import app
from nncompress.cli.synonyms import COMMANDS, OPTIONS
from tests.support import COMMANDS as ALL, MLP, nncompress, one_line

ANSWERED = [
    (["quantize", MLP, "--overwrite"], "no such option: --overwrite; here it is --force"),
    (["quantize", MLP, "-y"], "no such option: -y; here it is --force"),
    (["quantize", MLP, "--per-channel"], "no such option: --per-channel; here it is --per channel"),
    (["quantize", MLP, "--biases", "keep"], "no such option: --biases; here it is --small-constants"),
    (["quantize", MLP, "--per_tensor"], "no such option: --per_tensor; here it is --per tensor"),
    (["quantize", MLP, "--nodes-to-exclude", "x"], "no such option: --nodes-to-exclude; here it is --exclude"),
    (["quantize", MLP, "--nodes_to_quantize=x"], "no such option: --nodes_to_quantize; here it is --include"),
    (["quantize", MLP, "--op-types-to-quantize", "x"], "--op-types-to-quantize; here it is --op-types"),
    (["quantize", MLP, "--weight-type", "QInt8"], "no such option: --weight-type; here it is --dtype"),
    (
        ["quantize", MLP, "--activation_type", "QInt8"],
        "no such option: --activation_type; here it is --form integer, which rounds activations",
    ),
    (["quantize", MLP, "--calibration-data", "x"], "no such option: --calibration-data; here it is --calibration"),
    (
        ["quantize", MLP, "--reduce-range"],
        "no such option: --reduce-range; weights have 8 bits: in the form folded they are decoded",
    ),
    (["quantize", MLP, "--approach", "dynamic"], "no such option: --approach; here it is --form integer"),
    (["quantize", MLP, "--output-dir", "x"], "no such option: --output-dir; here it is --output FILE"),
    (["quantize", MLP, "--max_drop", "1 %"], "no such option: --max_drop; here it is --max-drop"),
    (["run", MLP, "--weight-bits", "8"], "no such option: --weight-bits; --bits is an option of quantize, share"),
    (["quantize", MLP, "--group-size", "32"], "no such option: --group-size; here it is --block"),
    (
        ["compare", MLP, MLP, "--overwrite"],
        "--force is an option of quantize, share, binarize, prune, factorize, slim, shrink",
    ),
    (["bench", MLP, "--warmup", "3"], "no such option: --warmup; here it is --seconds"),
    (["convert", MLP], "no such command: convert; torch.onnx.export and tf2onnx make a model .onnx"),
    (["optimize", MLP], "no such command: optimize; here it is shrink"),
    (["compress", MLP], "no such command: compress; here it is quantize, prune, factorize, slim or shrink, or run"),
    (["validate", MLP, MLP], "no such command: validate; here it is compare"),
    (["info", MLP], "no such command: info; here it is inspect"),
    (["Benchmark", MLP], "no such command: Benchmark; here it is bench"),
    (["diff", MLP, MLP], "no such command: diff; here it is compare, which runs both; inspect MODEL MODEL2 shows"),
    (["version"], "no such command: version; here it is --version"),
]


@pytest.mark.parametrize(("arguments", "message"), ANSWERED)
def test_a_name_of_another_tool_is_answered_by_meaning(arguments: list[object], message: str) -> None:
    ended = nncompress(*arguments)
    assert (ended.exit_code, ended.stdout, message in one_line(ended.stderr)) == (2, "", True)


def test_every_answer_names_an_option_or_a_command_that_there_is() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parameters = [parameter for command in commands.values() for parameter in command.params]
    options = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    answers = [answer.split()[0].strip(",") for answer in OPTIONS.values()]
    assert {answer for answer in answers if answer.startswith("-")} <= options
    assert sum(answer.split()[0].strip(",") in ALL for answer in COMMANDS.values()) >= len(COMMANDS) - 3
    assert not set(COMMANDS) & set(ALL)


def test_no_name_here_is_passed_off_as_one_of_another_tool() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    everywhere = [{name for p in command.params for name in p.opts} for command in commands.values()]
    assert not [name for name in OPTIONS if all(name in options for options in everywhere)]
