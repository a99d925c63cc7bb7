"""Favourites: named points of one model, in a file beside it.

The file is JSON that can be read and edited: to remove a favourite or give it another name, edit it.
Each point is written as a PNG carries it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from impasto.config import Config, read_record
from impasto.errors import ImpastoError, near
from impasto.exploring.places import place_beside
from impasto.files import locked, write_json
from impasto.formatting import comma_separated
from impasto.sampling.model import ModelRecord
from impasto.sampling.point_text import PointsRecord
from impasto.sampling.points import Points, joined
from impasto.sampling.seeds import parse_seeds

FAVOURITES_FILE = "favourites.json"
ALL = "all"
"""Stands for the names of all favourites."""


class FavouritesRecord(Config):
    """The contents of the file."""

    format: int = 1
    favourites: dict[str, PointsRecord] = Field(default_factory=dict)


def favourites_path(folder: Path) -> Path:
    """The file of a model folder's favourites; see `place_beside`."""
    return place_beside(folder, FAVOURITES_FILE)


def load_favourites(folder: Path, record: ModelRecord) -> dict[str, Points]:
    """The favourites of a model, each a single point, in the order in which they were kept.

    Args:
        folder: of the model.
        record: of the model.

    Raises:
        ImpastoError: the file is damaged, or has points of another model.
    """
    path = favourites_path(folder)
    if not path.is_file():
        return {}
    found = read_record(path, "model", FavouritesRecord).favourites
    return {
        name: Points.of_single(each, f"the favourite '{name}' in {path}", record)
        for name, each in found.items()
    }


def chosen_favourites(folder: Path, record: ModelRecord, text: str) -> tuple[list[str], Points]:
    """The names and points of the favourites that a text names.

    Args:
        folder: of the model.
        record: of the model.
        text: names separated by commas, or `all`.

    Raises:
        ImpastoError: there are none, an unknown name, a damaged file, or points of another model.
    """
    known = load_favourites(folder, record)
    if not known:
        raise ImpastoError(
            f"there are no favourites of this model in {favourites_path(folder)}; keep some with "
            "impasto sample MODEL --seeds 17 --keep NAME"
        )
    names = list(known) if text == ALL else comma_separated(text)
    for name in names:
        if name not in known:
            raise ImpastoError(f"there is no favourite {near(name, list(known))}")
    if not names:
        raise ImpastoError(f"no favourite is named; there are {', '.join(known)}")
    return names, joined([known[name] for name in names])


def check_name(name: str) -> None:
    """Check that a favourite can have this name: no seeds, no file, and not `all`.

    Raises:
        ImpastoError: it cannot.
    """
    plain = name.replace("-", "").replace("_", "")
    if name == ALL or not name[:1].isalpha() or not plain.isalnum():
        raise ImpastoError(
            f"a favourite's name begins with a letter and has letters, digits, - and _ only, and is not "
            f"'{ALL}': not '{name}'"
        )


def names_for(name: str, count: int) -> list[str]:
    """The names of so many points that are kept together: NAME, or NAME-1, NAME-2, ..."""
    return [name] if count == 1 else [f"{name}-{number + 1}" for number in range(count)]


def keep_favourites(
    folder: Path, record: ModelRecord, name: str, points: Points, *, before: str | None = None
) -> tuple[Path, list[str]]:
    """Add favourites to a model's; gives the file, and their names.

    Args:
        folder: of the model.
        record: of the model.
        name: of a single point; see `names_for`.
        points: of the model.
        before: the name of the favourite that they come before; None, or there is none: after all.

    Raises:
        ImpastoError: a name that cannot be, or that there is already; points of another model; or a
            damaged file, which stays as it is.
    """
    path = favourites_path(folder)
    names = names_for(name, len(points))
    with _changing(path) as kept:
        order = list(kept)
        later = order[order.index(before) :] if before in kept else []
        for number, each in enumerate(names):
            check_name(each)
            if each in kept:
                raise ImpastoError(
                    f"there is a favourite '{each}' in {path} already; "
                    "choose another name, or remove it there"
                )
            kept[each] = points.require(record, f"'{each}'").single(number)
        for each in later:
            kept[each] = kept.pop(each)
    return path, names


def drop_favourite(folder: Path, name: str, *, missing_ok: bool = False) -> None:
    """Take a favourite out of a model's.

    Args:
        folder: of the model.
        name: of the favourite.
        missing_ok: do nothing if there is none of this name.

    Raises:
        ImpastoError: there is none of this name, unless `missing_ok`; or the file is damaged and stays
            as it is.
    """
    path = favourites_path(folder)
    with _changing(path) as kept:
        if kept.pop(name, None) is None and not missing_ok:
            raise ImpastoError(f"there is no favourite '{name}' in {path}")


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, PointsRecord]]:
    """The favourites of a file, which are written when the block ends without an error. Other processes
    and threads that change them wait meanwhile.

    Raises:
        ImpastoError: the file is damaged, and stays as it is; or it cannot be written.
    """
    with locked(path.parent):
        there = path.is_file()
        known = read_record(path, "model", FavouritesRecord) if there else FavouritesRecord()
        kept = dict(known.favourites)
        yield kept
        whole = known.model_copy(update={"favourites": kept})
        write_json(path, whole.model_dump(mode="json", exclude_none=True))


@dataclass(frozen=True)
class Named:
    """The seeds or points that a text such as `17`, `picture.png` or `wave` stands for."""

    names: list[str]
    """A name for each seed or point."""
    seeds: list[int]
    """The seeds; empty if it stands for points."""
    points: Points | None = None
    """The points; None if it stands for seeds."""

    @property
    def stem(self) -> str:
        """A file name, without suffix, for pictures of them."""
        return "-".join(self.names)

    def made(self, of_seeds: Callable[[list[int]], Points]) -> Points:
        """The points, with a function that makes those of seeds."""
        return of_seeds(self.seeds) if self.points is None else self.points


def parse_point(text: str, folder: Path, record: ModelRecord) -> Named:
    """The seeds or points that a text names.

    Args:
        text: seeds, a file of points or a PNG with one, or names of favourites.
        folder: of the model.
        record: of the model.

    Raises:
        ImpastoError: none of these, or points of another model.
    """
    path = Path(text)
    if path.suffix.lower() in (".png", ".safetensors"):
        points = Points.load(path, record)
        return Named(names_for(path.stem, len(points)), [], points)
    like_a_path = any(sign in text for sign in "./\\")  # in no name of a favourite
    like_a_name = text.strip()[:1].isalpha()
    if (
        (like_a_path or like_a_name)
        and path.is_dir()
        and text not in load_favourites(folder, record)
    ):
        raise ImpastoError(
            f"{text} is a folder: give a seed, a favourite's name, or one file of points or PNG that "
            "impasto painted"
        )
    if like_a_path:
        raise ImpastoError(
            f"{text} names no seed, favourite or file of points: points are in files of sample "
            "--save-points, and in PNGs that impasto painted; impasto invert finds those of other "
            "pictures"
        )
    if like_a_name:
        names, points = chosen_favourites(folder, record, text)
        return Named(names, [], points)
    seeds = parse_seeds(text)
    return Named(list(map(str, seeds)), seeds)
