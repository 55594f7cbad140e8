"""Checks that functions end: none calls itself, and inlining them stays within a sane size and depth."""

from __future__ import annotations

import onnx

from nncompress.errors import InputError
from nncompress.onnx_file.walk import graphs_of, nodes_of

MOST_EXPANDED_NODES = 100_000  # after inlining all functions, or MOST_TIMES as many nodes as are stored, if that is


MOST_TIMES = 20  # more; a hostile file of 4 kB can reach 2^26, and shape inference visits every one of them


MOST_FUNCTIONS = 100_000  # each takes half a kilobyte of memory, and three bytes in a file


DEEPEST_CALLS = 500  # functions calling functions; onnxruntime inlines recursively and overflows its stack later


def check_functions(proto: onnx.ModelProto) -> None:
    """Raises InputError if functions call themselves, or if inlining them would not end within a sane size."""
    functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
    named = {(f.domain if f.domain != "ai.onnx" else "", f.name, f.overload) for f in proto.functions}
    if len(named) < len(proto.functions):
        raise InputError("two functions have the same domain, name and overload")
    for function in proto.functions:
        if any(graphs_of(attribute) for attribute in function.attribute_proto):
            raise InputError(f"function {function.name!r} has a graph as a default attribute, which is not supported")
    size: dict[tuple[str, str, str], int] = {}  # nodes after inlining
    depth: dict[tuple[str, str, str], int] = {}
    for root in functions:
        path: list[tuple[str, str, str]] = []
        stack = [(root, False)]
        while stack:
            key, done = stack.pop()
            called = [(n.domain, n.op_type, n.overload) for n in nodes_of(functions[key].node)]
            if done:
                path.pop()
                inner = [c for c in called if c in functions]
                size[key] = sum(size.get(c, 1) for c in called)
                depth[key] = 1 + max((depth[c] for c in inner), default=0)
                continue
            if key in size:
                continue
            if key in path:
                raise InputError(f"function {key[1]!r} calls itself")
            path.append(key)
            stack.append((key, True))
            stack += [(c, False) for c in called if c in functions and (c in path or c not in size)]
    called = [(n.domain, n.op_type, n.overload) for n in nodes_of(proto.graph.node)]
    stored = len(called) + sum(1 for f in proto.functions for _ in nodes_of(f.node))
    allowed = max(MOST_EXPANDED_NODES, MOST_TIMES * stored)
    if sum(size.get(c, 1) for c in called) > allowed:
        raise InputError(f"its functions expand to more than {allowed:,} nodes")
    if max(depth.values(), default=0) > DEEPEST_CALLS:
        raise InputError(f"its functions call one another more than {DEEPEST_CALLS} deep")
