"""Choose a collection's pictures and classes: by `where`, then `merge`, then a minimum class size.

This changes the listing, before anything is decoded. Merges name the source's classes, so one merge does
not apply to the result of another. Class sizes are counted after merging.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from impasto.errors import ImpastoError, near
from impasto.files import expand_home
from impasto.formatting import counted, one_line, quoted
from impasto.sources.listing import Listing, class_name
from impasto.sources.trees import Folder, read_text, tidy
from impasto.sources.where import where as chosen_where
from impasto.tabular import Key, read_delimited

_NAMED = 8
"""Most classes that a note names."""
_QUOTED = re.compile(r"\s*'((?:[^']|'')*)'\s*(?=[=|]|$)")
_PLAIN = re.compile(r"\s*([^=|]*)")
_JOINTS = re.compile(
    r"(?<=[^\W_])(?<!\d)[\s_\u200c\u200d\u2010-\u2015-]+(?=[^\W_])"
    r"|(?<=\d)[\s_\u200c\u200d\u2010-\u2015-]+(?=[^\W\d_])"
)
"""Blanks, underscores, hyphens, dashes and zero-width joiners between two letters, or a letter and
a digit. So `1-2` stays different from `12`, and `A-` from `A`."""
_ENDS = ".,;:!?\u2026'\"\u2018\u2019\u201c\u201d"


@dataclass(frozen=True)
class Merge:
    """Classes of a field that become the class `into`."""

    field: str
    into: str
    classes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.field}: {_written(self.into)} = {' | '.join(map(_written, self.classes))}"


Renamed = Mapping[str, Mapping[str, str]]
"""By field: old class name to new class name."""


def _written(name: str) -> str:
    """A class's name as `parse_merge` reads it."""
    plain = not re.search("[=|]", name) and name == name.strip() and not name.startswith("'")
    return name if plain else "'" + name.replace("'", "''") + "'"


def parse_merge(text: str) -> Merge:
    """Parse a text such as `style: Ukiyo-e = Ukiyo-e | Shin-hanga | Sosaku-hanga`.

    A class name with = or | in it is written in single quotes.

    Raises:
        ImpastoError: the text has another form.
    """

    def fail() -> NoReturn:
        raise ImpastoError(
            "--merge takes 'FIELD: NEW = CLASS | CLASS', or a CSV file with columns field, from and to; "
            f"not '{one_line(text)}'"
        )

    text = text.replace("\n", " ")
    # A field such as dc:subject has a colon itself. Then a blank must follow the other one.
    first = text.partition("=")[0]
    field, colon, rest = text.partition(": " if ": " in first else ":")
    names: list[str] = []
    at, sign = 0, ":" if colon and field.strip() else ""
    while sign:
        found = _QUOTED.match(rest, at) or _PLAIN.match(rest, at)
        assert found is not None
        names.append(class_name(found[1].replace("''", "'") if found.re is _QUOTED else found[1]))
        at, sign = found.end() + 1, rest[found.end() : found.end() + 1]
        if sign and sign != ("=" if len(names) == 1 else "|"):
            fail()
    if len(names) < 2 or not all(names):
        fail()
    return Merge(tidy(field), names[0], tuple(dict.fromkeys(names[1:])))


def read_merges(text: str) -> list[str]:
    """The merges of one `--merge`, each as a text for `parse_merge`.

    Args:
        text: a merge; or the name of a CSV file with a merge in each row (columns field, from, to).

    Raises:
        ImpastoError: there is no such file, or it lacks a column, a name or rows.
    """
    if "=" in text or not text.strip().lower().endswith(".csv"):
        return [str(parse_merge(text))]
    path = expand_home(text.strip())
    if not path.is_file():
        raise ImpastoError(f"there is no {path}, which --merge names")
    text = read_text(Folder(path.absolute().parent), path.name)
    try:
        table = read_delimited(
            text, str(path), Key(("from",), bool, lambda _: False, "field,from,to")
        )
    except ImpastoError as error:
        raise ImpastoError(f"{path} {error}") from error
    if table.unreadable:
        raise ImpastoError(f"--merge: {table.unreadable[0].why}")
    if not table.rows:
        raise ImpastoError(f"{path} has no rows, such as style,Shin-hanga,Ukiyo-e")
    merged: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        field, old, new = (class_name(row.cells.get(name, "")) for name in ("field", "from", "to"))
        if not (field and old and new):
            raise ImpastoError(
                f"{row.at} of {path} does not name field, from and to, which its columns are to be"
            )
        merged.setdefault((field, new), []).append(old)
    return [str(Merge(*key, tuple(dict.fromkeys(classes)))) for key, classes in merged.items()]


def renaming(listing: Listing, merges: Iterable[str]) -> Renamed:
    """The new names of a listing's classes.

    Raises:
        ImpastoError: a merge cannot be parsed or names an unknown field or class, or two merges give one
            class different names.
    """
    found: dict[str, dict[str, str]] = {}
    for merge in map(parse_merge, merges):
        if merge.field not in listing.fields:
            raise ImpastoError(
                f"--merge: no label field {near(merge.field, listing.fields)} (labels are chosen with "
                "--labels)"
            )
        there = _sizes(listing, merge.field)
        names = found.setdefault(merge.field, {})
        for name in merge.classes:
            if name not in there:
                raise ImpastoError(f"--merge: no {merge.field} is called {near(name, there)}")
            if names.setdefault(name, merge.into) != merge.into:
                raise ImpastoError(
                    f"--merge takes {merge.field} '{name}' both for {names[name]} and for {merge.into}"
                )
    return found


def _sizes(listing: Listing, field: str) -> Counter[str]:
    """The number of pictures of each class of a field."""
    column = listing.fields.index(field)
    return Counter(label for entry in listing.entries if (label := entry.labels[column]))


def rename(listing: Listing, renamed: Renamed) -> Listing:
    """The listing with other names for some classes. The name '' makes a class unknown."""
    given = [renamed.get(field, {}) for field in listing.fields]
    entries = [
        replace(
            entry,
            labels=tuple(
                names.get(label, label) for names, label in zip(given, entry.labels, strict=True)
            ),
        )
        for entry in listing.entries
    ]
    return replace(
        listing, entries=entries, left_out=list(listing.left_out), notes=list(listing.notes)
    )


def merge_classes(listing: Listing, renamed: Renamed) -> Listing:
    """The listing with merged classes, and a note on each new one.

    Args:
        listing: of the source.
        renamed: the result of `renaming`.
    """
    merged = rename(listing, renamed)
    for field, names in renamed.items():
        before, after = _sizes(listing, field), _sizes(merged, field)
        for into in [name for name in dict.fromkeys(names.values()) if after[name]]:
            # Among them may be a class that had the new name already.
            old = [name for name in before if names.get(name, name) == into]
            merged.notes.append(
                f"{field} {into}: {counted(after[into], 'picture')} of {_list(before, old)}"
            )
    return merged


def _comparable(name: str) -> str:
    """A class name without case, blanks, hyphens, underscores, Unicode form and final punctuation, to
    compare names."""
    letters = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _JOINTS.sub("", letters).rstrip(_ENDS) or letters


def spelling_notes(listing: Listing) -> list[str]:
    """A note for each field with classes that differ only in spelling. It contains the `--merge` that
    joins them under the most frequent name."""
    notes = []
    for field in listing.fields:
        sizes = _sizes(listing, field)
        groups = defaultdict(list)
        for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
            groups[_comparable(name)].append(name)
        same = [names for names in groups.values() if len(names) > 1]
        if not same:
            continue
        shown = [
            f"--merge {quoted(str(Merge(field, names[0], tuple(names[1:]))))}" for names in same
        ]
        more = f" and {counted(len(shown) - _NAMED, 'more')}" if len(shown) > _NAMED else ""
        notes.append(
            f"{field}: {counted(sum(map(len, same)), 'class')} differ by capitals, blanks or "
            f"punctuation alone; to take those as one: {' '.join(shown[:_NAMED])}{more}"
        )
    return notes


def minimum_class(listing: Listing, least: int) -> Listing:
    """Remove the labels of classes with fewer than `least` pictures, with a note for each field.

    Args:
        listing: of the source.
        least: the least number of pictures in a class.

    Raises:
        ImpastoError: a field would be left without any class.
    """
    small: dict[str, dict[str, str]] = {}
    notes = []
    for field in listing.fields:
        sizes = _sizes(listing, field)
        few = [name for name, size in sizes.items() if size < least]
        if not few:
            continue
        if len(few) == len(sizes):
            name, most = max(sizes.items(), key=lambda pair: pair[1])
            raise ImpastoError(
                f"no {field} has {least:,} pictures, the least that --min-class asks for; the largest, "
                f"{name}, has {most:,}"
            )
        small[field] = dict.fromkeys(few, "")
        notes.append(
            f"{field}: now unknown for {counted(sum(sizes[name] for name in few), 'picture')}, of "
            f"classes with fewer than {least:,}: {_list(sizes, few)}"
        )
    kept = rename(listing, small)
    kept.notes += notes
    return kept


def _list(sizes: Mapping[str, int], names: Sequence[str]) -> str:
    """`Rococo (12), Cubism (7) and 3 others`, the largest first."""
    order = sorted(names, key=lambda name: (-sizes[name], name))
    shown = [f"{name} ({sizes[name]:,})" for name in order[:_NAMED]]
    if len(order) > _NAMED:
        return f"{', '.join(shown)} and {counted(len(order) - _NAMED, 'other')}"
    return ", ".join(shown)


def choose(listing: Listing, where: str | None, merge: Sequence[str], min_class: int) -> Listing:
    """Choose the pictures to pack and their classes.

    Args:
        listing: as a reader made it.
        where: a condition on pictures, see `where.py`; None: all pictures.
        merge: texts for `parse_merge`, which name classes of the whole listing.
        min_class: pictures of classes with fewer pictures than this lose their label.

    Raises:
        ImpastoError: an argument cannot be parsed, names an unknown field, column or class, or leaves no
            picture or no class.
    """
    renamed = renaming(listing, merge)
    if where is not None:
        listing = chosen_where(listing, where)
    if renamed:
        listing = merge_classes(listing, renamed)
    listing = replace(listing, notes=[*listing.notes, *spelling_notes(listing)])
    return minimum_class(listing, min_class) if min_class > 1 else listing
