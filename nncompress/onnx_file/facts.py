"""The facts of one model file that a comparison shows: bytes, hashes, parameters, work."""

from __future__ import annotations

import sys
from pathlib import Path

from nncompress.files.opened import OpenFile
from nncompress.model.inventory import take_inventory
from nncompress.model.model import Model
from nncompress.progress import at
from nncompress.results.record import FileFacts

LARGEST_COUNTED_BYTES = 512 << 20  # of larger models neither the packed size nor the non-zeros are measured
_LEVEL = 3  # of zstd: what a download server would use
_BLOCK = 4 << 20


def file_bytes(model: Model) -> int:
    """Bytes of the model file and its external data files."""
    return sum(file.size_bytes for file in model.files)


def file_facts(model: Model, shown_as: Path | None = None, *, in_full: bool = True) -> FileFacts:
    """Reads the files of a loaded model once more. `shown_as`: the path to report, if it will be renamed.

    Not `in_full`, packed size and non-zeros are left out, which take most of the time.
    """
    main, *data = model.files
    small = in_full and file_bytes(model) <= LARGEST_COUNTED_BYTES
    inventory = take_inventory(model, count_nonzeros=small)
    return FileFacts(
        path=str(shown_as or main.path),
        sha256=main.sha256(),
        data_sha256=tuple((_beside(main, file), file.sha256()) for file in data),
        file_bytes=file_bytes(model),
        packed_bytes=sum(_packed_bytes(file) for file in model.files) if small else None,
        weight_bytes_loaded=inventory.weight_bytes_loaded,
        parameters=inventory.parameters,
        nonzeros=inventory.nonzeros if small else None,
        macs=inventory.macs,
        opset=model.opset,
        ir_version=model.ir.ir_version,
    )


def _beside(main: OpenFile, data: OpenFile) -> str:
    """The data file's name as the model gives it: below the model's folder."""
    return data.path.relative_to(main.path.absolute().parent).as_posix()


def _packed_bytes(file: OpenFile) -> int:
    """Size after zstd, as a package or a download would have it."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    packer = zstd.ZstdCompressor(level=_LEVEL)
    total = 0
    for offset in range(0, file.size_bytes, _BLOCK):
        at(f"packing {file.path.name} to see its size", offset, file.size_bytes)
        total += len(packer.compress(file.read(offset, min(_BLOCK, file.size_bytes - offset))))
    return total + len(packer.flush())
