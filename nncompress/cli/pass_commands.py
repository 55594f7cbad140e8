"""The commands that run passes of their own: the one place where such a command is entered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PassCommand:
    """A command whose options are the fields of its passes (see pass_options.py)."""

    name: str
    passes: tuple[str, ...]  # names, in the order in which they run; fields of the same name are one option
    help: str  # what it does, and lines "Example: COMMAND"
    on_request: frozenset[str] = frozenset()  # of the passes: only where an option is given that they alone have


PASS_COMMANDS = (
    PassCommand(
        "quantize",
        ("quantize-activations", "quantize-weights"),
        """Store weights as 8-bit integers with a scale, a quarter of the size; with --for speed compute in them, too.

        Example: nncompress quantize model.onnx -o small.onnx
        Example: nncompress quantize model.onnx -o small.onnx --data eval.npz --max-drop "0.5 %"
        Example: nncompress quantize model.onnx -o small.onnx --exclude "fc3*" --form dequantize
        Example: nncompress quantize model.onnx -o fast.onnx --for speed --calibration calib.npz --data eval.npz
        Example: nncompress quantize model.onnx -o fast.onnx --activations dynamic
        Example: nncompress quantize model.onnx --dry-run --json -
        """,
        frozenset({"quantize-activations"}),
    ),
    PassCommand(
        "share",
        ("share-weights",),
        """Let weights share few values, found by k-means, and store which one each has in 1 to 8 bits.

        Example: nncompress share model.onnx -o small.onnx --bits 4 --data eval.npz
        Example: nncompress share model.onnx -o small.onnx --bits 3 --block 32 --calibration calib.npz
        """,
    ),
    PassCommand(
        "binarize",
        ("binarize",),
        """Store weights as sums of 1 to 4 signs with scales, one bit a weight for each.

        Example: nncompress binarize model.onnx -o small.onnx --terms 3 --data eval.npz
        Example: nncompress binarize model.onnx -o small.onnx --include "fc2*" --terms 1 --data eval.npz
        """,
    ),
    PassCommand(
        "prune",
        ("prune-magnitude",),
        """Set the smallest weights to zero, or with samples those that matter least, and store zeros small.

        Example: nncompress prune model.onnx -o small.onnx --sparsity 0.6 --data eval.npz
        Example: nncompress prune model.onnx -o small.onnx --sparsity 0.7 --calibration calib.npz --data eval.npz
        Example: nncompress prune model.onnx -o small.onnx --include "fc*" --threshold 0.02 --min-cosine 0.99
        """,
    ),
    PassCommand(
        "factorize",
        ("factorize",),
        """Split large matrices into two thin ones where that saves bytes and work.

        Example: nncompress factorize model.onnx -o small.onnx --energy 0.9 --data eval.npz
        Example: nncompress factorize model.onnx -o small.onnx --include "fc2*" --rank 32
        Example: nncompress factorize model.onnx -o small.onnx --keep 0.5 --calibration calib.npz
        """,
    ),
    PassCommand(
        "slim",
        ("slim-channels",),
        """Remove channels and neurons that the others can make up for: smaller and faster on every runtime.

        Example: nncompress slim model.onnx -o small.onnx --energy 0.98 --calibration calib.npz --data eval.npz
        Example: nncompress slim model.onnx -o small.onnx --share 0.25 --calibration calib.npz --data eval.npz
        """,
    ),
    PassCommand(
        "shrink",
        ("store-lossless",),
        """Store constants smaller without changing a bit of what the model computes.

        Example: nncompress shrink model.onnx -o small.onnx
        Example: nncompress shrink model.onnx -o small.onnx --exclude "fc3*"
        """,
    ),
)
