from nncompress.runtime.memory import fit_together, free_memory_bytes, model_bytes


def test_two_models_need_six_times_their_constants():
    assert fit_together(100, 2, 600)
    assert not fit_together(100, 2, 599)
    assert fit_together(100, 2, None)


def test_the_system_says_how_much_is_free():
    free = free_memory_bytes()
    assert free is None or free > 0


def test_data_files_named_after_the_model_count(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"1234")
    (tmp_path / "m.onnx.data").write_bytes(b"12345678")
    (tmp_path / "other.bin").write_bytes(b"1")
    assert model_bytes(tmp_path / "m.onnx") == 12
    assert model_bytes(tmp_path / "none" / "m.onnx") == 0
