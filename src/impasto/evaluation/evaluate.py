"""Evaluation: a generator's pictures (or a folder's) against a collection's, in numbers.

Pictures are made once, each feature network sees them once, and all scores are of the features kept.
Intervals are over the generated pictures, the reference being as it is: they say where the score of
other seeds would lie. What real pictures would score is measured beside, with the held-out ones.
"""

import datetime
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto import __version__
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.accuracy import FieldResult
from impasto.evaluation.gather import Progress, gather, silent
from impasto.evaluation.judge import Judge, top1
from impasto.evaluation.memorisation import (
    FEW_SOURCES,
    Memorisation,
    RealPictures,
    memorisation,
)
from impasto.evaluation.memorisation import Reference as RealDistances
from impasto.evaluation.record import (
    CollectionRecord,
    EvaluationRow,
    JudgeRecord,
    NetworkRecord,
    PicturesRecord,
    ReferenceRecord,
    ScoreRow,
    SecondsRecord,
    SubjectRecord,
)
from impasto.evaluation.reference import Reference, Split, collection_features, rows_of
from impasto.evaluation.subjects import Plan, Subject, of_model
from impasto.features import FeatureNetwork
from impasto.files import cache_folder
from impasto.metrics import Sample, Score, metric_module, scores
from impasto.metrics.inception_score import inception_score_splits
from impasto.registry import names
from impasto.sampling.output import slugs
from impasto.sampling.painter import Painter

__all__ = ["Evaluation", "Evaluator", "Plan"]


_BATCH = 64
"""Pictures that networks are shown at once, however they are made: sums round by it."""


@dataclass(frozen=True)
class Evaluation:
    """What one feature network says of one subject."""

    row: EvaluationRow
    subject: Subject
    sample: Sample
    """The subject's features, in the order of its pictures."""
    memorisation: Memorisation


class Evaluator:
    """Scores pictures against one collection's.

    Args:
        networks: whose features to score by.
        collection: the real pictures.
        resolution: side of the pictures in pixels; those of a collection of a multiple of it are
            averaged down.
        labels: label fields that have a judge, as far as the collection has them; by default all.
        split: which of the collection's pictures to compare with.
        limit: so many of them at most, chosen at random (always the same ones); None: all.
        progress: shows long work.
    """

    def __init__(
        self,
        networks: Sequence[FeatureNetwork],
        collection: Collection,
        *,
        resolution: int,
        labels: tuple[str, ...] | None = None,
        split: Split = "train",
        limit: int | None = None,
        progress: Progress = silent,
    ) -> None:
        if collection.resolution % resolution:
            raise ImpastoError(
                f"{collection.path} is packed at {collection.resolution} pixels, and the pictures are "
                f"of {resolution}; pack the collection with --resolution {resolution}"
            )
        self.networks = tuple(networks)
        self.collection = collection
        self.resolution = resolution
        self.split = split
        self.limit = limit
        self.progress = progress
        there = tuple(field.name for field in collection.fields)
        self.fields = tuple(name for name in there if labels is None or name in labels)
        self._references: dict[tuple[Split, str], Reference] = {}
        self._judges: dict[tuple[str, str], FittedJudge] = {}
        self._heldout_rows: dict[str, tuple[ScoreRow, ...]] = {}
        self._real_distances: dict[str, RealDistances] = {}

    def evaluate(
        self,
        painter: Painter,
        subject: SubjectRecord,
        plan: Plan,
        *,
        networks: Sequence[FeatureNetwork] | None = None,
        during_training: bool = False,
    ) -> list[Evaluation]:
        """Score a model's pictures, an evaluation a feature network; see `evaluate_subject`."""
        pictures = of_model(painter, self.collection, plan)
        record = PicturesRecord(
            count=plan.count,
            extra=len(pictures) - plan.count,
            per_class=plan.per_class,
            first_seed=plan.first_seed,
            truncation=painter.truncation,
        )
        return self.evaluate_subject(
            pictures,
            subject,
            record,
            networks=networks,
            during_training=during_training,
        )

    def evaluate_subject(
        self,
        pictures: Subject,
        subject: SubjectRecord,
        record: PicturesRecord,
        *,
        networks: Sequence[FeatureNetwork] | None = None,
        during_training: bool = False,
    ) -> list[Evaluation]:
        """Score pictures, an evaluation a feature network.

        Args:
            pictures: to look at.
            subject: whose they are.
            record: how they were chosen.
            networks: some of the evaluator's; by default all.
            during_training: noted in the row.

        Raises:
            ImpastoError: pictures of another size than the reference's, or that cannot be used.
        """
        if pictures.side != self.resolution:
            raise ImpastoError(
                f"the pictures are of {pictures.side} pixels a side and the reference of "
                f"{self.resolution}; compare with a collection packed with "
                f"--resolution {pictures.side}"
            )
        networks = self.networks if networks is None else tuple(networks)
        self.reference(networks[0], self.split)  # before anything is painted: it may not be there
        clock = time.monotonic()
        painting = 0.0

        def batches() -> Iterator[Tensor]:
            nonlocal painting
            for start in range(0, len(pictures), _BATCH):
                began = time.monotonic()
                pixels = pictures.pixels(np.arange(start, min(start + _BATCH, len(pictures))))
                painting += time.monotonic() - began
                yield pixels

        samples = gather(
            batches(),
            networks,
            len(pictures),
            first=pictures.count,
            what="generated pictures" if subject.kind != "pictures" else "pictures",
            progress=self.progress,
        )
        looking = time.monotonic() - clock - painting
        found = []
        for network, sample in zip(networks, samples, strict=True):
            began = time.monotonic()
            made = self._evaluation(network, sample, pictures, subject, record)
            seconds = SecondsRecord(
                pictures=round(painting, 3),
                features=round(looking, 3),
                scores=round(time.monotonic() - began, 3),
            )
            noted = {"seconds": seconds, "during_training": during_training}
            found.append(replace(made, row=made.row.model_copy(update=noted)))
        return found

    def _evaluation(
        self,
        network: FeatureNetwork,
        sample: Sample,
        pictures: Subject,
        subject: SubjectRecord,
        record: PicturesRecord,
    ) -> Evaluation:
        """All that one network says, but for how long it took."""
        reference = self.reference(network, self.split)
        judged, judges = self._judged(network, sample, pictures)
        memory = self._memorisation(network, sample, pictures)
        row = EvaluationRow(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            impasto=__version__,
            subject=subject,
            network=NetworkRecord(
                name=network.name,
                weights_sha256=network.weights_sha256,
                resize=network.resize,
                width=network.width,
            ),
            collection=CollectionRecord(
                name=self.collection.name,
                hash=self.collection.content_hash,
                resolution=self.resolution,
            ),
            reference=ReferenceRecord(
                split=self.split,
                pictures=reference.count,
                sources=reference.source_count,
                available=reference.available,
            ),
            pictures=record,
            scores=(
                *self._scores(network, sample, pictures),
                *judged,
                copied_row(network, memory),
            ),
            heldout=self._heldout_scores(network),
            memorisation={**memory.numbers(), "sentences": self._told(network, memory)},
            judges=tuple(judges),
            notes=pictures.notes,
            seconds=SecondsRecord(pictures=0, features=0, scores=0),
        )
        return Evaluation(row, pictures, sample, memory)

    def reference(self, network: FeatureNetwork, split: Split) -> Reference:
        """The collection's features by one of the networks, kept for the next time."""
        if (split, network.identity) not in self._references:
            found = collection_features(
                self.networks,
                self.collection,
                resolution=self.resolution,
                split=split,
                limit=self.limit,
                progress=self.progress,
            )
            for each, reference in zip(self.networks, found, strict=True):
                self._references[split, each.identity] = reference
        return self._references[split, network.identity]

    @property
    def reference_size(self) -> int:
        """How many pictures are compared with."""
        return len(rows_of(self.collection, self.split, self.limit))

    def _heldout(self, network: FeatureNetwork) -> Reference | None:
        """The held-out pictures, where there are any."""
        if not len(self.collection.heldout_indices):
            return None
        return self.reference(network, "heldout")

    # Scores against the reference

    def _scores(self, network: FeatureNetwork, sample: Sample, pictures: Subject) -> list[ScoreRow]:
        """Overall, and by class of each field that pictures were made by."""
        reference = self.reference(network, self.split)
        overall = part(sample, np.arange(pictures.overall))
        rows = score_rows(network, replace(overall, moments=sample.moments), reference.sample)
        for (field, cls), numbers in pictures.groups.items():
            column = self.collection.field(field)
            mine = np.flatnonzero(reference.labels[:, column] == cls)
            name = self.collection.fields[column].classes[cls]
            fakes = part(sample, pictures.places(numbers))
            rows += score_rows(network, fakes, part(reference.sample, mine), field, name)
        return rows

    def _heldout_scores(self, network: FeatureNetwork) -> tuple[ScoreRow, ...]:
        """What held-out pictures score; nothing without any, or where they are the reference."""
        heldout = self._heldout(network) if self.split == "train" else None
        if heldout is None:
            return ()
        if network.identity not in self._heldout_rows:
            reference = self.reference(network, self.split)
            rows = score_rows(network, heldout.sample, reference.sample)
            if heldout.source_count < FEW_SOURCES:
                few = (
                    f"held-out pictures of {heldout.source_count} source pictures only: too few to "
                    "say what real pictures score"
                )
                rows = [row.model_copy(update={"warning": few}) for row in rows]
            self._heldout_rows[network.identity] = tuple(rows)
        return self._heldout_rows[network.identity]

    # The judges

    def judge(self, network: FeatureNetwork, field: str) -> "FittedJudge":
        """The judge of a label field by one of the networks."""
        if (network.identity, field) not in self._judges:
            self._judges[network.identity, field] = fitted_judge(
                network,
                self.collection,
                field,
                self.reference(network, "train"),
                self._heldout(network),
                side=self.resolution,
            )
        return self._judges[network.identity, field]

    def _judged(
        self, network: FeatureNetwork, sample: Sample, pictures: Subject
    ) -> tuple[list[ScoreRow], list[JudgeRecord]]:
        """Top-1 and Inception Score by the judges, and how far each can be trusted."""
        rows: list[ScoreRow] = []
        records: list[JudgeRecord] = []
        for field in self.fields:
            fitted = self.judge(network, field)
            made = {"made_baseline": commonest_share(pictures, field)}
            records.append(fitted.record.model_copy(update=made))
            judge = fitted.judge
            if judge is None:
                continue
            features = sample.features[: pictures.overall]
            # Logarithms of probabilities are logits that give just these.
            named = Sample(features, judge.probabilities(features).clamp(min=1e-12).log().float())
            rows += [
                ScoreRow(
                    name="is-judge",
                    field=field,
                    value=score.value,
                    low=score.low,
                    high=score.high,
                    deviation=deviation_of(score, named),
                    pictures=len(features),
                    reference=0,
                    warning=score.warning,
                )
                for score in scores("inception_score", named, None)
            ]
            rows += self._top1(judge, field, sample, pictures)
            rows += fitted.accuracy
        return rows, records

    def _top1(self, judge: Judge, field: str, sample: Sample, pictures: Subject) -> list[ScoreRow]:
        numbers, asked = pictures.asked(field)
        asked = asked[np.isin(numbers, pictures.kept)]
        features = sample.features[torch.from_numpy(places := pictures.places(numbers))]
        first = places < pictures.overall  # the extra ones would make rare classes frequent
        whole = top1(judge, features[torch.from_numpy(first)], asked[first])
        every = top1(judge, features, asked)
        rows = [] if whole is None else accuracy_rows("top1-judge", whole)[:1]
        return rows + ([] if every is None else accuracy_rows("top1-judge", every)[1:])

    # Memorisation

    def _told(self, network: FeatureNetwork, memory: Memorisation) -> list[str]:
        """What was found of copies, in words, and how far was looked."""
        train = self.reference(network, "train")
        told = memory.lines()
        if train.available > len(train.rows):
            told.append(
                f"looked for among {len(train.rows):,} of {train.available:,} training pictures: "
                "copies of the others are not seen"
            )
        return told

    def _memorisation(
        self, network: FeatureNetwork, sample: Sample, pictures: Subject
    ) -> Memorisation:
        train, heldout = self.reference(network, "train"), self._heldout(network)
        none = np.zeros(0, np.int64)
        training = RealPictures(train.sample.features, train.rows, train.sources)
        unseen = (
            RealPictures(torch.zeros(0, network.width), none, none)
            if heldout is None
            else RealPictures(heldout.sample.features, heldout.rows, heldout.sources)
        )
        found = memorisation(
            sample.features[: pictures.overall],
            training,
            unseen,
            reference=self._real_distances.get(network.identity),
        )
        self._real_distances[network.identity] = found.reference
        return found


def part(sample: Sample, places: np.ndarray) -> Sample:
    """The pictures whose features lie at these places."""
    some = torch.from_numpy(places)
    return Sample(sample.features[some], None if sample.logits is None else sample.logits[some])


def metrics_for(sample: Sample) -> list[str]:
    """The metrics that need no more than there is."""
    return [
        name
        for name in names("metrics")
        if sample.logits is not None or "logits" not in metric_module(name).NEEDS
    ]


def score_rows(
    network: FeatureNetwork,
    fakes: Sample,
    reals: Sample,
    field: str | None = None,
    cls: str | None = None,
) -> list[ScoreRow]:
    """All scores of pictures, overall or of one class; of none, rows without a value that say so."""
    generated = fakes.moments.count if fakes.moments else len(fakes.features)
    there = reals.moments.count if reals.moments else len(reals.features)
    rows = []
    for metric in metrics_for(fakes):
        module = metric_module(metric)
        compares = "logits" not in module.NEEDS
        if generated == 0 or (compares and there == 0):
            kind = "generated" if generated == 0 else "real"
            empty = f"no {kind} picture of {field} {cls}" if cls else f"no {kind} picture"
            found = [Score(name, None, None, None, empty) for name in module.ranges(network.width)]
        else:
            found = scores(metric, fakes, reals if compares else None)
        rows += [
            ScoreRow(
                name=network.score_name(each.name),
                field=field,
                cls=cls,
                value=each.value,
                low=each.low,
                high=each.high,
                deviation=deviation_of(each, fakes),
                pictures=generated,
                reference=there if compares else 0,
                warning=each.warning,
            )
            for each in found
        ]
    return rows


def copied_row(network: FeatureNetwork, memory: Memorisation) -> ScoreRow:
    """The share of copies as a row."""
    low, high = memory.interval or (None, None)
    return ScoreRow(
        name=network.score_name("copied"),
        value=memory.copied,
        low=low,
        high=high,
        pictures=len(memory.samples.distance),
        reference=len(memory.reference.rows),
        warning=memory.warning,
    )


def deviation_of(score: Score, fakes: Sample) -> float | None:
    """The deviation of an Inception Score over ten parts; None of another score, or of few pictures."""
    if score.name != "is" or fakes.logits is None or len(fakes.logits) < 100:
        return None
    # Pictures of a folder may come class by class.
    order = torch.randperm(len(fakes.logits), generator=torch.Generator().manual_seed(0))
    return inception_score_splits(fakes.logits.double().softmax(dim=1), order=order)[1]


def accuracy_rows(name: str, result: FieldResult) -> list[ScoreRow]:
    """An accuracy as rows: overall first, then by class."""
    rows = [
        ScoreRow(
            name=name,
            field=result.field,
            value=result.accuracy,
            low=result.interval[0],
            high=result.interval[1],
            pictures=result.pictures,
            reference=0,
            warning=result.warning,
        )
    ]
    for each in result.by_class:
        low, high = each.interval or (None, None)
        rows.append(
            ScoreRow(
                name=name,
                field=result.field,
                cls=each.name,
                value=each.accuracy,
                low=low,
                high=high,
                pictures=each.pictures,
                reference=0,
                warning=None if each.pictures else f"no picture of {result.field} {each.name}",
            )
        )
    return rows


@dataclass(frozen=True)
class FittedJudge:
    """A label field's judge; None where there can be none, and the record says why."""

    judge: Judge | None
    record: JudgeRecord
    accuracy: tuple[ScoreRow, ...] = ()
    """How it names held-out pictures, overall and by class."""


def fitted_judge(
    network: FeatureNetwork,
    collection: Collection,
    field: str,
    train: Reference,
    heldout: Reference | None,
    *,
    side: int,
) -> FittedJudge:
    """The judge of a label field for pictures of `side` pixels, fitted once and then kept in the
    cache, with what it is worth."""
    column = collection.field(field)
    classes = collection.fields[column].classes
    features = list(train.sample.features.shape)
    text = f"{collection.content_hash} {network.identity} {field} {features} {side}"
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    folder = cache_folder() / "judges" / f"{slugs([collection.name])[0][:40]}-{key}"
    judge: Judge | None = None
    if folder.is_dir():
        try:
            judge = Judge.load(folder, network_identity=network.identity)
        except ImpastoError:
            judge = None  # damaged: fitted again, and used without being kept
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
        none = f"no held-out {there}: nobody knows how far this judge can be trusted"
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
    """What to tell where held-out pictures are not of all classes."""
    seen = sum(each.pictures > 0 for each in result.by_class)
    if seen == len(result.by_class):
        return None
    return (
        f"held-out pictures are of {seen} of {len(result.by_class)} classes: this judge is untested on "
        "the others"
    )


def commonest_share(pictures: Subject, field: str) -> float | None:
    """The share of the pictures made as the class of `field` that most were made as; None if none
    were made as one. Of those that overall scores are of."""
    numbers, asked = pictures.asked(field)
    first = asked[numbers < pictures.count]
    return float(np.bincount(first).max() / len(first)) if len(first) else None
