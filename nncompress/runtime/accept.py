"""Finds made-up feeds that a model accepts: several sizes are tried in one session, the first that runs wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nncompress.errors import InputError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.specs import Feed
from nncompress.feeds.synthetic import Synthetic
from nncompress.progress import Announce, silent
from nncompress.runtime.session import Session


def first_accepted(session: Session, choices: Sequence[Feeds], advice: str, *, announce: Announce = silent) -> Feeds:
    """The first of `choices` that runs; InputError with onnxruntime's first complaint where none does.

    `advice`: what else the user can do.
    """
    complaint: InputError | None = None
    for feeds in choices:
        try:
            for feed in _telling(feeds):
                announce("original", "run")
                session.run(feed)
        except InputError as error:
            complaint = complaint or error
            continue
        return feeds
    model = session.path
    reason = str(complaint).partition(f"{model}: ")[2] or "there is nothing to try"
    raise InputError(f"{model}: cannot make inputs that this model accepts: {reason}; {advice}") from complaint


def _telling(feeds: Feeds) -> Iterator[Feed]:
    """The first feed, and those after it that need not be like it."""
    source = feeds.source
    several = isinstance(source, Synthetic) and source.draws_integers
    for number, feed in enumerate(feeds):
        if number == 0 or several:
            yield feed
