"""Trains the sample models again and writes them, their data and accuracy.json.

    python sample_models/make_samples.py            # needs torch and scikit-learn; about 90 s
    python sample_models/make_samples.py --check    # only measures the models that are there

On the same machine with the same versions of torch and onnx, a second run gives the same bytes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from measure_models import measure

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Regenerates or checks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Regenerates the sample models, or checks them.")
    parser.add_argument("--check", action="store_true", help="only measure the accuracy of the models that are there")
    if parser.parse_args().check:
        return check()
    regenerate()
    return 0


def check() -> int:
    """Prints recorded and measured accuracy; 1 if any differ, else 0."""
    recorded = json.loads((HERE / "accuracy.json").read_text())
    differing = 0
    for model_name, entry in recorded.items():
        measured = measure(HERE, model_name)
        differing += measured != entry
        verdict = "as recorded" if measured == entry else f"differs from the record: {entry}"
        print(f"{model_name}: accuracy {measured['accuracy']:.4f}, {measured['size_bytes']} bytes, {verdict}")
    return 1 if differing else 0


def regenerate() -> None:
    """Writes data/, every model and accuracy.json, and prints what each model reached."""
    from build_samples import SAMPLES, build_sample  # here, not above: --check runs without torch
    from digits_data import load_splits, save_feeds

    splits = load_splits()
    (HERE / "data").mkdir(exist_ok=True)
    for input_name in ("image", "tokens"):
        save_feeds(splits, input_name, HERE / "data")
    record = {}
    for sample in SAMPLES:
        started = time.perf_counter()
        difference = build_sample(sample, splits, HERE)
        entry = measure(HERE, sample.model_name)
        record[sample.model_name] = entry
        print(
            f"{sample.model_name}: accuracy {entry['accuracy']:.4f}, {entry['size_bytes']} bytes, "
            f"at most {difference:.1e} from torch, {time.perf_counter() - started:.0f} s"
        )
    (HERE / "accuracy.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
