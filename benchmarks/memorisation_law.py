"""From how many images on a generator copies its training pictures, for few and for many of them.

    python -m benchmarks.memorisation_law [--data masters] [--pictures 19,200,1800]
        [--recipes flagship_64,flow_64] [--at 10k,20k,50k,100k,200k] [--generated 500] [--seed 0]
        [--features lite0|mobilenet_v2|inception_v3] [--weights FILE] [--set NAME=VALUE]
        [--out memorisation-law]

For each number of source pictures a part of the collection is chosen, each part within the next larger
one, and each recipe is trained on it without labels. At each of the moments `--at`, in images, its
averaged generator makes pictures. These are compared with the part's training pictures:

- **copied**, as in impasto/evaluation/memorisation.py: the share that is nearer to a training picture
  than 99% of real pictures that were not learned are, which are all other pictures of the collection.
- **fd**: the Fréchet distance to all training pictures of the collection, with `real`, the part's own
  distance to these, beside it. It says when the pictures become good, and what a part can reach.

The last table has the images at which a tenth is copied, by linear interpolation between moments, in
logarithms of the images. If these grow with the number of pictures while the images until the pictures
are good do not, there is a time in between at which to stop (Bonnaire et al. 2025, arXiv:2505.17638).

Runs are in `--out`, and so is a line of results.jsonl for each moment. Stopped with Ctrl-C or killed,
the same command goes on; later moments prolong the runs that are there.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._command import run as run_command
from benchmarks._nsfwjs import SIDES
from benchmarks._nsfwjs import load as nsfwjs_network
from impasto.collection import Collection, open_or_pack
from impasto.config import RunConfig
from impasto.evaluation.memorisation import RealPictures, memorisation
from impasto.evaluation.reference import Reference, collection_features
from impasto.features import FeatureNetwork, load_network
from impasto.files import check_writable, read_json_lines
from impasto.formatting import parse_count
from impasto.metrics import Moments
from impasto.metrics.frechet import frechet_distance
from impasto.registry import load_recipe
from impasto.resolution import Resolution
from impasto.sampling import Model
from impasto.sampling.model import checkpoint_folders
from impasto.settings import change, parse_settings
from impasto.training import resume, train

RESULTS = "results.jsonl"
COPIED = 0.1
"""The share of the last table."""
_AT_ONCE = 100


@dataclass(frozen=True)
class Case:
    """A run: a recipe and a number of source pictures."""

    recipe: str
    pictures: int
    seed: int
    out: Path

    @property
    def run(self) -> Path:
        return self.out / f"{self.recipe}-{self.pictures}-{self.seed}"


def part_of(collection: Collection, count: int, seed: int) -> Collection:
    """The part with `count` of the training split's source pictures, at most all; of one seed, a
    smaller part lies within a larger one."""
    sources = np.unique(collection.sources[collection.train_indices])
    if count >= len(sources):
        return collection
    chosen = np.random.default_rng(seed).permutation(sources)[:count]
    table = collection.source_table()
    names = ", ".join("'" + table[source]["sha256"] + "'" for source in np.sort(chosen).tolist())
    return collection.only(f"sha256 in ({names})")


def config_of(case: Case, settings: Mapping[str, Any], images: int) -> RunConfig:
    """The recipe without labels and evaluations, with intervals that do not depend on its length, so
    that a run may be prolonged."""
    plain = {
        "labels": [],
        "evaluation.every": 0,
        "training.seed": case.seed,
        "training.images": images,
        "training.stats_every": 2_000,
        "training.samples_every": 20_000,
        "training.checkpoint_every": 20_000,
        "training.keep_every": None,
    }
    config: RunConfig = change(load_recipe(case.recipe)(), {**plain, **settings})
    return config


def trained_to(case: Case, part: Collection, settings: Mapping[str, Any], images: int) -> Path:
    """The case's run, trained until it has seen so many images."""
    if not (case.run / "run.json").exists():
        return train(config_of(case, settings, images), part, run=case.run, device="auto")
    newest = [int(folder.name) for folder in checkpoint_folders(case.run)]
    length = json.loads((case.run / "run.json").read_text())["config"]["training"]["images"]
    if max(newest, default=0) < length:  # it was stopped
        resume(case.run)
    return case.run if length >= images else resume(case.run, images=images)


class Judge:
    """A feature network, and what it sees of all real pictures of a collection."""

    def __init__(self, network: FeatureNetwork, collection: Collection, size: Resolution) -> None:
        self.network = network
        (self.training,) = collection_features([network], collection, resolution=size)
        self.heldout: Reference | None = None
        if len(collection.heldout_indices):
            (self.heldout,) = collection_features(
                [network], collection, resolution=size, split="heldout"
            )

    def learned_and_unseen(self, part: Collection) -> tuple[RealPictures, RealPictures]:
        """The part's training pictures, and all pictures of sources that it has none of."""
        mine = np.isin(self.training.rows, part.train_indices)
        sources = np.unique(self.training.sources[mine])
        references = [self.training] if self.heldout is None else [self.training, self.heldout]
        others = [_some(each, ~np.isin(each.sources, sources)) for each in references]
        unseen = RealPictures(
            torch.cat([each.features for each in others]),
            np.concatenate([each.rows for each in others]),
            np.concatenate([each.sources for each in others]),
        )
        return _some(self.training, mine), unseen

    def fd(self, features: torch.Tensor) -> float:
        """The Fréchet distance of pictures with these features to all training pictures."""
        mine, real = Moments.of(features), Moments.of(self.training.sample.features)
        return frechet_distance(mine.mean, mine.covariance, real.mean, real.covariance)


def _some(reference: Reference, chosen: np.ndarray) -> RealPictures:
    features = reference.sample.features[torch.from_numpy(chosen)]
    return RealPictures(features, reference.rows[chosen], reference.sources[chosen])


def score(run: Path, part: Collection, judge: Judge, generated: int) -> dict[str, float | None]:
    """What the averaged generator's pictures of the first seeds are like."""
    model = Model.load(run)
    features = torch.cat(
        [
            judge.network(
                torch.from_numpy(model.sample(range(first, min(first + _AT_ONCE, generated))))
            )
            .features.float()
            .cpu()
            for first in range(0, generated, _AT_ONCE)
        ]
    )
    learned, unseen = judge.learned_and_unseen(part)
    found = memorisation(features, learned, unseen)
    low, high = found.interval or (None, None)
    return {
        "copied": found.copied,
        "low": low,
        "high": high,
        "by_chance": found.expected_at_most,
        "nearer": found.nearer,
        "fd": judge.fd(features),
        "fd_real": judge.fd(learned.features),
    }


# Results


def images_until(rows: Iterable[Mapping[str, Any]], share: float) -> float | None:
    """The images at which a share is copied, by interpolation between moments of one run; None if it is
    never that many.

    Where the first moment has more, it is that moment's images: it may have been earlier.
    """
    before: Mapping[str, Any] | None = None
    for row in sorted(rows, key=lambda row: int(row["images"])):
        if row["copied"] is None:
            continue
        if row["copied"] >= share:
            if before is None:
                return float(row["images"])
            way = (share - before["copied"]) / (row["copied"] - before["copied"])
            first, last = math.log(before["images"]), math.log(row["images"])
            return math.exp(first + way * (last - first))
        before = row
    return None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """All moments of all runs, then the images until `COPIED`."""
    lines = [
        "| recipe | pictures | images | copied | 95% interval | by chance | nearer | fd | real |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["recipe"], row["pictures"], row["seed"]), []).append(row)
    for (recipe, pictures, _), mine in sorted(groups.items()):
        for row in sorted(mine, key=lambda row: int(row["images"])):
            between = "-" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"
            shares = [
                "-" if row[name] is None else f"{row[name]:.1%}"
                for name in ("copied", "by_chance", "nearer")
            ]
            cells = [recipe, f"{pictures:,}", f"{row['images']:,}", shares[0], between, *shares[1:]]
            cells += [f"{row[name]:.1f}" for name in ("fd", "fd_real")]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"| recipe | pictures | seed | images until {COPIED:.0%} are copied |"]
    lines.append("|---|---|---|---|")
    for (recipe, pictures, seed), mine in sorted(groups.items()):
        images = images_until(mine, COPIED)
        most = max(int(row["images"]) for row in mine)
        text = f"not in {most:,}" if images is None else f"{images:,.0f}"
        lines.append(f"| {recipe} | {pictures:,} | {seed} | {text} |")
    return "\n".join(lines)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="masters")
    parser.add_argument("--pictures", default="19,200,1800", help="numbers of source pictures")
    parser.add_argument("--recipes", default="flagship_64,flow_64")
    parser.add_argument("--at", default="10k,20k,50k,100k,200k", help="images")
    parser.add_argument("--generated", type=int, default=500, help="pictures to compare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", default="lite0")
    parser.add_argument("--weights")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, default=Path("memorisation-law"))
    given = parser.parse_args()
    moments = sorted(parse_count(text) for text in given.at.split(","))
    settings = parse_settings(given.set)
    cases = [
        Case(recipe, int(count), given.seed, given.out)
        for recipe in given.recipes.split(",")
        for count in given.pictures.split(",")
    ]
    check_writable(given.out)
    if given.features in SIDES:
        network = nsfwjs_network(Path(given.weights or "nsfwjs-4.3.0.tgz"), given.features)
    else:
        network = load_network(given.features, weights=given.weights)
    size = config_of(cases[0], settings, 1).resolution
    collection = open_or_pack(given.data, size)
    judge = Judge(network, collection, size)
    results = given.out / RESULTS
    for images in moments:  # a moment of all runs, then the next
        for case in cases:
            _moment(case, images, given.generated, collection, judge, settings, results)
    print(table(read_json_lines(results)))


def _moment(
    case: Case,
    images: int,
    generated: int,
    collection: Collection,
    judge: Judge,
    settings: Mapping[str, Any],
    results: Path,
) -> None:
    """Train a case until a moment, score it, and write its row, unless that is there."""
    known: dict[str, Any] = {
        "recipe": case.recipe,
        "pictures": case.pictures,
        "seed": case.seed,
        "at": images,
        "features": judge.network.name,
        "generated": generated,
    }
    if any(known.items() <= row.items() for row in read_json_lines(results)):
        return
    part = part_of(collection, case.pictures, case.seed)
    run = trained_to(case, part, settings, images)
    seen = int(checkpoint_folders(run)[-1].name)
    row = {**known, "images": seen, **score(run, part, judge, generated)}
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(
        f"{case.run.name}, {seen:,} images: copied {row['copied']}, fd {row['fd']:.1f}", flush=True
    )


if __name__ == "__main__":
    run_command(main)
