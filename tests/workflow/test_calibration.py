"""Where the samples come from that passes take statistics from, what the report says of it, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from nncompress.errors import InputError, UsageError
from nncompress.files.places import MADE_UP
from nncompress.model.model import Model
from nncompress.numerics.estimators import Estimator
from nncompress.passes import QuantizeWeights
from nncompress.passes.context import Context
from nncompress.passes.statistics import ActivationRange, Needs
from nncompress.results.limits import Limits
from nncompress.results.record import Outcome, Report
from nncompress.runtime import child
from nncompress.workflow.calibration import Calibrating
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.proof import Proof
from tests.models import noise, proto_of, saved

BODY = "g (float[N,16] x) => (float[N,16] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }"


@dataclass(frozen=True)
class Ranging(QuantizeWeights):
    """Asks for ranges, and leaves them where a test finds them."""

    name: ClassVar[str] = "ranging"
    needs: ClassVar[Needs] = Needs(ranges=True)
    known: ClassVar[dict[str, ActivationRange | str]] = {}

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        """Also quantizes weights, so that there is a result."""
        assert context.calibration is not None
        self.known.clear()
        self.known.update(context.calibration.ranges(model, ["x", "r"], Estimator()))
        return super().apply(model, context)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run in this process, which saves a second each time."""
    monkeypatch.setattr(child, "_in_process", True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(proto_of(BODY, w=noise(16, 16), v=noise(16, 16, seed=1)), tmp_path / "m.onnx")


def samples(folder: Path, count: int, seed: int = 0, **more: np.ndarray) -> Path:
    folder.mkdir()
    for place in range(count):
        np.savez(folder / f"{place}.npz", x=noise(2, 16, seed=seed + place), **more)
    return folder


def compressed(
    model: Path, calibrating: Calibrating = Calibrating(), proof: Proof = Proof(), **writing: bool
) -> Report:
    return compress_file(
        model, model.with_name("out.onnx"), [Ranging(min_size=1)], command="run", calibrating=calibrating,
        proof=Proof(proof.validate, proof.data, proof.labels, seconds=0), writing=Writing(force=True, **writing),
        limits=Limits(),
    )  # fmt: skip


def range_of_x(*feeds: np.ndarray) -> tuple[float, float]:
    return float(min(feed.min() for feed in feeds)), float(max(feed.max() for feed in feeds))


def known_range() -> tuple[float, float, int]:
    known = Ranging.known["x"]
    assert isinstance(known, ActivationRange)
    assert isinstance(Ranging.known["r"], ActivationRange)
    return known.least, known.greatest, known.feeds


def test_samples_of_their_own_calibrate(model: Path, tmp_path: Path) -> None:
    data, calibration = samples(tmp_path / "data", 3), samples(tmp_path / "calibration", 5, seed=50)
    report = compressed(model, Calibrating(calibration), Proof(data=data))
    assert known_range() == (*range_of_x(*(noise(2, 16, seed=50 + place) for place in range(5))), 5)
    assert any(note.endswith(f"activations were calibrated on 5 feeds of {calibration}") for note in report.notes)
    assert report.comparison.run is not None
    assert report.comparison.run.feeds.count == 3


@pytest.mark.parametrize("validate", [True, False])
def test_of_data_alone_a_part_calibrates_and_the_rest_proves(validate: bool, model: Path, tmp_path: Path) -> None:
    data = samples(tmp_path / "data", 9)
    np.savez(tmp_path / "labels.npz", labels=np.arange(18) % 16)
    report = compressed(model, proof=Proof(validate, data, tmp_path / "labels.npz"))
    assert known_range() == (*range_of_x(*(noise(2, 16, seed=place) for place in (0, 4, 8))), 3)
    said = f"3 of the 9 feeds of {data} (one of 4) calibrate, and only the other 6 prove the result"
    assert said in report.notes
    if validate:
        assert report.comparison.run is not None
        assert report.comparison.run.feeds.count == 6
        assert report.comparison.run.metrics[0].samples == 12
    else:
        assert report.comparison.run is None


def test_made_up_samples_are_not_those_of_the_proof_and_are_stamped(model: Path) -> None:
    report = compressed(model, Calibrating(MADE_UP))
    assert known_range()[2] == 16
    made_up = "calibrated on 16 MADE-UP feeds (seed 0), not on real samples: what real ones need is a guess"
    assert made_up in report.notes
    (rule,) = [rule for rule in report.verdict.rules if rule.rule == "calibration"]
    assert (rule.level, rule.figure) == ("warn", "synthetic")
    first = known_range()
    compressed(model, Calibrating(MADE_UP), Proof(validate=False))
    assert known_range() == first


def test_where_all_is_real_no_rule_is_about_calibration(model: Path, tmp_path: Path) -> None:
    report = compressed(model, Calibrating(samples(tmp_path / "c", 2)))
    assert "calibration" not in {rule.rule for rule in report.verdict.rules}


def test_a_cache_saves_the_second_run_and_gives_the_same(model: Path, tmp_path: Path) -> None:
    calibrating = Calibrating(samples(tmp_path / "c", 4), tmp_path / "cache")
    compressed(model, calibrating, dry_run=True)
    assert not (tmp_path / "cache").exists()
    first, ranges = compressed(model, calibrating), dict(Ranging.known)
    made = (tmp_path / "out.onnx").read_bytes()
    second = compressed(model, calibrating)
    assert f"{tmp_path / 'cache'} told what 2 of 2 activations are like" in second.notes
    assert not any(str(tmp_path / "cache") in note for note in first.notes)
    assert (Ranging.known, (tmp_path / "out.onnx").read_bytes()) == (ranges, made)


def test_what_cannot_be_meant_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^ranging needs --calibration: .* \(or --data alone, of which a part then"):
        compressed(model)
    with pytest.raises(UsageError, match="has 1 feed, which cannot both calibrate and prove"):
        compressed(model, proof=Proof(data=samples(tmp_path / "one", 1)))
    both = samples(tmp_path / "both", 4)
    with pytest.raises(UsageError, match="the same sample never serves both"):
        compressed(model, Calibrating(both), Proof(data=both))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="is no calibration cache"):
        compressed(model, Calibrating(both, tmp_path / "text"))
    assert not (tmp_path / "out.onnx").exists()


def test_feeds_are_cut_until_their_activations_fit(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "c.npz", x=noise(64, 16))
    whole = Calibrating(tmp_path / "c.npz")
    compressed(model, whole)
    assert known_range() == (*range_of_x(noise(64, 16)), 4)
    monkeypatch.setattr("nncompress.workflow.calibration.BUDGET_BYTES", 5 * 3 * 16 * 4)  # three results of five samples
    compressed(model, whole)
    assert known_range() == (*range_of_x(noise(64, 16)), 16)
    np.savez(tmp_path / "d.npz", x=noise(64, 16))
    with pytest.raises(UsageError, match=r"feed 1 of --calibration .* is feed 1 of --data"):
        compressed(model, whole, Proof(data=tmp_path / "d.npz"))
