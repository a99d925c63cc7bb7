"""Choosing among generated pictures by what the run's discriminator says of them, or a judge.

GANGogh (Jones and Bonafilia 2017) shows, of many pictures painted of one class, those that its
discriminator 1) names with high confidence as that class and 2) finds most real. So here:

- **confidence** is the softmax probability of the class asked for; of several fields asked for, the
  product. Where classes are sigmoids of their own (term `categorical`), their logits are compared by
  the same softmax: it keeps their order, and is 1 for a picture that only one class claims.
- **realness** is the mean of the discriminator's outputs for the picture. Its scale is the
  objective's own (a critic's score has no bounds), so it is only ever compared within one class.
- **score** is the lower of the picture's two percentiles among the candidates of its class: the share
  of them that are no more confidently named, and the share that are no more real. 0.9 says that the
  picture is in the best tenth in both respects.

The lower of two ranks is 'and': a picture is as good as its weaker side. It needs no weights, and
stays as it is whatever increasing function either number is passed through. A product of the two
numbers would do neither: most confidences of a trained classifier are close to 1 and would decide
nothing, while one far from 1 would decide everything. Equal scores are told apart by the better
side, and then by the seed.

**Batch norm.** Both numbers come from the discriminator in the state in which it judges generated
pictures in training: by the batch norm statistics of generated pictures, under `training.fake_noise`
(`evaluation/discriminator.py`). Statistics of real pictures would be a yardstick too, but one that it
was never asked to use: it learned to tell generated pictures of a batch of generated ones, and the
generator learned from what it said of them so. Under statistics of real pictures the distance between
the two kinds comes on top of every candidate, and values saturate. The statistics are those of seeds 0
to 127, classes as frequent as in the collection, without truncation: not of the candidates, so that a
seed's score depends on no other candidate, on no batch and on no class asked for besides it.

**With judges** (`judges.py`) confidence is theirs. Realness stays the discriminator's where the model
has one beside it; an exported model without one is chosen from by confidence alone. Nearness to real
pictures is no stand-in for it: the nearest would be the copies.

The code published with GANGogh divides raw logits, of either sign, by their sum and calls that
confidence, and in its quicker variant counts the pictures that it rejects among those it has found;
neither is done here.
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
"""Is told a number of pictures that are judged."""


@dataclass(frozen=True)
class Group:
    """Candidates that are compared with each other: those of one class."""

    name: str
    """`genre-landscape`, for folders; empty where the model knows no classes."""
    title: str
    """`landscape`, for people."""
    chosen: dict[int, int]
    """The classes asked for, by column of their field."""


@dataclass(frozen=True)
class Scores:
    """What is known of the candidates of one group; rows are candidates."""

    group: Group
    seeds: np.ndarray
    """int64 [N]"""
    labels: Tensor
    """[N, F] that they were painted with."""
    confidence: np.ndarray
    """float64 [N]"""
    realness: np.ndarray | None
    """float64 [N]; None without a discriminator."""
    score: np.ndarray
    """float64 [N]"""
    rank: np.ndarray
    """int64 [N], 1 for the best."""

    @classmethod
    def of(
        cls,
        group: Group,
        seeds: Sequence[int],
        labels: Tensor,
        confidence: np.ndarray,
        realness: np.ndarray | None,
    ) -> "Scores":
        """Scores and ranks, see above.

        Raises:
            ImpastoError: a number is not finite (the run has diverged).
        """
        both = [confidence] if realness is None else [confidence, realness]
        if not all(np.isfinite(each).all() for each in both):
            raise ImpastoError(
                "the discriminator answers with numbers that are not finite, so nothing can be "
                "chosen by it; take an earlier checkpoint of the run"
            )
        sides = np.stack([percentiles(each) for each in both])
        order = np.lexsort((np.asarray(seeds), -sides.max(axis=0), -sides.min(axis=0)))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        numbers = np.asarray(seeds, np.int64)
        return cls(group, numbers, labels, confidence, realness, sides.min(axis=0), rank)

    def kept(self, count: int, *, worst: bool = False) -> np.ndarray:
        """The rows of the `count` best, best first; or of the worst, worst first."""
        order = np.argsort(self.rank)
        return (order[::-1] if worst else order)[:count]


def percentiles(values: np.ndarray) -> np.ndarray:
    """Of each value [N], the share of all that are no higher: above 0, and 1 for the highest."""
    return np.searchsorted(np.sort(values), values, side="right") / len(values)


def groups_of(
    record: ModelRecord, chosen: dict[int, int], every_class: int | None = None
) -> list[Group]:
    """What to choose within: each class of field `every_class` (by default the first), or only the
    classes chosen; one group of all pictures where the model knows no classes.

    Raises:
        ImpastoError: `chosen` says a class of `every_class` too.
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


def confidence_in(logits: Sequence[Tensor], asked: dict[int, int]) -> Tensor:
    """The probability [B] (float64, on the CPU) of the classes asked for: a softmax over each field's
    logits [B, K], multiplied over the fields asked for, at least one."""
    # MPS has no float64.
    shares = [
        logits[field].cpu().double().log_softmax(dim=1)[:, number]
        for field, number in asked.items()
    ]
    return torch.stack(shares).sum(dim=0).exp()


class Scorer:
    """A generator's pictures as its discriminator, or judges, or both see them.

    Args:
        painter: of the model.
        discriminator: any network that keeps the contract of `networks/`; judges by the statistics of
            generated pictures. None: there is none, and no realness.
        judges: who says how clearly a picture is of its class; None: the discriminator.
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

    def _shown(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """Generated pictures as the discriminator sees them."""
        return noisy(images, self.painter.record.fake_noise or 0.0, seeds)

    def _generated(self) -> Iterator[Tensor]:
        """The pictures whose statistics it judges by, in batches."""
        painter = self.painter
        for start in range(0, MEASURED, BATCH):
            seeds = range(start, start + BATCH)
            latents = latents_of_seeds(seeds, painter.sampler.latent)
            yield self._shown(painter.sampler.images(latents, painter.labels(seeds, {})), seeds)

    def scores(self, group: Group, seeds: Sequence[int], judged: Progress) -> Scores:
        """Judge the seeds' pictures in a group; only numbers are kept, never the pictures.

        Raises:
            ImpastoError: the discriminator names no classes, or its numbers are not finite.
        """
        labels = self.painter.labels(seeds, group.chosen)
        confidence: list[np.ndarray] = []
        realness: list[np.ndarray] = []
        for start in range(0, len(seeds), self.painter.batch):
            some = slice(start, start + self.painter.batch)
            named, real = self._judge(group, seeds[some], labels[some])
            confidence.append(named)
            if real is not None:
                realness.append(real)
            judged(len(named))
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
        images = self.painter.sampler.images(self.painter.latents(seeds), labels)
        named, real = np.ones(len(images)), None
        if self.judges is not None:
            named = self.judges.confidence(images, group.chosen)
        if self.discriminator is not None:
            with judging_by(self.discriminator, self._statistics):
                shown = self._shown(images, seeds)
                judgement: Judgement = self.discriminator(shown, labels.to(images.device))
            real = judgement.realness.cpu().double().flatten(1).mean(dim=1).numpy()
            if group.chosen and self.judges is None:
                named = self._named(judgement, group.chosen)
        return named, real

    @staticmethod
    def _named(judgement: Judgement, asked: dict[int, int]) -> np.ndarray:
        if judgement.class_logits is None:
            raise ImpastoError(
                "this model's discriminator names no classes, so it cannot say how clearly a "
                "picture is of one; a judge can: add --judge with a collection"
            )
        return confidence_in(judgement.class_logits, asked).numpy()


def table(scores: Sequence[Scores], record: ModelRecord, count: int, *, worst: bool) -> str:
    """All candidates as CSV, the best of each group first."""
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
    """Scored candidates, and which end of them is kept."""

    scorer: Scorer
    scores: tuple[Scores, ...]
    count: int
    worst: bool = False

    def lines(self) -> list[str]:
        """How the kept ones compare with all, a line a group."""
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
        """The kept pictures, painted again from their seeds."""
        rows = scores.kept(self.count, worst=self.worst)
        labels = scores.labels[torch.from_numpy(rows.copy())]
        return self.scorer.painter.paint(scores.seeds[rows].tolist(), labels)

    def _table(self) -> str:
        return table(self.scores, self.scorer.painter.record, self.count, worst=self.worst)

    def save_folder(self, folder: Path) -> None:
        """Write a folder a class with its pictures, and `scores.csv`, all at once.

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
        """Write one PNG, a row a class, and the table beside it; gives the table's path.

        Raises:
            ImpastoError: no PNG's path, too many pictures, or it cannot be written.
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
    """Raises: ImpastoError: fewer different seeds than are to be kept."""
    there = len(set(seeds))
    if count > there:
        raise ImpastoError(f"{count} of {there} pictures cannot be chosen: take more seeds")


def choose(
    scorer: Scorer,
    groups: Sequence[Group],
    seeds: Sequence[int],
    count: int,
    *,
    worst: bool = False,
    progress: Progress = lambda judged: None,
) -> Choice:
    """Judge every seed's picture in every group, and keep `count` of each.

    Args:
        scorer: who judges.
        groups: see `groups_of`.
        seeds: the candidates, the same ones for every group; each counts once.
        count: how many to keep of a group.
        worst: keep the other end.
        progress: told how many pictures are judged by now, of groups times seeds.

    Raises:
        ImpastoError: fewer candidates than are to be kept, or a discriminator that cannot tell.
    """
    seeds = list(dict.fromkeys(seeds))
    check_enough(seeds, count)
    judged = 0

    def judged_more(more: int) -> None:
        nonlocal judged
        judged += more
        progress(judged)

    scores = tuple(scorer.scores(group, seeds, judged_more) for group in groups)
    return Choice(scorer, scores, count, worst)
