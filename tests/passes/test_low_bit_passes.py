"""share-weights, binarize and fewer bits: what is chosen for a weight, what is said of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.forms.form import Storing
from nncompress.model.encoding import encoded_of
from nncompress.numerics.affine import Affine
from nncompress.numerics.binary import Signs
from nncompress.numerics.codebook import Codebook
from nncompress.numerics.held import Plain
from nncompress.passes.base import WeightPass
from nncompress.passes.binarize import Binarize
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.workflow.pipeline import compress_graph
from tests.models import context_for, linear, model_of, noise, only_weight, run

PER_CHANNEL = np.float32([10.0**k for k in range(-4, 4)]).repeat(8)


def outcome(step: WeightPass, weight: np.ndarray) -> tuple[object, object]:
    """What became of the weight of a MatMul, and what is said of it."""
    model = linear(weight)
    (said,) = [one for one in step.apply(model, context_for(model)) if one.subject == only_weight(model).name]
    return encoded_of(only_weight(model)), said


# ------------------------------------------------------------------------------------------------ shared values
def test_scales_are_taken_where_they_pay() -> None:
    alike, said = outcome(ShareWeights(), noise(64, 64))
    assert isinstance(alike, Codebook)
    assert isinstance(said, Rewritten)
    assert (alike.scale, said.detail) == (None, "16 values")
    unlike, said = outcome(ShareWeights(), noise(64, 64) * PER_CHANNEL)
    assert isinstance(unlike, Codebook)
    assert isinstance(said, Rewritten)
    assert unlike.scale is not None
    assert unlike.scale.shape == (1, 64)
    assert said.detail == "16 values, 64 scales"


@pytest.mark.parametrize(("granularity", "shape"), [("tensor", None), ("channel", (1, 64))])
def test_scales_are_those_that_were_asked_for(granularity: str, shape: tuple[int, ...] | None) -> None:
    encoded, _ = outcome(ShareWeights(granularity=granularity), noise(64, 64))  # type: ignore[arg-type]
    assert isinstance(encoded, Codebook)
    assert (None if encoded.scale is None else encoded.scale.shape) == shape


OF_TWO_KINDS = np.concatenate(
    [noise(256, 32), 3 * np.sign(noise(256, 32, seed=1)) + noise(256, 32, seed=2) / 50], axis=1
)


@pytest.mark.parametrize(
    ("group_channels", "tables"), [("auto", 2), ("all", None), (32, 2), (16, 4), (50, 2), (64, None), (1, 64)]
)
def test_groups_of_channels_have_their_own_values(group_channels: object, tables: int | None) -> None:
    step = ShareWeights(bits=1, group_channels=group_channels, granularity="tensor")  # type: ignore[arg-type]
    encoded, said = outcome(step, OF_TWO_KINDS)
    assert isinstance(encoded, Codebook)
    assert isinstance(said, Rewritten)
    assert encoded.values.shape == ((2,) if tables is None else (tables, 2))
    each = "" if tables is None else f" in each of {tables} groups of channels"
    assert said.detail == f"2 values{each}"


def test_groups_are_left_out_where_they_do_not_pay() -> None:
    for weight in (noise(64, 64), noise(64, 64) * PER_CHANNEL, np.ones((64, 64), np.float32)):
        encoded, _ = outcome(ShareWeights(group_channels="auto"), weight)
        assert isinstance(encoded, Codebook)
        assert encoded.group_axis is None


def test_given_tables_are_those_of_all_channels() -> None:
    with pytest.raises(UsageError, match="group_channels is for tables of its own, and normal-float has given ones"):
        ShareWeights(scheme="normal-float", group_channels=8)


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_more_bits_are_more_values_and_a_smaller_error(bits: int) -> None:
    made = [outcome(ShareWeights(bits=each, only_if_smaller=False), noise(64, 64)) for each in (bits, bits + 1)]  # type: ignore[arg-type]
    (first, said), (_, more) = made
    assert isinstance(first, Codebook)
    assert isinstance(said, Rewritten)
    assert isinstance(more, Rewritten)
    assert len(first.values) == 2**bits
    assert said.sqnr_db is not None
    assert more.sqnr_db is not None
    assert more.sqnr_db > said.sqnr_db + 3


def test_shared_values_are_closer_than_even_ones_of_as_many_bits() -> None:
    weight = np.random.default_rng(0).standard_t(4, (128, 128)).astype(np.float32)
    _, shared = outcome(ShareWeights(), weight)
    _, even = outcome(QuantizeWeights(bits=4, granularity="tensor", smallest="same"), weight)
    assert isinstance(shared, Rewritten)
    assert isinstance(even, Rewritten)
    assert (shared.sqnr_db or 0) > (even.sqnr_db or 0) + 1


# ------------------------------------------------------------------------------------------------ signs
@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_signs_have_a_scale_for_each_term_and_channel(terms: int) -> None:
    encoded, said = outcome(Binarize(terms=terms), noise(64, 64))  # type: ignore[arg-type]
    assert isinstance(encoded, Signs)
    assert isinstance(said, Rewritten)
    assert encoded.scales.shape == (terms, 1, 64)
    assert said.detail == f"{terms} sign{'s' * (terms > 1)} a weight, {64 * terms} scales"


# ------------------------------------------------------------------------------------------------ fewer bits
def test_the_smallest_keep_more_bits_than_the_others() -> None:
    body = "g (float[N,400] x) => (float[N,8] y) { a = MatMul(x, big) b = MatMul(a, small) y = MatMul(b, tiny) }"
    weights = {"big": noise(400, 400), "small": noise(400, 8, seed=1), "tiny": noise(8, 8, seed=2)}
    model = model_of(body, **weights)
    said = {
        one.subject: one.detail
        for one in QuantizeWeights(bits=4).apply(model, context_for(model))
        if isinstance(one, Rewritten)
    }
    assert said["big"].startswith("4 bits, ")
    assert said["small"].startswith("int8, ")
    assert said["small"].endswith("one of the smallest (--smallest same)")
    assert said["tiny"].startswith("float16: one of the smallest")
    model = model_of(body, **weights)
    same = QuantizeWeights(bits=4, smallest="same", only_if_smaller=False).apply(model, context_for(model))
    assert all(one.detail.startswith("4 bits, ") for one in same if isinstance(one, Rewritten))


def test_constants_that_are_added_as_they_are_keep_eight_bits() -> None:
    body = "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) y = Add(a, c) }"
    model = model_of(body, w=noise(64, 64), c=np.linspace(-1, 1, 4096).astype(np.float32).reshape(64, 64))
    outcomes = QuantizeWeights(bits=3, smallest="same").apply(model, context_for(model))
    (said,) = [one for one in outcomes if one.subject == "c"]
    assert isinstance(said, Rewritten | Skipped)
    assert "3 bits" not in str(said)


@pytest.mark.parametrize(("block", "elements"), [(32, 32), (50, 48), (16, 16), (17, 16)])
def test_a_block_is_the_most_that_divides_the_inputs(block: int, elements: int) -> None:
    encoded, said = outcome(QuantizeWeights(bits=4, block=block, smallest="same"), noise(96, 40))
    assert isinstance(encoded, Affine)
    assert isinstance(said, Rewritten)
    assert encoded.codes_shape == (96 // elements, elements, 40)
    assert encoded.scale.shape == (96 // elements, 1, 40)
    assert said.detail.endswith(f"per block of {elements}")


def test_where_nothing_large_enough_divides_them_the_channel_is_the_block() -> None:
    encoded, _ = outcome(QuantizeWeights(bits=4, block=32, smallest="same"), noise(97, 40))
    assert isinstance(encoded, Affine)
    assert encoded.codes_shape == (97, 40)


def test_blocks_are_closer_where_inputs_differ() -> None:
    weight = noise(128, 64) * np.float32([1, 5, 25, 125]).repeat(32)[:, None]
    without, with_blocks = (
        outcome(QuantizeWeights(bits=4, block=b, equalise=False, smallest="same"), weight)[1] for b in (None, 32)
    )
    assert isinstance(without, Rewritten)
    assert isinstance(with_blocks, Rewritten)
    quiet = [np.square(weight[:32]).sum()]
    assert quiet[0] > 0
    assert (with_blocks.sqnr_db or 0) > (without.sqnr_db or 0) + 0.5


@pytest.mark.parametrize("step", [QuantizeWeights(bits=3), ShareWeights(bits=2), Binarize()], ids=lambda s: s.name)
def test_opsets_without_the_operators_that_unpack_are_raised(step: WeightPass) -> None:
    model = model_of("g (float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }", opset=9, w=noise(64, 64))
    compressed = compress_graph(model, [step])
    assert np.isfinite(run(compressed.model, x=noise(2, 64))[0]).all()
    small = sum(tensor.nbytes for tensor in (v.const_value for v in compressed.model.ir.graph.initializers.values()))
    assert small < 64 * 64 * 4 / 7 or compressed.model.opset < 11


# ------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize("kind", [QuantizeWeights, ShareWeights, Binarize])
@pytest.mark.parametrize(
    ("options", "message"),
    [({"block": 1}, "block must be at least 2, not 1"), ({"block": 32, "granularity": "tensor"}, "block")],
)
def test_blocks_that_cannot_be_are_refused(kind: type[WeightPass], options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kind(**options)  # type: ignore[arg-type]


def test_bits_are_refused_where_there_is_no_place_for_them() -> None:
    with pytest.raises(UsageError, match="bits: only for integers, and float16 is none"):
        QuantizeWeights(bits=4, dtype="float16")
    model = linear(noise(64, 64))
    with pytest.raises(UsageError, match="dequantize has 2, 4 and 8 bits, folded has 3: leave --bits or --form out"):
        QuantizeWeights(bits=3).apply(model, Context(Storing(21, "dequantize")))
    assert QuantizeWeights(bits=4).needed_opset("dequantize")[0] == 21
    assert QuantizeWeights(bits=2).needed_opset("dequantize")[0] == 25


@pytest.mark.parametrize("step", [ShareWeights(), Binarize()], ids=lambda step: step.name)
def test_what_would_not_be_smaller_or_has_no_values_is_left_alone(step: WeightPass) -> None:
    assert "would eat the gain" in str(outcome(step, noise(10, 10))[1])
    weight = noise(64, 64)
    weight[3, 4] = np.inf
    assert "holds infinite values" in str(outcome(step, weight)[1])


def test_a_codebook_counts_its_bits() -> None:
    for count, bits in ((1, 1), (2, 1), (3, 2), (16, 4), (17, 5), (256, 8)):
        codes = Plain(np.zeros((2, 2), np.uint8))
        assert Codebook(codes, np.zeros(count, np.float32), (2, 2), (2, 2), 0).bits == bits


# ------------------------------------------------------------------------------------------------ errors that add up
@pytest.mark.parametrize("block", [None, 32])
def test_behind_relu_errors_do_not_add_up_without_it_they_are_just_small(block: int | None) -> None:
    x, w = noise(200, 256) + np.float32(1), noise(256, 64, seed=1) + np.float32(0.1)
    step = QuantizeWeights(bits=4, block=block, symmetric=True, smallest="same", equalise=False, scales="float32")

    def off(activation: str) -> float:
        """The mean square error of x W with x >= 0, with the weight as it is stored behind this activation."""
        model = model_of(f"g (float[N,256] x) => (float[N,64] y) {{ d = {activation}(x) y = MatMul(d, w) }}", w=w)
        compressed = compress_graph(model, [step])
        inputs = np.maximum(x, 0)
        (found,) = run(compressed.model, x=inputs)
        return float(np.square(found - inputs @ w).mean())

    assert off("Relu") < 0.8 * off("Identity")
