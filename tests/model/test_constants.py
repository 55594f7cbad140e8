"""All constants are found, and elements of large ones are read without the rest."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nncompress.files.opened import OpenFile
from nncompress.model.constants import elements_of, find_constants
from nncompress.model.tensors import FileTensor
from nncompress.model.weights import find_weights
from nncompress.onnx_file.read import load
from tests.models import as_model, dense_constant, linear, noise, proto_of, saved


def test_initializers_and_constant_nodes_are_found_wherever_they_are() -> None:
    body = """g (float[2,8] x, bool c) => (float[2,8] y) {
        a = MatMul(x, u)
        y = If(c) <then_branch = t () => (float[2,8] p) { k = Constant<value = float[1] {2}>() p = Mul(a, k) },
                   else_branch = e () => (float[2,8] q) { q = Mul(a, d) }>
    }"""
    proto = proto_of(body, u=noise(8, 8), d=noise(8))
    proto.graph.node.insert(0, dense_constant("unread", noise(3)))
    found = {value.name: (tensor.nbytes, scope.name) for value, tensor, scope in find_constants(as_model(proto))}
    assert found == {"u": (256, "g"), "d": (32, "g"), "unread": (12, "g"), "k": (4, "t")}


@pytest.mark.parametrize("external", [False, True])
def test_of_a_file_only_the_places_asked_for_are_read(
    tmp_path: Path, external: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = noise(100, 90)
    path = tmp_path / "m.onnx"
    proto = proto_of("g (float[N,100] x) => (float[N,90] y) { y = MatMul(x, w) }", w=array)
    onnx.save(proto, path, save_as_external_data=external, location="w.bin", size_threshold=0)
    (weight,) = find_weights(load(path))
    assert isinstance(weight.tensor, FileTensor)
    read: list[int] = []
    whole = OpenFile.read_array
    monkeypatch.setattr(OpenFile, "read_array", lambda *given: read.append(given[-1]) or whole(*given))
    places = np.array([0, 1, 2, 500, 8998, 8999])
    assert np.array_equal(elements_of(weight.tensor, places), array.reshape(-1)[places])
    assert read == [12, 4, 8]


def test_other_tensors_give_their_elements_too(tmp_path: Path) -> None:
    half = ir.Tensor(noise(3, 4).astype(np.float16))
    assert elements_of(half, np.array([0, 11])).tolist() == [half.numpy()[0, 0], half.numpy()[2, 3]]
    (weight,) = find_weights(load(saved(onnx.ModelProto.FromString(_bytes_of(linear(noise(8, 8)))), tmp_path / "m")))
    assert elements_of(weight.tensor, np.arange(0)).shape == (0,)


def _bytes_of(model: object) -> bytes:
    return ir.to_proto(model.ir).SerializeToString()  # type: ignore[attr-defined]
