"""Loads a model file: every byte checked before it is believed, large tensors left where they are."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from nncompress.errors import InputError
from nncompress.files.kinds import ONNX_MODEL, advice, kind_at, kind_of
from nncompress.files.opened import OpenFile, open_external, open_regular
from nncompress.model.building import without_collector
from nncompress.model.constants import note_stored_bytes
from nncompress.model.message import replace_external
from nncompress.model.model import Model
from nncompress.model.tensors import FileTensor
from nncompress.model.value_types import note_stated_types, unreadable_types_set_aside
from nncompress.onnx_file import sparse, wire
from nncompress.onnx_file.checks.attributes import check_attributes
from nncompress.onnx_file.checks.functions import check_functions
from nncompress.onnx_file.checks.header import check_header, checker_complaint
from nncompress.onnx_file.checks.keys import check_keys
from nncompress.onnx_file.checks.names import check_names, check_scopes
from nncompress.onnx_file.checks.tensors import check_tensors, nbytes
from nncompress.onnx_file.checks.text import check_text
from nncompress.onnx_file.unread import drop_unread
from nncompress.onnx_file.walk import all_graphs, all_tensors

logging.getLogger("onnx_ir").addHandler(logging.NullHandler())  # it would print names from the file as they are

LARGEST_FILE = (1 << 31) - 1  # protobuf's own limit


def load(path: str | Path) -> Model:
    """Loads an ONNX model and its external data. Raises InputError, with the path, where it is unreadable or unsafe."""
    return checked(Path(path), _opened(Path(path)))


def checked(where: Path, file: OpenFile) -> Model:
    """The model in a file that is open; `where` is what messages call it. Raises InputError."""
    try:
        return _load(where, file)
    except InputError as error:
        raise error if str(where) in str(error) else InputError(f"{where}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{where}: not enough memory to read it") from error


def _opened(path: Path) -> OpenFile:
    """Raises InputError; for a folder, it says what it is and what to do about it."""
    try:
        return open_regular(path)
    except InputError as error:
        kind = kind_at(path)
        if kind is None:
            raise
        raise InputError(f"cannot read {path}: it is {kind.what}{advice(kind, path, wanted='model')}") from error


def data_places(path: Path) -> list[Path]:
    """Where a model file says that its data are, be that so or not. Raises InputError for what is no model."""
    file = open_regular(path)
    if file.size_bytes > LARGEST_FILE:
        raise InputError(f"{path}: it is no ONNX model")
    mark = f"cut-{secrets.token_hex(12)}"
    proto, _ = _parse(file, mark)
    entries = [entry for tensor in all_tensors(proto) for entry in tensor.external_data]
    return [path.parent / name for name in {entry.value for entry in entries if entry.key == "location"} - {mark}]


def _load(path: Path, file: OpenFile) -> Model:
    if file.size_bytes == 0:
        raise InputError("it is empty")
    mark = f"cut-{secrets.token_hex(12)}"
    proto, payloads = _understood(file, mark)
    check_text(proto)
    check_tensors(proto)
    check_keys(proto)
    check_names(proto)
    check_scopes(proto)
    check_attributes(proto)
    check_functions(proto)
    stored = sparse.densify(proto)
    count = len(stored)
    notes: tuple[str, ...] = (f"{count} sparse tensors were read as dense ones",) if count else ()
    external = _open_data_files(proto, path, mark)
    unread = drop_unread(proto, {each.name for each in stored})
    model = _to_ir(proto)
    _attach_files(model, mark, file, payloads, external)
    stated = onnx.GraphProto(
        input=proto.graph.input, output=proto.graph.output, metadata_props=proto.graph.metadata_props
    )
    interface = onnx.ModelProto(graph=stated, metadata_props=proto.metadata_props)
    complaint = checker_complaint(proto)
    if complaint:
        notes += _sorted(model)
    loaded = Model(model, path, (file, *dict.fromkeys(external.values())), interface, complaint, notes, unread=unread)
    note_stored_bytes(loaded, stored)
    return loaded


def _understood(file: OpenFile, mark: str) -> tuple[onnx.ModelProto, list[wire.Payload]]:
    """The message in the file, and the large tensors cut out of it. Raises InputError, for a file of another kind with
    what to do about it."""
    try:
        if file.size_bytes > LARGEST_FILE:
            raise InputError(f"{file.size_bytes:,} bytes are more than the 2 GiB that an ONNX file can have")
        proto, payloads = _parse(file, mark)
        check_header(proto)
    except InputError as error:
        kind = kind_of(file)
        if kind is None or kind is ONNX_MODEL:
            raise
        said = f"it is {kind.what}, not an ONNX model{advice(kind, file.path, wanted='model')}"
        raise InputError(f"{file.path}: {said}") from error
    return proto, payloads


def _parse(file: OpenFile, mark: str) -> tuple[onnx.ModelProto, list[wire.Payload]]:
    try:
        if file.size_bytes <= (64 << 20):
            whole = file.read(0, file.size_bytes)
            blob, payloads = wire.cut(lambda offset, count: whole[offset : offset + count], len(whole), mark)
        else:
            blob, payloads = wire.cut(file.read, file.size_bytes, mark)
        return onnx.ModelProto.FromString(blob), payloads
    except (wire.MalformedError, DecodeError, UnicodeDecodeError) as error:
        detail = f" ({error})" if isinstance(error, wire.MalformedError) else ""
        raise InputError(f"it is not an ONNX model, or it is damaged{detail}") from error


def _open_data_files(proto: onnx.ModelProto, path: Path, mark: str) -> dict[str, OpenFile]:
    """Opens every external data file once and checks that all tensors lie within theirs."""
    files: dict[str, OpenFile] = {}
    by_identity: dict[tuple[int, int], OpenFile] = {}  # one file may be spelled in several ways
    for tensor in all_tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location == mark:
            continue
        if location not in files:
            opened = open_external(location, path, tensor.name)
            files[location] = by_identity.setdefault(opened.identity, opened)
        _keep_known_entries(tensor)
        offset = int(entries.get("offset", "0"))
        length = nbytes(tensor.data_type, _elements(tensor))
        if offset + length > files[location].size_bytes:
            raise InputError(
                f"tensor {tensor.name!r} needs bytes {offset} to {offset + length} of {location!r}, "
                f"which has {files[location].size_bytes}"
            )
    return files


def _keep_known_entries(tensor: onnx.TensorProto) -> None:
    """onnx would warn of other keys, printing them as they are; what they say of the old file is void in a new one."""
    known = [entry for entry in tensor.external_data if entry.key in ("location", "offset", "length")]
    if len(known) < len(tensor.external_data):
        del tensor.external_data[:]
        tensor.external_data.extend(known)


def _elements(tensor: onnx.TensorProto) -> int:
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count


def _to_ir(proto: onnx.ModelProto) -> ir.Model:
    try:
        with unreadable_types_set_aside([*all_graphs(proto), *proto.functions]), without_collector():
            model = ir.from_proto(proto)
    except (ir.serde.SerdeError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        root: BaseException = error
        while root.__cause__ is not None:  # onnx-ir wraps once for every level of its descent
            root = root.__cause__
        detail = str(root).splitlines() or [type(root).__name__]
        raise InputError(f"its graph cannot be understood: {detail[0]}") from error
    note_stated_types(model.graph.inputs, proto.graph.input)
    note_stated_types(model.graph.outputs, proto.graph.output)
    return model


def _sorted(model: ir.Model) -> tuple[str, ...]:
    """Brings nodes that stand before their inputs into order, as onnxruntime does; says so if any did."""
    before = list(model.graph.all_nodes())
    try:
        model.graph.sort()
        for function in model.functions.values():
            function.sort()
    except ValueError as error:
        raise InputError("its nodes form a cycle") from error
    moved = any(now is not then for now, then in zip(model.graph.all_nodes(), before, strict=True))
    return ("its nodes were not in order and have been sorted",) if moved else ()


def _attach_files(
    model: ir.Model, mark: str, file: OpenFile, payloads: list[wire.Payload], external: dict[str, OpenFile]
) -> None:
    """Replaces onnx-ir's external tensors by ones that read from the files that were checked."""

    def reader(tensor: ir.ExternalTensor) -> FileTensor:
        location = str(tensor.location)
        if location == mark:
            return FileTensor(file, payloads[tensor.offset or 0].offset, tensor)
        return FileTensor(external[location], tensor.offset or 0, tensor)

    replace_external(Model(model), reader)
