"""Four times the file takes about four times the time, whatever it is full of; quadratic work takes sixteen times.

Then whole commands on files of extreme counts, in seconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.pipeline import compress_graph
from nncompress.workflow.proof import Proof
from tests.models import FLOAT

K = 16
MOST_TIMES = 8  # between linear and quadratic, for four times the size
SHORTEST_S = 0.02
QUANTIZE, PRUNE = QuantizeWeights(min_size=1, only_if_smaller=False), PruneMagnitude(min_size=1, sparsity=0.9)
node, value = helper.make_node, helper.make_tensor_value_info


def weight(seed: int, rows: int = K) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, K)).astype(np.float32)


def chain(nodes: list[onnx.NodeProto], last: str, **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "g", [value("v0", FLOAT, ["N", K]), value("ids", onnx.TensorProto.INT64, ["N"])],
        [value(last, FLOAT, ["N", K])], [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def nodes_only(count: int) -> onnx.ModelProto:
    first = [node("MatMul", ["v0", "w"], ["v1"])]
    return chain(first + [node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(1, count)], f"v{count}", w=weight(0))


def weights(count: int) -> onnx.ModelProto:
    nodes = [node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]) for i in range(count)]
    return chain(nodes, f"v{count}", **{f"w{i}": weight(i) for i in range(count)})


def constant_nodes(count: int) -> onnx.ModelProto:
    nodes = []
    for i in range(count):
        nodes.append(node("Constant", [], [f"w{i}"], value=numpy_helper.from_array(weight(i))))
        nodes.append(node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]))
    return chain(nodes, f"v{count}")


def tables(count: int) -> onnx.ModelProto:
    nodes = [node("Gather", [f"w{i}", "ids"], [f"e{i}"]) for i in range(count)]
    nodes.append(node("Sum", [f"e{i}" for i in range(count)], ["y"]))
    return chain(nodes, "y", **{f"w{i}": weight(i, 40) for i in range(count)})


def alike(count: int) -> onnx.ModelProto:
    """Weights that begin and end alike."""
    nodes = [node("MatMul", [f"v{i}", "v0"], [f"v{i + 1}"]) for i in range(count)]
    constants = {}
    for i, one in enumerate(nodes):
        one.input[1] = f"w{i}"
        constants[f"w{i}"] = np.zeros((160, K), np.float32)
        constants[f"w{i}"][80, i % K] = i + 1
    return chain(nodes, f"v{count}", **constants)


def same(count: int) -> onnx.ModelProto:
    nodes = [node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]) for i in range(count)]
    return chain(nodes, f"v{count}", **{f"w{i}": weight(0) for i in range(count)})


def branches(count: int) -> onnx.ModelProto:
    """Every one with a weight of the same name."""
    nodes = [node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))]
    for i in range(count):
        one, other = (
            helper.make_graph([node("MatMul", [f"v{i}", "w"], ["q"])], "t", [], [value("q", FLOAT, None)],
                              [numpy_helper.from_array(weight(2 * i + j), "w")])
            for j in range(2)
        )  # fmt: skip
        nodes.append(node("If", ["c"], [f"v{i + 1}"], then_branch=one, else_branch=other))
    return chain(nodes, f"v{count}")


def functions(count: int) -> onnx.ModelProto:
    proto = chain([node(f"f{i}", [f"v{i}"], [f"v{i + 1}"], domain="local") for i in range(count)], f"v{count}")
    for i in range(count):
        held = node("Constant", [], ["w"], value=numpy_helper.from_array(weight(i)))
        body = [held, node("MatMul", ["a", "w"], ["b"])]
        proto.functions.append(
            helper.make_function("local", f"f{i}", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
        )
    return proto


def unread(count: int) -> onnx.ModelProto:
    proto = nodes_only(1)
    proto.graph.initializer.extend(numpy_helper.from_array(np.float32(i), f"s{i}") for i in range(count))
    return proto


def unread_nodes(count: int) -> onnx.ModelProto:
    proto = nodes_only(1)
    held = (numpy_helper.from_array(np.array(i, np.float32)) for i in range(count))
    proto.graph.node.extend(node("Constant", [], [f"s{i}"], value=tensor) for i, tensor in enumerate(held))
    return proto


CASES: dict[str, tuple[Callable[[int], onnx.ModelProto], int, Pass]] = {
    "nodes": (nodes_only, 600, QUANTIZE),
    "weights": (weights, 100, QUANTIZE),
    "pruned weights": (weights, 60, PRUNE),
    "split weights": (weights, 100, Factorize(ratio=0.1, min_size=1)),
    "constant nodes": (constant_nodes, 100, QUANTIZE),
    "tables": (tables, 150, QUANTIZE),
    "weights that look alike": (alike, 100, QUANTIZE),
    "equal weights": (same, 300, QUANTIZE),
    "branches": (branches, 40, QUANTIZE),
    "functions": (functions, 60, QUANTIZE),
    "constants that nothing reads": (unread, 2000, QUANTIZE),
    "constant nodes that nothing reads": (unread_nodes, 1000, QUANTIZE),
}


WHOLE: dict[str, tuple[Callable[[int], onnx.ModelProto], int, bool]] = {
    "200,000 constants that nothing reads, not validated": (unread, 200_000, False),
    "a chain of 100,000 nodes, validated": (nodes_only, 100_000, True),
}


def whole_command(folder: Path, proto: onnx.ModelProto, *, validate: bool) -> float:
    """Seconds of `compress_file`."""
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    start = time.perf_counter()
    proof, writing = Proof(validate=validate), Writing(force=True)
    compress_file(folder / "m.onnx", folder / "o.onnx", [QUANTIZE], command="quantize", proof=proof, writing=writing)
    return time.perf_counter() - start


def seconds(folder: Path, proto: onnx.ModelProto, one: Pass, repeats: int) -> tuple[float, float]:
    """Processor time of loading and of compressing and writing; the best of some."""
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    loading, compressing = [], []
    for _ in range(repeats):
        start = time.process_time()
        model = load(folder / "m.onnx")
        loaded = time.process_time()
        write(compress_graph(model, [one]).model, folder / "o.onnx")
        loading.append(loaded - start)
        compressing.append(time.process_time() - loaded)
        (folder / "o.onnx").unlink()
    return min(loading), min(compressing)


def main() -> int:
    """Prints how many times longer four times the model takes, and ends with 1 where that is not about four times."""
    slow = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (make, count, one) in CASES.items():
            small, large = (seconds(Path(folder), make(times * count), one, 2) for times in (1, 4))
            load_times, compress_times = (
                after / max(before, SHORTEST_S) for before, after in zip(small, large, strict=True)
            )
            slow += max(load_times, compress_times) >= MOST_TIMES
            print(f"{name:34} loading {load_times:5.1f}x  compressing and writing {compress_times:5.1f}x")
        for name, (make, count, validate) in WHOLE.items():
            print(f"{name}: {whole_command(Path(folder), make(count), validate=validate):.1f} s")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
