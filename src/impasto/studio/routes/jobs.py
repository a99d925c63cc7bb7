"""Jobs: the list, their output and what they made, stopping, removing."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse

from impasto.studio.answers import gives
from impasto.studio.context import TheStudio
from impasto.studio.jobs import Job
from impasto.studio.measuring import keep
from impasto.studio.places import MissingError, existing
from impasto.studio.runs import JobsSource
from impasto.studio.security import DOCUMENT_POLICY

router = APIRouter(tags=["jobs"])
EVENT_STREAM = "text/event-stream"
LastEvent = Annotated[str | None, Header(alias="last-event-id", max_length=100)]


@router.get("/jobs")
def jobs(studio: TheStudio) -> list[Job]:
    """All jobs, the newest first."""
    return studio.jobs.all()


@router.get("/events", **gives("text/event-stream"))
async def events(studio: TheStudio, last_event_id: LastEvent = None) -> StreamingResponse:
    """Server-sent events: `jobs` with the whole list, whenever it has changed."""
    feed = studio.feeds.feed("jobs", lambda: JobsSource(studio.jobs))
    return StreamingResponse(feed.listen(last_event_id), media_type=EVENT_STREAM)


@router.get("/jobs/{job}")
def job(studio: TheStudio, job: str) -> Job:
    """One job."""
    return studio.jobs.get(job)


@router.get("/jobs/{job}/log", **gives("text/plain"))
def log(studio: TheStudio, job: str) -> PlainTextResponse:
    """The end of its output."""
    return PlainTextResponse(studio.jobs.log(job))


@router.post("/jobs/{job}/stop")
def stop(studio: TheStudio, job: str) -> Job:
    """Stop it as Ctrl-C does: a training saves a checkpoint first."""
    return studio.jobs.stop(job)


@router.delete("/jobs/{job}")
def remove(studio: TheStudio, job: str) -> dict[str, bool]:
    """Remove a job that has ended, with its output and what it made in its own folder. Collections, runs
    and models stay, and so do the numbers of a measurement."""
    with studio.jobs.mutex:
        keep(studio.jobs, studio.jobs.get(job))
        studio.jobs.remove(job)
    return {"removed": True}


@router.get("/jobs/{job}/files/{name}", **gives("*/*"))
def file(
    studio: TheStudio, job: str, name: str, download: Annotated[bool, Query()] = False
) -> FileResponse:
    """A file that it made."""
    if name not in studio.jobs.get(job).files:
        raise MissingError(f"this job makes no file '{name[:100]}'")
    path = existing(studio.jobs.folder, job, name, what="file")
    if not path.is_file():
        raise MissingError(f"'{name}' is not there yet")
    return FileResponse(
        path,
        filename=name,
        content_disposition_type="attachment" if download else "inline",
        headers={"content-security-policy": DOCUMENT_POLICY},
    )
