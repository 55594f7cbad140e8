"""What a signal does: before a command works the system ends the process, and while it works an exception does.

There is nothing to leave behind before, and C extensions that are being loaded survive no exception. The exception lets
temporary files be removed, and comes only once, for a second one would stop that. Python drops what is raised in a
callback of its own, such as that of a weak reference: an exception lost so is raised again. One that came in the middle
of a later import waits for its end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

_ASKED = b"nncompress: ends with the best so far, once this model is measured (again: at once, with nothing)\n"
MESSAGE = "interrupted; nothing was left behind"
TIDY_S = 20.0  # after that, another signal ends the process at once
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.01


class _State:
    taken_over = False
    works = False  # a command is at work, and has not been told to end
    number = 0  # of the signal that told it to
    gentle, asked = False, False  # the first interrupt asks the work to come to an end; and it has
    ends_s = 0.0  # when, or when the work was done; 0: neither


def take_over() -> None:
    """To be called first of all. Signals that are ignored, as below nohup or in the background, stay so."""
    for number in _NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _State.taken_over = True


def begin_work() -> None:
    """From now on a signal raises KeyboardInterrupt, or SystemExit."""
    _State.works, _State.number, _State.ends_s = True, 0, 0.0
    _State.gentle = _State.asked = False
    if not _State.taken_over:
        return  # this is somebody else's process
    sys.unraisablehook = _could_not_be_raised
    signal.signal(signal.SIGALRM, _raise_again)
    for number in _NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _came)


def ask_first() -> Callable[[], bool]:
    """From now on the first interrupt raises nothing: what is returned tells then that it came. The next one ends the
    work as ever."""
    _State.gentle = True
    return lambda: _State.asked


def end_work() -> None:
    """From now on signals come too late to leave nothing behind."""
    _State.works = False
    if not came():
        _State.ends_s = time.monotonic()


def came() -> bool:
    """True if a signal told the command to end: what else it raised then may be due to that."""
    return _State.number != 0


def ignore() -> None:
    """For the end of the process, when Python takes its own handlers away."""
    for number in _NUMBERS:
        if signal.getsignal(number) == _came:
            signal.signal(number, signal.SIG_IGN)


def _came(number: int, frame: FrameType | None) -> None:
    if _State.works and _State.gentle and not _State.asked and number == signal.SIGINT:
        _State.asked = True
        os.write(2, _ASKED)
        return
    if _State.works:
        _State.number = number
        _raise_unless_importing(frame)
        return
    if not came():
        _end(number, "interrupted when the work was done: what was made is in its place")
    if time.monotonic() - _State.ends_s > TIDY_S:
        _end(number, "interrupted again; temporary files may be left behind: the next run removes them")


def _raise_unless_importing(frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
            return
        frame = frame.f_back
    _State.works, _State.ends_s = False, time.monotonic()
    raise KeyboardInterrupt if _State.number == signal.SIGINT else SystemExit(128 + _State.number)


def _end(number: int, message: str) -> None:
    """Past all of Python, which may be in the middle of anything."""
    try:
        if number == signal.SIGINT:
            os.write(2, f"nncompress: error: {message}\n".encode())
    finally:
        os._exit(128 + number)


def _could_not_be_raised(lost: sys.UnraisableHookArgs) -> None:
    """Whatever else is lost is shown, as ever."""
    if isinstance(lost.exc_value, KeyboardInterrupt | SystemExit) and came():
        _State.works = True
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    else:
        sys.__unraisablehook__(lost)


def _raise_again(number: int, frame: FrameType | None) -> None:
    if _State.works:
        _raise_unless_importing(frame)
