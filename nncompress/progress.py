"""Says what the work is at, and how much of it is done, to whoever listens: a terminal shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Announce(Protocol):
    """Told in a child process which model ("original" or "result") is about to be worked on, how ("load", "run",
    "time"), and how much of that is done."""

    def __call__(self, part: str, stage: str, done: float = 0, total: float | None = None) -> None: ...


def silent(part: str, stage: str, done: float = 0, total: float | None = None) -> None:
    """The announcement that nobody hears, for who runs a model without a terminal, or several at a time."""
    return


@dataclass(frozen=True)
class Stage:
    """Such as "compressing weights", 3 MB of 8."""

    doing: str
    done: float = 0
    total: float | None = None  # None: nobody knows


Listener = Callable[[Stage], None]
_listeners: list[Listener] = []


def at(doing: str, done: float = 0, total: float | None = None) -> None:
    """The work is at this. May be called from any thread."""
    for listener in _listeners:
        listener(Stage(doing, done, total))


def counted(doing: str, items: Iterable[T], total: int) -> Iterator[T]:
    """The items, each of which is worked on when the next is asked for."""
    for number, item in enumerate(items):
        at(doing, number, total)
        yield item


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Until the block ends, `listener` is told every stage."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
