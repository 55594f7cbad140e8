"""Where and when figures come from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nncompress.errors import UsageError
from nncompress.results.units import format_time
from nncompress.runtime.environment import environment


def test_the_time_is_that_of_the_call_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    made_at = environment().made_at
    assert made_at is not None
    assert made_at.endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(made_at)) < timedelta(minutes=1)


def test_source_date_epoch_stands_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert environment().made_at == "2023-11-14T22:13:20Z"
    assert format_time(environment().made_at) == "2023-11-14 22:13:20 UTC"
    assert format_time(None) == "not recorded"


@pytest.mark.parametrize("wrong", ["now", "1.5", "9" * 30])
def test_an_epoch_that_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
    with pytest.raises(UsageError, match=f"SOURCE_DATE_EPOCH='{wrong}' is no number of seconds since 1970"):
        environment()
