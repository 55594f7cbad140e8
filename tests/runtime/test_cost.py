"""What one session costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from nncompress.runtime import cost


@pytest.mark.parametrize(("said", "seconds"), [("70 5000000000 3\n", 5.0), ("", 0.0), ("none\n", 0.0), (None, 0.0)])
def test_time_spent_waiting_for_a_processor_is_read_where_the_system_says_it(
    said: str | None, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said is not None:
        (tmp_path / "schedstat").write_text(said)
    monkeypatch.setattr(cost, "_SCHEDULED", tmp_path / "schedstat")
    assert cost._waited_s() == seconds
