"""Times compressing a BERT-base-shaped model against onnxruntime's own quantizer: `make bench`.

Both sides are whole processes on the same file, in turns; wall time and peak memory are what the operating system
counted for each process. Figures are medians, and ratios are taken within each turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

QUANTIZE_DYNAMIC = """
import sys
from onnxruntime.quantization import QuantType, quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True, weight_type=QuantType.QInt8)
"""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    seconds: float
    peak_mb: float
    output_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12, help="encoder layers (default: %(default)s, BERT-base)")
    parser.add_argument("--turns", type=int, default=3, help="runs of each side (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "bert.onnx"
        # made in a process of its own: the peak memory of a child starts at that of its parent
        maker = [sys.executable, str(Path(__file__).with_name("bert_model.py")), str(model), str(args.layers)]
        subprocess.run(maker, check=True)
        print(f"model: {args.layers} layers, {model.stat().st_size / 1e6:.0f} MB", flush=True)
        report(measure(model, Path(folder), args.turns))
    return 0


def commands(model: Path, out: Path) -> dict[str, list[str]]:
    """The sides, by name."""
    ours = [sys.executable, "-m", "nncompress", "quantize", str(model), "-o", str(out), "--force", "-q"]
    return {
        "onnxruntime quantize_dynamic": [sys.executable, "-W", "ignore", "-c", QUANTIZE_DYNAMIC, str(model), str(out)],
        "nncompress, --no-validate": [*ours, "--no-validate"],
        "nncompress, validated": ours,
    }


def measure(model: Path, folder: Path, turns: int) -> dict[str, list[Cost]]:
    """All sides in turns, after one uncounted turn that fills the caches."""
    found: dict[str, list[Cost]] = {}
    for turn in range(turns + 1):
        for name, command in commands(model, folder / "out.onnx").items():
            cost = run(command, folder / "out.onnx")
            if turn:
                found.setdefault(name, []).append(cost)
    return found


def run(command: list[str], out: Path) -> Cost:
    """One process to its end, children included."""
    out.unlink(missing_ok=True)
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed with {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return Cost(seconds, usage.ru_maxrss * 1024 / 1e6, out.stat().st_size / 1e6)


def report(found: dict[str, list[Cost]]) -> None:
    """A table of medians, with ratios to the first side."""
    base = next(iter(found.values()))
    print(f"{'':32}{'seconds':>9}{'ratio':>8}{'peak MB':>9}{'ratio':>8}{'output MB':>11}")
    for name, costs in found.items():
        seconds = statistics.median(c.seconds for c in costs)
        peak = statistics.median(c.peak_mb for c in costs)
        slower = statistics.median(c.seconds / b.seconds for c, b in zip(costs, base, strict=True))
        larger = statistics.median(c.peak_mb / b.peak_mb for c, b in zip(costs, base, strict=True))
        print(f"{name:32}{seconds:9.2f}{slower:8.2f}{peak:9.0f}{larger:8.2f}{costs[0].output_mb:11.1f}")


if __name__ == "__main__":
    sys.exit(main())
