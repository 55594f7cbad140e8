"""Makes damaged models: a number chooses the model, what is done to it and with which values, always the same.

Mutations of the message (graph_mutations.py, tensor_mutations.py) keep the file readable for protobuf, so that what
lies behind the parser is reached; those here work on bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError, EncodeError

from tests.fuzz.graph_mutations import GRAPH_MUTATIONS
from tests.fuzz.seeds import Seed, sample_seeds, small_seeds
from tests.fuzz.tensor_mutations import TENSOR_MUTATIONS

SAMPLES_EVERY = 50  # each 50th case starts from a whole sample model
BYTES_EVERY = 8  # each 8th case has its bytes damaged, too
MUTATIONS = (*GRAPH_MUTATIONS, *TENSOR_MUTATIONS)
# There is nothing to change, or protobuf refuses the new value.
NOT_APPLICABLE = (IndexError, ValueError, TypeError, UnicodeError, DecodeError)


@dataclass(frozen=True)
class Case:
    """One damaged model with its data files, and how it came about."""

    number: int
    seed: str
    steps: tuple[str, ...]
    blob: bytes
    data: dict[str, bytes]


def make_case(number: int) -> Case:
    """The case of this number."""
    rng = random.Random(number)
    seeds = sample_seeds() if number % SAMPLES_EVERY == 0 else small_seeds()
    seed = rng.choice(seeds)
    proto, steps = mutated(seed, rng)
    try:
        blob = proto.SerializeToString(deterministic=True)
    except (EncodeError, ValueError):
        blob = seed.proto.SerializeToString(deterministic=True)
    data = dict(seed.data)
    if number % BYTES_EVERY == 0:
        step = rng.choice(BYTE_MUTATIONS)
        blob, steps = step(rng, blob), [*steps, step.__name__]
    if data and rng.random() < 0.3:
        data = {name: rng.choice((truncated, flipped))(rng, content) for name, content in data.items()}
        steps.append("data file")
    return Case(number, seed.name, tuple(steps), blob, data)


def mutated(seed: Seed, rng: random.Random) -> tuple[onnx.ModelProto, list[str]]:
    """The seed's model after one to four mutations, and their names. One that does not apply changes nothing."""
    proto = onnx.ModelProto()
    proto.CopyFrom(seed.proto)
    steps = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        step = rng.choice(MUTATIONS)
        try:
            step(rng, proto)
        except NOT_APPLICABLE:
            continue
        steps.append(step.__name__)
    return proto, steps


# ------------------------------------------------------------------------------------------------ bytes
def flipped(rng: random.Random, blob: bytes) -> bytes:
    """One to eight bits."""
    out = bytearray(blob)
    for _ in range(rng.randint(1, 8)):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def flipped_head(rng: random.Random, blob: bytes) -> bytes:
    """Bits among the first 200 bytes, where there are more tags than payload."""
    return flipped(rng, blob[:200]) + blob[200:]


def truncated(rng: random.Random, blob: bytes) -> bytes:
    return blob[: rng.randrange(len(blob) + 1)]


def cut_out(rng: random.Random, blob: bytes) -> bytes:
    start = rng.randrange(len(blob) + 1)
    return blob[:start] + blob[start + rng.randint(1, 64) :]


def repeated(rng: random.Random, blob: bytes) -> bytes:
    start = rng.randrange(len(blob) + 1)
    return blob[:start] + blob[start : start + rng.randint(1, 256)] * 2 + blob[start:]


def inserted(rng: random.Random, blob: bytes) -> bytes:
    """Random bytes, or a number of the longest kind."""
    start = rng.randrange(len(blob) + 1)
    return blob[:start] + rng.choice((rng.randbytes(rng.randint(1, 16)), b"\xff" * 9 + b"\x01")) + blob[start:]


def overwritten(rng: random.Random, blob: bytes) -> bytes:
    start = rng.randrange(len(blob) + 1)
    new = rng.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * rng.randint(1, 8)
    return blob[:start] + new + blob[start + len(new) :]


def spliced(rng: random.Random, blob: bytes) -> bytes:
    """Its beginning and the end of another model."""
    other = rng.choice(small_seeds()).proto.SerializeToString(deterministic=True)
    return blob[: rng.randrange(len(blob) + 1)] + other[rng.randrange(len(other)) :]


BYTE_MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flipped, flipped_head, truncated, cut_out, repeated, inserted, overwritten, spliced,
)  # fmt: skip
