"""NumPy's arrays of pictures: an `.npz` or `.npy`, or a folder of them, as of MedMNIST and
Kuzushiji.

Pictures are [N, H, W], [N, H, W, C] or [N, C, H, W] with 1, 3 or 4 channels (grey, RGB, RGBA, which
is composited on white). Integers are levels from 0 to 255; two-byte ones to 65,535 if any exceeds
255. The range of floating-point numbers is found by reading them once: -1 to 1 if any is negative,
else 0 to 1, else 0 to 255. An array of text or numbers, one for each picture, is a label if it has
a label's name (labels, y, target, class, or arr_1 beside arr_0), else a column for `--where`.
Classes that are numbers are filled up with zeros, or named by an array such as `class_names`. Parts
such as `x_test`, or `test-imgs.npz`, are held out if there is one for training.

Arrays are read row by row; in a compressed array, all rows before one are decompressed to reach it.
Arrays of Python objects are pickles, and never read.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.sources.archives import is_archive
from impasto.sources.array_pictures import layout_of, pixels_of, scale_of
from impasto.sources.heldout import hold_out, is_heldout
from impasto.sources.listing import PICTURE_SUFFIXES, Content, Entry, Listing, known, suffix_of
from impasto.sources.numpy_files import StoredArray, list_arrays, read_array, read_rows, reading
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, Source, UnusableError, file_at, tidy, unreadable

ORDER = 5

_SUFFIXES = (".npz", ".npy")
_LABELS = frozenset({"labels", "label", "y", "targets", "target", "class", "classes", "cls"})
_PICTURES = frozenset({"images", "image", "imgs", "img", "x", "data", "pictures"})
_MOST_BYTES = 2**28
"""The largest array that is read as a whole, and the largest picture."""
_FEW_ROWS = 2**16
_LEAST_STORED = 4
"""The least bytes of a file for each of its pictures, if there are more than `_FEW_ROWS`; deflated
random squares of 64 x 64 pixels take 11. An entry takes 400 bytes of memory, so this bounds a
listing to some 100 times the file's size, whatever its arrays claim."""
_LONG_TEXT = 1000


def _words(name: str) -> list[str]:
    """`x_train`, `trainImages` and `k49-test-imgs` in words."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+", name)]


def _own_words(array: StoredArray) -> list[str]:
    """The words of the array's own name."""
    return _words(array.key or array.file.rpartition("/")[2].rpartition(".")[0])


def _part(array: StoredArray) -> str:
    """The split's word, such as `test`, in the array's name, else in the file's."""
    own = _own_words(array)
    # `is_test` has a row for each picture of all splits.
    words = [*(own if own[:1] != ["is"] else []), *_words(array.file.rpartition(".")[0])]
    return next((word for word in words if is_heldout(word) is not None), "")


def _files(source: Source) -> list[File]:
    if source.file is not None:
        return [file_at(source.path)]
    files = source.tree.files.values()
    return [file for file in files if file.path and suffix_of(file.name) in _SUFFIXES]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Such a file, or a folder whose only pictures are in such files."""
    if source.file is not None:
        return suffix_of(source.file) in _SUFFIXES and source.path.is_file()
    if any(suffix_of(name) in PICTURE_SUFFIXES for name in source.tree.files):
        return False
    # If no other reader could read anything, this one reports what is wrong with a file.
    alone = not any(map(is_archive, source.tree.files))
    return any(_shows_pictures(file, alone) for file in _files(source))


def _shows_pictures(file: File, if_damaged: bool) -> bool:
    """Whether there are pictures in a file."""
    try:
        return any(map(layout_of, list_arrays(file)))
    except ImpastoError:
        return if_damaged


def _contents(
    arrays: list[tuple[StoredArray, tuple[float, float]]], numbers: Sequence[int]
) -> Iterator[Content]:
    """The pictures of some entries; other arrays are not opened."""
    first = 0
    for array, scale in arrays:
        end = first + array.shape[0]
        inside = numbers[bisect_left(numbers, first) : bisect_left(numbers, end)]
        rows = [number - first for number in inside]
        done = 0
        try:
            with reading(array.path):
                for row in read_rows(array, rows) if rows else []:
                    try:
                        made: Content = pixels_of(row, layout_of(array), scale)
                    except UnusableError as reason:
                        made = reason
                    done += 1
                    yield made
        except ImpastoError as error:
            for _ in rows[done:]:
                yield UnusableError(f"{unreadable(error)}: {error}")
        first = end


def _texts(array: StoredArray) -> list[str] | None:
    """A text for each row of an array, blank where unknown; None if the rows are neither texts nor
    numbers. A one-hot row gives its index."""
    if math.prod(array.shape) * array.dtype.itemsize > _MOST_BYTES:
        return None
    values = read_array(array)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "buif" and values.shape[1] > 1:
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            return None
        values = values.argmax(axis=1)
    if values.ndim != 1:
        return None
    if values.dtype.kind == "S":
        return [tidy(value.decode("utf-8", "replace")) for value in values.tolist()]
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        # 3.0 is a class, NaN is none.
        whole_numbers = (np.isnan(values) | (values == np.rint(values))).all()
        form = "{:.0f}" if whole_numbers else "{}"
        return ["" if value != value else form.format(value) for value in values.tolist()]
    return [tidy(str(value)) for value in values.tolist()] if values.dtype.kind in "Uui" else None


def _classes(texts: list[str], field: str, names: list[str]) -> list[str]:
    """Class names: numbers are looked up in `names`, or padded with zeros; blank where unknown."""
    texts = [" ".join(known(text, field).split()) for text in texts]
    if all(re.fullmatch(r"-?[0-9]{1,9}", text) for text in texts if text):
        numbers = [int(text) if text else -1 for text in texts]
        most = max(numbers, default=0)
        if most < len(names):
            return [names[number] if number >= 0 else "" for number in numbers]
        return [f"{number:0{len(str(most))}}" if number >= 0 else "" for number in numbers]
    return texts


def _beside(pictures: StoredArray, others: list[StoredArray]) -> dict[str, StoredArray]:
    """The arrays with a row for each picture of an array, by field; those in its own file first.

    Another file's name must have all the words of the pictures' file but those for pictures:
    `k49-test-labels` goes with `k49-test-imgs`.
    """
    file_words = _words(pictures.file.rpartition(".")[0])
    subject = {*file_words} - _PICTURES
    found: dict[str, StoredArray] = {}
    for array in sorted(others, key=lambda array: array.file != pictures.file):
        if array.shape[:1] != pictures.shape[:1] or _part(array) != _part(pictures):
            continue
        if array.file != pictures.file and not subject <= {*_words(array.file.rpartition(".")[0])}:
            continue
        # `style` by `style_train`, `class` by `y_train`.
        words = _own_words(array)
        if words[:1] != ["is"]:
            words = [word for word in words if is_heldout(word) is None]
        words = [
            word for word in words if word not in _LABELS and (array.key or word not in subject)
        ]
        field = "class" if array.key == "arr_1" else "_".join(words) or "class"
        found.setdefault(field, array)
    return found


def _says_label(array: StoredArray) -> bool:
    return bool(_LABELS & {*_own_words(array)}) or array.key == "arr_1"


def _fields(
    path: Place, there: dict[str, StoredArray], labels: tuple[str, ...] | None
) -> dict[str, str]:
    """The label fields, and the array of each.

    Raises:
        ImpastoError: a label is unknown; the message lists the known ones.
    """
    own = [field for field, array in there.items() if _says_label(array)]
    if labels is None:
        return {field: field for field in own}
    fields = {}
    for label in labels:
        name = label.lower()
        if name not in there and not (len(labels) == len(own) == 1):
            raise ImpastoError(f"unknown label '{label}' in {path}; there is {choices([*there])}")
        fields[name] = name if name in there else own[0]
    return fields


def _without_objects(
    arrays: list[StoredArray], labels: tuple[str, ...] | None, listing: Listing
) -> list[StoredArray]:
    """The arrays without those of Python objects.

    Raises:
        ImpastoError: a needed array might be one of those.
    """
    for array in arrays:
        if array.dtype.hasobject:
            reason = f"{array.summary()} in {array.path} holds Python objects, which could run code"
            if labels or (labels is None and _says_label(array)):
                raise ImpastoError(
                    f"{reason}; save it as numbers, or as text: np.array(values, dtype=str)"
                )
            listing.notes.append(f"{reason}: it was left out")
    return [array for array in arrays if not array.dtype.hasobject]


def _names_classes(array: StoredArray) -> bool:
    return array.dtype.kind in "US" and bool({"names", "classes"} & {*_own_words(array)})


def _class_names(arrays: list[StoredArray]) -> list[str]:
    """The names in an array such as `class_names`, if there is one."""
    for array in arrays:
        if _names_classes(array):
            names = _texts(array) or []
            if len(names) == len(set(names)) and "" not in names:
                return names
    return []


def _label_files(source: Source) -> list[File]:
    """Files of labels beside a file of pictures."""
    found = []
    there: list[Place] = [*source.path.absolute().parent.iterdir()]
    for path in sorted(there, key=str):
        words = {*_words(path.stem)}
        if path.suffix.lower() in _SUFFIXES and path.is_file() and _LABELS & words:
            found.append(file_at(path))
    return found


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the rows of all arrays of pictures.

    Raises:
        ImpastoError: a file is damaged or a pickle, holds no pictures, or lacks a label.
    """
    listing = Listing("NumPy arrays")
    arrays = [array for file in _files(source) for array in list_arrays(file)]
    pictures = [array for array in arrays if layout_of(array)]
    others = [array for array in arrays if not layout_of(array)]
    if source.file is not None and not others:
        others = [array for file in _label_files(source) for array in list_arrays(file)]
    others = _without_objects(others, labels if pictures else ("",), listing)
    if not pictures:
        raise ImpastoError(
            f"{source.path} has no array of pictures, [N, H, W], [N, H, W, 3] or [N, 3, H, W]; it has "
            f"{choices([array.summary() for array in arrays])}"
        )
    if (largest := max(pictures, key=lambda array: array.row_bytes)).row_bytes > _MOST_BYTES:
        raise ImpastoError(f"the pictures in {largest.path} are too large: {largest.summary()}")
    _check_rows(pictures)
    beside = [_beside(array, others) for array in pictures]
    there = {field: array for found in beside for field, array in found.items()}
    fields = _fields(source.path, there, labels)
    columns = _columns(source.path, pictures, beside, fields if labels else {}, listing)
    fields = {label: name for label, name in fields.items() if name in columns}
    used = {array.name for found in beside for array in found.values()}
    unused = [array for array in others if array.name not in used]
    names = _class_names(unused)
    for array in unused:
        if not (names and _names_classes(array)):
            reason = f"neither pictures nor something of each: {array.summary()}"
            listing.left_out.append((array.name, reason))
    listing.fields = tuple(fields)
    classes = [_classes(columns[name], label, names) for label, name in fields.items()]
    abouts = {name: texts for name, texts in columns.items() if name not in fields.values()}
    _add_entries(listing, pictures, classes, abouts)
    # The arrays in one file share a range.
    alike: dict[tuple[Place, np.dtype], list[StoredArray]] = {}
    for array in pictures:
        alike.setdefault((array.path, array.dtype), []).append(array)
    scales = {kind: scale_of(group) for kind, group in alike.items()}
    listing.contents = partial(
        _contents, [(array, scales[array.path, array.dtype]) for array in pictures]
    )
    listing.decoded = True
    return listing


def _check_rows(pictures: list[StoredArray]) -> None:
    """Refuse files whose arrays claim more rows than pictures could fit in the file.

    Raises:
        ImpastoError: one does; a compressed array of a single colour may, too.
    """
    for path in dict.fromkeys(array.path for array in pictures):
        rows = sum(array.shape[0] for array in pictures if array.path == path)
        with reading(path):
            size = path.stat().st_size
        if rows > max(_FEW_ROWS, size // _LEAST_STORED):
            raise ImpastoError(
                f"{path} claims {rows:,} pictures in {size:,} bytes, fewer than {_LEAST_STORED} for "
                "each: it is damaged or empty; if it is neither, save it uncompressed, by np.savez"
            )


def _columns(
    path: Place,
    pictures: list[StoredArray],
    beside: list[dict[str, StoredArray]],
    needed: dict[str, str],
    listing: Listing,
) -> dict[str, list[str]]:
    """A text for each picture of all arrays, by field; fields without any are noted.

    Raises:
        ImpastoError: such a field was asked for as a label.
    """
    columns: dict[str, list[str]] = {}
    for field in dict.fromkeys(field for found in beside for field in found):
        texts: list[str] = []
        for array, found in zip(pictures, beside, strict=True):
            own = found.get(field)
            column = [""] * array.shape[0] if own is None else _texts(own)
            if own is not None and column is None:
                reason = f"{own.summary()} in {own.path} does not hold one value for each picture"
                if field in needed.values():
                    raise ImpastoError(f"no label '{field}' in {path}: {reason}")
                listing.notes.append(f"{reason}: it was left out")
                break
            texts += column or []
        else:
            columns[field] = texts
    return columns


def _add_entries(
    listing: Listing,
    pictures: list[StoredArray],
    classes: list[list[str]],
    abouts: dict[str, list[str]],
) -> None:
    """Fill the listing: an entry for each row of each array."""
    heldout = [is_heldout(_part(array)) for array in pictures]
    split = {True, False} <= set(heldout)
    number = 0
    for array in pictures:
        width = max(5, len(str(array.shape[0] - 1)))
        name = f"{array.file.rpartition('.')[0]}/{array.key}".rstrip("/")
        for row in range(array.shape[0]):
            about = {
                name: column[number]
                for name, column in abouts.items()
                if 0 < len(column[number]) <= _LONG_TEXT
            }
            entry = Entry(
                f"{name}/{row:0{width}}",
                None,
                f"{array.stamp}-{row}",
                tuple(column[number] for column in classes),
                about,
            )
            listing.entries.append(entry)
            number += 1
    own = [
        bool(held) if split else None
        for array, held in zip(pictures, heldout, strict=True)
        for _ in range(array.shape[0])
    ]
    note = (
        f"held out are the arrays for testing and validation ({counted(own.count(True), 'picture')}); "
        "--heldout and --seed have no effect"
    )
    hold_out(listing, own, [note] if split else [])
