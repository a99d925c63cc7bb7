"""The options of packing."""

import hashlib
import json
from dataclasses import asdict, dataclass

from impasto.collection.duplicates import DUPLICATES, FINDING_VERSION
from impasto.decoding.fit import ASPECT, FITS, Fitting
from impasto.errors import ImpastoError, choices
from impasto.resolution import Resolution, alike, area, long_side, recorded, short_side

PACKING_VERSION = 3
"""Incremented when the same source and options give other pixels, labels or split."""


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How a collection is made.

    Raises:
        ImpastoError: a value is invalid; the message names the valid ones.
    """

    resolution: Resolution = 64
    """Size of the packed pictures: a square's side in pixels, or a rectangle's width and height."""
    smaller: tuple[Resolution, ...] = ()
    """Additional, smaller sizes of the same proportions at which the same pictures are packed."""
    labels: tuple[str, ...] | None = None
    """Label fields: columns of the table, or one name for folders by class; None: the source's."""
    names_encoding: str | None = None
    """The encoding of undeclared file names in a zip or tar, such as cp932; None: UTF-8 if valid,
    else a guess with a note."""
    where: str | None = None
    """Pack only pictures for which this condition is true, such as
    `style = 'Realism' and year >= 1870`."""
    merge: tuple[str, ...] = ()
    """Classes to join, each such as `style: Ukiyo-e = Shin-hanga | Sosaku-hanga`."""
    min_class: int = 1
    """Pictures of classes with fewer source pictures than this lose their label."""
    fit: str = "crop"
    """How a picture is brought to the size: a name in `FITS`, or `aspect`; see `buckets`."""
    buckets: tuple[Resolution, ...] = ()
    """With fit `aspect`: the sizes, of which each picture gets the one nearest in proportions. If empty,
    they are chosen by the source's pictures."""
    heldout: float = 0.1
    """Share of the source pictures to hold out, in [0, 1)."""
    seed: int = 0
    """Seed of the choice of held-out pictures."""
    duplicates: str = "near"
    """Which duplicates are excluded: a name in `DUPLICATES`."""
    keep: tuple[str, ...] = ()
    """Paths in the source of pictures to pack although they are copies of others."""
    exclude: tuple[str, ...] = ()
    """Paths in the source of pictures not to pack."""
    background: tuple[int, int, int] = (255, 255, 255)
    """Red, green, blue (0 to 255) behind transparent pixels and around pictures fitted by `pad`."""
    max_upscale: float = 1.25
    """Pictures and tiles that would be enlarged by a larger factor are left out; from 1 to 16."""
    max_pixels: int = 200_000_000
    """Pictures with more pixels are left out undecoded, as they may be decompression bombs."""
    max_seconds: float = 60
    """Pictures that take more seconds to decode are left out (in worker processes only)."""
    salvage: bool = False
    """Pack truncated files too; the missing part is grey."""
    exact: bool = False
    """Decode every JPEG at its full size. By default it is reduced while decoding, to twice the packed
    size."""
    encoding: str = "auto"
    """How pixels are stored: `auto`, `raw`, or a name in `encoding.ENCODINGS`."""
    workers: int | None = None
    """Number of processes; None: one for each core. It does not change the result."""
    name: str | None = None
    """The collection's name; None: that of its folder."""

    def __post_init__(self) -> None:
        if self.fit not in (*FITS, ASPECT):
            raise ImpastoError(f"unknown fit '{self.fit}'; there is {choices([*FITS, ASPECT])}")
        self._check_buckets()
        if self.duplicates not in DUPLICATES:
            raise ImpastoError(
                f"unknown kind of duplicates '{self.duplicates}'; there is "
                f"{choices(list(DUPLICATES))}"
            )
        for side in self.resolutions:
            if not 4 <= short_side(side) <= long_side(side) <= 4096:
                raise ImpastoError(f"resolution must be from 4 to 4096 pixels, not {side}")
            if self.fit != ASPECT and not alike(side, self.resolution):
                raise ImpastoError(
                    f"resolution {side} and {self.resolution} have other proportions: pack them into "
                    "two collections"
                )
        if len(set(self.resolutions)) < len(self.resolutions):
            raise ImpastoError("resolution names a size twice")
        if not 0 <= self.heldout < 1:
            raise ImpastoError(f"heldout is a share from 0 to below 1, not {self.heldout}")
        if self.workers is not None and self.workers < 1:
            raise ImpastoError(f"workers must be 1 or more, not {self.workers}")
        if not 1 <= self.max_upscale <= 16:
            raise ImpastoError(f"max_upscale must be from 1 to 16, not {self.max_upscale}")
        if self.max_pixels < 1:
            raise ImpastoError(f"max_pixels must be 1 or more, not {self.max_pixels}")
        if not self.max_seconds > 0:
            raise ImpastoError(f"max_seconds must be above 0, not {self.max_seconds}")
        if self.names_encoding is not None:
            _check_encoding(self.names_encoding)
        if both := set(self.keep) & set(self.exclude):
            raise ImpastoError(f"'{min(both)}' is both to be kept and to be excluded")
        if self.min_class < 1:
            raise ImpastoError(f"min_class must be 1 or more, not {self.min_class}")
        if len(self.background) != 3 or not all(0 <= part <= 255 for part in self.background):
            raise ImpastoError(f"background is three numbers from 0 to 255, not {self.background}")
        if self.labels is not None and not all(self.labels):
            raise ImpastoError("labels has an empty name in it; separate names by single commas")
        if self.labels and len({name.casefold() for name in self.labels}) < len(self.labels):
            raise ImpastoError(f"labels names a field twice: {', '.join(self.labels)}")

    def _check_buckets(self) -> None:
        """Check the options of fit `aspect`.

        Raises:
            ImpastoError: there are buckets with another fit, or several resolutions with `aspect`.
        """
        if self.buckets and self.fit != ASPECT:
            raise ImpastoError(f"buckets are of fit {ASPECT}, not {self.fit}")
        if self.fit == ASPECT and (self.smaller or not isinstance(self.resolution, int)):
            raise ImpastoError(
                f"fit {ASPECT} takes one resolution, the side of a square of about as many pixels as "
                "each picture is to have, such as 256"
            )

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """All sizes, rising; with fit `aspect` the buckets, if they are known."""
        if self.buckets:
            return self.buckets
        return tuple(sorted((*self.smaller, self.resolution), key=area))

    def fitting(self) -> Fitting:
        """The options that determine a fitted picture's pixels."""
        return Fitting(
            self.fit,
            self.resolutions,
            self.exact,
            self.background,
            self.max_upscale,
            self.max_pixels,
            self.salvage,
        )

    def recorded(self) -> dict[str, object]:
        """The options that determine a collection's contents, for its description."""
        without_effect = ("workers", "max_seconds")
        options = {key: value for key, value in asdict(self).items() if key not in without_effect}
        # Empty ones are left out, as in the descriptions of earlier collections.
        options = {k: v for k, v in options.items() if v or k not in ("keep", "exclude")}
        sizes = {"resolution": recorded(self.resolution), "smaller": [*map(recorded, self.smaller)]}
        if self.fit != ASPECT:
            del options["buckets"]
            return options | sizes
        return options | sizes | {"buckets": [*map(recorded, self.buckets)]}


def _check_encoding(name: str) -> None:
    """Check the name of a text encoding.

    Raises:
        ImpastoError: Python has no encoding of this name.
    """
    try:
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        raise ImpastoError(
            f"names_encoding '{name}' is no encoding that Python knows; there is cp932 (Japanese), gbk "
            "(Chinese), cp949 (Korean), cp866 (Russian), cp1252 (Western European) and others"
        ) from None


def options_key(options: PackOptions, source_digests: list[str]) -> str:
    """A digest for the cache of everything that determines a collection's contents.

    Args:
        options: of the packing.
        source_digests: digests of the source's files.
    """
    versions = [PACKING_VERSION, FINDING_VERSION]
    text = json.dumps([versions, options.recorded(), source_digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
