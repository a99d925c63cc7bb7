"""Recognise folders by their names: parts of the data set, and folders that only describe their
files."""

import re
from collections.abc import Iterable
from functools import cache

from impasto.sources.heldout import is_heldout, is_split_word, words_of

_CONTAINERS = frozenset(
    """
    images image imgs img pictures pics photos data dataset datasets files jpg jpeg jpegs png pngs raw
    original originals orig full resized resize small smaller thumb thumbs thumbnail thumbnails preview
    previews mini lowres highres
    """.split()  # noqa: SIM905
)
_NUMBERED = frozenset(["fold", "split", "part", "shard", "chunk", "batch", "cv", "subset"])
"""With a number, such a word names a part at any level."""
_COUNTED = frozenset(
    """
    set vol volume v year week day session run version january february march april may june july august
    september october november december jan feb mar apr jun jul aug sep oct nov dec
    """.split()  # noqa: SIM905
)
"""With a number, such a word names a part only if other parts have the same folders."""
_IN_SPLITS = frozenset(
    {
        *("images", "image", "imgs", "img", "data", "dataset", "set", "split", "part", "of", "v"),
        *("public", "private", "pictures", "photos"),
    }
)
"""Words beside a split's name that are ignored."""
_KINDS = frozenset(
    {
        *("class", "category", "label", "type", "style", "genre", "artist", "painter", "cluster"),
        *("subject", "person", "species", "id"),
    }
)
"""With a number, such a word names a class."""
_DOWNLOADED = re.compile(
    r".*-[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)*"  # Google Drive and Takeout
    r"|(?:archive|download|onedrive|dropbox|icloud photos)(?:[ _-]*\(?[0-9_-]+\)?)?",
    re.IGNORECASE,
)
"""Names of the archives that browsers and cloud storage make."""
SIZE = re.compile(r"(?<![0-9])[0-9]{2,5}(?:x[0-9]{2,5}(?:px)?|px)(?![a-z0-9])", re.IGNORECASE)


@cache
def is_container(name: str) -> bool:
    """Whether a folder's name only describes its files, such as their kind or size."""
    words = [word for word in words_of(SIZE.sub("", name)) if not word.isdigit()]
    if not words:
        return SIZE.search(name) is not None
    return all(word in _CONTAINERS for word in words)


def _has_number(name: str, words: frozenset[str], needed: frozenset[str] = frozenset()) -> bool:
    """Whether a name has a number and otherwise only words in `words`, of which at least one is in
    `needed` (if that is not empty)."""
    found = words_of(name)
    others = {word for word in found if not word.isdigit()}
    return (
        len(others) < len(set(found)) and others <= words and (not needed or bool(others & needed))
    )


def is_part(name: str) -> bool:
    """Whether a folder of this name is a part of the data set at any level."""
    return (
        is_heldout(name) is not None
        or _has_number(name, _NUMBERED | _IN_SPLITS, _NUMBERED)
        or _DOWNLOADED.fullmatch(name) is not None
    )


def is_counted(name: str) -> bool:
    """Whether a folder of this name is a part, if others beside it have the same folders."""
    return _has_number(name, _NUMBERED | _COUNTED)


def beside_split(name: str) -> str:
    """The rest of a split's name: `A` in `trainA`."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+", name)
    return "_".join(
        word for word in words if not is_split_word(word.lower()) and word.lower() not in _IN_SPLITS
    )


def repeats(name: str, inside: str) -> bool:
    """Whether a folder's name adds nothing to that of the folder above it.

    Args:
        name: of the folder above.
        inside: of the folder.
    """
    return inside.casefold() == name.casefold() or is_container(inside)


def are_alike(tops: Iterable[str]) -> bool:
    """Whether folders are numbered or dated parts, or their names differ only in a number."""
    if all(is_part(top) or is_counted(top) for top in tops):
        return True
    words = {tuple(word for word in words_of(top) if not word.isdigit()) for top in tops}
    if any(_KINDS & set(one) for one in words):
        return False
    return len(words) == 1 and all(any(map(str.isdigit, words_of(top))) for top in tops)
