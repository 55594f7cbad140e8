"""Factors that follow from what a weight computes: less error in the outputs of real runs than plain ones leave."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.calibrate import grams
from nncompress.forms.form import Storing
from nncompress.model.model import INSIDE
from nncompress.numerics.gram import GramSum
from nncompress.numerics.output_low_rank import output_spectrum
from nncompress.numerics.second_order import Quadratic
from nncompress.passes.base import Pass
from nncompress.passes.components import BY_RESULT
from nncompress.passes.context import Context
from nncompress.passes.factorize import Factorize
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Outcome, Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import Applied, apply_passes
from tests.calibrate.samples import applied
from tests.models import as_model, noise, proto_of, run, weight_named

Sample = dict[str, np.ndarray]
MIXED = noise(24, 24, seed=9) / np.arange(1, 25)[:, None].astype(np.float32)  # inputs have to do with each other
CASES = {
    "MatMul": ("g (float[N,24] x) => (float[N,40] y) { y = MatMul(x, w) }", (24, 40)),
    "Gemm": ("g (float[N,24] x) => (float[N,40] y) { y = Gemm<transB = 1>(x, w) }", (40, 24)),
    "Conv": ("g (float[N,24,T] x) => (float[N,40,T] y) { y = Conv(x, w) }", (40, 24, 1)),
}
TWO = "g (float[N,24] x) => (float[N,30] y) { a = MatMul(x, v) h = Tanh(a) y = MatMul(h, w) }"
TWO_WEIGHTS = {"v": noise(24, 40) / 5, "w": noise(40, 30, seed=1)}
NEARLY_LOW = (noise(24, 6) @ noise(6, 40, seed=1) + 0.1 * noise(24, 40, seed=2)).astype(np.float32)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def feeds_of(case: str, count: int, first: int = 0) -> list[Sample]:
    rows = (8, 9) if case == "Conv" else (40,)
    feeds = [(noise(*rows, 24, seed=first + seed) @ MIXED).astype(np.float32) for seed in range(count)]
    return [{"x": np.ascontiguousarray(x.transpose(0, 2, 1)) if case == "Conv" else x} for x in feeds]


def plain(proto: onnx.ModelProto, steps: list[Pass]) -> Applied:
    return apply_passes(as_model(proto), steps, Context(Storing(17)))


def error(made: Applied, proto: onnx.ModelProto, feeds: list[Sample]) -> float:
    return sum(float(np.square(run(made.model, **feed)[0] - run(proto, **feed)[0]).sum()) for feed in feeds)


def said(outcomes: tuple[Outcome, ...]) -> dict[str, str]:
    """By subject, of this pass."""
    own = [outcome for outcome in outcomes if outcome.by == "factorize"]
    return {o.subject: o.detail if isinstance(o, Rewritten) else o.reason for o in own}


def ranks(made: Applied, *names: str) -> dict[str, int]:
    return {name: int(match[1]) for name in names if (match := re.search(r"rank (\d+)", said(made.outcomes)[name]))}


@pytest.mark.parametrize("most", [6144, 8])
@pytest.mark.parametrize("case", CASES)
def test_outputs_on_other_samples_are_closer(
    case: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grams, "MOST_INPUTS", most)
    body, shape = CASES[case]
    proto, step = proto_of(body, w=noise(*shape)), Factorize(rank=5, min_size=1)
    made = applied(proto, [step], tmp_path / "samples", feeds_of(case, 8))
    without, fresh = plain(proto, [step]), feeds_of(case, 3, first=100)
    assert said(made.outcomes) == {"w": f"24x40 of rank 5, {BY_RESULT}"}
    assert said(without.outcomes) == {"w": "24x40 of rank 5"}
    assert error(made, proto, fresh) < (0.5 if most > 24 else 0.8) * error(without, proto, fresh)
    applied(proto, [Factorize(energy=0.6, min_size=1)], tmp_path / "others", feeds_of(case, 8))  # measures 8 bits, too


def test_later_weights_make_up_for_earlier_ones(tmp_path: Path) -> None:
    proto, feeds = proto_of(TWO, **TWO_WEIGHTS), feeds_of("MatMul", 8)
    made = applied(proto, [Factorize(rank=4, min_size=1)], tmp_path / "samples", feeds)
    a, b = (weight_named(made.model, name).array() for name in ("v.a0", "v.b0"))
    before, now = (np.concatenate([np.tanh(feed["x"] @ v) for feed in feeds])[None] for v in (TWO_WEIGHTS["v"], a @ b))
    gram = GramSum(1, 40, crossed=True)
    gram.add(now, before)
    expected = output_spectrum(Quadratic.of(TWO_WEIGHTS["w"].T[None], gram.total())).factors(4)
    found = [weight_named(made.model, name).array() for name in ("w.a0", "w.b0")]
    assert found[0] @ found[1] == pytest.approx(expected[0] @ expected[1], abs=1e-3)


def test_an_energy_asks_for_the_rank_that_it_does_without_samples(tmp_path: Path) -> None:
    proto, step = proto_of(CASES["MatMul"][0], w=NEARLY_LOW), Factorize(energy=0.99, min_size=1)
    made = applied(proto, [step, QuantizeWeights()], tmp_path / "samples", feeds_of("MatMul", 8))
    assert ranks(made, "w") == ranks(plain(proto, [step]), "w") == {"w": 6}
    assert BY_RESULT in said(made.outcomes)["w"]


def test_all_together_keep_the_share_and_lose_less_than_each_by_itself(tmp_path: Path) -> None:
    low = ((noise(24, 3) @ noise(3, 40, seed=1)) / 5 + 0.01 * noise(24, 40, seed=2)).astype(np.float32)
    proto, feeds = proto_of(TWO, v=low, w=TWO_WEIGHTS["w"]), feeds_of("MatMul", 8)
    kept, each = (
        applied(proto, [Factorize(min_size=1, **options)], tmp_path / "samples", feeds)  # type: ignore[arg-type]
        for options in ({"keep": 0.6}, {"ratio": 0.6})
    )
    found = ranks(kept, "v", "w")
    numbers = found.get("v", 24 * 40 / 64) * 64 + found.get("w", 40 * 30 / 70) * 70
    assert numbers <= 0.6 * (24 * 40 + 40 * 30)
    fresh = feeds_of("MatMul", 3, first=100)
    assert error(kept, proto, fresh) < 0.5 * error(each, proto, fresh)


def test_without_samples_all_together_keep_the_share_of_values() -> None:
    low = (noise(80, 3) @ noise(3, 70, seed=1) + 0.01 * noise(80, 70, seed=2)).astype(np.float32)
    body = "g (float[N,80] x) => (float[N,80] y) { a = MatMul(x, v) y = MatMul(a, w) }"
    made = plain(proto_of(body, v=low, w=noise(70, 80, seed=3)), [Factorize(keep=0.6)])
    assert said(made.outcomes) == {
        "v": "80x70 of rank 7", "w": "stays whole: its components are worth more than those of other weights (--keep)",
    }  # fmt: skip


def test_it_leaves_to_integers_what_is_better_in_them(tmp_path: Path) -> None:
    proto, feeds = proto_of(CASES["MatMul"][0], w=NEARLY_LOW), feeds_of("MatMul", 8)
    steps: list[list[Pass]] = [
        [Factorize(energy=0.99, min_size=1)],
        [Factorize(energy=0.99, min_size=1), QuantizeWeights()],
        [Factorize(rank=6, min_size=1)],
    ]
    first, *others = (applied(proto, each, tmp_path / "samples", feeds) for each in steps)
    (outcome,) = (each for each in first.outcomes if each.by == "factorize")
    assert isinstance(outcome, Skipped)
    figures = re.fullmatch(
        r"rank (\d+) would lose ([\d.]+)% of what it computes, and 8 bits, which take no more bytes, ([\d.]+)%: "
        "quantize it, or give a rank, a ratio or what to keep",
        outcome.reason,
    )
    assert figures
    assert 1 < float(figures[2]) < 15
    assert 0.1 < float(figures[3]) < 1
    assert all(BY_RESULT in said(made.outcomes)["w"] for made in others)


def test_what_nothing_is_known_of_goes_by_its_values(tmp_path: Path) -> None:
    body = (
        "g (float[N,24] x, float[N,24] s, int64 n, bool b) => (float[N,24] y) "
        "{ y = Loop(n, b, s) <body = r (int64 i, bool c, float[N,24] f) => (bool d, float[N,24] z) "
        "{ d = Identity(c) t = Tanh(f) z = MatMul(t, w) }> }"
    )
    feeds = [{**feed, "s": feed["x"], "n": np.array(2), "b": np.array(True)} for feed in feeds_of("MatMul", 2)]
    made = applied(proto_of(body, w=noise(24, 24)), [Factorize(rank=5, min_size=1)], tmp_path / "samples", feeds)
    assert said(made.outcomes) == {"w": f"24x24 of rank 5, by its values: {INSIDE}"}
