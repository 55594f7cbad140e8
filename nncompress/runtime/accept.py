"""Finds made-up feeds that a model accepts: several sizes are tried in one session, the first that runs wins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.runtime.session import Announce, open_session, silent


def first_accepted(
    model: Path, choices: Sequence[Feeds], advice: str, *, threads: int = 1, announce: Announce = silent
) -> Feeds:
    """The first of `choices` whose first feed runs; InputError with onnxruntime's first complaint where none does.

    `advice`: what else the user can do.
    """
    announce("original", "load")
    session = open_session(model, "original", threads=threads)
    complaint: InputError | None = None
    for feeds in choices:
        announce("original", "run")
        try:
            session.run(next(iter(feeds)))
        except InputError as error:
            complaint = complaint or error
            continue
        return feeds
    reason = str(complaint).partition(f"{model}: ")[2] or "there is nothing to try"
    raise InputError(f"{model}: cannot make inputs that this model accepts: {reason}; {advice}") from complaint
