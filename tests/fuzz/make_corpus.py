"""Writes the small models that coverage-guided fuzzing starts from: python -m tests.fuzz.make_corpus [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.seeds import small_seeds

CORPUS = Path(__file__).parent / "corpus"


def main(folder: Path) -> None:
    """One file a model."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in small_seeds():
        name = seed.name.replace(", ", "_")
        (folder / f"{name}.onnx").write_bytes(seed.proto.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS)
