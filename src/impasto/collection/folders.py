"""What the folders that pictures lie in stand for: nothing, a part of the data set, or classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from impasto.collection.heldout import is_heldout


@dataclass(frozen=True)
class Layout:
    """What the folders above a picture are, from the top: shared by all pictures, then a split's
    where there are splits, then others."""

    shared: tuple[str, ...] = ()
    """They hold all pictures, so they tell nothing of any: `wikiart` in an archive of it."""
    splits: frozenset[str] = frozenset()
    """The folders below those where they are splits, of both kinds: `train` and `test`."""

    def levels(self, name: str) -> list[str]:
        """The other folders that a picture lies in, from the top."""
        folders = name.split("/")[len(self.shared) : -1]
        return folders[1:] if self.splits else folders

    def tops(self, names: Iterable[str]) -> set[str]:
        """The topmost of the other folders that these pictures lie in."""
        return {levels[0] for name in names if (levels := self.levels(name))}

    def heldout(self, name: str) -> bool | None:
        """Whether a picture is in a split that is held out; None: there are no splits."""
        if not self.splits:
            return None
        folders = name.split("/")[len(self.shared) : -1]
        return bool(folders and is_heldout(folders[0]))

    def notes(self) -> list[str]:
        """What the user should know of the splits."""
        kept = sorted(name for name in self.splits if is_heldout(name))
        rest = sorted(self.splits.difference(kept))
        if not kept:
            return []
        return [
            f"held out is what the source itself has in {' and '.join(kept)}; --heldout and --seed "
            f"choose nothing here (they do where {' or '.join(rest)} is packed alone)"
        ]


def layout(names: Iterable[str], levels: int = 0) -> Layout:
    """The layout of a source with pictures of these names.

    Args:
        names: paths with `/`.
        levels: how many folders above a picture are to be left as telling something, where there
            are so many: a folder that holds all pictures may be the only class.
    """
    folders = [name.split("/")[:-1] for name in names]
    if not folders:
        return Layout()
    deepest = max(map(len, folders))
    # What the first and the last in order share, all between them share.
    pairs = zip(min(folders), max(folders), strict=False)
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    shared = tuple(common[: max(0, deepest - levels)])
    tops = {place[len(shared)] for place in folders if len(place) > len(shared)}
    kinds = {is_heldout(top) for top in tops}
    return Layout(shared, frozenset(tops) if kinds == {True, False} else frozenset())
