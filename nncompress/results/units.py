"""Writes figures for people (bytes, dB, percentages, milliseconds, ratios) and reads the sizes and shares they type."""

from __future__ import annotations

import math
import re

from nncompress.errors import UsageError

BYTES_PER_UNIT = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
FEWEST_BARE_BYTES = 1000
PER_COUNT_UNIT = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
NOT_MEASURED = "not measured"
_MOST_DB = 1000
NUMBER_AND_UNIT = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([^\s0-9]*)", re.ASCII)

GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+", re.ASCII)


# ------------------------------------------------------------------------------------------------ for people to read
def format_bytes(size_bytes: int | None) -> str:
    """Decimal units with three digits: "4.80 MB", "314 kB", "12 B"."""
    if size_bytes is None:
        return NOT_MEASURED
    size, unit = float(size_bytes), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if abs(size) < 999.5:
            break
        size, unit = size / 1000, bigger
    return f"{size_bytes} B" if unit == "B" else f"{_three_digits(size)} {unit}"


def format_count(count: int | None) -> str:
    """All digits, in groups of three: "1,210,000"."""
    return NOT_MEASURED if count is None else f"{count:,}"


def format_counted(count: int, noun: str) -> str:
    """ "1 model", "2 models"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def format_db(ratio_db: float | None) -> str:
    """One decimal: "38.2 dB"; infinite, that is no error at all, reads "exact"."""
    if ratio_db is None:
        return "-"
    return "exact" if ratio_db == math.inf else f"{ratio_db:.1f} dB"


def format_share(share: float | None) -> str:
    """A fraction as a percentage with up to two decimals: 0.975 is "97.5 %"."""
    if share is None:
        return "-"
    decimals = f"{100 * share:.2f}"
    return (decimals[:-1] if decimals.endswith("0") else decimals) + " %"


def format_points(share: float) -> str:
    """A difference of two shares in percentage points: 0.01 is "1.00 points"."""
    return f"{100 * share + 0.0:.2f} points"


def as_typed(figure: str) -> str:
    """A figure as people type it when it is a limit: "4.00 MB" is "4 MB", "1.00 points" is "1 point"."""
    number, _, unit = figure.partition(" ")
    short = number.rstrip("0").rstrip(".") if "." in number else number
    return f"{short} {'point' if unit == 'points' and short == '1' else unit}".rstrip()


def format_metric(value: float, *, is_share: bool) -> str:
    """A task metric: a share in percent, any other figure with four digits."""
    return format_share(value) if is_share else f"{value:.4g}"


def format_drop(drop: float, *, is_share: bool) -> str:
    """What a task metric lost: a share in points, any other figure by its relative change."""
    return format_points(drop) if is_share else format_share(drop)


def format_ms(duration_ms: float) -> str:
    """Three digits, never a bare 0 for something that took time: "0.0421 ms", "12.3 ms", "1,230 ms"."""
    return f"{_three_digits(duration_ms)} ms"


def format_median(median_ms: float, iqr_ms: float) -> str:
    """A median and its spread, both with the decimals that the median needs: "1.23 ± 0.05 ms"."""
    if not math.isfinite(median_ms) or median_ms == 0:
        return f"{median_ms} ± {iqr_ms:.3g} ms"
    return f"{_three_digits(median_ms)} ± {iqr_ms:,.{_decimals(median_ms)}f} ms"


def format_cosine(cosine: float | None) -> str:
    """At least four decimals, as many as the distance to 1 needs, and cut (not rounded): never better than measured."""
    if cosine is None:
        return "-"
    if not math.isfinite(cosine):
        return str(cosine)
    distance = 1 - cosine
    if distance < 1e-12:  # float64 accumulation cannot tell this from 1
        return "1.0000"
    decimals = min(9, max(4, math.ceil(-math.log10(distance) - 1e-9)))
    cut = math.floor(cosine * 10**decimals + 1e-6) / 10**decimals  # 1e-6: 0.9999 itself is stored just below 0.9999
    return f"{cut:.{decimals}f}"


def format_time(iso: str | None) -> str:
    """When something was made, for people: "2026-01-31 09:30:00 UTC"."""
    return "not recorded" if iso is None else f"{iso.removesuffix('Z').replace('T', ' ')} UTC"


def format_error(error: float | None) -> str:
    """Three significant digits: "0.00123", "4.56e-07"."""
    return "-" if error is None else f"{error:.3g}"


def format_smaller(before: float, after: float) -> str:
    """How a size changed: "3.86x smaller", "1.20x larger", "0.12 % smaller", "same"."""
    if before == after:
        return "same"
    if after == 0:
        return "gone"
    if before == 0:
        return "new"
    ratio = before / after if after < before else after / before
    # two decimals would read as 1.00
    change = f"{ratio:.2f}x" if ratio >= 1.005 else _small_share(abs(after - before) / before)
    return f"{change} {'smaller' if after < before else 'larger'}"


def _small_share(share: float) -> str:
    return "< 0.001 %" if share < 1e-5 else f"{share * 100:.2g} %"


def _three_digits(value: float) -> str:
    return str(value) if not math.isfinite(value) or value == 0 else f"{value:,.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    """How many decimals three digits take; rounded first, for 9.996 has to read 10.0."""
    return max(0, 2 - math.floor(math.log10(float(f"{abs(value):.3g}"))))


# ------------------------------------------------------------------------------------------------ typed by people
def parse_bytes(text: str) -> int:
    """Bytes of "4 MB", "1.5 MiB", "800kB" or "4096"; kB, MB ... are decimal, KiB, MiB ... binary, in any case.

    A bare number below 1000 is refused, for no model is so small: megabytes are meant. Raises UsageError, with the
    text, for anything else, negative sizes included.
    """
    number, unit = _number_and_unit(text, "a size such as '4 MB', '1.5 MiB' or '800 kB'")
    if unit.lower() not in BYTES_PER_UNIT:
        raise UsageError(f"unknown unit {unit!r} in size {text!r}: use B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")
    if unit == "" and 0 < number < FEWEST_BARE_BYTES:
        raise UsageError(f"size {text!r} is ambiguous: write '{number:g} MB', or '{number:g} B' for bytes")
    return round(number * BYTES_PER_UNIT[unit.lower()])


def parse_count(text: str) -> int:
    """A number of things: "1.2 M", "85k", "85,002" or "85002"; G and B are both a billion.

    Raises UsageError, with the text, for anything else, negative numbers included.
    """
    plain = text.replace(",", "") if GROUPED.fullmatch(text.strip()) else text
    number, unit = _number_and_unit(plain, "a number such as '1.2 M', '85k' or '85002'")
    if unit.lower() not in PER_COUNT_UNIT:
        raise UsageError(f"unknown unit {unit!r} in number {text!r}: use k, M, G or T")
    return round(number * PER_COUNT_UNIT[unit.lower()])


def parse_db(text: str) -> float:
    """Decibels: "30 dB" or "30"; may be negative. Raises UsageError, with the text, for anything else."""
    match = NUMBER_AND_UNIT.fullmatch(text.strip())
    if not match or match[2].lower() not in {"", "db"} or not math.isfinite(float(match[1])):
        raise UsageError(f"{text!r} is not a number of decibels such as '30 dB' or '30'")
    if abs(float(match[1])) > _MOST_DB:
        raise UsageError(f"{float(match[1]):g} dB is beyond {_MOST_DB} dB, as nothing is")
    return float(match[1])


def parse_share(text: str) -> float:
    """A share of "1 %" or "0.01"; a bare number of 1 or more is refused, for it may mean percent or everything.

    Raises UsageError, with the text, for anything else, negative shares and those above 100 % included.
    """
    number, unit = _number_and_unit(text, "a share such as '1 %' or '0.01'")
    if unit not in {"", "%"}:
        raise UsageError(f"unknown unit {unit!r} in share {text!r}: use '%', or a fraction such as 0.01")
    if unit == "" and number >= 1:
        raise UsageError(f"share {text!r} is ambiguous: write '{number:g} %', or a fraction below 1")
    if number > 100:
        raise UsageError(f"share {text!r} is more than 100 %")
    return number / 100 if unit == "%" else number


def parse_drop(text: str) -> float:
    """A share as "1 point", "0.5 points", "1 %" or "0.01". Raises UsageError, with the text, for anything else."""
    match = NUMBER_AND_UNIT.fullmatch(text.strip())
    return parse_share(f"{match[1]} %" if match and match[2].lower() in {"point", "points"} else text)


def parse_cosine(text: str) -> float:
    """A cosine, from -1 to 1. Raises UsageError, with the text, for anything else."""
    value = _plain(text)
    if not -1 <= value <= 1:
        raise UsageError(f"{text} is no cosine: it must lie between -1 and 1")
    return value


def parse_ratio(text: str) -> float:
    """A ratio above 0. Raises UsageError, with the text, for anything else."""
    value = _plain(text)
    if not 0 < value < math.inf:
        raise UsageError(f"{text} is no ratio: it must be above 0")
    return value


def parse_figure(text: str) -> float:
    """A share in percent, or any finite number. Raises UsageError, with the text, for anything else."""
    value = parse_share(text) if text.rstrip().endswith("%") else _plain(text)
    if not math.isfinite(value):
        raise UsageError(f"{text} is no limit: it must be finite")
    return value


def _plain(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a number") from error


def _number_and_unit(text: str, wanted: str) -> tuple[float, str]:
    match = NUMBER_AND_UNIT.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not {wanted}")
    number = float(match[1])
    if number < 0 or not math.isfinite(number):
        raise UsageError(f"{text!r} must be finite and not negative")
    return number, match[2]
