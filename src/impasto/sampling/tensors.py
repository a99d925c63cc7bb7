"""Tensors in safetensors files, with their digests. Nothing in such a file is ever executed.
Torch is imported only where tensors are made, so that points are read without it."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from impasto.errors import ImpastoError
from impasto.files import open_regular, read_regular, refuse_pointer
from impasto.formatting import error_text

if TYPE_CHECKING:
    from torch import Tensor

_Values = TypeVar("_Values")
TensorShapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name."""
MOST_BYTES = 2**36
"""Bytes of the largest file of tensors that is read."""
MOST_HEADER = 2**24


def most_bytes() -> int:
    """Bytes of the largest file of tensors that is read here: its tensors are in memory three times
    while a network is filled."""
    try:
        return min(MOST_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3)
    except (AttributeError, ValueError, OSError):  # Windows
        return MOST_BYTES


def read_shapes(path: Path) -> TensorShapes:
    """The shapes of the tensors in a safetensors file. Only its header is read.

    Raises:
        ImpastoError: as `read_tensors`, apart from a changed file.
    """
    start = b""
    try:
        with open_regular(path, most_bytes()) as file:
            start = file.read(200)
        refuse_pointer(path, start)
        (length,) = struct.unpack("<Q", start[:8].ljust(8, b"\0"))
        if MOST_HEADER < length < 2**32:
            raise _damaged(path, start, ValueError(f"its header has {length:,} bytes"))
        with safe_open(path, framework="np") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ImpastoError(f"{path} is missing; the folder is incomplete") from None
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise _damaged(path, start, error) from None


def _damaged(path: Path, start: bytes, error: Exception) -> ImpastoError:
    # PyTorch's pickles are zip archives, or plain pickle streams in old files. A safetensors file
    # may begin with the same bytes (its header's length), so safetensors is tried first.
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return ImpastoError(
            f"{path} is a pickle, which could run any code when loaded; impasto reads "
            "safetensors only: ask whoever made it for a safetensors file"
        )
    return ImpastoError(f"{path} is cut short or damaged ({error_text(error)}); restore a copy")


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file. Nothing in it is ever executed.

    Args:
        path: the file.
        sha256: the expected digest, where it is known.

    Raises:
        ImpastoError: the file is missing, damaged, changed, a pickle, a Git LFS pointer, or not
            safetensors.
    """
    from safetensors.torch import load

    return _read(path, load, sha256)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file as arrays, read without torch.

    Raises:
        ImpastoError: as `read_tensors`.
    """
    from safetensors.numpy import load

    return _read(path, load)


def _read(
    path: Path, load: Callable[[bytes], dict[str, _Values]], sha256: str | None = None
) -> dict[str, _Values]:
    read_shapes(path)  # so that a damaged file is not read whole, however large
    try:
        content = read_regular(path, most_bytes())
        tensors = load(content)
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise _damaged(path, content, error) from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ImpastoError(f"{path} is not the file that was saved (its SHA-256 differs)")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file that `read_tensors` could read."""
    with safe_open(path, framework="np") as file:
        return dict(file.metadata() or {})


def _as_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    from safetensors.torch import save

    from impasto.device import on_cpu

    values = on_cpu([tensor.contiguous() for tensor in tensors.values()])
    return save(dict(zip(tensors, values, strict=True)), metadata)


def sha256_of_tensors(tensors: dict[str, Tensor]) -> str:
    """The SHA-256 of the safetensors file of these tensors."""
    return hashlib.sha256(_as_bytes(tensors)).hexdigest()


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> str:
    """Write tensors as safetensors, with texts in its header, and return the file's SHA-256.

    `path` should be in a folder that does not have its final name yet; see `files.atomic_folder`.
    """
    content = _as_bytes(tensors, metadata)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
