"""What the README and the pages in docs/ show: their blocks, the commands in them, and what those really print.

    python -m tests.readme [PAGE]...    puts what the commands print now in the place of what the pages show

Each page is followed from its top in a folder of its own, beside the sample models. Blocks whose first line is a file
name in a comment become that file; other `python` blocks are run, `console` is run and compared, the rest is for
readers. A line "..." stands for any lines left out. Latency, load time and memory are different every time:
what follows those words is not compared, and notes on noise are skipped. So are empty lines.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT, SAMPLES, plain_environment

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = {str(page.relative_to(ROOT)): page for page in PAGES}
NOISE = re.compile("NOISE: |WARN  latency-ratio: ")
MEASURED = re.compile("(latency|load time|peak memory)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.\w+|Makefile)\n")


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it becomes."""
        named = FILE.match(self.text)
        return named[1] if named else None


@dataclass(frozen=True)
class Command:
    """A command and the lines that the page shows for it."""

    command: str
    shown: list[str]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text."""
    return [Block(*found) for found in re.findall(BLOCK, text)]


def commands_of(text: str) -> list[Command]:
    """Of a console block; a command goes on while its lines end in a backslash."""
    commands: list[Command] = []
    continues = False
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:], []))
        elif continues:
            commands[-1] = Command(f"{commands[-1].command}\n{line}", [])
        else:
            commands[-1].shown.append(line)
        continues = line.endswith("\\")
    return commands


def comparable(line: str) -> str:
    """The line without column widths and measured times; the default rule on latency may turn PASS into WARN."""
    cut, *found = re.split(MEASURED, re.sub(r"\s+", " ", line).strip(), maxsplit=1)[:2]
    failed = re.search(r"failed: .*", line)
    level = re.sub(r"^(PASS|WARN) ", "PASS|WARN ", cut) if found else cut
    return f"{level}{''.join(found)}{failed[0] if failed else ''}"


def is_shown_truly(shown: list[str], printed: list[str]) -> bool:
    """True if the shown lines are the printed ones, but for those left out at "..."."""
    position, gap = 0, False
    lines = [comparable(line) for line in printed if line.strip() and not NOISE.match(line)]
    for line in filter(str.strip, shown):
        if line == "...":
            gap = True
            continue
        wanted = comparable(line)
        if gap:
            position = next((n for n in range(position, len(lines)) if lines[n] == wanted), len(lines))
        if position >= len(lines) or lines[position] != wanted:
            return False
        position, gap = position + 1, False
    return gap or position == len(lines)


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**plain_environment(), "PATH": path, **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def what_happens(text: str, folder: Path, **variables: str) -> Iterator[tuple[Command, list[str]]]:
    """Follows the text in `folder`: each command with the lines that it prints. A failing step raises an error.

    `variables` of the environment may shorten what takes time.
    """
    shutil.copytree(SAMPLES, folder / "sample_models")
    for block in blocks(text):
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        elif block.language == "python":
            ended = run([sys.executable, "-W", "error", "-c", block.text], folder, **variables)
            assert ended.returncode == 0, f"{block.text}\n{ended.stderr}"
        elif block.language == "console":
            for one in commands_of(block.text):
                ended = run(["bash", "-c", one.command], folder, **variables)
                assert ended.returncode == 0, f"{one.command}\n{ended.stderr}"
                yield one, ended.stdout.splitlines()


def refreshed(shown: list[str], printed: list[str]) -> list[str]:
    """The printed lines in the place of the shown ones, without noise; "..." stays.

    Lines between two "..." become as many printed lines in a row, those that are most alike.
    """
    left = [line.replace(", NOISE", "") for line in printed if not NOISE.match(line)]
    first, *others = _between_gaps(shown)
    if not others:
        return left
    lines, left = left[: len(first)], left[len(first) :]
    *middle, last = others
    for part in middle:
        start = max(range(max(1, len(left) - len(part) + 1)), key=lambda n: _likeness(part, left[n : n + len(part)]))
        lines += ["...", *left[start : start + len(part)]]
        left = left[start + len(part) :]
    return [*lines, "...", *left[len(left) - len(last) :]]


def _between_gaps(shown: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in shown:
        if line == "...":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _likeness(ours: list[str], theirs: list[str]) -> float:
    pairs = zip(ours, theirs, strict=False)
    return sum(difflib.SequenceMatcher(None, our, their, autojunk=False).ratio() for our, their in pairs)


def refresh(page: Path) -> None:
    """Rewrites what a page shows, where it is not what is printed."""
    text = page.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for one, printed in what_happens(text, Path(folder)):
            if not is_shown_truly(one.shown, printed):
                before = "\n".join([f"$ {one.command}", *one.shown, ""])
                after = "\n".join([f"$ {one.command}", *refreshed(one.shown, printed), ""])
                assert text.count(before) == 1
                text = text.replace(before, after)
    page.write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        refresh(NAMES[name])
