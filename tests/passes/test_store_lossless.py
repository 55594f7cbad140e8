"""What `store-lossless` makes of constants: every bit comes back, computed once at load, in fewer bytes."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from nncompress.forms.form import DEFAULT_FORM
from nncompress.model.model import Model
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.store_lossless import StoreLossless
from nncompress.results.record import LedgerLine, Rewritten, Skipped
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import as_model, linear, model_of, noise, op_types, proto_from, proto_of, run, session

SHAPE = (40, 50)
RANDOM = np.random.default_rng(0)
WORDS = {"float32": "float", "float64": "double"}


def chosen(*values: float, kind: str) -> np.ndarray:
    return RANDOM.choice(np.array(values, kind), SHAPE)


def integers(low: int, high: int, kind: str) -> np.ndarray:
    return RANDOM.integers(low, high, SHAPE).astype(kind)


def sparse(zero: float, kind: str) -> np.ndarray:
    return np.where(RANDOM.random(SHAPE) < 0.9, zero, noise(*SHAPE)).astype(kind)


def bit_patterns(kind: type) -> np.ndarray:
    """Any numbers of a half-precision type, the smallest and infinite ones too."""
    values = RANDOM.integers(0, 1 << 16, SHAPE).astype(np.uint16).view(kind).copy()
    values[np.isnan(values.astype(np.float32))] = 1
    return values.astype(np.float32)


# what unpacks codes: divisors, the shape; of several planes how they are joined, too
CASES: dict[str, tuple[np.ndarray, str, int]] = {  # the form at opset 17, and bytes of constants
    "whole float32": (integers(-128, 128, "float32"), "cast", 2000),
    "whole float16": (integers(0, 256, "float16"), "cast", 2000),
    "larger whole float32": (integers(0, 1 << 16, "float32"), "cast", 4000),
    "larger whole float64": (integers(-(1 << 31), 1 << 31, "float64"), "cast", 8000),
    "float16 as float32": (bit_patterns(np.float16), "cast", 4000),
    "bfloat16 as float32": (bit_patterns(ml_dtypes.bfloat16), "cast", 4000),
    "float32 as float64": (noise(*SHAPE).astype("float64"), "cast", 8000),
    "few float32": (chosen(0.1, -3.3, -0.0, np.nan, np.inf, kind="float32"), "codebook, bitpacked", 750 + 84 + 4 * 6),
    "few float16": (chosen(0.1, -3.3, kind="float16"), "codebook, bitpacked", 500 + 36 + 2 * 3),
    "few int64": (chosen(1 << 40, 77, kind="int64"), "codebook, bitpacked", 500 + 36 + 8 * 3),
    "one value": (np.full(SHAPE, 0.1, "float32"), "fill", 16),
    "negative zeros": (np.full(SHAPE, -0.0, "float16"), "fill", 16),
    "only NaN": (np.full(SHAPE, np.nan, "float64"), "fill", 16),
    "zeros": (sparse(0.0, "float32"), "sparse-gaps", 0),
    "rare negative zeros": (sparse(-0.0, "float32"), "codebook", 0),
    "int64 as uint8": (integers(0, 256, "int64"), "cast", 2000),
    "int64 as uint32": (integers(0, 1 << 32, "int64"), "cast", 8000),
    "int32 as int16": (integers(-(1 << 15), 1 << 15, "int32"), "cast", 4000),
    "uint64 as uint16": (integers(0, 1 << 16, "uint64"), "cast", 4000),
    "sparse int64": (np.where(RANDOM.random(SHAPE) < 0.95, 0, 3), "codebook, bitpacked", 250 + 52 + 8 * 2),
}


def table(array: np.ndarray, opset: int = 17) -> onnx.ModelProto:
    """Gather hands out rows to the bit."""
    kind = WORDS.get(array.dtype.name, array.dtype.name)
    return proto_of(f"g (int64[M] i) => ({kind}[M,50] y) {{ y = Gather(c, i) }}", opset=opset, c=array)


def shrunk(model: Model | onnx.ModelProto, **options: object) -> Compressed:
    given = model if isinstance(model, Model) else as_model(model)
    return compress_graph(given, [StoreLossless(**options)])  # type: ignore[arg-type]


def only_line(compressed: Compressed) -> LedgerLine:
    (line,) = [line for line in compressed.lines if line.dtype]
    return line


@pytest.mark.parametrize("name", CASES)
def test_every_bit_comes_back_in_the_form_of_fewest_bytes(name: str, tmp_path: Path) -> None:
    array, form, size = CASES[name]
    for opset in (17, 7):
        compressed = shrunk(table(array, opset))
        assert run(compressed.model, i=np.arange(SHAPE[0]))[0].tobytes() == array.tobytes()
        if opset == 17:
            session(compressed.model, optimised=tmp_path / "optimised.onnx")
            assert op_types(onnx.load(tmp_path / "optimised.onnx").graph.node) == ["Gather"], "computed at load"
            line = only_line(compressed)
            assert (line.form, line.sqnr_db) == (form, None)
            assert line.bytes_after == (size or line.bytes_after) < line.bytes_before
            assert [type(outcome) for outcome in line.outcomes] == [Rewritten]


@pytest.mark.parametrize("form", [DEFAULT_FORM, "dequantize"])
@pytest.mark.parametrize(("low", "high", "axis"), [(-127, 127, 1), (-40, 215, 1), (-127, 127, None)])
def test_multiples_of_a_scale_become_codes(low: int, high: int, axis: int | None, form: str) -> None:
    codes = np.clip(np.rint(noise(100, 200) * 40), low, high).astype(np.float32)
    codes[:, 3] = 0
    scale = RANDOM.uniform(0.001, 0.02, 200 if axis else 1).astype(np.float32)
    weight = codes * scale + 0
    compressed = compress_graph(linear(weight), [StoreLossless()], form=form)
    assert np.array_equal(run(compressed.model, x=np.eye(100, dtype=np.float32))[0], weight)
    line = only_line(compressed)
    if form == DEFAULT_FORM:
        assert (line.form, line.bytes_after <= 20000 + 8 * 200) == ("folded", True)
    else:  # behind DequantizeLinear a MatMul would be computed in integers
        assert line.form == ("dense" if axis else "codebook")


def test_nothing_is_done_to_values_that_need_all_their_bits() -> None:
    compressed = shrunk(linear(noise(100, 200)))
    assert not compressed.changed
    assert compressed.outcomes == (Skipped("w", "store-lossless", "it cannot be stored smaller without changing it"),)


def test_what_an_earlier_step_stores_stays_so() -> None:
    compressed = compress_graph(linear(noise(100, 200)), [PruneMagnitude(sparsity=0.5), StoreLossless()])
    line = only_line(compressed)
    assert line.form == "sparse-mask"
    assert line.outcomes[-1] == Skipped("w", "store-lossless", "an earlier step stores it already")


def test_options_choose_among_all_constants() -> None:
    text = "g (float[N,64] x, int64[M] i) => (float[N,64] y, int64[M] z) { y = MatMul(x, w) z = Gather(t, i) }"
    model = model_of(text, w=np.ones((64, 64), np.float32), t=np.arange(300))
    by_name = {line.name: line.form for line in shrunk(model, exclude=("w",)).lines}
    assert (by_name["w"], by_name["t"]) == ("dense", "cast")
    by_name = {line.name: line.form for line in shrunk(model, min_size=1000).lines}
    assert by_name["w"] == "fill"
    assert "t" not in by_name


def test_a_table_that_only_a_function_reads_is_not_touched() -> None:
    text = (
        "g (int64[M] i) => (int64[M] y) { y = local.f(t, i) } "
        '<domain: "local", opset_import: ["" : 17]> f (t, i) => (y) { y = Gather(t, i) }'
    )
    assert not shrunk(model_of(text, t=np.arange(300))).changed


def test_constants_of_branches_and_functions_are_stored_where_they_are() -> None:
    numbers = ", ".join(map(str, range(300)))
    text = (
        "g (bool c, int64[M] i) => (int64[M] y) { y = If(c) <then_branch = a () => (int64[M] u) "
        "{ t = Constant<value: tensor = int64[300] {%s}>() u = Gather(t, i) }, "
        "else_branch = b () => (int64[M] v) { v = local.f(i) }> } "
        '<domain: "local", opset_import: ["" : 17]> f (i) => (y) '
        "{ t = Constant<value: tensor = int64[300] {%s}>() s = Add(t, t) y = Gather(s, i) }"
    )
    proto = proto_of(text % (numbers, numbers))
    compressed = shrunk(proto)
    assert {line.form for line in compressed.lines if line.dtype} == {"cast"}
    for c in (True, False):
        feed = {"c": np.array(c), "i": np.array([3, 299])}
        assert np.array_equal(run(proto, **feed)[0], run(compressed.model, **feed)[0])


# ------------------------------------------------------------------------------------------------ beside other passes
def test_other_passes_store_the_rest_without_loss_where_they_changed_anything() -> None:
    text = (
        "g (float[N,64] x, int64[M] i) => (float[N,64] y, int64[M] z) "
        "{ a = MatMul(x, w) y = MatMul(a, v) z = Gather(t, i) }"
    )
    model = model_of(text, w=noise(64, 64), v=np.eye(64, dtype=np.float32), t=np.arange(300))
    compressed = compress_graph(model, [QuantizeWeights(exclude=("v",))])
    by_name = {line.name: line for line in compressed.lines}
    assert {name: by_name[name].form for name in "wvt"} == {"w": "folded", "v": "cast, sparse-gaps", "t": "cast"}
    assert [outcome.by for outcome in by_name["v"].outcomes] == ["quantize-weights", "store-lossless"]
    unchanged = compress_graph(model, [QuantizeWeights(exclude=("*",))])
    assert not unchanged.changed
    assert proto_from(unchanged.model) == proto_from(model)


def test_dropping_and_merging_alone_are_a_result() -> None:
    text = "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) y = MatMul(a, v) }"
    model = model_of(text, w=noise(64, 64), v=noise(64, 64), unread=noise(9), unread2=noise(9))
    compressed = shrunk(model)
    (rest,) = [line for line in compressed.lines if line.name == "(other constants)"]
    said = "2 constants that nothing read dropped, 1 constant stored once with others"
    assert rest.outcomes == (Rewritten("(other constants)", "normalise", said),)
    assert compressed.changed
