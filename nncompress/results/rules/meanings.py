"""What each rule is about, in a sentence, for readers who meet its name first."""

from __future__ import annotations

MEANINGS = {
    "size": "The result is smaller than the original.",
    "changed": "A pass changed something.",
    "steps": "Each step of the recipe changes something.",
    "form": "Weights are stored in the form that was asked for.",
    "calibration": "Passes took their statistics from real samples.",
    "opset": "The model has the opset that a pass needs.",
    "max-size": "The file is no larger than the limit.",
    "max-packed-size": "The file, packed by zstd, is no larger than the limit.",
    "max-params": "The model has no more parameters than the limit.",
    "max-macs": "The model takes no more multiply-accumulates than the limit.",
    "ratio": "The result is as many times smaller as was asked for.",
    "interface": "Names, shapes and types of the outputs stay.",
    "finite": "No NaN or infinity is new.",
    "integers": "Integer outputs are equal.",
    "random": "The outputs can be compared.",
    "fidelity": "The outputs stay close to those of the original.",
    "worst-sample": "The outputs stay close for each sample.",
    "cosine": "The cosine of the worst output meets the limit.",
    "sqnr": "The SQNR of the worst output meets the limit.",
    "sample-cosine": "The cosine of the worst sample meets the limit.",
    "sample-sqnr": "The SQNR of the worst sample meets the limit.",
    "drop": "No task metric loses more than the limit.",
    "promise": "The samples are enough to promise that no task metric loses more than the limit.",
    "metric": "Each task metric reaches the limit.",
    "max-metric": "No task metric exceeds the limit.",
    "latency-ratio": "Latency stays within the limit.",
    "data": "The models were run on samples that tell them apart, and on real ones where fidelity is demanded.",
    "validated": "Both models were run.",
    "runs": "The model runs in onnxruntime.",
    "readable": "The model, its reference and its data can be read.",
    "result": "The trial of a sweep makes a result.",
    "regression": "The baseline has the model.",
}
_REGRESSION = "regression-"


def meaning(rule: str) -> str:
    """Of any rule; of one that this version does not know, its name."""
    if rule.startswith(_REGRESSION):
        return f"The figure {rule.removeprefix(_REGRESSION)!r} is no worse than in the baseline."
    return MEANINGS.get(rule, rule)
