"""Text and JSON of an inspection, and of the difference between two."""

import json
from dataclasses import replace

import pytest

from nncompress.report.inspect_text import difference_json, difference_text, inspection_json, inspection_text
from nncompress.results.inspection import Inspection, LeftAlone, PortFacts, Prediction, WeightFacts
from tests.sample_report import HOSTILE

W = WeightFacts("fc.weight", ("Gemm",), (64, 32), "float32", 8192, 0.8192, 2, 0.25, 3, None)


ALONE = LeftAlone("too small", 5, 99, tuple("abcde"))


def inspection(**changes: object) -> Inspection:
    found = Inspection(
        path="m.onnx", file_bytes=10_000, sha256="ab" * 32, external_files=(), opset=17,
        opsets=(("com.microsoft", 1),), ir_version=8, producer="pytorch 2.4",
        inputs=(PortFacts("x", "float32", ("batch", 32)),), outputs=(PortFacts("y", "float32", None),),
        nodes=2, functions=0, ops=(("Gemm", 1), ("Relu", 1)), parameters=2112, nonzeros=1600, macs=2048,
        constant_bytes=8448, weight_bytes_loaded=8448, bytes_by_dtype=(("float32", 8448),),
        bytes_by_op=(("Gemm", 8448),), quantized=(), weights=(W,),
        prediction=Prediction("nncompress quantize", 10_000, 2_500, 1, (ALONE,)),
        notes=("it is odd",),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def lines_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_text_tells_what_is_in_the_file() -> None:
    lines = lines_of(inspection_text(inspection()))
    for line in (
        "m.onnx: 10.0 kB, 2,112 parameters, 1 weight",
        "opset / IR version 17 / 8, com.microsoft 1",
        "non-zeros 1,600 (75.76 %)",
        "nodes, names, headers 1.55 kB",
        "input x float32 [batch, 32]",
        "output y float32 any",
        "Gemm 1 8.45 kB",
        "fc.weight Gemm float32 64×32 8.19 kB 81.92 % 25.0 % read by 2 nodes; 3 NaN or infinite",
        "nncompress quantize would give 10.0 kB -> 2.50 kB (4.00x smaller), 1 weight compressed.",
        "too small 5 99 B a, b, c and 2 more",
        "it is odd",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("prediction", "sentence"),
    [
        (None, "Nothing could be compressed: no weights are stored as floats."),
        (Prediction("nncompress quantize", 10, 10, 0, ()), "nncompress quantize would find nothing to compress."),
        (Prediction("nncompress quantize", 10, 12, 1, ()), "nncompress quantize would not make it smaller"),
    ],
)
def test_the_outlook_promises_nothing(prediction: Prediction | None, sentence: str) -> None:
    assert sentence in inspection_text(inspection(prediction=prediction))


def test_many_weights_are_cut_unless_all_are_asked_for() -> None:
    weights = tuple(replace(W, name=f"w{i}", size_bytes=100) for i in range(40))
    short = inspection_text(inspection(weights=weights))
    assert "... 28 more (-v lists them)" in short
    assert "2.80 kB" in short
    assert "w39" not in short
    assert "w39" in inspection_text(inspection(weights=weights), verbose=True)


def test_hostile_names_cannot_act_on_the_terminal() -> None:
    weight, port = replace(W, name=HOSTILE), PortFacts(HOSTILE, "int64", (HOSTILE,))
    found = inspection(path=HOSTILE, weights=(weight,), inputs=(port,), ops=((HOSTILE, 1),), producer=HOSTILE)
    other = replace(found, weights=(), inputs=(), ops=())
    for text in (inspection_text(found), difference_text(found, other)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert inspection_json(found).isascii()
    assert difference_json(found, other).isascii()


def test_json_holds_every_field() -> None:
    tree = json.loads(inspection_json(inspection()))
    assert next(iter(tree)) == "schema_version"
    assert (tree["file_bytes"], tree["graph_bytes"], tree["weights"][0]["name"]) == (10_000, 1552, "fc.weight")
    assert tree["prediction"]["bytes_after"] == 2_500


SECOND = inspection(
    path="n.onnx", sha256="cd" * 32, file_bytes=4000, opset=18, ops=(("Cast", 1), ("Gemm", 1)),
    outputs=(PortFacts("z", "float32", None),),
    weights=(replace(W, dtype="int8", size_bytes=2048), replace(W, name="new", size_bytes=9)),
)  # fmt: skip


def test_the_difference_lists_what_was_added_removed_and_changed() -> None:
    lines = lines_of(difference_text(inspection(), SECOND))
    for line in (
        "m.onnx -> n.onnx",
        "file size 10.0 kB 4.00 kB 2.50x smaller",
        "opset 17 18 +1",
        "parameters 2,112 2,112 same",
        "output y float32 any shape -",
        "output z - float32 any shape",
        "Cast 0 1 +1",
        "Relu 1 0 -1",
        "fc.weight changed float32 64×32, 8.19 kB int8 64×32, 2.05 kB 4.00x smaller",
        "new added - float32 64×32, 9 B",
    ):
        assert line in lines


def test_the_difference_as_json() -> None:
    tree = json.loads(difference_json(inspection(), SECOND))
    assert tree["identical"] is False
    assert tree["file_bytes"] == [10_000, 4_000]
    assert tree["ops"] == [{"op": "Cast", "before": 0, "after": 1}, {"op": "Relu", "before": 1, "after": 0}]
    assert [(one["name"], one["change"]) for one in tree["weights"]] == [("fc.weight", "changed"), ("new", "added")]


def test_equal_files_are_called_identical_and_alike_ones_are_not() -> None:
    assert difference_text(inspection(), inspection()).endswith("The files are identical.\n")
    elsewhere = inspection(external_files=(("w.data", 8192),))
    for other in (inspection(sha256="cd" * 32), elsewhere):
        assert difference_text(other, inspection()).endswith("Interface, operators and weights are alike.\n")
