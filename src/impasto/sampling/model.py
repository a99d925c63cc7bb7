"""The model folder: `generator.safetensors` + `model.json`, all that sampling needs.

Every checkpoint of a run holds one, so a run can stand wherever a model is asked for.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, read_json, sha256_of_file, write_json
from impasto.networks import build_generator

FORMAT = 1
WEIGHTS_FILE = "generator.safetensors"
MODEL_FILE = "model.json"


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file; nothing in it is ever executed.

    Args:
        path: the file.
        sha256: what the file's digest must be, where that is known.

    Raises:
        ImpastoError: the file is missing, cut short, changed, a pickle, or no safetensors.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ImpastoError(f"{path} is missing; the folder is incomplete") from None
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        tensors: dict[str, Tensor] = load_safetensors(content)
    except SafetensorError as error:
        # Pickles of PyTorch are a zip archive, or a bare pickle stream in old files. A safetensors
        # file may begin with the same bytes (its header's length), so it is tried first.
        if content[:2] == b"PK" or content[:1] == b"\x80":
            raise ImpastoError(
                f"{path} is a pickle, which could run any code when loaded; impasto reads "
                "safetensors only: ask whoever made it for a safetensors file"
            ) from None
        raise ImpastoError(f"{path} is cut short or damaged ({error}); restore a copy") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ImpastoError(f"{path} is not the file that was saved (its SHA-256 differs)")
    return tensors


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Write tensors as safetensors; gives the file's SHA-256. `path` should lie in a folder that is
    not yet visible under its final name, see `files.atomic_folder`."""
    path.write_bytes(save_safetensors({k: v.contiguous().cpu() for k, v in tensors.items()}))
    return sha256_of_file(path)


@dataclass
class Model:
    """A generator ready to sample, and what is known of it."""

    generator: nn.Module
    latent: LatentConfig
    record: dict[str, Any]
    """What `model.json` holds: recipe, sizes, label classes, collection, images seen."""

    @property
    def resolution(self) -> int:
        return int(self.record["resolution"])

    @property
    def label_classes(self) -> dict[str, list[str]]:
        """The fields the generator is conditioned on, each with its classes in order."""
        return {field["name"]: list(field["classes"]) for field in self.record["labels"]}

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Load a model folder on the CPU.

        Raises:
            ImpastoError: not a model folder, damaged, or of an unknown format or network.
        """
        record = read_json(folder / MODEL_FILE, "model")
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise ImpastoError(
                f"{folder / MODEL_FILE} has a format this version of impasto does not know; "
                "use the version that wrote it, or a newer one"
            )
        tensors = read_tensors(folder / WEIGHTS_FILE, record["weights_sha256"])
        network = NetworkConfig.model_validate(record["generator"])
        latent = LatentConfig.model_validate(record["latent"])
        generator = build_generator(
            network.network,
            network.options,
            latent_dim=latent.dim,
            resolution=record["resolution"],
            label_sizes=tuple(len(field["classes"]) for field in record["labels"]),
        )
        try:
            generator.load_state_dict(tensors)
        except RuntimeError as error:
            raise ImpastoError(
                f"{folder / WEIGHTS_FILE} does not fit the network in {MODEL_FILE}: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error
        return cls(generator.eval().requires_grad_(False), latent, record)

    @staticmethod
    def write(folder: Path, weights: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Write the two files into `folder`, which is not yet visible under its final name."""
        sha256 = write_tensors(folder / WEIGHTS_FILE, weights)
        write_json(folder / MODEL_FILE, {"format": FORMAT, **record, "weights_sha256": sha256})


def find_model(path: Path) -> Path:
    """The model folder that `path` means: itself, or the newest checkpoint of a run.

    Raises:
        ImpastoError: neither; or a run without a checkpoint yet.
    """
    if (path / MODEL_FILE).is_file():
        return path
    if (path / "run.json").is_file():
        checkpoints = sorted(
            folder for folder in (path / "checkpoints").glob("[0-9]*") if folder.is_dir()
        )
        if not checkpoints:
            raise ImpastoError(f"{path} has no checkpoint yet; go on with: impasto resume {path}")
        return checkpoints[-1]
    if path.is_file():
        raise ImpastoError(f"{path} is a file; give the folder of a run or of a model")
    if not path.exists():
        raise ImpastoError(f"{path} does not exist; give the folder of a run or of a model")
    raise ImpastoError(f"{path} is neither a run (no run.json) nor a model (no {MODEL_FILE})")


def export(path: Path, destination: Path) -> Path:
    """Copy the model of a run (or a model folder) to a folder of its own, checked on the way.

    Raises:
        ImpastoError: nothing to export, it is damaged, or `destination` exists.
    """
    source = find_model(path)
    Model.load(source)
    with atomic_folder(destination) as temporary:
        for name in (WEIGHTS_FILE, MODEL_FILE):
            shutil.copyfile(source / name, temporary / name)
    return source


def to_uint8(images: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [-1, 1] to [B, H, W, 3] uint8, rounded."""
    levels = (images.float() * 127.5 + 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)
