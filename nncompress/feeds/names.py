"""What the names of a model's inputs and dimensions usually stand for."""

from __future__ import annotations

import re

RATE = re.compile(r"^(sr|fs|sample_?rate|sampling_?rate)$", re.IGNORECASE)
LENGTH = re.compile(r"(^|_)(len|length)s?($|_)|lengths?$", re.IGNORECASE)
MASK = re.compile(r"mask", re.IGNORECASE)
OFF = re.compile(r"use_cache", re.IGNORECASE)

BATCH_DIM = re.compile(r"batch|^(n|b|bs)$|num_(samples|examples)", re.IGNORECASE)
PAST_DIM = re.compile(r"past|cache", re.IGNORECASE)
TOTAL_DIM = re.compile(r"total|attention_mask_seq", re.IGNORECASE)
SEQUENCE_DIM = re.compile(
    r"seq|len|time|frame|token|step|samples|width|height|node|edge|atom|^(t|s|l|h|w)$", re.IGNORECASE
)

_STATE = re.compile(r"state|hidden|^[hc]_?\d*$|^[hc]_?in|past|cache|memory_in", re.IGNORECASE)
_DATA = re.compile(r"hidden_states|statement|estate", re.IGNORECASE)


def is_state(name: str) -> bool:
    """Whether an input holds what a recurrent or decoding model remembers: zeros at the start."""
    return _STATE.search(name) is not None and _DATA.search(name) is None
