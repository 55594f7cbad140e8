"""Runs trials in processes of their own, several at a time; one that dies is lost alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed

from nncompress.errors import NncompressError
from nncompress.results.sweep import Ended, Lost
from nncompress.runtime.child_process import ChildDied, ChildLacksMemory, stop_children
from nncompress.search.trial import Trial, ended_already, run_trial

Progress = Callable[[Ended | Lost, bool], None]
"""Told how a trial ended, and whether that was in an earlier run."""


def run_trials(
    trials: Sequence[Trial],
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress = lambda outcome, again: None,
) -> list[Ended | Lost]:
    """What became of each trial, in order. `executor`: any of concurrent.futures; None: `jobs` at a time, here.

    When it is interrupted, the trials that run are stopped and leave nothing; those that have ended stay.
    """
    outcomes: dict[str, Ended | Lost] = {}
    waiting = []
    for trial in trials:
        ended = ended_already(trial)
        if ended is None:
            waiting.append(trial)
        else:
            outcomes[trial.name] = ended
            progress(ended, True)
    pool = ThreadPoolExecutor(jobs) if executor is None else executor
    futures: dict[Future[Ended], Trial] = {}
    try:
        futures = {pool.submit(run_trial, trial): trial for trial in waiting}
        for future in as_completed(futures):
            outcomes[futures[future].name] = _outcome(futures[future], future)
            progress(outcomes[futures[future].name], False)
    except BaseException:
        for future in futures:
            future.cancel()
        stop_children()
        raise
    finally:
        if executor is None:
            pool.shutdown()
    return [outcomes[trial.name] for trial in trials]


def _outcome(trial: Trial, future: Future[Ended]) -> Ended | Lost:
    """A worker that dies, whatever kind of pool it is in, loses this trial and no other."""
    try:
        return future.result()
    except ChildDied as error:
        return Lost(trial.name, str(trial.model), trial.recipe, f"its process ended: {error}")
    except ChildLacksMemory:
        return Lost(trial.name, str(trial.model), trial.recipe, "not enough memory: give it fewer --jobs")
    except NncompressError as error:
        return Lost(trial.name, str(trial.model), trial.recipe, str(error))
    except Exception as error:  # noqa: BLE001  # of the pool, or a bug: it is reported, and the others go on
        said = str(error).strip().splitlines()
        reason_text = f"{type(error).__name__}: {said[-1] if said else 'no message'}"
        return Lost(trial.name, str(trial.model), trial.recipe, reason_text)
