"""auto on models that are not like others: what it finds keeps the limits, or it says why there is nothing to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.models import noise, proto_of, saved
from tests.support import Ended, last_line, nncompress, one_line

DENSE = """g (float[N,64] x) => ({kind}[N,{width}] y) {{
    a = MatMul(x, w) r = Relu(a) s = MatMul(r, v) {rest}
}}"""
PRODUCTS = {"w": noise(64, 96) / 8, "v": noise(96, 32, seed=1) / 8}
SUBGRAPHS = """g (float[N,64] x) => (float[N,64] y) {
    a = MatMul(x, u) r = Relu(a) m = ReduceMean<keepdims = 0>(x) c = Greater(m, zero)
    b = If(c) <
        then_branch = t () => (float[N,64] p) { p = MatMul(r, v) },
        else_branch = e () => (float[N,64] q) { q = MatMul(r, w) }
    > y = Tanh(b)
}"""
STATE = """g (float[N,64] x, float[N,64] s) => (float[N,64] y) {
    a = MatMul(x, w) b = MatMul(s, u) c = Add(a, b) y = Tanh(c)
}"""


def data(folder: Path, **inputs: np.ndarray) -> tuple[object, ...]:
    """The options that name samples, half of them to calibrate on."""
    for name, part in (("c.npz", slice(0, 64)), ("d.npz", slice(64, None))):
        np.savez(folder / name, **{key: values[part] for key, values in inputs.items()})
    return "--data", folder / "d.npz", "--calibration", folder / "c.npz", "--seconds", 0, "--time", "20s"


def auto(folder: Path, model: Path, *options: object) -> tuple[Ended, dict[str, Any]]:
    ended = nncompress("auto", model, "-o", folder / "s.onnx", "--json", folder / "s.json", *options)
    report = json.loads((folder / "s.json").read_text()) if (folder / "s.json").exists() else {}
    return ended, report


def weights_of(report: dict[str, Any]) -> dict[str, str]:
    """{name: how it is stored}"""
    return {
        line["name"]: outcome["detail"]
        for line in report["ledger"] if line["kind"] == "weight" for outcome in line["outcomes"]
        if outcome["by"] in ("quantize-weights", "share-weights")
    }  # fmt: skip


@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "other bytes"])
def test_weights_of_one_name_in_two_graphs_are_stored_alike(tmp_path: Path, same: bool) -> None:
    proto = proto_of(
        SUBGRAPHS, u=noise(64, 64) / 8, v=noise(64, 64, seed=1) / 8, w=noise(64, 64, seed=2) / 8, zero=np.float32(0)
    )
    held = {tensor.name: tensor for tensor in proto.graph.initializer}
    (branching,) = (node for node in proto.graph.node if node.op_type == "If")
    for attribute, name in zip(branching.attribute, "vw", strict=True):
        tensor = attribute.g.initializer.add()
        tensor.CopyFrom(held["v" if same else name])
        tensor.name = "k"
        for node in attribute.g.node:
            node.input[1] = "k"
    for name in "vw":
        proto.graph.initializer.remove(held[name])
    onnx.save(proto, tmp_path / "m.onnx")
    given = data(tmp_path, x=noise(164, 64))
    ended, report = auto(tmp_path, tmp_path / "m.onnx", *given, "--min-sqnr", 20, "--save-recipe", tmp_path / "s.toml")
    assert ended.exit_code == 0, ended.stderr
    assert report["summary"]["bytes_after"] < report["summary"]["bytes_before"] / 4
    assert nncompress("run", tmp_path / "s.toml", tmp_path / "m.onnx", "-o", tmp_path / "r.onnx", "-q").exit_code == 0
    assert (tmp_path / "r.onnx").read_bytes() == (tmp_path / "s.onnx").read_bytes()


@pytest.mark.slow
def test_integers_say_how_many_answers_changed(tmp_path: Path) -> None:
    body = DENSE.format(kind="int64", width=1, rest="y = ArgMax<axis = 1>(s)")
    path = saved(proto_of(body, **PRODUCTS), tmp_path / "m.onnx")
    ended, report = auto(tmp_path, path, *data(tmp_path, x=noise(2064, 64)), "--max-drop", "5 %")
    (drop,) = (rule for rule in report["verdict"]["rules"] if rule["rule"] == "drop")
    assert ended.exit_code == 0, ended.stderr
    assert "relative error" not in drop["figure"]
    same = report["comparison"]["run"]["outputs"][0]["deployed"]["top1_agreement"]
    assert 0.95 <= same < 0.999  # 2 bits: 0.7


def test_integers_alone_have_no_front(tmp_path: Path) -> None:
    body = DENSE.format(kind="int64", width=1, rest="y = ArgMax<axis = 1>(s)")
    path = saved(proto_of(body, **PRODUCTS), tmp_path / "m.onnx")
    ended = nncompress("auto", path, "--front", tmp_path / "front", *data(tmp_path, x=noise(164, 64)))
    assert ended.exit_code == 2
    assert "no output of this model is of floats" in one_line(ended.stderr)
    assert not (tmp_path / "front").exists()


@pytest.mark.slow
def test_what_no_calibration_sample_reaches_counts_like_a_typical_weight(tmp_path: Path) -> None:
    path = saved(proto_of(STATE, w=noise(64, 64) / 8, u=noise(64, 64, seed=1) / 8), tmp_path / "m.onnx")
    states = np.concatenate([np.zeros((64, 64), np.float32), noise(100, 64, seed=3)])
    ended, report = auto(tmp_path, path, *data(tmp_path, x=noise(164, 64), s=states), "--min-sqnr", 30)
    assert ended.exit_code == 0, ended.stderr
    assert set(weights_of(report)) == {"w", "u"}
    assert "nothing lost" not in str(weights_of(report))


def test_a_form_has_the_bits_that_it_can_hold(tmp_path: Path) -> None:
    body = DENSE.format(kind="float", width=32, rest="y = Tanh(s)")
    path = saved(proto_of(body, **PRODUCTS), tmp_path / "m.onnx")
    given = data(tmp_path, x=noise(164, 64))
    ended, report = auto(tmp_path, path, *given, "--min-sqnr", 15, "--form", "dequantize")
    assert ended.exit_code == 0, ended.stderr
    assert all(detail.startswith("4 bits") for detail in weights_of(report).values())
    assert "2 bits would save" in weights_of(report)["w"]


def test_what_is_quantized_already_is_at_least_stored_so(tmp_path: Path) -> None:
    body = """g (float[N,64] x) => (float[N,96] y) {
        q = QuantizeLinear(w, f, z) d = DequantizeLinear(q, f, z) a = MatMul(x, d) y = Relu(a)
    }"""
    held = {"w": PRODUCTS["w"], "f": np.array(0.004, np.float32), "z": np.array(0, np.int8)}
    path = saved(proto_of(body, **held), tmp_path / "m.onnx")
    ended, report = auto(tmp_path, path, *data(tmp_path, x=noise(164, 64)), "--min-sqnr", 20)
    assert ended.exit_code == 0, ended.stderr
    assert report["summary"]["bytes_after"] < report["summary"]["bytes_before"] / 3


@pytest.mark.slow
def test_a_size_besides_leaves_channels_that_may_go(tmp_path: Path) -> None:
    thin = noise(64, 8) / 8 @ noise(8, 96, seed=2)  # any 8 of these channels make up for the others
    body = "g (float[N,64] x) => (float[N,32] y) { a = MatMul(x, w) y = MatMul(a, v) }"
    path = saved(proto_of(body, w=thin, v=PRODUCTS["v"]), tmp_path / "m.onnx")
    given = (*data(tmp_path, x=noise(164, 64)), "--min-sqnr", 20)
    ended, report = auto(tmp_path, path, *given)
    assert (ended.exit_code, report["passes"][0]) == (0, "slim-channels:energy=0.9"), ended.stderr
    most = report["summary"]["bytes_after"] + 100
    ended, report = auto(tmp_path, path, *given, "--max-size", most, "--force")
    assert ended.exit_code == 0, last_line(ended.stdout)
    assert report["summary"]["bytes_after"] <= most


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_weights_of_other_floats_become_smaller(tmp_path: Path, dtype: str) -> None:
    body = f"""g (float[N,64] x) => ({dtype}[N,32] y) {{
        h = Cast<to = {10 if dtype == "float16" else 11}>(x) a = MatMul(h, w) r = Relu(a) s = MatMul(r, v) y = Tanh(s)
    }}"""
    kind = np.float16 if dtype == "float16" else np.float64
    path = saved(
        proto_of(body, **{name: values.astype(kind) for name, values in PRODUCTS.items()}), tmp_path / "m.onnx"
    )
    ended, report = auto(tmp_path, path, *data(tmp_path, x=noise(164, 64)), "--min-sqnr", 20)
    assert ended.exit_code == 0, ended.stderr
    assert report["summary"]["bytes_after"] < report["summary"]["bytes_before"] / (2.5 if dtype == "float16" else 9)


def test_for_speed_nothing_is_added_to_a_lookup(tmp_path: Path) -> None:
    body = "g (int64[N] ids) => (float[N,32] y) { e = Gather(t, ids) r = Relu(e) y = MatMul(r, v) }"
    path = saved(proto_of(body, t=noise(500, 96), v=PRODUCTS["v"]), tmp_path / "m.onnx")
    ids = np.random.default_rng(0).integers(0, 500, 164)
    ended, report = auto(tmp_path, path, *data(tmp_path, ids=ids), "--min-sqnr", 20, "--for", "speed")
    assert ended.exit_code == 0, ended.stderr
    stored = {line["name"]: line["form"] for line in report["ledger"] if line["kind"] == "weight"}
    assert stored["t"] == "folded"


def test_where_nothing_can_be_compressed_there_is_no_front(tmp_path: Path) -> None:
    path = saved(
        proto_of("g (float[N,4] x) => (float[N,2] y) { y = MatMul(x, w) }", w=noise(4, 2)), tmp_path / "m.onnx"
    )
    ended = nncompress("auto", path, "--front", tmp_path / "front", *data(tmp_path, x=noise(164, 4)))
    assert (ended.exit_code, "nothing was compressed" in one_line(ended.stderr)) == (4, True)
    assert not (tmp_path / "front").exists()
