"""Gives the operators of a file that draw random numbers seeds of their own, so that two models draw the same ones.

Without a seed, onnxruntime takes one from a clock and from a node's number, which any node put in front changes; a
Dropout that trains shares one sequence of numbers with all others of the process.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import onnx

from nncompress.model.blocks import RANDOM
from nncompress.onnx_file.walk import nodes_of

_MODE = 2  # the input of Dropout that says whether it trains
_SEEDS = 1 << 24  # a float holds every whole number below


@dataclass(frozen=True)
class Seeded:
    """A model as bytes, external data left where it is, and what draws random numbers in it."""

    data: bytes
    generators: frozenset[str]  # operator, name of its result, and the seed that it came with


def seeded(path: Path, draws: int) -> Seeded:
    """The model at `path`; the seeds that it lacks follow from `draws` and from the names of results.

    A generator in a function draws the same numbers wherever the function is called, in both models alike.
    """
    proto = onnx.load_model(path, load_external_data=False)
    generators = set()
    for nodes in [proto.graph.node, *(function.node for function in proto.functions)]:
        for node in nodes_of(nodes):
            if node.op_type in RANDOM or _may_drop_out(node):
                generators.add(_with_seed(node, draws))
    return Seeded(proto.SerializeToString(), frozenset(generators))


def _may_drop_out(node: onnx.NodeProto) -> bool:
    return node.op_type == "Dropout" and len(node.input) > _MODE and bool(node.input[_MODE])


def _with_seed(node: onnx.NodeProto, draws: int) -> str:
    name = f"{node.op_type} {node.output[0]}"
    own = [attribute for attribute in node.attribute if attribute.name == "seed"]
    if own:
        return f"{name} {own[0].f or own[0].i or own[0].ref_attr_name}"
    seed = (zlib.crc32(name.encode("utf-8", "surrogatepass")) + draws) % _SEEDS
    whole = node.op_type == "Dropout"
    node.attribute.append(onnx.helper.make_attribute("seed", seed if whole else float(seed)))
    return name
