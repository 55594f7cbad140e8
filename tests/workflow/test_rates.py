"""What weights may become is the same, whoever measures it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import load_feeds
from nncompress.onnx_file.read import load
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.searched import Rated
from nncompress.runtime.jobs import Jobs
from nncompress.workflow.proof import Opened, Proof
from nncompress.workflow.rates import measured_rates
from nncompress.workflow.trials import Trials
from tests.models import noise, proto_of, saved

BODY = """g (float[N,64] x) => (float[N,32] y) {
    a = Gemm(x, w, b) r = Relu(a) s = MatMul(r, v) t = Tanh(s) y = MatMul(t, u)
}"""


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trials:
    monkeypatch.chdir(tmp_path)
    np.savez("calibration.npz", x=noise(96, 64))
    u, v, w = noise(48, 32) / 8, noise(96, 48, seed=1) / 8, noise(64, 96, seed=2) / 8
    path = saved(proto_of(BODY, u=u, v=v, w=w, b=noise(96)), tmp_path / "m.onnx")
    model = load(path)
    samples = load_feeds(Path("calibration.npz"), input_specs(model.ir))
    return Trials(Opened(model, path, Proof(), None), samples=samples, threads=2)


def test_jobs_measure_what_one_process_measures(trials: Trials) -> None:
    step = QuantizeWeights(method="gptq")
    alone = measured_rates(trials, step)
    with ThreadPoolExecutor(2) as pool:
        for jobs in (Jobs(2), Jobs(3, pool)):
            shared = measured_rates(trials, step, jobs=jobs)
            assert [each.name for each in shared] == ["w", "v", "u"] == [each.name for each in alone]
            for mine, theirs in zip(alone, shared, strict=True):
                assert figures(theirs) == pytest.approx(figures(mine), rel=0.01)
                assert [rate.options for rate in theirs.rates] == [rate.options for rate in mine.rates]


def figures(rated: Rated) -> list[float]:
    return [figure for rate in rated.rates for figure in (rate.size_bytes, rate.loss)]
