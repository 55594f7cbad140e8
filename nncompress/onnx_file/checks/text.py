"""Checks that what a model file calls text is text: protobuf gives a string that is not UTF-8 as bytes."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from nncompress.errors import InputError


def check_text(message: Message) -> None:
    """Raises InputError for the first string anywhere in `message` that is not valid UTF-8."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            for text in (value,) if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    raise InputError(f"the {field.name} of a {message.DESCRIPTOR.name} is not UTF-8 text: {text!r}")
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in (value,) if isinstance(value, Message) else value:
                check_text(inner)
