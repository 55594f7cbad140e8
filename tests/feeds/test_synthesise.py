import pickle

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from nncompress.errors import InputError, UsageError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.specs import InputSpec
from nncompress.feeds.synthesise import how_to_give, synthesise_choices


def model(inputs, nodes=(), constants=(), functions=()):
    """A model of `inputs` (name, element type, shape); nodes need not compute anything sensible."""
    values = [helper.make_tensor_value_info(*one) for one in inputs]
    outputs = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)] if nodes else values[:1]
    graph = helper.make_graph(
        list(nodes), "g", values, outputs, [ir.to_proto(ir.tensor(a, name=n)) for n, a in constants]
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=imports, ir_version=8, functions=functions))


def likeliest(*arguments, seed=0, **options):
    return synthesise_choices(model(*arguments), seed=seed, **options)[0]


def first(*arguments, **options):
    return next(iter(likeliest(*arguments, **options)))


TABLE = ("table", np.zeros((11, 4), np.float32))
WIDE_TABLE = ("wide", np.zeros((99, 4), np.float32))
IDS = ("ids", TensorProto.INT64, ["batch", "seq"])


def test_specs_list_what_has_to_be_fed():
    given = [
        ("x", TensorProto.FLOAT, ["n", None, -1, "?", 3]),
        ("w", TensorProto.FLOAT, [1]),
        ("s", TensorProto.STRING, []),
    ]
    specs = input_specs(model(given, constants=[("w", np.zeros(1, np.float32))]))
    assert specs == (
        InputSpec("x", np.dtype("float32"), ("n", None, None, None, 3), kind="float32"),
        InputSpec("s", None, (), kind="string"),
    )


def test_the_same_seed_gives_the_same_feeds_and_another_seed_others():
    inputs = [("x", TensorProto.FLOAT, ["batch", 5])]
    one, again, other = (list(likeliest(inputs, seed=seed, count=2)) for seed in (3, 3, 4))
    assert np.array_equal(one[0]["x"], again[0]["x"])
    assert not np.array_equal(one[0]["x"], one[1]["x"])
    assert not np.array_equal(one[0]["x"], other[0]["x"])


def test_feeds_say_that_they_are_synthetic_and_pickle():
    feeds = pickle.loads(pickle.dumps(likeliest([("x", TensorProto.FLOAT, ["batch", 5])], seed=7)))
    assert (feeds.synthetic, feeds.seed, len(feeds)) == (True, 7, 4)
    assert feeds.notes == ("inputs made up: x [1, 5]",)
    assert next(iter(feeds))["x"].dtype == np.float32


def test_indices_stay_below_the_smallest_table():
    nodes = [
        helper.make_node("Gather", ["wide", "ids"], ["a"]),
        helper.make_node("Gather", ["table", "ids"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    feeds = likeliest([IDS], nodes, [TABLE, WIDE_TABLE], seed=0, count=20)
    assert {int(feed["ids"].min()) for feed in feeds} >= {0}
    assert max(int(feed["ids"].max()) for feed in feeds) == 10


def test_indices_are_followed_through_moves():
    nodes = [
        helper.make_node("Cast", ["ids"], ["c"], to=TensorProto.INT32),
        helper.make_node("Transpose", ["c"], ["t"]),
        helper.make_node("Concat", ["t", "t"], ["k"], axis=0),
        helper.make_node("Gather", ["wide", "k"], ["y"], axis=1),
    ]
    ids = first([IDS], nodes, [WIDE_TABLE])["ids"]
    assert set(ids.ravel().tolist()) == {0, 1, 2, 3}


def test_indices_are_followed_into_branches_loops_and_functions():
    branch = helper.make_graph([helper.make_node("Gather", ["wide", "ids"], ["b"])], "then", [], [out("b")])
    choice = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    flag = ("flag", TensorProto.BOOL, [])
    assert first([IDS, flag], [choice], [WIDE_TABLE])["ids"].max() > 50
    scalar, carried = [("i", TensorProto.INT64), ("go", TensorProto.BOOL)], ("v", TensorProto.INT64)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go2"]), helper.make_node("Identity", ["v"], ["v2"])],
        "body",
        [helper.make_tensor_value_info(*one, None) for one in (*scalar, carried)],
        [out("go2"), out("v2")],
    )
    loop = helper.make_node("Loop", ["", "flag", "ids"], ["kept"], body=body)
    nodes = [loop, helper.make_node("Gather", ["wide", "kept"], ["y"])]
    assert first([IDS, flag], nodes, [WIDE_TABLE])["ids"].max() > 50
    inner = [helper.make_node("Gather", ["data", "at"], ["picked"])]
    function = helper.make_function("local", "Pick", ["at", "data"], ["picked"], inner, [helper.make_opsetid("", 17)])
    call = helper.make_node("Pick", ["ids", "wide"], ["y"], domain="local")
    assert first([IDS], [call], [WIDE_TABLE], [function])["ids"].max() > 50


def test_a_comparison_with_counted_numbers_is_a_one_hot_code():
    nodes = [helper.make_node("Equal", ["ids", "count"], ["y"])]
    assert 100 < first([IDS], nodes, [("count", np.arange(257).reshape(1, 257))])["ids"].max() < 257


@pytest.mark.parametrize(
    ("depth", "largest"), [(np.float32(300), 299), (np.float32(np.nan), 1), (np.int64(-1), 1), (np.bool_(True), 1)]
)
def test_a_one_hot_code_has_its_depth_where_that_is_a_number(depth, largest):
    nodes = [
        helper.make_node("Cast", ["depth"], ["d"], to=1),
        helper.make_node("OneHot", ["ids", "d", "on_off"], ["y"]),
    ]
    constants = [("depth", np.array(depth)), ("on_off", np.array([0, 1], np.float32))]
    feeds = likeliest([IDS], nodes, constants, seed=0, count=200)
    assert max(feed["ids"].max() for feed in feeds) == largest


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("attention_mask", TensorProto.INT64, 1),
        ("padding_mask", TensorProto.FLOAT, 1),
        ("flag", TensorProto.BOOL, 1),
        ("use_cache_branch", TensorProto.BOOL, 0),
        ("sr", TensorProto.INT64, 16000),
        ("sample_rate", TensorProto.FLOAT, 16000),
        ("h0", TensorProto.FLOAT, 0),
        ("past_key_values.0.key", TensorProto.FLOAT, 0),
    ],
)
def test_inputs_are_filled_by_what_their_names_mean(name, kind, expected):
    assert first([(name, kind, [1]), ("x", TensorProto.FLOAT, [1])])[name].tolist() == [expected]


def test_what_is_called_a_state_is_drawn_where_it_is_all_that_goes_in():
    assert first([("h0", TensorProto.FLOAT, [1, 4]), ("c0", TensorProto.FLOAT, [1, 4])])["h0"].all()


def test_lengths_are_the_size_of_the_sequence():
    assert first([IDS, ("length", TensorProto.INT64, ["batch"])])["length"].tolist() == [16]
    audio = ("audio", TensorProto.FLOAT, ["batch", 80, "frames"])
    assert first([audio, ("audio_lens", TensorProto.INT32, ["batch"])], dims={"frames": 7})["audio_lens"].tolist() == [
        7
    ]


def test_other_integers_are_small_and_bytes_are_pixels():
    feed = first([("kind", TensorProto.INT32, [100]), ("image", TensorProto.UINT8, [1, 32, 32, 3])])
    assert set(feed["kind"].tolist()) == {0, 1}
    assert feed["image"].max() > 250


@pytest.mark.parametrize(
    ("inputs", "shapes"),
    [
        ([("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])], [(1, 3, 64, 64)]),
        ([("x", TensorProto.FLOAT, [None, None, None, 3])], [(1, 64, 64, 3)]),
        ([("x", TensorProto.FLOAT, None)], [(1, 16)]),
        ([("x", TensorProto.FLOAT, ["N", "T", 40]), ("y", TensorProto.FLOAT, ["T"])], [(1, 16, 40), (16,)]),
        ([("state", TensorProto.FLOAT, [2, None, 128])], [(2, 1, 128)]),
        (
            [
                ("input_ids", TensorProto.INT64, ["batch", "seq"]),
                ("attention_mask", TensorProto.INT64, ["batch", "past_seq + seq"]),
                ("past_key", TensorProto.FLOAT, ["batch", 4, "past_seq", 8]),
            ],
            [(1, 16), (1, 16), (1, 4, 0, 8)],
        ),
    ],
)
def test_free_sizes_get_sensible_values(inputs, shapes):
    assert [array.shape for array in first(inputs).values()] == shapes


@pytest.mark.parametrize(
    ("node", "weight", "expected"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"], group=2), (8, 5, 3), (1, 10, 16)),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (37, 4), (1, 16, 37)),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (37,), (1, 16, 37)),
        (helper.make_node("MatMul", ["w", "x"], ["y"]), (4, 37), (1, 37, 16)),
        (helper.make_node("Einsum", ["x", "w"], ["y"], equation="bij,kj->bik"), (4, 37), (1, 16, 37)),
        (helper.make_node("MatMul", ["x", "w"], ["y"], domain="local"), (37, 4), (1, 16, 16)),
        (helper.make_node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"]), (5,), (1, 5, 16)),
        (helper.make_node("Sub", ["x", "w"], ["y"]), (21, 1), (1, 21, 16)),
        (helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2), (1, 8, 6), (1, 16, 6)),
    ],
)
def test_sizes_that_the_first_weight_demands_are_used(node, weight, expected):
    constants = [("w", np.zeros(weight, np.float32)), ("r", np.zeros((1, 8, 2), np.float32))]
    assert first([("x", TensorProto.FLOAT, [None, None, None])], [node], constants)["x"].shape == expected


@pytest.mark.parametrize(
    ("attributes", "weight", "expected"),
    [({}, (37, 4), (1, 37)), ({"transB": 1}, (4, 37), (1, 37)), ({"transA": 1}, (37, 4), (37, 16))],
)
def test_a_gemm_demands_what_it_sums_over(attributes, weight, expected):
    node = helper.make_node("Gemm", ["x", "w"], ["y"], **attributes)
    assert (
        first([("x", TensorProto.FLOAT, [None, None])], [node], [("w", np.zeros(weight, np.float32))])["x"].shape
        == expected
    )


def test_a_state_has_the_sizes_of_the_recurrent_weight():
    node = helper.make_node("GRU", ["x", "w", "r", "", "", "h"], ["y"], hidden_size=2)
    weights = [("w", np.zeros((2, 6, 7), np.float32)), ("r", np.zeros((2, 6, 3), np.float32))]
    inputs = [("x", TensorProto.FLOAT, [None] * 3), ("h", TensorProto.FLOAT, ["d", "b", "s"])]
    feed = first(inputs, [node], weights)
    assert (feed["x"].shape, feed["h"].shape) == ((1, 16, 7), (2, 1, 3))


def test_demands_are_followed_through_transposes():
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]), helper.make_node("Conv", ["t", "w"], ["y"])]
    assert first([("x", TensorProto.FLOAT, [None, None, None])], nodes, [("w", np.zeros((8, 5, 3), np.float32))])[
        "x"
    ].shape == (1, 16, 5)


def test_dims_set_sizes_by_symbol_or_by_place():
    inputs = [("x", TensorProto.FLOAT, ["batch", None])]
    assert first(inputs, dims={"batch": 3, "x:1": 9})["x"].shape == (3, 9)


def test_an_unknown_dim_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"no free dimension 'bacth' \(did you mean 'batch'\?\)"):
        first([("x", TensorProto.FLOAT, ["batch", None])], dims={"bacth": 3})
    with pytest.raises(UsageError, match=r"no free dimension 'q' \(free ones: 'batch', 'x:1'\)"):
        first([("x", TensorProto.FLOAT, ["batch", None])], dims={"q": 3})
    with pytest.raises(UsageError, match=r"no free dimension 'q' \(all sizes are fixed\)"):
        first([("x", TensorProto.FLOAT, [1])], dims={"q": 3})
    with pytest.raises(UsageError, match="a size cannot be negative"):
        first([("x", TensorProto.FLOAT, ["n"])], dims={"n": -3})


def test_texts_are_those_that_the_model_knows():
    nodes = [
        helper.make_node("Reshape", ["s", "shape"], ["r"]),
        helper.make_node("LabelEncoder", ["r"], ["y"], domain="ai.onnx.ml", keys_strings=["red", "blé"]),
    ]
    feeds = likeliest([("s", TensorProto.STRING, ["n", 40])], nodes, [("shape", np.array([-1]))])
    assert set(next(iter(feeds))["s"].ravel().tolist()) == {"red", "blé"}
    unknown = first([("s", TensorProto.STRING, [2, 3])])["s"]
    assert (unknown.shape, unknown.dtype.kind) == ((2, 3), "U")
    assert all(text.isdecimal() for text in unknown.ravel())  # which a Cast to numbers takes, too


def test_an_input_that_is_too_large_is_refused_before_it_is_made():
    with pytest.raises(
        InputError, match=r"input 'x' of shape \[1, 100000000\] is too large .* --dim NAME=SIZE for 'batch', 'n'"
    ):
        first([("x", TensorProto.FLOAT, ["batch", "n"])], dims={"n": 10**8})


def test_choices_differ_in_free_sizes_only():
    free = synthesise_choices(model([("x", TensorProto.FLOAT, ["batch", "seq"])]), seed=0)
    assert [next(iter(feeds))["x"].shape for feeds in free[:4]] == [(1, 16), (1, 32), (1, 64), (1, 224)]
    assert len(synthesise_choices(model([("x", TensorProto.FLOAT, [1, 4])]), seed=0)) == 1


NODES, EDGES = ("x", TensorProto.FLOAT, ["num_nodes", 8]), ("edges", TensorProto.INT64, [2, "num_edges"])


def indices(nodes, inputs, *, dims, name="i", constants=()):
    """What the input `name` is given at most and at least, where these sizes are chosen."""
    values = [feed[name] for feed in likeliest(inputs, nodes, constants, dims=dims, seed=1)]
    return min(int(v.min()) for v in values), max(int(v.max()) for v in values)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Gather", ["x", "i"], ["y"]),
        helper.make_node("GatherElements", ["x", "i"], ["y"]),
        helper.make_node("GatherND", ["x", "i"], ["y"]),
        helper.make_node("ScatterElements", ["x", "i", "u"], ["y"]),
        helper.make_node("ScatterND", ["x", "i", "u"], ["y"]),
    ],
    ids=lambda node: node.op_type,
)
def test_indices_stay_below_a_size_that_was_chosen(node):
    inputs = [
        ("x", TensorProto.FLOAT, ["n", 900]),
        ("i", TensorProto.INT64, [40, 1]),
        ("u", TensorProto.FLOAT, [40, 1]),
    ]
    for size in (3, 50):
        assert indices([node], inputs, dims={"n": size}) == (0, size - 1)


def test_indices_stay_below_a_size_that_is_computed():
    """Rows of a tensor that is made as long as another input is, joined with itself, and edges cut out of one input."""
    nodes = [
        helper.make_node("Shape", ["slots"], ["g"]),
        helper.make_node("Concat", ["g", "width"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["empty"]),
        helper.make_node("Concat", ["empty", "empty"], ["twice"], axis=0),
        helper.make_node("Unsqueeze", ["i", "axes"], ["i1"]),
        helper.make_node("Expand", ["i1", "wide"], ["at"]),
        helper.make_node("ScatterElements", ["twice", "at", "u"], ["y"], reduction="add"),
    ]
    inputs = [
        ("slots", TensorProto.FLOAT, ["graphs"]),
        ("i", TensorProto.INT64, [40]),
        ("u", TensorProto.FLOAT, [40, 8]),
    ]
    constants = [("width", np.array([8])), ("axes", np.array([1])), ("wide", np.array([40, 8]))]
    assert indices(nodes, inputs, dims={"graphs": 3}, constants=constants) == (0, 5)
    nodes = [
        helper.make_node("Gather", ["edges", "zero"], ["source"]),
        helper.make_node("Gather", ["x", "source"], ["y"]),
    ]
    limits = indices(
        nodes, [NODES, EDGES], name="edges", dims={"num_nodes": 7, "num_edges": 60}, constants=[("zero", np.array(0))]
    )
    assert limits == (0, 6)


def test_graphs_get_several_nodes_and_edges():
    feed = first([NODES, EDGES])
    assert (feed["x"].shape, feed["edges"].shape) == ((16, 8), (2, 16))


@pytest.mark.parametrize("kind", ["constant", "input"])
@pytest.mark.parametrize(("layout", "state"), [(0, (1, 5, 2)), (1, (5, 1, 2))])
def test_a_batch_size_follows_from_a_state_of_a_fixed_one(kind, layout, state):
    node = helper.make_node("GRU", ["x", "w", "r", "", "", "h"], ["y"], hidden_size=2, layout=layout)
    weights = [("w", np.zeros((1, 6, 7), np.float32)), ("r", np.zeros((1, 6, 2), np.float32))]
    inputs = [("x", TensorProto.FLOAT, [None] * 3)]
    if kind == "input":
        inputs.append(("h", TensorProto.FLOAT, list(state)))
    else:
        weights.append(("h", np.zeros(state, np.float32)))
    shape = first(inputs, [node], weights)["x"].shape
    assert (shape[layout == 0], shape[2]) == (5, 7)


def test_sizes_follow_from_what_an_input_is_joined_with():
    node = helper.make_node("Concat", ["c", "x"], ["y"], axis=1)
    assert first([("x", TensorProto.FLOAT, ["n", 3])], [node], [("c", np.zeros((6, 4), np.float32))])["x"].shape == (
        6,
        3,
    )


@pytest.mark.parametrize(
    ("node", "weight", "expected"),
    [
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (33, 4), (1, 33)),
        (helper.make_node("Conv", ["x", "w"], ["y"]), (4, 3, 3, 3), (1, 3, 64, 64)),
        (helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2), (1, 8, 7), (1, 16, 7)),
    ],
)
def test_an_input_without_a_shape_gets_one_that_its_reader_takes(node, weight, expected):
    unshaped = [("x", TensorProto.FLOAT, None)]
    assert first(unshaped, [node], [("w", np.zeros(weight, np.float32))])["x"].shape == expected
    ranks = {len(feeds.source.recipes[0].shape) for feeds in synthesise_choices(model(unshaped), seed=0)}
    assert ranks == {0, 1, 2, 3, 4, 5}


def test_sizes_of_an_input_without_a_shape_can_be_set_by_place():
    unshaped = [("x", TensorProto.FLOAT, None)]
    assert first(unshaped, dims={"x:1": 5}).popitem()[1].shape == (1, 5)
    assert first(unshaped, dims={"x:2": 5}).popitem()[1].shape == (1, 16, 5)
    with pytest.raises(UsageError, match="no free dimension 'x:7'"):
        first(unshaped, dims={"x:7": 5})


def test_integers_that_are_refused_become_ones_then_zeros_then_zeros_with_counts():
    count = ("count", TensorProto.INT64, [])
    feeds = [next(iter(each)) for each in synthesise_choices(model([("ids", TensorProto.INT64, [9]), count]), seed=0)]
    assert set(feeds[0]["ids"].tolist()) == {0, 1}
    assert [(set(feed["ids"].tolist()), int(feed["count"])) for feed in feeds[1:]] == [({1}, 1), ({0}, 0), ({0}, 8)]


def test_batches_of_several_samples_are_tried_after_other_sizes():
    choices = synthesise_choices(model([("x", TensorProto.FLOAT, ["N", 4])]), seed=0)
    tried = [next(iter(feeds))["x"].shape for feeds in choices]
    assert tried[0] == (1, 4)
    assert {(2, 4), (5, 4), (7, 4), (64, 4)} <= set(tried)


@pytest.mark.parametrize(
    ("inputs", "advice"),
    [
        ([], "it has no inputs that could be given"),
        ([("x", TensorProto.FLOAT, [1, 2])], "give --data"),
        ([IDS], "give --data, or --dim NAME=SIZE for 'batch', 'seq'"),
        ([("x", TensorProto.FLOAT, None)], "give --data, or --dim NAME=SIZE for 'x:0', 'x:1', 'x:2', 'x:3' ..."),
    ],
)
def test_advice_is_what_can_be_done(inputs, advice):
    assert how_to_give(input_specs(model(inputs, [helper.make_node("RandomNormal", [], ["y"], shape=[1])]))) == advice


def out(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
