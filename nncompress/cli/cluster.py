"""The executor of a Dask cluster, for commands that share their work out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from nncompress.errors import InputError, UsageError


@contextmanager
def pool_at(address: str | None) -> Iterator[Executor | None]:
    """The executor of a Dask cluster, or None: processes here."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client  # an optional extra
    except ImportError as error:
        raise UsageError("--dask needs the extra: pip install 'nncompress[dask]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot reach the Dask cluster at {address}: {str(error).splitlines()[0]}") from error
    with client:
        yield client.get_executor(pure=False, retries=2)
