"""Calls a function in a process of its own, so that a crash or a lack of memory there ends nothing else.

Parent to child: one pickled call on stdin, which then stays open; when it closes, the parent is gone and the child
ends. Child to parent: pickled messages on what was its stdout: ("stage", part, what), then one of ("done", result),
("error", class, message, whether the machine is the cause), ("memory",), ("bug", traceback). Where the call is of
`serving_process`, its result stays in the child and is called with each request that comes on stdin, and answers alike.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from queue import Empty, Queue
from types import FrameType
from typing import IO, Any

from nncompress import errors
from nncompress.errors import MachineError, NncompressError, NoOutputError, lacking, lacks_memory, need_not_repeat
from nncompress.progress import Announce, silent
from nncompress.runtime.messages import read_message, write_message

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nncompress.runtime.child_process import main; main()"
)
_KILLED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
_running: set[subprocess.Popen[bytes]] = set()


class ChildDied(Exception):
    """The child ended without an answer; the text says how."""


class ChildKilled(ChildDied, MachineError):
    """Somebody else ended it, such as a system that lacks memory."""


class ChildTimedOut(MachineError):
    """The child took too long and was stopped."""


class ChildLacksMemory(MachineError):
    """The function in the child asked for more memory than there is."""


@dataclass(frozen=True)
class Call:
    """A function that can be pickled and its arguments; it also gets `announce(part, what, done, total)`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    tidy_s: float = 0.0  # time to remove temporary files when it has to end
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None  # that it may use; None: no limit
    serves: bool = False  # the result stays there and is called with what is asked


def call_in_process(call: Call, announced: Announce = silent, timeout_s: float | None = None) -> Any:
    """The function's result. Deliberate errors are raised again here. `timeout_s`: between two signs of life.

    Raises ChildDied, ChildTimedOut, ChildLacksMemory, and RuntimeError with the traceback for a bug.
    """
    with tempfile.TemporaryFile() as stderr, _started(call, stderr) as process:
        talk = _Talk(process, stderr, announced, timeout_s)
        talk.send(call)
        return talk.answer()


@contextmanager
def serving_process(call: Call, announced: Announce, timeout_s: float | None = None) -> Iterator[Serving]:
    """What the function returns, a callable of one argument, living in the child; the function still runs there."""
    call = replace(call, serves=True)
    with tempfile.TemporaryFile() as stderr, _started(call, stderr) as process:
        yield Serving(_Talk(process, stderr, announced, timeout_s), call)


class Serving:
    """Questions to a child, one at a time. All raise as `call_in_process`."""

    def __init__(self, talk: _Talk, call: Call) -> None:
        talk.send(call)
        self._talk, self._is_waited_for = talk, True

    def wait(self) -> Any:
        """The answer that is due, where one is: to `begin`, or to the call by which the child was started."""
        if self._is_waited_for:
            self._is_waited_for = False
            return self._talk.answer()
        return None

    def begin(self, question: Any) -> None:
        """Asks, when the answer that is due has come. The child works on it while nobody waits."""
        self.wait()
        self._talk.send(question)
        self._is_waited_for = True

    def ask(self, question: Any) -> Any:
        """The child's answer."""
        self.begin(question)
        return self.wait()


@dataclass(frozen=True)
class _Talk:
    """The parent's end of the two pipes."""

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]
    announced: Announce
    timeout_s: float | None
    queue: Queue[tuple[Any, ...] | None] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=_receive, args=(self.process.stdout, self.queue), daemon=True).start()

    def send(self, question: Any) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died: its messages end, which `answer` deals with
            write_message(question, self.process.stdin)

    def answer(self) -> Any:
        """The child's, to what was sent last."""
        while (message := self._next_message()) is not None:
            match message:
                case ("stage", part, what, done, total):
                    self.announced(part, what, done, total)
                case ("done", result):
                    return result
                case ("error", name, text, of_machine):
                    raise _known_error(name)(text) from (MachineError() if of_machine else None)
                case ("memory",):
                    raise ChildLacksMemory
                case ("bug", trace):
                    raise RuntimeError(f"a child process failed unexpectedly:\n{trace}")
        self.process.wait()
        died = ChildKilled if self.process.returncode in _KILLED else ChildDied
        raise died(_cause(self.process.returncode, self.stderr))

    def _next_message(self) -> tuple[Any, ...] | None:
        """None when the child has ended. Raises ChildTimedOut when it is silent for too long."""
        try:
            return self.queue.get(timeout=self.timeout_s)
        except Empty:
            raise ChildTimedOut from None


def stop_children() -> None:
    """Asks all children of this process to end; what they were called for raises ChildDied."""
    for process in tuple(_running):
        process.terminate()


def main() -> None:
    """The child: reads a call, makes it, reports."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not end up between the messages
    call: Call = read_message(sys.stdin.buffer)
    if call.memory_bytes is not None and sys.platform == "linux":  # elsewhere it means something else
        resource.setrlimit(resource.RLIMIT_DATA, (call.memory_bytes, call.memory_bytes))
    if call.tidy_s:
        signal.signal(signal.SIGTERM, _end)
    requests: Queue[Any] = Queue()
    threading.Thread(target=_read_requests, args=(requests, call.tidy_s), daemon=True).start()

    def send(*message: Any) -> None:
        write_message(message, channel)

    def announce(part: str, what: str, done: float = 0, total: float | None = None) -> None:
        send("stage", part, what, done, total)

    def started() -> Any:
        return call.function(*call.arguments, announce)

    if not call.serves:
        _answer(started, send)
        return
    served: list[Callable[[Any], Any]] = []
    _answer(lambda: served.append(started()), send)
    while served:
        _answer(lambda: served[0](requests.get()), send)


def _answer(make: Callable[[], Any], send: Callable[..., None]) -> None:
    """Sends what `make` returns, or what it raises."""
    try:
        result = make()
    except NncompressError as error:
        send("error", type(error).__name__, str(error), need_not_repeat(error))
    except Exception as error:  # noqa: BLE001  # the parent shows it: nothing is swallowed
        if lacks_memory(error):
            send("memory")
        elif lacks := lacking(error):
            send("error", NoOutputError.__name__, lacks, True)
        else:
            send("bug", traceback.format_exc())
    else:
        send("done", result)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would stop the tidying
    raise SystemExit(128 + number)  # so that temporary files are removed


def _read_requests(requests: Queue[Any], tidy_s: float) -> None:
    """Whatever comes, until the parent is gone: then the process ends."""
    try:
        while True:
            requests.put(read_message(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):  # perhaps within a request
        pass
    if tidy_s:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(tidy_s)
    os._exit(1)


@contextmanager
def _started(call: Call, stderr: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The child in a session of its own, gone when the block ends, however it ends."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", **call.environment},
    )
    _running.add(process)
    try:
        yield process
    finally:
        if call.tidy_s and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(call.tidy_s)
        process.kill()
        process.wait()
        _running.discard(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # closing writes what a child that died early did not read
                    pipe.close()


def _receive(pipe: IO[bytes], queue: Queue[tuple[Any, ...] | None]) -> None:
    try:
        while True:
            queue.put(read_message(pipe))
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # it ended, perhaps within a message
        queue.put(None)


def _known_error(name: str) -> type[NncompressError]:
    kind = getattr(errors, name, NncompressError)
    return kind if isinstance(kind, type) and issubclass(kind, NncompressError) else NncompressError


def _cause(code: int, stderr: IO[bytes]) -> str:
    """The signal that ended the child, or its exit code and the last thing that it said."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name
    stderr.seek(0)
    said = stderr.read().decode("utf-8", "replace").strip().splitlines()
    return f"exit code {code}" + (f": {said[-1]}" if said else "")
