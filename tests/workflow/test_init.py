"""The first configuration is TOML whatever the models are called, and reads as it is meant."""

from __future__ import annotations

import glob
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from nncompress.workflow.init import Measured, measure, starter_text
from tests.support import MLP


@pytest.mark.parametrize("name", ["m.onnx", 'a "b\\c.onnx', "x\n[y]\x1b.onnx", "\u202eevil\xa0.onnx", "größe.onnx"])
def test_any_name_is_quoted_so_that_it_can_be_seen(name: str) -> None:
    text = starter_text([replace(measure(MLP, MLP.parent), path=Path(name))])
    (budget,) = tomllib.loads(text)["budget"]
    assert budget["path"] == glob.escape(name)
    assert all(line.isprintable() for line in text.split("\n"))


def test_limits_are_the_figures_of_today_and_a_margin() -> None:
    facts = replace(measure(MLP, MLP.parent).facts, file_bytes=1000, packed_bytes=None, parameters=12_345, macs=None)
    (budget,) = tomllib.loads(starter_text([Measured(Path("m.onnx"), facts)]))["budget"]
    assert budget == {"path": "m.onnx", "max_size": "1.10 kB", "max_params": 13_600}
