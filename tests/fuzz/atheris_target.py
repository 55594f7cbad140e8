"""Coverage-guided fuzzing of loading, compressing and writing, for longer runs than the test suite has.

    pip install atheris
    python tests/fuzz/atheris_target.py -max_total_time=1800 -timeout=20 -rss_limit_mb=2048 WORK tests/fuzz/corpus

WORK is a folder for new inputs. A finding ends the run and leaves a file `crash-...`; running the target on that file
shows it again. Turned into a case of test_findings.py, it stays fixed.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))


def main() -> None:
    """Fuzzes until a finding, or until the time is over."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed, so nothing was fuzzed: pip install atheris")
    with atheris.instrument_imports(include=["nncompress", "onnx_ir"]):
        from tests.fuzz import harness
    from tests.fuzz.mutator import Case

    warnings.simplefilter("error")  # one would reach the user's terminal as it is
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))

    def one_input(blob: bytes) -> None:
        problem = harness.problem_with(Case(len(blob), "", (), blob, {"weights.bin": bytes(4096)}), folder)
        if problem is not None:
            raise RuntimeError(problem)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
