"""Fetch models of the Hugging Face hub into the hub's cache: only the files that a model needs.

All files are of one commit. Their sizes are checked before they are fetched, and each is compared with
its hash in the hub's listing.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError
from impasto.fetching.client import FetchError, switched_off
from impasto.fetching.hub import SWITCHES, check_room, client_of, endpoint
from impasto.fetching.politeness import Politeness
from impasto.files import sha256_of_file
from impasto.formatting import one_line
from impasto.messages import say
from impasto.progress import counting

if TYPE_CHECKING:
    from impasto.fetching.hub_client import Hub, HubFile

RECORD, WEIGHTS = "model.json", "generator.safetensors"
LIMITS = {RECORD: 50_000_000, WEIGHTS: 2_000_000_000, "discriminator.safetensors": 2_000_000_000}
"""The files of a model, with the size limit of each in bytes. The discriminator, which
`sample --curate`, `classify` and `train --from` use, may be missing."""
_RETRIES = 2

_known: dict[tuple[str, str, Path], Path] = {}
"""Folders by repository, address of the hub and cache."""


def fetch_model(source: str) -> Path:
    """The folder with a model of the hub, in the hub's cache; fetched if it is not there.

    A process asks the hub once for each name, so all its uses of a name are of one commit. If the hub
    cannot be reached, or one of the environment variables `SWITCHES` is set, the cache is used as it
    is.

    Args:
        source: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.

    Raises:
        ImpastoError: it is not such a name or not a model, is too large, or cannot be fetched.
    """
    hub = client_of(source, Politeness(retries=_RETRIES))
    if hub is None or not hub.is_model:
        raise ImpastoError(
            f"'{one_line(source)}' is no model of the hub; write hf:OWNER/NAME, and @REVISION after it "
            "if you like"
        )
    key = (str(hub), endpoint(), hub.cache)
    if key not in _known:
        with hub.quiet():
            folder = _folder(hub)
        _known[key] = folder
        say(
            f"{hub} is commit {_known[key].name}, with weights of SHA-256 "
            f"{sha256_of_file(_known[key] / WEIGHTS)}",
            to_stderr=True,
        )
    return _known[key]


def ask_again() -> None:
    """Forget the known commits, so that the hub is asked again, such as after an upload."""
    _known.clear()


def _folder(hub: "Hub") -> Path:
    """The folder in the cache with a complete model; see `fetch_model`."""
    if switch := switched_off(*SWITCHES):
        if (folder := _cached(hub)) is None:
            raise ImpastoError(
                f"{switch} is set, and {hub} is not in the hub's cache ({hub.cache}); unset it to fetch"
            )
        return folder
    # The files of a commit do not change.
    if re.fullmatch(r"[0-9a-f]{40}", hub.revision) and (folder := _cached(hub)) is not None:
        return folder
    try:
        commit = hub.commit()
    except ImpastoError as error:
        unreachable = isinstance(error.__cause__, FetchError) and error.__cause__.host
        if not unreachable or (folder := _cached(hub)) is None:
            raise
        say(f"note: {error}; used as it is in the hub's cache", to_stderr=True)
        return folder
    return _fetched(hub, commit)


def _cached(hub: "Hub") -> Path | None:
    """The folder in the cache, if it has a complete model of this revision; else None.

    Raises:
        ImpastoError: a file of the model is damaged.
    """
    folder, files = hub.snapshot()
    mine = [file for file in files if file.path in LIMITS]
    if not _is_model(mine):
        return None
    for file in mine:
        if wrong := file.difference(folder / file.path):
            raise ImpastoError(
                f"{folder / file.path} is damaged ({wrong}); remove it, and it is fetched again"
            )
    return folder


def _fetched(hub: "Hub", commit: str) -> Path:
    """Fetch the missing files of a model; returns its folder in the cache.

    Raises:
        ImpastoError: it is not a model, is too large, or cannot be fetched.
    """
    files = [file for file in hub.files(commit) if file.path in LIMITS]
    if not _is_model(files):
        raise ImpastoError(
            f"{hub} is no model of impasto: it has no {RECORD} beside a {WEIGHTS}; see {hub.page}"
        )
    for file in files:
        if not 0 <= file.size <= LIMITS[file.path]:
            raise ImpastoError(
                f"{file.path} of {hub} has {file.size:,} bytes, and {LIMITS[file.path]:,} at most are "
                "accepted; it is not fetched"
            )
    check_room(hub, hub.cache, [file for file in files if not hub.is_cached(file, commit)])
    total, done, path = sum(file.size for file in files), 0, Path()
    with counting("MB", 1_000_000) as tell:
        for file in files:

            def tell_all(count: int, before: int = done) -> None:
                tell(before + count, total)

            path, _ = hub.fetch(file, commit, tell_all)
            done += file.size
    hub.remember(path.parent)
    return path.parent


def _is_model(files: Sequence["HubFile"]) -> bool:
    return {RECORD, WEIGHTS} <= {file.path for file in files}
