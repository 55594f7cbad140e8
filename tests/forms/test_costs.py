"""Estimated bytes bound the measured ones, the cheapest layout is picked, and onnxruntime folds what it should."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from nncompress.forms import factors
from nncompress.forms.choice import cheapest
from nncompress.forms.form import Storing
from nncompress.forms.layouts import SPARSE_NODE_BYTES, Payload, cheapest_layout
from nncompress.forms.store import store
from nncompress.model.edit import Draft, Names, put_in_place
from nncompress.model.encoding import attach
from nncompress.model.model import Model
from nncompress.model.weights import find_weights
from nncompress.numerics.affine import quantize
from nncompress.numerics.channels import Groups
from nncompress.numerics.exact import exact_encodings
from nncompress.numerics.held import Store
from nncompress.numerics.shared import shared
from nncompress.numerics.sparse import Pruned
from nncompress.passes.factorize import Factorize
from tests.models import context_for, file_of, linear, model_of, noise, only_weight, op_types, session


def pruned(shape: tuple[int, ...], sparsity: float, dtype: type = np.float32) -> np.ndarray:
    weight = noise(*shape)
    flat = weight.reshape(-1)
    flat[np.random.default_rng(1).permutation(flat.size)[: round(sparsity * flat.size)]] = 0
    return weight.astype(dtype)


def chain(count: int, weight: np.ndarray) -> Model:
    """`count` products with different weights: names and numbers of names grow as in a real model."""
    k = weight.shape[0]
    nodes = " ".join(f"v{i + 1}x = MatMul(v{i}x, layer_{i}_weight)" for i in range(count))
    body = f"g (float[N,{k}] v0x) => (float[N,{k}] v{count}x) {{ {nodes} }}"
    return model_of(body, **{f"layer_{i}_weight": weight + np.float32(i) * (weight != 0) for i in range(count)})


def written_bytes(model: Model, path: Path) -> int:
    return file_of(model, path).stat().st_size


# ------------------------------------------------------------------------------------------------ estimates
@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("count", [1, 40])
def test_the_folded_form_takes_no_more_than_estimated(tmp_path: Path, count: int, zero_points: bool) -> None:
    model, storing, estimated, exact = chain(count, noise(32, 32)), Storing(17), 0, 0
    before = written_bytes(model, tmp_path / "a")
    for weight in find_weights(model):
        made = quantize(
            weight.array(), (1,), bits=8, signed=True, symmetric=not zero_points, range_="minmax", store=Store()
        )
        attach(weight, made.affine)
        choice = cheapest(weight, made.affine, storing)
        estimated, exact = estimated + choice.total_bytes, exact + choice.size_bytes
    store(model, storing)
    grown = written_bytes(model, tmp_path / "b") - before + count * 4 * 32 * 32  # everything but the float weights
    assert exact < grown <= estimated


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(
    ("form", "values"), [("cast", np.arange(1, 101)), ("codebook", [0.1, 0.2, 0.3]), ("fill", [0.1]), ("fill", [0.0])]
)
def test_exact_forms_take_no_more_than_estimated(tmp_path: Path, count: int, form: str, values: np.ndarray) -> None:
    weight = np.resize(np.array(values, np.float32), (32, 32))
    model, storing, estimated, exact = chain(count, weight), Storing(17), 0, 0
    before = written_bytes(model, tmp_path / "a")
    for one in find_weights(model):
        candidates = [encoded for encoded, _ in exact_encodings(one.tensor.numpy(), one.tensor.numpy)]
        (choice, encoded), *_ = [
            (choice, encoded)
            for encoded in candidates
            if (choice := cheapest(one, encoded, storing)).name.startswith(form)
        ]
        attach(one, encoded)
        estimated, exact = estimated + choice.total_bytes, exact + choice.size_bytes
    store(model, storing)
    grown = written_bytes(model, tmp_path / "b") - before + count * 4 * 32 * 32
    assert exact < grown <= estimated


@pytest.mark.parametrize("axes", [(), (1,)])
@pytest.mark.parametrize("count", [1, 8])
def test_tables_of_groups_take_no_more_than_estimated(tmp_path: Path, count: int, axes: tuple[int, ...]) -> None:
    model, storing, estimated, exact = chain(count, noise(32, 32)), Storing(13), 0, 0
    before = written_bytes(model, tmp_path / "a")
    for weight in find_weights(model):
        made = shared(weight.array(), axes, count=8, store=Store(), groups=Groups(1, 8))
        attach(weight, made.codebook)
        choice = cheapest(weight, made.codebook, storing)
        estimated, exact = estimated + choice.total_bytes, exact + choice.size_bytes
    store(model, storing)
    grown = written_bytes(model, tmp_path / "b") - before + count * 4 * 32 * 32
    assert exact < grown <= estimated


@pytest.mark.parametrize("layout", ["sparse-mask", "sparse-gaps"])
@pytest.mark.parametrize(("count", "side"), [(1, 64), (40, 64), (40, 63)])
def test_sparse_layouts_take_no_more_than_estimated(tmp_path: Path, count: int, side: int, layout: str) -> None:
    weight = pruned((side, side), 0.7 if layout == "sparse-mask" else 0.97)
    model = chain(count, weight)
    before = written_bytes(model, tmp_path / "a")
    names, estimated = Names(model), 0
    for one in find_weights(model):
        array = one.array()
        payload = Payload(Store().hold(array), array.shape, array.dtype, int(np.count_nonzero(array)))
        picked = cheapest_layout(payload, 17)
        assert picked.name == layout
        draft = Draft(names)
        put_in_place(model, one, draft, picked.draft(draft))
        estimated += picked.cost
    grown = written_bytes(model, tmp_path / "b") - before + count * weight.nbytes
    assert estimated - count * SPARSE_NODE_BYTES < grown <= estimated


@pytest.mark.parametrize("count", [1, 20])
def test_factors_take_no_more_than_estimated(tmp_path: Path, count: int) -> None:
    model = chain(count, noise(64, 64))
    before = written_bytes(model, tmp_path / "a")
    Factorize(rank=4, min_size=1).apply(model, context_for(model))
    grown = written_bytes(model, tmp_path / "b") - before + count * 4 * 64 * 64
    payload = count * 4 * 4 * (64 + 64)
    assert payload < grown <= payload + count * factors.NODE_BYTES


def test_at_the_largest_paying_rank_the_file_is_smaller(tmp_path: Path) -> None:
    for size in (16, 24, 33):
        model = linear(noise(size, size))
        weight = only_weight(model)
        rank = factors.largest_saving_rank(weight)
        before = written_bytes(model, tmp_path / f"a{size}")
        Factorize(rank=rank, min_size=1).apply(model, context_for(model))
        assert written_bytes(model, tmp_path / f"b{size}") < before


# ------------------------------------------------------------------------------------------------ choice
@pytest.mark.parametrize(
    ("sparsity", "dtype", "opset", "name"),
    [
        (0.0, np.float32, 17, "dense"),
        (0.02, np.float32, 17, "dense"),
        (0.5, np.float32, 17, "sparse-mask"),
        (0.97, np.float32, 17, "sparse-gaps"),
        (0.97, np.float32, 10, "dense"),
        (0.5, np.int8, 17, "sparse-mask"),
        (0.97, np.int8, 17, "sparse-gaps"),
        (0.10, np.int8, 17, "dense"),
        (1.0, np.float32, 17, "sparse-gaps"),
    ],
)
def test_the_cheapest_layout_is_picked(sparsity: float, dtype: type, opset: int, name: str) -> None:
    array = pruned((200, 200), sparsity, np.float32)
    array = np.sign(array).astype(dtype) if dtype is np.int8 else array
    nonzeros = int(np.count_nonzero(array))
    picked = cheapest_layout(Payload(Store().hold(array), array.shape, array.dtype, nonzeros), opset)
    assert picked.name == name
    size = array.size
    costs = {
        "dense": size * array.itemsize,
        "sparse-mask": size // 8 + (nonzeros + 1) * array.itemsize + SPARSE_NODE_BYTES,
        "sparse-gaps": nonzeros * (array.itemsize + 1) + SPARSE_NODE_BYTES,  # at least
    }
    if opset >= 11 and sparsity > 0.05:
        assert picked.cost <= min(costs["dense"], costs["sparse-mask"] + 100)


def test_an_array_that_is_not_said_to_be_sparse_is_not_looked_at() -> None:
    array = np.zeros((100, 100), np.int8)
    assert cheapest_layout(Payload(Store().hold(array), array.shape, array.dtype, None), 17).name == "dense"


def test_tiny_arrays_stay_dense() -> None:
    array = np.zeros((8, 8), np.float32)
    assert cheapest_layout(Payload(Store().hold(array), array.shape, array.dtype, 0), 17).name == "dense"


# ------------------------------------------------------------------------------------------------ what ORT makes of it
def optimised(model: Model, path: Path) -> onnx.ModelProto:
    session(file_of(model, path.with_suffix(".in")), optimised=path)
    return onnx.load(path)


@pytest.mark.parametrize(
    ("sparsity", "symmetric", "form"),
    [
        (0.0, True, "folded"),
        (0.0, False, "folded"),
        (0.8, True, "folded, sparse-mask"),
        (0.97, True, "folded, sparse-gaps"),
    ],
)
def test_onnxruntime_computes_the_folded_form_at_load(
    tmp_path: Path, sparsity: float, symmetric: bool, form: str
) -> None:
    weight = pruned((100, 120), sparsity)
    model = linear(weight)
    made = quantize(weight, (1,), bits=8, signed=True, symmetric=symmetric, range_="minmax", store=Store())
    attach(only_weight(model), made.affine)
    ((_, choice),) = store(model, Storing(17)).values()
    assert choice.name == form
    proto = optimised(model, tmp_path / "o.onnx")
    assert op_types(proto.graph.node) == ["MatMul"]
    (tensor,) = proto.graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(tensor), made.affine.decode())


@pytest.mark.parametrize(
    ("sparsity", "axes", "count"),
    [(0.0, (), 8), (0.8, (), 8), (0.0, (1,), 8), (0.8, (1,), 8), (0.0, (), 256)],
)
def test_onnxruntime_looks_up_tables_of_groups_at_load(
    tmp_path: Path, sparsity: float, axes: tuple[int, ...], count: int
) -> None:
    weight = pruned((100, 120), sparsity)
    model = linear(weight)
    encoded = shared(weight, axes, count=count, store=Store(), groups=Groups(1, 24 if count == 8 else 60)).codebook
    attach(only_weight(model), encoded)
    store(model, Storing(13))
    proto = optimised(model, tmp_path / "o.onnx")
    assert op_types(proto.graph.node) == ["MatMul"]
    (tensor,) = proto.graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(tensor), encoded.decode())


@pytest.mark.parametrize("sparsity", [0.7, 0.97])
def test_onnxruntime_unpacks_sparse_floats_at_load(tmp_path: Path, sparsity: float) -> None:
    weight = pruned((100, 120), sparsity)
    model = linear(weight)
    attach(only_weight(model), Pruned(Store().hold(weight), weight.shape, int(np.count_nonzero(weight))))
    store(model, Storing(17))
    proto = optimised(model, tmp_path / "o.onnx")
    assert op_types(proto.graph.node) == ["MatMul"]
    assert np.array_equal(onnx.numpy_helper.to_array(proto.graph.initializer[0]), weight)


def test_onnxruntime_keeps_dequantize_linear_and_lookups(tmp_path: Path) -> None:
    kept: dict[str, list[str]] = {}
    for form in ("folded", "dequantize"):
        model = model_of("g (int64[N] i) => (float[N,8] y) { e = Gather(w, i) y = Relu(e) }", w=noise(50, 8))
        made = quantize(noise(50, 8), (0,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store())
        attach(only_weight(model), made.affine)
        store(model, Storing(17, form))
        kept[form] = op_types(optimised(model, tmp_path / form).graph.node)
    assert kept["folded"] == kept["dequantize"]
    assert [kind for kind in kept["folded"] if kind == "Gather"] == ["Gather"] * 2
    assert {"Cast", "Mul"} <= set(kept["folded"])


def test_stored_says_name_form_and_bytes() -> None:
    model = linear(noise(32, 16))
    made = quantize(noise(32, 16), (1,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store())
    attach(only_weight(model), made.affine)
    ((name, choice),) = store(model, Storing(17)).values()
    assert (name, choice.name, choice.size_bytes, choice.note) == ("w", "folded", 32 * 16 + 4 * 16, None)


@pytest.mark.parametrize("opset", [13, 17, 20, 21])
def test_bfloat16_is_laid_out_with_what_its_opset_can_fill(tmp_path: Path, opset: int) -> None:
    array = np.zeros((64, 64), ml_dtypes.bfloat16)
    array[::16, ::16] = 1.5
    model = linear(array, opset=opset)
    model.ir.ir_version = 10
    attach(only_weight(model), Pruned(Store().hold(array), array.shape, 16))
    ((_, choice),) = store(model, Storing(opset)).values()
    assert choice.name == ("sparse-gaps" if opset >= 20 else "sparse-mask")
    onnx.checker.check_model(onnx.load(file_of(model, tmp_path / "o.onnx")), full_check=True)
