"""Times choosing codes by what weights compute, of 30 million weights on 64 images: `make bench`.

The whole process, start to end; wall time and peak memory are what the operating system counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.bench import run


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, samples, out = folder / "resnet.onnx", folder / "samples", folder / "out.onnx"
        subprocess.run([sys.executable, "-m", "bench.resnet_model", str(model), str(samples)], check=True)
        options = ["--bits", "4", "--no-validate", "--calibration", str(samples)]
        cost = run([sys.executable, "-m", "nncompress", "quantize", str(model), "-o", str(out), "-q", *options], out)
        sizes = f"{model.stat().st_size / 1e6:.0f} MB -> {cost.output_mb:.1f} MB"
        print(f"4 bits: {sizes} in {cost.seconds:.0f} s, at most {cost.peak_mb:.0f} MB of memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
