import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError, NoOutputError, UsageError
from nncompress.runtime import child_process
from nncompress.runtime.child import ModelCall, call_in_child, serve_in_child
from nncompress.validate.compare import Request
from nncompress.validate.in_child import original_in_child
from tests.runtime.models import feeds_of, linear

WEIGHT = np.ones((3, 2))


def crash(part, what, number, announce):
    announce(part, what)
    os.kill(os.getpid(), number)
    time.sleep(30)


class Crasher:
    def __init__(self, announce):
        self.announce = announce

    def __call__(self, part):
        crash(part, "run", signal.SIGSEGV, self.announce)


class Choosy(Crasher):
    def __call__(self, question):
        if question == "crash":
            super().__call__("result")
        return question


def hang(announce):
    announce("result", "run")
    time.sleep(60)


def fail(error, announce):
    raise error


def print_and_return(announce):
    sys.stdout.write("this must not end up between the messages")
    sys.stdout.flush()
    os.write(1, b"nor this")
    return "done"


def leave(announce):
    os.write(2, b"first\nlast words\n")
    os._exit(3)


def model_call(function, *arguments):
    return ModelCall(function, arguments, Path("a.onnx"), Path("b.onnx"))


def measure_in_child(request):
    with original_in_child(request.reference, threads=request.threads, seconds=request.seconds) as original:
        return original.compared(request)


def test_models_are_compared_in_the_child(tmp_path):
    model = linear(tmp_path / "m.onnx", WEIGHT)
    run = measure_in_child(Request(model, model, feeds_of(tmp_path, np.ones((1, 3))), seconds=0.0))
    assert run.outputs[0].deployed.identical
    assert not run.one_after_the_other


def test_a_memory_limit_makes_the_models_take_turns(tmp_path):
    model = linear(tmp_path / "m.onnx", WEIGHT)
    request = Request(model, model, feeds_of(tmp_path, np.ones((1, 3))), seconds=0.0, free_bytes=1)
    assert measure_in_child(request).one_after_the_other


def test_deliberate_errors_come_back_as_they_were(tmp_path):
    model = linear(tmp_path / "m.onnx", WEIGHT)
    feeds = feeds_of(tmp_path, np.ones((1, 3)), labels=np.zeros(1, int))
    with pytest.raises(UsageError, match=r"^the model has no output 'q'$"):
        measure_in_child(Request(model, model, feeds, seconds=0.0, metric_output="q"))


def test_a_crash_names_the_model_and_the_signal():
    with pytest.raises(InputError, match=r"^loading the original a\.onnx: onnxruntime crashed \(SIGSEGV\)$"):
        call_in_child(model_call(crash, "original", "load", signal.SIGSEGV))
    with pytest.raises(NoOutputError, match=r"^running the result b\.onnx: onnxruntime crashed \(SIGKILL, perhaps for"):
        call_in_child(model_call(crash, "result", "run", signal.SIGKILL))


def test_the_file_that_a_question_is_about_is_named_where_it_crashes():
    call = ModelCall(Crasher, (), Path("a.onnx"), None)
    with pytest.raises(InputError, match=r"running the original a\.onnx"), serve_in_child(call) as child:
        child.ask("original", Path("b.onnx"))
    with (
        pytest.raises(NoOutputError, match=r"running the result b\.onnx: onnxruntime cr"),
        serve_in_child(call) as child,
    ):
        child.ask("result", Path("b.onnx"))


def test_after_a_crash_another_child_answers():
    with serve_in_child(ModelCall(Choosy, (), Path("a.onnx"), None)) as child:
        with pytest.raises(NoOutputError, match=r"running the result b\.onnx: onnxruntime crashed \(SIGSEGV\)"):
            child.ask("crash", Path("b.onnx"))
        assert child.wait() is None
        assert child.ask("live", Path("c.onnx")) == "live"
        with pytest.raises(NoOutputError, match=r"running the result d\.onnx: onnxruntime crashed \(SIGSEGV\)"):
            child.ask("crash", Path("d.onnx"))


def test_a_child_that_just_leaves_is_a_crash_with_its_last_words():
    with pytest.raises(InputError, match=r"crashed \(exit code 3: last words\)"):
        call_in_child(model_call(leave))


@pytest.mark.parametrize(("seconds", "limit_s"), [(1.0, 600), (3600.0, 108_000)])
def test_a_long_measurement_is_not_taken_for_a_hang(seconds, limit_s, tmp_path, monkeypatch):
    limits = []

    @contextmanager
    def noting(call, timeout_s):
        limits.append(timeout_s)
        yield None

    monkeypatch.setattr("nncompress.validate.in_child.serve_in_child", noting)
    with original_in_child(tmp_path / "a", seconds=seconds):
        assert limits == [limit_s]


@pytest.mark.slow
def test_a_timeout_is_an_error():
    with pytest.raises(NoOutputError, match=r"running the result b\.onnx took longer than 5 s: stopped"):
        call_in_child(model_call(hang), timeout_s=5)


def test_a_bug_in_the_child_keeps_its_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*KeyError: 'gone'"):
        call_in_child(model_call(fail, KeyError("gone")))


def test_running_out_of_memory_is_an_input_error():
    with pytest.raises(InputError, match="not enough memory to run and compare the models"):
        call_in_child(model_call(fail, MemoryError()))


def test_what_the_child_prints_does_not_disturb():
    assert call_in_child(model_call(print_and_return)) == "done"


def test_the_child_does_not_load_onnx():
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        import nncompress.runtime.child, nncompress.validate.compare, nncompress.runtime.accept
        print([name for name in ("onnx", "onnx_ir") if name in sys.modules])
    """)
    here = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=here, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_an_interrupt_of_the_parent_ends_the_child(tmp_path):
    script = textwrap.dedent(f"""
        import signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from tests.runtime.test_child import note_and_hang
        from nncompress.runtime.child import ModelCall, call_in_child
        call_in_child(ModelCall(note_and_hang, ({str(tmp_path / "pid")!r},), Path("a"), Path("b")))
    """)
    for number in (signal.SIGINT, signal.SIGKILL):
        (tmp_path / "pid").unlink(missing_ok=True)
        parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        child = wait_for(lambda: int((tmp_path / "pid").read_text()) if (tmp_path / "pid").exists() else 0)
        parent.send_signal(number)
        parent.wait()
        assert wait_for(lambda child=child: not is_running(child))


def note_and_hang(path, announce):
    Path(path + ".part").write_text(str(os.getpid()))
    Path(path + ".part").rename(path)
    time.sleep(60)


def is_running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for(condition):
    for _ in range(200):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited ten seconds in vain")


# ------------------------------------------------------------------------------------------------ a child that serves
class Adder:
    """Adds up what it is asked, and remembers it."""

    def __init__(self, total, announce):
        self.total, self.announce = total, announce

    def __call__(self, number):
        self.announce("original", f"adding {number} to")
        if number is None:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number < 0:
            raise InputError("it is negative")
        self.total += number
        return self.total


def test_a_child_answers_until_the_block_ends():
    with serve_in_child(model_call(Adder, 10)) as child:
        assert [child.ask(1), child.ask(2), child.ask(3)] == [11, 13, 16]


def test_it_works_on_what_was_begun_while_nobody_waits():
    with serve_in_child(model_call(Adder, 10)) as child:
        child.begin(1)
        child.begin(2)  # waits for the first
        assert child.wait() == 13
        assert child.wait() is None  # nothing is due
        assert child.ask(3) == 16


@pytest.mark.parametrize("ask", [lambda child: child.wait(), lambda child: child.ask(1), lambda child: child.begin(1)])
def test_that_it_could_not_begin_comes_with_the_first_wait(ask):
    with (
        serve_in_child(model_call(fail, InputError("refused"))) as child,
        pytest.raises(InputError, match=r"^refused$"),
    ):
        ask(child)


def test_its_errors_and_crashes_come_back_as_errors_that_name_the_model():
    with pytest.raises(InputError, match=r"^it is negative$"), serve_in_child(model_call(Adder, 0)) as child:
        child.ask(-1)
    said = r"^adding None to the original a\.onnx: onnxruntime crashed \(SIGSEGV\)$"
    with pytest.raises(InputError, match=said), serve_in_child(model_call(Adder, 0)) as child:
        [child.ask(number) for number in (1, None)]


def test_it_answers_again_after_an_error():
    with serve_in_child(model_call(Adder, 10)) as child:
        with pytest.raises(InputError, match=r"^it is negative$"):
            child.ask(-1)
        assert child.ask(2) == 12


def test_it_ends_with_the_block_whatever_happens_in_it():
    def interrupted():
        with serve_in_child(model_call(Adder, 0)) as child:
            child.ask(1)
            assert len(child_process._running - before) == 1
            raise KeyboardInterrupt

    before = set(child_process._running)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert child_process._running == before


def test_in_process_it_serves_too(monkeypatch):
    monkeypatch.setattr("nncompress.runtime.child._in_process", True)
    with serve_in_child(model_call(Adder, 10)) as child:
        assert [child.ask(1), child.ask(2)] == [11, 13]
        child.begin(3)
        assert [child.wait(), child.wait()] == [16, None]
