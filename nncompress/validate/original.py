"""The model that results are compared with, opened once: to find inputs for it, and to compare with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nncompress.feeds.feeds import Feeds
from nncompress.progress import Announce, silent
from nncompress.runtime.accept import first_accepted
from nncompress.runtime.cost import Metered
from nncompress.runtime.memory import free_memory_bytes
from nncompress.runtime.noise import busy
from nncompress.runtime.session import Session, open_session


class Original:
    """See the module. One that draws random numbers is opened once more, for these have to begin anew."""

    def __init__(self, path: Path, threads: int, announce: Announce = silent) -> None:
        """Raises InputError where onnxruntime refuses it."""
        self._path, self._threads, self._announce = path, threads, announce
        self.noise = busy()
        self.free_bytes = free_memory_bytes()
        self.metered = Metered(lambda: self._open(None))

    @property
    def session(self) -> Session:
        return self.metered.session

    def accepted(self, choices: Sequence[Feeds], advice: str) -> Feeds:
        """The first of `choices` that it accepts. Raises InputError, with `advice`, where it accepts none."""
        feeds = first_accepted(self.session, choices, advice, announce=self._announce)
        self.metered.ran()
        return feeds

    def begin_anew(self, draws: int | None) -> None:
        """As if it had not been run, with these `draws`."""
        self.close()
        self.metered.session = self._open(draws)

    def close(self) -> None:
        """Frees its memory until it begins anew."""
        self.metered.session = self.session.closed()

    def _open(self, draws: int | None) -> Session:
        self._announce("original", "load")
        return open_session(self._path, "original", threads=self._threads, draws=draws)
