"""Every form computes the same in onnxruntime without optimisations, in onnx's reference and in OpenVINO."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.portability import (
    CASES,
    END,
    HAS_OPENVINO,
    OPSETS,
    PAGE,
    README,
    START,
    Case,
    error,
    in_onnxruntime,
    in_openvino,
    in_reference,
    made,
)  # fmt: skip

NOT_IN_REFERENCE = ("`dequantize`", "rounded activations")  # it has DequantizeLinear of opset 19 and later
NOT_IN_OPENVINO = ("`dequantize`, 2 bits, opset 25",)  # 2026.4 has no type for them


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if "groups" in case.form else ()) for case in CASES],  # 2 s each
    ids=lambda case: case.form,
)
def test_every_form_runs_the_same_everywhere(case: Case, opset: int, tmp_path: Path) -> None:
    path = made(case, opset, tmp_path / "m.onnx")
    expected = in_onnxruntime(path)
    assert error(in_onnxruntime(path, "ORT_DISABLE_ALL"), expected) <= case.tolerance
    if opset >= 19 or case.form not in NOT_IN_REFERENCE:
        assert error(in_reference(path), expected) <= case.tolerance
    if HAS_OPENVINO and case.form not in NOT_IN_OPENVINO:
        assert error(in_openvino(path), expected) <= case.tolerance


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed: pip install nncompress[runtimes]")
@pytest.mark.parametrize("bits", range(1, 8))
def test_openvino_unpacks_codes_as_onnxruntime_does(bits: int, tmp_path: Path) -> None:
    case = Case("shared", (f"share-weights:bits={bits}",))
    for opset in OPSETS:
        path = made(case, opset, tmp_path / f"{opset}.onnx")
        assert error(in_openvino(path), in_onnxruntime(path)) <= case.tolerance


def test_the_page_lists_every_form_that_is_tested() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [case.form for case in CASES if f"| {case.form} |" not in page] == []
    assert "DIFFERS" not in page


def test_the_readme_has_some_rows_of_that_page() -> None:
    table = README.read_text(encoding="utf-8").partition(START)[2].partition(END)[0].splitlines()
    assert len(table) == 2 + sum(case.common for case in CASES)
    assert set(table) <= set(PAGE.read_text(encoding="utf-8").splitlines())
