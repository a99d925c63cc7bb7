"""The model folder: `generator.safetensors` and `model.json`, all that sampling needs.

Every checkpoint of a run contains one, so a run can be given wherever a model is expected.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.config import FIRST_STAGE, LatentConfig
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, read_json_lines, write_json
from impasto.formatting import counted, quoted
from impasto.networks import discriminator_of, generator_of
from impasto.plugin_records import networks_of, require
from impasto.sampling.building import build_bounded
from impasto.sampling.grid import grid_picture
from impasto.sampling.records import MODEL_FILE as MODEL_FILE
from impasto.sampling.records import CollectionRecord as CollectionRecord
from impasto.sampling.records import LabelRecord as LabelRecord
from impasto.sampling.records import ModelRecord as ModelRecord
from impasto.sampling.records import TunedRecord as TunedRecord
from impasto.sampling.shipped import SHIPPED, shipped_model
from impasto.sampling.step_settings import StepSettings
from impasto.sampling.tensors import read_shapes, read_tensors, write_tensors

WEIGHTS_FILE = "generator.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
BEST = "best"
"""`RUN/best` is not a folder but stands for the run's checkpoint with the best score."""
SMOOTHED_KID = "evaluation/kid-smoothed"
"""Key in a run's statistics of the score that ranks its checkpoints; lower is better."""
HUB = "hf:"
"""What the names of models on the Hugging Face hub begin with: `hf:OWNER/NAME[@REVISION]`."""
COPYING = "evaluation/copying"
"""Key in a run's statistics: 1 if the last two evaluations found more copies than chance explains."""


@dataclass(repr=False)
class Model:
    """A generator with its weights and record, ready to sample. Notebooks display the images of
    its first seeds."""

    generator: nn.Module
    record: ModelRecord
    device: torch.device | str = "cpu"
    """Device that `sample` runs on."""
    made_with: str | None = None
    """The settings that differ from those saved in the model, in words; None if there are none."""

    @property
    def latent(self) -> LatentConfig:
        return self.record.latent

    @property
    def levels(self) -> int | None:
        """The number of levels of the generator, if each may take a latent of its own; None if there is
        one latent for all."""
        return getattr(self.generator, "levels", None)

    @classmethod
    def load(
        cls,
        model: str | PathLike[str],
        device: torch.device | str = "cpu",
        *,
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        guide: str | PathLike[str] | None = None,
        aspect: str | None = None,
    ) -> "Model":
        """Load a model.

        Args:
            model: a run, one of its checkpoints (`RUN/best` for the best one), a model folder,
                `masters`, or a model of the hub as `hf:OWNER/NAME[@REVISION]`.
            device: device that `sample` runs on; the generator itself stays on the CPU.
            steps: number of sampling steps of a flow model. This and the settings below: see
                `StepSettings`. None: as saved in the model.
            sampler: ODE solver of a flow model, `heun` or `euler`.
            guidance: guidance scale of a flow model; 1 is none.
            guide: another model, for autoguidance.
            aspect: width to height, such as `3:4`, for models of several sizes.

        Raises:
            ImpastoError: not a model, damaged, of an unknown format or network, or it needs a
                plugin that is not installed; or a setting does not fit its network.
        """
        # Imported here, because it imports this module.
        from impasto.sampling.guiding import guide_of, made_with

        how = StepSettings(steps, sampler, guidance, guide, aspect)
        folder = find_model(model)
        record = ModelRecord.of(folder)
        require(record.plugins, networks_of(record.generator), folder)
        network = how.applied(
            record.generator,
            labels=len(record.labels),
            without_labels=record.learned_without_labels,
        )
        record = record.model_copy(update={"generator": network})
        generator = _filled(
            lambda: generator_of(record, record.label_sizes),
            folder / WEIGHTS_FILE,
            record.weights_sha256,
        )
        if guide is not None:
            generator.guided_by(guide_of(guide, record))  # type: ignore[operator]
        size = how.bucket(record.buckets)
        if size is not None:
            generator.paint_as(size)  # type: ignore[operator]
            record = record.of_size(size)
        return cls(generator, record, device, made_with(how))

    @classmethod
    def from_pretrained(
        cls, name: str | PathLike[str], *, revision: str | None = None, **settings: Any
    ) -> "Model":
        """Load a model as other libraries of the Hugging Face hub do.

        Args:
            name: a repository there, `OWNER/NAME`, or a folder on the disk.
            revision: a branch, tag or commit of the repository.
            settings: those of `load`.

        Raises:
            ImpastoError: as `load`.
        """
        if Path(name).is_dir():
            return cls.load(name, **settings)
        return cls.load(f"{HUB}{name}{f'@{revision}' if revision else ''}", **settings)

    def sample(
        self,
        seeds: Iterable[int] = range(16),
        classes: Mapping[str, str] | None = None,
        *,
        truncation: float | None = None,
        batch: int = 64,
        precision: str = "float32",
    ) -> np.ndarray:
        """Images [B, H, W, 3] uint8, one a seed. The same seed, classes and model always give the
        same image.

        Args:
            seeds: 0 to 4294967295 each.
            classes: label field to class, such as `{"style": "Ukiyo-e"}`. In other fields each
                seed draws a class with its frequency in the collection.
            truncation: restrict latents to +-truncation, above 0; smaller gives more typical and
                less varied images, for example 0.7.
            batch: images at a time. It changes memory and speed, not the images.
            precision: `float32`, `bfloat16` or `auto`; see `Sampler`.

        Raises:
            ImpastoError: no seeds or one out of range, an unknown field or class (the message
                lists the valid ones), or a truncation that is not positive.
        """
        # Imported here, because these modules import this one.
        from impasto.sampling.class_choice import class_numbers
        from impasto.sampling.painter import Painter
        from impasto.sampling.seeds import check_seeds

        numbers = check_seeds(seeds)
        chosen = class_numbers(self.record, classes or {})
        painter = Painter.of(self, truncation=truncation, batch=batch, precision=precision)
        return np.concatenate(list(painter.paint(numbers, painter.labels(numbers, chosen))))

    def pictures(
        self,
        seeds: Iterable[int] = range(16),
        classes: Mapping[str, str] | None = None,
        *,
        truncation: float | None = None,
        batch: int = 64,
    ) -> list[Image.Image]:
        """The images of `sample` as Pillow images."""
        found = self.sample(seeds, classes, truncation=truncation, batch=batch)
        return [Image.fromarray(picture) for picture in found]

    def grid(
        self,
        seeds: Iterable[int] = range(16),
        classes: Mapping[str, str] | None = None,
        *,
        truncation: float | None = None,
        columns: int | None = None,
        batch: int = 64,
    ) -> Image.Image:
        """The images of `sample` as one image, row by row. By default there are as many columns
        as rows."""
        found = self.sample(seeds, classes, truncation=truncation, batch=batch)
        return grid_picture(found, columns)

    def _repr_png_(self) -> bytes:
        """The images of seeds 0 to 15 as PNG, for notebooks."""
        file = io.BytesIO()
        self.grid().save(file, "PNG")
        return file.getvalue()

    def __repr__(self) -> str:
        record = self.record
        fields = "".join(f", {f.name} of {counted(len(f.classes), 'class')}" for f in record.labels)
        return (
            f"<Model {record.recipe}: {record.resolution} px{fields}, {record.images_seen:,} images "
            f"of {record.collection.name}>"
        )

    @staticmethod
    def write(
        folder: Path,
        weights: dict[str, Tensor],
        record: ModelRecord,
        discriminator: dict[str, Tensor] | None = None,
    ) -> ModelRecord:
        """Write a model into a folder; gives its record as it is there.

        Args:
            folder: does not have its final name yet; see `files.atomic_folder`.
            weights: of the generator.
            record: of the model; the digests of the weights files are filled in.
            discriminator: weights of the discriminator, which are written too.
        """
        digests: dict[str, str | None] = {
            "weights_sha256": write_tensors(folder / WEIGHTS_FILE, weights),
            "discriminator_sha256": None,
        }
        if discriminator is not None:
            path = folder / DISCRIMINATOR_FILE
            digests["discriminator_sha256"] = write_tensors(path, discriminator)
        written = record.model_copy(update=digests)
        write_json(folder / MODEL_FILE, written.model_dump(mode="json"))
        return written


def _filled(make: Callable[[], nn.Module], path: Path, sha256: str) -> nn.Module:
    """Build a network and load its weights file, on the CPU, in evaluation mode and without gradients.

    Args:
        make: builds the network that the record describes.
        path: of the weights file, which lies beside the record.
        sha256: expected digest of the weights file.

    Raises:
        ImpastoError: the file is damaged, or does not fit the network.
    """
    network = build_bounded(make, read_shapes(path), path, path.with_name(MODEL_FILE))
    network.load_state_dict(read_tensors(path, sha256))
    return network.eval().requires_grad_(False)


def load_discriminator(folder: Path) -> nn.Module:
    """The discriminator of a model folder, on the CPU, in evaluation mode.

    Raises:
        ImpastoError: the folder has none (a model exported without it), or it is damaged.
    """
    record = ModelRecord.of(folder)
    if record.discriminator is None:
        raise ImpastoError(f"{folder} was trained without a discriminator (recipe {record.recipe})")
    if record.discriminator_sha256 is None:
        raise ImpastoError(
            f"{folder} has no discriminator beside its generator; give the run it comes from, or "
            "export it again with --discriminator"
        )
    require(record.plugins, networks_of(record.discriminator), folder)
    return _filled(
        lambda: discriminator_of(record, record.label_sizes),
        folder / DISCRIMINATOR_FILE,
        record.discriminator_sha256,
    )


def checkpoint_folders(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folders = (run / "checkpoints").glob("[0-9]*")
    return sorted(each for each in folders if each.name.isdecimal() and each.is_dir())


def ranked(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Images seen at each evaluation in a run's statistics, by smoothed KID, best first; of equal
    scores the earlier first."""
    found = [
        (row[SMOOTHED_KID], row["images_seen"]) for row in rows if row.get(SMOOTHED_KID) is not None
    ]
    return [images_seen for _, images_seen in sorted(found)]


def stalled(
    rows: Sequence[Mapping[str, Any]], patience: int | None, *, only_if_copying: bool = False
) -> bool:
    """Whether the smoothed KID has not improved for `patience` images.

    Args:
        rows: a run's statistics.
        patience: images; None: never.
        only_if_copying: only if the latest evaluation also found more copies than chance explains.
    """
    moments = ranked(rows)
    if not patience or not moments or max(moments) - moments[0] < patience:
        return False
    return not only_if_copying or any(
        row.get(COPYING) for row in rows if row["images_seen"] == max(moments)
    )


def best_checkpoint(run: Path) -> Path:
    """The existing checkpoint with the best smoothed KID.

    Raises:
        ImpastoError: none of the checkpoints was evaluated.
    """
    folders = {int(folder.name): folder for folder in checkpoint_folders(run)}
    for images_seen in ranked(read_json_lines(run / "stats.jsonl")):
        if images_seen in folders:
            return folders[images_seen]
    raise ImpastoError(
        f"{run} has no best checkpoint: none was evaluated in training (evaluation.every); its newest "
        f"one is {run}"
    )


def find_model(path: str | PathLike[str]) -> Path:
    """The model folder that `path` stands for.

    Args:
        path: a model folder, which is returned as it is; a run, for its newest checkpoint;
            `RUN/best`, for its best checkpoint; a word of `shipped.py` such as `masters`, for a model
            inside the package unless a model or run of that name exists; or `hf:OWNER/NAME[@REVISION]`,
            for a model on the Hugging Face hub, which is fetched into the hub's cache.

    Raises:
        ImpastoError: none of these, or a run without a checkpoint yet.
    """
    path = Path(path).expanduser()
    if str(path).startswith(HUB):
        # Imported here, because only these names need it.
        from impasto.fetching.hub_model import fetch_model

        return fetch_model(str(path))
    if (path / MODEL_FILE).is_file():
        return path
    if path.name == BEST and not path.exists() and (path.parent / "run.json").is_file():
        return best_checkpoint(path.parent)
    if (path / "run.json").is_file():
        checkpoints = checkpoint_folders(path)
        if not checkpoints and checkpoint_folders(path / FIRST_STAGE):
            raise ImpastoError(
                f"{path} has no checkpoint of its second stage yet; there is the first one's: "
                f"{path / FIRST_STAGE}"
            )
        if not checkpoints:
            raise ImpastoError(
                f"{path} has no checkpoint yet; if it is not training, go on with: impasto resume "
                f"{quoted(path)}"
            )
        return checkpoints[-1]
    if str(path) in SHIPPED:
        return shipped_model(str(path))
    if path.is_file():
        raise ImpastoError(f"{path} is a file; give the folder of a run or of a model")
    if not path.exists():
        raise ImpastoError(f"{path} does not exist; give the folder of a run or of a model")
    raise ImpastoError(f"{path} is neither a run (no run.json) nor a model (no {MODEL_FILE})")


def run_of(path: Path) -> Path | None:
    """The run that `path` is, or is a checkpoint of (`RUN/best`, too); None for a model by itself."""
    path = path.resolve()
    runs = [path]
    if path.parent.name == "checkpoints":
        runs.append(path.parent.parent)
    if path.name == BEST and not path.exists():
        runs.append(path.parent)
    return next((run for run in runs if (run / "run.json").is_file()), None)


def name_of(path: Path) -> str:
    """Name of a run or a model for use in file names; `RUN-best` for `RUN/best`, `OWNER-NAME` for a
    model on the hub."""
    if str(path).startswith(HUB):
        return str(path).removeprefix(HUB).strip("/").replace("/", "-")
    path = path.resolve()
    return f"{path.parent.name}-{BEST}" if path.name == BEST else path.name


def export(path: Path, destination: Path, *, discriminator: bool = False) -> ModelRecord:
    """Copy the model of a run (or a model folder) to a new folder. The model is checked by
    loading it.

    Args:
        path: a run, a checkpoint or a model.
        destination: a folder that does not exist yet.
        discriminator: also export the discriminator, for choosing among samples.

    Returns:
        The record of the copy.

    Raises:
        ImpastoError: there is no model, it is damaged, or `destination` exists.
    """
    source = find_model(path)
    record = Model.load(source).record
    if discriminator:
        load_discriminator(source)
    with atomic_folder(destination) as temporary:
        return copy_model(source, temporary, record, discriminator=discriminator)


def copy_model(
    source: Path, folder: Path, record: ModelRecord, *, discriminator: bool = False
) -> ModelRecord:
    """Write a model's weights and a record into another folder; returns the record as it was written.

    The weights keep their precision and so their digest: points of the model are points of the copy.

    Args:
        source: the model's folder.
        folder: does not have its final name yet; see `files.atomic_folder`.
        record: of the copy.
        discriminator: copy the discriminator too.
    """
    theirs = read_tensors(source / DISCRIMINATOR_FILE) if discriminator else None
    return Model.write(folder, read_tensors(source / WEIGHTS_FILE), record, theirs)
