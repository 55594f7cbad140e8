"""Old opsets are raised where something needs it, never without the same outputs, and never silently kept."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nncompress
from nncompress.errors import NoOutputError, UsageError
from nncompress.feeds.synthesise import synthesise_choices
from nncompress.model.model import Model
from nncompress.model.raised import CannotRaise, raised
from nncompress.onnx_file.read import load
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.results.record import Report
from nncompress.validate.in_child import original_in_child
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.proof import Proof
from nncompress.workflow.raised_check import SameOutputs, same_made_up_outputs
from tests.models import as_model, linear, model_of, noise, proto_of, run, saved
from tests.support import nncompress as command, one_line

BODY = "g (float[N,64] x) => (float[N,48] y) { a = MatMul(x, w) y = Softmax(a) }"
NO_CHANNELS = "there is no form dequantize with one scale a channel before opset 13"


def old(opset: int) -> onnx.ModelProto:
    body = (
        BODY
        if opset >= 12
        else BODY.replace("Softmax(a)", "Softmax(b)").replace(" y =", " b = Dropout<ratio=0.5>(a) y =")
    )
    return proto_of(body, opset=opset, ir_version=4, w=noise(64, 48) / 8)


def scan_of_opset_8() -> onnx.ModelProto:
    """A Scan with its batch axis, which the converter leaves as it is: the raised model does not compute the same."""
    nodes = [helper.make_node("MatMul", ["i", "w"], ["o"]), helper.make_node("Identity", ["s"], ["t"])]

    def info(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = helper.make_graph(nodes, "body", [info("s", 2), info("i", 1, 64)], [info("t", 2), info("o", 1, 64)])
    scan = helper.make_node("Scan", ["", "s0", "x"], ["s1", "y"], body=body, num_scan_inputs=1)
    inputs, outputs = [info("s0", 1, 2), info("x", 1, 4, 1, 64)], [info("s1", 1, 2), info("y", 1, 4, 1, 64)]
    graph = helper.make_graph([scan], "g", inputs, outputs, [numpy_helper.from_array(noise(64, 64), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=4)


def compressed(
    proto: onnx.ModelProto, folder: Path, *passes: Pass, validate: bool = True, form: str = "folded", keep: bool = False
) -> Report:
    return compress_file(
        saved(proto, folder / "m.onnx"), folder / "o.onnx", passes, command="run",
        proof=Proof(validate=validate, seconds=0), writing=Writing(form, keep_opset=keep, force=True),
    )  # fmt: skip


def rules_of(report: Report) -> dict[str, tuple[str, str]]:
    return {rule.rule: (rule.level, rule.figure) for rule in report.verdict.rules}


@pytest.mark.parametrize(
    ("opset", "one", "form", "result", "why"),
    [
        (6, QuantizeWeights(), "folded", 7, "nothing can be stored smaller before opset 7"),
        (7, QuantizeWeights(), "folded", 7, None),
        (8, QuantizeWeights(), "dequantize", 13, NO_CHANNELS),
        (12, QuantizeWeights(), "dequantize", 13, NO_CHANNELS),
        (13, QuantizeWeights(), "dequantize", 13, None),
        (9, QuantizeWeights(granularity="tensor"), "dequantize", 10, "there is no form dequantize before opset 10"),
        (10, QuantizeWeights(granularity="tensor"), "dequantize", 10, None),
        (9, QuantizeWeights(dtype="bfloat16"), "folded", 13, "there is no bfloat16 before opset 13"),
        (9, QuantizeWeights(dtype="float16"), "folded", 9, None),
        (9, PruneMagnitude(sparsity=0.8), "folded", 11, "zeros cannot be stored small before opset 11"),
        (6, Factorize(rank=2), "folded", 7, "nothing can be stored smaller before opset 7"),
    ],
)
def test_the_opset_is_raised_as_far_as_pass_and_form_need_it(
    opset: int, one: Pass, form: str, result: int, why: str | None
) -> None:
    model = linear(noise(64, 64), opset=opset)
    made = compress_graph(model, [one], form=form)
    assert made.changed
    assert (made.model.opset, model.opset) == (result, opset)
    assert made.notes == (() if why is None else (f"opset {opset} -> {result}, because {why}: not run",))
    assert {line.form for line in made.lines[:1]} == {
        "dequantize" if form == "dequantize" else "cast" if isinstance(one, QuantizeWeights) and "float" in one.dtype
        else "sparse-mask" if isinstance(one, PruneMagnitude) else "factors (dense)" if isinstance(one, Factorize)
        else "folded"
    }  # fmt: skip


def test_what_has_no_weights_stays_as_it_is() -> None:
    made = compress_graph(model_of("g (float[4] x) => (float[4] y) { y = Relu(x) }", opset=6), [QuantizeWeights()])
    assert (made.model.opset, made.notes) == (6, ())


def test_the_report_says_that_the_outputs_are_the_same_and_the_result_runs(tmp_path: Path) -> None:
    report = compressed(old(8), tmp_path, QuantizeWeights(), form="dequantize")
    assert f"opset 8 -> 13, because {NO_CHANNELS}: the same outputs on 4 synthetic feeds" in report.notes
    assert rules_of(report)["form"] == ("pass", "1 of 1 weights as dequantize")
    assert report.verdict.level == "pass"
    x = noise(3, 64)
    (before,), (after,) = run(tmp_path / "m.onnx", x=x), run(tmp_path / "o.onnx", x=x)
    assert np.abs(after - before).max() < 0.01
    assert (report.comparison.reference.opset, report.comparison.candidate.opset) == (8, 13)
    assert sum(line.bytes_before for line in report.ledger) == (tmp_path / "m.onnx").stat().st_size


def test_without_validation_the_report_says_that_nothing_was_run(tmp_path: Path) -> None:
    report = compressed(old(8), tmp_path, QuantizeWeights(), form="dequantize", validate=False)
    assert f"opset 8 -> 13, because {NO_CHANNELS}: not run" in report.notes
    assert report.verdict.level == "warn"


@pytest.mark.parametrize("proto", [scan_of_opset_8(), old(8)], ids=["the converter is wrong", "kept"])
def test_a_form_that_the_opset_cannot_have_is_an_error(proto: onnx.ModelProto, tmp_path: Path) -> None:
    keep = proto.graph.node[0].op_type != "Scan"
    reason = r"\(--keep-opset\)" if keep else r"\(the converted model (does not work|gives another output).*\)"
    wanted = f"{NO_CHANNELS}, and the model stays at opset 8 {reason}; --form folded does without"
    with pytest.raises(UsageError, match=wanted) as error:
        compressed(proto, tmp_path, QuantizeWeights(), form="dequantize", keep=keep, validate=not keep)
    assert "raised.onnx" not in str(error.value)
    assert not (tmp_path / "o.onnx").exists()


def test_where_a_pass_cannot_have_its_opset_the_verdict_warns(tmp_path: Path) -> None:
    steps = PruneMagnitude(sparsity=0.8), QuantizeWeights()
    report = compressed(old(8), tmp_path, *steps, keep=True, validate=False)
    assert report.verdict.level == "warn"
    found = rules_of(report)
    assert found["opset"] == ("warn", "8")
    assert found["steps"] == ("warn", "prune-magnitude changed nothing")
    assert report.comparison.candidate.opset == 8


@pytest.mark.parametrize("keep", [True, False])
def test_where_nothing_can_be_stored_the_error_says_why(keep: bool, tmp_path: Path) -> None:
    proto = old(8) if keep else scan_of_opset_8()
    told = "nothing was compressed: zeros cannot be stored small before opset 11, and the model stays at opset 8"
    with pytest.raises(NoOutputError, match=told):
        compressed(proto, tmp_path, PruneMagnitude(sparsity=0.8), keep=keep, validate=not keep)


def test_a_step_that_changes_nothing_is_a_warning_with_its_reason(tmp_path: Path) -> None:
    report = compressed(old(13), tmp_path, PruneMagnitude(min_size=10**6), QuantizeWeights(), validate=False)
    assert report.verdict.level == "warn"
    (rule,) = (rule for rule in report.verdict.rules if rule.rule == "steps")
    assert rule.advice == "leave prune-magnitude out, or see why: fewer than 1000000 elements (--min-size)"
    both = PruneMagnitude(sparsity=0.8), QuantizeWeights()
    assert "steps" not in rules_of(compressed(old(13), tmp_path, *both, validate=False))


@pytest.mark.parametrize(
    ("proto", "one"),
    [
        (proto_of("g (int64[N] x) => (float[N,64] y) { y = Gather(w, x) }", w=noise(64, 64)), QuantizeWeights()),
        (old(13), QuantizeWeights(dtype="float16")),
    ],
    ids=["a table", "halves"],
)
def test_a_form_that_no_weight_takes_is_a_warning(proto: onnx.ModelProto, one: Pass, tmp_path: Path) -> None:
    report = compressed(proto, tmp_path, one, form="dequantize", validate=False)
    assert rules_of(report)["form"] == ("warn", "0 of 1 weights as dequantize")


# ------------------------------------------------------------------------------------------------ the check
def test_outputs_that_differ_are_a_reason_against_raising(tmp_path: Path) -> None:
    proto, other = old(8), proto_of(BODY, opset=8, ir_version=4, w=noise(64, 48, seed=1))
    path, model = saved(proto, tmp_path / "m.onnx"), as_model(proto)
    feeds = synthesise_choices(model.ir, seed=0, dims={})[0]
    with original_in_child(path) as original:
        check = SameOutputs(original, feeds, 1)
        assert check(raised(model, 13)) == check(raised(model, 13)) == "the same outputs on 4 synthetic feeds"
        with pytest.raises(CannotRaise, match=r"the converted model gives another output 'y': SQNR .* dB"):
            SameOutputs(original, feeds, 1)(raised(as_model(other), 13))


def test_a_model_that_cannot_be_run_is_not_raised_in_memory() -> None:
    model = model_of("g (float[N,64] x) => (float[N,48] y) { y = MatMul(x, w) }", opset=9, w=noise(32, 48))
    with pytest.raises(CannotRaise, match="it cannot be run to compare"):
        same_made_up_outputs(model, raised(model, 13))


def test_from_python_a_model_is_raised_and_may_be_kept() -> None:
    model: Model = as_model(old(8))
    assert nncompress.compress(model, [QuantizeWeights()], form="dequantize").opset == 13
    with pytest.raises(UsageError, match=NO_CHANNELS):
        nncompress.compress(model, [QuantizeWeights()], form="dequantize", keep_opset=True)
    assert nncompress.compress(model, [QuantizeWeights()], keep_opset=True).opset == 8


def test_the_option_and_the_recipe_forbid_it(tmp_path: Path) -> None:
    path, out = saved(old(8), tmp_path / "m.onnx"), tmp_path / "o.onnx"
    refused = command("quantize", path, "-o", out, "--form", "dequantize", "--keep-opset", "--no-validate")
    assert (refused.exit_code, NO_CHANNELS in one_line(refused.stderr)) == (2, True)
    recipe = tmp_path / "r.toml"
    recipe.write_text('keep_opset = true\nform = "dequantize"\n[[steps]]\npass = "quantize-weights"\n')
    assert command("run", recipe, path, "-o", out, "--no-validate").exit_code == 2
    recipe.write_text(recipe.read_text().replace("true", "false"))
    assert command("run", recipe, path, "-o", out, "--no-validate").exit_code == 0
    assert load(out).opset == 13


def test_inspect_predicts_what_a_raised_model_would_take(tmp_path: Path) -> None:
    path = saved(linear_of_opset_6(), tmp_path / "m.onnx")
    inspection = nncompress_inspect(path)
    compressed_to = command("quantize", path, "-o", tmp_path / "o.onnx", "--no-validate")
    assert compressed_to.exit_code == 0
    assert inspection == ([None], (tmp_path / "o.onnx").stat().st_size)


def linear_of_opset_6() -> onnx.ModelProto:
    return proto_of("g (float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }", opset=6, ir_version=4, w=noise(64, 64))


def nncompress_inspect(path: Path) -> tuple[list[str | None], int | None]:
    from nncompress.workflow.inspect import inspect_file

    found = inspect_file(path)
    return [weight.barrier for weight in found.weights], found.prediction and found.prediction.bytes_after
