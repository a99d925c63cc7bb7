"""Evaluate given pictures: a folder, an archive or a collection.

All are checked before any long work, in worker processes: unusable ones, and those that crash or
hang the decoder, are left out with a reason, as in packing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.collection import Collection, PackOptions
from impasto.decoding.checking import Picture, reasons_unusable, sizes_of
from impasto.decoding.fit import Fitting, describe_fit, open_picture, picture_of
from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.evaluation.reference import Split, split_rows
from impasto.evaluation.reference import pictures as batches_of
from impasto.evaluation.subjects import Subject, classes_there
from impasto.formatting import counted
from impasto.resolution import (
    Resolution,
    area,
    in_words,
    resolution_of,
    sides,
    times,
    width_and_height,
)
from impasto.sampling.output import slugs
from impasto.sources.listing import Listing, class_name, pictures
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, Tree, UnusableError, open_source

FITTED = ("crop", "squash", "pad")
"""The kinds of fit that give one picture for each source picture."""
_USUAL = 64
"""The default side if neither the pictures nor the collection determine one."""
_SIDES = range(4, 4097)
"""The sides that pictures can be packed at."""
_LIMITS = PackOptions()
"""The options with the limits of pixels and seconds for a picture."""
_Size = tuple[int, int]


@dataclass(frozen=True)
class Given:
    """The checked pictures of a folder or an archive.

    Attributes:
        tree: where they are.
        files: the usable ones, in the order of their names.
        size: for the comparison.
        how: how each gets that size.
        fitted: the number of resized ones; None: resizing was not requested, and all have the size.
        left_out: path and reason of the others.
    """

    tree: Tree
    files: Sequence[File]
    size: Resolution
    how: Fitting
    fitted: int | None
    left_out: Sequence[tuple[str, str]]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on resizing and on files left out, a sentence each."""
        notes = []
        if self.fitted:
            notes.append(
                f"{self.fitted:,} of {counted(len(self.files), 'picture')} brought to "
                f"{in_words(self.size)} pixels by {self.how.fit}: "
                f"{describe_fit(self.how.fit, self.size)}"
            )
        if self.left_out:
            kinds = Counter(reason.partition(":")[0] for _, reason in self.left_out)
            each = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common())
            hint = ""
            if kinds["another size"] or kinds["not square"]:
                hint = "; --fit crop, squash or pad brings them to size"
            elif kinds["too small"]:
                hint = "; a smaller --resolution takes more of them"
            notes.append(
                f"{len(self.left_out):,} of {counted(len(self.files) + len(self.left_out), 'file')} "
                f"left out: {each}; left-out.csv has each one's reason{hint}"
            )
        return tuple(notes)


def look_through(
    path: Place,
    packed_at: Sequence[Resolution] | None,
    *,
    fit: str | None = None,
    size: Resolution | None = None,
    progress: Progress = silent,
) -> Given:
    """Check all pictures of a folder or an archive: their size, and whether they can be read.

    Without `fit`, the pictures of one size are used: the most frequent one that the collection can be
    compared at. With it, all are resized to `size`.

    Args:
        path: the folder or the archive.
        packed_at: resolutions that the collection is packed at; None: any square.
        fit: one of `FITTED`, as in packing.
        size: with `fit`, the new size; by default the most frequent one, or else the collection's
            largest.
        progress: shows the work.

    Raises:
        ImpastoError: no picture is usable.
    """
    _check_options(fit, size, packed_at)
    listing = Listing("folder")
    tree = open_source(path).tree
    found = list(pictures(tree, listing))
    if not found:
        raise ImpastoError(
            f"{path} holds no pictures; give a run, a model, a folder or archive of pictures, or a "
            "collection"
        )
    left_out = list(listing.left_out)
    sizes = _sizes(tree, found, left_out)
    if not sizes:
        raise ImpastoError(f"no picture in {path} can be read; {': '.join(left_out[-1])}")
    size = _size(path, sizes, packed_at, fit, size)
    how = PackOptions(resolution=size, fit=fit or "crop").fitting()
    sized = [file for file in found if file.name in sizes]
    if fit is None:
        left_out += _of_other_sizes(sizes, size)
        sized = [file for file in sized if sizes[file.name] == width_and_height(size)]
    used: list[File] = []
    checks = reasons_unusable(_read(tree, sized), len(sized), how, _LIMITS.max_seconds)
    with progress("pictures looked at", len(sized)) as update, closing(checks) as reasons:
        for number, (file, reason) in enumerate(zip(sized, reasons, strict=True)):
            if reason is None:
                used.append(file)
            else:
                left_out.append((file.name, reason))
            update(number + 1)
    if not used:
        raise ImpastoError(
            f"no picture in {path} can be used at {size} px; {': '.join(left_out[-1])}"
        )
    changed = len(used) - _count({file.name: sizes[file.name] for file in used}, size)
    return Given(tree, used, size, how, None if fit is None else changed, sorted(left_out))


def _size(
    path: Place,
    sizes: Mapping[str, _Size],
    packed_at: Sequence[Resolution] | None,
    fit: str | None,
    size: Resolution | None,
) -> Resolution:
    """The size at which the pictures are compared; see `look_through`."""
    usual = _commonest_size(list(sizes.values()), packed_at)
    if fit is None:
        return _check_size(path, usual, list(sizes.values()), packed_at)
    if size is not None:
        return size
    majority = usual is not None and 2 * _count(sizes, usual) >= len(sizes)
    return usual if usual is not None and majority else max(packed_at or (_USUAL,), key=area)


def _check_options(
    fit: str | None, size: Resolution | None, packed_at: Sequence[Resolution] | None
) -> None:
    """Raises: ImpastoError: an unknown fit, or a size at which the collection cannot be compared."""
    if fit is not None and fit not in FITTED:
        raise ImpastoError(f"--fit takes {', '.join(FITTED)}, not '{fit}'")
    if size is not None and packed_at is not None and not _comparable(size, packed_at):
        raise ImpastoError(
            f"the collection is packed at {sides(packed_at)}, and --resolution asks for {size}; pack "
            f"its source with --resolution {size}, or leave that out"
        )


def _sizes(tree: Tree, found: Sequence[File], left_out: list[tuple[str, str]]) -> dict[str, _Size]:
    """Width and height of each picture by name; unreadable ones go to `left_out`."""
    sizes: dict[str, _Size] = {}
    limits = (_LIMITS.max_pixels, _LIMITS.max_seconds)
    with closing(sizes_of(_read(tree, found), len(found), *limits)) as answers:
        for file, answer in zip(found, answers, strict=True):
            if isinstance(answer, str):
                left_out.append((file.name, answer))
            else:
                sizes[file.name] = answer
    return sizes


def _read(tree: Tree, files: Sequence[File]) -> Iterator[Picture]:
    """Each file's path, or its bytes where it lies in an archive or at an address."""
    paths = [file.on_disk for file in files]
    if None in paths:
        yield from tree.contents([file.name for file in files])
    else:
        yield from (path for path in paths if path is not None)


def _count(sizes: Mapping[str, _Size], size: Resolution) -> int:
    wanted = width_and_height(size)
    return sum(each == wanted for each in sizes.values())


def _comparable(size: Resolution, packed_at: Sequence[Resolution] | None) -> bool:
    """Whether a collection packed at these sizes (None: at any square's) has this size, or a multiple
    to average down."""
    if packed_at is None:
        return isinstance(size, int)
    return any(times(packed, size) for packed in packed_at)


def _commonest_size(
    sizes: Sequence[_Size], packed_at: Sequence[Resolution] | None
) -> Resolution | None:
    """The most frequent size that the collection can be compared at; of equals the larger.

    None if there is none, or if another size is far more frequent.
    """
    counts = Counter(sizes)
    usable = {
        resolution_of(*size): count
        for size, count in counts.items()
        if all(side in _SIDES for side in size) and _comparable(resolution_of(*size), packed_at)
    }
    size = max(usable, key=lambda size: (usable[size], area(size)), default=None)
    if size is None or 2 * usable[size] < max(counts.values()):
        return None
    return size


def _check_size(
    path: Place,
    size: Resolution | None,
    sizes: Sequence[_Size],
    packed_at: Sequence[Resolution] | None,
) -> Resolution:
    """The size for a comparison without resizing.

    Raises:
        ImpastoError: there is none.
    """
    if size is not None:
        return size
    remedy = "--fit crop, squash or pad brings them to size"
    counts = Counter(sizes)
    (width, height), count = counts.most_common(1)[0]
    most = f"of {width} x {height} pixels"
    if len(counts) > 1:
        others = counted(len(counts) - 1, "size")
        most += f" ({count:,} of {len(sizes):,}, the rest of {others} more)"
    squares = all(isinstance(each, int) for each in packed_at or ())
    if packed_at is None or (width != height and squares):
        raise ImpastoError(f"the pictures in {path} are {most}, and squares are needed; {remedy}")
    raise ImpastoError(
        f"the pictures in {path} are {most}, and the collection is packed at {sides(packed_at)}; "
        f"{remedy}, or pack the collection's source with --resolution {resolution_of(width, height)}"
    )


def _of_other_sizes(sizes: Mapping[str, _Size], size: Resolution) -> Iterator[tuple[str, str]]:
    """Name and reason of each picture of another size."""
    for name, (width, height) in sizes.items():
        if (width, height) != width_and_height(size):
            kind = "not square" if isinstance(size, int) and width != height else "another size"
            yield name, f"{kind}: {width} x {height} pixels"


def of_given(given: Given, collection: Collection) -> Subject:
    """The pictures of a folder or an archive; folders named like the classes of a label field give
    the classes."""
    names = [file.name for file in given.files]
    groups, notes = _by_folder(names, collection)

    def pixels(numbers: np.ndarray) -> Tensor:
        some = []
        for number in numbers:
            try:
                file = given.files[number]
                with open_picture(file.on_disk or given.tree.read(file.name)) as stream:
                    some.append(torch.from_numpy(picture_of(stream, given.how).copy()))
            except UnusableError as reason:
                raise ImpastoError(
                    f"{given.tree.place / names[number]} has changed since it was looked at: {reason}"
                ) from reason
        return torch.stack(some)

    return Subject(
        names,
        len(names),
        groups,
        pixels,
        given.size,
        (*given.notes, *notes),
        fit=None if given.fitted is None else given.how.fit,
        left_out=tuple(given.left_out),
    )


def _by_folder(
    names: list[str], collection: Collection
) -> tuple[dict[tuple[str, int], np.ndarray], tuple[str, ...]]:
    """The pictures by class, if all folders are named like classes of one field; and a note if only
    some are."""
    folders = [class_name(name.split("/")[0]) if "/" in name else "" for name in names]
    notes: list[str] = []
    for field in collection.fields:
        # By the class's name, or as `impasto sample --curate` writes it.
        safe = slugs(field.classes)
        known = {name: number for number, name in enumerate(field.classes)}
        known |= {f"{slugs([field.name])[0]}-{name}": number for number, name in enumerate(safe)}
        strangers = sorted(set(folders) - set(known))
        if not strangers:
            classes = np.array([known[folder] for folder in folders])
            groups = {(field.name, k): np.flatnonzero(classes == k) for k in np.unique(classes)}
            return groups, ()
        if set(folders) & set(known):
            first = f"the folder {strangers[0]}" if strangers[0] else "outside of folders"
            notes.append(
                f"no scores by {field.name}: some pictures are in folders named by its classes, and "
                f"others are not ({first})"
            )
    return {}, tuple(notes)


# A collection


def common_size(collection: Collection, packed_at: Sequence[Resolution] | None) -> Resolution:
    """The largest size that both a collection and its reference, packed at these resolutions (None: at
    any square's), can be compared at.

    Raises:
        ImpastoError: there is none.
    """
    for size in sorted({*collection.resolutions, *(packed_at or ())}, key=area, reverse=True):
        if _comparable(size, collection.resolutions) and _comparable(size, packed_at):
            return size
    theirs = sides(packed_at or ())
    raise ImpastoError(
        f"{collection.path} is packed at {sides(collection.resolutions)}, and the collection that it "
        f"is compared with at {theirs}; pack one of them again with --resolution of the other"
    )


def of_collection(
    given: Collection, size: Resolution, collection: Collection, split: Split
) -> Subject:
    """All pictures of a collection, held-out ones too, at `size`.

    If it is the reference collection itself, only those not in `split`. Classes are matched by
    name.

    Raises:
        ImpastoError: it is the reference itself, and no picture is left.
    """
    given = given.at(next(packed for packed in given.resolutions if times(packed, size)))
    rows = split_rows(given, "all")
    notes = []
    if _is_same(given, collection):
        rows = split_rows(given, "heldout" if split == "train" else "train")
        if split == "all" or not len(rows):
            raise ImpastoError(
                f"{given.path} is the collection that it is compared with, and no picture of it is "
                "left; compare with another one, or with --against train where some are held out"
            )
        kind = "held-out" if split == "train" else "training"
        notes.append(f"only its {kind} pictures: the others are those that they are compared with")
    elif held := len(given.heldout_indices):
        notes.append(f"all pictures of {given.name}, the {held:,} that it holds out too")
    groups, strange = _by_label(given, rows, collection)

    def pixels(numbers: np.ndarray) -> Tensor:
        return torch.cat(list(batches_of(given, rows[numbers], size)))

    table, sources = given.source_table(), given.sources[rows]
    paths = [table[source].get("path", "") for source in sources]
    if len(set(paths)) < len(paths):
        paths = [f"{path} ({row})" for path, row in zip(paths, rows, strict=True)]
    return Subject(paths, len(rows), groups, pixels, size, (*notes, *strange))


def _is_same(one: Collection, other: Collection) -> bool:
    """Whether two collections have the same contents at a common resolution."""
    shared = set(one.resolutions) & set(other.resolutions)
    return any(one.at(side).content_hash == other.at(side).content_hash for side in shared)


def _by_label(
    given: Collection, rows: np.ndarray, collection: Collection
) -> tuple[dict[tuple[str, int], np.ndarray], tuple[str, ...]]:
    """The pictures by class, numbered as in the reference; and a note on classes missing there."""
    groups: dict[tuple[str, int], np.ndarray] = {}
    notes: list[str] = []
    for column, field in enumerate(given.fields):
        labels = given.labels[rows, column]
        known = np.unique(labels[labels >= 0]).tolist()
        there, note = classes_there(collection, field.name, {k: field.classes[k] for k in known})
        notes += note
        groups |= {(field.name, cls): np.flatnonzero(labels == k) for k, cls in there.items()}
    return groups, tuple(notes)
