"""`python -m nncompress` and the `nncompress` command."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself takes 10 ms, in which an interrupt prints a traceback
import atexit
import gc

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def main() -> None:
    """Entry point of the `nncompress` command."""
    from nncompress.cli import interrupts

    interrupts.take_over()  # before the imports that take time
    atexit.register(gc.freeze)  # or the last collection would visit every node once more, for nothing
    from nncompress.cli.commands import run_commands

    run_commands()


if __name__ == "__main__":
    main()
