"""How long each kernel of a model takes, by onnxruntime's own profiler: what it runs after fusing and reordering."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.feeds.specs import Feed
from nncompress.progress import Announce, silent
from nncompress.runtime.session import guarded, open_profiled_session

_MOST_RUNS, _FEWEST_RUNS = 50, 3
_SUFFIX = "_kernel_time"
_HOLDERS = {"If", "Loop", "Scan"}  # whose time is that of the kernels inside, which are listed too


@dataclass(frozen=True)
class Kernel:
    """One of them, in the order in which they run."""

    name: str  # of the node, or what onnxruntime made of that
    op: str
    microseconds: float  # median over the runs


def measure_kernels(path: Path, feed: Feed, threads: int, seconds: float, announce: Announce = silent) -> list[Kernel]:
    """Runs the model on `feed` for about so many seconds. Raises NoOutputError where onnxruntime refuses it."""
    announce("result", "time")
    with tempfile.TemporaryDirectory(prefix="nncompress-") as folder:
        session = open_profiled_session(path, "result", Path(folder) / "profile", threads=threads)
        session.run(feed)
        end, runs = time.perf_counter() + seconds, 0
        while runs < _FEWEST_RUNS or (runs < _MOST_RUNS and time.perf_counter() < end):
            session.run(feed)
            runs += 1
        written = Path(guarded(session.inner.end_profiling, "time", path, "result"))
        events = json.loads(written.read_text(encoding="utf-8"))
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith(_SUFFIX):
            continue
        if (op := event["args"]["op_name"]) not in _HOLDERS:
            taken[event["name"].removesuffix(_SUFFIX), op].append(event["dur"])
    # kernels of one name run several times a run: their medians count that often
    return [
        Kernel(name, op, float(np.median(each)) * max(1, round(len(each) / (runs + 1))))
        for (name, op), each in taken.items()
    ]
