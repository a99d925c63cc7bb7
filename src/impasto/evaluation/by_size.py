"""Evaluations of a model that makes pictures of several sizes: each size against the real pictures of
its own, and one figure of all."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from impasto.collection import Collection
from impasto.evaluation.record import EvaluationRow, JudgeRecord, ScoreRow
from impasto.resolution import Resolution, times, width_and_height


class OfSizes(Protocol):
    """A run's config, or a model's record."""

    @property
    def resolution(self) -> Resolution: ...
    @property
    def buckets(self) -> tuple[Resolution, ...]: ...


def sizes_with_pictures(
    what: OfSizes, collection: Collection
) -> tuple[dict[Resolution, Collection], list[Resolution]]:
    """The sizes of a config or model, its own first, each with the pictures that it is compared with;
    and its other sizes, of which the collection has none."""
    there, lacking = {what.resolution: collection.view_for(what.resolution)}, []
    for size in what.buckets:
        view = there.get(size) or collection.view_for(size)
        if times(view.resolution, size):
            there[size] = view
        else:
            lacking.append(size)
    return there, lacking


def of_several_sizes(rows: Iterable[EvaluationRow]) -> list[list[EvaluationRow]]:
    """The evaluations that differ in nothing but the size, of two sizes or more: the newest of each
    size, the model's own size first, then from tall to wide. Those during training are apart."""
    found: dict[tuple[object, ...], dict[str, EvaluationRow]] = {}
    for row in rows:
        if row.subject.kind == "pictures":
            continue
        sizes = found.setdefault(_but_for_the_size(row), {})
        size = str(row.collection.resolution)
        # Asked for as an aspect, the model's own size is what it is without.
        if size not in sizes or has_aspect(sizes[size]) or not has_aspect(row):
            sizes[size] = row
    return [sorted(sizes.values(), key=_place) for sizes in found.values() if len(sizes) > 1]


def _but_for_the_size(row: EvaluationRow) -> tuple[object, ...]:
    """Equal for evaluations that differ in nothing but the size."""
    return (
        *(row.during_training, row.subject.kind, row.subject.weights_sha256),
        *(row.subject.images_seen, row.pictures.count, row.pictures.first_seed),
        *(row.network.name, row.network.weights_sha256, row.network.resize),
        *(row.collection.name, row.reference.split),  # its hash is another at each size
        *(row.pictures.truncation, _without_aspect(row)),
    )


def _place(row: EvaluationRow) -> tuple[bool, float]:
    return has_aspect(row), _width(row.collection.resolution)


def _width(size: Resolution) -> float:
    """Width by height."""
    width, height = width_and_height(size)
    return width / height


def has_aspect(row: EvaluationRow) -> bool:
    """Whether an aspect was asked for, and not the model's own size."""
    return row.pictures.made_with != _without_aspect(row)


def _without_aspect(row: EvaluationRow) -> str | None:
    """The settings that pictures were made with, but for the aspect; see `StepSettings.text`."""
    return re.sub(r"(^|, )aspect [\d:x]+$", "", row.pictures.made_with or "") or None


def shares(rows: Sequence[EvaluationRow]) -> list[float]:
    """The share of each size in the real pictures of all."""
    total = sum(row.reference.available for row in rows)
    return [row.reference.available / total for row in rows]


def of_all_sizes(rows: Sequence[EvaluationRow]) -> EvaluationRow:
    """An evaluation with the overall scores of all sizes, each weighted by its share of the real
    pictures; scores that a size lacks are left out. It is in no file."""
    weights, first = shares(rows), rows[0]
    scores = _weighted([row.scores for row in rows], weights)
    reference = {
        part: sum(getattr(row.reference, part) for row in rows)
        for part in ("pictures", "sources", "available")
    }
    return first.model_copy(
        update={
            "sizes": tuple(sorted((row.collection.resolution for row in rows), key=_width)),
            "reference": first.reference.model_copy(update=reference),
            "scores": scores,
            "heldout": _weighted([row.heldout for row in rows], weights),
            "memorisation": _copies(rows, weights, scores),
            "judges": _baselines(rows, weights),
            "notes": (),
            "folder": None,
        }
    )


def with_all_sizes(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    """The evaluations with those of several sizes as one, in place of the last of them."""
    whole = {_but_for_the_size(sizes[0]): of_all_sizes(sizes) for sizes in of_several_sizes(rows)}
    last = {_but_for_the_size(row): place for place, row in enumerate(rows)}
    found = []
    for place, row in enumerate(rows):
        key = _but_for_the_size(row)
        if key not in whole:
            found.append(row)
        elif place == last[key]:
            found.append(whole[key])
    return found


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """The weighted mean; None if one is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return sum(weight * value for weight, value in zip(weights, known, strict=True))


def _copies(
    rows: Sequence[EvaluationRow], weights: Sequence[float], scores: Sequence[ScoreRow]
) -> dict[str, Any] | None:
    """What `memorisation` says of all sizes, as far as the rules about copies need it; None if a size
    lacks it. The mean of upper bounds is an upper bound of the mean."""
    every: list[Mapping[str, Any]] = [row.memorisation or {} for row in rows]
    parts = ("copied", "expected", "expected_at_most")
    found = {part: _mean([each.get(part) for each in every], weights) for part in parts}
    copied = [score for score in scores if score.name.startswith("copied-")]
    if None in found.values() or len(copied) != 1:
        return None
    return {**found, "low": copied[0].low, "high": copied[0].high}


def _baselines(rows: Sequence[EvaluationRow], weights: Sequence[float]) -> tuple[JudgeRecord, ...]:
    """Of each field's judges what always naming the commonest class gets."""
    found = []
    for judge in rows[0].judges:
        each = [other for row in rows for other in row.judges if other.field == judge.field]
        if len(each) == len(rows):
            baselines = {
                part: _mean([getattr(one, part) for one in each], weights)
                for part in ("baseline", "made_baseline")
            }
            warning = next((one.warning for one in each if one.warning), None)
            made = JudgeRecord(field=judge.field, classes=judge.classes, warning=warning)
            found.append(made.model_copy(update=baselines))
    return tuple(found)


def _weighted(
    scores: Sequence[Sequence[ScoreRow]], weights: Sequence[float]
) -> tuple[ScoreRow, ...]:
    by_name = [{(each.name, each.field): each for each in of if each.cls is None} for of in scores]
    found = []
    for key in by_name[0]:
        each = [of[key] for of in by_name if key in of]
        if len(each) < len(by_name) or any(one.value is None for one in each):
            continue
        value = sum(weight * (one.value or 0.0) for weight, one in zip(weights, each, strict=True))
        low, high = (
            _end([(one.value, getattr(one, end)) for one in each], weights)
            for end in ("low", "high")
        )
        found.append(
            ScoreRow(
                name=key[0],
                field=key[1],
                value=value,
                # Never beyond the mean of the ends, as rounding would have it.
                low=None if low is None else max(value - low, _of(each, "low", weights)),
                high=None if high is None else min(value + high, _of(each, "high", weights)),
                pictures=sum(one.pictures for one in each),
                reference=sum(one.reference for one in each),
                better=each[0].better,
                warning=next((one.warning for one in each if one.warning), None),
            )
        )
    return tuple(found)


def _of(scores: Sequence[ScoreRow], end: str, weights: Sequence[float]) -> float:
    """The weighted mean of an end of intervals, which all of them have."""
    return sum(
        weight * float(getattr(score, end)) for weight, score in zip(weights, scores, strict=True)
    )


def _end(
    ends: Sequence[tuple[float | None, float | None]], weights: Sequence[float]
) -> float | None:
    """How far the end of the interval of a weighted mean of independent values is from it."""
    if any(end is None for _, end in ends):
        return None
    away = [(value or 0.0) - (end or 0.0) for value, end in ends]
    return math.hypot(*(weight * each for weight, each in zip(weights, away, strict=True)))
