"""Which outputs are states that go back in: those as large as an input beside the data, for every feed."""

from __future__ import annotations

import numpy as np

from nncompress.validate.states import States

Sizes = dict[str, tuple[int, ...]]


def floats(sizes: Sizes) -> dict[str, np.ndarray]:
    return {name: np.zeros(size, np.float32) for name, size in sizes.items()}


def states_of(*steps: tuple[Sizes, Sizes]) -> dict[str, str]:
    states = States()
    for given, made in steps:
        states.add(floats(made), floats(given))
    names = (name for _, made in steps for name in made)
    return {name: state for name in names if (state := states.of(name)) is not None}


def test_a_state_goes_back_into_the_input_of_its_size() -> None:
    step = ({"sound": (1, 576), "state": (2, 1, 128)}, {"speech": (1, 1), "next": (2, 1, 128)})
    assert states_of(step) == {"next": "state"}


def test_two_states_of_one_size_go_back_in_their_order() -> None:
    step = ({"x": (1, 1, 40), "h": (1, 1, 64), "c": (1, 1, 64)}, {"y": (1, 10), "hn": (1, 1, 64), "cn": (1, 1, 64)})
    assert states_of(step) == {"hn": "h", "cn": "c"}


def test_what_has_the_size_of_the_data_is_no_state() -> None:
    assert states_of(({"image": (1, 3, 8, 8)}, {"better": (1, 3, 8, 8)})) == {}
    assert states_of(({"image": (1, 3, 8, 8), "noise": (1, 1)}, {"better": (1, 3, 8, 8)})) == {}
    assert states_of(({"a": (1, 8), "b": (1, 8)}, {"sum": (1, 8), "more": (1, 2)})) == {}


def test_a_size_that_is_the_same_by_chance_is_no_state() -> None:
    """As many steps as there were in the first feed, but not in the second."""
    first = ({"words": (1, 5), "image": (1, 9)}, {"tags": (1, 5), "length": (1, 2)})
    second = ({"words": (1, 7), "image": (1, 9)}, {"tags": (1, 5), "length": (1, 2)})
    assert states_of(first) == {"tags": "words"}
    assert states_of(first, second) == {}
