"""Runs as the studio shows them: what their folders say, and what is new in them."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from impasto.config import FIRST_STAGE
from impasto.errors import ImpastoError
from impasto.files import lock, read_json
from impasto.formatting import parse_time
from impasto.resolution import parse_resolution, recorded
from impasto.studio.feeds import Event
from impasto.studio.jobs import Job, Jobs
from impasto.time_left import seconds_left

RunState = Literal["training", "waiting", "finished", "stopped", "failed"]
_TAIL = 2**16
"""Bytes of a file of statistics that are read for its last rows."""
_ROWS = 500
"""Most rows of one event."""


class RunSummary(BaseModel):
    """A run in a list."""

    name: str
    state: RunState
    recipe: str
    collection: str
    resolution: int | str
    images_seen: int
    """By the stage that it is in."""
    images: int
    """The planned length of this stage, in images."""
    seconds: float
    """Of training so far, in all stages."""
    seconds_left: float | None = None
    """Until its end. None: not known, as while the stages that follow have not begun, unless the run was
    planned for a time."""
    stage_seconds_left: float | None = None
    """Until the end of this stage."""
    stage: str | None = None
    """The folder of the first stage that it is in, if it is in one."""
    stage_number: int = 1
    stages: int = 1
    """How many it has."""
    message: str | None = None
    grid: str | None = None
    """The name of its newest grid."""


def last_rows(path: Path) -> list[dict[str, Any]]:
    """The last rows of a file of JSON lines; [] if there is none."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    return _parsed(lines[1:] if size > _TAIL else lines)


def _parsed(lines: list[bytes]) -> list[dict[str, Any]]:
    rows = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return rows


def stages_of(run: Path) -> list[Path]:
    """The folders of a run's stages that there are, the first one first."""
    found = [run]
    while (found[0] / FIRST_STAGE / "run.json").is_file() and len(found) < 8:
        found.insert(0, found[0] / FIRST_STAGE)
    return found


def grids_of(folder: Path) -> list[str]:
    """Names of a stage's grids, the oldest first."""
    return sorted(
        (path.name for path in (folder / "samples").glob("*.png")),
        key=lambda name: (name.rpartition("-")[2], name),
    )


def record_of(folder: Path) -> dict[str, Any]:
    """A stage's `run.json`.

    Raises:
        ImpastoError: it is missing or damaged.
    """
    path = folder / "run.json"
    record = read_json(path, "run")
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), dict) for name in ("config", "collection")
    ):
        raise ImpastoError(f"{path} is damaged (no config or collection); restore a copy")
    return record


def summary(run: Path, job: Job | None) -> RunSummary:
    """A run's summary.

    Raises:
        ImpastoError: its `run.json` is damaged.
    """
    stages = stages_of(run)
    current, record = run, record_of(run)
    rows = last_rows(run / "stats.jsonl")
    if not rows and len(stages) > 1:  # the newest stage that has begun
        current = next(
            (each for each in reversed(stages) if (each / "stats.jsonl").is_file()), stages[0]
        )
        rows = last_rows(current / "stats.jsonl")
    try:
        config = record_of(current)["config"]
        images = int(config["training"]["images"] or 0)
        last = rows[-1] if rows else {}
        begun = stages[: stages.index(current) + 1]
        seconds = _seconds_of(rows) + sum(
            _seconds_of(last_rows(each / "stats.jsonl")) for each in begun[:-1]
        )
        every = int((config.get("evaluation") or {}).get("every") or 0)
        left = seconds_left(rows, images, every)
        count = max(_count_of_stages(record["config"]), len(stages))
        grids = grids_of(current)
        newest = [name for name in grids if name.startswith("fakes-")]
        seen = int(last.get("images_seen", 0))
        found = RunSummary(
            name=run.name,
            state="stopped",
            recipe=str(record["config"]["recipe"]),
            collection=str(record["collection"]["name"]),
            resolution=recorded(parse_resolution(config["resolution"])),
            images_seen=seen,
            images=images,
            seconds=seconds,
            seconds_left=left if len(begun) == count else _planned_left(record, seconds, left),
            stage_seconds_left=left,
            stage_number=len(begun),
            stages=count,
            stage=None if current == run else current.relative_to(run).as_posix(),
            message=None if job is None else job.message,
            grid=newest[-1] if newest else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImpastoError(f"{run / 'run.json'} is damaged ({error}); restore a copy") from error
    return found.model_copy(update={"state": _state(run, found, job)})


def _seconds_of(rows: list[dict[str, Any]]) -> float:
    return float(rows[-1].get("seconds", 0.0)) if rows else 0.0


def _count_of_stages(config: dict[str, Any]) -> int:
    first = config.get("first_stage")
    return 1 + (_count_of_stages(first) if isinstance(first, dict) else 0)


def _planned_left(
    record: dict[str, Any], seconds: float, left_of_stage: float | None
) -> float | None:
    """What is left of the time that a run was planned for (`--time`), of which more stages follow; None
    if it was planned for none."""
    planned = record.get("planned_seconds")
    if planned is None:
        planned = _asked_time(str(record.get("command") or ""))
    if left_of_stage is None or planned is None:
        return None
    return max(left_of_stage, float(planned) - seconds)


def _asked_time(command: str) -> float | None:
    """The time that a command asked for, of runs of earlier versions; None: none."""
    words = command.replace("--time=", "--time ").split()
    if "--time" not in words[:-1]:
        return None
    try:
        return parse_time(words[words.index("--time") + 1])
    except ImpastoError:
        return None


def _state(run: Path, found: RunSummary, job: Job | None) -> RunState:
    if job is not None and job.state == "running":
        return "training"
    if job is not None and job.state == "waiting":
        return "waiting"
    if is_locked(run):
        return "training"
    if found.stage is None and found.images and found.images_seen >= found.images:
        return "finished"
    if job is not None and job.state == "failed":
        return "failed"
    if job is not None and job.state == "done":
        return "finished"  # its evaluations no longer improved
    return "stopped"


def is_locked(run: Path) -> bool:
    """Whether a process trains this run. For a moment no other one can begin to."""
    try:
        with (run / ".lock").open("rb") as file:
            lock(file.fileno())
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class RunSource:
    """What is new in a run: `state`, `rows` of each stage's statistics, `grids`, and `again` where
    rows were taken back."""

    def __init__(self, run: Path, jobs: Jobs) -> None:
        self.run = run
        self.jobs = jobs
        self._read: dict[Path, tuple[int, int]] = {}
        """By file: its identity, and how far it was read."""
        self._grids: dict[Path, int] = {}
        self._summary: RunSummary | None = None

    def read(self) -> list[Event]:
        """See `feeds.Source`."""
        events: list[Event] = []
        for stage in stages_of(self.run):
            name = "" if stage == self.run else stage.relative_to(self.run).as_posix()
            events += self._rows(stage, name)
            events += self._new_grids(stage, name)
        found = summary(self.run, self.jobs.of_run(self.run.name))
        if found != self._summary:
            self._summary = found
            events.append(("state", found.model_dump(mode="json")))
        return events

    def _rows(self, stage: Path, name: str) -> list[Event]:
        path = stage / "stats.jsonl"
        try:
            status = path.stat()
        except OSError:
            return []
        identity, place = self._read.get(path, (status.st_ino, 0))
        events: list[Event] = []
        if status.st_ino != identity or status.st_size < place:  # the run went back
            place = 0
            events.append(("again", {"stage": name}))
        if status.st_size == place:
            return events
        with path.open("rb") as file:
            file.seek(place)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]  # the last row may be half written
        self._read[path] = (status.st_ino, place + len(whole))
        rows = _parsed(whole.split(b"\n"))
        parts = (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
        return [*events, *(("rows", {"stage": name, "rows": part}) for part in parts)]

    def _new_grids(self, stage: Path, name: str) -> list[Event]:
        folder = stage / "samples"
        try:
            changed = folder.stat().st_mtime_ns
        except OSError:
            return []
        if self._grids.get(folder) == changed:
            return []
        self._grids[folder] = changed
        return [("grids", {"stage": name, "grids": grids_of(stage)})]


class JobsSource:
    """The list of jobs, whenever it has changed."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._known: list[Job] | None = None

    def read(self) -> list[Event]:
        """See `feeds.Source`."""
        found = self.jobs.all()
        if found == self._known:
            return []
        self._known = found
        return [("jobs", [job.model_dump(mode="json") for job in found])]
