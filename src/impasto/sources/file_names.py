"""Match the names in a list to files: by the exact name, else by the only file of a similar name."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote

from impasto.formatting import counted
from impasto.sources.listing import PICTURE_SUFFIXES, suffix_of, without_suffix
from impasto.sources.trees import tidy

_MANGLED = 0.25
"""Non-ASCII letters of a name are ignored only if they are at most this share of it."""
_ESCAPED = re.compile(r"#U[0-9A-Fa-f]{4}")
"""Info-ZIP's unzip writes this in place of a letter that the system's code page lacks."""
# UTF-8 decoded as Latin-1 and lower-cased, as the names in WikiArt were.
_SMALL = {ord("ã"): "Ã", ord("â"): "Â"}


def plain(name: str) -> str:
    """A path in a list in the form of a tree's names: composed Unicode, with `/`, and without `./`."""
    parts = tidy(name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _spelling(name: str) -> str:
    """The name without case and URL encoding."""
    return tidy(unquote(name)).casefold()


def _stem(name: str) -> str:
    """The spelling without a picture's suffix."""
    name = _spelling(name)
    suffix = suffix_of(name)
    return name.removesuffix(suffix) if suffix in PICTURE_SUFFIXES else name


def _longer_suffix(name: str) -> str:
    """The spelling without a picture's suffix and what follows it, as in `.jpg_large`."""
    return without_suffix(_spelling(name))


def repaired(name: str) -> str:
    """Repair a name whose UTF-8 was decoded as Latin-1: `grã©goire` is `grégoire`."""
    try:
        return name.translate(_SMALL).encode("latin-1").decode("utf-8").replace("\xa0", "")
    except UnicodeError:
        return name


def _folded(name: str) -> str:
    """The stem without accents; blank if non-ASCII letters remain."""
    name = unicodedata.normalize("NFKD", repaired(_stem(name)))
    name = "".join(letter for letter in name if not unicodedata.combining(letter))
    return name if name.isascii() else ""


def _remains(name: str) -> str:
    """The stem without its non-ASCII letters, which may be mangled; blank if these were many."""
    name = _ESCAPED.sub("\ufffd", name)
    kept = "".join(letter for letter in _stem(name) if letter.isascii())
    return kept if len(kept) >= (1 - _MANGLED) * len(_stem(name)) else ""


def _numbered(name: str) -> str:
    """The stem of a name that is a number, without leading zeros; blank for other names. Spreadsheets
    change `00012` to `12` or `12.0`."""
    folder, slash, last = _stem(name).rpartition("/")
    number = re.fullmatch(r"0*([0-9]+)(?:\.0+)?", last)
    return f"{folder}{slash}{number[1]}" if number else ""


def short_names(name: str) -> set[str]:
    """The names by which a list may mean a file: without folders, with and without suffix, and as a
    number."""
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
    """Whether the longer one of two paths, as lists of parts, ends with the shorter one."""
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


def find_named(listed: Collection[str], files: Iterable[str]) -> dict[str, str]:
    """The file for each listed name. Names that match no file, or several, are missing.

    Exact names are matched first. The remaining names are compared by one rule after the other. The
    rules ignore, in this order: case and URL encoding; the suffix; what follows the suffix, as in
    `.jpg_large`; zeros around a number; accents, and UTF-8 decoded as Latin-1; all non-ASCII letters.
    Either name may lack leading folders. A rule applies only if exactly one remaining name and one
    remaining file agree; for numbers, only if no other file at all agrees.

    Args:
        listed: distinct names in the form of `plain`.
        files: names in the tree.
    """
    # Of two names that differ only by trailing blanks, the one without them is used.
    free = {tidy(file): file for file in sorted(files, key=lambda file: tidy(file) == file)}
    every = dict(free)
    found = {name: free[name] for name in listed if name in free}
    for name in found:
        del free[name]
    # Names with `..` match nothing, because they may be outside the tree.
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
    """A name without folders, case and suffix, to compare names."""
    return _stem(name.rpartition("/")[2])


def namesakes(files: Iterable[str]) -> dict[str, list[str]]:
    """By the result of `spelled`: the files with this name."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        found[spelled(file)].append(file)
    return found


def naming_note(found: dict[str, str], where: str) -> list[str]:
    """A note on the number of files whose names differ from the listed ones by more than folders, with
    an example.

    Args:
        found: the result of `find_named`.
        where: the list, for the note.
    """
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
