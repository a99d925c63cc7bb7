"""Uploaded pictures: folders of files as they were dropped, listed and decoded as packing does it."""

import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from anyio import to_thread
from pydantic import BaseModel

from impasto.collection import PackOptions
from impasto.collection.buckets import choose_buckets, measure_pictures
from impasto.decoding.fit import ASPECT, FITS, Fitting, fit_pixels, open_picture, picture_of
from impasto.decoding.workers import DiedError, in_order
from impasto.errors import ImpastoError
from impasto.files import read_json, write_error
from impasto.readers import read_source
from impasto.resolution import Resolution
from impasto.sources.listing import Content, Listing, suffix_of
from impasto.sources.trees import UnusableError, open_source
from impasto.studio.places import MissingError, confined, existing

MOST_FILES = 200_000
MOST_FOLDERS = 20
"""Folders inside each other."""
_KEPT_FREE = 2**29
"""Bytes of the disk that uploads leave."""
_INCOMING = ".incoming"
"""Folder of files that are not whole yet."""
_ANNOUNCED = ".announced"
"""Folder of a file for each upload: how many files it is to have."""
_LEFT_BEHIND = 24 * 3600
"""Seconds after which a part that a killed server left is removed."""
_LOOK_AFTER = 2**26
"""Bytes after which the disk's free room is asked for again."""
_SECONDS = 20
"""The longest that one picture's preview may take."""
_PORTION = 3
"""Seconds after which a portion of pictures that are checked ends."""
_KINDS_OF_FILES = ("a folder", "folders by class", "a folder with a table")
"""Kinds of sources in which pictures and tables are all that is read."""
_NEVER_READ = (
    *(".txt", ".md", ".rst", ".html", ".htm", ".xml", ".yaml", ".yml", ".py", ".pyc", ".db"),
    *(".ini", ".log", ".url", ".lnk", ".xmp"),
)
"""Suffixes of files that often lie beside pictures, and that no reader of these kinds reads."""
MOST_UPSCALE = 16
"""Of pictures that are previewed or looked for, so that small ones are shown too."""
_MEASURED = 256
"""Of more pictures as many are measured for the sizes of `aspect`."""


class Upload(BaseModel):
    """Pictures that were dropped."""

    name: str
    files: int
    changed: float
    """When its newest file came, in seconds since 1970."""
    packed: bool
    """Whether a collection was made of it, or is being made."""
    expected: int | None = None
    """How many files were announced when it was begun; fewer are there if it was cut off."""


class Checked(BaseModel):
    """Some of an upload's pictures, decoded as packing does it."""

    checked: int
    """How many were looked at."""
    left_out: list[tuple[str, str]]
    """Those that cannot be used, with the reason."""


def uploads(root: Path, packed: Sequence[Path]) -> list[Upload]:
    """All uploads, by name; see `described`."""
    found = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    return [described(path, packed) for path in found if path.is_dir() and not path.is_symlink()]


def described(folder: Path, packed: Sequence[Path]) -> Upload:
    """One upload.

    Args:
        folder: of it.
        packed: sources of collections that are there or being made.
    """
    found = [path.lstat() for path in _files(folder)]
    return Upload(
        name=folder.name,
        files=len(found),
        changed=max((each.st_mtime for each in found), default=folder.stat().st_mtime),
        packed=any(source.is_relative_to(folder) for source in packed),
        expected=_announced(folder.parent, folder.name),
    )


def begin(root: Path, name: str, files: int | None) -> Path:
    """The folder of an upload, which is made.

    Args:
        root: of all uploads.
        name: of the upload.
        files: how many will come, if that is known.
    """
    folder = confined(root, name)
    folder.mkdir(exist_ok=True)
    if files is not None:
        note = root / _ANNOUNCED / name
        note.parent.mkdir(exist_ok=True)
        note.write_text(str(files), encoding="utf-8")
    return folder


def _announced(root: Path, name: str) -> int | None:
    try:
        return int((root / _ANNOUNCED / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def source_of(root: Path, name: str) -> Path:
    """What is packed of an upload: its folder; or the only file in it, such as an archive.

    Raises:
        ImpastoError: there is no such upload, or nothing is in it.
    """
    folder = existing(root, name, what="upload")
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not found:
        raise ImpastoError(f"nothing is in the upload '{name}' yet; add pictures to it")
    single = found[0]
    if len(found) == 1 and single.is_file() and not _is_picture(single):
        return single
    return folder


def _is_picture(path: Path) -> bool:
    from impasto.sources.file_kinds import BEGINNING, begins_as_picture

    with path.open("rb") as file:
        return begins_as_picture(file.read(BEGINNING))


async def receive(root: Path, name: str, path: str, parts: AsyncIterator[bytes]) -> int:
    """Write an uploaded file as its parts come; gives its length.

    Args:
        root: of all uploads.
        name: of the upload, which is there.
        path: of the file inside it, such as `ukiyo-e/wave.jpg`.
        parts: its bytes.

    Raises:
        ImpastoError: the path cannot be, or the disk is full.
    """
    folder = existing(root, name, what="upload")
    names = path.split("/")
    if len(names) > MOST_FOLDERS or any(each.startswith(".") for each in names):
        raise ImpastoError(f"'{path[:200]}' cannot be uploaded: hidden, or too deep in folders")
    target = confined(folder, *names)
    if target == folder:
        raise ImpastoError("an upload needs the name of a file")
    temporary = root / _INCOMING / secrets.token_hex(8)
    length = 0
    try:
        temporary.parent.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            async for part in parts:
                if length // _LOOK_AFTER != (length + len(part)) // _LOOK_AFTER or not length:
                    await to_thread.run_sync(_check_room, root)
                length += len(part)
                await to_thread.run_sync(file.write, part)
        await to_thread.run_sync(partial(target.parent.mkdir, parents=True, exist_ok=True))
        await to_thread.run_sync(temporary.replace, target)
    except OSError as error:
        raise write_error(error, target) from error
    finally:
        temporary.unlink(missing_ok=True)
    return length


def tidy(root: Path) -> None:
    """Remove parts of files that killed servers left behind."""
    for path in (root / _INCOMING).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND:
                path.unlink()


def _check_room(root: Path) -> None:
    if shutil.disk_usage(root).free < _KEPT_FREE:
        raise ImpastoError("the disk is nearly full; free some room and upload again")


def listed(root: Path, name: str) -> Listing:
    """What packing would find in an upload.

    Raises:
        ImpastoError: no reader knows it.
    """
    return read_source(source_of(root, name), None)


def made_of(collection: Path) -> dict[str, Any]:
    """How a collection was packed; empty where its folder does not say.

    Raises:
        ImpastoError: its description cannot be read.
    """
    description = read_json(collection / "collection.json", "collection")
    made = description.get("made") if isinstance(description, dict) else None
    return made if isinstance(made, dict) else {}


def beside(root: Path, name: str, listing: Listing) -> list[tuple[str, str]]:
    """The files of an upload that packing passes over in silence, such as a readme, with the reason."""
    if listing.kind not in _KINDS_OF_FILES:
        return []
    tree = open_source(source_of(root, name)).tree
    reported = {file for file, _ in listing.left_out} | {each.relative for each in listing.entries}
    found = [file for file in tree.files if suffix_of(file) in _NEVER_READ and file not in reported]
    tree.close()
    return [(file, "no picture") for file in found]


def check(listing: Listing, start: int, resolution: Resolution, fit: str) -> Checked:
    """Decode pictures as packing does it, for a few seconds.

    Args:
        listing: of the source.
        start: the number of the first one.
        resolution: of the packed pictures, for which some may be too small.
        fit: one of `FITS`.

    Raises:
        ImpastoError: the process that decodes does not start.
    """
    places = range(start, len(listing.entries))
    found, checked = [], 0
    end = time.monotonic() + _PORTION
    made = PackOptions(resolution=resolution, fit=fit)
    for place, reason in zip(places, reasons(listing.pictures(places), made), strict=False):
        checked += 1
        if reason:
            found.append((listing.entries[place].relative, reason))
        if time.monotonic() > end:
            break
    return Checked(checked=checked, left_out=found)


def reasons(pictures: Iterable[Path | Content], options: PackOptions) -> Iterator[str]:
    """Of each picture why it cannot be packed with these options; empty if it can.

    Raises:
        ImpastoError: the process that decodes does not start.
    """
    work = partial(_reason, options.fitting())
    with contextlib.closing(in_order(work, pictures, 1, 4, _SECONDS)) as results:
        for result in results:
            yield result.reason if isinstance(result, DiedError) else result


def _reason(how: Fitting, picture: Path | Content) -> str:
    """Runs in a process of its own."""
    try:
        _pixels_of(picture, how)
    except UnusableError as reason:
        return str(reason)
    return ""


def _pixels_of(picture: Path | Content, how: Fitting) -> np.ndarray:
    """A fitted picture, uint8 [H, W, 3]; of tiles the first.

    Raises:
        UnusableError: with the reason why there is none.
    """
    if isinstance(picture, UnusableError):
        raise picture
    if isinstance(picture, np.ndarray):
        pixels: np.ndarray = next(iter(fit_pixels(picture, how).pixels.values()))[0]
        return pixels
    with open_picture(picture) as stream:
        return picture_of(stream, how)


def previews(
    listing: Listing, count: int, resolution: int
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Some pictures of a source, evenly over it, fitted in each way. Those that cannot be used are left
    out.

    Args:
        listing: of the source.
        count: how many pictures.
        resolution: of the fitted pictures, the side of squares.

    Returns:
        For each picture its name, and uint8 [H, W, 3] by the name of the fit.

    Raises:
        ImpastoError: there are no pictures.
    """
    if not listing.entries:
        raise ImpastoError("there are no pictures in it")
    places = _evenly(listing, count)
    entries = [listing.entries[place] for place in places]
    work = partial(_fitted, _fittings(listing, resolution))
    found = in_order(work, listing.pictures(places), 1, count, _SECONDS)
    return [
        (entry.relative, squares)
        for entry, squares in zip(entries, found, strict=True)
        if not isinstance(squares, DiedError) and squares
    ]


def _evenly(listing: Listing, count: int) -> list[int]:
    """The places of so many entries, or of all if there are fewer, evenly over the listing."""
    every = np.linspace(0, len(listing.entries) - 1, count).round().astype(int)
    return [*map(int, np.unique(every))]


def _fittings(listing: Listing, resolution: int) -> dict[str, Fitting]:
    """What each fit does. `aspect` is there if it has sizes for this resolution."""
    found = {
        fit: PackOptions(resolution=resolution, fit=fit, max_upscale=MOST_UPSCALE).fitting()
        for fit in FITS
    }
    with contextlib.suppress(ImpastoError):
        places = _evenly(listing, _MEASURED)
        sizes = measure_pictures(listing, places, PackOptions(max_seconds=_SECONDS))
        if len(sizes):
            buckets = choose_buckets(sizes, resolution)
            found[ASPECT] = replace(found["crop"], fit=ASPECT, resolutions=buckets)
    return found


def _fitted(how: Mapping[str, Fitting], picture: Path | Content) -> dict[str, np.ndarray]:
    """Runs in a process of its own."""
    try:
        return {name: _pixels_of(picture, fitting) for name, fitting in how.items()}
    except UnusableError:
        return {}


def remove(root: Path, name: str) -> None:
    """Remove an upload. Collections that were packed from it stay.

    Raises:
        MissingError: there is none of this name.
    """
    folder = existing(root, name, what="upload")
    if folder.parent != root or not folder.is_dir():
        raise MissingError(f"there is no upload '{name}'")
    shutil.rmtree(folder)
    (root / _ANNOUNCED / name).unlink(missing_ok=True)
