"""What exporters write for debugging, told from what is the model's own."""

import numpy as np
import onnx
import pytest

from nncompress.model.metadata import debugging_bytes, drop_debugging
from nncompress.model.model import Model
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.store_lossless import StoreLossless
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, noise, proto_from, proto_of, run

TEXT = (
    "g (bool c, float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) b = If(c) <then_branch = t () => (float[N,64] u) "
    "{ u = Identity(a) }, else_branch = e () => (float[N,64] v) { v = Neg(a) }> y = local.f(b) } "
    '<domain: "local", opset_import: ["" : 17]> f (a) => (y) { y = Relu(a) }'
)
OWN = {"author": "somebody", "layer_ann": "stage1", "pkg": "kept"}
DEBUGGING = (
    "pkg.torch.onnx.stack_trace", "pkg.torch.onnx.name_scopes", "pkg.onnxscript.rewriter.rule_name", "namespace",
    "stack_trace", "class_hierarchy", "SourceLocation", "debug_info", "traceback", "fx_node",
)  # fmt: skip


def annotated(length: int = 100) -> onnx.ModelProto:
    proto = proto_of(TEXT, w=noise(64, 64))
    proto.doc_string, proto.producer_name = "the model", "tests"
    proto.metadata_props.add(key="pkg.torch.version", value="the model's own")
    branch = proto.graph.node[1].attribute[0].g
    holders = [*proto.graph.node, *branch.node, *proto.functions[0].node, proto.functions[0], branch]
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, ["N", 64]))
    for holder in [*holders, proto.graph.value_info[0], proto.graph.input[1]]:
        holder.doc_string = "d" * length
        for key in (*DEBUGGING, *OWN):
            holder.metadata_props.add(key=key, value="v" * length)
    proto.graph.doc_string = "the graph"
    return proto


def test_texts_for_debugging_go_and_all_others_stay() -> None:
    proto = annotated()
    model = as_model(proto)
    before = proto_from(model)
    estimated = debugging_bytes(model)
    drop_debugging(model)
    after = proto_from(model)
    assert before.ByteSize() - after.ByteSize() == pytest.approx(estimated, rel=0.01)
    assert debugging_bytes(model) == 0
    assert (after.doc_string, after.producer_name) == ("the model", "tests")
    assert [entry.value for entry in after.metadata_props] == ["the model's own"]
    assert after.graph.input[1] == before.graph.input[1]
    for node in (*after.graph.node, *after.functions[0].node, *after.graph.node[1].attribute[0].g.node):
        assert node.doc_string == ""
        assert {entry.key for entry in node.metadata_props} == set(OWN)


@pytest.mark.parametrize("one", [QuantizeWeights(), StoreLossless()])
def test_it_is_dropped_by_default_and_the_ledger_says_how_many_bytes(one: QuantizeWeights | StoreLossless) -> None:
    model = as_model(annotated())
    before, size = proto_from(model).SerializeToString(deterministic=True), debugging_bytes(model)
    compressed = compress_graph(model, [one])
    what = f"{size:,} bytes of what an exporter wrote on nodes and values for debugging dropped"
    assert Rewritten("(graph)", "normalise", f"{what} (--keep-metadata keeps it)") in compressed.outcomes
    assert debugging_bytes(compressed.model) == 0
    assert proto_from(model).SerializeToString(deterministic=True) == before, "of the copy only"
    feed = {"c": np.array(True), "x": noise(3, 64)}
    assert np.allclose(run(model, **feed)[0], run(compressed.model, **feed)[0], atol=1)


def sizes(model: Model, **options: bool) -> int:
    return debugging_bytes(compress_graph(model, [QuantizeWeights()], **options).model)  # type: ignore[arg-type]


def test_it_stays_where_it_is_asked_for_or_hardly_counts() -> None:
    model = as_model(annotated())
    assert sizes(model, keep_metadata=True) == debugging_bytes(model)
    few = proto_of(TEXT, w=noise(64, 64))
    few.graph.node[0].doc_string = "d" * 30  # of about 4.6 kB
    assert sizes(as_model(few)) == debugging_bytes(as_model(few)) == 32
    few.graph.node[0].doc_string = "d" * 60
    assert sizes(as_model(few)) == 0
