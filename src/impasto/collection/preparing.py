"""Prepare a packing: list the source, choose among its pictures, and check the destination."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.collection.assembling import FORGOTTEN
from impasto.collection.buckets import buckets_of
from impasto.collection.encoding import choose_encoding
from impasto.collection.job import PackJob, PixelFeatures
from impasto.collection.options import PackOptions
from impasto.collection.parts import entry_keys
from impasto.collection.planning import no_pictures_message
from impasto.collection.replacing import collection_folder, recover
from impasto.decoding.fit import ASPECT
from impasto.errors import ImpastoError, near
from impasto.files import read_json
from impasto.readers import read_source
from impasto.resolution import Resolution, parse_resolution
from impasto.sources.class_names import choose
from impasto.sources.columns import COMPUTED
from impasto.sources.listing import Listing
from impasto.sources.remote.addresses import place_at
from impasto.sources.where import select

MASTERS = Path(__file__).parent.parent / "masters"
"""The folder of the 21 paintings inside the package, with their table."""
_DESCRIBING = (
    *("labels", "names_encoding", "where", "merge", "min_class", "heldout", "seed", "duplicates"),
    *("keep", "exclude"),
)
"""Options that may differ between two packings of a collection, because no picture's pixels depend on
them."""


def prepare(
    source: Path | str, destination: Path, options: PackOptions, features: PixelFeatures | None
) -> PackJob:
    """List the source, choose among its pictures, and check the destination.

    Args:
        source: see `packing.pack`, as for the rest.
        destination: the collection's folder.
        options: of the packing.
        features: computes the features for `duplicates="features"`.

    Raises:
        ImpastoError: there is no picture to pack, the destination is in use, or an option is invalid.
    """
    if options.duplicates == "features" and features is None:
        raise ImpastoError("duplicates by features take a feature network; give pack() one")
    if str(destination) == "masters":
        raise ImpastoError(
            "masters is the word for the paintings that come with impasto, so --data masters would "
            "never find a collection of this name; choose another name for DEST"
        )
    path = collection_folder(destination)
    recover(path)
    listing, named = _listing(source, options)
    earlier = _earlier_collection(path, destination, named, options)
    if not listing.entries:
        raise ImpastoError(no_pictures_message(named, listing.left_out, "no pictures"))
    _check_fields(listing)
    _check_paths(listing, named, options)
    listing = choose(listing, options.where, options.merge, options.min_class)
    forgotten = _forgotten(path) if earlier is not None else []
    reasons = dict.fromkeys(options.exclude, "excluded: by its name, as was asked for")
    reasons |= {r["path"]: f"forgotten: on {r['when']}, by impasto forget" for r in forgotten}
    listing = _without(listing, reasons)
    if not listing.entries:
        raise ImpastoError(no_pictures_message(named, listing.left_out, "no pictures are left"))
    if options.fit == ASPECT and not options.buckets:
        options = replace(options, buckets=_buckets(named, path, options, listing, earlier))
    encodings = {side: choose_encoding(options.encoding, side) for side in options.resolutions}
    fitting = options.fitting()
    keys = entry_keys(listing.entries, fitting, encodings)
    return PackJob(named, path, options, listing, encodings, keys, earlier, forgotten, features)


def _buckets(
    named: str, path: Path, options: PackOptions, listing: Listing, earlier: dict[str, Any] | None
) -> tuple[Resolution, ...]:
    """The sizes for `aspect`: those of the earlier collection, or chosen from the pictures."""
    if earlier is not None:
        return tuple(map(parse_resolution, earlier["made"]["options"]["buckets"]))
    return buckets_of(PackJob(named, path, options, listing, {}, [], None))


def _listing(source: Path | str, options: PackOptions) -> tuple[Listing, str]:
    """The source's listing, and its name for `collection.json` (see `PackJob.source_name`)."""
    if str(source) == "masters":
        # A folder of that name can be given as ./masters (or as a Path with a parent).
        labels = options.labels if options.labels is not None else ("style", "genre", "artist")
        return read_source(MASTERS, labels), "masters"
    place = place_at(source)
    return read_source(place, options.labels, options.names_encoding), str(place.absolute())


def _earlier_collection(
    path: Path, given: Path, named: str, options: PackOptions
) -> dict[str, Any] | None:
    """The description of a collection at the destination that this packing continues; None if there is
    nothing or an empty folder.

    Args:
        path: the destination, absolute.
        given: the destination as the caller gave it, for messages.
        named: the source's name.
        options: of the packing.

    Raises:
        ImpastoError: there is something else, or a collection of another source or other options.
    """
    if not path.exists() and not path.is_symlink():
        return None
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return None
    if not (path / "collection.json").is_file():
        raise ImpastoError(
            f"{given} exists already and is not an empty folder; choose another name or "
            "remove it first"
        )
    description = read_json(path / "collection.json", "collection")
    made = description.get("made") if isinstance(description, dict) else None
    if not isinstance(made, dict) or not isinstance(before := made.get("options"), dict):
        raise ImpastoError(
            f"{given} is a collection that is damaged or was packed by an earlier impasto: its "
            "collection.json does not say how it was packed; choose another name or remove it first"
        )
    if made.get("source") != named:
        raise ImpastoError(
            f"{given} is a collection already, of {made.get('source', 'another source')}; choose "
            "another name or remove it first"
        )
    wanted = json.loads(json.dumps(options.recorded()))
    for name, value in wanted.items():
        if name in ("name", *_DESCRIBING) or (name == "buckets" and not value):
            continue
        if before.get(name) != value:
            raise ImpastoError(
                f"{given} is a collection already, packed with {name} {before.get(name)} where "
                f"{value} is asked for; choose another name or remove it first"
            )
    return dict(description)


def _check_fields(listing: Listing) -> None:
    """Check the names of the label fields, and that each has a class.

    Raises:
        ImpastoError: a name is not allowed, or a field is blank for every picture.
    """
    for column, name in enumerate(listing.fields):
        if name in COMPUTED:
            raise ImpastoError(f"a label cannot be called '{name}': sources.csv has such a column")
        if any(sign in name for sign in "/\\="):
            raise ImpastoError(
                f"a label cannot be called '{name}': files are called after it, and classes asked "
                "for as name=class; rename it, without / \\ and ="
            )
        if not any(entry.labels[column] for entry in listing.entries):
            raise ImpastoError(f"label '{name}' is blank for every picture; leave it out of labels")


def _forgotten(path: Path) -> list[dict[str, str]]:
    """The rows of `forgotten.csv`: the pictures that `impasto forget` removed from a collection.

    Raises:
        ImpastoError: the table is damaged.
    """
    try:
        with (path / FORGOTTEN).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: row[name] for name in ("path", "sha256", "when")} for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise ImpastoError(
            f"cannot read {path / FORGOTTEN} ({error}), which names what must not come back; restore "
            "it from a copy"
        ) from error


def _check_paths(listing: Listing, source: str, options: PackOptions) -> None:
    """Check the paths of `keep` and `exclude`.

    Raises:
        ImpastoError: one is not in the source.
    """
    there = {entry.relative for entry in listing.entries}
    for path in (*options.keep, *options.exclude):
        if path not in there:
            raise ImpastoError(f"in {source} is no picture {near(path, there)}")


def _without(listing: Listing, reasons: Mapping[str, str]) -> Listing:
    """The listing without some pictures.

    Args:
        listing: of the source.
        reasons: by path of each picture to leave out: the reason.
    """
    left = [n for n, entry in enumerate(listing.entries) if entry.relative not in reasons]
    if len(left) == len(listing.entries):
        return listing
    gone = [
        (entry.relative, reasons[entry.relative])
        for entry in listing.entries
        if entry.relative in reasons
    ]
    return replace(select(listing, left), left_out=listing.left_out + gone)
