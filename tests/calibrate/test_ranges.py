"""Ranges of activations: what the model computes on all samples, feed by feed, and a reason where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import onnx_ir as ir
import pytest

from nncompress.calibrate import ranges, spreads
from nncompress.calibrate.cache import Cache
from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.model.model import Model
from nncompress.numerics.estimators import Estimator, Method, kept_range
from nncompress.numerics.spread import Spread
from nncompress.passes.statistics import ActivationRange
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.calibrate.test_walk import RESIDUAL, B, Sample, U, V, W, coarser, samples_read, x_samples
from tests.models import as_model, noise, proto_of

METHODS: tuple[Method, ...] = get_args(Method)
VALUES = ["x", "a", "b", "r", "d", "e", "s", "f", "y"]
CONSTANT = "it is the same for all inputs"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run in this process, which saves a second each time."""
    monkeypatch.setattr(child, "_in_process", True)


def residual() -> Model:
    return as_model(proto_of(RESIDUAL, w=W, v=V, u=U, c=B))


def by_definition(model: Model, name: str, samples: Sequence[Sample], estimator: Estimator) -> ActivationRange:
    spread = Spread()
    for value in samples_read(model, name, list(samples)):
        spread.add(value)
    kept = kept_range(spread, estimator)
    return ActivationRange(*kept, spread.least, spread.greatest, spread.count, spread.not_finite, len(spread.lows))


def assert_alike(known: ActivationRange | str, expected: ActivationRange) -> None:
    """Up to what float32 kernels of a model cut elsewhere differ by."""
    assert isinstance(known, ActivationRange)
    largest = max(-expected.least, expected.greatest)
    ends = [(r.low, r.high, r.least, r.greatest) for r in (known, expected)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-5 * largest)
    assert (known.count, known.not_finite, known.feeds) == (expected.count, expected.not_finite, expected.feeds)


def known_of(model: Model, folder: Path, samples: list[Sample], *names: str) -> list[ActivationRange | str]:
    run = CalibrationRun(model, samples_of(folder, model, samples))
    return list(run.ranges(model, names, Estimator()).values())


# ------------------------------------------------------------------------------------------------ what is known
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("budget", [1, 200, 1 << 30])
@pytest.mark.parametrize("method", METHODS)
def test_ranges_are_those_of_the_whole_model_in_however_many_groups(
    method: Method, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "BUDGET_BYTES", budget)
    model, samples = residual(), x_samples()
    run = CalibrationRun(model, samples_of(tmp_path / "x", model, samples), threads=2)
    known = run.ranges(model, VALUES, Estimator(method))
    assert list(known) == VALUES
    for name in VALUES:
        assert_alike(known[name], by_definition(model, name, samples, Estimator(method)))


@pytest.mark.usefixtures("here")
def test_the_model_is_run_as_it_is_now(tmp_path: Path) -> None:
    original, samples = residual(), x_samples()
    model = coarser(original, "w")
    known = CalibrationRun(original, samples_of(tmp_path / "x", original, samples)).ranges(model, ["a"], Estimator())
    assert_alike(known["a"], by_definition(model, "a", samples, Estimator()))
    assert known["a"] != by_definition(original, "a", samples, Estimator())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("method", METHODS)
def test_samples_may_differ_in_shape_and_the_last_batch_in_size(method: Method, tmp_path: Path) -> None:
    samples = [*x_samples(3, 4, 8), *x_samples(1, 1, 8), *x_samples(1, 9, 8)]
    model = residual()
    known = CalibrationRun(model, samples_of(tmp_path / "x", model, samples)).ranges(model, ["s"], Estimator(method))
    assert_alike(known["s"], by_definition(model, "s", samples, Estimator(method)))
    assert isinstance(known["s"], ActivationRange)
    assert known["s"].count == (3 * 4 + 1 + 9) * 8


@pytest.mark.usefixtures("here")
def test_elements_that_are_not_finite_are_counted_apart(tmp_path: Path) -> None:
    body = "g (float[N,8] x) => (float[N,8] y, float[N,8] z) { y = Log(x) z = Sub(y, y) q = Div(z, z) }"
    model, samples = as_model(proto_of(body)), [{"x": np.array([[0, 1, 2, -1, 3, 4, 0, 5]], np.float32)}]
    y, q = known_of(model, tmp_path / "x", samples, "y", "q")
    assert isinstance(y, ActivationRange)
    assert (y.low, y.least, y.count, y.not_finite) == (0, 0, 5, 3)
    assert y.high == y.greatest == pytest.approx(np.log(5), rel=1e-6)
    assert q == "none of its elements is a finite number"


@pytest.mark.usefixtures("here")
def test_a_feed_without_elements_counts_for_nothing(tmp_path: Path) -> None:
    model = residual()
    empty: list[Sample] = [{"x": np.zeros((0, 8), np.float32)}]
    assert known_of(model, tmp_path / "x", empty, "a") == ["it is empty for every feed"]
    (known,) = known_of(model, tmp_path / "y", [*empty, *x_samples(2)], "a")
    assert isinstance(known, ActivationRange)
    assert known.feeds == 2


# ------------------------------------------------------------------------------------------------ reasons
@pytest.mark.usefixtures("here")
def test_every_value_without_a_range_has_a_reason(tmp_path: Path) -> None:
    body = (
        "g (float[N,8] x) => (float[N,8] y, int64[K] i) { a = MatMul(x, w) i = Shape(a) t = Transpose(w) "
        "l = SequenceConstruct(a, x) m = SplitToSequence(a) z = ReduceSum(x) k = Cast <to = 9> (z) "
        "y = If (k) <then_branch = h () => (float[N,8] p) { o = Neg(a) p = Neg(o) }, "
        "else_branch = e () => (float[N,8] p2) { p2 = Identity(a) }> }"
    )
    model = as_model(proto_of(body.replace("ReduceSum(x)", "ReduceSum <keepdims = 0> (x)"), w=W))
    reasons = dict(zip(("i", "t", "w", "l", "m", "k", "o", "nobody"), known_of(
        model, tmp_path / "x", x_samples(), "i", "t", "w", "l", "m", "k", "o", "nobody"), strict=True))  # fmt: skip
    assert reasons == {
        "i": "it is int64, no float", "t": CONSTANT, "w": CONSTANT, "l": "'l' is no tensor", "m": "'m' is no tensor",
        "k": "it is bool, no float", "nobody": "there is no value of that name",
        "o": "it lies in a graph inside a node (If, Loop, Scan) or in a function",
    }  # fmt: skip
    (y,) = known_of(model, tmp_path / "x", x_samples(), "y")
    assert isinstance(y, ActivationRange)


@pytest.mark.usefixtures("here")
def test_what_is_not_asked_for_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(spreads.SummingUp, "__call__")
    model = residual()
    assert known_of(model, tmp_path / "x", x_samples()) == []
    assert known_of(model, tmp_path / "x", x_samples(), "w") == [CONSTANT]


# ------------------------------------------------------------------------------------------------ the child
def test_a_child_process_tells_the_same_and_names_the_model_of_an_error(tmp_path: Path) -> None:
    model, samples = residual(), x_samples()
    (known,) = known_of(model, tmp_path / "x", samples, "y")
    assert_alike(known, by_definition(model, "y", samples, Estimator()))
    model.path = Path("m.onnx")
    model.ir.graph.node(0).attributes.add(ir.AttrInt64("nonsense", 1))
    with pytest.raises(InputError, match=r"^m\.onnx: calibrating activations of it: .*nonsense"):
        known_of(model, tmp_path / "x", samples, "y")


# ------------------------------------------------------------------------------------------------ the cache
@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, here: None) -> list[tuple[str, ...]]:
    """The values that were summed up, run by run."""
    made: list[tuple[str, ...]] = []
    call = spreads.SummingUp.__call__

    def counted(self: spreads.SummingUp, request: spreads.SumUp) -> dict[str, spreads.Sum | str]:
        made.append(tuple(request.sums))
        return call(self, request)

    monkeypatch.setattr(spreads.SummingUp, "__call__", counted)
    return made


def ranged(
    model: Model, samples: Feeds, file: Path | None, *names: str, method: Method = "minmax"
) -> tuple[dict[str, ActivationRange | str], list[str]]:
    cache = Cache(file)
    return dict(CalibrationRun(model, samples, cache=cache).ranges(model, names, Estimator(method))), cache.notes


def test_a_second_run_reads_the_file_and_runs_nothing(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model, file = residual(), tmp_path / "c.cache"
    samples = samples_of(tmp_path / "x", model, x_samples())
    first = {method: ranged(model, samples, None, *VALUES, method=method)[0] for method in METHODS}
    runs.clear()
    known, notes = ranged(model, samples, file, *VALUES)
    assert (known, notes, len(runs)) == (first["minmax"], [], 1)
    again = residual()  # loaded anew
    for method in METHODS:
        known, notes = ranged(again, samples, file, *VALUES, method=method)
        assert known == first[method]
        assert notes == [f"{file} told what 9 of 9 activations are like"]
    assert len(runs) == 1


def test_values_that_are_new_are_added(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model, file = as_model(proto_of("g (float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) i = Shape(y) }", w=W)), None
    samples = samples_of(tmp_path / "x", model, x_samples())
    file = tmp_path / "c.cache"
    ranged(model, samples, file, "x", "i")
    known, notes = ranged(model, samples, file, "x", "y", "i")
    assert known == ranged(model, samples, None, "x", "y", "i")[0]
    assert notes == [f"{file} told what 2 of 3 activations are like"]
    assert runs[:2] == [("i", "x"), ("y",)]
    ranged(model, samples, file, "x", "y", "i")
    assert len(runs) == 3


def test_another_model_or_other_samples_are_computed_anew(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model, file = residual(), tmp_path / "c.cache"
    samples = samples_of(tmp_path / "x", model, x_samples())
    others = samples_of(tmp_path / "y", model, x_samples(4))
    ranged(model, samples, file, "a")
    for now, feeds in ((coarser(model, "c"), samples), (model, others)):
        known, notes = ranged(now, feeds, file, "a")
        assert known == ranged(now, feeds, None, "a")[0]
        assert notes == [f"{file} was made for another model or other samples: it was made anew"]
        assert ranged(now, feeds, file, "a")[1] == [f"{file} told what 1 of 1 activations are like"]


def test_one_run_is_enough_for_all_that_is_asked_in_a_row(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model = residual()
    run = CalibrationRun(model, samples_of(tmp_path / "x", model, x_samples()))
    for method in METHODS:
        run.ranges(model, ["a", "r"], Estimator(method))
    assert runs == [("a", "r")]


def test_a_file_that_is_no_cache_is_refused_and_stays(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model, good = residual(), tmp_path / "good"
    ranged(model, samples_of(tmp_path / "x", model, x_samples()), good, "a")
    broken = tmp_path / "broken"
    broken.write_bytes(good.read_bytes()[:-50])
    other = tmp_path / "other.npz"
    np.savez(other, x=noise(3))
    text = tmp_path / "text"
    text.write_text("hello")
    with np.load(good) as arrays:
        short = {name: arrays[name] for name in arrays.files} | {"counts": arrays["counts"][:0]}
    np.savez(tmp_path / "short.npz", **short)
    for file in (broken, other, text, tmp_path / "short.npz", tmp_path / "x"):
        with pytest.raises(InputError, match=r"is no calibration cache: name a new file, or delete this one$"):
            Cache(file)
        assert file.exists()


def test_a_cache_of_another_version_is_made_anew(
    tmp_path: Path, runs: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = residual(), tmp_path / "c"
    samples = samples_of(tmp_path / "x", model, x_samples())
    monkeypatch.setattr("nncompress.calibrate.cache.VERSION", 0)
    ranged(model, samples, file, "a")
    monkeypatch.undo()
    monkeypatch.setattr(child, "_in_process", True)
    assert "was made for another model or other samples" in ranged(model, samples, file, "a")[1][0]
    assert Cache(file).spreads(model, samples, ["a"], lambda lacking: {})


def test_where_nothing_may_be_written_nothing_is(tmp_path: Path, runs: list[tuple[str, ...]]) -> None:
    model, file = residual(), tmp_path / "c"
    cache = Cache(file, writes=False)
    run = CalibrationRun(model, samples_of(tmp_path / "x", model, x_samples()), cache=cache)
    assert isinstance(run.ranges(model, ["a"], Estimator())["a"], ActivationRange)
    assert not file.exists()
