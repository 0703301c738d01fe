"""One contract for every engine: same outcomes, same order, nothing lost."""

import importlib.util
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import engine_jobs
import pytest

from ubereport.batch.engine.embedded import EmbeddedEngine
from ubereport.batch.engine.job import JOBS_A_WORKER, Job, JobState, Outcome
from ubereport.batch.engine.ray import RayEngine
from ubereport.core.errors import DependencyError

IS_RAY_REQUIRED = "ray" in os.environ.get("UBEREPORT_REQUIRE", "")


@pytest.fixture(params=["embedded", "ray"])
def engine(request, monkeypatch):
    if request.param == "embedded":
        return EmbeddedEngine(n_workers=2)
    if importlib.util.find_spec("ray") is None:
        if IS_RAY_REQUIRED:
            pytest.fail("the extra `ray` is required here and not installed")
        pytest.skip("the extra `ray` is not installed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return RayEngine(n_workers=2)


pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets to the garbage collector when it shuts down.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def run(engine, function, payloads):
    seen = []
    jobs = [Job(f"case-{i}", payload) for i, payload in enumerate(payloads)]
    outcomes = engine.run(function, jobs, seen.append)
    assert sorted(o.key for o in seen) == sorted(j.key for j in jobs)
    assert [o.key for o in outcomes] == [j.key for j in jobs]
    return outcomes


def test_outcomes_come_in_the_order_of_the_jobs(engine):
    outcomes = run(engine, engine_jobs.square, [5, 1, 4, 2, 3])
    assert [o.value for o in outcomes] == [25, 1, 16, 4, 9]
    assert all(o.state is JobState.DONE and o.n_attempts == 1 for o in outcomes)


def test_a_worker_makes_room_before_what_libraries_keep_adds_up(engine):
    outcomes = run(engine, engine_jobs.process_id, list(range(2 * JOBS_A_WORKER + 4)))
    n_jobs = Counter(outcome.value for outcome in outcomes)
    assert len(n_jobs) >= 3
    assert max(n_jobs.values()) <= JOBS_A_WORKER
    assert all(outcome.n_attempts == 1 for outcome in outcomes)


def test_one_failed_job_ends_nothing(engine):
    outcomes = run(engine, engine_jobs.refuse_odd, [0, 1, 2])
    assert [o.state for o in outcomes] == [JobState.DONE, JobState.FAILED, JobState.DONE]
    assert outcomes[1].failure.kind == "RecordingFormatError"
    assert outcomes[1].failure.message == "Part 1 is odd."
    assert outcomes[1].failure.exit_code == 4


def test_a_bug_is_reported_without_its_message(engine):
    (outcome,) = run(engine, engine_jobs.crash_with_a_name, [7])
    assert outcome.state is JobState.FAILED
    assert outcome.failure.exit_code == 1
    assert "SECRET" not in outcome.failure.message


def test_a_killed_worker_is_replaced_and_its_job_retried(engine, tmp_path):
    outcomes = run(engine, engine_jobs.die_once, [str(tmp_path / n) for n in "ab"])
    assert [o.value for o in outcomes] == ["survived", "survived"]
    assert [o.n_attempts for o in outcomes] == [2, 2]


def test_a_job_that_always_kills_its_worker_is_lost_alone(engine):
    outcomes = run(engine, engine_jobs.die_always, [0, 1, 2])
    assert [o.state for o in outcomes] == [JobState.DONE, JobState.LOST, JobState.DONE]
    assert "died 2 times" in outcomes[1].failure.message


DRIVER = """
import sys
import engine_jobs
from ubereport.batch.engine.embedded import EmbeddedEngine
from ubereport.batch.engine.job import Job
from ubereport.batch.engine.ray import RayEngine
if __name__ == "__main__":
    engine = {"embedded": EmbeddedEngine, "ray": RayEngine}[sys.argv[1]](n_workers=1)
    engine.run(engine_jobs.say_where_and_wait, [Job("a", sys.argv[2])], lambda outcome: None)
"""


def test_work_ends_when_the_process_that_hands_it_out_is_killed(engine, tmp_path, monkeypatch):
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{here.parents[1]}")
    driver, marker = tmp_path / "driver.py", tmp_path / "worker"
    driver.write_text(DRIVER, encoding="ascii")
    name = "ray" if isinstance(engine, RayEngine) else "embedded"
    with subprocess.Popen([sys.executable, driver, name, marker]) as running:
        assert wait_until(lambda: marker.is_file() and marker.read_text() != "", 120)
        running.kill()
    worker = int(marker.read_text())
    # A worker that went on would hold its case's output against the next run.
    assert wait_until(lambda: not Path(f"/proc/{worker}").exists(), 60)


def wait_until(is_so, timeout_s):
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if is_so():
            return True
        time.sleep(0.1)
    return False


def test_no_jobs_give_no_outcomes(engine):
    assert run(engine, engine_jobs.square, []) == ()


def test_shared_keys_are_refused(engine):
    with pytest.raises(ValueError, match="share a key"):
        engine.run(engine_jobs.square, [Job("a", 1), Job("a", 2)], lambda o: None)


def test_an_outcome_has_a_failure_exactly_where_it_is_not_done():
    with pytest.raises(ValueError, match="failure"):
        Outcome("a", JobState.FAILED, None, None, 1)


@pytest.mark.parametrize("error", [ConnectionError, RuntimeError, ValueError, Exception])
def test_a_cluster_that_does_not_start_is_told(monkeypatch, error):
    def refuse(**_options):
        raise error("/SECRET/socket")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=refuse, shutdown=lambda: None))
    with pytest.raises(DependencyError, match="cannot be reached") as told:
        RayEngine().run(engine_jobs.square, [Job("a", 1)], lambda outcome: None)
    assert "SECRET" not in str(told.value)


def test_a_cluster_that_lost_its_last_node_is_not_waited_for(monkeypatch):
    task = SimpleNamespace(remote=lambda *_: "reference")
    fake = SimpleNamespace(
        init=lambda **_: None, shutdown=lambda: None, remote=lambda **_: lambda _: task,
        wait=lambda waiting, **_: ([], waiting), nodes=lambda: [{"Alive": False}],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", fake)
    with pytest.raises(DependencyError, match="no node left"):
        RayEngine().run(engine_jobs.square, [Job("a", 1)], lambda outcome: None)


def test_at_least_one_worker():
    with pytest.raises(ValueError, match="at least one worker"):
        EmbeddedEngine(n_workers=0)
