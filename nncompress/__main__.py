"""`python -m nncompress` and the `nncompress` command."""

from __future__ import annotations

from nncompress.cli.app import main

if __name__ == "__main__":
    main()
