"""What a shell offers after TAB besides commands, options and files. typer makes the scripts that ask for it."""

from __future__ import annotations

from collections.abc import Callable


def completing(metavar: str | None) -> Callable[[str], list[str]] | None:
    """Offers the values that a metavar lists, such as "int8|uint8"; None where it lists none."""
    values = (metavar or "").split("|")
    if len(values) == 1:
        return None

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def pass_names(incomplete: str) -> list[str]:
    """Offers the names of the passes."""
    from nncompress.passes import ALL_PASSES

    return [kind.name for kind in ALL_PASSES if kind.name.startswith(incomplete)]
