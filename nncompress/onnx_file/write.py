"""Writes a model to a file as a stream: large tensors go from where they are straight to the disk, one at a time."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir

from nncompress.errors import NoOutputError
from nncompress.model.message import marked_tensors
from nncompress.model.model import Model
from nncompress.model.tensors import raw_blocks
from nncompress.model.value_types import proto_of
from nncompress.onnx_file import wire
from nncompress.onnx_file.walk import all_graphs, all_tensors

EXTERNAL_FROM_BYTES = 1_800_000_000  # protobuf cannot hold 2 GiB
_PAGE = 4096  # large tensors start at a page, so that a runtime can map them


def write(model: Model, path: Path, *, external_data: bool = False, lasting: bool = True) -> list[Path]:
    """Writes `model` to the new file `path`; returns the files made, the data file first. `lasting`: to the disk.

    The weights go to a data file beside it if `external_data` or if protobuf could not hold them. Its name ends in
    the hash of its content, so that a new model never shares a data file with the one that it replaces.
    """
    mark = f"put-{secrets.token_hex(12)}"
    proto, tensors = _message(model, mark)
    total = sum(tensor.nbytes for tensor in tensors)
    if external_data or total > EXTERNAL_FROM_BYTES:
        data = _write_data(proto, mark, tensors, path, lasting) if tensors else None
        _write_parts(path, [proto.SerializeToString(deterministic=True)], tensors, lasting)
        return [data, path] if data else [path]
    blob = proto.SerializeToString(deterministic=True)
    del proto
    _write_parts(path, wire.splice(blob, mark, [tensor.nbytes for tensor in tensors]), tensors, lasting)
    return [path]


def content(model: Model) -> Iterator[bytes | memoryview]:
    """What `write` would write into one file, part by part. Raises NoOutputError for more than protobuf can hold."""
    mark = f"put-{secrets.token_hex(12)}"
    proto, tensors = _message(model, mark)
    lengths = [tensor.nbytes for tensor in tensors]
    if sum(lengths) > EXTERNAL_FROM_BYTES:
        raise NoOutputError(f"{sum(lengths):,} bytes of weights are more than protobuf can hold: save it to a file")
    for part in wire.splice(proto.SerializeToString(deterministic=True), mark, lengths):
        yield from [part] if isinstance(part, bytes) else raw_blocks(tensors[part])


def written_bytes(model: Model) -> int:
    """How many bytes `write` would write, to the byte where it makes one file."""
    mark = f"put-{secrets.token_hex(12)}"
    proto, tensors = _message(model, mark)
    lengths = [tensor.nbytes for tensor in tensors]
    if sum(lengths) > EXTERNAL_FROM_BYTES:
        return int(proto.ByteSize()) + sum(lengths)
    parts = wire.splice(proto.SerializeToString(deterministic=True), mark, lengths)
    return sum(len(part) if isinstance(part, bytes) else lengths[part] for part in parts)


def digest(model: Model) -> str:
    """SHA-256 of all that `write` would write, in however many files."""
    proto, tensors = _message(model, "put")
    digested = hashlib.sha256(proto.SerializeToString(deterministic=True))
    for tensor in tensors:
        for block in raw_blocks(tensor):
            digested.update(block)
    return digested.hexdigest()


def _message(model: Model, mark: str) -> tuple[onnx.ModelProto, list[ir.TensorProtocol]]:
    """What is written, and the large tensors that `mark` stands for in it."""
    with marked_tensors(model, mark) as tensors:
        proto = proto_of(model.ir)
    _restore_interface(proto, model)
    _drop_info_of_initializers(proto)
    _drop_repeated_metadata(proto)
    for function in proto.functions:
        function.domain = function.domain  # the checker wants it to be there, even if it is empty
    return proto, tensors


def _restore_interface(proto: onnx.ModelProto, model: Model) -> None:
    """Inputs, outputs and metadata as the file stated them, to the letter."""
    if model.interface is None:
        return
    own = model.interface.graph
    for holder, as_stated in ((proto, model.interface), (proto.graph, own)):
        del holder.metadata_props[:]
        holder.metadata_props.extend(as_stated.metadata_props)
    for now, stated in ((proto.graph.input, own.input), (proto.graph.output, own.output)):
        by_name = {info.name: info for info in stated}
        for info in now:
            if info.name in by_name:
                info.CopyFrom(by_name[info.name])


def _drop_info_of_initializers(proto: onnx.ModelProto) -> None:
    """onnx-ir states the type and shape of every initializer a second time, about 40 bytes each."""
    for graph in all_graphs(proto):
        held = {tensor.name for tensor in graph.initializer}
        kept = [info for info in graph.value_info if info.name not in held]
        if len(kept) < len(graph.value_info):
            del graph.value_info[:]
            graph.value_info.extend(kept)


def _drop_repeated_metadata(proto: onnx.ModelProto) -> None:
    """onnx-ir writes the metadata of small tensors twice, and so twice as often with every round trip."""
    for tensor in all_tensors(proto):
        once = {entry.key: entry.value for entry in tensor.metadata_props}
        if len(once) < len(tensor.metadata_props):
            del tensor.metadata_props[:]
            for key, value in once.items():
                tensor.metadata_props.add(key=key, value=value)


def _write_data(proto: onnx.ModelProto, mark: str, tensors: list[ir.TensorProtocol], path: Path, lasting: bool) -> Path:
    digest, places, position = hashlib.sha256(), [], 0
    temporary = path.with_name(path.name + ".data")
    with _new_file(temporary, lasting) as out:
        for tensor in tensors:
            step = _PAGE if tensor.nbytes >= (1 << 20) else 64
            padding = bytes(-position % step)
            position += len(padding)
            places.append(position)
            for block in (padding, *raw_blocks(tensor)):
                digest.update(block)
                out.write(block)
            position += tensor.nbytes
    target = path.with_name(f"{path.name}.{digest.hexdigest()[:8]}.data")
    temporary.rename(target)
    for tensor in all_tensors(proto):
        entries = {entry.key: entry for entry in tensor.external_data}
        if tensor.data_location == onnx.TensorProto.EXTERNAL and entries["location"].value == mark:
            entries["location"].value = target.name
            entries["offset"].value = str(places[int(entries["offset"].value)])
    return target


def _write_parts(path: Path, parts: list[bytes | int], tensors: list[ir.TensorProtocol], lasting: bool) -> None:
    with _new_file(path, lasting) as out:
        for part in parts:
            if isinstance(part, bytes):
                out.write(part)
            else:
                out.writelines(raw_blocks(tensors[part]))


@contextmanager
def _new_file(path: Path, lasting: bool) -> Iterator[BinaryIO]:
    """A file that must not exist yet; a lasting one is flushed to the disk at the end."""
    with path.open("xb", buffering=1 << 20) as out:
        yield out
        out.flush()
        if lasting:
            os.fsync(out.fileno())
