"""Measures the sample models as they lie on the disk: bytes, parameters, and accuracy in onnxruntime."""

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: onnxruntime writes a telemetry file otherwise

import numpy as np
import onnx
import onnxruntime as ort


def measure(folder: Path, model_name: str) -> dict[str, str | int | float]:
    """One entry of accuracy.json for the model at `folder / model_name`."""
    path = folder / model_name
    input_name = ort_session(path).get_inputs()[0].name
    calibration, evaluation = (f"data/{input_name}_{split}.npz" for split in ("calibration", "evaluation"))
    with np.load(folder / evaluation) as feed:
        labels = feed["labels"]
        correct = int((run(path, feed[input_name]).argmax(axis=1) == labels).sum())
    return {
        "accuracy": correct / len(labels),
        "correct": correct,
        "samples": len(labels),
        "parameters": count_parameters(path),
        "size_bytes": size_bytes(path),
        "calibration": calibration,
        "evaluation": evaluation,
    }


def run(path: Path, inputs: np.ndarray) -> np.ndarray:
    """The logits [n, 10] of a one-input model."""
    session = ort_session(path)
    return session.run(["logits"], {session.get_inputs()[0].name: inputs})[0]


def ort_session(path: Path) -> ort.InferenceSession:
    """A session on one CPU thread, with onnxruntime's default optimizations."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def count_parameters(path: Path) -> int:
    """Elements of the float initializers; batch normalization's running statistics count."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return sum(int(np.prod(t.dims)) for t in tensors if t.data_type == onnx.TensorProto.FLOAT)


def size_bytes(path: Path) -> int:
    """Bytes of the model file and of the external data file beside it, if there is one."""
    data = path.with_name(path.name + ".data")
    return path.stat().st_size + (data.stat().st_size if data.exists() else 0)
