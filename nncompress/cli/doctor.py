"""The command doctor: versions, processor and onnxruntime's providers."""

from __future__ import annotations

from nncompress.cli.printing import say


def doctor() -> None:
    """Show versions, processor and onnxruntime's providers.

    Example: nncompress doctor
    """
    from nncompress.runtime.environment import environment
    from nncompress.runtime.providers import providers

    found = environment()
    rows = {
        "nncompress": found.nncompress,
        "Python": found.python,
        "onnx": found.onnx,
        "onnx-ir": found.onnx_ir,
        "numpy": found.numpy,
        "onnxruntime": f"{found.onnxruntime} ({', '.join(providers())})",
        "platform": found.platform,
        "processor": f"{found.cpu}, {found.cores} cores",
        "integer instructions": ", ".join(found.cpu_flags) or "none known",
    }
    width = max(map(len, rows))
    say("\n".join(f"{key:{width}}  {value}" for key, value in rows.items()))
