"""A judge that is fitted once and cached, with its accuracy."""

import hashlib
from dataclasses import dataclass

import numpy as np

from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.accuracy import FieldResult
from impasto.evaluation.judge import Judge
from impasto.evaluation.record import JudgeRecord, ScoreRow
from impasto.evaluation.reference import Reference
from impasto.evaluation.score_rows import accuracy_rows
from impasto.evaluation.subjects import Subject
from impasto.features import FeatureNetwork
from impasto.files import cache_folder
from impasto.resolution import Resolution
from impasto.sampling.output import slugs


@dataclass(frozen=True)
class FittedJudge:
    """A label field's judge; None if there can be none, with the reason in the record."""

    judge: Judge | None
    record: JudgeRecord
    accuracy: tuple[ScoreRow, ...] = ()
    """Its accuracy on held-out pictures, overall and by class."""


def fitted_judge(
    network: FeatureNetwork,
    collection: Collection,
    field: str,
    train: Reference,
    heldout: Reference | None,
    *,
    size: Resolution,
) -> FittedJudge:
    """The judge of a label field for pictures of a size, fitted once and cached, with its
    accuracy."""
    column = collection.field(field)
    classes = collection.fields[column].classes
    features = list(train.sample.features.shape)
    text = f"{collection.content_hash} {network.identity} {field} {features} {size}"
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    folder = cache_folder() / "judges" / f"{slugs([collection.name])[0][:40]}-{key}"
    judge: Judge | None = None
    if folder.is_dir():
        try:
            judge = Judge.load(folder, network_identity=network.identity)
        except ImpastoError:
            judge = None  # damaged: fit it again, and do not cache it
    if judge is None:
        try:
            judge = Judge.fit(
                field,
                classes,
                train.sample.features,
                train.labels[:, column],
                train.sources,
                network_identity=network.identity,
            )
        except ImpastoError as error:
            record = JudgeRecord(field=field, classes=classes, warning=str(error))
            return FittedJudge(None, record)
        if not folder.exists():
            judge.save(folder)
    result = None
    if heldout is not None:
        result = judge.accuracy(heldout.sample.features, heldout.labels[:, column], heldout.sources)
    if result is None:
        there = "pictures" if heldout is None else "picture of a class that it names"
        none = f"no held-out {there}: this judge's accuracy is unknown"
        return FittedJudge(judge, JudgeRecord(field=field, classes=classes, warning=none))
    record = JudgeRecord(
        field=field,
        classes=classes,
        accuracy=result.accuracy,
        low=result.interval[0],
        high=result.interval[1],
        baseline=result.baseline,
        pictures=result.pictures,
        sources=result.sources,
        warning="; ".join(filter(None, (_untested(result), result.warning))) or None,
    )
    return FittedJudge(judge, record, tuple(accuracy_rows("accuracy-judge", result)))


def _untested(result: FieldResult) -> str | None:
    """A warning if some classes have no held-out pictures."""
    seen = sum(each.pictures > 0 for each in result.by_class)
    if seen == len(result.by_class):
        return None
    return (
        f"held-out pictures are of {seen} of {len(result.by_class)} classes: this judge is untested on "
        "the others"
    )


def commonest_share(pictures: Subject, field: str) -> float | None:
    """The share of the most frequent class of `field` among the pictures for overall scores; None
    if none has a class."""
    numbers, asked = pictures.asked(field)
    first = asked[numbers < pictures.count]
    return float(np.bincount(first).max() / len(first)) if len(first) else None
