"""Checkpoints: a folder each, named by images seen, visible only once it is whole.

    checkpoints/000000012288/
        generator.safetensors, model.json    the averaged generator, a model folder of its own
        discriminator.safetensors            the discriminator, part of that model
        state.safetensors, state.json        the generator, both optimisers, the clock, the state of
                                             adaptive augmentation, and the doctor's interventions

There are no random states to save: torch is seeded for every portion of a
batch from the run's seed and the numbers of step, update and portion (`portions.py`), and the order of
pictures is a function of the clock.
"""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from impasto.asking import is_held
from impasto.config import Config, read_record
from impasto.errors import ImpastoError
from impasto.files import PointerError, atomic_folder, write_json
from impasto.sampling.model import (
    DISCRIMINATOR_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    Model,
    ModelRecord,
    checkpoint_folders,
    load_discriminator,
)
from impasto.sampling.tensors import read_tensors, write_tensors
from impasto.training.doctor import DivergedError, Intervention
from impasto.training.state import TrainState

STATE_FILE = "state.safetensors"
STATE_RECORD = "state.json"
_FILES = {WEIGHTS_FILE, DISCRIMINATOR_FILE, MODEL_FILE, STATE_FILE, STATE_RECORD}
"""The files of a checkpoint that training writes; others were added by the user, such as favourites."""
_TAKEN_BACK = "taken-back"


class StateRecord(Config):
    """The contents of `state.json`: the clock, the doctor's interventions, and the digest of
    `state.safetensors`."""

    format: Literal[1] = 1
    images_seen: int
    steps: int
    seconds: float
    state_sha256: str
    interventions: tuple[Intervention, ...] = ()


def _optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}.{index}.{key}": value
        for index, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
    }


def _restore_optimiser(
    name: str, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        owner, _, rest = path.partition(".")
        if owner != name:
            continue
        index, _, key = rest.partition(".")
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            # Saved in plain order; fused optimisers walk a weight and its moments side by side in
            # memory, so these must lie as the weight does (channels-last, say).
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )


def save(run: Path, state: TrainState, model: ModelRecord) -> Path:
    """Write a checkpoint of the current state, unless there is one of it already; returns its folder.

    Raises:
        ImpastoError: it cannot be written; earlier checkpoints are untouched.
        DivergedError: weights are not finite; no checkpoint is written then.
    """
    folder = run / "checkpoints" / f"{state.images_seen:012d}"
    if folder.exists():
        return folder
    tensors = {f"generator.{k}": v for k, v in state.generator.state_dict().items()}
    tensors |= {f"memory.{k}": v for k, v in state.memory.state_dict().items()}
    discriminator = state.discriminator.state_dict()
    for name, optimiser in state.optimisers.items():
        tensors |= _optimiser_tensors(name, optimiser)
    if state.adaptive is not None:
        tensors["augment"] = state.adaptive.state
    average = state.average.state_dict()
    kept = [*tensors.values(), *discriminator.values(), *average.values()]
    if not all(bool(v.isfinite().all()) for v in kept if v.is_floating_point()):
        raise DivergedError("not finite", "The networks' weights are no longer finite numbers.")
    with atomic_folder(folder) as temporary:
        Model.write(temporary, average, model, discriminator or None)
        digest = write_tensors(temporary / STATE_FILE, tensors)
        record = StateRecord(
            images_seen=state.images_seen,
            steps=state.steps,
            seconds=round(state.seconds, 3),
            state_sha256=digest,
            interventions=state.interventions,
        )
        write_json(temporary / STATE_RECORD, record.model_dump())
    return folder


def go_back(run: Path, folder: Path, interventions: Sequence[Intervention]) -> list[Path]:
    """Make `folder` the newest checkpoint, with these interventions in its record.

    Later checkpoints are removed. Those to which the user has added files, such as favourites, become
    models in `RUN/taken-back` instead. If the process is killed on the way, the run resumes from a later
    checkpoint that is still there, diverges again and gets here again.

    Returns:
        The folders of these models.

    Raises:
        ImpastoError: it is damaged, or cannot be written.
    """
    record = read_record(folder / STATE_RECORD, "checkpoint", StateRecord)
    changed = record.model_copy(update={"interventions": tuple(interventions)})
    write_json(folder / STATE_RECORD, changed.model_dump())
    kept = []
    for later in checkpoint_folders(run):
        if later <= folder:
            continue
        if _has_more(later):
            kept.append(_take_back(run, later))
        else:
            _remove(later)
    return kept


def _take_back(run: Path, folder: Path) -> Path:
    """Move a checkpoint to `RUN/taken-back`, as a model that the run does not resume from; returns its
    folder."""
    run.joinpath(_TAKEN_BACK).mkdir(exist_ok=True)
    place = run / _TAKEN_BACK / folder.name
    times = 1
    while place.exists():  # it was taken back before
        times += 1
        place = place.with_name(f"{folder.name}-{times}")
    folder.rename(place)
    for name in (STATE_FILE, STATE_RECORD):  # only resuming needs them
        (place / name).unlink(missing_ok=True)
    return place


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read into memory."""

    folder: Path
    record: StateRecord
    tensors: dict[str, Tensor]
    """Of the generator, of the optimisers, of the objective's memory, and of adaptive augmentation."""
    average: dict[str, Tensor]
    discriminator: dict[str, Tensor]
    advice: str
    """What the user can do if it is damaged or does not fit: a clause for error messages."""

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises:
            ImpastoError: it is damaged or cut short.
        """
        earlier = [other for other in checkpoint_folders(folder.parent.parent) if other < folder]
        place = f"from {int(earlier[-1].name)} images" if earlier else "from the beginning"
        advice = f"remove {folder} and resume again to go on {place}"
        try:
            record = read_record(folder / STATE_RECORD, "checkpoint", StateRecord)
            tensors = read_tensors(folder / STATE_FILE, record.state_sha256)
            model = Model.load(folder)
            average, discriminator = model.generator.state_dict(), {}
            if model.record.discriminator is not None:
                discriminator = load_discriminator(folder).state_dict()
        except PointerError:
            raise  # nothing is lost: the checkpoint only waits to be fetched
        except ImpastoError as error:
            raise ImpastoError(f"{error}, or {advice}") from error
        return cls(folder, record, tensors, average, discriminator, advice)

    def put_into(self, state: TrainState) -> None:
        """Make it the state of training.

        Raises:
            ImpastoError: it does not fit these networks.
        """
        tensors = self.tensors
        try:
            for name, module in (("generator.", state.generator), ("memory.", state.memory)):
                module.load_state_dict(
                    {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
                )
            state.discriminator.load_state_dict(self.discriminator)
            state.average.load_state_dict(self.average)
            for name, optimiser in state.optimisers.items():
                _restore_optimiser(name, optimiser, tensors)
            if state.adaptive is not None:
                state.adaptive.state.copy_(tensors["augment"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ImpastoError(
                f"{self.folder} does not fit the networks of this run "
                f"({str(error).splitlines()[0]}); {self.advice}"
            ) from error
        state.images_seen = self.record.images_seen
        state.steps = self.record.steps
        state.seconds = self.record.seconds
        state.interventions = self.record.interventions


def prune(
    run: Path,
    keep_newest: int,
    keep_every: int | None,
    interval: int,
    best: Collection[int] = (),
) -> None:
    """Remove the checkpoints of a run that are not to be kept.

    Kept are the newest, every n-th scheduled one, the best, those to which the user has added files
    (favourites need the very weights that painted them), and for a while those that are held
    (`asking.py`). The newest scheduled ones stay too, because the doctor goes back to these only.

    A checkpoint is the n-th by the images seen, not by counting folders, so interrupting a run does not
    change which ones are kept.

    Args:
        run: the run's folder.
        keep_newest: how many of the newest checkpoints, and of the newest scheduled ones, stay.
        keep_every: every so many-th scheduled one stays; None: none but for the other reasons.
        interval: images between two scheduled checkpoints.
        best: images seen at the best checkpoints.
    """
    folders, planned = checkpoint_folders(run), scheduled(run, interval)
    kept = {*folders[-keep_newest:], *planned[-keep_newest:]}
    if keep_every:
        kept |= {
            each
            for each in planned
            if (place := int(each.name) // interval) and not place % keep_every
        }
    for folder in folders:
        wanted = folder in kept or int(folder.name) in best
        if not wanted and not _has_more(folder) and not is_held(folder):
            _remove(folder)


def _has_more(folder: Path) -> bool:
    """Whether the user has added files to a checkpoint's folder."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    return bool(names - _FILES)


def scheduled(run: Path, interval: int) -> list[Path]:
    """The checkpoints that a run writes on schedule, not because it was stopped, oldest first: the first
    of each interval, and one of 0 images if there is any."""
    first: dict[int, Path] = {}
    for folder in checkpoint_folders(run):
        first.setdefault(int(folder.name) // interval, folder)
    return [folder for place, folder in first.items() if place > 0 or int(folder.name) == 0]


def _remove(folder: Path) -> None:
    # Renamed first, so that an interrupted removal does not leave half a checkpoint.
    doomed = folder.with_name(f".{folder.name}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
