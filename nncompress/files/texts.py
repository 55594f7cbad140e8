"""Small files: texts are read safely, and what is written is written whole or not at all."""

from __future__ import annotations

import secrets
import stat
from contextlib import suppress
from pathlib import Path

from nncompress.errors import InputError, NoOutputError, reason
from nncompress.files.opened import open_regular
from nncompress.files.places import is_special, status_of

LARGEST_TEXT_BYTES = 64 << 20


def read_text(path: Path, most_bytes: int = LARGEST_TEXT_BYTES) -> str:
    """A recipe, a configuration, a saved record. Raises InputError unless it is a regular file of UTF-8 text that is
    not too large; none is waited for."""
    file = open_regular(path)
    if file.size_bytes > most_bytes:
        raise InputError(f"cannot read {path}: {file.size_bytes:,} bytes are more than any such text has")
    try:
        return file.read(0, file.size_bytes).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: it is not UTF-8 text") from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a small file whole or not at all, over an old one; a text as UTF-8. Raises NoOutputError, also where a
    FIFO or a device would be replaced."""
    if is_special(path):
        raise NoOutputError(f"cannot write {path}: it is not a regular file")
    temporary, old = path.with_name(f".nncompress-{secrets.token_hex(8)}"), status_of(path)
    try:
        with temporary.open("xb") as file:  # never over a file, nor through a link
            file.write(content.encode() if isinstance(content, str) else content)
        if old is not None:
            temporary.chmod(stat.S_IMODE(old.st_mode))
        temporary.replace(path)
    except OSError as error:
        raise NoOutputError(f"cannot write {path}: {reason(error)}") from error
    except UnicodeEncodeError as error:
        raise NoOutputError(f"cannot write {path}: it would hold a name that is not UTF-8") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
