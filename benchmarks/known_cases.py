"""Whether each score moves when, and only when, it should: real pictures, harmed in known ways.

    python -m benchmarks.known_cases [--data masters] [--resolution 64] [--pictures 500]
        [--features lite0|mobilenet_v2|inception_v3] [--weights FILE]

Half of a collection's training pictures is the reference, and pictures of the other half (of other
source pictures, where there are enough) stand for a generator's: as they are, blurred, with noise,
under other classes' names, with classes missing, with few different ones, and with pictures of the
reference among them. Prints a table, a row a case, and which scores moved the wrong way.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from benchmarks._command import run
from benchmarks._nsfwjs import SIDES
from benchmarks._nsfwjs import load as nsfwjs_network
from impasto.collection import Collection, open_or_pack
from impasto.evaluation.evaluate import Evaluator
from impasto.evaluation.record import EvaluationRow, PicturesRecord, SubjectRecord
from impasto.evaluation.reference import rows_of
from impasto.evaluation.score_kinds import kind_of
from impasto.evaluation.subjects import Subject
from impasto.features import Extracted, FeatureNetwork, load_network

Harm = Callable[[Tensor, np.ndarray], Tensor]
"""(pictures [B, H, W, 3] uint8, their numbers) -> pictures."""


@dataclass(frozen=True)
class Case:
    """Pictures in a known state.

    Attributes:
        name: of what was done to them; cases of one name are told apart by `level`.
        level: how much of it; grows.
        moves: the scores (without their network) that are to move, and where: -1 down, 1 up.
    """

    name: str
    level: float
    subject: Subject
    moves: dict[str, int]


def blurred(radius: float) -> Harm:
    """Gaussian blur of so many pixels."""

    def harm(pictures: Tensor, numbers: np.ndarray) -> Tensor:
        soft = [
            np.asarray(Image.fromarray(each.numpy()).filter(ImageFilter.GaussianBlur(radius)))
            for each in pictures
        ]
        return torch.from_numpy(np.stack(soft))

    return harm


def noisy(deviation: float) -> Harm:
    """Gaussian noise, of 255 levels."""

    def harm(pictures: Tensor, numbers: np.ndarray) -> Tensor:
        noise = [
            np.random.default_rng(int(number)).normal(0, deviation, pictures.shape[1:])
            for number in numbers
        ]
        noised = pictures.numpy() + np.stack(noise)
        return torch.from_numpy(noised.round().clip(0, 255).astype(np.uint8))

    return harm


def subject_of(
    collection: Collection, rows: np.ndarray, labels: np.ndarray, harm: Harm | None = None
) -> Subject:
    """Pictures of the collection as if they had been generated, as the classes `labels` [N, F]."""

    def pixels(numbers: np.ndarray) -> Tensor:
        pictures = torch.from_numpy(collection.images(rows[numbers]))
        return pictures if harm is None else harm(pictures, rows[numbers])

    groups = {
        (field.name, int(k)): np.flatnonzero(labels[:, column] == k)
        for column, field in enumerate(collection.fields)
        for k in np.unique(labels[:, column])
        if k >= 0
    }
    names = [f"picture-{row}" for row in rows]
    return Subject(names, len(rows), groups, pixels, collection.resolution)


def cases(collection: Collection, rows: np.ndarray, reference: np.ndarray) -> Iterator[Case]:
    """All cases, beginning with the pictures as they are; levels of a case follow each other.

    Args:
        collection: of the pictures.
        rows: those that stand for generated ones.
        reference: those that they are compared with.
    """
    labels = collection.labels[rows]
    random = np.random.default_rng(0)
    yield Case("as they are", 0, subject_of(collection, rows, labels), {})
    # Precision falls at first, but is not asked to go on falling: what is blurred until it is plain
    # lies among plain real pictures, and a few noisy real ones have wide surroundings.
    away = {"fd": 1, "kid": 1, "recall": -1, "density": -1, "coverage": -1}
    for radius in (0.5, 1, 2, 4):
        yield Case("blur", radius, subject_of(collection, rows, labels, blurred(radius)), away)
    for deviation in (8, 16, 32, 64):
        yield Case("noise", deviation, subject_of(collection, rows, labels, noisy(deviation)), away)
    order = random.permutation(len(rows))
    for share in (0.25, 0.5, 1):
        swapped = labels.copy()
        some = np.sort(order[: round(share * len(rows))])
        for column in range(labels.shape[1]):
            # Every class becomes the next one, so that none stays what it is.
            known = some[labels[some, column] >= 0]
            classes = np.unique(labels[labels[:, column] >= 0, column])
            places = np.searchsorted(classes, labels[known, column])
            swapped[known, column] = classes[(places + 1) % len(classes)]
        yield Case(
            "classes swapped",
            share,
            subject_of(collection, rows, swapped),
            {"top1": -1, "fd by class": 1, "fd": 0, "kid": 0},
        )
    sizes = np.bincount(labels[labels[:, 0] >= 0, 0])
    by_size = np.argsort(-sizes)[: np.count_nonzero(sizes)]
    for share in (0.25, 0.5, 0.75):
        kept = by_size[round(share * len(by_size)) :] if len(by_size) > 1 else by_size
        mine = rows[np.isin(labels[:, 0], kept)]
        repeated = np.resize(mine, len(rows)) if len(mine) else rows[:1]
        yield Case(
            "classes dropped",
            share,
            subject_of(collection, repeated, collection.labels[repeated]),
            # Which classes are left decides what the kernel distance says of them.
            {"fd": 1, "recall": -1, "coverage": -1},
        )
    for different in (0.5, 0.1, 0.02):
        few = np.resize(rows[order][: max(2, round(different * len(rows)))], len(rows))
        yield Case(
            "few different ones",
            1 - different,
            subject_of(collection, few, collection.labels[few]),
            {"fd": 1, "coverage": -1, "recall": -1},
        )
    for share in (0.05, 0.2, 0.5, 1):
        mixed = rows.copy()
        places = order[: round(share * len(rows))]
        mixed[places] = random.choice(reference, len(places), replace=False)
        yield Case(
            "copies of training pictures",
            share,
            subject_of(collection, mixed, collection.labels[mixed]),
            {"copied": 1},
        )


def remembering(network: FeatureNetwork) -> FeatureNetwork:
    """The same network, which looks at no picture twice; many cases share pictures."""
    known: dict[bytes, tuple[Tensor, Tensor | None]] = {}

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        keys = [each.numpy().tobytes() for each in pixels]
        new = [place for place, key in enumerate(keys) if key not in known]
        if new:
            found: Extracted = network(pixels[new])
            for number, place in enumerate(new):
                logits = None if found.logits is None else found.logits[number].clone()
                known[keys[place]] = found.features[number].clone(), logits
        features = torch.stack([known[key][0] for key in keys])
        if network.classes is None:
            return features, None
        return features, torch.stack(
            [named for key in keys if (named := known[key][1]) is not None]
        )

    return replace(network, extract=extract)


def score_of(row: EvaluationRow, name: str) -> float | None:
    """An overall score by its name without the network; `fd by class` is the mean over classes, and
    judges' scores are those of the first field."""
    if name == "fd by class":
        field = next((each.field for each in row.scores if each.cls), None)
        found = [
            each.value
            for each in row.scores
            if each.cls and each.field == field and each.name == f"fd-{row.network.name}"
        ]
        values = [value for value in found if value is not None]
        return float(np.mean(values)) if values else None
    for each in row.scores:
        if each.cls is None and each.name in (f"{name}-{row.network.name}", f"{name}-judge"):
            return each.value
    return None


def number(name: str, value: float | None) -> str:
    """A score as the table has it."""
    if value is None:
        return "-"
    return f"{value:.1%}" if kind_of(name).share else f"{value:.4g}"


def wrong_moves(done: list[tuple[Case, EvaluationRow]]) -> list[str]:
    """Where a score did not move as it should from level to level, beginning with no harm at all."""
    plain = done[0][1]
    told = []
    for name in dict.fromkeys(case.name for case, _ in done[1:]):
        levels = [(case, row) for case, row in done if case.name == name]
        for score, direction in levels[0][0].moves.items():
            values = [score_of(row, score) for row in (plain, *(row for _, row in levels))]
            numbers = [value for value in values if value is not None]
            steps = np.diff(numbers)
            # A score that is to stay may still be counted from other pictures of the same kind.
            as_told = (steps * direction > 0).all() if direction else not steps.any()
            if score in ("density", "coverage", "recall", "copied") and not as_told:
                # Shares that have reached an end can move no further.
                ended = [
                    step * direction > 0 or (step == 0 and numbers[place] in (0, 1))
                    for place, step in enumerate(steps)
                ]
                as_told = all(ended)
            if not as_told:
                told.append(f"{name}: {score} {' '.join(number(score, each) for each in values)}")
    return told


SHOWN = (
    *("fd", "kid", "is", "precision", "recall", "density", "coverage", "diversity", "top1"),
    *("fd by class", "copied"),
)


def halves(collection: Collection, pictures: int) -> tuple[int, np.ndarray]:
    """How many pictures the reference has, and the rows that stand for generated ones: of other
    source pictures, where these are many, so that no tile of a painting is near by nature."""
    count = len(collection.train_indices) // 2
    reference = rows_of(collection, "train", count)
    others = np.setdiff1d(collection.train_indices, reference)
    apart = others[~np.isin(collection.sources[others], collection.sources[reference])]
    rows = apart if len(apart) >= 100 else others
    # Some collections have a picture twice; one of the two would be a copy of the other.
    known = {collection.images(reference[[place]]).tobytes() for place in range(len(reference))}
    rows = np.array(
        [row for row in rows if collection.images(np.array([row])).tobytes() not in known]
    )
    return count, np.sort(np.random.default_rng(1).permutation(rows)[:pictures])


def measure(
    collection: Collection, network: FeatureNetwork, count: int, rows: np.ndarray
) -> list[tuple[Case, EvaluationRow]]:
    """Every case and its scores, against a reference of `count` training pictures."""
    evaluator = Evaluator(
        [remembering(network)], collection, resolution=collection.resolution, limit=count
    )
    subject = SubjectRecord(kind="pictures", name="real pictures")
    done = []
    for case in cases(collection, rows, rows_of(collection, "train", count)):
        record = PicturesRecord(count=len(case.subject))
        (found,) = evaluator.evaluate_subject(case.subject, subject, record)
        done.append((case, found.row))
    return done


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="masters")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--features", default="lite0")
    parser.add_argument("--weights")
    chosen = parser.parse_args()
    collection = open_or_pack(chosen.data, chosen.resolution)
    if chosen.features in SIDES:
        network = nsfwjs_network(Path(chosen.weights or "nsfwjs-4.3.0.tgz"), chosen.features)
    else:
        network = load_network(chosen.features, weights=chosen.weights)
    count, rows = halves(collection, chosen.pictures)
    print(f"{len(rows):,} pictures against {count:,} of {collection.name}, by {network.name}\n")
    done = measure(collection, network, count, rows)
    print("| case | level | " + " | ".join(SHOWN) + " |")
    print("|---|---|" + "---|" * len(SHOWN))
    for case, row in done:
        cells = [number(name, score_of(row, name)) for name in SHOWN]
        print(f"| {case.name} | {case.level:g} | " + " | ".join(cells) + " |")
    wrong = wrong_moves(done)
    print("\nevery score moved as it should" if not wrong else "\nmoved otherwise than it should:")
    for line in wrong:
        print(f"- {line}")


if __name__ == "__main__":
    run(main)
