"""Range and zero points by output error: W x in float64 on the real feeds agrees with what was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nncompress.forms.form import Storing
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.passes.statistics import BY_OUTPUT, Needs
from nncompress.results.record import Rewritten
from nncompress.runtime import child
from nncompress.workflow.pipeline import apply_passes
from tests.calibrate.samples import applied
from tests.models import as_model, noise, proto_of, run, weight_named

BODY = "g (float[N,K] x) => (float[N,M] y) { y = MatMul(x, w) }"
EXACT = QuantizeWeights(range="minmax", scales="float32", equalise=False, smallest="same", small_constants="keep")
Sample = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def with_grid(low: float, step: float, zero: int) -> np.ndarray:
    """[128, 96] between `low` and 1; those of every other input lie on the grid of `step` and `zero`."""
    w = np.random.default_rng(0).uniform(low, 1, (128, 96)).astype(np.float32)
    w[125], w[127] = low, 1
    codes = np.clip(np.rint(w[::2] / step) + zero, -128, 127) - zero
    w[::2] = codes.astype(np.float32) * np.float32(step)
    return w


def samples() -> list[Sample]:
    """Every other input is a hundred times as large."""
    x = np.stack([noise(40, 128, seed=seed) for seed in range(3)])
    x[..., ::2] *= 100
    return [{"x": each} for each in x]


def decoded(
    w: np.ndarray, step: QuantizeWeights | ShareWeights, folder: Path, feeds: list[Sample] | None, body: str = BODY
) -> tuple[np.ndarray, str]:
    """What becomes of w, and what is said of it."""
    proto = proto_of(body, w=w)
    if feeds is None:
        made = apply_passes(as_model(proto), [step], Context(Storing(17)))
    else:
        made = applied(proto, [step], folder / "samples", feeds)
    (outcome,) = (outcome for outcome in made.outcomes if isinstance(outcome, Rewritten) and outcome.subject == "w")
    return weight_named(made.model, "w").array(), outcome.detail


def output_error(w: np.ndarray, other: np.ndarray, feeds: list[Sample]) -> float:
    difference = w.astype(np.float64) - other
    return float(sum(np.square(feed["x"].astype(np.float64) @ difference).sum() for feed in feeds))


@pytest.mark.parametrize(
    ("w", "by_range", "by_output"),
    [
        (with_grid(0.0, 1 / 127, 0), "asymmetric", "symmetric"),
        (with_grid(-0.8, 1.8 / 255, -15), "symmetric", "asymmetric"),
    ],
    ids=["only the range wants zero points", "only the output does"],
)
def test_zero_points_are_chosen_by_output_error_where_range_says_otherwise(
    w: np.ndarray, by_range: str, by_output: str, tmp_path: Path
) -> None:
    feeds = samples()
    without, said = decoded(w, EXACT, tmp_path, None)
    assert f"int8, {by_range}," in said
    assert BY_OUTPUT not in said
    chosen, said = decoded(w, EXACT, tmp_path, feeds)
    assert f"int8, {by_output}," in said
    assert said.endswith(BY_OUTPUT)
    both = [decoded(w, replace(EXACT, symmetric=kind), tmp_path, None)[0] for kind in (True, False)]
    assert output_error(w, chosen, feeds) == min(output_error(w, each, feeds) for each in both)
    assert output_error(w, chosen, feeds) < output_error(w, without, feeds) / 2


def test_a_range_is_clipped_where_the_output_loses_least(tmp_path: Path) -> None:
    """The largest values belong to inputs that are hardly used; no range of all values alike has a smaller error."""
    w = noise(512, 8)
    w[:4] *= 6
    x = [noise(100, 512, seed=seed) for seed in range(3)]
    for each in x:
        each[:, :4] *= 0.01
    feeds = [{"x": each} for each in x]
    step = QuantizeWeights(smallest="same", equalise=False, symmetric=True)
    chosen, _ = decoded(w, step, tmp_path, feeds)
    for range_ in ("mse", "minmax"):
        other, _ = decoded(w, replace(step, range=range_), tmp_path, None)
        assert output_error(w, chosen, feeds) < output_error(w, other, feeds)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_groups_of_a_transposed_convolution_keep_their_inputs_apart(granularity: str, tmp_path: Path) -> None:
    """Each (group, channel) has a scale of its own, and large inputs of one group are none of the other."""
    body = "g (float[N,8,6] x) => (float[N,24,8] y) { y = ConvTranspose<group = 2>(x, w) }"
    w, x = noise(8, 12, 3), noise(4, 8, 6)
    x[:, ::2] *= 30
    w[1::2, :, 0] *= 3
    step = QuantizeWeights(symmetric=True, smallest="same", only_if_smaller=False, granularity=granularity)
    errors = {}
    for name, feeds in (("chosen", [{"x": x}]), ("plain", None)):
        other, said = decoded(w, step, tmp_path, feeds, body)
        assert (BY_OUTPUT in said) is (feeds is not None)
        before, after = (run(proto_of(body, w=each), x=x)[0].astype(np.float64) for each in (w, other))
        errors[name] = np.square(after - before).sum()
    assert errors["chosen"] <= errors["plain"] * 1.001


def test_what_decides_nothing_asks_for_nothing() -> None:
    assert QuantizeWeights().uses == Needs(inputs=True)
    for step in (QuantizeWeights(range="minmax", symmetric=True), QuantizeWeights(dtype="float16")):
        assert not step.uses


def test_small_constants_become_float16_but_no_biases_that_a_later_pass_moves(tmp_path: Path) -> None:
    from nncompress.passes.correct_biases import CorrectBiases

    body = "g (float[N,64] x) => (float[N,256] y) { a = Gemm(x, w, b) y = LayerNormalization(a, s, t) }"
    constants = {"w": noise(64, 256), **{name: noise(256, seed=seed) for seed, name in enumerate("bst")}}
    for passes, halved in (([QuantizeWeights()], {"b", "s", "t"}), ([QuantizeWeights(), CorrectBiases()], {"s", "t"})):
        steps: list[Pass] = list(passes)
        feeds = [{"x": noise(8, 64, seed=seed)} for seed in range(3)]
        made = applied(proto_of(body, **constants), steps, tmp_path / "samples", feeds)
        assert {o.subject for o in made.outcomes if isinstance(o, Rewritten) and o.detail == "float16"} == halved


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_values_that_groups_of_channels_share_are_fitted_to_outputs(tmp_path: Path, granularity: str) -> None:
    step = ShareWeights(bits=3, group_channels=24, granularity=granularity)  # type: ignore[arg-type]
    w, feeds = noise(128, 96), samples()
    w[1::2] *= 4
    plain, said = decoded(w, step, tmp_path, None)
    felt, said_with_samples = decoded(w, step, tmp_path, feeds)
    assert output_error(w, felt, feeds) < 0.5 * output_error(w, plain, feeds)
    assert np.square(w - felt).sum() > np.square(w - plain).sum()
    assert said.startswith("8 values in each of 4 groups of channels")
    why = "rounded to the nearest: groups of channels have tables of their own"
    assert said_with_samples == f"{said}, {BY_OUTPUT}, {why}"
