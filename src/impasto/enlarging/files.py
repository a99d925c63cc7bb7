"""Picture files, enlarged into a folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import torch
from PIL import Image, UnidentifiedImageError

from impasto.decoding.decode import decode
from impasto.decoding.fit import open_picture
from impasto.decoding.reasons import reason_for
from impasto.enlarging.tiles import EnlargingNetwork, check_fits, enlarged
from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.sampling.point_text import TEXT_KEY, png_text
from impasto.sources.listing import Listing, pictures
from impasto.sources.trees import File, Tree, UnusableError, archive_at, open_source

MOST_PIXELS = 2**28
"""Most pixels of an enlarged picture: 268 million, 800 MB in memory."""


@dataclass
class Enlargement:
    """The result of enlarging several pictures.

    Attributes:
        made: the files written.
        kept: files that were there already and were left as they are.
        left_out: path and reason of what could not be enlarged.
    """

    made: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Input:
    name: str
    """Path of the picture as it was given, with folders."""
    read: Callable[[], Path | bytes]


def _inputs(path: Path, result: Enlargement) -> Iterator[_Input]:
    """The pictures in a folder or an archive, or the file itself if it is a picture."""
    if not path.exists():
        raise ImpastoError(f"{path} does not exist; give pictures, or a folder of pictures")
    if path.is_file():
        try:
            with Image.open(path):
                pass
        except UnidentifiedImageError:
            pass  # perhaps an archive
        else:
            yield _Input(path.name, lambda: path)
            return
        tree = archive_at(path, None)
        if tree is None:  # `open_source` would take the folder that it is in.
            raise ImpastoError(f"{path} is neither a picture nor an archive of pictures")
    else:
        tree = open_source(path).tree
    listing = Listing("folder")
    for file in pictures(tree, listing):
        yield _Input(file.name, partial(_contents, tree, file))
    result.left_out += listing.left_out


def _contents(tree: Tree, file: File) -> Path | bytes:
    return file.on_disk or tree.read(file.name)


def _target(folder: Path, name: str, taken: set[str]) -> Path:
    """The path of a picture's enlargement: its name with `.png` in place of the suffix, or after it
    where two pictures differ in the suffix only."""
    path = PurePosixPath(name)
    for free in (path.with_suffix(".png"), path.with_name(f"{path.name}.png")):
        if str(free) not in taken:
            taken.add(str(free))
            return folder / free
    raise ImpastoError(f"two of the pictures given are called {name}; enlarge them one by one")


def _pixels(picture: Path | bytes, by: int) -> tuple[torch.Tensor, str | None]:
    """The picture upright in sRGB, uint8 [H, W, 3], and the point that it carries as text.

    Raises:
        UnusableError: there is no picture, or a too large one.
    """
    most = MOST_PIXELS // by**2
    with open_picture(picture) as file:
        try:
            found = decode(file, lambda width, height: 1.0, most)
            size = (found.width, found.height)
            whole = found.resized((0, 0, *size), size, exact=True)
        except Exception as error:
            raise reason_for(error, file, most) from None
        file.seek(0)
        with Image.open(file) as image:
            text = image.info.get(TEXT_KEY)
    flat = torch.frombuffer(bytearray(whole.tobytes()), dtype=torch.uint8)
    return flat.view(whole.height, whole.width, 3), text if isinstance(text, str) else None


def enlarge_files(
    paths: Sequence[Path],
    folder: Path,
    network: EnlargingNetwork,
    by: int = 4,
    *,
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> Enlargement:
    """Enlarge pictures into PNGs of the same names. Files that are there already are kept, so a call
    that was interrupted can be repeated.

    Args:
        paths: pictures; folders and archives of pictures.
        folder: of the PNGs; it is made.
        network: that enlarges.
        by: 2 or 4.
        progress: called with the pictures done and their number.

    Raises:
        ImpastoError: a path does not exist, there is no picture, or the folder cannot be written.
    """
    check_fits(network, by)
    result, taken = Enlargement(), set[str]()
    inputs = [each for path in paths for each in _inputs(path, result)]
    targets = [_target(folder, each.name, taken) for each in inputs]
    if not inputs:
        raise ImpastoError(f"there are no pictures in {', '.join(map(str, paths))}")
    for number, (each, target) in enumerate(zip(inputs, targets, strict=True)):
        progress(number, len(inputs))
        if target.exists():
            result.kept.append(target)
            continue
        try:
            pixels, text = _pixels(each.read(), by)
        except UnusableError as error:
            result.left_out.append((each.name, str(error)))
            continue
        made = enlarged(pixels[None], network, by)[0].numpy()
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as temporary:
            info = None if text is None else png_text(text)
            Image.fromarray(made).save(temporary, "PNG", pnginfo=info)
        result.made.append(target)
    progress(len(inputs), len(inputs))
    return result
