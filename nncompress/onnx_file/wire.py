"""Takes the large tensors out of an ONNX file, and puts them into one, without ever holding them in memory.

protobuf parses and serialises a message as a whole, so a 2 GB model would cost several times 2 GB. Both directions
here work on the wire format instead: `cut` copies a file without the payloads of its large tensors, which are then
read where they lie; `splice` lays large payloads into a serialised model while it is written.

A cut tensor is marked as external data whose location is a `mark`: a random word that no file can know beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nncompress.model.message import LARGE_BYTES

DEEPEST = 200  # nested messages; protobuf itself refuses to parse more than 100

Read = Callable[[int, int], bytes]  # (offset, count) -> at most count bytes

# Message kinds with the fields that may hold large tensors somewhere below (onnx.proto field numbers).
_BELOW: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
_DATA_TYPE, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 2, 9, 13, 14
_PACKED_FLOATS = {1: 4, 14: 4, 11: 10, 15: 10}  # data type -> the field whose packed bytes are those of raw_data
_PAYLOADS = {_RAW_DATA, 4, 5, 6, 7, 10, 11}
_ATTRIBUTE_TENSOR = 5
_FEW = 300  # fields: a tensor has up to 64 dimensions, and some metadata
_FIRST_READ, _LONGEST_READ = 64, 1 << 14  # bytes looked at at once, more and more while nothing is jumped over


class MalformedError(ValueError):
    """The bytes are not a protobuf message."""


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, where its tag starts, and where its value lies."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


@dataclass(frozen=True)
class Payload:
    """The bytes of a tensor in a file."""

    offset: int
    length: int


# ------------------------------------------------------------------------------------------------ cut
def cut(read: Read, size: int, mark: str) -> tuple[bytes, list[Payload]]:
    """Returns the model file's bytes with every large tensor replaced by `mark`, and where the payloads lie.

    The tensor with payload i has the external data entries location=mark, offset=i. Raises MalformedError.
    """
    payloads: list[Payload] = []
    return _cut_message(read, 0, size, "model", mark, payloads, 0), payloads


def _cut_message(read: Read, start: int, end: int, kind: str, mark: str, payloads: list[Payload], depth: int) -> bytes:
    if depth > DEEPEST:
        raise MalformedError(f"messages are nested more than {DEEPEST} deep")
    if kind == "tensor":
        return _cut_tensor(read, start, end, mark, payloads)
    parts: list[bytes] = []
    kept = start  # everything from here to the current field is copied as it is
    below = _BELOW[kind]
    if kind == "attribute":
        attribute_fields = _few_fields(read, start, end)
        if not attribute_fields or sum(field.number == _ATTRIBUTE_TENSOR for field in attribute_fields) > 1:
            return read(start, end - start)  # numbers, which are fields each; or tensors, which protobuf joins to one
    for field in fields(read, start, end, LARGE_BYTES):
        if field.wire_type != 2 or field.end - field.value < LARGE_BYTES or field.number not in below:
            continue
        body = _cut_message(read, field.value, field.end, below[field.number], mark, payloads, depth + 1)
        if len(body) == field.end - field.value:
            continue
        parts += [read(kept, field.start - kept), length_delimited(field.number, body)]
        kept = field.end
    return b"".join([*parts, read(kept, end - kept)])


def _cut_tensor(read: Read, start: int, end: int, mark: str, payloads: list[Payload]) -> bytes:
    tensor_fields = _few_fields(read, start, end)
    data = [f for f in tensor_fields if f.number in _PAYLOADS]
    large = len(data) == 1 and data[0].wire_type == 2 and data[0].end - data[0].value >= LARGE_BYTES
    external = any(f.number in (_EXTERNAL_DATA, _DATA_LOCATION) for f in tensor_fields)
    if not large or external or data[0].number not in (_RAW_DATA, _PACKED_FLOATS.get(_data_type(read, tensor_fields))):
        return read(start, end - start)
    entries = {"location": mark, "offset": str(len(payloads)), "length": str(data[0].end - data[0].value)}
    payloads.append(Payload(data[0].value, data[0].end - data[0].value))
    marks = b"".join(
        length_delimited(_EXTERNAL_DATA, length_delimited(1, key.encode()) + length_delimited(2, value.encode()))
        for key, value in entries.items()
    )
    rest = read(start, data[0].start - start) + read(data[0].end, end - data[0].end)
    return rest + marks + varint(_DATA_LOCATION << 3) + varint(1)


def _data_type(read: Read, tensor_fields: list[Field]) -> int:
    """As the last of the fields that state it says."""
    stated = [f for f in tensor_fields if f.number == _DATA_TYPE and f.wire_type == 0]
    return _read_varint(read(stated[-1].value, stated[-1].end - stated[-1].value), 0)[0] if stated else 0


def _few_fields(read: Read, start: int, end: int) -> list[Field]:
    """The fields of a large tensor or attribute; [] for one that has millions, as values that are not packed make."""
    few: list[Field] = []
    for field in fields(read, start, end):
        few.append(field)
        if len(few) > _FEW:
            return []
    return few


# ------------------------------------------------------------------------------------------------ splice
def splice(blob: bytes, mark: str, lengths: Sequence[int]) -> list[bytes | int]:
    """Returns the parts of the file to write: bytes as they are, and numbers i for the payload of tensor i.

    `blob` is a serialised model in which tensor i is external data with location=mark, offset=i; lengths[i] is how
    many bytes its payload will have.
    """
    parts, _ = _splice_message(blob, 0, len(blob), "model", mark.encode(), lengths)
    return parts


def _splice_message(
    blob: bytes, start: int, end: int, kind: str, mark: bytes, lengths: Sequence[int]
) -> tuple[list[bytes | int], int]:
    if kind == "tensor":
        return _splice_tensor(blob, start, end, mark, lengths)
    parts: list[bytes | int] = []
    total, kept = 0, start
    below = _BELOW[kind]
    for field in fields(_slicer(blob), start, end, len(mark)):
        inner = below.get(field.number) if field.wire_type == 2 else None
        if inner is None or blob.find(mark, field.value, field.end) < 0:
            continue
        body, length = _splice_message(blob, field.value, field.end, inner, mark, lengths)
        head = blob[kept : field.start] + varint(field.number << 3 | 2) + varint(length)
        parts += [head, *body]
        total += len(head) + length
        kept = field.end
    parts.append(blob[kept:end])
    return parts, total + end - kept


def _splice_tensor(
    blob: bytes, start: int, end: int, mark: bytes, lengths: Sequence[int]
) -> tuple[list[bytes | int], int]:
    kept, index = [], -1
    for field in fields(_slicer(blob), start, end):
        if field.number == _EXTERNAL_DATA:
            entry = {f.number: blob[f.value : f.end] for f in fields(_slicer(blob), field.value, field.end)}
            if entry.get(1) == b"offset":
                index = int(entry[2])
        elif field.number != _DATA_LOCATION:
            kept.append(blob[field.start : field.end])
    head = b"".join(kept) + varint(_RAW_DATA << 3 | 2) + varint(lengths[index])
    return [head, index], len(head) + lengths[index]


def _slicer(blob: bytes) -> Read:
    return lambda offset, count: blob[offset : offset + count]


# ------------------------------------------------------------------------------------------------ wire format
_SHORT_BYTES = 24


def _short_fields() -> re.Pattern[bytes]:
    """Any number of whole fields with values of at most _SHORT_BYTES bytes: a file may hold millions of them."""

    def tag(wire_type: int) -> bytes:
        firsts = [b"\\x%02x" % byte for byte in range(8, 256) if byte & 7 == wire_type]
        alone, two = firsts[:15], firsts[15:]
        return b"(?:[" + b"".join(alone) + b"]|[" + b"".join(two) + b"][\\x01-\\x7f])"

    number = b"[\\x80-\\xff]{0,9}[\\x00-\\x7f]"
    text = b"|".join(b"\\x%02x.{%d}" % (length, length) for length in range(_SHORT_BYTES + 1))
    kinds = [tag(0) + number, tag(5) + b".{4}", tag(1) + b".{8}", tag(2) + b"(?:" + text + b")"]
    return re.compile(b"(?>" + b"|".join(kinds) + b")*+", re.DOTALL)


_SHORT = _short_fields()


def fields(read: Read, start: int, end: int, least: int = 0) -> Iterator[Field]:
    """The fields of the message in [start, end), in order. Raises MalformedError where they do not fill it exactly.

    Of those with a value of fewer than `least` bytes some, not all, are passed over.
    """
    position = base = start
    window, ahead = b"", _FIRST_READ
    while position < end:
        here = position - base
        if len(window) - here < 20 and base + len(window) < end:
            ahead = min(4 * ahead, _LONGEST_READ) if window and here <= len(window) else _FIRST_READ
            base, here, window = position, 0, read(position, min(ahead, end - position))
        if least > _SHORT_BYTES:
            short = _SHORT.match(window, here)
            if short is not None and short.end() > here:
                position = base + short.end()
                continue
        tag, after = _read_varint(window, here)
        number, wire_type = tag >> 3, tag & 7
        value, last = base + after, 0
        if wire_type == 0:
            last = base + _read_varint(window, after)[1]
        elif wire_type in (1, 5):
            last = value + (8 if wire_type == 1 else 4)
        elif wire_type == 2:
            length, after = _read_varint(window, after)
            value = base + after
            last = value + length
        else:
            raise MalformedError(f"wire type {wire_type} at byte {position}")
        if number == 0 or last > end:
            raise MalformedError(f"field {number} at byte {position} ends beyond its message")
        yield Field(number, wire_type, position, value, last)
        position = last


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise MalformedError("it ends within a number")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise MalformedError("a number is longer than 64 bits")


def varint(value: int) -> bytes:
    """The wire form of an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def length_delimited(number: int, body: bytes) -> bytes:
    """The wire form of a bytes, string or message field."""
    return varint(number << 3 | 2) + varint(len(body)) + body
