"""Runs models in a child process, so that a crash of onnxruntime becomes an error that names the model.

Parent to child: one pickled task on stdin, which then stays open; when it closes, the parent is gone and the child
ends. Child to parent: pickled messages on what was its stdout: ("stage", role, what), then one of ("done", result),
("error", class, message), ("bug", traceback).
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any, cast

from nncompress import errors
from nncompress.calibrate.feeds import Feeds
from nncompress.errors import InputError, NncompressError, NoOutputError
from nncompress.report.bench_record import Loaded
from nncompress.report.record import Run, Timing

DEFAULT_TIMEOUT_S = 600.0
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nncompress.validate.child import main; main()"


@dataclass(frozen=True)
class Task:
    """A function that can be pickled, and its arguments; it also gets `announce`, to say what it is about to do."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    original: Path
    result: Path | None


def measure_in_child(request: Any, *, memory_bytes: int | None = None, timeout_s: float | None = None) -> Run:
    """`compare.measure` in a child process.

    `memory_bytes` is what the models may use (None: what is free): where they do not fit together, they take turns.
    """
    if memory_bytes is not None:
        request = replace(request, free_bytes=memory_bytes)
    return cast(Run, call_in_child(Task(_measure, (request,), request.reference, request.candidate), timeout_s))


def first_accepted_in_child(
    model: Path, choices: Sequence[Feeds], *, threads: int = 1, timeout_s: float | None = None
) -> Feeds:
    """`accept.first_accepted` in a child process."""
    task = Task(_first_accepted, (model, tuple(choices), threads), model, None)
    return cast(Feeds, call_in_child(task, timeout_s))


def check_loads_in_child(model: Path, *, timeout_s: float | None = None) -> None:
    """Raises InputError if onnxruntime cannot load `model`."""
    call_in_child(Task(_check_loads, (model,), model, None), timeout_s)


def loading_in_child(model: Path, feed: Any, threads: int) -> Loaded:
    """`cost.measure_loading` in a child process, which opens nothing else."""
    return cast(Loaded, call_in_child(Task(_loading, (model, feed, threads), model, None)))


def in_turns_in_child(models: Sequence[Path], feeds: Sequence[Any], threads: int, seconds: float) -> list[Timing]:
    """`cost.measure_in_turns` in a child process."""
    task = Task(_in_turns, (tuple(models), tuple(feeds), threads, seconds), models[0], None)
    return cast(list[Timing], call_in_child(task, max(DEFAULT_TIMEOUT_S, 30 * seconds)))


def call_in_child(task: Task, timeout_s: float | None = None) -> Any:
    """The task's result. Deliberate errors are raised again here; crashes and timeouts become deliberate errors."""
    limit_s = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    with tempfile.TemporaryFile() as stderr, _started(stderr) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once: its messages end, which is dealt with below
            process.stdin.write(pickle.dumps(task))
            process.stdin.flush()
        stage = ("original", "load")
        for message in _messages(process, time.monotonic() + limit_s):
            match message:
                case ("stage", role, what):
                    stage = (role, what)
                case ("done", result):
                    return result
                case ("error", name, text):
                    raise _known_error(name)(text)
                case ("bug", trace):
                    raise RuntimeError(f"validation failed unexpectedly:\n{trace}")
                case ("timeout",):
                    raise _blamed(task, stage)(f"{_doing(task, stage)} took longer than {limit_s:g} s: stopped")
        process.wait()
        raise _blamed(task, stage)(f"{_doing(task, stage)}: onnxruntime crashed ({_cause(process.returncode, stderr)})")


def main() -> None:
    """The child: reads a task, runs it, reports."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not end up between the messages
    task: Task = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(*message: Any) -> None:
        pickle.dump(message, channel)
        channel.flush()

    try:
        result = task.function(*task.arguments, lambda role, what: send("stage", role, what))
    except NncompressError as error:
        send("error", type(error).__name__, str(error))
    except MemoryError:
        send("error", "InputError", "not enough memory to run and compare the models")
    except Exception:  # noqa: BLE001  # the parent shows it: nothing is swallowed
        send("bug", traceback.format_exc())
    else:
        send("done", result)


def _measure(request: Any, announce: Any) -> Run:
    from nncompress.validate.compare import measure

    return measure(request, announce)


def _first_accepted(model: Path, choices: Sequence[Feeds], threads: int, announce: Any) -> Feeds:
    from nncompress.validate.accept import first_accepted

    return first_accepted(model, choices, threads=threads, announce=announce)


def _check_loads(model: Path, announce: Any) -> None:
    from nncompress.validate.session import open_session

    announce("original", "load")
    open_session(model, "original")


def _loading(model: Path, feed: Any, threads: int, announce: Any) -> Loaded:
    from nncompress.validate.cost import measure_loading

    return measure_loading(model, feed, threads, announce)


def _in_turns(models: Any, feeds: Any, threads: int, seconds: float, announce: Any) -> list[Timing]:
    from nncompress.validate.cost import measure_in_turns

    return measure_in_turns(models, feeds, threads, seconds, announce)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


@contextmanager
def _started(stderr: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The child in a session of its own, gone when the block ends, however it ends."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # closing writes what a child that died early did not read
                    pipe.close()


def _messages(process: subprocess.Popen[bytes], deadline: float) -> Iterator[tuple[Any, ...]]:
    """The child's messages until it ends; ("timeout",) when `deadline` passes first."""
    queue: Queue[tuple[Any, ...] | None] = Queue()
    threading.Thread(target=_receive, args=(process.stdout, queue), daemon=True).start()
    while True:
        try:
            message = queue.get(timeout=max(deadline - time.monotonic(), 0))
        except Empty:
            yield ("timeout",)
            return
        if message is None:
            return
        yield message


def _receive(pipe: IO[bytes], queue: Queue[tuple[Any, ...] | None]) -> None:
    try:
        while True:
            queue.put(pickle.load(pipe))
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # it ended, perhaps within a message
        queue.put(None)


def _known_error(name: str) -> type[NncompressError]:
    kind = getattr(errors, name, NncompressError)
    return kind if isinstance(kind, type) and issubclass(kind, NncompressError) else NncompressError


def _blamed(task: Task, stage: tuple[str, str]) -> type[NncompressError]:
    return InputError if stage[0] == "original" or task.result is None else NoOutputError


def _doing(task: Task, stage: tuple[str, str]) -> str:
    path = task.original if stage[0] == "original" or task.result is None else task.result
    verbs = {"load": "loading", "run": "running", "time": "timing"}
    return f"{verbs.get(stage[1], stage[1])} the {stage[0]} {path}"


def _cause(code: int, stderr: IO[bytes]) -> str:
    """The signal that ended the child, or its exit code and the last thing that it said."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
    stderr.seek(0)
    said = stderr.read().decode("utf-8", "replace").strip().splitlines()
    return f"exit code {code}" + (f": {said[-1]}" if said else "")
