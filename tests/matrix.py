"""Runs the quick tests on every Python and set of versions that is supported and can be had here: make matrix.

The oldest set are the lower bounds in pyproject.toml, on the oldest Python; the newest is what the index has, on every
Python from 3.11 to 3.14 that is installed or that uv can fetch. A Python that cannot be had is named, never counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/matrix"
SETS = (("3.11", "lowest-direct"), ("3.11", "highest"), ("3.12", "highest"), ("3.13", "highest"), ("3.14", "highest"))
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema")
SHOWN = ("onnx", "onnx-ir", "onnxruntime", "numpy")


def main() -> int:
    """Prints a line for each set; 1 if one failed."""
    lines, failed = [], False
    for python, resolution in SETS:
        outcome, versions = tested(python, resolution)
        failed |= outcome == "FAIL"
        lines.append(
            f"{outcome:10}  Python {python:5}  {'oldest' if resolution != 'highest' else 'newest'}  {versions}"
        )
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    return int(failed)


def tested(python: str, resolution: str) -> tuple[str, str]:
    """(PASS, FAIL or not tested, the versions or the reason)"""
    uv = os.environ.get("UV") or shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    folder = FOLDER / f"{python}-{resolution}"
    shutil.rmtree(folder, ignore_errors=True)
    found = subprocess.run(
        [uv, "venv", "--quiet", "--python", python, folder], capture_output=True, text=True, check=False
    )
    if found.returncode:
        return "not tested", f"no Python {python} here, and uv cannot fetch one"
    install = [uv, "pip", "install", "--quiet", "--python", folder / "bin/python"]
    subprocess.run([*install, "--resolution", resolution, "-e", ROOT], check=True)
    subprocess.run([*install, *TOOLS], check=True)
    command = [folder / "bin/python", "-m", "pytest", "-n", "auto", "--maxprocesses", "8", "-m", "not slow"]
    outcome = subprocess.run(command, cwd=ROOT, check=False)
    listed = subprocess.run(
        [uv, "pip", "list", "--python", folder / "bin/python"], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    rows = dict(line.split()[:2] for line in listed if line.strip())
    return "FAIL" if outcome.returncode else "PASS", ", ".join(f"{name} {rows.get(name)}" for name in SHOWN)


if __name__ == "__main__":
    sys.exit(main())
