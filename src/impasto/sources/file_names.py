"""Which picture a list means: the one of that name, or else the only one that it can mean."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote

from impasto.formatting import counted
from impasto.sources.listing import PICTURE_SUFFIXES, suffix_of, without_suffix
from impasto.sources.trees import tidy

_MANGLED = 0.25
"""At most this share of a name may be lost where its letters beyond ASCII are passed over."""
_ESCAPED = re.compile(r"#U[0-9A-Fa-f]{4}")
"""What Info-ZIP's unzip writes for a letter that the system's code page lacks."""
# UTF-8 that was taken for Latin-1 and put into small letters, as the names in WikiArt were.
_SMALL = {ord("ã"): "Ã", ord("â"): "Â"}


def plain(name: str) -> str:
    """A name in a list as the tree has it: composed, with `/`, and without `./`."""
    parts = tidy(name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _spelling(name: str) -> str:
    return tidy(unquote(name)).casefold()


def _stem(name: str) -> str:
    name = _spelling(name)
    suffix = suffix_of(name)
    return name.removesuffix(suffix) if suffix in PICTURE_SUFFIXES else name


def _longer_suffix(name: str) -> str:
    return without_suffix(_spelling(name))


def repaired(name: str) -> str:
    """A name whose UTF-8 was once taken for Latin-1, as it was meant: `grã©goire` is `grégoire`."""
    try:
        return name.translate(_SMALL).encode("latin-1").decode("utf-8").replace("\xa0", "")
    except UnicodeError:
        return name


def _folded(name: str) -> str:
    """Without accents; blank where letters beyond those remain."""
    name = unicodedata.normalize("NFKD", repaired(_stem(name)))
    name = "".join(letter for letter in name if not unicodedata.combining(letter))
    return name if name.isascii() else ""


def _remains(name: str) -> str:
    """Without all letters beyond ASCII, however they were mangled; blank where they were many."""
    name = _ESCAPED.sub("\ufffd", name)
    kept = "".join(letter for letter in _stem(name) if letter.isascii())
    return kept if len(kept) >= (1 - _MANGLED) * len(_stem(name)) else ""


def _numbered(name: str) -> str:
    """Where it is called by a number, that number: a spreadsheet makes `12` or `12.0` of `00012`;
    blank where it is not."""
    folder, slash, last = _stem(name).rpartition("/")
    number = re.fullmatch(r"0*([0-9]+)(?:\.0+)?", last)
    return f"{folder}{slash}{number[1]}" if number else ""


def short_names(name: str) -> set[str]:
    """What a list may call a file: its name and its number, without folders and suffix."""
    last = name.rpartition("/")[2]
    return {_spelling(last), _stem(last), _longer_suffix(last), _numbered(last)} - {""}


_RULES: tuple[Callable[[str], str], ...] = (
    str,
    _spelling,
    _stem,
    _longer_suffix,
    _numbered,
    _folded,
    _remains,
)


def _agree(one: list[str], other: list[str]) -> bool:
    """Whether one path ends with all of the other."""
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


def find_named(listed: Collection[str], files: Iterable[str]) -> dict[str, str]:
    """The file that each listed name means; a name that means none, or may mean several, is missing.

    Exact names come first. What is left is compared, one rule after the other, without heed to
    capitals and URL encoding; to the suffix; to what follows one, as in `.jpg_large`; to zeros around a
    number; to accents, and UTF-8 that was taken for Latin-1; to all letters beyond ASCII. Either name
    may lack folders at its beginning. A rule only counts where exactly one listed name and one file are
    left that agree; with numbers, where no other file at all agrees.

    Args:
        listed: distinct names, as `plain` gives them.
        files: names in the tree.
    """
    # Of two that differ by blanks at the end only, the one without.
    free = {tidy(file): file for file in sorted(files, key=lambda file: tidy(file) == file)}
    every = dict(free)
    found = {name: free[name] for name in listed if name in free}
    for name in found:
        del free[name]
    # Nothing is looked for above the tree's top.
    rest = [name for name in listed if name not in found and ".." not in name.split("/")]
    for key in _RULES:
        if not rest or not free:
            break
        by_end: dict[str, list[tuple[list[str], str]]] = defaultdict(list)
        for name in every if key is _numbered else free:
            parts = key(name).split("/")
            by_end[parts[-1]].append((parts, name))
        meant: dict[str, str] = {}
        for name in rest:
            parts = key(name).strip("/").split("/")
            if not parts[-1]:
                continue
            agreeing = [pair for pair in by_end.get(parts[-1], []) if _agree(pair[0], parts)]
            same = [pair for pair in agreeing if len(pair[0]) == len(parts)]
            if len(same or agreeing) == 1:
                meant[name] = (same or agreeing)[0][1]
        wanted = Counter(meant.values())
        for name, file in meant.items():
            if wanted[file] == 1 and file in free:
                found[name] = free.pop(file)
        rest = [name for name in rest if name not in found]
    return found


def spelled(name: str) -> str:
    """A name without folders and suffix, as names are compared."""
    return _stem(name.rpartition("/")[2])


def namesakes(files: Iterable[str]) -> dict[str, list[str]]:
    """The files of each such name."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        found[spelled(file)].append(file)
    return found


def naming_note(found: dict[str, str], where: str) -> list[str]:
    """How many files have other names than listed, but for folders, with one of them."""
    others = [
        (name, file)
        for name, file in found.items()
        if not _agree(name.split("/"), tidy(file).split("/"))
    ]
    if not others:
        return []
    name, file = others[0]
    return [
        f"{counted(len(others), 'picture')} by another name here than in {where}, such as {name}: {file}"
    ]
