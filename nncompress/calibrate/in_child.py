"""The child process in which the blocks of a model are run, and the folder through which it gets them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nncompress.errors import InputError, NoOutputError
from nncompress.model.blocks import block_model
from nncompress.model.model import Model
from nncompress.model.network import Network, Plan
from nncompress.onnx_file.write import write
from nncompress.progress import Stage
from nncompress.runtime.blocks import Block
from nncompress.runtime.child import ModelCall, serve_in_child
from nncompress.runtime.session import Part

_MODEL = Path("(model)")  # what messages call one that is not in a file


class Request(Protocol):
    """What is asked about a block."""

    @property
    def block(self) -> Block: ...

    @property
    def doing(self) -> Stage:
        """For messages."""


@dataclass
class Child:
    """What lives in the child answers to `ask`."""

    ask: Callable[[Any], Any]
    _path: Path
    _folder: Path
    _count: int = field(default=0, init=False)

    def written(self, network: Network, part: Part, plan: Plan, seen: Sequence[str] = ()) -> Block:
        """The planned block in a file."""
        self._count += 1
        return write_block(network.model, part, plan, seen, self._folder / f"{self._count}.onnx")

    def answer(self, request: Request) -> Any:
        """What the child says; the files that it read are gone then."""
        try:
            return self.ask(request)
        except (InputError, NoOutputError) as error:  # that names a file which nobody knows
            said = str(error)
            if said.startswith(request.doing.doing):  # it ended there, of which it says all
                raise
            for file in self._folder.iterdir():
                said = said.replace(f"the {request.block.part} {file}: ", "")
            raise type(error)(f"{self._path}: {request.doing.doing} it: {said}") from error
        finally:
            for file in self._folder.iterdir():
                file.unlink()


@contextmanager
def child_of(model: Model, served: Callable[..., Callable[[Any], Any]], *arguments: Any) -> Iterator[Child]:
    """A child in which `served(*arguments, announce)` lives until the block ends; `model` is blamed for crashes."""
    path = model.path or _MODEL
    task = ModelCall(served, arguments, path, path)
    with tempfile.TemporaryDirectory(prefix="nncompress-") as folder, serve_in_child(task) as child:
        yield Child(child.ask, path, Path(folder))


def write_block(model: Model, part: Part, plan: Plan, seen: Collection[str], path: Path) -> Block:
    """The planned block in the new file `path`; a large one has a data file beside it."""
    write(block_model(model, plan.nodes, plan.inputs, [*plan.kept, *seen]), path, lasting=False)
    return Block(path, part, tuple(plan.inputs), tuple(plan.kept), tuple(seen))
