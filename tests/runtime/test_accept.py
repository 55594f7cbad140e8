import numpy as np
import pytest
from onnx import TensorProto, helper

from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.synthetic import InputRecipe, Synthetic
from nncompress.runtime.accept import first_accepted
from nncompress.runtime.session import open_session
from nncompress.validate.in_child import original_in_child
from tests.runtime.models import save


def of_width(size):
    recipe = InputRecipe("x", np.dtype("float32"), (1, size), "normal")
    return Feeds(Synthetic((recipe,), 0, 1), (0,), "synthetic", 0)


@pytest.fixture
def eights(tmp_path):
    """A model that accepts multiples of eight only, which its input does not say."""
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    inputs = [("x", TensorProto.FLOAT, ["batch", "n"])]
    return save(tmp_path / "m.onnx", [node], [("y", 1)], {"shape": np.array([-1, 8])}, inputs)


def accepted_in_process(model, choices, advice):
    return first_accepted(open_session(model, "original"), choices, advice)


def accepted_in_child(model, choices, advice):
    with original_in_child(model) as original:
        return original.accepted(choices, advice)


@pytest.mark.parametrize("find", [accepted_in_process, accepted_in_child])
def test_the_first_choice_that_runs_is_taken(eights, find):
    found = find(eights, [of_width(7), of_width(24), of_width(8)], "")
    assert next(iter(found))["x"].shape == (1, 24)


def test_where_none_runs_the_first_complaint_is_shown(eights):
    with pytest.raises(InputError, match=r"cannot make inputs that this model accepts: .*Reshape.*; give --data$"):
        accepted_in_process(eights, [of_width(7), of_width(9)], "give --data")


def test_integers_are_tried_feed_by_feed(tmp_path):
    """One that is drawn may be accepted where the next one is not."""
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    path = save(
        tmp_path / "m.onnx", [node], [("y", TensorProto.FLOAT)], {"table": np.zeros((1, 2), np.float32)},
        [("x", TensorProto.INT64, [])],
    )  # fmt: skip
    drawn = Synthetic((InputRecipe("x", np.dtype("int64"), (), "below", 2),), 0, 8)
    zeros = Synthetic((InputRecipe("x", np.dtype("int64"), (), "constant", 0),), 0, 8)
    choices = [Feeds(source, tuple(range(8)), "synthetic", 0) for source in (drawn, zeros)]
    assert {int(feed["x"]) for feed in choices[0]} == {0, 1}
    assert accepted_in_process(path, choices, "").source == zeros
