"""The weights that lost most are found, under the names of the file, with the values that the result decodes to."""

import math
from pathlib import Path

import numpy as np
import pytest

from nncompress.model.model import Model
from nncompress.model.weights import find_weights
from nncompress.numerics.sampling import RUN_LENGTH, RUNS
from nncompress.numerics.value_change import BINS, MOST_PAIRS
from nncompress.onnx_file.read import load
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.results.weight_values import WeightValues
from nncompress.workflow import worst_values as module
from nncompress.workflow.pipeline import Compressed, compress_graph
from nncompress.workflow.worst_values import MOST_WEIGHTS
from tests.models import as_model, dense_constant, linear, model_of, noise, proto_of, saved, session

QUANTIZE, PRUNE, SPLIT = QuantizeWeights(min_size=1), PruneMagnitude(min_size=1), Factorize(rank=4, min_size=1)


def chain(**weights: np.ndarray) -> Model:
    side = next(iter(weights.values())).shape[0]
    nodes = " ".join(f"v{i + 1}x = MatMul(v{i}x, {name})" for i, name in enumerate(weights))
    last = f"v{len(weights)}x"
    return model_of(f"g (float[N,{side}] v0x) => (float[N,{side}] {last}) {{ {nodes} }}", **weights)


def errors_db(compressed: Compressed) -> dict[str, float]:
    return {line.name: line.sqnr_db for line in compressed.lines if line.sqnr_db is not None}


def test_the_four_of_lowest_sqnr_are_shown_the_lowest_first() -> None:
    weights = {f"w{i}": np.sign(noise(32, 32, seed=i)) * np.exp(i * noise(32, 32, seed=i + 9)) for i in range(1, 7)}
    compressed = compress_graph(chain(**{name: w.astype(np.float32) for name, w in weights.items()}), [QUANTIZE])
    expected = sorted(errors_db(compressed).items(), key=lambda item: item[1])[:MOST_WEIGHTS]
    assert [(one.weight, one.sqnr_db) for one in compressed.worst_values] == expected
    assert len(expected) == 4


@pytest.mark.parametrize("passes", [[QUANTIZE], [PRUNE], [PRUNE, QUANTIZE]], ids=["quantize", "prune", "both"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_the_values_are_those_of_the_original_and_of_the_result(passes: list[PruneMagnitude], dtype: type) -> None:
    weight = noise(40, 30, dtype=dtype)
    compressed = compress_graph(linear(weight), passes)
    (found,) = compressed.worst_values
    # the rows of the identity are the rows of the weight
    result = session(compressed.model).run(None, {"x": np.eye(40, dtype=dtype)})[0]
    assert (found.low, found.high) == (min(weight.min(), result.min()), max(weight.max(), result.max()))
    for counts, values in ((found.counts_before, weight), (found.counts_after, result)):
        assert len(counts) == BINS
        assert sum(counts) == 1200
        ends = np.histogram(values.astype(np.float64), BINS, (found.low, found.high))[0]
        assert np.abs(np.cumsum(counts) - np.cumsum(ends)).max() <= 1  # a value on an edge may fall on either side
    places = np.linspace(0, 1199, MOST_PAIRS).astype(int)
    pairs = np.array(found.pairs)
    limit = 1e-6 * max(abs(found.low), abs(found.high))
    assert np.abs(pairs[:, 0] - weight.reshape(-1)[places]).max() <= limit
    assert np.abs(pairs[:, 1] - result.reshape(-1)[places]).max() <= limit


def test_the_sqnr_is_that_of_all_passes_as_in_the_ledger() -> None:
    compressed = compress_graph(linear(noise(40, 30)), [PRUNE, QUANTIZE])
    (found,) = compressed.worst_values
    assert found.sqnr_db == errors_db(compressed)["w"] < 20


def test_factors_and_what_lost_nothing_are_not_shown() -> None:
    assert compress_graph(linear(noise(64, 64)), [SPLIT, QUANTIZE]).worst_values == ()
    exact = np.sign(noise(32, 32)).astype(np.float32)
    compressed = compress_graph(linear(exact), [QUANTIZE])
    assert compressed.changed
    assert compressed.worst_values == ()


def test_weights_that_are_too_large_are_left_out_and_large_ones_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain(w=noise(150, 150), v=noise(150, 150, seed=1))
    assert {sum(one.counts_after) for one in compress_graph(model, [QUANTIZE]).worst_values} == {RUNS * RUN_LENGTH}
    monkeypatch.setattr(module, "MOST_ELEMENTS", 150 * 150 - 1)
    assert compress_graph(model, [QUANTIZE]).worst_values == ()


def test_duplicates_and_tied_weights_are_shown_once() -> None:
    same = noise(32, 32)
    compressed = compress_graph(chain(first=same, second=same.copy(), third=noise(32, 32, seed=1)), [QUANTIZE])
    assert sorted(one.weight for one in compressed.worst_values) == ["first", "third"]
    body = "g (float[2,32] x) => (float[2,32] y) { a = MatMul(x, w) y = MatMul(a, w) }"
    assert [one.weight for one in compress_graph(model_of(body, w=same), [QUANTIZE]).worst_values] == ["w"]


SHADOWED = """g (float[2,32] x, bool c) => (float[2,32] y) {
    a = MatMul(x, w)
    y = If(c) <then_branch = t () => (float[2,32] p) { KEPT p = MatMul(a, k) },
               else_branch = e () => (float[2,32] q) { q = MatMul(a, v) }>
}"""


def test_a_renamed_weight_is_shown_under_the_name_in_the_file() -> None:
    proto = proto_of(SHADOWED.replace("KEPT", ""), w=noise(32, 32), v=noise(32, 32, seed=1))
    inner = proto.graph.node[1].attribute[0].g
    inner.node.insert(0, dense_constant("k", noise(32, 32, seed=2)))
    compressed = compress_graph(as_model(proto), [QUANTIZE])
    assert sorted(one.weight for one in compressed.worst_values) == ["k", "v", "w"]


def test_weights_that_share_a_name_are_each_compared_with_their_own_original() -> None:
    body = """g (float[2,32] x, bool c) => (float[2,32] y) {
        y = If(c) <then_branch = t () => (float[2,32] p) { p = MatMul(x, k) },
                   else_branch = e () => (float[2,32] q) { q = MatMul(x, k) }>
    }"""
    proto = proto_of(body)
    for number, attribute in enumerate(proto.graph.node[0].attribute):
        attribute.g.node.insert(0, dense_constant("k", noise(32, 32, seed=number)))
    compressed = compress_graph(as_model(proto), [QUANTIZE])
    assert len(errors_db(compressed)) == 1  # both lines are called k
    assert [shown.weight for shown in compressed.worst_values] == ["k", "k"]
    for shown in compressed.worst_values:
        assert all(abs(before - after) < 0.05 for before, after in shown.pairs)
    assert compressed.worst_values[0].pairs != compressed.worst_values[1].pairs


def test_the_original_is_read_from_its_file(tmp_path: Path) -> None:
    weight = noise(40, 30)
    path = saved(proto_of("g (float[N,40] x) => (float[N,30] y) { y = MatMul(x, w) }", w=weight), tmp_path / "m.onnx")
    in_memory = compress_graph(linear(weight), [QUANTIZE]).worst_values
    assert compress_graph(load(path), [QUANTIZE]).worst_values == in_memory


def test_the_original_stays_as_it_was() -> None:
    model = linear(noise(40, 30))
    compress_graph(model, [PRUNE, QUANTIZE])
    assert np.array_equal(find_weights(model)[0].array(), noise(40, 30))


def test_figures_are_plain_and_finite() -> None:
    (found,) = compress_graph(linear(1e-30 * noise(20, 20)), [PRUNE]).worst_values
    assert isinstance(found, WeightValues)
    assert all(type(count) is int for count in (*found.counts_before, *found.counts_after))
    assert all(type(value) is float and math.isfinite(value) for pair in found.pairs for value in pair)
    assert all(len(f"{value:.17g}".rstrip("0")) < 25 for pair in found.pairs for value in pair)
    assert len({before for before, _ in found.pairs}) == MOST_PAIRS
