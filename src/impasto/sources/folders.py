"""Decide what the folders above pictures mean: nothing, a part of the data set, or classes.

From the top, these are skipped before classes are looked for:
- folders that hold all pictures;
- parts for training and testing (`seg_train` beside `seg_test`), which determine the held-out pictures;
- numbered or dated parts (`fold1`, `part-00002`, `00000`, `2020-05`; `2019` and `2020` if both hold the
  same folders), and folders named after their kind of file (`images`);
- a folder that holds the same folders as there are beside it (`x-ray/train` beside `train`);
- below those, an only folder of the same name, or called `images` (`seg_train/seg_train`).

A note lists the skipped folders and those below the classes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from impasto.sources.folder_names import (
    are_alike,
    beside_split,
    is_container,
    is_counted,
    is_part,
    repeats,
)
from impasto.sources.heldout import is_heldout, is_split_word, listed, words_of

Folder = tuple[str, ...]
Level = tuple[int, str]
"""A folder's level in the path, from 1, and its name."""

_NUMBERED_LABELS = frozenset(
    {
        *("year", "decade", "century", "date", "period", "month", "day", "number", "digit", "age"),
        *("fold", "part"),
    }
)
"""Words in the name of a label field whose classes may be folders named by numbers or dates."""
_SHARD = re.compile(r"0[0-9]{3,}|[0-9]{4,}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])(?:\1(?:0[1-9]|[12][0-9]|3[01]))?")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class _Split:
    """A level of folders that are parts for training and testing."""

    heldout: dict[str, bool]
    """By folder that is a part: whether it is held out. Other folders at this level are classes."""
    classes: dict[str, str]
    """By folder: the class in its name, as in `train_cats`; blank if there is none."""


def _split(tops: dict[str, set[str]], deep: bool = False) -> _Split | None:
    """Which folders at one level are held out; None if their names do not determine it.

    Args:
        tops: by name of each folder: the names of the folders in it.
        deep: whether there are enough levels below for the label fields.
    """
    marked = {top: is_heldout(top) for top in tops}
    kept = [top for top in tops if marked[top]]
    training = [top for top in tops if marked[top] is False]
    others = [top for top in tops if marked[top] is None]
    if deep and len(tops) == 2 and len(others) == 1 and _same_inside(tops):
        # Two parts with the same classes: the name of one determines what the other is.
        return _Split({top: top in kept or (bool(training) and top in others) for top in tops}, {})
    if not kept or not (training or others):
        return None
    strange = [top for top in others if not (is_part(top) or is_container(top))]
    dated = all(map(is_counted, strange)) and _same_inside(tops)
    if strange and not dated:
        # The other folders must be parts, too, or classes that are also in the held-out part.
        inside = set[str]().union(*(tops[top] for top in kept))
        if not training:
            if not inside or not inside <= set(others):
                return None
            return _Split(dict.fromkeys(kept, True), {})
        if not inside & set[str]().union(*(tops[top] for top in training)):
            return None
    rests = {top: beside_split(top) for top in (*kept, *training)}
    of_training = {rests[top] for top in training} - {""}
    if of_training and not {rests[top] for top in kept} - {""} <= of_training:
        return None
    by_class = len(of_training) > 1
    return _Split({top: top in kept for top in tops}, rests if by_class else {})


class _FolderLevels:
    """The folders of a source, from which levels that are no classes are removed one by one.

    Args:
        names: paths of the pictures.
        shared: the number of outermost folders to ignore, which hold all pictures.
    """

    def __init__(self, names: Sequence[str], shared: int) -> None:
        self.rest: dict[Folder, tuple[Level, ...]] = {}
        """By folder: the levels that remain."""
        self.heldout: dict[Folder, bool] = {}
        """By folder: whether its pictures are held out; empty if there are no such parts."""
        self.passed: dict[int, set[str]] = defaultdict(set)
        """By level: the folders removed."""
        self.splits: dict[str, bool] = {}
        """By name of each part for training or testing: whether it is held out."""
        self._names = names
        for name in names:
            folder = tuple(name.split("/")[:-1])
            if folder not in self.rest:
                self.rest[folder] = tuple(enumerate(folder, start=1))[shared:]

    def tops(self) -> dict[str, set[str]]:
        """By name of each topmost remaining folder: the names of the folders in it. Folders in it that
        only repeat it are skipped."""
        found: dict[str, set[str]] = defaultdict(set)
        for rest in self.rest.values():
            if rest:
                inside = list(rest[1:])
                while inside and repeats(rest[0][1], inside[0][1]):
                    inside.pop(0)
                found[rest[0][1]].update(name for _, name in inside[:1])
        return found

    def depth(self) -> int:
        """The largest number of remaining levels."""
        return max(map(len, self.rest.values()))

    def remove(self, tops: Iterable[str], classes: dict[str, str]) -> None:
        """Remove topmost folders, and the folders in them that only repeat them.

        Args:
            tops: their names.
            classes: by name: the class in it, which replaces the folder.
        """
        in_each: dict[str, list[Folder]] = {top: [] for top in tops}
        for folder, rest in self.rest.items():
            if rest and rest[0][1] in in_each:
                in_each[rest[0][1]].append(folder)
        for top, mine in in_each.items():
            for folder in mine:
                number = self.rest[folder][0][0]
                named = ((number, classes[top]),) if classes.get(top) else ()
                if not named:
                    self.passed[number].add(top)
                self.rest[folder] = named + self.rest[folder][1:]
            at = 1 if classes.get(top) else 0
            while True:
                following = {rest[at][1] for f in mine if len(rest := self.rest[f]) > at}
                if len(following) != 1 or not repeats(top, *following):
                    break
                for folder in mine:
                    rest = self.rest[folder]
                    if len(rest) > at:
                        self.passed[rest[at][0]].add(rest[at][1])
                        self.rest[folder] = rest[:at] + rest[at + 1 :]

    def remove_repeating(self) -> bool:
        """Remove a topmost folder that only holds folders of the same names as there are beside it, such
        as `x-ray/train` beside `train`; returns whether there was one."""
        tops = self.tops()
        for top, inside in tops.items():
            direct = any(len(rest) == 1 and rest[0][1] == top for rest in self.rest.values())
            if len(inside) > 1 and inside < set(tops) and not direct and is_heldout(top) is None:
                self.remove([top], {})
                return True
        return False

    def remove_split(self, levels: int) -> bool:
        """Remove the topmost folders if they are parts for training and testing; returns whether they
        are.

        Args:
            levels: the number of levels that the label fields need.
        """
        if self.heldout or (found := _split(self.tops(), self.depth() > levels)) is None:
            return False
        for folder, rest in self.rest.items():
            self.heldout[folder] = bool(rest and found.heldout.get(rest[0][1]))
        self.splits = found.heldout
        self.remove(found.heldout, found.classes)
        return True

    def remove_parts(self, levels: int, wanted: set[str]) -> bool:
        """Remove the topmost folders if they are other parts; returns whether they are.

        Args:
            levels: the number of levels that must remain in doubtful cases.
            wanted: words in the names of the label fields.
        """
        tops = self.tops()
        if not tops:
            return False
        beside = {beside_split(top) for top in tops if is_heldout(top) is not None}
        dated = _DATE.fullmatch if not wanted & _NUMBERED_LABELS else lambda top: None
        certain = len(beside) < 2 and all(
            is_part(top) or is_container(top) or dated(top) for top in tops
        )
        certain = certain or (self.depth() > levels and _are_initials(tops))
        if not certain:
            meant = any(wanted & (_NUMBERED_LABELS | set(words_of(top))) for top in tops)
            deep = self.depth() > levels and not meant
            if not (deep and are_alike(tops) and _same_inside(tops)) and not self._are_shards(tops):
                return False
        self.remove(tops, {})
        return True

    def remove_single(self, levels: int) -> bool:
        """Remove a topmost folder that holds all that remains; returns whether there was one.

        Args:
            levels: the number of levels that must remain.
        """
        tops = self.tops()
        if (
            not self.passed
            or len(tops) != 1
            or self.depth() <= levels
            or not next(iter(tops.values()))
        ):
            return False
        if any(len(rest) == 1 for rest in self.rest.values()):
            return False
        self.remove(tops, {})
        return True

    def remove_split_below(self) -> None:
        """Remove a level of parts for training and testing that is below the classes."""
        if self.heldout:
            return
        for at in range(1, self.depth()):
            names = {rest[at][1]: set[str]() for rest in self.rest.values() if len(rest) > at}
            found = _split(names)
            if found is not None and not found.classes and set(found.heldout) == set(names):
                for folder, rest in self.rest.items():
                    self.heldout[folder] = len(rest) > at and found.heldout[rest[at][1]]
                    self.rest[folder] = rest[:at] + rest[at + 1 :]
                self.splits = found.heldout
                return

    def _are_shards(self, tops: dict[str, set[str]]) -> bool:
        """Whether folders are shards: numbered like `00000`, with pictures that are numbered to
        match."""
        if len({len(top) for top in tops}) != 1 or not all(map(_SHARD.fullmatch, tops)):
            return False
        if not any(top.startswith("0") for top in tops):
            return False
        if all(inside and not any(map(str.isdigit, inside)) for inside in tops.values()):
            return True
        numbers: dict[str, list[int]] = defaultdict(list)
        by_end = True  # Whether pictures are in the folder of their numbers' last digits.
        for name in self._names:
            *folder, last = name.split("/")
            stem = last.partition(".")[0]
            rest = self.rest[tuple(folder)]
            if len(rest) != 1 or not _NUMBER.fullmatch(stem):
                return False
            numbers[rest[0][1]].append(int(stem))
            by_end = by_end and stem.endswith(rest[0][1][-3:])
        ranges = [(min(numbers[top]), max(numbers[top])) for top in sorted(numbers)]
        return by_end or all(one[1] < other[0] for one, other in pairwise(ranges))


def _are_initials(tops: dict[str, set[str]]) -> bool:
    """Whether folders are named by the initials of the folders in them, as in `b/bridge`."""
    return len(tops) > 1 and all(
        len(top) == 1
        and inside
        and all(name.casefold().startswith(top.casefold()) for name in inside)
        for top, inside in tops.items()
    )


def _same_inside(tops: dict[str, set[str]]) -> bool:
    """Whether most names of inner folders occur in at least two of the folders."""
    counts = Counter(name for inside in tops.values() for name in inside)
    if all(is_heldout(name) is not None for name in counts):
        return False  # Each folder has its own parts for training and testing.
    return 2 * sum(count > 1 for count in counts.values()) > len(counts)


@dataclass(frozen=True)
class Layout:
    """What the folders above each picture mean."""

    shared: tuple[str, ...] = ()
    """The folders at the top that hold all pictures, such as `wikiart`."""
    splits: dict[str, bool] = field(default_factory=dict)
    """By name of each part for training or testing: whether it is held out."""
    passed: dict[int, set[str]] = field(default_factory=dict)
    """By level: the skipped folders, which are parts of any kind or repeat a part."""
    _rest: dict[Folder, tuple[Level, ...]] = field(default_factory=dict)
    _heldout: dict[Folder, bool] = field(default_factory=dict)

    def numbered(self, name: str) -> tuple[Level, ...]:
        """The folders above a picture that may be classes, with their levels, from the top."""
        return self._rest[tuple(name.split("/")[:-1])]

    def levels(self, name: str) -> list[str]:
        """The names of the folders above a picture that may be classes, from the top."""
        return [level for _, level in self.numbered(name)]

    def tops(self, names: Iterable[str]) -> set[str]:
        """The topmost folders of some pictures that may be classes."""
        return {levels[0] for name in names if (levels := self.levels(name))}

    def heldout(self, name: str) -> bool | None:
        """Whether a picture is in a held-out part; None: the source has no such parts."""
        return self._heldout[tuple(name.split("/")[:-1])] if self._heldout else None

    def notes(self) -> list[str]:
        """Notes on the held-out parts."""
        if not self.splits:
            return []
        kept = sorted(name for name, held in self.splits.items() if held)
        rest = sorted(set(self.splits).difference(kept))
        alone = f" (they have if only {listed(rest)} is packed)" if rest else ""
        strange = [name for name in kept if is_heldout(name) is None]
        if strange:
            return [
                f"held out is {listed(kept)}, which has the same folders as {listed(rest)} beside it; "
                f"--heldout and --seed have no effect; if {listed(kept)} is for "
                f"training, pack {listed(rest)} alone or move all into one folder"
            ]
        strange = [name for name in rest if is_heldout(name) is None and not is_part(name)]
        more = f"; {listed(strange)} beside them is for training" if strange else ""
        return [
            f"held out is what the source itself has in {listed(kept)}; --heldout and --seed have no "
            f"effect{alone}{more}"
        ]

    def skipped_note(self) -> str:
        """A note on the skipped folders; blank if there are none."""
        if not self.passed:
            return ""
        return (
            f"the folders of {_level_list(self.passed, 'and')} are taken for parts of "
            "the data set, not for classes (--labels NAME=LEVEL takes those of a level)"
        )

    def levels_note(self, fields: Sequence[str]) -> list[str]:
        """A note on the levels of the label fields, if other levels are possible.

        Args:
            fields: names of the label fields, from the top.
        """
        taken: dict[int, set[str]] = defaultdict(set)
        below: dict[int, set[str]] = defaultdict(set)
        for found in self._rest.values():
            for number, level in found[: len(fields)]:
                taken[number].add(level)
            for number, level in found[len(fields) :]:
                if not repeats(found[len(fields) - 1][1], level):
                    below[number].add(level)
        plain = {name for name in self.splits if is_split_word(name.lower())}
        above = {number: passed for number, passed in self.passed.items() if not passed <= plain}
        if not taken or not (above or below):
            return []
        other = min(below or above)
        return [
            f"the classes of {' and '.join(fields)} are the folders of {_level_list(taken, 'and')}, "
            f"not those of {_level_list(above | below, 'or')}; --labels {fields[-1]}={other} takes "
            f"level {other}, NAME=LEVEL,NAME=LEVEL several"
        ]


def _level_list(levels: dict[int, set[str]], joined: str) -> str:
    names = [f"level {number} ({listed(sorted(levels[number]))})" for number in sorted(levels)]
    return f" {joined} ".join(names)


def layout(names: Iterable[str], levels: int = 0, fields: Sequence[str] = ()) -> Layout:
    """Decide what the folders of a source mean.

    Args:
        names: paths of the pictures in the source, with `/`.
        levels: the number of levels that remain as classes, if there are so many. Then a folder that
            holds all pictures may be the only class.
        fields: names of the label fields. For one called year, folders of years may be classes.
    """
    names = list(names)
    folders = {tuple(name.split("/")[:-1]) for name in names}
    if not folders:
        return Layout()
    deepest = max(map(len, folders))
    # The folders that the first and the last in sorted order share, all share.
    pairs = zip(min(folders), max(folders), strict=False)
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    shared = tuple(common[: max(0, deepest - levels)])
    left = _FolderLevels(names, len(shared))
    wanted = {word for name in fields for word in words_of(name)}
    while (
        left.remove_repeating()
        or left.remove_split(levels)
        or left.remove_parts(levels, wanted)
        or left.remove_single(levels)
    ):
        pass
    left.remove_split_below()
    return Layout(shared, left.splits, dict(left.passed), left.rest, left.heldout)
