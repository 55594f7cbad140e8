"""Files that documents, comments and docstrings name are there: what has moved is called by its new name."""

import re
import subprocess
from pathlib import Path

from tests.support import ROOT

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
FILES = TRACKED or [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if ".venv" not in path.parts]
TEXTS = [name for name in FILES if name.endswith((".py", ".j2", ".md", ".toml", ".yml")) or name == "Makefile"]
OWN = re.compile(
    r"(?<![\w./{*-])((?:nncompress|tests|bench|sample_models|examples)/[\w./-]*\w/?|(?:\w+/)*\w+\.py)(?![\w*{])"
)
PLACEHOLDERS = {"nncompress/passes/verb_object.py", "tests/passes/test_verb_object.py", "nncompress/forms/name.py"}
OF_USERS = {
    "scores.py",
    "file.py",
    "metric.py",
    "metrics.py",
    "setup.py",
    "spam.py",
    "own.py",
    "strongest.py",
    "balanced.py",
}


def is_there(name: str) -> bool:
    return any(file == name or file.endswith(f"/{name}") or file.startswith(name) for file in FILES)


def test_every_file_that_is_named_exists() -> None:
    missing = [
        f"{text}: {name}"
        for text in TEXTS
        if not text.startswith("tests/") or text.endswith(".md")
        for name in OWN.findall((ROOT / Path(text)).read_text(encoding="utf-8"))
        if name not in PLACEHOLDERS | OF_USERS and not is_there(name)
    ]
    assert not missing, "\n".join(missing)
