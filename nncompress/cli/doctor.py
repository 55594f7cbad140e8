"""The command doctor: versions, processor and onnxruntime's providers."""

from __future__ import annotations

from nncompress.cli.printing import say_sections


def doctor() -> None:
    """Show versions, processor and onnxruntime's providers.

    Example: nncompress doctor
    """
    from nncompress.runtime.environment import environment
    from nncompress.runtime.providers import providers

    machine = environment()
    rows = {
        "nncompress": machine.nncompress,
        "Python": machine.python,
        "onnx": machine.onnx,
        "onnx-ir": machine.onnx_ir,
        "numpy": machine.numpy,
        "onnxruntime": f"{machine.onnxruntime} ({', '.join(providers())})",
        "platform": machine.platform,
        "processor": f"{machine.cpu}, {machine.cores} cores",
        "integer instructions": ", ".join(machine.cpu_flags) or "none known",
    }
    width = max(map(len, rows))
    say_sections([f"{key:{width}}  {value}" for key, value in rows.items()])
