"""The format of StyleGAN2-ADA's dataset_tool.py, used by StyleGAN3, Projected GAN, EDM and R3GAN
too.

A zip or a folder of `00000/img00000000.png` with a `dataset.json` at its top: {"labels": [[name,
class], ...]}, or null for none (NVlabs/stylegan2-ada-pytorch, dataset_tool.py, its help text). A class
is a number from 0, a vector with a single 1 or, as others write it, its name; other vectors are no
classes. If half of the labels or more are no classes, all labels are ignored; otherwise only those.

Numbers become names: 7 of 120 classes is `007`, so that they sort. Names are taken from
"class_names" in `dataset.json`, which `impasto unpack` writes beside their "field", or from a file
classes.txt or class_names.txt beside it, one a line.
"""

import json
import re
from typing import Any

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.sources.listing import (
    PICTURE_SUFFIXES,
    Listing,
    entry_of,
    known,
    pictures,
    read_from,
    suffix_of,
)
from impasto.sources.trees import Source, Tree, UnusableError, read_text, tidy

ORDER = 6

_TABLE = "dataset.json"
_NAMES = ("classes.txt", "class_names.txt")
_NUMBERED = re.compile(r"\d{5}/img\d{8}\.png")
_MOST_CLASSES = 2**20


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A source with such a table, or with only pictures named like that, whose folders are no
    classes."""
    if source.file is not None:
        return False
    names = [name for name in source.tree.files if suffix_of(name) in PICTURE_SUFFIXES]
    if names and _TABLE in source.tree.files:
        try:
            return b'"labels"' in source.tree.read(_TABLE)
        except UnusableError:
            return True
    return bool(names) and all(map(_NUMBERED.fullmatch, names))


def _table(tree: Tree) -> dict[str, Any]:
    if _TABLE not in tree.files:
        return {}
    try:
        table = json.loads(read_text(tree, _TABLE))
    except (ValueError, RecursionError) as error:
        raise ImpastoError(f"{tree.place / _TABLE} is damaged ({error}); make it again") from error
    if not isinstance(table, dict):
        raise ImpastoError(f'{tree.place / _TABLE} is not as StyleGAN has it: {{"labels": [...]}}')
    return table


def _labels(table: dict[str, Any], place: str, notes: list[str]) -> dict[str, Any]:
    """Each picture's label as written, by name; invalid rows go to the notes.

    Raises:
        ImpastoError: all rows are invalid.
    """
    given = table.get("labels") or []
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise ImpastoError(f'"labels" in {place} is no list of [name, class]')
    labels, wrong = {}, []
    for number, pair in enumerate(pairs):
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str):
            labels[tidy(pair[0].replace("\\", "/"))] = pair[1]
        else:
            wrong.append(number)
    if wrong and not labels:
        raise ImpastoError(f'number {wrong[0]} of "labels" in {place} is not [name, class]')
    if wrong:
        notes.append(
            f'passed over in "labels" of {_TABLE}, as not [name, class]: {counted(len(wrong), "row")}, '
            f"such as number {wrong[0]}, from 0"
        )
    return labels


def _class(label: Any) -> int | str | None:
    """A label's class number or name; -1 if unknown; None if it is no class."""
    match label:
        case str() if re.fullmatch(r"-?[0-9]{1,9}", label.strip()):
            return _class(int(label))
        case str():
            return known(" ".join(tidy(label).split()), "class") or -1
        case None:
            return -1
        case bool():
            return None
        case int() if label < _MOST_CLASSES:
            return max(label, -1)
        case float() if label.is_integer() and label < _MOST_CLASSES:
            return max(int(label), -1)
        case [_, _, *_] if all(type(part) in (int, float) and part in (0, 1) for part in label):
            ones = [place for place, part in enumerate(label) if part]
            return None if len(ones) > 1 else ones[0] if ones else -1
    return None


def _class_names(table: dict[str, Any], tree: Tree, count: int) -> list[str]:
    """The name of each class."""
    names = table.get("class_names")
    where = f'"class_names" in {tree.place / _TABLE}'
    if names is None and (found := [file for file in _NAMES if file in tree.files]):
        names, where = read_text(tree, found[0]).strip().splitlines(), str(tree.place / found[0])
    if names is None:
        return [f"{number:0{len(str(count - 1))}}" for number in range(count)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ImpastoError(f"{where} is no list of names")
    tidied = [tidy(name) for name in names]
    if len(tidied) < count or "" in tidied or len(set(tidied)) < len(tidied):
        raise ImpastoError(
            f"{where} does not name each of the {count} classes, from 0, once; there are "
            f"{len(set(tidied) - {''})} names"
        )
    return tidied


def _numbers(
    rows: dict[str, Any], source: Source, labels: tuple[str, ...] | None, notes: list[str]
) -> dict[str, int | str | None]:
    """Each picture's class, by name; empty if most labels are no classes.

    Raises:
        ImpastoError: labels were asked for, and there are none.
    """
    numbers = {name: _class(label) for name, label in rows.items()}
    strange = [name for name, number in numbers.items() if number is None]
    if not strange:
        return numbers
    text = json.dumps(rows[strange[0]])
    text = text if len(text) <= 40 else f"{text[:40]}..."
    such = f"no classes, such as {text} of {strange[0]}"
    if 2 * len(strange) < len(numbers):
        notes.append(f"{counted(len(strange), 'label')} in {_TABLE} taken as not known: {such}")
        return numbers
    if labels:
        reason = f"the labels in {_TABLE} are {such}"
        raise ImpastoError(f"no labels '{', '.join(labels)}' in {source.path}: {reason}")
    notes.append(f"the labels in {_TABLE} are {such}: they were left out")
    return {}


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the pictures; one without a label has no class.

    Raises:
        ImpastoError: `dataset.json` is damaged or of another kind, or labels were asked for and it
            has none.
    """
    tree = source.tree
    table = _table(tree)
    place = str(tree.place / _TABLE)
    listing = Listing("StyleGAN's dataset")
    rows = _labels(table, place, listing.notes)
    numbers = _numbers(rows, source, labels, listing.notes)
    count = max((number for number in numbers.values() if type(number) is int), default=-1) + 1
    texts = any(type(number) is str for number in numbers.values())
    if labels and not count and not texts:
        raise ImpastoError(
            f"no labels '{', '.join(labels)}' in {source.path}: its {_TABLE} has none; leave "
            "--labels out"
        )
    if (count or texts) and labels != ():
        field = table.get("field")
        own = tidy(field) if isinstance(field, str) and tidy(field) else "class"
        listing.fields = labels or (own,)
        if len(listing.fields) > 1:
            raise ImpastoError(
                f"{place} holds one label, but --labels names {len(listing.fields)}: "
                f"{', '.join(listing.fields)}; give one name for it"
            )
    names = _class_names(table, tree, count) if count and listing.fields else []
    found = set()
    for file in pictures(tree, listing):
        name = tidy(file.name)
        found.add(name)
        number = numbers.get(name)
        if isinstance(number, int):
            number = names[number] if names and number >= 0 else ""
        listing.entries.append(entry_of(file, labels=(number or "",) if listing.fields else ()))
    missing = [name for name in rows if name not in found]
    listing.left_out += [(name, f"listed but missing: in {_TABLE}") for name in missing]
    without = sum(name not in rows for name in found)
    if listing.fields and without:
        listing.notes.append(
            f"{counted(without, 'picture')} without a label in {_TABLE}, so of no known class"
        )
    return read_from(tree, listing)
