"""`doctor`: the versions that figures depend on."""

from __future__ import annotations

from importlib.metadata import version

from tests.support import nncompress


def test_doctor_names_the_versions_that_figures_depend_on() -> None:
    ended = nncompress("doctor")
    assert (ended.exit_code, ended.stderr) == (0, "")
    rows = dict(line.split("  ", 1) for line in ended.stdout.splitlines())
    assert rows["nncompress"].strip() == version("nncompress")
    assert rows["numpy"].strip() == version("numpy")
    assert rows["onnxruntime"].strip().startswith(version("onnxruntime"))
    assert "CPUExecutionProvider" in rows["onnxruntime"]
