"""Recognise copies of pictures at another size in a second folder, as in `resized` beside `images`."""

from collections import defaultdict
from collections.abc import Sequence

from impasto.formatting import counted
from impasto.sources.folder_names import SIZE, is_container
from impasto.sources.folders import layout
from impasto.sources.heldout import words_of
from impasto.sources.listing import Listing
from impasto.sources.trees import File

_SMALLER = frozenset(
    """
    resized resize small smaller thumb thumbs thumbnail thumbnails preview previews mini lowres
    """.split()  # noqa: SIM905
)


def without_smaller(files: Sequence[File], listing: Listing | None = None) -> list[File]:
    """Leave out the pictures that another topmost folder has at a larger size, such as `images` beside
    `resized` or `256x256`. They are matched by name.

    Args:
        files: the pictures.
        listing: gets the left-out files and a note; None: nothing is reported.
    """
    by_top: dict[str, list[File]] = defaultdict(list)
    shared = len(layout(file.name for file in files).shared)
    for file in files:
        folders = file.name.split("/")[shared:-1]
        if folders and is_container(folders[0]):
            by_top[folders[0]].append(file)
    # The folder with the most bytes a picture first.
    tops = sorted(
        by_top, key=lambda top: -sum(file.size for file in by_top[top]) / len(by_top[top])
    )
    gone: dict[str, str] = {}
    for at, smaller in enumerate(tops):
        for larger in tops[:at]:
            if _says_size(smaller) or _says_size(larger):
                again = _copies(by_top[smaller], by_top[larger])
                if 2 * len(again) > len(by_top[smaller]):
                    gone |= again
                    if listing is not None:
                        listing.notes.append(
                            f"{smaller} holds the pictures of {larger} at another size: "
                            f"{counted(len(again), 'picture')} left out, those in {larger} count"
                        )
                    break
    if listing is not None:
        listing.left_out += [
            (n, f"a copy at another size: {other} counts") for n, other in gone.items()
        ]
    return [file for file in files if file.name not in gone]


def _says_size(name: str) -> bool:
    """Whether a folder's name says that its pictures are of another size."""
    return bool(_SMALLER & set(words_of(name))) or SIZE.search(name) is not None


def _copies(smaller: list[File], larger: list[File]) -> dict[str, str]:
    """By smaller picture: the larger one of the same name, without suffix. If names are not unique, they
    are compared with their folder."""
    for parts in (1, 2):
        one, other = ({_end(file.name, parts): file.name for file in f} for f in (smaller, larger))
        if len(one) == len(smaller) and len(other) == len(larger):
            return {one[key]: other[key] for key in one.keys() & other.keys()}
    return {}


def _end(name: str, parts: int) -> str:
    """The last parts of a path, without suffix and case."""
    return "/".join(name.casefold().split("/")[-parts:]).rpartition(".")[0]
