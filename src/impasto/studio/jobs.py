"""Jobs: commands of impasto that run as processes of their own, and wait for their turn.

A job is a folder with `job.json`, `log.txt`, `exit` (its exit code, once it has ended) and what it
makes.
The server keeps nothing else of it, so a server that is started later finds all jobs as they are.
"""

import datetime
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from impasto.config import read_record
from impasto.errors import ImpastoError
from impasto.files import lock, write_json
from impasto.studio import processes
from impasto.studio.places import MissingError, existing

RECORD_FILE = "job.json"
LOG_FILE = "log.txt"
EXIT_FILE = "exit"
MOST_WAITING = 100
"""Jobs that may wait for their turn."""
_MOST_LOGS = 20
"""Jobs of a run whose output is shown together."""
_NAME = r"\d{8}-\d{6}-\d{6}-[0-9a-f]{4}"
"""Pattern of the name of a job's folder."""
_LEFT_BEHIND = 24 * 3600
"""Seconds after which a folder without a record is removed."""
LONGEST_LOG = 64 * 2**10
"""Bytes of a log's end that are shown."""
WHOLE_LOG = 4 * 2**20
"""Bytes of a log's end that are sent where the whole log is requested."""
_BEGINNING = 16 * 2**10
"""Bytes of a log's beginning that are read."""

State = Literal["waiting", "running", "done", "failed", "stopped"]
BEGUN = ("waiting", "running")
"""States of a job that has not ended."""
Kind = Literal[
    "pack",
    "train",
    "resume",
    "estimate",
    "walk",
    "invert",
    "directions",
    "canvas",
    "enlarge",
    "evaluate",
    "report",
    "compare",
    "export",
]
MEASURING: Literal["estimate"] = "estimate"
TRAINING = ("train", "resume", MEASURING)
"""Kinds of jobs that use the whole machine."""
LONG = ("evaluate", "compare")
"""Kinds of other jobs that take long: they leave room for one that is short."""
_ALL_IMAGES = r"^([\d,]+) of \1 (images)\b"
"""In the last line of progress, unless the training ended early."""
_DONE: dict[Kind, tuple[str, str]] = {
    "pack": ("packed", r"^.+: ([\d,]+) (pictures?) of .+, in [\d.]+ s"),
    "train": ("trained", _ALL_IMAGES),
    "resume": ("trained", _ALL_IMAGES),
}
"""By kind: a word for what was done, and where the output says of how many."""
_STOPPED = ("130", "143")
_KILLED = 137
"""The exit code of a shell whose command was ended by SIGKILL."""


class JobRecord(BaseModel):
    """The contents of `job.json`."""

    id: str
    kind: Kind
    title: str
    arguments: list[str]
    """The arguments of the command line after `impasto`."""
    created: str
    run: str | None = None
    """The name of the run that it trains."""
    about: str | None = None
    """The name of the collection or model that it makes or works on."""
    files: list[str] = Field(default_factory=list)
    """Names of the files that it makes in its folder."""
    pid: int | None = None
    began: str | None = None
    """See `Process.began`."""
    started: str | None = None
    stopped: bool = False
    """Whether it was asked to stop."""

    @property
    def process(self) -> processes.Process | None:
        """Its process, once it has begun."""
        if self.pid is None or self.began is None:
            return None
        return processes.Process(self.pid, self.began)


class Job(JobRecord):
    """A job as it is now."""

    state: State
    exit_code: int | None = None
    message: str | None = None
    """The last line of its output."""
    command: str = ""
    """The command line that does the same in a terminal."""

    @property
    def goes_on(self) -> bool:
        """Whether it waits or runs."""
        return self.state in BEGUN


class Jobs:
    """The jobs of a folder.

    Args:
        folder: of all jobs' folders.
        training: how many trainings run at a time.
        others: how many other jobs run at a time.
        in_words: what the page shows for a line of output.
    """

    def __init__(
        self,
        folder: Path,
        training: int = 1,
        others: int = 2,
        in_words: Callable[[str], str] = str,
    ) -> None:
        self.folder = folder
        self.training = training
        self.others = others
        self._in_words = in_words
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: dict[str, Job] = {}
        """Jobs that have ended; nothing of them changes any more."""
        self.mutex = threading.RLock()
        """Held by whoever looks at the jobs and then adds one."""

    def all(self) -> list[Job]:
        """All jobs, the newest first."""
        found = []
        for path in sorted(self.folder.glob(f"*/{RECORD_FILE}"), reverse=True):
            if path.parent.resolve().parent != self.folder:
                continue
            with suppress(ImpastoError):  # a record that somebody damaged is no job
                found.append(self._ended.get(path.parent.name) or self._job(path.parent))
        return found

    def get(self, identity: str) -> Job:
        """One job.

        Raises:
            MissingError: there is none of this name.
        """
        folder = existing(self.folder, identity, what="job")
        if not (folder / RECORD_FILE).is_file():
            raise MissingError(f"there is no job '{identity}'")
        return self._job(folder)

    def new_folder(self) -> Path:
        """An empty folder for a job that is about to be added."""
        when = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
        folder = self.folder / f"{when}-{secrets.token_hex(2)}"  # sorted by name, by age
        folder.mkdir(parents=True)
        return folder

    def add(
        self,
        kind: Kind,
        title: str,
        arguments: Sequence[str],
        *,
        folder: Path | None = None,
        run: str | None = None,
        about: str | None = None,
        files: Sequence[str] = (),
    ) -> Job:
        """Add a job; it starts when it is its turn.

        Args:
            kind: see `Kind`.
            title: in words.
            arguments: of the command line, after `impasto`.
            folder: made by `new_folder`, if the arguments name files in it.
            run: name of the run that it trains.
            about: name of the collection or model.
            files: names of what it makes in its folder.

        Raises:
            ImpastoError: too many are waiting.
        """
        with self.mutex:
            if sum(job.state == "waiting" for job in self.all()) >= MOST_WAITING:
                raise ImpastoError(
                    f"{MOST_WAITING} jobs are waiting already; stop some of them first"
                )
            folder = folder or self.new_folder()
            record = JobRecord(
                id=folder.name,
                kind=kind,
                title=title,
                arguments=list(arguments),
                created=_now(),
                run=run,
                about=about,
                files=list(files),
            )
            _write(folder, record)
            self.advance()
            return self._job(folder)

    def advance(self) -> None:
        """Start the jobs whose turn it is, the oldest first."""
        with self.mutex, self._alone() as alone:
            self._reap()
            if not alone:
                return
            jobs = self.all()
            running = [job.kind for job in jobs if job.state == "running"]
            waiting = [job for job in reversed(jobs) if job.state == "waiting"]
            # Trainings before measurements, which are made while nothing trains.
            for job in sorted(waiting, key=lambda job: job.kind == MEASURING):
                if self._may_start(job.kind, running):
                    running.append(job.kind)
                    self._start(self.folder / job.id)

    def _may_start(self, kind: Kind, running: Sequence[Kind]) -> bool:
        """Whether a job may start beside those that run."""
        heavy = [each for each in running if each in TRAINING]
        if kind not in TRAINING:
            long = sum(each in LONG for each in running)
            if kind in LONG and long >= max(1, self.others - 1):
                return False
            return len(running) - len(heavy) < self.others
        if kind == MEASURING or MEASURING in heavy:
            return not heavy and self.training > 0
        return len(heavy) < self.training

    def stop(self, identity: str, *, at_once: bool = False) -> Job:
        """Stop a job as Ctrl-C does, or take one that is waiting out of the queue.

        Args:
            identity: of the job.
            at_once: end its processes without asking them.

        Raises:
            MissingError: there is no such job.
        """
        with self.mutex, self._alone(wait=True):
            job = self.get(identity)
            if job.goes_on:
                folder = self.folder / identity
                _write(folder, self._record(folder).model_copy(update={"stopped": True}))
                if (process := job.process) is not None:
                    process.kill() if at_once else process.interrupt()
        return self.get(identity)

    def remove(self, identity: str) -> None:
        """Remove a job that has ended, with what it made in its folder.

        Raises:
            ImpastoError: it has not ended.
        """
        with self.mutex:
            job = self.get(identity)
            if job.goes_on:
                raise ImpastoError("this job has not ended; stop it first")
            shutil.rmtree(self.folder / identity, ignore_errors=True)
            self._ended.pop(identity, None)

    def log(self, identity: str, most: int = LONGEST_LOG) -> str:
        """The end of a job's output, of so many bytes."""
        self.get(identity)
        return _end_of(self.folder / identity / LOG_FILE, most)

    def of_run(self, run: str) -> Job | None:
        """The newest job that trains a run, if there is one."""
        return next((job for job in self.all() if job.run == run), None)

    def log_of_run(self, run: str, most: int = LONGEST_LOG) -> str:
        """The output of all jobs that trained a run, after the command of each, the oldest first."""
        jobs = [job for job in self.all() if job.run == run][:_MOST_LOGS]
        return "\n".join(f"$ {job.command}\n{self.log(job.id, most)}" for job in reversed(jobs))

    def beginning_of_run(self, run: str) -> str:
        """The beginning of the output of the first job that trained a run; empty if none did."""
        jobs = [job for job in self.all() if job.run == run]
        try:
            with (self.folder / jobs[-1].id / LOG_FILE).open("rb") as file:
                return file.read(_BEGINNING).decode("utf-8", errors="replace")
        except (OSError, IndexError):
            return ""

    def tidy(self) -> None:
        """Remove folders of jobs that a killed server has not added."""
        for folder in self.folder.iterdir():
            if re.fullmatch(_NAME, folder.name) and not (folder / RECORD_FILE).exists():
                with suppress(OSError):
                    if time.time() - folder.stat().st_mtime > _LEFT_BEHIND:
                        shutil.rmtree(folder)

    @contextmanager
    def _alone(self, *, wait: bool = False) -> Iterator[bool]:
        """Whether no other server of the same folder starts or stops jobs at this moment.

        Args:
            wait: until none does.
        """
        with (self.folder / ".lock").open("w") as file:
            try:
                lock(file.fileno(), wait=wait)
                alone = True
            except BlockingIOError:
                alone = False
            yield alone

    def _start(self, folder: Path) -> None:
        record = self._record(folder)
        command = [sys.executable, "-m", "impasto", *record.arguments]
        files = (folder / LOG_FILE, folder / EXIT_FILE, folder / RECORD_FILE)
        with processes.started(command, *files) as child:
            began = processes.began_at(child.pid)
            known = {"pid": child.pid, "began": began, "started": _now()}
            _write(folder, record.model_copy(update=known))
        self._children[record.id] = child

    def _reap(self) -> None:
        """Let go of children that have ended, which would stay as zombies."""
        for identity, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[identity]

    @staticmethod
    def _record(folder: Path) -> JobRecord:
        return read_record(folder / RECORD_FILE, "job", JobRecord)

    def _job(self, folder: Path) -> Job:
        record = self._record(folder)
        state, code = _state(folder, record)
        ended = state not in BEGUN
        message = _last_line(folder / LOG_FILE)
        if state == "done" and record.kind in _DONE:
            message = _what_was_done(record.kind, _end_of(folder / LOG_FILE))
        elif message is not None:
            message = self._in_words(message)
        if state == "failed" and code in (None, _KILLED):
            message = "its process ended without a word, as after kill -9 or for lack of memory"
        job = Job(
            **record.model_dump(),
            state=state,
            exit_code=code,
            message=message,
            command=shlex.join(["impasto", *record.arguments]),
        )
        if ended:
            self._ended[record.id] = job
        return job


def _state(folder: Path, record: JobRecord) -> tuple[State, int | None]:
    process = record.process
    # Asked before the exit code is read, which is written before the process ends.
    alive = process is not None and process.is_alive()
    try:
        text = (folder / EXIT_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        text = ""
    if text.isdecimal():
        if text == "0":
            return "done", 0
        return ("stopped" if text in _STOPPED or record.stopped else "failed"), int(text)
    if alive:
        return "running", None
    if record.pid is None and not record.stopped:
        return "waiting", None
    return ("stopped" if record.stopped else "failed"), None


def _write(folder: Path, record: JobRecord) -> None:
    write_json(folder / RECORD_FILE, record.model_dump(mode="json"))


def _end_of(path: Path, most: int = LONGEST_LOG) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            return file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def _last_line(path: Path) -> str | None:
    lines = [line for line in _end_of(path).replace("\r", "\n").split("\n") if line.strip()]
    return lines[-1].strip()[:500] if lines else None


def _what_was_done(kind: Kind, log: str) -> str:
    """In place of the last lines of these commands, which name the next ones to type."""
    word, pattern = _DONE[kind]
    found = re.findall(pattern, log.replace("\r", "\n"), re.MULTILINE)
    return " ".join([word, *found[-1]]) if found else word


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
