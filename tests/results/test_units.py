"""Figures as people read and type them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from nncompress.errors import UsageError
from nncompress.results import units


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (12, "12 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_996, "10.0 kB"),
        (313_500, "314 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (4_800_000, "4.80 MB"),
        (2_700_000_000, "2.70 GB"),
        (-3_000, "-3.00 kB"),
        (None, "not measured"),
    ],
)
def test_bytes_have_three_digits_and_decimal_units(size_bytes: int | None, text: str) -> None:
    assert units.format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("cosine", "text"),
    [
        (1.0, "1.0000"),
        (0.99998, "0.99998"),
        (0.999989, "0.99998"),  # cut, not rounded
        (0.98999, "0.9899"),  # never shown as the 0.99 that it missed
        (0.9999, "0.9999"),
        (1 - 1e-10, "0.999999999"),
        (-0.2, "-0.2000"),
        (math.nan, "nan"),
        (None, "-"),
    ],
)
def test_a_cosine_is_never_shown_better_than_it_is(cosine: float | None, text: str) -> None:
    assert units.format_cosine(cosine) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0.04213, "0.0421 ms"), (1.234, "1.23 ms"), (12.34, "12.3 ms"), (1234.0, "1,234 ms"), (0.0, "0.0 ms")],
)
def test_milliseconds_adapt_their_precision(duration_ms: float, text: str) -> None:
    assert units.format_ms(duration_ms) == text


def test_a_spread_has_the_decimals_of_its_median() -> None:
    assert units.format_median(1.2345, 0.0512) == "1.23 ± 0.05 ms"
    assert units.format_median(123.4, 5.6) == "123 ± 6 ms"
    assert units.format_median(0.0, 0.1) == "0.0 ± 0.1 ms"


@pytest.mark.parametrize(
    ("figure", "typed"),
    [
        ("4.00 MB", "4 MB"), ("1.50 MB", "1.5 MB"), ("100 kB", "100 kB"), ("12 B", "12 B"), ("1,200", "1,200"),
        ("1.00 points", "1 point"), ("0.50 points", "0.5 points"), ("10.00 points", "10 points"), ("1.0 %", "1 %"),
        ("0.03", "0.03"), ("not measured", "not measured"),
    ],
)  # fmt: skip
def test_limits_are_shown_as_people_type_them(figure: str, typed: str) -> None:
    assert units.as_typed(figure) == typed


@pytest.mark.parametrize(
    ("text", "share"), [("1 point", 0.01), ("0.5 points", 0.005), ("2point", 0.02), ("1 %", 0.01), ("0.3", 0.3)]
)
def test_a_drop_is_read_in_points_too(text: str, share: float) -> None:
    assert units.parse_drop(text) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("text", ["1", "-1 point", "1 points each", "101 points"])
def test_a_bad_drop_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"share|is not|negative"):
        units.parse_drop(text)


def test_shares_points_and_decibels() -> None:
    assert [units.format_share(share) for share in (0.975, 0.9751, 0.97512, 1.0, None)] == [
        "97.5 %",
        "97.51 %",
        "97.51 %",
        "100.0 %",
        "-",
    ]
    assert units.format_points(0.01) == "1.00 points"
    assert units.format_points(-0.0) == "0.00 points"
    assert [units.format_db(db) for db in (38.21, math.inf, None)] == ["38.2 dB", "exact", "-"]
    assert [units.format_error(error) for error in (0.001234, 4.56e-7, None)] == ["0.00123", "4.56e-07", "-"]
    assert [units.format_count(count) for count in (1_210_000, None)] == ["1,210,000", "not measured"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (1_210_000, 313_500, "3.86x smaller"),
        (100, 120, "1.20x larger"),
        (100, 100, "same"),
        (1_000_000, 999_990, "0.001 % smaller"),
        (1_000_000_000, 999_999_999, "< 0.001 % smaller"),  # not "1.00x smaller"
        (100, 0, "gone"),
        (0, 100, "new"),
    ],
)
def test_a_change_of_size_says_its_direction(before: int, after: int, text: str) -> None:
    assert units.format_smaller(before, after) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("4 MB", 4_000_000),
        ("4mb", 4_000_000),
        ("1.5 MiB", 1_572_864),
        ("800kB", 800_000),
        (" .5 kB ", 500),
        ("1e3 B", 1000),
        ("2. GB", 2_000_000_000),
        ("0", 0),
    ],
)
def test_sizes_are_read_with_their_unit(text: str, size_bytes: int) -> None:
    assert units.parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", "size '4' is ambiguous: write '4 MB', or '4 B' for bytes"),
        ("999.5", "write '999.5 MB'"),
        ("", r"'' is not a size such as '4 MB'"),
        ("big", r"'big' is not a size"),
        ("4 M", r"unknown unit 'M' in size '4 M': use B, kB, MB"),
        ("4 parsecs", r"unknown unit 'parsecs'"),
        ("-4 MB", r"'-4 MB' must be finite and not negative"),
        ("1e999", r"must be finite"),
        ("4 MB 2", r"is not a size"),
        ("٤ MB", r"is not a size"),
    ],
)
def test_a_bad_size_is_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        units.parse_bytes(text)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_cosine, "-1", -1),
        (units.parse_ratio, "1.5", 1.5),
        (units.parse_figure, "97 %", 0.97),
        (units.parse_figure, "-20", -20),
    ],
)
def test_plain_figures_are_read(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.parse_cosine, "1.5", "1.5 is no cosine: it must lie between -1 and 1"),
        (units.parse_cosine, "nan", "nan is no cosine"),
        (units.parse_cosine, "high", "'high' is not a number"),
        (units.parse_ratio, "0", "0 is no ratio: it must be above 0"),
        (units.parse_ratio, "inf", "inf is no ratio"),
        (units.parse_figure, "inf", "inf is no limit: it must be finite"),
        (units.parse_figure, "101 %", "more than 100 %"),
    ],
)
def test_figures_out_of_their_range_are_refused(parse: Callable[[str], float], text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


@pytest.mark.parametrize(("text", "share"), [("1 %", 0.01), ("0.5%", 0.005), ("0.01", 0.01), ("0", 0), ("100 %", 1)])
def test_shares_are_read_as_percent_or_fraction(text: str, share: float) -> None:
    assert units.parse_share(text) == pytest.approx(share, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", r"share '1' is ambiguous: write '1 %', or a fraction below 1"),
        ("2.5", r"ambiguous: write '2.5 %'"),
        ("101 %", r"more than 100 %"),
        ("-1 %", r"must be finite and not negative"),
        ("1 pt", r"unknown unit 'pt' in share"),
        ("none", r"is not a share such as '1 %'"),
    ],
)
def test_a_bad_share_is_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        units.parse_share(text)
