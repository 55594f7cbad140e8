"""Runs models in a child process, so that a crash of onnxruntime becomes an error that names the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from nncompress.errors import InputError, NncompressError, NoOutputError
from nncompress.progress import at
from nncompress.results.record import Loaded, Timing
from nncompress.runtime.child_process import (
    Call,
    ChildDied,
    ChildLacksMemory,
    ChildTimedOut,
    call_in_process,
    serving_process,
)
from nncompress.runtime.libraries import registered, with_libraries
from nncompress.runtime.memory import free_memory_bytes

DEFAULT_TIMEOUT_S = 600.0  # between two signs of life: a model loaded, a feed run, a latency measured
LEAST_MEMORY_BYTES = 1 << 30
_in_process = False


def run_in_process() -> None:
    """From now on models run in this process, where a debugger can look at them, and where a crash ends everything."""
    global _in_process
    _in_process = True


@dataclass(frozen=True)
class ModelCall:
    """A function that can be pickled, and its arguments; it also gets `announce`, to say what it is about to do."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    original: Path
    result: Path | None


def check_loads_in_child(model: Path, *, timeout_s: float | None = None) -> None:
    """Raises InputError if onnxruntime cannot load `model`."""
    call_in_child(ModelCall(_check_loads, (model,), model, None), timeout_s)


def loading_in_child(model: Path, feed: Any, threads: int) -> Loaded:
    """`cost.measure_loading` in a child process."""
    return cast(Loaded, call_in_child(ModelCall(_loading, (model, feed, threads), model, None)))


def in_turns_in_child(models: Sequence[Path], feeds: Sequence[Any], threads: int, seconds: float) -> list[Timing]:
    """`cost.measure_in_turns` in a child process."""
    call = ModelCall(_in_turns, (tuple(models), tuple(feeds), threads, seconds), models[0], None)
    return cast(list[Timing], call_in_child(call, limit_for(seconds)))


def kernels_in_child(model: Path, feed: Any, threads: int, seconds: float) -> list[Any]:
    """`kernels.measure_kernels` in a child process."""
    call = ModelCall(_kernels, (model, feed, threads, seconds), model, model)
    return cast(list[Any], call_in_child(call, limit_for(seconds)))


def call_in_child(call: ModelCall, timeout_s: float | None = None) -> Any:
    """The call's result. Deliberate errors are raised again here; crashes and timeouts become deliberate errors.

    The child may use the memory that is free: one that wants more fails, and nothing else on the machine does.
    """
    if _in_process:
        return call.function(*call.arguments, _told)
    process_call, watched, limit_s = _guarded(call, timeout_s)
    with _blaming(watched, limit_s):
        return call_in_process(process_call, watched.announced, limit_s)


class Serving(Protocol):
    """What lives in the child. `result`: the file that the question is about besides the original."""

    def wait(self) -> Any:
        """The answer that is due to `begin`; or until the call has returned what lives there."""

    def begin(self, question: Any, result: Path | None = None) -> None:
        """Asks without waiting for the answer."""

    def ask(self, question: Any, result: Path | None = None) -> Any:
        """The answer."""


@contextmanager
def serve_in_child(call: ModelCall, timeout_s: float | None = None) -> Iterator[Serving]:
    """What the call's function returns: a callable of one argument, which lives in the child until the block ends.

    It answers as `call_in_child` does. The block begins while the function still runs: what that raises comes with the
    first wait. After a child that died, the next question starts another one.
    """
    if _in_process:
        yield _ServingHere(call)
        return
    with ExitStack() as lives:
        yield _Serving(lives, call, timeout_s)


class _Serving:
    """A child at a time, which `lives` holds."""

    def __init__(self, lives: ExitStack, call: ModelCall, timeout_s: float | None) -> None:
        self._lives, self._call, self._timeout_s = lives, call, timeout_s
        self._start()

    def wait(self) -> Any:
        with _blaming(self._watched, self._limit_s):
            try:
                return self._inner.wait()
            except (ChildDied, ChildTimedOut):
                self._lives.close()
                self._is_gone = True
                raise

    def begin(self, question: Any, result: Path | None = None) -> None:
        if self._is_gone:
            self._start()
        self.wait()
        self._watched.result = result or self._call.result
        self._inner.begin(question)

    def ask(self, question: Any, result: Path | None = None) -> Any:
        self.begin(question, result)
        return self.wait()

    def _start(self) -> None:
        process_call, self._watched, self._limit_s = _guarded(self._call, self._timeout_s)
        serving = serving_process(process_call, self._watched.announced, self._limit_s)
        self._inner = self._lives.enter_context(serving)
        self._is_gone = False


class _ServingHere:
    """The same in this process, where everything is waited for."""

    def __init__(self, call: ModelCall) -> None:
        self._served = call.function(*call.arguments, _told)
        self._answer: Any = None

    def wait(self) -> Any:
        answer, self._answer = self._answer, None
        return answer

    def begin(self, question: Any, result: Path | None = None) -> None:
        self._answer = self._served(question)

    def ask(self, question: Any, result: Path | None = None) -> Any:
        return self._served(question)


@dataclass
class _Watched:
    """What a child is at: for errors that name the model."""

    original: Path
    result: Path | None
    part: str = "original"
    what: str = "load"

    def announced(self, part: str, stage: str, done: float = 0, total: float | None = None) -> None:
        self.part, self.what = part, stage
        _told(part, stage, done, total)

    @property
    def is_original(self) -> bool:
        return self.part == "original" or self.result is None

    @property
    def blamed(self) -> type[NncompressError]:
        return InputError if self.is_original else NoOutputError

    def __str__(self) -> str:
        path = self.original if self.is_original else self.result
        return f"{stage_words(self.part, self.what)} {path}"


def _guarded(call: ModelCall, timeout_s: float | None) -> tuple[Call, _Watched, float]:
    """What to call in a process, and how."""
    limit_s = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    free = free_memory_bytes()
    memory_bytes = None if free is None else max(free, LEAST_MEMORY_BYTES)
    process_call = Call(with_libraries, (registered(), call.function, call.arguments), memory_bytes=memory_bytes)
    return process_call, _Watched(call.original, call.result), limit_s


@contextmanager
def _blaming(watched: _Watched, limit_s: float) -> Iterator[None]:
    """What happens to a process becomes a deliberate error."""
    try:
        yield
    except ChildTimedOut as error:
        raise watched.blamed(f"{watched} took longer than {limit_s:g} s: stopped") from error
    except ChildLacksMemory as error:
        raise InputError("not enough memory to run and compare the models") from error
    except ChildDied as error:
        raise watched.blamed(f"{watched}: onnxruntime crashed ({error})") from error


def limit_for(seconds: float) -> float:
    """Enough for a measurement of `seconds`, which takes up to twenty times as long (see timing.py)."""
    return max(DEFAULT_TIMEOUT_S, 30 * seconds)


def _check_loads(model: Path, announce: Any) -> None:
    from nncompress.runtime.session import open_session

    announce("original", "load")
    open_session(model, "original")


def _loading(model: Path, feed: Any, threads: int, announce: Any) -> Loaded:
    from nncompress.runtime.cost import measure_loading

    return measure_loading(model, feed, threads, announce)


def _in_turns(models: Any, feeds: Any, threads: int, seconds: float, announce: Any) -> list[Timing]:
    from nncompress.runtime.cost import measure_in_turns

    return measure_in_turns(models, feeds, threads, seconds, announce)


def _kernels(model: Path, feed: Any, threads: int, seconds: float, announce: Any) -> list[Any]:
    from nncompress.runtime.kernels import measure_kernels

    return measure_kernels(model, feed, threads, seconds, announce)


def _told(part: str, what: str, done: float = 0, total: float | None = None) -> None:
    at(stage_words(part, what), done, total)


def stage_words(part: str, what: str) -> str:
    """What a child process announced, as "loading the original"."""
    verbs = {"load": "loading", "run": "running", "time": "timing"}
    return f"{verbs.get(what, what)} the {part}"
