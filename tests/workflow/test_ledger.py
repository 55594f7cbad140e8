"""The ledger accounts for every byte of the file, whatever passes make of the weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.model.model import Model
from nncompress.onnx_file.checks.tensors import nbytes
from nncompress.onnx_file.facts import file_bytes
from nncompress.onnx_file.read import load
from nncompress.onnx_file.walk import all_tensors, nodes_of
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.workflow.ledger import with_graph_line
from nncompress.workflow.pipeline import Compressed, compress_graph
from nncompress.workflow.prepare import Preparing
from tests.models import as_model, dense_constant, file_of, model_of, noise, proto_from, proto_of

SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").rglob("*.onnx"))
QUANTIZE, PRUNE, SPLIT = (
    QuantizeWeights(small_constants="keep"),
    PruneMagnitude(sparsity=0.9),
    Factorize(rank=4, min_size=64),
)
CHAINS: dict[str, list[Pass]] = {
    "quantize": [QUANTIZE],
    "prune": [PRUNE],
    "factorize": [SPLIT],
    "all": [SPLIT, PRUNE, QUANTIZE],
    "nothing": [QuantizeWeights(min_size=1 << 40)],
}


def constant_bytes(model: Model) -> int:
    """From the message alone; attributes of other nodes than Constant are no constants."""
    proto = proto_from(model)
    return sum(nbytes(t.data_type, int(np.prod(t.dims, dtype=np.int64))) for t in all_tensors(proto))


def check_adds_up(model: Model, compressed: Compressed) -> None:
    in_attributes = sum(
        nbytes(a.t.data_type, 1) for n in nodes_of(proto_from(compressed.model).graph.node) for a in n.attribute
        if n.op_type == "ConstantOfShape"
    )  # fmt: skip
    assert sum(line.bytes_before for line in compressed.lines) == constant_bytes(model)
    assert sum(line.bytes_after for line in compressed.lines) == constant_bytes(compressed.model) - in_attributes
    assert all(line.bytes_before >= 0 and line.bytes_after >= 0 for line in compressed.lines)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)
def test_lines_add_up_to_the_constants_and_with_the_graph_to_the_file(tmp_path: Path, path: Path, chain: str) -> None:
    model = load(path)
    compressed = compress_graph(model, CHAINS[chain])
    check_adds_up(model, compressed)
    result = load(file_of(compressed.model, tmp_path / "o.onnx"))
    lines = with_graph_line(compressed.lines, file_bytes(model), file_bytes(result))
    assert sum(line.bytes_before for line in lines) == file_bytes(model)
    assert sum(line.bytes_after for line in lines) == file_bytes(result)
    assert [line.kind for line in lines[-2:]] == ["constants", "graph"]


BODY = "g (float[2,64] x) => (float[2,64] y) { a = MatMul(x, u) b = MatMul(a, v) c = MatMul(b, k) y = Add(c, d) }"


@pytest.mark.parametrize("chain", CHAINS)
def test_lines_add_up_for_constant_nodes(chain: str) -> None:
    proto = proto_of(BODY, u=noise(64, 64), v=noise(64, 64, seed=1), d=noise(64))
    proto.graph.node.insert(0, dense_constant("k", noise(64, 64, seed=2)))
    model = as_model(proto)
    compressed = compress_graph(model, CHAINS[chain])
    check_adds_up(model, compressed)
    assert [line.name for line in compressed.lines] == ["u", "v", "k", "(other constants)"]


@pytest.mark.parametrize("chain", CHAINS)
def test_lines_add_up_for_duplicates_and_dead_constants(chain: str) -> None:
    proto = proto_of(BODY, u=noise(64, 64), v=noise(64, 64), k=noise(64, 64, seed=1), d=noise(64), dead=noise(999))
    model = as_model(proto)
    compressed = compress_graph(model, CHAINS[chain])
    check_adds_up(model, compressed)
    lines = {line.name: line for line in compressed.lines}
    assert list(lines) == ["u", "v", "k", "(other constants)"]
    merged = compressed.changed  # u holds the same
    assert (lines["v"].bytes_after, lines["v"].form) == ((0, "removed") if merged else (64 * 64 * 4, "dense"))
    assert lines["(other constants)"].bytes_before == 4 * (64 + 999)


def test_a_line_says_what_the_weight_was_and_is() -> None:
    body = "g (int64[3] i) => (float[3,64] y) { e = Gather(w, i) t = Transpose(w) m = MatMul(e, t) y = MatMul(m, w) }"
    compressed = compress_graph(model_of(body, w=noise(64, 64)), [QUANTIZE])
    (line, _) = compressed.lines
    assert (line.name, line.kind, line.ops, line.shape, line.dtype) == (
        "w",
        "weight",
        ("Gather", "MatMul"),
        (64, 64),
        "float",
    )
    assert (line.bytes_before, line.bytes_after, line.form) == (64 * 64 * 4, 64 * 64 + 64 * 2, "folded")
    assert [outcome.by for outcome in line.outcomes] == ["quantize-weights"]


def test_factors_are_counted_on_the_line_of_their_weight() -> None:
    body = "g (float[2,64] x) => (float[2,64] y) { y = MatMul(x, w) }"
    compressed = compress_graph(model_of(body, w=noise(64, 64)), [SPLIT, QUANTIZE])
    (line, rest) = compressed.lines
    assert line.name == "w"
    assert line.form == "factors (folded)"
    # 2 factors of 4 * 64 codes, a scale for each of 4 channels (float32) and of 64 (float16)
    assert line.bytes_after == 2 * 4 * 64 + 4 * 4 + 2 * 64
    assert [(outcome.subject, outcome.by) for outcome in line.outcomes] == [
        ("w", "factorize"),
        ("w.a0", "quantize-weights"),
        ("w.b0", "quantize-weights"),
    ]
    assert rest.bytes_after == 0


def test_names_that_only_begin_alike_are_told_apart() -> None:
    body = "g (float[2,64] x) => (float[2,64] y) { a = MatMul(x, w) y = MatMul(a, w.a0x) }".replace("w.a0x", "w_a0")
    proto = proto_of(body, w=noise(64, 64), w_a0=noise(64, 64, seed=1))
    proto.graph.node[1].input[1] = proto.graph.initializer[1].name = "w.a0"
    compressed = compress_graph(as_model(proto), [QUANTIZE])
    onnx.checker.check_model(proto_from(compressed.model))
    lines = {line.name: line for line in compressed.lines}
    assert [outcome.subject for outcome in lines["w"].outcomes] == ["w"]
    assert [outcome.subject for outcome in lines["w.a0"].outcomes] == ["w.a0"]


def branches(one: np.ndarray, other: np.ndarray) -> Model:
    """Both branches of an If call their weight v."""
    proto = proto_of(
        "g (bool c, float[2,64] x) => (float[2,64] y) { y = If(c) <"
        "then_branch = t () => (float[2,64] a) { a = MatMul(x, v) }, "
        "else_branch = e () => (float[2,64] b) { b = MatMul(x, v) }> }"
    )
    for attribute, array in zip(proto.graph.node[0].attribute, (one, other), strict=True):
        attribute.g.initializer.append(onnx.numpy_helper.from_array(array, "v"))
    return as_model(proto)


@pytest.mark.parametrize("chain", ["quantize", "factorize"])
def test_weights_of_one_name_have_outcomes_of_their_own(chain: str) -> None:
    first, second = noise(64, 64), noise(64, 64, seed=1)
    model = branches(first, second)
    compressed = compress_graph(model, CHAINS[chain])
    check_adds_up(model, compressed)
    lines = [line for line in compressed.lines if line.kind == "weight"]
    assert [line.name for line in lines] == ["v", "v"]
    body = "g (float[2,64] x) => (float[2,64] y) { y = MatMul(x, v) }"
    alone = [compress_graph(model_of(body, v=array), CHAINS[chain]).outcomes for array in (first, second)]
    for line, outcomes in zip(lines, alone, strict=True):
        (own,) = line.outcomes
        assert isinstance(own, Rewritten)
        assert isinstance(outcomes[0], Rewritten)
        assert (own.detail, own.sqnr_db) == (outcomes[0].detail, outcomes[0].sqnr_db)


@pytest.mark.parametrize("chain", ["quantize", "prune", "factorize", "all"])
def test_a_duplicate_says_whose_it_is_and_the_one_that_stays_what_was_done(chain: str) -> None:
    model = branches(noise(64, 64), noise(64, 64))
    compressed = compress_graph(model, CHAINS[chain])
    check_adds_up(model, compressed)
    kept, merged = (line for line in compressed.lines if line.kind == "weight")
    assert {outcome.by for outcome in kept.outcomes} == {one.name for one in CHAINS[chain]}
    assert (merged.bytes_after, merged.form) == (0, "removed")
    (outcome,) = merged.outcomes
    assert isinstance(outcome, Rewritten)
    assert (outcome.by, outcome.detail, outcome.sqnr_db) == ("merge", "stored once, as 'v' holds the same values", None)


def test_a_model_that_is_too_old_has_a_ledger_that_adds_up() -> None:
    model = model_of("g (float[2,64] x) => (float[2,64] y) { y = MatMul(x, w) }", opset=6, w=noise(64, 64))
    compressed = compress_graph(model, [QUANTIZE], preparing=Preparing(keep_opset=True))
    (outcome,) = compressed.outcomes
    assert outcome == Skipped("w", "quantize-weights", "opset 6 is older than 7: nothing can be stored smaller")
    assert compressed.lines[0].bytes_after == compressed.lines[0].bytes_before
    check_adds_up(model, compressed)
