"""What a real run says of its kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import NoOutputError
from nncompress.progress import Announce
from nncompress.runtime.kernels import measure_kernels
from tests.models import noise, proto_of, saved
from tests.support import IMAGES, SAMPLES


def test_a_sample_model_is_a_few_fused_kernels_in_their_order() -> None:
    with np.load(IMAGES) as arrays:
        feed = {"image": arrays["image"][:4]}
    kernels = measure_kernels(SAMPLES / "digits_cnn.onnx", feed, 1, 0)
    assert len({(kernel.name, kernel.op) for kernel in kernels}) == len(kernels)
    assert all(kernel.microseconds >= 0 for kernel in kernels)
    ops = [kernel.op for kernel in kernels]
    assert ops.count("Conv") == 5
    assert "BatchNormalization" not in ops
    assert ops.index("Conv") < ops.index("Gemm")


def test_of_a_loop_the_kernels_inside_count_and_each_time_that_they_run(tmp_path: Path) -> None:
    body = """g (int64 n, float[8,8] x) => (float[8,8] y) {
        y = Loop (n, , x) <body = b (int64 i, bool go, float[8,8] v) => (bool on, float[8,8] u)
            { on = Identity(go) u = MatMul(v, w) }> }"""
    path = saved(proto_of(body, w=noise(8, 8) / 9), tmp_path / "m.onnx")
    kernels = measure_kernels(path, {"n": np.array(3), "x": noise(8, 8)}, 1, 0)
    ops = [kernel.op for kernel in kernels]
    assert ops[0] == "MatMul"
    assert "Loop" not in ops


def test_a_result_that_does_not_run_is_a_deliberate_error(tmp_path: Path) -> None:
    path = saved(proto_of("g (float[8,8] x) => (float[8,8] y) { y = NoSuch(x) }"), tmp_path / "m.onnx")
    told: list[tuple[str, str]] = []
    announce: Announce = lambda *what: told.append(what)  # type: ignore[assignment, arg-type]  # noqa: E731
    with pytest.raises(NoOutputError, match="NoSuch"):
        measure_kernels(path, {"x": noise(8, 8)}, 1, 0, announce)
    assert told
    assert not list(tmp_path.glob("profile*"))
