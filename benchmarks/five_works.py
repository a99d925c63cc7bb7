"""The five works at length on real paintings, and figures made from their runs.

    python -m benchmarks.five_works --paintings paintings --makers makers --runs RUNS [RUN ...]
    python -m benchmarks.five_works --runs RUNS --figures FOLDER [RUN ...]

The first trains the runs named (by default all, one after the other) as `impasto train` does, on one
thread, and goes on with those that were stopped. `--paintings` is packed with labels `style`, `--makers`
with labels `artist` and `--min-class 37`, both from a folder of some 2,000 paintings:

    impasto pack PAINTINGS paintings --fit squash --resolution 64,256 --labels style,genre
    impasto pack PAINTINGS makers --fit squash --resolution 64,256 --labels artist --min-class 37

The second writes, for each run that there is, the losses (`RUN-losses.svg`), a part of the grid at five
moments side by side (`RUN.jpg`), and lengths, mean losses of twenty parts, findings and scores
(`RUN.json`).
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks._command import run as run_command
from benchmarks.five_systems import CRITIC, EMA, NARROW, TWO_STAGES
from impasto.errors import ImpastoError
from impasto.files import write_text
from impasto.reporting.findings import run_findings
from impasto.reporting.record import RunRecord, read_record

MOMENTS = 5
COLUMNS, ROWS = 4, 4
"""Pictures of the grid that a moment shows."""
PARTS = 20
"""Parts of a run whose mean losses are written."""
NARROW_ARTGAN = {**NARROW, "training.batch": 32}
# The authors' five critic steps, and as many batches of pretraining as theirs.
AUTHORS_CRITIC = {
    **CRITIC,
    "training.discriminator_steps": 5,
    "training.pretrain_images": 32_000,
    "training.balance": "style",
}
NARROW_PUBLISHED = {**EMA, "training.batch": 16, "generator.width": 16, "discriminator.width": 32}


@dataclass(frozen=True)
class Work:
    """A run: `impasto train RECIPE --images N` with labels, a part, and settings."""

    recipe: str
    images: int
    settings: dict[str, Any] = field(default_factory=dict)
    labels: str | None = None
    only: str | None = None
    makers: bool = False
    """Trained on the collection with the commonest makers as classes."""

    def arguments(self, collection: Path, run: Path) -> list[str]:
        """Of `impasto`, to begin this run or to go on with it."""
        options = ["train", self.recipe, "--data", str(collection), "--images", str(self.images)]
        if self.labels:
            options += ["--labels", self.labels]
        if self.only:
            options += ["--only", self.only]
        for name, value in self.settings.items():
            options += ["--set", f"{name}={'null' if value is None else value}"]
        return [*options, "--run", str(run)]


WORKS: dict[str, Work] = {
    # 300, 100 and 400 epochs of the authors' 2,235 pictures.
    "ukiyoe-v1": Work("ukiyoe_dcgan_v1", 670_500),
    "ukiyoe-v2": Work("ukiyoe_dcgan_v2", 223_500),
    "ukiyoe-v3": Work("ukiyoe_dcgan_v3", 894_000),
    # 2,000 steps, where the author has 12,726: on all styles as many as on one.
    "wikiart-all": Work("wikiart_dcgan", 256_000),
    "wikiart-ukiyoe": Work("wikiart_dcgan", 256_000, only="style=Ukiyo-e"),
    # 60 epochs of 1,817 pictures.
    "artgan-plain": Work("artgan", 109_020, NARROW_ARTGAN),
    "artgan-flips": Work("artgan_tricks", 109_020, {**NARROW_ARTGAN, "training.real_noise": 0}),
    "artgan-noise": Work(
        "artgan_tricks", 109_020, {**NARROW_ARTGAN, "objective.categorical.flip": 0}
    ),
    "artgan-both": Work("artgan_tricks", 109_020, NARROW_ARTGAN),
    "artgan-published": Work("artgan_published", 64_000, NARROW_PUBLISHED),
    "gangogh-pretrained": Work("gangogh", 160_000, AUTHORS_CRITIC, labels="style"),
    "gangogh-plain": Work(
        "gangogh", 160_000, {**AUTHORS_CRITIC, "training.pretrain_images": 0}, labels="style"
    ),
    "gangogh-makers": Work(
        "gangogh",
        160_000,
        {**AUTHORS_CRITIC, "training.balance": "artist"},
        labels="artist",
        makers=True,
    ),
    "gantor-v1": Work("gantor_v1", 18_000, {**TWO_STAGES, "first_stage.training.images": 72_000}),
    "gantor-v2": Work(
        "gantor_v2",
        18_000,
        {**TWO_STAGES, "first_stage.training.images": 72_000},
        labels="artist",
        makers=True,
    ),
}


def _spread(count: int, most: int) -> list[int]:
    """At most so many places of a row, evenly spread, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def strip(record: RunRecord) -> Image.Image | None:
    """The same places of the grid at five moments, side by side; None without grids."""
    grids = [(images, path) for images, path in record.grids if images]
    if not grids:
        return None
    side = record.count("config", "resolution")
    assert side is not None
    gap = side // 8
    crops = []
    for place in _spread(len(grids), MOMENTS):
        with Image.open(grids[place][1]) as grid:
            crops.append(grid.convert("RGB").crop((0, 0, COLUMNS * side, ROWS * side)))
    width = len(crops) * COLUMNS * side + (len(crops) - 1) * gap
    whole = Image.new("RGB", (width, ROWS * side), "white")
    for number, crop in enumerate(crops):
        whole.paste(crop, (number * (COLUMNS * side + gap), 0))
    return whole if width <= 2_000 else whole.resize((2_000, ROWS * side * 2_000 // width))


def losses(record: RunRecord, path: Path) -> None:
    """Both losses over the run's iterations, as an SVG that reads on light and dark ground."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    grey = "#808080"
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(7, 2.2), layout="constrained")
        steps = record.series["step"]
        for name, colour in (("discriminator", "#1b7f79"), ("generator", "#d1603d")):
            values = record.series.get(f"loss/{name}")
            if values is not None:
                axes.plot(steps, values, color=colour, linewidth=0.8, label=name)
        axes.set_xlabel("iteration", color=grey)
        axes.set_ylabel("loss", color=grey)
        axes.tick_params(colors=grey)
        axes.legend(frameon=False, labelcolor=grey, loc="upper left", ncols=2)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(grey)
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def key_figures(record: RunRecord) -> dict[str, Any]:
    """Lengths, mean losses of twenty parts, findings, and the overall scores of all evaluations."""
    parts = [
        part for part in np.array_split(np.arange(len(record.images_seen)), PARTS) if len(part)
    ]
    means = {
        name: [_mean(values[part]) for part in parts]
        for name, values in record.series.items()
        if name.startswith(("loss/", "score/", "accuracy/")) and not name.endswith("/max")
    }
    return {
        "recipe": record.get("config", "recipe"),
        "images": record.images_done,
        "steps": record.steps,
        "epochs": round(record.images_done / record.pictures, 1) if record.pictures else None,
        "images_at": [int(record.images_seen[part[-1]]) for part in parts],
        "means": means,
        "findings": [
            {"kind": found.kind, "from": found.began_at_images, "sentence": found.sentence}
            for found in run_findings(record)
        ],
        "scores": [
            {
                "images": row.subject.images_seen,
                "pictures": row.pictures.count,
                **{
                    score.name: [round(float(value), 4) for value in (score.value, *_ends(score))]
                    for score in row.scores
                    if score.field is None and score.value is not None
                },
            }
            for row in record.evaluations
        ],
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of the finite values; None without any."""
    known = values[np.isfinite(values)]
    return round(float(known.mean()), 4) if len(known) else None


def _ends(score: Any) -> tuple[float, ...]:
    return () if score.low is None else (score.low, score.high)


def write_figures(runs: Path, names: list[str], out: Path) -> None:
    """Write the figures of the runs that there are."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        for folder, slug in ((runs / name, name), (runs / name / "stage-1", f"{name}-stage-1")):
            if not (folder / "stats.jsonl").exists():
                continue
            record = read_record(folder)
            picture = strip(record)
            if picture is not None:
                picture.save(out / f"{slug}.jpg", quality=82, optimize=True)
            losses(record, out / f"{slug}-losses.svg")
            text = json.dumps(key_figures(record), indent=1, allow_nan=False)
            write_text(out / f"{slug}.json", text + "\n")
            print(f"{slug}: {record.images_done:,} images", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="RUN", help="; ".join(WORKS))
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("--makers", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    names = options.names or list(WORKS)
    if unknown := [name for name in names if name not in WORKS]:
        raise ImpastoError(f"no run here is called {unknown[0]}; there are {', '.join(WORKS)}")
    if options.figures is not None:
        write_figures(options.runs, names, options.figures)
        return
    for name in names:
        work = WORKS[name]
        collection = options.makers if work.makers else options.paintings
        if collection is None:
            raise ImpastoError(f"{name} needs --{'makers' if work.makers else 'paintings'}")
        command = [
            sys.executable,
            "-m",
            "impasto",
            *work.arguments(collection, options.runs / name),
        ]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        if code := subprocess.run(command, env=one_thread).returncode:
            sys.exit(code)


if __name__ == "__main__":
    run_command(main)
