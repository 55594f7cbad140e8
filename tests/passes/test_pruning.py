"""Weights pruned by what they compute: less error in the outputs of real runs than magnitudes leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.calibrate import grams
from nncompress.errors import UsageError
from nncompress.forms.form import Storing
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import apply_passes
from tests.calibrate.samples import applied
from tests.models import as_model, noise, proto_of, run
from tests.passes.test_second_order import CASES, Sample, feeds_of

ALL = {"min_size": 1, "only_if_smaller": False}


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def model_of(case: str) -> onnx.ModelProto:
    body, shape, _ = CASES[case]
    return proto_of(body, w=noise(*shape) / 8, **({"r": noise(1, 20, 20, seed=2) / 8} if case == "RNN" else {}))


def error(made: onnx.ModelProto, proto: onnx.ModelProto, feeds: list[Sample]) -> float:
    return sum(float(np.square(run(made, **feed)[0] - run(proto, **feed)[0]).sum()) for feed in feeds)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{"sparsity": 0.5}, {"pattern": "2:4"}], ids=str)
def test_outputs_on_other_samples_are_closer(case: str, options: dict[str, str], tmp_path: Path) -> None:
    proto, fresh = model_of(case), feeds_of(case, 3, first=100)
    errors = {}
    for method in ("magnitude", "obs"):
        made = applied(
            proto, [PruneMagnitude(method=method, **ALL, **options)], tmp_path / "samples", feeds_of(case, 8)
        )  # type: ignore[arg-type]
        details = [outcome.detail for outcome in made.outcomes if isinstance(outcome, Rewritten)]
        assert details
        assert all(detail.endswith(", obs") == (method == "obs") for detail in details)
        errors[method] = error(made.model, proto, fresh)
    assert errors["obs"] < 0.7 * errors["magnitude"]


@pytest.mark.parametrize("most", [6144, 4])
@pytest.mark.parametrize("method", ["magnitude", "wanda", "entropy", "obs"])
@pytest.mark.parametrize("case", CASES)
def test_a_pattern_runs_along_the_channels_of_the_inputs(
    case: str, method: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grams, "MOST_INPUTS", most)
    made = applied(
        model_of(case), [PruneMagnitude(pattern="1:3", method=method, **ALL)], tmp_path / "x", feeds_of(case, 2)
    )
    weight = made.model.ir.graph.initializers["w"]
    axis = 0 if case in ("MatMul", "ConvTranspose") else 2 if case == "RNN" else 1
    array = np.moveaxis(weight.const_value.numpy(), axis, -1)  # type: ignore[union-attr]
    assert (np.count_nonzero(array.reshape(*array.shape[:-1], -1, 3), axis=-1) == 1).all()


def test_as_many_values_become_zero_in_every_output_by_wanda(tmp_path: Path) -> None:
    step = PruneMagnitude(sparsity=0.75, scope="weight", method="wanda", **ALL)  # type: ignore[arg-type]
    made = applied(model_of("Gemm"), [step], tmp_path / "samples", feeds_of("Gemm", 2))
    array = made.model.ir.graph.initializers["w"].const_value.numpy()  # type: ignore[union-attr]
    assert (np.count_nonzero(array, axis=1) == 3).all()


def test_a_share_is_apportioned_by_what_weights_are_multiplied_by(tmp_path: Path) -> None:
    """The inputs of `w` are mostly 0, and those of `v` are not; by magnitude alone both are alike."""
    body = "g (float[N,12] x, float[N,12] z) => (float[N,40] y) { a = MatMul(x, w) b = MatMul(z, v) y = Add(a, b) }"
    few = np.where(np.arange(12) < 4, feeds_of("MatMul", 1)[0]["x"], 0).astype(np.float32)
    feed = {"x": few, "z": feeds_of("MatMul", 1, first=5)[0]["x"]}
    proto = proto_of(body, w=noise(12, 40), v=noise(12, 40, seed=1))
    zeros = {}
    for method in ("magnitude", "auto"):
        made = applied(proto, [PruneMagnitude(method=method, **ALL)], tmp_path / "samples", [feed] * 2)  # type: ignore[arg-type]
        values = made.model.ir.graph.initializers
        zeros[method] = {name: 480 - np.count_nonzero(values[name].const_value.numpy()) for name in "wv"}  # type: ignore[union-attr]
    assert abs(zeros["magnitude"]["w"] - zeros["magnitude"]["v"]) < 60
    assert zeros["auto"]["w"] > zeros["auto"]["v"] + 120
    assert abs(sum(zeros["auto"].values()) - 480) < 10


def test_a_table_says_why_it_is_pruned_by_magnitude_and_has_no_pattern(tmp_path: Path) -> None:
    body = "g (int64[N] i) => (float[N,40] y) { a = Gather(t, i) y = MatMul(a, w) }"
    proto, feeds = proto_of(body, t=noise(50, 12), w=noise(12, 40)), [{"i": np.arange(50)}]
    made = applied(proto, [PruneMagnitude(**ALL)], tmp_path / "samples", feeds)  # type: ignore[arg-type]
    said = {outcome.subject: outcome.detail for outcome in made.outcomes if isinstance(outcome, Rewritten)}
    assert said["t"].endswith(" zeros, by magnitude: it is looked up")
    assert said["w"].endswith(" zeros, obs")
    made = applied(proto, [PruneMagnitude(pattern="2:4", **ALL)], tmp_path / "samples", feeds)  # type: ignore[arg-type]
    reasons = {outcome.subject: outcome.reason for outcome in made.outcomes if isinstance(outcome, Skipped)}
    assert reasons == {"t": "a pattern runs along inputs, and it has none that are numbered along one axis"}


def test_without_samples_it_is_by_magnitude() -> None:
    outcomes = [
        apply_passes(
            as_model(model_of("MatMul")), [PruneMagnitude(method=method, **ALL)], Context(Storing(17))
        ).outcomes  # type: ignore[arg-type]
        for method in ("auto", "magnitude")
    ]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "options", [{"bits": 4}, {"bits": 3, "symmetric": False}, {"bits": 8, "method": "gptq"}], ids=str
)
def test_zeros_stay_zeros_when_codes_are_chosen_by_products(options: dict[str, object], tmp_path: Path) -> None:
    after: list[Pass] = [QuantizeWeights(smallest="same", **options)]  # type: ignore[arg-type]
    arrays = []
    for steps in ([], after):
        passes = [PruneMagnitude(sparsity=0.6, **ALL), *steps]  # type: ignore[arg-type]
        made = applied(model_of("Gemm"), passes, tmp_path / "samples", feeds_of("Gemm", 4))
        arrays.append(made.model.ir.graph.initializers["w"].const_value.numpy())  # type: ignore[union-attr]
    assert np.count_nonzero(arrays[0]) == round(0.4 * arrays[0].size)
    assert not arrays[1][arrays[0] == 0].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "4:2"}, "pattern must be N:M with N below M, such as 2:4, not '4:2'"),
        ({"pattern": "2 of 4"}, "pattern must be N:M"),
        ({"pattern": "2:4", "sparsity": 0.5}, "leave sparsity, threshold and scope out"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PruneMagnitude(**options)  # type: ignore[arg-type]
