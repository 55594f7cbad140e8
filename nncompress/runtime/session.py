"""Opens models in onnxruntime and runs them; its exceptions become ours, by the part that the model plays."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: it writes files otherwise

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from nncompress.errors import InputError, NncompressError, NoOutputError, UnknownOperatorError
from nncompress.feeds.specs import Array, Feed, InputSpec
from nncompress.runtime.libraries import registered

Part = Literal["original", "result"]
OutputArray = Any
"""What onnxruntime returns for one output: an array, a list of outputs, a dict or None."""

_FAULTS: tuple[type[Exception], ...] = (
    *(e for e in vars(ort_errors).values() if isinstance(e, type) and issubclass(e, Exception)),
    RuntimeError,  # inputs of a type that the Python binding cannot take; std::exception of a kernel
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,  # std::bad_alloc
)
_BY_VALUE = {"bfloat16": 16, "float8e4m3fn": 17, "float8e4m3fnuz": 18, "float8e5m2": 19, "float8e5m2fnuz": 20}
"""Element types that numpy lacks: passed as OrtValue with their number in TensorProto.DataType."""

_UNKNOWN_OPERATOR = "; give the library of a custom operator with --register-library FILE, or use --no-validate"

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Session:
    """A model ready to run. `inputs` and `outputs` map names to types such as "tensor(float)", in order."""

    path: Path
    part: Part
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    options: Any
    inner: Any
    specs: tuple[InputSpec, ...] = ()  # the inputs once more, with their declared shapes
    draws: int | None = None  # what the seeds of random operators follow from; None: they are the file's
    generators: frozenset[str] = frozenset()  # what draws random numbers, where `draws` is given

    def run(self, feed: Feed) -> list[OutputArray]:
        """All outputs in order. Raises InputError for the original, NoOutputError for the result."""
        call = self._run_by_value if self._needs_values() else self._run_plain
        return guarded(lambda: call(feed), "run", self.path, self.part)

    def binder(self, feed: Feed) -> Callable[[], object]:
        """A call that runs the model on `feed` with as little of Python around it as possible, for timing."""
        if self._needs_values():
            return lambda: self._run_by_value(feed)
        names = list(self.outputs)
        if len(self._decodable()) < len(names) and self._has_undecodable(feed):
            names = self._decodable() or names
        return lambda: self.inner.run(names, feed)

    @property
    def is_open(self) -> bool:
        return self.inner is not None

    def again(self, draws: int | None = None) -> Session:
        """The same model opened once more with the same options; where it has draws, with others if it is told so."""
        return _open(self.path, self.part, self.options, self.draws if draws is None else draws)

    def closed(self) -> Session:
        """What the model is like, without the memory that it takes; it can no longer run."""
        return replace(self, inner=None)

    def _run_plain(self, feed: Feed) -> list[OutputArray]:
        try:
            outputs: list[OutputArray] = self.inner.run(list(self.outputs), feed)
        except UnicodeDecodeError:  # strings may be any bytes, but onnxruntime hands them out as text only
            known = self._decodable()
            arrays = dict(zip(known, self.inner.run(known, feed) if known else [], strict=True))
            return [arrays.get(name, np.array(["(not UTF-8)"], dtype=object)) for name in self.outputs]
        return outputs

    def _has_undecodable(self, feed: Feed) -> bool:
        try:
            self.inner.run(list(self.outputs), feed)
        except UnicodeDecodeError:
            return True
        return False

    def _decodable(self) -> list[str]:
        """The outputs without strings."""
        return [name for name, kind in self.outputs.items() if "string" not in kind]

    def _needs_values(self) -> bool:
        return any(_element(kind) in _BY_VALUE for kind in (*self.inputs.values(), *self.outputs.values()))

    def _run_by_value(self, feed: Feed) -> list[OutputArray]:
        values = {name: _as_value(array, _element(self.inputs[name])) for name, array in feed.items()}
        return [_from_value(value) for value in self.inner.run_with_ort_values(list(self.outputs), values)]


def open_session(path: Path, part: Part, *, threads: int = 1, draws: int | None = None) -> Session:
    """The model as deployed: default options, CPU, `threads` threads.

    Sessions with the same `draws` draw the same random numbers as long as they are called equally often.
    """
    return _open(path, part, _options(threads, path, draws), draws)


def open_exact_session(path: Path, part: Part, *, threads: int = 1, draws: int | None = None) -> Session:
    """The model without integer arithmetic on activations behind DequantizeLinear and MatMulNBits."""
    options = _options(threads, path, draws)
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _open(path, part, options, draws)


def open_profiled_session(path: Path, part: Part, prefix: Path, *, threads: int = 1) -> Session:
    """The model as deployed, with the time of each kernel written to a file that begins with `prefix`."""
    options = _options(threads, path, None)
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    return _open(path, part, options, None)


def guarded(call: Callable[[], _T], what: str, path: Path, part: Part) -> _T:
    """`call()` with onnxruntime's exceptions turned into the error that fits the model's part."""
    try:
        return call()
    except _FAULTS as error:
        said = first_line(error)
        message = f"onnxruntime cannot {what} the {part} {path}: {said}"
        if part == "original" and "is not a registered function/op" in said:
            raise UnknownOperatorError(message + _UNKNOWN_OPERATOR) from error
        raise _kind(part)(message) from error


def _kind(part: Part) -> type[NncompressError]:
    return InputError if part == "original" else NoOutputError


def first_line(error: BaseException) -> str:
    """onnxruntime's message without its prefix of codes and its stack."""
    text = str(error).strip().split("\n")
    line = text[0] if text[0] else type(error).__name__
    if line.startswith("[ONNXRuntimeError]"):
        line = line.split(" : ", 3)[-1]
    return "out of memory" if isinstance(error, MemoryError) or "bad_alloc" in line else line


def _options(threads: int, path: Path, draws: int | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if draws is not None:  # it is opened from memory, and still finds its external data
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    if threads > 1:  # waiting threads of one session would slow the other one down
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for library in registered():
        _register(options, library)
    return options


def _register(options: ort.SessionOptions, library: Path) -> None:
    try:
        options.register_custom_ops_library(str(library))
    except _FAULTS as error:
        said = first_line(error).rpartition("with error: ")[2]
        raise InputError(f"onnxruntime cannot register {library} as a library of custom operators: {said}") from error


def _open(path: Path, part: Part, options: ort.SessionOptions, draws: int | None) -> Session:
    if not _is_utf8(path):
        raise _kind(part)(
            f"onnxruntime cannot open the {part} {path}: its name is not UTF-8; rename the file or folder"
        )
    model, generators = (str(path), frozenset[str]()) if draws is None else _seeded(path, draws)
    inner = guarded(
        lambda: ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]), "load", path, part
    )
    return Session(
        path,
        part,
        {value.name: value.type for value in inner.get_inputs()},
        {value.name: value.type for value in inner.get_outputs()},
        options,
        inner,
        tuple(InputSpec(value.name, None, tuple(value.shape)) for value in inner.get_inputs()),
        draws,
        generators,
    )


def _seeded(path: Path, draws: int) -> tuple[bytes, frozenset[str]]:
    """A copy of the model in memory."""
    from nncompress.onnx_file.seeds import seeded  # here alone: few models draw random numbers, and onnx loads slowly

    ort.set_seed(draws)  # for what has no seed of its own
    copy = seeded(path, draws)
    return copy.data, copy.generators


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _element(kind: str) -> str:
    return kind.removeprefix("tensor(").removesuffix(")")


def _as_value(array: Array, element: str) -> Any:
    if element in _BY_VALUE:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), _BY_VALUE[element])
    return ort.OrtValue.ortvalue_from_numpy(array)


def _from_value(value: Any) -> OutputArray:
    element = _element(value.data_type()) if value.is_tensor() else ""
    if element != "bfloat16":
        return _float8(value.numpy(), element) if element in _BY_VALUE else value.numpy()
    shape = tuple(value.shape())
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.frombuffer(ctypes.string_at(value.data_ptr(), count * 2), np.uint16)
    return (raw.astype(np.uint32) << 16).view(np.float32).reshape(shape)


def _float8(codes: Array, element: str) -> Array:
    import ml_dtypes

    name = element.replace("float8", "float8_")
    decoded: Array = codes.view(np.dtype(getattr(ml_dtypes, name))).astype(np.float32)
    return decoded
