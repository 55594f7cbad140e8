"""`python -m nncompress` and the `nncompress` command."""

from __future__ import annotations

from nncompress.cli import interrupts


def main() -> None:
    """Entry point of the `nncompress` command."""
    interrupts.take_over()  # before the imports that take time
    from nncompress.cli.commands import run_commands

    run_commands()


if __name__ == "__main__":
    main()
