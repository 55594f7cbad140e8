"""Cutting the large tensors out of a model file and laying them back in gives the same model."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper

from nncompress.model.message import LARGE_BYTES
from nncompress.onnx_file import wire
from nncompress.onnx_file.walk import all_tensors
from nncompress.onnx_file.wire import MalformedError, Payload, cut, fields, length_delimited, splice, varint
from tests.models import noise

MARK = "cut-0123456789abcdef"
AROUND = (0, 1, 100, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES)


def cut_bytes(blob: bytes) -> tuple[bytes, list[Payload]]:
    return cut(lambda offset, count: blob[offset : offset + count], len(blob), MARK)


def reassembled(blob: bytes) -> bytes:
    """Cut, parsed, serialised again, and every payload put back."""
    small, payloads = cut_bytes(blob)
    again = onnx.ModelProto.FromString(small).SerializeToString()
    parts = splice(again, MARK, [payload.length for payload in payloads])
    laid = [blob[payloads[p].offset :][: payloads[p].length] if isinstance(p, int) else p for p in parts]
    return b"".join(laid)


def with_raw_data(proto: onnx.ModelProto) -> onnx.ModelProto:
    """What becomes of large typed data: the same bytes as raw data."""
    for tensor in all_tensors(proto):
        for name, dtype in (("float_data", "<f4"), ("double_data", "<f8")):
            raw = np.array(getattr(tensor, name), dtype).tobytes()
            if len(raw) >= LARGE_BYTES:
                tensor.ClearField(name)
                tensor.raw_data = raw
    return proto


# ------------------------------------------------------------------------------------------------ random models
@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    size, name = draw(st.sampled_from(AROUND)), draw(st.text(max_size=3))
    kind = draw(st.sampled_from(["raw", "float", "double", "int32", "external"]))
    if kind == "raw":
        return TensorProto(
            name=name, dims=[size], data_type=TensorProto.UINT8, raw_data=(bytes(range(256)) * 48)[:size]
        )
    if kind == "external":
        tensor = TensorProto(name=name, dims=[size], data_type=TensorProto.UINT8, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        return tensor
    types = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "int32": TensorProto.INT32}
    count = size // (8 if kind == "double" else 4)
    return helper.make_tensor(name, types[kind], [count], np.arange(count))


@st.composite
def nodes(draw: st.DrawFn, depth: int = 0) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Any", name=draw(st.text(max_size=3)), input=draw(st.lists(st.text(max_size=2))))
    for index, kind in enumerate(draw(st.lists(st.sampled_from("tTgGi"), max_size=2))):
        attribute = node.attribute.add(name=f"a{index}")
        if kind == "t":
            attribute.t.CopyFrom(draw(tensors()))
        elif kind == "T":
            attribute.tensors.extend(draw(st.lists(tensors(), max_size=2)))
        elif kind == "i" or depth == 2:
            attribute.ints.extend(range(1000))
        elif kind == "g":
            attribute.g.CopyFrom(draw(graphs(depth + 1)))
        else:
            attribute.graphs.append(draw(graphs(depth + 1)))
    return node


@st.composite
def graphs(draw: st.DrawFn, depth: int = 0) -> onnx.GraphProto:
    return onnx.GraphProto(
        name="g",
        node=draw(st.lists(nodes(depth), max_size=2)),
        initializer=draw(st.lists(tensors(), max_size=2)),
        doc_string=draw(st.sampled_from(["", "d" * 5000])),
    )


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    functions = [onnx.FunctionProto(name="f", node=[draw(nodes())])] * draw(st.integers(0, 1))
    return onnx.ModelProto(ir_version=8, producer_name="p", graph=draw(graphs()), functions=functions)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(models())
def test_cutting_and_splicing_any_model_gives_the_same_model(proto: onnx.ModelProto) -> None:
    blob = proto.SerializeToString()
    assert onnx.ModelProto.FromString(reassembled(blob)) == with_raw_data(proto)


# ------------------------------------------------------------------------------------------------ cut
def model_with(*initializers: TensorProto) -> bytes:
    return onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(initializer=initializers)).SerializeToString()


@pytest.mark.parametrize(("size", "payloads"), [(LARGE_BYTES - 1, 0), (LARGE_BYTES, 1)])
def test_only_payloads_from_the_threshold_on_are_cut(size: int, payloads: int) -> None:
    raw = bytes(reversed(range(256))) * 16
    blob = model_with(TensorProto(name="w", dims=[size], data_type=TensorProto.UINT8, raw_data=raw[:size]))
    small, found = cut_bytes(blob)
    assert len(found) == payloads
    assert all(blob[p.offset :][: p.length] == raw for p in found)
    assert (small == blob) is (payloads == 0)


def test_a_cut_tensor_is_marked_as_external_data_with_its_number_and_length() -> None:
    blob = model_with(*(numpy_helper.from_array(noise(2000 + i), f"w{i}") for i in range(2)))
    (first, second) = onnx.ModelProto.FromString(cut_bytes(blob)[0]).graph.initializer
    assert {e.key: e.value for e in first.external_data} == {"location": MARK, "offset": "0", "length": "8000"}
    assert {e.key: e.value for e in second.external_data} == {"location": MARK, "offset": "1", "length": "8004"}
    assert first.data_location == TensorProto.EXTERNAL
    assert (first.name, list(first.dims)) == ("w0", [2000])


def test_the_cut_model_holds_no_large_payload() -> None:
    blob = model_with(*(numpy_helper.from_array(noise(100_000), f"w{i}") for i in range(4)))
    assert len(cut_bytes(blob)[0]) < 1000 < len(blob)


def test_data_that_are_given_twice_are_left_for_the_checks_that_refuse_them() -> None:
    tensor = numpy_helper.from_array(noise(2000), "w")
    tensor.float_data.extend(noise(2000))
    blob = model_with(tensor)
    assert cut_bytes(blob) == (blob, [])


def test_values_that_are_not_packed_are_left_to_protobuf() -> None:
    values = b"".join(varint(4 << 3 | 5) + np.float32(v).tobytes() for v in range(20_000))
    tensor = TensorProto(name="w", dims=[20_000], data_type=TensorProto.FLOAT).SerializeToString() + values
    blob = length_delimited(7, length_delimited(5, tensor))
    small, payloads = cut_bytes(blob)
    assert (small, payloads) == (blob, [])
    assert list(onnx.ModelProto.FromString(small).graph.initializer[0].float_data) == list(range(20_000))


def test_values_in_a_field_of_another_type_are_left_for_the_checks_that_refuse_them() -> None:
    for kind in (TensorProto.FLOAT16, TensorProto.INT64, TensorProto.DOUBLE):
        tensor = TensorProto(name="w", dims=[2000], data_type=kind, float_data=noise(2000))
        blob = model_with(tensor)
        assert cut_bytes(blob) == (blob, [])


def test_a_tensor_in_two_parts_is_left_to_protobuf_which_joins_them() -> None:
    halves = [
        TensorProto(float_data=noise(2000)),
        TensorProto(name="v", dims=[4000], data_type=1, float_data=noise(2000)),
    ]
    part = b"".join(length_delimited(5, half.SerializeToString()) for half in halves)
    attribute = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR).SerializeToString() + part
    node = onnx.NodeProto(op_type="Constant", output=["c"]).SerializeToString() + length_delimited(5, attribute)
    blob = length_delimited(7, length_delimited(1, node))
    assert cut_bytes(blob) == (blob, [])
    assert len(onnx.ModelProto.FromString(blob).graph.node[0].attribute[0].t.float_data) == 4000


@given(
    st.lists(st.sampled_from(["number", "long number", "fixed32", "fixed64", "text", "long text", "high"]), max_size=60)
)
def test_short_fields_are_passed_over_and_long_ones_found(kinds: list[str]) -> None:
    made = {
        "number": varint(1 << 3) + varint(5), "long number": varint(2 << 3) + varint((1 << 64) - 1),
        "fixed32": varint(3 << 3 | 5) + b"abcd", "fixed64": varint(4 << 3 | 1) + b"abcdefgh",
        "text": length_delimited(5, b"\xff\n" * 7), "long text": length_delimited(6, b"x" * 300),
        "high": length_delimited(200, b"y" * 24),
    }  # fmt: skip
    blob = b"".join(made[kind] for kind in kinds)
    read = lambda offset, count: blob[offset : offset + count]  # noqa: E731
    every = [field for field in fields(read, 0, len(blob)) if field.end - field.value >= 300]
    assert [field for field in fields(read, 0, len(blob), 300) if field.end - field.value >= 300] == every
    assert len(every) == kinds.count("long text")


@pytest.mark.parametrize("end", [b"\x08", b"\x08\xff", b"\x3d\x00", b"\x2a\x05abc", b"\x00\x00", b"\x0b"])
def test_a_broken_field_behind_short_ones_is_malformed(end: bytes) -> None:
    blob = b"\x08\x01" * 30_000 + end
    with pytest.raises(MalformedError):
        list(fields(lambda offset, count: blob[offset : offset + count], 0, len(blob), 300))


@pytest.mark.parametrize("nodes_count", [1000, 4000])
def test_what_is_read_grows_with_the_file_and_not_faster(nodes_count: int) -> None:
    attribute = onnx.AttributeProto(name="v", t=numpy_helper.from_array(noise(1100)))
    node = onnx.NodeProto(op_type="Constant", attribute=[attribute])
    blob = onnx.ModelProto(graph=onnx.GraphProto(node=[node] * nodes_count)).SerializeToString()
    read = []

    def counting(offset: int, count: int) -> bytes:
        read.append(count)
        return blob[offset : offset + count]

    _, payloads = cut(counting, len(blob), MARK)
    assert len(payloads) == nodes_count
    assert len(read) <= 30 * nodes_count  # a head for each field of three nested messages, and what lies between
    assert sum(read) <= 600 * nodes_count  # never the 4,400 bytes of a payload


# ------------------------------------------------------------------------------------------------ malformed
def test_every_truncation_is_malformed_or_a_shorter_list_of_whole_fields() -> None:
    blob = model_with(numpy_helper.from_array(noise(1100), "w"), numpy_helper.from_array(noise(3), "b"))
    ends = {0, *(field.end for field in fields(lambda o, c: blob[o : o + c], 0, len(blob)))}
    for size in (*range(60), *range(len(blob) - 60, len(blob))):
        if size in ends:
            cut_bytes(blob[:size])
        else:
            with pytest.raises(MalformedError):
                cut_bytes(blob[:size])


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x0b", "wire type 3 at byte 0"),
        (b"\x0f", "wire type 7 at byte 0"),
        (b"\x02\x00", "field 0 at byte 0 ends beyond its message"),
        (b"\x0a\x05abc", "field 1 at byte 0 ends beyond its message"),
        (b"\x09abc", "field 1 at byte 0 ends beyond its message"),
        (b"\x08", "it ends within a number"),
        (b"\x08\xff", "it ends within a number"),
        (b"\x08" + b"\xff" * 11, "a number is longer than 64 bits"),
    ],
)
def test_bytes_that_are_no_message_are_malformed(blob: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        cut_bytes(blob)


def test_nesting_without_end_is_malformed_and_no_stack_overflow() -> None:
    body = bytes(2 * LARGE_BYTES)  # long enough that cut looks inside
    for _ in range(wire.DEEPEST):
        body = length_delimited(1, length_delimited(5, length_delimited(6, body)))
    with pytest.raises(MalformedError, match="nested more than 200 deep"):
        cut_bytes(length_delimited(7, body))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=40))
def test_random_bytes_are_malformed_or_copied_as_they_are(blob: bytes) -> None:
    try:
        assert cut_bytes(blob) == (blob, [])
    except MalformedError:
        return


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_what_the_reader_of_fields_reads(number: int) -> None:
    blob = varint(1 << 3) + varint(number)
    (field,) = fields(lambda o, c: blob[o : o + c], 0, len(blob))
    assert (field.number, field.wire_type, field.end) == (1, 0, len(blob))
    assert onnx.ModelProto.FromString(blob).ir_version == (number - 2**64 if number >= 2**63 else number)


def test_an_attribute_of_many_numbers_is_left_to_protobuf() -> None:
    attribute = onnx.AttributeProto(name="v", type=onnx.AttributeProto.INTS, ints=range(5000))
    node = onnx.NodeProto(op_type="X", output=["y"], attribute=[attribute])
    blob = onnx.ModelProto(graph=onnx.GraphProto(node=[node])).SerializeToString()
    assert cut_bytes(blob) == (blob, [])
