"""Which elements of a weight share a scale, against what onnxruntime makes one output channel of."""

import numpy as np
import pytest

from nncompress.model.grain import Grain, Split, grain_of, in_blocks, in_groups, per_tensor
from nncompress.model.weights import find_weights
from nncompress.numerics.channels import Groups
from tests.models import model_of, noise, only_weight, run

HEAD = "g (float[1,8,5] x) => (float[] y)"
GROUPED = "y = ConvTranspose<group={groups}>(x, w)"
TURNED = "t = Transpose<perm=[2,1,0]>(w) y = ConvTranspose<group=2>(x, t)"


@pytest.mark.parametrize(("groups", "outputs"), [(1, 3), (2, 3), (4, 3), (4, 1), (8, 1), (8, 2)])
def test_channels_of_the_grain_are_the_output_channels(groups: int, outputs: int) -> None:
    """Output channel m of group g is linear in w[g C/G : (g + 1) C/G, m] and in nothing else."""
    array, x = noise(8, outputs, 2), noise(1, 8, 5)
    body = f"{HEAD} {{ {GROUPED.format(groups=groups)} }}"
    grain = grain_of(only_weight(model_of(body, w=array)))
    split = array.reshape(grain.shape)
    count = [grain.shape[axis] for axis in grain.channel_axes]
    assert int(np.prod(count)) == groups * outputs
    for number, channel in enumerate(np.ndindex(*count)):
        only = np.zeros_like(split)
        picked: list[object] = [slice(None)] * split.ndim
        for axis, index in zip(grain.channel_axes, channel, strict=True):
            picked[axis] = index
        only[tuple(picked)] = split[tuple(picked)]
        y, whole = (run(model_of(body, w=w), x=x)[0] for w in (only.reshape(array.shape), array))
        np.testing.assert_allclose(y[:, number], whole[:, number], rtol=1e-5, atol=1e-5)
        assert not np.delete(y, number, axis=1).any()


def test_groups_follow_the_axis_that_is_moved() -> None:
    grain = grain_of(only_weight(model_of(f"{HEAD} {{ {TURNED} }}", w=noise(2, 3, 8))))
    assert grain == Grain((2, 3, 2, 4), (1, 2), Split(2, (8,)))
    assert (grain.input_axis, grain.elements) == (3, 8)


def test_groups_are_those_of_the_part_that_is_read() -> None:
    cut = "a, b = Split<axis=0>(w) y = ConvTranspose<group=2>(x, a) z = ConvTranspose<group=2>(x, b)"
    weight = only_weight(model_of(f"g (float[1,8,5] x) => (float[] y, float[] z) {{ {cut} }}", w=noise(16, 3, 2)))
    assert grain_of(weight) == Grain((4, 4, 3, 2), (0, 2), Split(0, (16,)))


def test_where_nobody_knows_how_long_groups_are_each_index_is_a_channel() -> None:
    reshaped = "t = Expand(w, s) y = ConvTranspose<group=2>(x, t)"
    model = model_of(f"g (float[1,8,5] x, int64[3] s) => (float[] y) {{ {reshaped} }}", w=noise(8, 3, 2))
    assert all(len(grain_of(weight).shape) == 3 for weight in find_weights(model))


def test_other_weights_are_as_they_are() -> None:
    weight = only_weight(model_of("g (float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", w=noise(4, 3)))
    assert (grain_of(weight), per_tensor(weight)) == (Grain((4, 3), (1,)), Grain((4, 3), ()))
    assert (grain_of(weight).input_axis, per_tensor(weight).input_axis) == (0, None)


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 3, 1), (8, 3, 2), (1, 1, 1)])
def test_what_broadcasts_against_the_weight_fits_its_grain(shape: tuple[int, ...]) -> None:
    weight = only_weight(model_of(f"{HEAD} {{ {GROUPED.format(groups=2)} }}", w=noise(8, 3, 2)))
    grain, numbers = grain_of(weight), noise(*shape)
    whole = np.array(np.broadcast_to(numbers, weight.shape))
    assert np.array_equal(np.broadcast_to(grain.fitted(numbers), grain.shape), whole.reshape(grain.shape))
    assert per_tensor(weight).fitted(numbers) is numbers


@pytest.mark.parametrize(
    ("body", "shape", "blocked", "axes"),
    [
        ("y = MatMul(x, w)", (96, 5), (3, 32, 5), (0, 2)),
        ("y = Gemm<transB=1>(x, w)", (5, 96), (5, 3, 32), (0, 1)),
        ("y = Conv(x, w)", (5, 16, 3, 2), (5, 3, 32), (0, 1)),
        ("y = Conv(x, w)", (5, 7, 3, 3), (5, 3, 21), (0, 1)),
        ("y = Conv(x, w)", (5, 3, 3, 3), (5, 3, 3, 3), (0,)),
        ("y = Conv(x, w)", (5, 37, 1, 1), (5, 37, 1, 1), (0,)),
    ],
)
def test_blocks_are_of_inputs_in_a_row(
    body: str, shape: tuple[int, ...], blocked: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    weight = only_weight(model_of(f"g (float[] x) => (float[] y) {{ {body} }}", w=noise(*shape)))
    grain = in_blocks(grain_of(weight), 32)
    assert (grain.shape, grain.channel_axes) == (blocked, axes)
    inputs = tuple(1 if axis in weight.channel_axes else d for axis, d in enumerate(shape))
    for numbers in (noise(*inputs), noise(*[1] * len(shape))):
        whole = np.broadcast_to(numbers, shape)
        assert np.array_equal(np.broadcast_to(grain.fitted(numbers), grain.shape), whole.reshape(grain.shape))


@pytest.mark.parametrize(
    ("grain", "most", "groups"),
    [
        (Grain((64, 32, 3, 3), (0,)), 16, Groups(0, 16)), (Grain((32, 50), (1,)), 17, Groups(1, 10)),
        (Grain((2, 48, 10), (0, 1)), 8, Groups(1, 8)), (Grain((64, 32), (0,)), 1, Groups(0, 1)),
        (Grain((64, 32), (0,)), 64, None), (Grain((37, 32), (0,)), 16, None), (Grain((64, 32), ()), 16, None),
        (in_blocks(Grain((48, 64), (0,)), 16), 8, Groups(0, 8)),
        (in_blocks(Grain((64, 48), (1,)), 16), 8, Groups(2, 8)),
        (Grain((4, 2, 3, 2), (0, 2), Split(0, (8,))), 3, None),
        (Grain((2, 4, 8, 2), (0, 2), Split(0, (8,))), 4, Groups(2, 4)),
    ],
)  # fmt: skip
def test_groups_divide_the_longest_axis_of_outputs(grain: Grain, most: int, groups: Groups | None) -> None:
    assert in_groups(grain, most) == groups
