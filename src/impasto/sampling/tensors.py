"""Tensors in safetensors files, with their digests. Nothing in such a file is ever executed."""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from impasto.device import on_cpu
from impasto.errors import ImpastoError
from impasto.files import refuse_pointer


def read_tensors(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file. Nothing in it is ever executed.

    Args:
        path: the file.
        sha256: the expected digest, where it is known.

    Raises:
        ImpastoError: the file is missing, damaged, changed, a pickle, a Git LFS pointer, or not
            safetensors.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ImpastoError(f"{path} is missing; the folder is incomplete") from None
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    refuse_pointer(path, content)
    try:
        tensors: dict[str, Tensor] = load_safetensors(content)
    except SafetensorError as error:
        # PyTorch's pickles are zip archives, or plain pickle streams in old files. A safetensors file
        # may begin with the same bytes (its header's length), so safetensors is tried first.
        if content[:2] == b"PK" or content[:1] == b"\x80":
            raise ImpastoError(
                f"{path} is a pickle, which could run any code when loaded; impasto reads "
                "safetensors only: ask whoever made it for a safetensors file"
            ) from None
        raise ImpastoError(f"{path} is cut short or damaged ({error}); restore a copy") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ImpastoError(f"{path} is not the file that was saved (its SHA-256 differs)")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file that `read_tensors` could read."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _as_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    values = on_cpu([tensor.contiguous() for tensor in tensors.values()])
    return save_safetensors(dict(zip(tensors, values, strict=True)), metadata)


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
