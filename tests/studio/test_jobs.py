"""Jobs outlive the server, wait for their turn, and stop as Ctrl-C stops them."""

import os
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from impasto.studio import processes
from impasto.studio.context import Studio
from impasto.studio.jobs import RECORD_FILE, Job, Jobs
from impasto.studio.places import MissingError, Places
from impasto.studio.processes import Process, began_at
from tests.studio.conftest import TOKEN, until


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Jobs whose arguments are a Python program in place of a command of impasto."""
    started = processes.started

    def python(command: list[str], *rest: Path) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return started([command[0], "-c", command[-1]], *rest)

    monkeypatch.setattr(processes, "started", python)
    return Jobs(tmp_path)


def _state(jobs: Jobs, job: Job) -> str:
    return jobs.get(job.id).state


SLEEP = "import time; print('begun', flush=True); time.sleep(100)"


def _printing(*lines: str) -> list[str]:
    return [f"print({chr(10).join(lines)!r})"]


def test_what_was_done_stands_in_place_of_commands_to_type(jobs: Jobs) -> None:
    last = "1,472 of 1,472 images, 2.7/s, 0 s left"
    trained = _printing("1 of 1,472 images", last, "score it:   impasto evaluate /x")
    result = "mine: 1,021 pictures of 64 px from 9 source pictures (crop), in 0.3 s"
    packed = _printing(result, "look at it: impasto inspect /x")
    early = _printing("10 of 90 images, 2.7/s, 9 s left", "finished: /x")
    words = {
        jobs.add("train", "a", trained).id: "trained 1,472 images",
        jobs.add("pack", "b", packed).id: "packed 1,021 pictures",
        jobs.add("resume", "c", early).id: "trained",
    }

    def ended() -> bool:
        jobs.advance()
        return all(job.state == "done" for job in jobs.all())

    until(ended)
    assert {job.id: job.message for job in jobs.all()} == words


def test_a_job_ends_with_its_exit_code_and_last_line(jobs: Jobs) -> None:
    good = jobs.add("walk", "good", ["print('made it')"])
    bad = jobs.add("walk", "bad", ["import sys; sys.exit('impasto: that cannot be')"])
    until(lambda: _state(jobs, good) == "done" and _state(jobs, bad) == "failed")
    assert jobs.get(good.id).message == "made it"
    assert jobs.get(bad.id).exit_code == 1
    assert jobs.get(bad.id).message == "impasto: that cannot be"
    jobs.remove(bad.id)
    with pytest.raises(MissingError):
        jobs.get(bad.id)
    assert [job.id for job in jobs.all()] == [good.id]


def test_a_job_goes_on_without_the_server_and_is_found_again(jobs: Jobs, tmp_path: Path) -> None:
    """Another `Jobs` of the same folder is what a server that starts later has."""
    go = tmp_path / "go"
    program = (
        f"import time, pathlib\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)"
    )
    job = jobs.add("train", "long", [program])
    later = Jobs(tmp_path)
    assert _state(later, job) == "running"
    go.touch()
    until(lambda: _state(later, job) == "done")


def test_trainings_take_turns_and_other_jobs_do_not_wait_for_them(jobs: Jobs) -> None:
    first = jobs.add("train", "first", [SLEEP])
    second = jobs.add("resume", "second", [SLEEP])
    other = jobs.add("walk", "other", ["pass"])
    assert _state(jobs, second) == "waiting"
    until(lambda: _state(jobs, other) == "done")
    jobs.stop(first.id)
    until(lambda: _state(jobs, first) == "stopped")
    jobs.advance()
    assert _state(jobs, second) == "running"
    third = jobs.add("train", "third", [SLEEP])
    assert jobs.stop(third.id).state == "stopped"
    jobs.stop(second.id, at_once=True)
    until(lambda: _state(jobs, second) == "stopped")
    jobs.advance()
    assert _state(jobs, third) == "stopped"


def test_evaluations_leave_room_for_short_jobs(jobs: Jobs) -> None:
    evaluations = [jobs.add("evaluate", f"evaluate {number}", [SLEEP]) for number in range(2)]
    compared = jobs.add("compare", "compare", ["pass"])
    assert [_state(jobs, job) for job in evaluations] == ["running", "waiting"]
    exported = jobs.add("export", "export", ["pass"])
    until(lambda: _state(jobs, exported) == "done")
    assert _state(jobs, compared) == "waiting"
    for job in evaluations:
        jobs.stop(job.id, at_once=True)
        until(lambda job=job: _state(jobs, job) == "stopped")  # type: ignore[misc]
        jobs.advance()
    until(lambda: _state(jobs, compared) == "done")


def test_nothing_is_measured_beside_a_training(jobs: Jobs) -> None:
    """Also where several trainings may run; and one that is added waits for one measurement only."""
    jobs.training = 2
    training = jobs.add("train", "first", [SLEEP])
    measured = [jobs.add("estimate", f"measure {number}", [SLEEP]) for number in range(2)]
    assert [_state(jobs, job) for job in measured] == ["waiting", "waiting"]
    jobs.stop(training.id, at_once=True)
    until(lambda: _state(jobs, training) != "running")
    jobs.advance()
    assert [_state(jobs, job) for job in measured] == ["running", "waiting"]
    later = jobs.add("train", "later", [SLEEP])
    assert _state(jobs, later) == "waiting"
    jobs.stop(measured[0].id, at_once=True)
    until(lambda: _state(jobs, measured[0]) != "running")
    jobs.advance()
    assert [_state(jobs, job) for job in (later, measured[1])] == ["running", "waiting"]
    jobs.stop(measured[1].id)
    jobs.stop(later.id, at_once=True)


def test_stopping_is_ctrl_c(jobs: Jobs) -> None:
    program = (
        "import time, sys\nprint('begun', flush=True)\n"
        "try: time.sleep(100)\nexcept KeyboardInterrupt: print('saved'); sys.exit(130)"
    )
    job = jobs.add("train", "careful", [program])
    until(lambda: jobs.get(job.id).message == "begun")
    jobs.stop(job.id)
    until(lambda: _state(jobs, job) == "stopped")
    assert jobs.get(job.id).exit_code == 130
    assert jobs.get(job.id).message == "saved"


def test_a_killed_job_has_failed(jobs: Jobs) -> None:
    job = jobs.add("train", "killed", [SLEEP])
    until(lambda: jobs.get(job.id).message == "begun")
    found = jobs.get(job.id)
    assert found.pid is not None
    os.killpg(found.pid, 9)
    until(lambda: _state(jobs, job) == "failed")
    assert "kill -9" in str(jobs.get(job.id).message)


def test_a_job_whose_command_alone_is_killed_has_failed(jobs: Jobs) -> None:
    """As the kernel does it where memory is short: it ends the largest process."""
    program = "import os; print('3,000 pictures'); os.kill(os.getpid(), 9)"
    job = jobs.add("train", "killed", [program])
    until(lambda: _state(jobs, job) == "failed")
    assert jobs.get(job.id).exit_code == 137
    assert "lack of memory" in str(jobs.get(job.id).message)


def test_a_number_that_another_process_got_is_not_the_job(jobs: Jobs, tmp_path: Path) -> None:
    """After a restart of the machine the numbers of processes are given out again."""
    job = jobs.add("walk", "earlier", ["pass"])
    until(lambda: _state(jobs, job) == "done")
    record = tmp_path / job.id / RECORD_FILE
    text = record.read_text().replace(f'"pid": {jobs.get(job.id).pid}', f'"pid": {os.getpid()}')
    record.write_text(text)
    (tmp_path / job.id / "exit").unlink()
    later = Jobs(tmp_path)
    assert _state(later, job) == "failed"
    later.stop(job.id, at_once=True)  # would end these tests
    Process(os.getpid(), "another boot 1").kill()
    assert Process(os.getpid(), str(began_at(os.getpid()))).is_alive()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    until(lambda: began_at(child.pid) is None)
    child.wait()


def test_folders_of_jobs_that_were_never_added_are_removed_a_day_later(
    jobs: Jobs, tmp_path: Path
) -> None:
    job = jobs.add("walk", "kept", ["pass"])
    (old, new), mine = (jobs.new_folder() for _ in range(2)), tmp_path / "mine"
    mine.mkdir()
    for folder in (old, mine, tmp_path / job.id):
        os.utime(folder, (time.time() - 90_000,) * 2)
    jobs.tidy()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        job.id,
        new.name,
        "mine",
    }


def test_the_output_of_a_run_is_that_of_its_jobs(client: TestClient, places: Places) -> None:
    (places.runs / "00000-x").mkdir()
    (places.runs / "00000-x" / "run.json").write_text("{}")
    jobs = Jobs(places.jobs, training=0)
    for run, said in (("00000-x", "first"), ("00001-y", "other"), ("00000-x", "second")):
        job = jobs.add("train", "t", ["train", said], run=run)
        (places.jobs / job.id / "log.txt").write_text(f"{said}\n")
    found = client.get("/api/runs/00000-x/log").text
    assert found == "$ impasto train first\nfirst\n\n$ impasto train second\nsecond\n"
    assert client.get("/api/runs/00001-y/log").status_code == 404


def test_a_stop_by_another_server_as_a_job_starts_is_not_lost(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers of one folder: each writes the record."""
    began = processes.began_at
    starting = threading.Event()

    def slowly(pid: int) -> str | None:
        starting.set()
        time.sleep(0.5)
        return began(pid)

    monkeypatch.setattr(processes, "began_at", slowly)
    other = Jobs(tmp_path)
    adding = threading.Thread(target=lambda: jobs.add("walk", "long", [SLEEP]))
    adding.start()
    assert starting.wait(60)
    monkeypatch.undo()
    (job,) = other.all()
    other.stop(job.id, at_once=True)
    adding.join()
    until(lambda: _state(other, job) == "stopped")


def test_a_damaged_record_is_no_job(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / RECORD_FILE).write_text("{")
    assert jobs.all() == []


def test_a_wrong_setting_is_an_answer_and_no_job(client: TestClient) -> None:
    answer = client.post(
        "/api/train",
        json={"collection": "masters", "recipe": "first_look", "settings": {"training.bach": 3}},
    )
    assert answer.status_code == 400
    assert "training.bach" in answer.json()["error"]
    assert client.get("/api/jobs").json() == []


def test_runs_are_numbered_and_so_are_those_that_wait(client: TestClient, places: Places) -> None:
    (places.runs / "00004-x").mkdir()
    what = {"collection": "masters", "recipe": "first_look", "time": "2h"}
    names = [client.post("/api/train", json=what).json()["run"] for _ in range(2)]
    assert names == ["00005-first_look-masters", "00006-first_look-masters"]
    job = client.get("/api/jobs").json()[-1]
    expected = f"impasto train first_look --data=masters --time=2h --run={places.runs}/00005"
    assert job["command"].startswith(expected)


def test_what_only_the_command_finds_is_the_message_of_its_job(
    stranger: TestClient, studio: Studio
) -> None:
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    (studio.places.uploads / "empty").mkdir()
    (studio.places.uploads / "empty" / "notes.txt").write_text("no picture")
    job = stranger.post("/api/pack", json={"name": "new", "upload": "empty"}).json()
    assert job["state"] == "waiting"
    studio.jobs.others = 1
    until(lambda: stranger.get(f"/api/jobs/{job['id']}").json()["state"] == "failed")
    found = stranger.get(f"/api/jobs/{job['id']}").json()
    assert found["exit_code"] == 2
    # In the words of the command, but for the folder of the upload.
    assert found["message"].startswith("impasto: notes.txt is of no kind")
    assert (
        found["message"].removeprefix("impasto: ")
        in stranger.get(f"/api/jobs/{job['id']}/log").text
    )
    assert stranger.get(f"/api/jobs/{job['id']}/files/job.json").status_code == 404
    assert stranger.delete(f"/api/jobs/{job['id']}").status_code == 200
    assert stranger.get(f"/api/jobs/{job['id']}").status_code == 404


SERVER = """
import os, sys, time
from pathlib import Path
from impasto.studio import jobs, processes
started = processes.started
processes.started = lambda command, *rest: started([command[0], "-c", command[-1]], *rest)
write, kill_at, writes = jobs._write, sys.argv[3], []
def written(folder, record):  # of a job: as it is added, and as it is started
    writes.append(record)
    if kill_at == f"before {len(writes)}":
        os.kill(os.getpid(), 9)
    write(folder, record)
    if kill_at == f"after {len(writes)}":
        os.kill(os.getpid(), 9)
jobs._write = written
jobs.Jobs(Path(sys.argv[1])).add("train", "long", [sys.argv[2]])
print("added", flush=True)
time.sleep(100)
"""


def test_a_job_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    go = tmp_path / "go"
    program = (
        f"import time, pathlib\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), program, "never"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"added\n"
        os.killpg(server.pid, 9)
    later = Jobs(tmp_path)
    (job,) = later.all()
    assert job.state == "running"
    go.touch()
    until(lambda: later.all()[0].state == "done")


@pytest.mark.parametrize("moment", ["after 1", "before 2", "after 2"])
def test_a_server_that_is_killed_as_it_starts_a_job_starts_it_once(
    jobs: Jobs, tmp_path: Path, moment: str
) -> None:
    """The next server starts it, or finds it running; the job is neither lost nor run twice."""
    marks = tmp_path / "marks"
    marks.mkdir()
    program = f"import os, pathlib; (pathlib.Path({str(marks)!r}) / str(os.getpid())).touch()"
    subprocess.run([sys.executable, "-c", SERVER, str(tmp_path), program, moment], check=False)
    (job,) = jobs.all()

    def done() -> bool:
        jobs.advance()
        return _state(jobs, job) == "done"

    until(done)
    assert len(list(marks.iterdir())) == 1
