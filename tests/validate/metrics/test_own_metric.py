"""Metrics of one's own: from a module or a file, with one line for whatever is wrong with them."""

from pathlib import Path

import pytest

from nncompress.errors import UsageError
from tests.validate.metrics.test_choice import measured

SOURCE = """
import numpy as np

def mean(outputs, labels, inputs):
    assert len(outputs) == len(inputs) == 2 and inputs[0]["x"].shape == (1, 1)
    return np.mean([one["logits"].mean() for one in outputs]) * (1 if labels is None else labels[0])

def loss(outputs, labels, inputs):
    return 100 * mean(outputs, labels, inputs)

loss.lower_is_better = True
loss.is_share = False

def wrong(outputs, labels, inputs):
    raise KeyError("boxes")

def large(outputs, labels, inputs):
    return 32.1

constant = 1
"""
PAIRS = (([[0.5]], [[0.25]]), ([[0.5]], [[0.25]]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_scores.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["my_scores:mean", "my_scores.py:mean"])
def test_a_function_is_called_once_for_each_model(here: Path, name: str) -> None:
    (metric,) = measured(None, *PAIRS, names=[name])
    assert (metric.name, metric.reference, metric.candidate, metric.drop, metric.samples) == (
        "mean",
        0.5,
        0.25,
        0.25,
        2,
    )
    (labelled,) = measured([0.5], *PAIRS, names=[name])
    assert labelled.reference == 0.25


def test_its_attributes_say_what_the_figure_is(here: Path) -> None:
    (metric,) = measured(None, *PAIRS, names=["my_scores.py:loss"])
    assert (metric.reference, metric.candidate, metric.higher_is_better, metric.is_share) == (50, 25, False, False)
    assert metric.drop == -0.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_scores.py:wrong", "metric 'my_scores.py:wrong' raised KeyError: 'boxes'"),
        ("my_scores.py:large", "returned 32.1, which is no share of 1: set large.is_share = False"),
        ("my_scores.py:constant", "my_scores.py has no function 'constant'"),
        ("my_scores.py:means", "my_scores.py has no function 'means'"),
        ("broken.py:mean", "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("gone.py:mean", "cannot be imported: FileNotFoundError"),
        ("my_scores.py:", "is not module:function"),
    ],
)
def test_what_is_wrong_is_one_line(here: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        measured(None, *PAIRS, names=[name])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
