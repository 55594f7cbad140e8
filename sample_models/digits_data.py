"""The handwritten digits behind the sample models: loading, splitting, and writing them as feeds.

A feed file is an .npz with a leading sample axis that holds one array per model input, named by the
input, and `labels` (int64): what nncompress takes as `--data` and `--calibration`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLIT_SEED = 20240607
SPLIT_SIZES = {"train": 1197, "calibration": 200, "evaluation": 400}
SAVED_SPLITS = ("calibration", "evaluation")
DARKEST = 16  # pixels are integers in 0..16


@dataclass(frozen=True)
class Split:
    """Samples of one split. `pixels`: int64 [n, 8, 8] in 0..16; `labels`: int64 [n] in 0..9."""

    pixels: np.ndarray
    labels: np.ndarray

    def feed(self, input_name: str) -> np.ndarray:
        """The array for one model input: `image` float32 [n, 1, 8, 8] in 0..1 or `tokens` int64 [n, 64]."""
        if input_name == "image":
            return (self.pixels[:, np.newaxis] / DARKEST).astype(np.float32)
        if input_name == "tokens":
            return self.pixels.reshape(-1, 64)
        raise ValueError(f"unknown input {input_name!r}: the sample models take 'image' or 'tokens'")

    def with_shifts(self) -> "Split":
        """Five times the samples: as they are, and moved by one pixel up, down, left and right."""
        padded = np.pad(self.pixels, ((0, 0), (1, 1), (1, 1)))
        corners = [(1, 1), (2, 1), (0, 1), (1, 2), (1, 0)]
        moved = [padded[:, row : row + 8, column : column + 8] for row, column in corners]
        return Split(np.concatenate(moved), np.tile(self.labels, len(moved)))


def load_splits() -> dict[str, Split]:
    """The 1,797 digits of scikit-learn, shuffled by a fixed seed and cut into SPLIT_SIZES."""
    from sklearn.datasets import load_digits  # only regenerating needs scikit-learn

    digits = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
    bounds = np.cumsum(list(SPLIT_SIZES.values()))
    if bounds[-1] != len(order):
        raise ValueError(f"the splits take {bounds[-1]} samples, scikit-learn has {len(order)}")
    rows_by_split = zip(SPLIT_SIZES, np.split(order, bounds[:-1]), strict=True)
    return {
        name: Split(digits.images[rows].astype(np.int64), digits.target[rows].astype(np.int64))
        for name, rows in rows_by_split
    }


def save_feeds(splits: dict[str, Split], input_name: str, folder: Path) -> None:
    """Writes `<input_name>_calibration.npz` and `<input_name>_evaluation.npz`; equal arrays give equal bytes."""
    for name in SAVED_SPLITS:
        split = splits[name]
        arrays = {input_name: split.feed(input_name), "labels": split.labels}
        np.savez_compressed(folder / f"{input_name}_{name}.npz", **arrays)
