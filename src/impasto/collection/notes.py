"""Notes on a packed collection, a sentence each."""

from collections import Counter
from collections.abc import Mapping

from impasto.collection.assembling import CollectionPlan
from impasto.collection.buckets import bucket_lines
from impasto.collection.duplicates import disagreeing_labels
from impasto.collection.options import PackOptions
from impasto.decoding.fit import ASPECT
from impasto.decoding.plugins import NOT_INSTALLED
from impasto.formatting import counted
from impasto.sources.listing import BY_NAME

_FEW = 1000
"""For a collection of fewer pictures, a note recommends tiles."""
_ENDS = 6
"""Most file name endings that a note lists."""


def plan_notes(plan: CollectionPlan, options: PackOptions) -> list[str]:
    """Notes on a planned collection."""
    return [
        *_buckets(plan, options),
        *_copies_of_heldout(plan, options),
        *_disagreeing(plan),
        *_alike_sets(plan),
        *_one_brightness(plan),
        *_small_collection(plan, options),
        *_guessed_bits(plan),
        *_not_installed(plan),
        *_by_name(plan),
    ]


def change_notes(before: Mapping[str, str], plan: CollectionPlan) -> list[str]:
    """Notes on the changes since an earlier packing.

    Args:
        before: by path of each picture in the earlier collection, `train` or `heldout`.
        plan: the new collection's plan.
    """
    notes = []
    now = {row.relative: held for row, held in zip(plan.rows, plan.heldout, strict=True)}
    still = (
        {row.relative for row in plan.duplicates} | {name for name, _ in plan.left_out} | set(now)
    )
    if gone := sorted(set(before) - still):
        notes.append(
            f"{counted(len(gone), 'picture')} packed before and no longer in the source or not asked "
            f"for, such as {gone[0]}"
        )
    to_train = [
        name for name, side in before.items() if side == "heldout" and now.get(name) is False
    ]
    held_out = [name for name, side in before.items() if side == "train" and now.get(name)]
    if to_train or held_out:
        notes.append(
            f"{counted(len(held_out), 'picture')} for training before now held out, and "
            f"{len(to_train)} the other way, because the share is of other pictures: scores of models "
            "that were trained before are not valid on these"
        )
    return notes


def _buckets(plan: CollectionPlan, options: PackOptions) -> list[str]:
    """Notes on the number of pictures of each bucket and the share that is cropped."""
    if options.fit != ASPECT:
        return []
    return bucket_lines(options.buckets, [row.size for row in plan.rows])


def _copies_of_heldout(plan: CollectionPlan, options: PackOptions) -> list[str]:
    """A note on training pictures that are near copies of pictures that the source holds out, if near
    copies are not excluded."""
    if options.duplicates not in ("none", "exact"):
        return []
    groups: dict[bool, list[int]] = {True: [], False: []}
    for row, held in zip(plan.rows, plan.heldout, strict=True):
        if copied := plan.copies.get(row.relative):
            groups[held].append(copied.group)
    kept_out = set(groups[True])
    both = sum(group in kept_out for group in groups[False])
    if not both:
        return []
    return [
        f"{counted(both, 'picture')} for training, copies of pictures that the source holds out: "
        "--duplicates near excludes them"
    ]


def _disagreeing(plan: CollectionPlan) -> list[str]:
    """A note on copies with different classes."""
    copies = [row for row in (*plan.rows, *plan.duplicates) if row.relative in plan.copies]
    groups = [plan.copies[row.relative].group for row in copies]
    note = disagreeing_labels(groups, [row.labels for row in copies])
    return [note] if note else []


def _alike_sets(plan: CollectionPlan) -> list[str]:
    """A note on pictures with too little detail to decide whether they are copies."""
    sets = plan.alike_sets()
    if not sets:
        return []
    divided = sum(len({plan.heldout[index] for index in rows}) > 1 for rows in sets)
    side = "each set is on one side of the split"
    if divided:
        side = f"the source has {counted(divided, 'set')} on both sides of its split"
    return [
        f"{counted(sum(map(len, sets)), 'picture')} with too little detail to compare "
        f"({counted(len(sets), 'set')}): all are kept, and {side}: see alike.csv"
    ]


def _one_brightness(plan: CollectionPlan) -> list[str]:
    """A note on pictures of a single brightness."""
    plain = [
        row.relative
        for row in plan.rows
        if (light := row.piece.facts.fingerprints[row.position]["light"]).min() == light.max()
    ]
    if not plain:
        return []
    return [f"{counted(len(plain), 'picture')} of a single brightness, such as {plain[0]}"]


def _small_collection(plan: CollectionPlan, options: PackOptions) -> list[str]:
    """A note that recommends tiles for a small collection."""
    if options.fit == "tiles" or len(plan.rows) >= _FEW:
        return []
    return [
        f"a collection of {len(plan.rows)} is small to learn from; --fit tiles makes many "
        "overlapping tiles of each"
    ]


def _guessed_bits(plan: CollectionPlan) -> list[str]:
    """A note on pictures whose bit depth was guessed (`bit_depth.guessed_bits`)."""
    guessed = [
        (row.relative, bits)
        for row in (*plan.rows, *plan.duplicates)
        if (bits := int(row.piece.facts.guessed_bits[row.position]))
    ]
    if not guessed:
        return []
    name, bits = guessed[0]
    return [
        f"{counted(len(guessed), 'picture')} of 16 bits a sample packed as of fewer bits, because no "
        f"sample is greater, such as {name} ({bits} bits); a PNG's sBIT chunk states the number"
    ]


def _not_installed(plan: CollectionPlan) -> list[str]:
    """A note on each kind of picture that an uninstalled plugin would read."""
    missing = Counter(reason for _, reason in plan.left_out if reason.startswith(NOT_INSTALLED))
    return [
        f"{counted(count, 'picture')} left out: {reason.partition(': ')[2]}"
        for reason, count in missing.items()
    ]


def _by_name(plan: CollectionPlan) -> list[str]:
    """A note on the files that were left out by name, with their number for each suffix."""
    kind = f"{BY_NAME}: "
    ends = Counter(
        reason.removeprefix(kind).partition(",")[0]
        for _, reason in plan.left_out
        if reason.startswith(kind)
    )
    if not ends:
        return []
    kinds = [f"{count:,} {end}" for end, count in ends.most_common(_ENDS)]
    if len(ends) > _ENDS:
        kinds.append("others")
    return [f"{counted(ends.total(), 'file')} left out by suffix, unopened: {', '.join(kinds)}"]
