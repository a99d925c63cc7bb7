"""The head of a run's page: recipe, collection and progress."""

from dataclasses import dataclass

from impasto.config import FIRST_STAGE
from impasto.formatting import begun_with, percent, readable_time
from impasto.reporting.elements import moment
from impasto.reporting.record import RunRecord

_ROMAN = ("I", "II", "III", "IV", "V", "VI")


@dataclass(frozen=True)
class Status:
    """A run's progress.

    Attributes:
        sentence: in words.
        progress: percentage of the planned images seen; None if finished or unknown.
        note: on an unfinished run; may be empty.
    """

    sentence: str
    progress: float | None = None
    note: str = ""


def stage_number(record: RunRecord, back: int = 0) -> str:
    """The number of a run among the stages of the whole: I for the first one. With `back`, that of the
    one so many stages before it."""
    config, count = record.get("config", "first_stage"), 0
    while isinstance(config, dict):
        config, count = config.get("first_stage"), count + 1
    return _ROMAN[min(max(count - back, 0), len(_ROMAN) - 1)]


def heading(record: RunRecord) -> str:
    """`gangogh on wikiart-64`, or the run's name if these are unknown."""
    recipe = record.get("recipe") or record.get("config", "recipe")
    collection = record.get("collection", "name")
    if not recipe:
        return record.name
    text = f"{recipe} on {collection}" if collection else str(recipe)
    return f"{text}, stage {stage_number(record)}" if record.whole else text


def waits(record: RunRecord) -> bool:
    """Whether it is a second stage that has not begun."""
    return record.get("config", "first_stage") is not None and not (
        len(record.images_seen) or record.grids
    )


def status_line(record: RunRecord, first_stage: str | None = None) -> str:
    """A line on the run's progress; `first_stage` is that of its first stage, if it has begun."""
    if waits(record):
        before = f"stage {stage_number(record, 1)}"
        if first_stage and first_stage.startswith("stage "):
            begun = first_stage  # which waits, too
        else:
            begun = f"{before} {first_stage}" if first_stage else f"{before} has not begun"
        return f"{begun}; stage {stage_number(record)} not begun"
    done, planned = record.images_done, record.images_planned
    if planned is None:
        return f"{moment(record, done)} so far"
    if record.given_up:
        so_far = f"{done:,} of {planned:,} images ({percent(done / planned)})"
        return f"stopped by the doctor, for it had diverged: {so_far}"
    if done >= planned:
        return f"finished: {moment(record, done)}"
    if record.ended_early:
        return f"ended early, for it no longer improved: {done:,} of {planned:,} images"
    return (
        f"not finished: {done:,} of {planned:,} images ({percent(done / planned)})"
        if done
        else f"just begun: 0 of {planned:,} images"
    )


def status(record: RunRecord, line: str, first_stage: RunRecord | None) -> Status:
    """The status for the page."""
    done, planned = record.images_done, record.images_planned
    sentence = f"{line[0].upper()}{line[1:]}."
    if planned is None or done >= planned:
        return Status(sentence)
    if record.given_up or (first_stage and first_stage.given_up):
        note = "Resumed, it would diverge again: start again with other settings."
    elif record.ended_early:
        note = ""
    else:
        note = "The training goes on or was stopped; make the report again for a newer one."
    return Status(sentence, 100 * done / planned, note)


def about(record: RunRecord) -> tuple[str, list[str]]:
    """The recipe's summary, and facts on pictures, size and the starting model; each may be empty."""
    recipe = str(record.get("recipe_text") or "").strip().split("\n\n")[0].split("\n")[0]
    facts = []
    if record.pictures:
        sources = record.count("collection", "sources")
        cut = (
            f", cut from {sources:,} source pictures"
            if sources and sources < record.pictures
            else ""
        )
        facts.append(f"{record.pictures:,} training pictures{cut}")
    sizes = record.get("config", "buckets", default=[])
    if not sizes or not isinstance(sizes, list):
        sizes = [record.get("config", "resolution") or record.get("collection", "resolution")]
    sides = [str(size).partition("x") for size in sizes if size]
    if sides:
        named = ", ".join(f"{width} × {height or width}" for width, _, height in sides)
        facts.append(f"{named} pixels")
    labels = record.get("config", "labels", default=[])
    if labels and isinstance(labels, list):
        facts.append(f"conditioned on {' and '.join(str(label) for label in labels)}")
    seconds = record.last("seconds")
    if seconds is not None:
        facts.append(f"{readable_time(seconds)} of training")
    begun = _begun_with(record)
    return recipe, [", ".join(facts), *([begun] if begun else [])]


def _begun_with(record: RunRecord) -> str:
    """The model that the run started from, and the layers kept, as a sentence; empty if none."""
    begun = begun_with(record.run)
    if not begun:
        return ""
    staged = record.get("config", "first_stage") is not None
    return f"The first stage started from {begun}." if staged else f"Started from {begun}."


def first_stage_page(page: str) -> str:
    """The relative address of the first stage's page."""
    return f"{FIRST_STAGE}/{page}"
