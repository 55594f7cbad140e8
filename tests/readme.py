"""What the README shows: its blocks, the commands in them, and what those really print.

    python -m tests.readme    puts what the commands print now in the place of what the README shows

Blocks: `console` is run and compared, `python` is run, `toml` and `make` become the file that their first line names.
A line "..." stands for any lines left out. Latency, load time and memory are different every time:
what follows those words is not compared, and notes that begin with NOISE are skipped.
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
MEASURED = re.compile("(latency|load time|peak memory)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command and the lines that the README shows for it."""

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
    lines = [comparable(line) for line in printed if not line.startswith("NOISE: ")]
    for line in shown:
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
        if block.language in {"toml", "make"}:
            name = block.text.partition("\n")[0].removeprefix("# ")
            (folder / name).write_text(block.text)
        elif block.language == "python":
            ended = run([sys.executable, "-W", "error", "-c", block.text], folder, **variables)
            assert ended.returncode == 0, f"{block.text}\n{ended.stderr}"
        elif block.language == "console":
            for one in commands_of(block.text):
                ended = run(["bash", "-c", one.command], folder, **variables)
                assert ended.returncode == 0, f"{one.command}\n{ended.stderr}"
                yield one, ended.stdout.splitlines()


def refreshed(shown: list[str], printed: list[str]) -> list[str]:
    """The printed lines that come closest to the shown ones, in their order; "..." stays."""
    lines: list[str] = []
    position = 0
    for line in shown:
        left = printed[position:]
        if line == "..." or not left:
            lines.append(line)
            continue
        best = max(range(len(left)), key=lambda n: difflib.SequenceMatcher(None, line, left[n], False).ratio())
        lines.append(left[best])
        position += best + 1
    return lines


def main() -> None:
    """Rewrites what the README shows, where it is not what is printed."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for one, printed in what_happens(text, Path(folder)):
            if not is_shown_truly(one.shown, printed):
                before = "\n".join([f"$ {one.command}", *one.shown, ""])
                after = "\n".join([f"$ {one.command}", *refreshed(one.shown, printed), ""])
                assert text.count(before) == 1
                text = text.replace(before, after)
    README.write_text(text)


if __name__ == "__main__":
    main()
