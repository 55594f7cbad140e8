"""Makes a saved ONNX model smaller, runs it against the original, and proves what it cost.

    import nncompress

    small = nncompress.compress("model.onnx", [nncompress.QuantizeWeights()])
    nncompress.save(small, "small.onnx")
    print(nncompress.compare("model.onnx", "small.onnx").verdict.level)

Names not listed in `__all__` may change at any time.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes longer to import than everything before the first signal is handled
if TYPE_CHECKING:
    from nncompress.api import (
        Binarize as Binarize,
        CorrectBiases as CorrectBiases,
        Factorize as Factorize,
        MigrateScales as MigrateScales,
        Model as Model,
        PruneMagnitude as PruneMagnitude,
        QuantizeActivations as QuantizeActivations,
        QuantizeWeights as QuantizeWeights,
        Report as Report,
        ShareWeights as ShareWeights,
        SlimChannels as SlimChannels,
        StoreLossless as StoreLossless,
        compare as compare,
        compress as compress,
        load as load,
        save as save,
        sweep as sweep,
        to_proto as to_proto,
    )
    from nncompress.errors import NncompressError as NncompressError

    __version__: str

__all__ = [
    "Binarize",
    "CorrectBiases",
    "Factorize",
    "MigrateScales",
    "Model",
    "NncompressError",
    "PruneMagnitude",
    "QuantizeActivations",
    "QuantizeWeights",
    "Report",
    "ShareWeights",
    "SlimChannels",
    "StoreLossless",
    "__version__",
    "compare",
    "compress",
    "load",
    "save",
    "sweep",
    "to_proto",
]


def __getattr__(name: str) -> object:
    """Imports on first use: the command line must not pay for numpy and onnx to print its help."""
    if name not in __all__:
        raise AttributeError(f"module 'nncompress' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        return version("nncompress")
    if name == "NncompressError":
        from nncompress import errors

        return errors.NncompressError
    from nncompress import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
