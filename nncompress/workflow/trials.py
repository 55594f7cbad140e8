"""Compresses in memory, writes a file that nobody sees, and runs it beside the original: a trial of some passes."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nncompress.calibrate.cache import Cache
from nncompress.feeds.feeds import Feeds
from nncompress.forms.form import DEFAULT_FORM, Target
from nncompress.model.model import Model
from nncompress.model.short_names import strip
from nncompress.onnx_file.write import written_bytes
from nncompress.passes.base import Pass, WeightPass
from nncompress.results.record import Run
from nncompress.runtime.child import kernels_in_child
from nncompress.workflow.in_file import in_file
from nncompress.workflow.pipeline import Compressed, Remembered, compress_graph
from nncompress.workflow.prepare import Preparing
from nncompress.workflow.proof import Opened


@dataclass(frozen=True)
class Trials:
    """An original that is open, and how results are stored."""

    proved: Opened  # what the trials are run on
    form: str = DEFAULT_FORM
    target: Target = "portable"
    threads: int = 1  # of compressing
    samples: Feeds | None = None  # that calibrate
    cache: Cache | None = None
    preparing: Preparing = Preparing()
    keep_metadata: bool = False
    strip: bool = False  # as results are written: compressed ones here keep their names
    draft: bool = False
    remembered: Remembered = field(default_factory=dict)

    def compressed(self, passes: Sequence[Pass]) -> Compressed:
        """What `passes` make of it."""
        return compress_graph(
            self.proved.model, passes, form=self.form, target=self.target, threads=self.threads, samples=self.samples,
            cache=self.cache, preparing=self.preparing, keep_metadata=self.keep_metadata,
            draft=self.draft, remembered=self.remembered,
        )  # fmt: skip

    def file_bytes(self, model: Model) -> int:
        """The size of the file that it would be written to."""
        if not self.strip:
            return written_bytes(model)
        named = replace(model, ir=model.ir.clone())
        strip(named)
        return written_bytes(named)

    def run(self, model: Model) -> Run:
        """The original and `model` on all feeds."""
        with in_file(model, "trial.onnx") as path:
            run = self.proved.compare(path, model)
        assert run is not None, "trials are run"
        return run

    def kernel_times(self, model: Model, seconds: float) -> list[tuple[str, float]]:
        """(name, microseconds) of each kernel on the first feed, nodes called by their first results."""
        named = replace(model, ir=model.ir.clone())
        for scope in named.scopes():
            for node in scope:
                node.name = next((out.name for out in node.outputs if out.name), node.name)
        assert self.proved.feeds is not None, "trials are run"
        feed = next(iter(self.proved.feeds))
        with in_file(named, "trial.onnx") as path:
            kernels = kernels_in_child(Path(path), feed, self.proved.proof.threads, seconds)
        return [(kernel.name, kernel.microseconds) for kernel in kernels]


def narrowed(passes: Sequence[Pass], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Pass]:
    """The passes for these weights alone, or for all but these."""
    narrow: list[Pass] = []
    for step in passes:
        assert isinstance(step, WeightPass), "check_passes"
        only = tuple(map(glob.escape, include)) or step.include
        narrow.append(replace(step, include=only, exclude=(*step.exclude, *map(glob.escape, exclude))))
    return narrow
