"""Training: `train`, `resume`, and `Run`."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from impasto import training
from impasto.api.judging import Evaluations, evaluate, report
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import parse_count
from impasto.messages import say
from impasto.processes import joined
from impasto.registry import recipe_modules
from impasto.sampling.model import BEST, Model, checkpoint_folders
from impasto.training.run_folder import read_run
from impasto.training.starting import chosen_start
from impasto.training.time_plan import choose_in, planned


class Run:
    """A run's folder. It is accepted in place of a path or model; notebooks show its newest grid.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a run.

        Raises:
            ImpastoError: the folder is no run.
        """
        self.path = Path(path).expanduser()
        read_run(self.path)

    @classmethod
    def _trained(cls, path: Path) -> "Run":
        """A run that was just trained. Of several processes only the first needs to have its folder."""
        run = cls.__new__(cls)
        run.path = path
        return run

    @property
    def config(self) -> RunConfig:
        """Its resolved config."""
        return read_run(self.path)[0]

    @property
    def images_seen(self) -> int:
        """Images seen at its newest checkpoint; 0 without one."""
        folders = checkpoint_folders(self.path)
        return int(folders[-1].name) if folders else 0

    def model(self, *, best: bool = False) -> Model:
        """Load its newest checkpoint, or its best one by the KID measured in training.

        Raises:
            ImpastoError: there is no such checkpoint.
        """
        return Model.load(self.path / BEST if best else self.path)

    def evaluate(self, **options: Any) -> Evaluations:
        """Score its newest checkpoint; the options are those of `impasto.evaluate`."""
        return evaluate(self.path, **options)

    def report(self) -> Path:
        """Write its page, `report.html`, and give the page's path; see `impasto.report`."""
        return report(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.images_seen:,} of {self.config.training.images:,} images>"

    def _repr_png_(self) -> bytes | None:
        """The newest grid of samples, for a notebook."""
        grids = sorted((self.path / "samples").glob("fakes-*.png"))
        return grids[-1].read_bytes() if grids else None


def list_recipes() -> list[str]:
    """The names of all recipes, for `load_recipe` and `train`, sorted."""
    return sorted(recipe_modules())


def train(
    collection: str | Path | Collection | RunConfig,
    recipe: str | Path | RunConfig | Collection | None = None,
    *,
    only: str | None = None,
    labels: str | Sequence[str] | None = None,
    images: int | str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: str | Path = "runs",
    run: str | Path | None = None,
    device: str = "auto",
    start_from: str | Path | Run | None = None,
    tensorboard: bool = False,
    time: str | None = None,
) -> Run:
    """Train a generator on a collection, in a new run folder; returns the run.

    Args:
        collection: an open collection, its folder, or the word `masters`.
        recipe: a recipe's name, or a config; None: the flagship at the collection's resolution, or the
            recipe of `start_from`. The two may be swapped if one is a config or an open collection.
        only: a condition on the pictures, such as `style=Ukiyo-e`; see `Collection.only`.
        labels: label fields to train on, one or several; None: the recipe's.
        images: real images to train for, each stage, such as 200_000 or `200k`; None: the recipe's.
        settings: changes by dotted names, such as `{"training.batch": 16}`.
        seed: of all random numbers; None: the recipe's.
        out: the folder in which the run's folder is made.
        run: the run's folder itself. If it exists, the run goes on; its config must be the same.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        start_from: a run or model (`hf:OWNER/NAME` too) whose fitting weights are copied; or `auto`.
        tensorboard: write TensorBoard events too.
        time: how long to train, such as `2h`; without a recipe, flagships of rising size.

    Raises:
        ImpastoError: a recipe, setting, column or class is unknown, or the config does not fit the
            collection, the starting model or this machine. No run is made then.
        StoppedError: Ctrl-C, after a checkpoint; `resume` continues from it.
    """
    chosen, data = _recipe_and_data(collection, recipe)
    folder, settings = None if run is None else Path(run).expanduser(), settings or {}
    start_of = partial(chosen_start, start_from, chosen, data, settings, only=only, run=folder)
    shared: dict[str, Any] = {"device": device, "run": folder}
    more = shared | {"labels": labels, "images": images, "seed": seed, "only": only, "time": time}
    with joined() as processes:
        start = processes.on_first(start_of)
        choice = choose_in(processes, chosen, data, settings, start_from=start.model, **more)
        if choice.note is not None:
            say(choice.note, to_stderr=True)
        made = training.train(
            choice.config,
            choice.collection,
            out=Path(out).expanduser(),
            recipe_text=choice.recipe_text,
            tensorboard=tensorboard,
            start_from=start.model,
            planned=planned(start, time),
            **shared,
        )
    return Run._trained(made)


def _recipe_and_data(
    first: str | Path | Collection | RunConfig, second: str | Path | Collection | RunConfig | None
) -> tuple[str | RunConfig | None, str | Path | Collection | None]:
    """Tell the recipe and the collection apart among the two arguments of `train`.

    Raises:
        ImpastoError: both are configs, or both are collections.
    """
    turned = isinstance(first, RunConfig) or isinstance(second, Collection)
    recipe, data = (first, second) if turned else (second, first)
    if isinstance(data, RunConfig):
        raise ImpastoError("two configs are given; give one, and a collection to train on")
    if isinstance(recipe, Collection):
        raise ImpastoError("two collections are given; give one, and a recipe")
    return str(recipe) if isinstance(recipe, Path) else recipe, data


def resume(
    run: str | Path | Run,
    *,
    data: str | Path | Collection | None = None,
    device: str | None = None,
    images: int | str | None = None,
) -> Run:
    """Continue an interrupted run from its newest checkpoint; with `images`, also a finished one.

    On the CPU the final weights are bit for bit those of an uninterrupted run.

    Args:
        run: its folder.
        data: its collection's folder, if it has moved.
        device: another device than before.
        images: train until this many real images in all.

    Raises:
        ImpastoError: it is no run, it cannot continue to `images`, or its collection is missing or
            has changed.
        StoppedError: Ctrl-C, after a checkpoint.
    """
    place = data.path if isinstance(data, Collection) else data
    return Run._trained(
        training.resume(
            Path(run).expanduser(),
            data=None if place is None else str(place),
            device=device,
            images=None if images is None else parse_count(images),
        )
    )
