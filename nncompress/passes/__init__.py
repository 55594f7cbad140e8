"""All passes, by the order of their stages: the one place where a new pass is entered."""

from __future__ import annotations

from nncompress.errors import UsageError, nearest
from nncompress.passes.base import Pass
from nncompress.passes.binarize import Binarize
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.factorize import Factorize
from nncompress.passes.migrate_scales import MigrateScales
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.passes.slim_channels import SlimChannels
from nncompress.passes.store_lossless import StoreLossless

ALL_PASSES: tuple[type[Pass], ...] = (
    SlimChannels, Factorize, MigrateScales, PruneMagnitude, QuantizeActivations, Binarize, QuantizeWeights,
    ShareWeights, StoreLossless, CorrectBiases,
)  # fmt: skip


def pass_named(name: str) -> type[Pass]:
    """The pass of that name. Raises UsageError with the nearest names."""
    known = {kind.name: kind for kind in ALL_PASSES}
    if name not in known:
        raise UsageError(f"unknown pass {name!r}{nearest(name, known)}; there are: {', '.join(known)}")
    return known[name]
