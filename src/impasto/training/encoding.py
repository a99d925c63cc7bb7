"""The training pictures of a collection as latents of an autoencoder, kept in the cache.

An entry of `$IMPASTO_CACHE/latents` is a folder for a content hash, a choice of pictures, the encoder's
weights and a resolution. It has a file for every few pictures. Each file appears whole and is named
by its digest, so that encoding goes on where it was interrupted, and a damaged file is made again.
"""

import contextlib
import hashlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import StoppedError
from impasto.files import cache_folder, check_writable, lock, write_bytes, write_error
from impasto.messages import say
from impasto.networks import autoencoder_of
from impasto.progress import ProgressLine
from impasto.resolution import times
from impasto.sampling.output import slugs
from impasto.sampling.pixels import as_images

DEVIATION = 0.5
"""Standard deviation of the latents that a generator learns: about that of pictures in [-1, 1], so that
settings mean the same for both. Karras et al. 2024 (arXiv:2312.02696) do so too."""
_PICTURES = 32
"""Pictures in a file of the cache."""
_FEW = 8
"""Pictures that are encoded where only the speed of steps is measured."""


@dataclass(frozen=True)
class Latents:
    """The latents of training pictures, in float16 as the encoder gives them."""

    files: tuple[np.ndarray, ...]
    """[n, M, C, h, w] each, with n = `_PICTURES` except in the last; M is 2 with mirrored pictures,
    else 1."""
    count: int
    """Number of pictures in the files. Larger indices wrap around, see `load_some_latents`."""
    seconds: float | None = None
    """Estimated time to encode the whole collection, where only some pictures were encoded."""

    def read(self, places: np.ndarray) -> Tensor:
        """The latents [B, M, C, h, w] of training pictures by their indices [B] in the split."""
        places = places % self.count
        found = [self.files[place // _PICTURES][place % _PICTURES] for place in places.tolist()]
        return torch.from_numpy(np.stack(found))

    def deviation(self) -> float:
        """The standard deviation of all values."""
        count = sum(each.size for each in self.files)
        total = sum(float(each.sum(dtype=np.float64)) for each in self.files)
        squares = sum(float(np.square(each, dtype=np.float64).sum()) for each in self.files)
        return float((squares / count - (total / count) ** 2) ** 0.5)


def with_scale(config: RunConfig, collection: Collection, device: torch.device) -> RunConfig:
    """The config with `autoencoder.scale` set to `DEVIATION` / the standard deviation of its latents.

    It encodes the training pictures if the cache lacks latents. A config without an autoencoder, or with
    a scale, is returned as it is.
    """
    if config.autoencoder is None or config.autoencoder.options.get("scale") is not None:
        return config
    scale = DEVIATION / load_latents(config, collection, device).deviation()
    known = config.autoencoder.model_copy(update={"scale": float(f"{scale:.4g}")})
    return config.model_copy(update={"autoencoder": known})


def load_latents(config: RunConfig, collection: Collection, device: torch.device) -> Latents:
    """The latents of a run's training pictures; those that the cache lacks are encoded.

    Of several processes, one encodes, and the others wait.

    Raises:
        ImpastoError: the weights are missing, the collection has changed, or the cache cannot be
            written.
    """
    folder = _entry(config, collection)
    check_writable(folder)
    parts = _parts(collection)
    found = _read_all(folder, parts)
    if len(found) < len(parts):
        with _locked(folder):
            found = _read_all(folder, parts)
            _encode_missing(config, collection, device, folder, parts, found)
    return Latents(tuple(found[number] for number in range(len(parts))), sum(map(len, parts)))


def load_some_latents(config: RunConfig, collection: Collection, device: torch.device) -> Latents:
    """The latents from the cache; if it lacks some, those of a few pictures, repeated for all others."""
    parts = _parts(collection)
    found = _read_all(_entry(config, collection), parts)
    count = sum(map(len, parts))
    if len(found) == len(parts):
        return Latents(tuple(found[number] for number in range(len(parts))), count)
    encoder = _encoder(config, device)
    few = parts[0][:_FEW]
    began = time.monotonic()
    latents = _encode(config, collection, few, encoder, device)
    return Latents((latents,), len(few), (time.monotonic() - began) * count / len(few))


def _parts(collection: Collection) -> list[np.ndarray]:
    """The indices of the training pictures in each file of the cache."""
    rows = collection.train_indices
    return [rows[start : start + _PICTURES] for start in range(0, len(rows), _PICTURES)]


def _entry(config: RunConfig, collection: Collection) -> Path:
    """The folder of these latents in the cache."""
    assert config.autoencoder is not None
    options = config.autoencoder.options
    digest = hashlib.sha256()
    for part in (
        collection.content_hash,
        collection.train_indices.astype("<i8").tobytes().hex(),
        config.autoencoder.network,
        options["encoder_sha256"],
    ):
        digest.update(f"{part}\n".encode())
    mirrored = "-mirrored" if config.training.mirror else ""
    name = f"{slugs([collection.title])[0][:40]}-{config.resolution}{mirrored}"
    return cache_folder() / "latents" / f"{name}-{digest.hexdigest()[:24]}"


def _read_all(folder: Path, parts: list[np.ndarray]) -> dict[int, np.ndarray]:
    """The files of an entry by number, mapped to memory. Damaged ones are removed."""
    found: dict[int, np.ndarray] = {}
    for path in sorted(folder.glob("[0-9]*.npy")):
        number, _, digest = path.stem.partition("-")
        with contextlib.suppress(OSError, ValueError, IndexError):
            if digest == hashlib.sha256(path.read_bytes()).hexdigest()[:16]:
                latents = np.load(path, mmap_mode="r", allow_pickle=False)
                if len(latents) == len(parts[int(number)]):
                    found[int(number)] = latents
                    continue
        with contextlib.suppress(OSError):
            path.unlink()
    return found


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold an entry's lock in the block, after waiting for other processes that hold it."""
    path = folder / ".lock"
    try:
        file = path.open("w")
    except OSError as error:
        raise write_error(error, path) from error
    with file:
        waited = False
        while True:
            try:
                lock(file.fileno())
            except BlockingIOError:
                if not waited:
                    say("another process encodes these pictures; waiting for it", to_stderr=True)
                waited = True
                time.sleep(0.5)
            else:
                break
        yield


def _encoder(config: RunConfig, device: torch.device) -> nn.Module:
    encoder: nn.Module = autoencoder_of(config).encoder()
    return encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _encode_missing(
    config: RunConfig,
    collection: Collection,
    device: torch.device,
    folder: Path,
    parts: list[np.ndarray],
    found: dict[int, np.ndarray],
) -> None:
    """Encode the pictures of the parts that are not found, and add them to those that are."""
    missing = [number for number in range(len(parts)) if number not in found]
    if not missing:
        return
    collection.verify()  # the latents must be of the content that the hash names
    encoder = _encoder(config, device)
    count = sum(len(part) for part in parts)
    done = count - sum(len(parts[number]) for number in missing)
    with ProgressLine(count, "pictures encoded").shown() as progress:
        for number in missing:
            try:
                latents = _encode(config, collection, parts[number], encoder, device)
            except KeyboardInterrupt:
                raise StoppedError(
                    f"stopped; the latents of {done:,} of {count:,} pictures are kept, and the same "
                    "command goes on"
                ) from None
            content = io.BytesIO()
            np.save(content, latents)
            digest = hashlib.sha256(content.getbuffer()).hexdigest()
            path = folder / f"{number:05d}-{digest[:16]}.npy"
            write_bytes(path, content.getvalue())
            found[number] = np.load(path, mmap_mode="r", allow_pickle=False)
            done += len(parts[number])
            progress.update(done)


@torch.inference_mode()
def _encode(
    config: RunConfig,
    collection: Collection,
    rows: np.ndarray,
    encoder: Any,
    device: torch.device,
) -> np.ndarray:
    """The latents [n, M, C, h, w] float16 of these pictures. The encoder computes in float32."""
    pixels = torch.from_numpy(collection.images(rows)).to(device)
    images = as_images(pixels, times(collection.resolution, config.resolution))
    images = images.contiguous(memory_format=torch.channels_last)
    views = [images, images.flip(3)] if config.training.mirror else [images]
    latents = torch.stack([encoder(view) for view in views], dim=1)
    found: np.ndarray = latents.to(torch.float16).contiguous().cpu().numpy()
    return found
