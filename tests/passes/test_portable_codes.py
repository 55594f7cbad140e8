"""`cpu=portable`: what is multiplied in integers gives the same where two products are added in 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.forms.form import Storing
from nncompress.model.encoding import encoded_of, prefer_form
from nncompress.model.model import Model
from nncompress.model.multiplied import summed_axes
from nncompress.numerics.affine import Affine
from nncompress.numerics.saturation import saturating_product
from nncompress.numerics.sqnr import sqnr_db
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.saturating import MAY_SATURATE
from nncompress.results.record import Rewritten
from tests.models import model_of, noise, only_weight

APART = "for processors without VNNI"
CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {  # body, shape of w, the order as a transposition
    "MatMul": ("g (float[N,20] x) => (float[N,8] y) { y = MatMul(x, w) }", (20, 8), (0, 1)),
    "Gemm": ("g (float[N,20] x) => (float[N,8] y) { y = Gemm<transB=1>(x, w) }", (8, 20), (1, 0)),
    "Conv": ("g (float[N,4,9,9] x) => (float[N,8,H,W] y) { y = Conv(x, w) }", (8, 4, 3, 3), (2, 3, 1, 0)),
    "odd": ("g (float[N,3,9,9] x) => (float[N,8,H,W] y) { y = Conv(x, w) }", (8, 3, 3, 3), (2, 3, 1, 0)),
    "groups": ("g (float[N,8,9] x) => (float[N,8,W] y) { y = Conv<group=2>(x, w) }", (8, 4, 5), (2, 1, 0)),
}


def loud(*shape: int) -> np.ndarray:
    """Half of the values as large as can be."""
    w = noise(*shape)
    w[np.random.default_rng(1).random(shape) < 0.5] = 2
    return w


def made(model: Model, step: QuantizeWeights, form: str | None) -> tuple[Affine, Rewritten]:
    if form is not None:
        prefer_form(only_weight(model).value, form)
    (outcome,) = step.apply(model, Context(Storing(17)))
    affine = encoded_of(only_weight(model))
    assert isinstance(affine, Affine)
    assert isinstance(outcome, Rewritten)
    return affine, outcome


@pytest.mark.parametrize("case", CASES)
def test_no_sum_saturates_and_the_ledger_says_what_that_took(case: str) -> None:
    body, shape, order = CASES[case]
    w = loud(*shape)
    x = np.full((1, int(np.prod(shape) // 8)), 255, np.uint8)
    for cpu in ("native", "portable"):
        affine, outcome = made(model_of(body, w=w), QuantizeWeights(cpu=cpu), "dequantize")
        columns = affine.codes.load().transpose(order).reshape(-1, 8)
        exact = (saturating_product(x, columns) == x.astype(np.int32) @ columns.astype(np.int32)).all()
        assert exact == (cpu == "portable")
        assert (APART in outcome.detail) == (cpu == "portable")
        pairs = columns[: len(columns) // 2 * 2].reshape(-1, 2, 8).astype(int)
        beyond = int((255 * np.abs(pairs.sum(axis=1)) > 32767).sum())
        said = f"{beyond} pairs of products {MAY_SATURATE}"
        assert (beyond > 1) == (said in outcome.detail) == (cpu == "native")
        assert outcome.sqnr_db == pytest.approx(sqnr_db(w, affine.decode()), rel=1e-4)


@pytest.mark.parametrize("form", [None, "integer"])
def test_only_what_is_multiplied_in_integers_is_touched(form: str | None) -> None:
    body, shape, _ = CASES["MatMul"]
    native, portable = (
        made(model_of(body, w=loud(*shape)), QuantizeWeights(cpu=cpu, equalise=False), form)
        for cpu in ("native", "portable")
    )
    same = bool((native[0].codes.load() == portable[0].codes.load()).all())
    assert same == (form is None)
    assert (APART in portable[1].detail) == (MAY_SATURATE in native[1].detail) == (form is not None)


def test_the_form_of_the_run_counts_where_it_can_be_had() -> None:
    for case, touched in (("MatMul", True), ("Conv", False)):  # there is no dynamic Conv
        body, shape, _ = CASES[case]
        step, model = QuantizeWeights(cpu="portable", smallest="same"), model_of(body, w=loud(*shape))
        (outcome,) = step.apply(model, Context(Storing(17, form="integer")))
        assert (APART in str(getattr(outcome, "detail", ""))) == touched


def test_uint8_and_channels_on_their_own_stay_as_they_are() -> None:
    depthwise = "g (float[N,8,9,9] x) => (float[N,8,H,W] y) { y = Conv<group=8>(x, w) }"
    model = model_of(depthwise, w=loud(8, 1, 3, 3))
    assert summed_axes(only_weight(model).uses[0]) == ()
    assert APART not in made(model, QuantizeWeights(cpu="portable"), "dequantize")[1].detail
    body, shape, _ = CASES["MatMul"]
    unsigned = QuantizeWeights(cpu="portable", dtype="uint8")  # multiplied by uint8 in 32 bits everywhere
    assert APART not in made(model_of(body, w=loud(*shape)), unsigned, "dequantize")[1].detail


def test_halves_have_no_such_sums() -> None:
    with pytest.raises(UsageError, match="cpu: only for integers, and float16 is none"):
        QuantizeWeights(dtype="float16", cpu="portable")
