"""Runs: the list, live events, grids, going on, stopping."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field

from impasto.asking import SAMPLE, SAVE, ask
from impasto.config import FIRST_STAGE
from impasto.errors import ImpastoError
from impasto.formatting import begun_with
from impasto.studio.answers import gives
from impasto.studio.context import Studio, TheStudio
from impasto.studio.jobs import LONGEST_LOG, WHOLE_LOG, Job
from impasto.studio.places import confined, existing, folders
from impasto.studio.routes.jobs import EVENT_STREAM, LastEvent
from impasto.studio.runs import (
    RunSource,
    RunSummary,
    record_of,
    stages_of,
    summary,
)

CHOSEN = "--from auto: "
"""What the line begins with; see `training.starting`."""
router = APIRouter(prefix="/runs", tags=["runs"])
Stage = Annotated[
    str,
    Query(max_length=100, description="Empty, or the folder of a first stage, such as stage-1."),
]


class Runs(BaseModel):
    """The list of runs."""

    runs: list[RunSummary]
    unreadable: dict[str, str] = Field(default_factory=dict)
    """Why, by name, a folder cannot be shown."""


class StageDetails(BaseModel):
    """A stage of a run."""

    config: dict[str, Any]


class RunDetails(BaseModel):
    """A run with its settings."""

    command: str | None
    stages: list[StageDetails]
    """The first one first."""
    checkpoints: list[int]
    """Images seen at each."""
    has_report: bool
    began_with: str | None
    """The model that it started from; None: nothing."""
    chosen: str | None
    """What `--from auto` has measured and chosen, if it was asked to."""


class Asking(BaseModel):
    """What to do now."""

    what: Literal["save", "sample"]


class Resume(BaseModel):
    """How to go on."""

    images: int | None = Field(default=None, gt=0, le=10**12)
    """Train until so many images in all; also for a finished run."""


@router.get("")
def runs(studio: TheStudio) -> Runs:
    """All runs, by name."""
    newest: dict[str, Job] = {}
    for job in reversed(studio.jobs.all()):
        if job.run is not None:
            newest[job.run] = job
    found, unreadable = [], {}
    for folder in folders(studio.places.runs, "run.json"):
        try:
            found.append(summary(folder, newest.get(folder.name)))
        except ImpastoError as error:
            unreadable[folder.name] = str(error)
    return Runs(runs=found, unreadable=unreadable)


@router.get("/{run}")
def details(studio: TheStudio, run: str) -> RunDetails:
    """A run with its settings."""
    folder = studio.places.run(run)
    record = record_of(folder)
    stages = [StageDetails(config=record_of(each)["config"]) for each in stages_of(folder)]
    checkpoints = [
        int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if path.name.isdecimal()
    ]
    return RunDetails(
        command=record.get("command"),
        stages=stages,
        checkpoints=sorted(checkpoints),
        has_report=(folder / "report.html").is_file(),
        began_with=begun_with(record) or None,
        chosen=record.get("chosen_start") or _chosen(studio.jobs.beginning_of_run(run)),
    )


def _chosen(log: str) -> str | None:
    """What the output of a training says of the choice that `--from auto` made; runs of earlier
    versions have it nowhere else."""
    found = (line.removeprefix(CHOSEN) for line in log.splitlines() if line.startswith(CHOSEN))
    return next(found, None)


def stage_folder(studio: Studio, run: str, stage: str) -> Path:
    """The folder of a run's stage.

    Raises:
        ImpastoError: there is no such run or stage.
    """
    parts = stage.split("/") if stage else []
    if any(part != FIRST_STAGE for part in parts):
        raise ImpastoError(f"there is no stage '{stage}'")
    folder = studio.places.run(run)
    return confined(folder, *parts) if parts else folder


@router.get("/{run}/log", **gives("text/plain"))
def log(studio: TheStudio, run: str, whole: Annotated[bool, Query()] = False) -> PlainTextResponse:
    """The output of the jobs that trained it, the oldest first: the end of each, or all of it (up to
    4 MiB). Empty for a run that a terminal trained."""
    studio.places.run(run)
    most = WHOLE_LOG if whole else LONGEST_LOG
    return PlainTextResponse(studio.jobs.log_of_run(run, most))


@router.get("/{run}/grids/{name}", **gives("image/png"))
def grid(studio: TheStudio, run: str, name: str, stage: Stage = "") -> FileResponse:
    """A grid of its samples."""
    folder = confined(stage_folder(studio, run, stage), "samples")
    path = existing(folder, name, what="grid")
    if path.suffix != ".png":
        raise ImpastoError("grids are PNGs")
    return FileResponse(
        path, media_type="image/png", headers={"cache-control": "private, max-age=3600"}
    )


@router.get("/{run}/events", **gives("text/event-stream"))
async def events(studio: TheStudio, run: str, last_event_id: LastEvent = None) -> StreamingResponse:
    """Server-sent events: `state` (a run's summary), `rows` of statistics, `grids`; `again` where rows
    were taken back, and `begin` where the client has to forget what it has."""
    folder = studio.places.run(run)
    feed = studio.feeds.feed(f"run {run}", lambda: RunSource(folder, studio.jobs))
    return StreamingResponse(feed.listen(last_event_id), media_type=EVENT_STREAM)


@router.post("/{run}/resume")
def resume(studio: TheStudio, run: str, how: Resume) -> Job:
    """Go on from the newest checkpoint. What cannot go on, as after a change of its collection, is
    refused before."""
    from impasto.training.resuming import require_resumable

    folder = studio.places.run(run)
    require_resumable(folder)
    arguments = ["resume", str(folder)]
    if how.images is not None:
        arguments += ["--images", str(how.images)]
    with studio.jobs.mutex:
        if summary(folder, studio.jobs.of_run(run)).state in ("training", "waiting"):
            raise ImpastoError(f"{run} is training already")
        return studio.jobs.add("resume", f"Go on with {run}", arguments, run=run, about=run)


@router.post("/{run}/ask")
def ask_now(studio: TheStudio, run: str, what: Asking) -> Asking:
    """Ask a training that runs to save a checkpoint, or to draw its grids, after the step it is in."""
    folder = studio.places.run(run)
    found = summary(folder, studio.jobs.of_run(run))
    if found.state != "training":
        raise ImpastoError(f"{run} is not training")
    stage = folder if found.stage is None else stage_folder(studio, run, found.stage)
    ask(stage, {"save": SAVE, "sample": SAMPLE}[what.what])
    return what


@router.post("/{run}/stop")
def stop(studio: TheStudio, run: str) -> Job:
    """Stop its training as Ctrl-C does; it saves a checkpoint first."""
    studio.places.run(run)
    job = studio.jobs.of_run(run)
    if job is None or not job.goes_on:
        raise ImpastoError(
            f"no job of this studio trains {run}; if a terminal does, stop it there with Ctrl-C"
        )
    return studio.jobs.stop(job.id)
