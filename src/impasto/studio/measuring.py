"""What trainings cost on this machine, as jobs have measured it."""

from contextlib import suppress

from pydantic import BaseModel

from impasto.config import read_record
from impasto.errors import ImpastoError
from impasto.files import write_json
from impasto.studio.jobs import MEASURING, Job, Jobs

NUMBERS = "estimate.json"
"""What the command of a measurement writes into its job's folder."""
_KEPT = "measured.json"
"""Beside the jobs: the numbers of those that were removed from the list."""


class StageCost(BaseModel):
    """What training a stage costs on this machine."""

    images_per_second: float
    processor_share: float | None
    """The share of the processor that the measured steps got; below about 0.6 other programs slowed
    them."""


class Costs(BaseModel):
    """The numbers that a measurement writes."""

    seconds: float
    memory_bytes: int | None
    stages: list[StageCost]


class Estimate(Costs):
    """What a training costs on this machine, as a few steps were measured."""

    job: str
    recipe: str | None
    collection: str
    plain: bool
    """Whether it is the recipe as it is, or with the labels that the page offers: without settings,
    length or model."""


class _Kept(BaseModel):
    """The contents of `measured.json`."""

    estimates: list[Estimate]


def title_of(recipe: str | None, collection: str, *, plain: bool) -> str:
    """The title of a measurement, by which it is found."""
    title = f"Measure {recipe or 'the flagship'} on {collection}"
    return title if plain else f"{title}, with changes"


def estimates(jobs: Jobs) -> list[Estimate]:
    """What was measured on this machine, the newest first."""
    found = [each for job in jobs.all() if (each := _of_job(jobs, job)) is not None]
    known = {each.job for each in found}
    found += [each for each in _kept(jobs) if each.job not in known]
    return sorted(found, key=lambda each: each.job, reverse=True)  # by age


def keep(jobs: Jobs, job: Job) -> None:
    """Keep what a job has measured, before it is removed from the list: of each recipe as it is, the
    newest on each collection."""
    found = _of_job(jobs, job)
    if found is None or not found.plain:
        return
    newest: dict[tuple[str | None, str], Estimate] = {}
    for each in sorted([*_kept(jobs), found], key=lambda each: each.job):
        newest[each.recipe, each.collection] = each
    write_json(jobs.folder / _KEPT, _Kept(estimates=list(newest.values())).model_dump(mode="json"))


def _of_job(jobs: Jobs, job: Job) -> Estimate | None:
    if job.kind != MEASURING or job.state != "done" or NUMBERS not in job.files:
        return None
    with suppress(ImpastoError):  # numbers that somebody removed or damaged
        costs = read_record(jobs.folder / job.id / NUMBERS, "job", Costs)
        recipe = next((each for each in job.arguments[1:] if not each.startswith("-")), None)
        collection = job.about or ""
        return Estimate(
            job=job.id,
            recipe=recipe,
            collection=collection,
            plain=job.title == title_of(recipe, collection, plain=True),
            **vars(costs),
        )
    return None


def _kept(jobs: Jobs) -> list[Estimate]:
    with suppress(ImpastoError):  # none yet, or damaged
        return read_record(jobs.folder / _KEPT, "job", _Kept).estimates
    return []
