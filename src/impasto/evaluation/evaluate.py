"""Score a generator's pictures (or a folder's) against a collection's.

Pictures are generated once, pass each feature network once, and all scores are computed from the
kept features. Intervals cover the choice of seeds, for a fixed reference. Held-out pictures are
scored too, to show what real pictures score.
"""

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto import __version__
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.evaluation.fitted_judge import FittedJudge, commonest_share, fitted_judge
from impasto.evaluation.gather import Progress, gather, silent
from impasto.evaluation.judge import Judge, top1
from impasto.evaluation.memorisation import (
    FEW_SOURCES,
    Memorisation,
    RealDistances,
    RealPictures,
    memorisation,
)
from impasto.evaluation.record import (
    ComparedCollection,
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
from impasto.evaluation.score_rows import (
    accuracy_rows,
    better_ends_of,
    copied_row,
    deviation_of,
    part,
    score_rows,
)
from impasto.evaluation.subjects import SampleCounts, Subject, of_model
from impasto.features import FeatureNetwork
from impasto.metrics import Sample, scores
from impasto.processes import ALONE, Processes
from impasto.registry import names
from impasto.resolution import Resolution, in_words, times
from impasto.sampling.painter import Painter

__all__ = ["Evaluation", "Evaluator", "SampleCounts"]


_BATCH = 64
"""Batch size of the feature networks; fixed, because rounding depends on it."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of one subject by one feature network."""

    row: EvaluationRow
    subject: Subject
    sample: Sample
    """The subject's features, in the order of its pictures."""
    memorisation: Memorisation


class Evaluator:
    """Scores pictures against one collection's.

    Args:
        networks: the feature networks.
        collection: the real pictures.
        resolution: of the pictures; a collection at a multiple of it is averaged
            down.
        labels: label fields to make judges for, if the collection has them; by default all.
        split: the collection's pictures to compare with.
        limit: the most of them, a fixed random choice; None: all.
        progress: shows long work.
        processes: that share the work. All of them call `evaluate`; the first one alone scores, and the
            others get no evaluations.
    """

    def __init__(
        self,
        networks: Sequence[FeatureNetwork],
        collection: Collection,
        *,
        resolution: Resolution,
        labels: tuple[str, ...] | None = None,
        split: Split = "train",
        limit: int | None = None,
        progress: Progress = silent,
        processes: Processes = ALONE,
    ) -> None:
        if not times(collection.resolution, resolution):
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
        self.processes = processes
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
        plan: SampleCounts,
        *,
        networks: Sequence[FeatureNetwork] | None = None,
        during_training: bool = False,
    ) -> list[Evaluation]:
        """Score a model's pictures, once for each feature network; see `evaluate_subject`."""
        pictures = of_model(painter, self.collection, plan)
        record = PicturesRecord(
            count=plan.count,
            extra=len(pictures) - plan.count,
            per_class=plan.per_class,
            first_seed=plan.first_seed,
            truncation=painter.truncation,
            made_with=painter.made_with,
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
        """Score pictures, once for each feature network.

        Args:
            pictures: the pictures to score.
            subject: where they come from.
            record: how they were chosen.
            networks: some of the evaluator's; by default all.
            during_training: recorded in the row.

        Raises:
            ImpastoError: the pictures have another size than the reference's, or are unusable.
        """
        if pictures.size != self.resolution:
            raise ImpastoError(
                f"the pictures are of {in_words(pictures.size)} pixels and the reference of "
                f"{in_words(self.resolution)}; compare with a collection packed with "
                f"--resolution {pictures.size}"
            )
        networks = self.networks if networks is None else tuple(networks)

        def prepare() -> None:
            # Before anything is painted: a plugin's metric may be wrong, the reference not there.
            for metric in names("metrics"):
                better_ends_of(metric, networks[0].width)
            self.reference(networks[0], self.split)

        self.processes.on_first(prepare)
        what = "generated pictures" if subject.kind != "pictures" else "pictures"
        samples, painting, looking = self._gathered(pictures, networks, what)
        if not self.processes.first:
            return []
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

    def _gathered(
        self, pictures: Subject, networks: Sequence[FeatureNetwork], what: str
    ) -> tuple[list[Sample], float, float]:
        """The pictures' features by each network; seconds for generation and for features."""
        clock = time.monotonic()
        painting = 0.0

        def batches() -> Iterator[Tensor]:
            nonlocal painting
            own, stride = self.processes.rank * _BATCH, self.processes.count * _BATCH
            for start in range(own, len(pictures), stride):
                began = time.monotonic()
                pixels = pictures.pixels(np.arange(start, min(start + _BATCH, len(pictures))))
                painting += time.monotonic() - began
                yield pixels

        samples = gather(
            batches(),
            networks,
            len(pictures),
            first=pictures.count,
            what=what,
            progress=self.progress,
            processes=self.processes,
        )
        return samples, painting, time.monotonic() - clock - painting

    def _evaluation(
        self,
        network: FeatureNetwork,
        sample: Sample,
        pictures: Subject,
        subject: SubjectRecord,
        record: PicturesRecord,
    ) -> Evaluation:
        """One network's evaluation, without the seconds."""
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
            collection=ComparedCollection(
                name=self.collection.title,
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
            memorisation={**memory.numbers(), "sentences": self._copies_lines(network, memory)},
            judges=tuple(judges),
            notes=pictures.notes,
            seconds=SecondsRecord(pictures=0, features=0, scores=0),
        )
        return Evaluation(row, pictures, sample, memory)

    def reference(self, network: FeatureNetwork, split: Split) -> Reference:
        """The collection's features by a network, cached."""
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
        """The number of reference pictures."""
        return len(rows_of(self.collection, self.split, self.limit))

    def _heldout(self, network: FeatureNetwork) -> Reference | None:
        """The held-out pictures, if there are any."""
        if not len(self.collection.heldout_indices):
            return None
        return self.reference(network, "heldout")

    # Scores against the reference

    def _scores(self, network: FeatureNetwork, sample: Sample, pictures: Subject) -> list[ScoreRow]:
        """Scores overall, and by class of each field that pictures were generated with."""
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
        """The scores of held-out pictures; empty without any, or if they are the reference."""
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

    def judge(self, network: FeatureNetwork, field: str) -> FittedJudge:
        """The judge of a label field on a network's features."""
        if (network.identity, field) not in self._judges:
            self._judges[network.identity, field] = fitted_judge(
                network,
                self.collection,
                field,
                self.reference(network, "train"),
                self._heldout(network),
                size=self.resolution,
            )
        return self._judges[network.identity, field]

    def _judged(
        self, network: FeatureNetwork, sample: Sample, pictures: Subject
    ) -> tuple[list[ScoreRow], list[JudgeRecord]]:
        """Top-1 and Inception Score by the judges, and each judge's record."""
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
            # The logarithms are logits for these probabilities.
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
        first = places < pictures.overall  # without the extra pictures, which are of rare classes
        whole = top1(judge, features[torch.from_numpy(first)], asked[first])
        every = top1(judge, features, asked)
        rows = [] if whole is None else accuracy_rows("top1-judge", whole)[:1]
        return rows + ([] if every is None else accuracy_rows("top1-judge", every)[1:])

    # Memorisation

    def _copies_lines(self, network: FeatureNetwork, memory: Memorisation) -> list[str]:
        """The findings on copies, and how many training pictures were searched."""
        train = self.reference(network, "train")
        lines = memory.lines()
        if train.available > len(train.rows):
            lines.append(
                f"looked for among {len(train.rows):,} of {train.available:,} training pictures: "
                "copies of the others are not found"
            )
        return lines

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
