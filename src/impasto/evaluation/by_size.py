"""Evaluations of a model that makes pictures of several sizes: each size against the real pictures of
its own, and one figure of all."""

import math
import re
from collections.abc import Iterable, Sequence

from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.resolution import width_and_height


def of_several_sizes(rows: Iterable[EvaluationRow]) -> list[list[EvaluationRow]]:
    """The evaluations that differ in nothing but the size, of two sizes or more: the newest of each
    size, the model's own size first, then from tall to wide."""
    found: dict[tuple[object, ...], dict[str, EvaluationRow]] = {}
    for row in rows:
        if row.subject.kind == "pictures" or row.during_training:
            continue
        alike = (
            *(row.subject.weights_sha256, row.subject.images_seen),
            *(row.network.name, row.network.weights_sha256, row.network.resize),
            *(row.collection.name, row.reference.split),  # its hash is another at each size
            *(row.pictures.count, row.pictures.first_seed, row.pictures.truncation),
            _without_aspect(row),
        )
        sizes = found.setdefault(alike, {})
        size = str(row.collection.resolution)
        # Asked for as an aspect, the model's own size is what it is without.
        if size not in sizes or has_aspect(sizes[size]) or not has_aspect(row):
            sizes[size] = row
    return [sorted(sizes.values(), key=_place) for sizes in found.values() if len(sizes) > 1]


def _place(row: EvaluationRow) -> tuple[bool, float]:
    width, height = width_and_height(row.collection.resolution)
    return has_aspect(row), width / height


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
    weights = shares(rows)
    return rows[0].model_copy(
        update={
            "scores": _weighted([row.scores for row in rows], weights),
            "heldout": _weighted([row.heldout for row in rows], weights),
            "notes": (),
        }
    )


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
                low=None if low is None else value - low,
                high=None if high is None else value + high,
                pictures=sum(one.pictures for one in each),
                reference=sum(one.reference for one in each),
                better=each[0].better,
                warning=next((one.warning for one in each if one.warning), None),
            )
        )
    return tuple(found)


def _end(
    ends: Sequence[tuple[float | None, float | None]], weights: Sequence[float]
) -> float | None:
    """How far the end of the interval of a weighted mean of independent values is from it."""
    if any(end is None for _, end in ends):
        return None
    away = [(value or 0.0) - (end or 0.0) for value, end in ends]
    return math.hypot(*(weight * each for weight, each in zip(weights, away, strict=True)))
