"""Runs a small model in each form in several runtimes, and says how far their outputs are from those of onnxruntime.

python -m tests.portability    # writes the table of docs/reference/forms.md, and the commonest of its rows in README.md
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

import nncompress
from nncompress.passes.spec import parse_step
from tests.models import noise, proto_of

ROOT = Path(__file__).parent.parent
PAGE, README = ROOT / "docs" / "reference" / "forms.md", ROOT / "README.md"
START, END = "<!-- python -m tests.portability -->\n", "<!-- end -->\n"
OPSETS = (13, 21)  # without and with BitwiseAnd
SAME = 1e-5  # the same but for the order of sums
MODEL = """
g (float[4,96] x, int64[4] ids) => (float[4,40] y) {
    rows = Gather(table, ids)
    some = Add(x, rows)
    wide = MatMul(some, projection)
    kept = Relu(wide)
    shape = Constant<value = int64[4] {4, 3, 10, 10}>()
    image = Reshape(kept, shape)
    seen = Conv(image, filters)
    flat = Flatten(seen)
    y = Gemm<transB = 1>(flat, head, bias)
}
"""
Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A form, the passes that lead to it, and the relative error that runtimes may have that round by themselves."""

    form: str
    steps: tuple[str, ...]
    option: str = "folded"
    tolerance: float = SAME
    calibration: str | None = None
    common: bool = False  # a row of README.md


CASES = (
    Case("`folded`, 8 bits", ("quantize-weights",), common=True),
    *(Case(f"`folded, bitpacked`, {bits} bits", (f"quantize-weights:bits={bits},block=16",)) for bits in range(2, 8)),
    Case("`dequantize`", ("quantize-weights",), "dequantize", 0.02, common=True),
    Case("`dequantize`, 4 bits, opset 21", ("quantize-weights:bits=4,block=16",), "dequantize", 0.05, common=True),
    Case("`dequantize`, 2 bits, opset 25", ("quantize-weights:bits=2,block=16",), "dequantize", 0.05, common=True),
    Case("`integer`", ("quantize-weights",), "integer", 0.02),
    Case("rounded activations", ("quantize-activations:activations=static", "quantize-weights"), tolerance=0.03,
         calibration="synthetic"),
    Case("`cast`", ("quantize-weights:dtype=float16",)),
    Case("`codebook, bitpacked`", ("share-weights:bits=3",), common=True),
    Case("`codebook, bitpacked`, groups of channels", ("share-weights:bits=3,group_channels=8",)),
    Case("`signs, bitpacked`", ("binarize",)),
    Case("`sparse-mask`", ("prune-magnitude:sparsity=0.7",)),
    Case("`sparse-gaps`", ("prune-magnitude:sparsity=0.96",)),
    Case("`folded, sparse-mask`, 4 bits", ("prune-magnitude:sparsity=0.8", "quantize-weights:bits=4")),
    Case("factors", ("factorize:energy=0.5",)),
)  # fmt: skip


def original(opset: int) -> onnx.ModelProto:
    return proto_of(
        MODEL, opset=opset, ir_version=10, table=noise(200, 96, seed=1), projection=noise(96, 300, seed=2),
        filters=noise(16, 3, 3, 3, seed=3), head=noise(40, 1024, seed=4), bias=noise(40, seed=5),
    )  # fmt: skip


def made(case: Case, opset: int, path: Path) -> Path:
    """The model of that opset in this form."""
    steps = [parse_step(step) for step in case.steps]
    model = nncompress.compress(original(opset), steps, form=case.option, calibration=case.calibration)
    nncompress.save(model, path)
    return path


def feed() -> Outputs:
    return {"x": noise(4, 96, seed=6), "ids": np.array([3, 0, 199, 77])}


# ------------------------------------------------------------------------------------------------ runtimes
def in_onnxruntime(path: Path, level: str = "ORT_ENABLE_ALL") -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    found: np.ndarray = ort.InferenceSession(path, options).run(None, dict(feed()))[0]
    return found


def in_reference(path: Path) -> np.ndarray:
    found: np.ndarray = ReferenceEvaluator(str(path)).run(None, dict(feed()))[0]
    return found


def in_openvino(path: Path) -> np.ndarray:
    """In float32, activations not rounded on the way."""
    import openvino

    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    compiled = core.compile_model(core.read_model(path), "CPU", exact)
    return np.array(next(iter(compiled(dict(feed())).values())))


LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED")
RUNTIMES: Mapping[str, Callable[[Path], np.ndarray]] = {
    "onnxruntime, every level": lambda path: max(
        (in_onnxruntime(path, level) for level in LEVELS), key=lambda got: error(got, in_onnxruntime(path))
    ),
    "onnx.reference": in_reference,
    "OpenVINO": in_openvino,
}
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative, of all values."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# ------------------------------------------------------------------------------------------------ the tables
def rows() -> dict[Case, str]:
    """In Markdown: the largest error over the opsets, against onnxruntime with all optimisations."""
    found = {}
    with TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            paths = {opset: made(case, opset, Path(folder) / f"{number}-{opset}.onnx") for opset in OPSETS}
            cells = [_cell(run, paths, case.tolerance) for run in RUNTIMES.values()]
            found[case] = f"| {case.form} | {' | '.join(cells)} |"
    return found


def put(page: Path, lines: Iterable[str]) -> None:
    """Writes the table of these rows between the markers of a page."""
    head = (f"| stored as | {' | '.join(RUNTIMES)} |", "|---|" + "---|" * len(RUNTIMES))
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    table = "".join(f"{line}\n" for line in (*head, *lines))
    page.write_text(f"{before}{START}{table}{END}{rest.partition(END)[2]}", encoding="utf-8")


def _cell(run: Callable[[Path], np.ndarray], paths: Mapping[int, Path], tolerance: float) -> str:
    errors, refused = [], []
    for opset, path in paths.items():
        try:
            errors.append(error(run(path), in_onnxruntime(path)))
        except Exception:  # noqa: BLE001 - whatever a runtime throws, it does not run the model
            refused.append(f"does not run at opset {opset}")
    if not errors:
        return "does not run"
    worst = max(errors)
    alike = ("same" if worst <= SAME else f"within {worst:.1g}") if worst <= tolerance else f"DIFFERS by {worst:.1g}"
    return ", ".join([alike, *refused])


if __name__ == "__main__":
    written = rows()
    put(PAGE, written.values())
    put(README, (row for case, row in written.items() if case.common))
