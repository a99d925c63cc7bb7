"""Choosing among generated images by the scores of the run's discriminator or of a judge.

GANGogh (Jones and Bonafilia 2017) generates many images of one class and shows those that its
discriminator 1) classifies as that class with high confidence and 2) gives the highest realness.
Here:

- **confidence** is the softmax probability of the class that the image is conditioned on. With
  several chosen fields it is the product of these. If each class has a sigmoid of its own (term
  `categorical`), the same softmax of the logits is used. It keeps the order of the logits, and is
  close to 1 if only one class has a high logit.
- **realness** is the mean of the discriminator's outputs for the image. Its scale depends on the
  objective (a critic's score has no bounds), so it is compared within one class only.
- **score** is the lower of the image's two percentiles among the candidates of its class: the
  share of them with no higher confidence, and the share with no higher realness. 0.9 means that
  the image is in the best tenth by both.

So an image needs both a high confidence and a high realness. The lower percentile needs no weights,
and does not change under increasing functions of either number. A product would not have these
properties: most confidences of a trained classifier are close to 1 and would have no effect, while
one far from 1 would decide alone. Equal scores are ordered by the higher percentile, and then by
the seed.

**Batch norm.** The discriminator evaluates candidates as it evaluates generated images in
training: with batch norm statistics of generated images and with `training.fake_noise`
(`evaluation/discriminator.py`). It was trained on batches of generated images, and the generator
on its outputs for such batches. With statistics of real images, the difference between real and
generated images would be added to every candidate, and outputs would saturate. The statistics are
those of seeds 0 to 127, with classes as frequent as in the collection and without truncation.
They do not use the candidates, so a seed's score does not depend on other candidates, batches or
classes.

**With judges** (`judges.py`) confidence is the judge's probability. Realness is still the
discriminator's. If an exported model has no discriminator, confidence alone decides. Similarity to
real images cannot replace realness, because the most similar images would be copies.

The code published with GANGogh differs. It computes confidence as raw logits, of either sign,
divided by their sum. In its faster variant it also counts rejected images as chosen.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from impasto.curation.judges import FieldJudges
from impasto.errors import ImpastoError
from impasto.evaluation.discriminator import BATCH, MEASURED, judging_by, measure, noisy
from impasto.files import atomic_folder, write_text
from impasto.networks import Judgement
from impasto.sampling.class_choice import known_classes
from impasto.sampling.grid import columns_of
from impasto.sampling.model import ModelRecord
from impasto.sampling.output import save_grid_of, save_pictures, seed_name, slugs
from impasto.sampling.painter import Painter
from impasto.sampling.seeds import latents_of_seeds

Progress = Callable[[int], None]
"""Called with a number of scored images."""


@dataclass(frozen=True)
class Group:
    """Candidates that are compared with each other: those of one class."""

    name: str
    """Folder name, such as `genre-landscape`; empty for an unconditional model."""
    title: str
    """Displayed name, such as `landscape`."""
    chosen: dict[int, int]
    """Numbers of the classes that the images are conditioned on, by column of their label field."""


@dataclass(frozen=True)
class Scores:
    """The scores of the candidates of one group; each has a row."""

    group: Group
    seeds: np.ndarray
    """int64 [N]."""
    labels: Tensor
    """[N, F] labels that the images were generated with."""
    confidence: np.ndarray
    """float64 [N], in [0, 1]."""
    realness: np.ndarray | None
    """float64 [N]; None without a discriminator."""
    score: np.ndarray
    """float64 [N], in (0, 1]."""
    rank: np.ndarray
    """int64 [N], 1 is the best."""

    @classmethod
    def of(
        cls,
        group: Group,
        seeds: Sequence[int],
        labels: Tensor,
        confidence: np.ndarray,
        realness: np.ndarray | None,
    ) -> "Scores":
        """Compute scores and ranks as the module's docstring says.

        Args:
            group: the group.
            seeds: of the candidates.
            labels: [N, F].
            confidence: float64 [N].
            realness: float64 [N]; None without a discriminator.

        Raises:
            ImpastoError: a number is not finite (the run has diverged).
        """
        both = [confidence] if realness is None else [confidence, realness]
        if not all(np.isfinite(each).all() for each in both):
            raise ImpastoError(
                "the discriminator answers with numbers that are not finite, so nothing can be "
                "chosen by it; take an earlier checkpoint of the run"
            )
        shares = np.stack([percentiles(each) for each in both])
        order = np.lexsort((np.asarray(seeds), -shares.max(axis=0), -shares.min(axis=0)))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        numbers = np.asarray(seeds, np.int64)
        return cls(group, numbers, labels, confidence, realness, shares.min(axis=0), rank)

    def kept(self, count: int, *, worst: bool = False) -> np.ndarray:
        """The rows of the `count` best, best first, int64; with `worst` of the worst, worst first."""
        order = np.argsort(self.rank)
        return (order[::-1] if worst else order)[:count]


def percentiles(values: np.ndarray) -> np.ndarray:
    """For each value [N], the share of all values that are not higher, in (0, 1]; 1 for the highest."""
    return np.searchsorted(np.sort(values), values, side="right") / len(values)


def groups_of(
    record: ModelRecord, chosen: dict[int, int], every_class: int | None = None
) -> list[Group]:
    """The groups to choose within. An unconditional model has one group of all images.

    Args:
        record: of the model.
        chosen: numbers of classes by column of their label field.
        every_class: column of a label field; there is a group for each of its classes. None: the
            first field, unless classes are chosen.

    Raises:
        ImpastoError: `chosen` has a class of `every_class` too.
    """
    if every_class is None and record.labels and not chosen:
        every_class = 0
    if every_class is None:
        return [_group(record, chosen)]
    if every_class in chosen:
        name = record.labels[every_class].name
        raise ImpastoError(f"--class chooses one {name} and --every-class all: leave out one")
    return [
        _group(record, {every_class: number, **chosen})
        for number in known_classes(record, every_class)
    ]


def _group(record: ModelRecord, chosen: dict[int, int]) -> Group:
    names = [
        f"{slugs([record.labels[field].name])[0]}-{slugs(record.labels[field].classes)[number]}"
        for field, number in chosen.items()
    ]
    titles = [record.labels[field].classes[number] for field, number in chosen.items()]
    return Group("-".join(names), ", ".join(titles), chosen)


def confidence_in(logits: Sequence[Tensor], chosen: dict[int, int]) -> Tensor:
    """The probability of the chosen classes, float64 [B] in [0, 1], on the CPU.

    It is the product of the softmax probabilities over the chosen fields.

    Args:
        logits: [B, K] of each label field.
        chosen: numbers of classes by column of their field, at least one.
    """
    # MPS has no float64.
    shares = [
        logits[field].cpu().double().log_softmax(dim=1)[:, number]
        for field, number in chosen.items()
    ]
    return torch.stack(shares).sum(dim=0).exp()


class Scorer:
    """Scores generated images by the discriminator, by judges, or by both.

    Args:
        painter: of the model.
        discriminator: of the model; see the contract in `networks/__init__.py`. None: there is no
            realness.
        judges: classifiers for the confidence. None: the discriminator's class logits are used.
    """

    def __init__(
        self, painter: Painter, discriminator: nn.Module | None, judges: FieldJudges | None = None
    ) -> None:
        device = painter.sampler.device
        self.painter = painter
        self.judges = judges
        self.discriminator = discriminator
        if discriminator is not None:
            self.discriminator = discriminator.to(device).eval().requires_grad_(False)
            fields = len(painter.record.labels)
            self._statistics = measure(self.discriminator, self._generated(), fields)

    def _with_noise(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """Generated images [B, 3, H, W] with the noise of training, which depends on the seeds."""
        return noisy(images, self.painter.record.fake_noise or 0.0, seeds)

    def _generated(self) -> Iterator[Tensor]:
        """The images whose batch norm statistics are used, in batches [BATCH, 3, H, W]."""
        painter = self.painter
        for start in range(0, MEASURED, BATCH):
            seeds = range(start, start + BATCH)
            latents = latents_of_seeds(seeds, painter.sampler.latent)
            yield self._with_noise(
                painter.sampler.images(latents, painter.labels(seeds, {})), seeds
            )

    def scores(self, group: Group, seeds: Sequence[int], scored: Progress) -> Scores:
        """Score the seeds' images in a group. Only numbers are kept, not the images.

        Args:
            group: its classes condition the images.
            seeds: the candidates.
            scored: called after each batch, with its number of images.

        Raises:
            ImpastoError: a class is chosen and the discriminator does not classify, or its output is
                not finite.
        """
        labels = self.painter.labels(seeds, group.chosen)
        confidence: list[np.ndarray] = []
        realness: list[np.ndarray] = []
        for start in range(0, len(seeds), self.painter.batch):
            some = slice(start, start + self.painter.batch)
            confident, real = self._judge(group, seeds[some], labels[some])
            confidence.append(confident)
            if real is not None:
                realness.append(real)
            scored(len(confident))
        return Scores.of(
            group,
            seeds,
            labels,
            np.concatenate(confidence),
            np.concatenate(realness) if realness else None,
        )

    @torch.inference_mode()
    def _judge(
        self, group: Group, seeds: Sequence[int], labels: Tensor
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The confidence of some seeds' images, float64 [B], and their realness, float64 [B] or None."""
        images = self.painter.sampler.images(self.painter.latents(seeds), labels)
        confidence, realness = np.ones(len(images)), None
        if self.judges is not None:
            confidence = self.judges.confidence(images, group.chosen)
        if self.discriminator is not None:
            with judging_by(self.discriminator, self._statistics):
                shown = self._with_noise(images, seeds)
                judgement: Judgement = self.discriminator(shown, labels.to(images.device))
            realness = judgement.realness.cpu().double().flatten(1).mean(dim=1).numpy()
            if group.chosen and self.judges is None:
                confidence = self._confidence(judgement, group.chosen)
        return confidence, realness

    @staticmethod
    def _confidence(judgement: Judgement, chosen: dict[int, int]) -> np.ndarray:
        """The confidence by the discriminator's class logits.

        Raises:
            ImpastoError: the discriminator does not classify.
        """
        if judgement.class_logits is None:
            raise ImpastoError(
                "this model's discriminator names no classes, so it cannot say how clearly a "
                "picture is of one; a judge can: add --judge with a collection"
            )
        return confidence_in(judgement.class_logits, chosen).numpy()


def table(scores: Sequence[Scores], record: ModelRecord, count: int, *, worst: bool) -> str:
    """All candidates as the text of a CSV file, those of each group in order of their rank.

    Args:
        scores: of each group.
        record: of the model.
        count: the number of kept images of each group, for the column `kept`.
        worst: whether the worst are kept.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    fields = [field.name for field in record.labels]
    writer.writerow(["seed", *fields, "confidence", "realness", "score", "rank", "kept"])
    for each in scores:
        kept = set(each.kept(count, worst=worst).tolist())
        for row in np.argsort(each.rank).tolist():
            classes = [
                field.classes[number] if number >= 0 else ""
                for field, number in zip(record.labels, each.labels[row].tolist(), strict=True)
            ]
            numbers = [
                "" if values is None else f"{values[row]:.12g}"
                for values in (each.confidence, each.realness, each.score)
            ]
            seed, rank = int(each.seeds[row]), int(each.rank[row])
            writer.writerow([seed, *classes, *numbers, rank, "yes" if row in kept else "no"])
    return file.getvalue()


@dataclass(frozen=True)
class Choice:
    """Scored candidates, and which of them are kept."""

    scorer: Scorer
    scores: tuple[Scores, ...]
    """Of each group."""
    count: int
    """The number of kept images of each group."""
    worst: bool = False
    """Whether the worst are kept instead of the best."""

    def lines(self) -> list[str]:
        """For each group a line that compares the medians of the kept images with those of all."""
        lines = []
        for each in self.scores:
            kept = each.kept(self.count, worst=self.worst)
            numbers = [
                f"{name} {np.median(values[kept]):.3g} (all: {np.median(values):.3g})"
                for name, values in (("realness", each.realness), ("confidence", each.confidence))
                if values is not None and (name == "realness" or each.group.chosen)
            ]
            title = f"{each.group.title}: " if each.group.title else ""
            lines.append(f"{title}{len(kept)} of {len(each.seeds)}, median {', '.join(numbers)}")
        return lines

    def _pictures(self, scores: Scores) -> Iterator[np.ndarray]:
        """The kept images, generated again from their seeds."""
        rows = scores.kept(self.count, worst=self.worst)
        labels = scores.labels[torch.from_numpy(rows.copy())]
        return self.scorer.painter.paint(scores.seeds[rows].tolist(), labels)

    def _table(self) -> str:
        return table(self.scores, self.scorer.painter.record, self.count, worst=self.worst)

    def save_folder(self, folder: Path) -> None:
        """Write a folder of images for each group, and `scores.csv`, atomically.

        Raises:
            ImpastoError: `folder` exists or cannot be written.
        """
        with atomic_folder(folder) as temporary:
            for scores in self.scores:
                rows = scores.kept(self.count, worst=self.worst)
                names = [seed_name(int(seed)) for seed in scores.seeds[rows]]
                save_pictures(self._pictures(scores), names, temporary / scores.group.name)
            write_text(temporary / "scores.csv", self._table())

    def save_grid(self, path: Path) -> Path:
        """Write one PNG with a row for each group, and the table beside it. Returns the table's path.

        If there is one group, its images are on several rows.

        Raises:
            ImpastoError: the path does not end in `.png`, there are too many images, or it cannot
                be written.
        """
        pictures = (batch for scores in self.scores for batch in self._pictures(scores))
        titles = [scores.group.title for scores in self.scores]
        one = len(self.scores) == 1
        save_grid_of(
            pictures,
            path,
            columns_of(self.count) if one else self.count,
            beside=() if one else titles,
        )
        beside = path.with_name(f"{path.stem}-scores.csv")
        write_text(beside, self._table())
        return beside


def check_enough(seeds: Sequence[int], count: int) -> None:
    """Check that there are at least `count` different seeds.

    Raises:
        ImpastoError: there are fewer.
    """
    candidates = len(set(seeds))
    if count > candidates:
        raise ImpastoError(f"{count} of {candidates} pictures cannot be chosen: take more seeds")


def choose(
    scorer: Scorer,
    groups: Sequence[Group],
    seeds: Sequence[int],
    count: int,
    *,
    worst: bool = False,
    progress: Progress = lambda scored: None,
) -> Choice:
    """Score every seed's image in every group, and keep `count` of each group.

    Args:
        scorer: computes the scores.
        groups: see `groups_of`.
        seeds: the candidates, the same for every group; repeated seeds count once.
        count: number of images to keep in each group.
        worst: keep the worst instead of the best.
        progress: called with the number of images scored so far, of groups times seeds.

    Raises:
        ImpastoError: there are fewer candidates than `count`, or classes are chosen and neither the
            discriminator nor a judge classifies.
    """
    seeds = list(dict.fromkeys(seeds))
    check_enough(seeds, count)
    scored = 0

    def scored_more(more: int) -> None:
        nonlocal scored
        scored += more
        progress(scored)

    scores = tuple(scorer.scores(group, seeds, scored_more) for group in groups)
    return Choice(scorer, scores, count, worst)
