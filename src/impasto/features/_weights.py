"""Finding, checking and reading weights files.

Nothing in a file is executed: it is safetensors, or is read by torch's loader for weights only,
which refuses pickles with anything but tensors.
"""

import hashlib
import http.client
import math
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.files import atomic_file, cache_folder, refuse_pointer_file, sha256_of_file
from impasto.progress import ProgressLine

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Published:
    """A published weights file."""

    what: str
    """Name for messages, such as `Inception-v3`."""
    file: str
    url: str
    sha256: str | None
    """None where the digest is unknown. Then only records name the weights that were used."""
    elsewhere: tuple[str, ...] = ()
    """Names that other tools give the same file in torch hub's folder."""
    option: str = "--weights NETWORK=FILE"
    """The option that names a file."""


def find_weights(given: str | None, published: Published) -> tuple[Path, str]:
    """The path of the weights file and its SHA-256.

    Args:
        given: a file or URL, whose contents are not checked. None is the published file, from the
            cache, from torch hub's folder, or downloaded.
        published: the published file.

    Raises:
        ImpastoError: the file is missing, cannot be downloaded, or is not the published one.
    """
    if given is None or given == published.url:
        return _published(published)
    if given.startswith(("http://", "https://")):
        name = Path(urllib.parse.urlsplit(given).path).name or "weights"
        # Files of the same name from different URLs are different files.
        path = _folder() / f"{hashlib.sha256(given.encode()).hexdigest()[:12]}-{name}"
        if not path.is_file():
            _download(given, path, None)
        return path, sha256_of_file(path)
    path = Path(given).expanduser()
    if not path.is_file():
        raise ImpastoError(f"there is no weights file {path}; give a file or an http(s) address")
    return path, _sha256(path)


def _folder() -> Path:
    return cache_folder() / "weights"


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error


def _published(published: Published) -> tuple[Path, str]:
    own = _folder() / published.file
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    for path in (own, *(hub / name for name in (published.file, *published.elsewhere))):
        if path.is_file():
            found = _sha256(path)
            # A file with another digest is an incomplete copy. It is downloaded again.
            if published.sha256 in (None, found):
                return path, found
    known = f" (SHA-256 {published.sha256})" if published.sha256 else ""
    try:
        _download(published.url, own, published.sha256)
    except ImpastoError as error:
        file = "that file" if published.url in str(error) else published.url
        raise ImpastoError(
            f"no {published.what} weights: {error}; save {file} as {own}{known}, or say where it is "
            f"with {published.option}"
        ) from error
    return own, _sha256(own)


def _download(url: str, path: Path, sha256: str | None) -> None:
    """Download `url` to `path`, which appears only when the file is complete and has the right
    digest.

    Raises:
        ImpastoError: downloads are off or fail, or the file has another digest.
    """
    # The switch for offline work that users of this field know.
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise ImpastoError("downloads are off (HF_HUB_OFFLINE)")
    request = urllib.request.Request(url, headers={"User-Agent": "impasto"})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise ImpastoError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ImpastoError(f"{url} cannot be reached ({reason})") from error
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    line = ProgressLine(_kilobytes(total or 0), what=f"kB of {path.name}")
    digest, received = hashlib.sha256(), 0
    with response, atomic_file(path) as temporary, temporary.open("wb") as file:
        with line.shown():
            while chunk := _read(response, url):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if total is not None:
                    line.update(_kilobytes(received))
        # A connection that is closed early raises no error.
        if total is not None and received != total:
            raise ImpastoError(f"{url} broke off after {received:,} of {total:,} bytes")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise ImpastoError(
                f"{url} gave another file than the published one (SHA-256 {digest.hexdigest()})"
            )


def _kilobytes(size: int) -> int:
    return math.ceil(size / 1000)


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ImpastoError(f"{url} broke off ({error})") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a weights file, on the CPU.

    Raises:
        ImpastoError: the file is damaged, a Git LFS pointer, or contains more than named tensors.
    """
    refuse_pointer_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start[8:] == b"{":  # safetensors: the length of a JSON header, then the header
            tensors = safetensors.torch.load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files make torch raise nearly anything (EOFError, KeyError, UnpicklingError, ...).
    except Exception as error:
        raise ImpastoError(
            f"{path} is no weights file, is damaged, or holds more than tensors, which is never "
            f"loaded; get it again ({type(error).__name__})"
        ) from error
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    ):
        raise ImpastoError(f"{path} holds no named tensors; give the state dict of the network")
    return dict(tensors)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load `tensors` into `network`. The names must match exactly.

    Raises:
        ImpastoError: it names the first tensor that is missing, unknown, of another shape or not
            finite.
    """
    # A batch norm's number of batches is used in training only.
    own = {name: tensor for name, tensor in network.state_dict().items() if _is_needed(name)}
    given = {name: tensor for name, tensor in tensors.items() if _is_needed(name)}
    wrong = ""
    if missing := [name for name in own if name not in given]:
        wrong = f"no {missing[0]} is in it"
    elif unknown := [name for name in given if name not in own]:
        wrong = f"{unknown[0]} has no place in that network"
    else:
        for name, tensor in own.items():
            if given[name].shape != tensor.shape:
                shapes = f"{list(given[name].shape)}, not {list(tensor.shape)}"
                wrong = f"{name} is {shapes}"
                break
            if not given[name].isfinite().all():
                wrong = f"{name} holds values that are not finite"
                break
    if wrong:
        raise ImpastoError(f"{path} does not hold weights of {what}: {wrong}")
    network.load_state_dict(given, strict=False)


def _is_needed(name: str) -> bool:
    return not name.endswith("num_batches_tracked")
