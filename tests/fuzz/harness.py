"""Takes one file through the whole of nncompress and says what is wrong with what came of it, if anything.

Allowed are an NncompressError whose message is one printable line, and a result that loads again with the inputs and
outputs of the original. Each file has SECONDS of processor time, which does not depend on what else the machine does,
and GROWTH_BYTES of memory.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import onnx

from nncompress.errors import NncompressError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.synthesise import synthesise_choices
from nncompress.model.freeze import lists_constants
from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.output import check_result
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.fuzz.mutator import Case, make_case

SECONDS = 5.0
GROWTH_BYTES = 256 << 20
LONGEST_MESSAGE = 2000
LARGEST_IN_FULL = 50_000  # bytes of a file whose facts are taken in full: packed and counted as well

PASSES: tuple[Pass, ...] = (
    Factorize(min_size=16, ratio=0.5),
    PruneMagnitude(min_size=16),
    QuantizeWeights(min_size=16, only_if_smaller=False),
)


class Slow(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


def problem_with(case: Case, folder: Path) -> str | None:
    """What is wrong with what nncompress makes of `case`, written into `folder`; None if nothing is."""
    before, start = _peak_bytes(), time.process_time()
    try:
        with _time_limit():
            problem = _problem(case.blob, case.data, folder, form="dequantize" if case.number % 5 == 4 else "folded")
    except Slow:
        problem = f"took longer than {SECONDS:g} s:\n{traceback.format_exc()}"
    except NncompressError as error:
        problem = _problem_with_message(str(error))
    except Exception:  # noqa: BLE001 - anything that is not deliberate is what fuzzing looks for
        problem = traceback.format_exc()
    if problem is None and time.process_time() - start > SECONDS:
        problem = f"took {time.process_time() - start:.1f} s"
    grown = _peak_bytes() - before
    return problem or (f"took {grown >> 20} MiB of memory" if grown > GROWTH_BYTES else None)


def problems(numbers: range, folder: Path) -> list[str]:
    """One entry for each case of these numbers that goes wrong, with how to run it again."""
    found = []
    for number in numbers:
        case = make_case(number)
        problem = problem_with(case, folder)
        if problem is not None:
            found.append(f"case {number} ({case.seed}: {', '.join(case.steps)}): {problem.strip()}")
    return found


def _problem(blob: bytes, data: Mapping[str, bytes], folder: Path, form: str) -> str | None:
    source, target = folder / "model.onnx", folder / "small.onnx"
    target.unlink(missing_ok=True)
    source.write_bytes(blob)
    for name, content in data.items():
        (folder / name).write_bytes(content)
    model = load(source)
    compressed = compress_graph(model, PASSES, form="dequantize" if form == "dequantize" else "folded")
    write(compressed.model, target)
    result = load(target)
    check_result(result, model)
    for one in (model, result):
        file_facts(one, in_full=len(blob) < LARGEST_IN_FULL)
    input_specs(model.ir)
    with contextlib.suppress(NncompressError):  # not all inputs can be made up
        next(iter(next(iter(synthesise_choices(model.ir, seed=0, dims={})))))
    original, after = onnx.ModelProto.FromString(blob), onnx.ModelProto.FromString(target.read_bytes()).graph
    before = original.graph
    inputs = list(before.input)
    if lists_constants(model) and compressed.changed:  # no caller can override them
        constants = {tensor.name for tensor in before.initializer}
        constants |= {sparse.values.name for sparse in before.sparse_initializer}
        inputs = [info for info in inputs if info.name not in constants]
    for what, ours, theirs in (("inputs", inputs, after.input), ("outputs", before.output, after.output)):
        if list(ours) != list(theirs):
            return f"other {what}: {_names(ours)} became {_names(theirs)}"
    lost = {line.name for line in compressed.lines if line.bytes_before < 0 or line.bytes_after < 0}
    return f"negative bytes in the ledger: {sorted(lost)[:3]}" if lost else None


def _problem_with_message(message: str) -> str | None:
    if not message.strip() or not message.isprintable() or len(message) > LONGEST_MESSAGE:
        return f"the message is not one printable line: {message[:300]!r}"
    return None


def _names(infos: object) -> list[str]:
    return [info.name for info in infos]  # type: ignore[attr-defined]


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Slow

    old = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
