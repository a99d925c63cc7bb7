"""What is known of a model: the contents of `model.json`. Read without torch.

A model may come from anybody, so all numbers have bounds, and texts are one line without control
characters, as they are shown.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from impasto.config import (
    Config,
    Count,
    LatentConfig,
    Line,
    NetworkConfig,
    PictureSize,
    Whole,
    read_record,
)
from impasto.plugin_records import PluginRecord
from impasto.resolution import Resolution, long_side

MODEL_FILE = "model.json"
MOST_PIXELS = 4096
"""To the side of a picture."""
MOST_LATENTS = 3 * MOST_PIXELS**2
_MOST_ENTRIES = 10_000
"""Of a table of counts; pydantic makes a long record of each wrong one."""


def _few(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > _MOST_ENTRIES:
        raise ValueError(f"should have at most {_MOST_ENTRIES:,} entries")
    return value


Counts = Annotated[dict[Line, Whole], BeforeValidator(_few)]


def _bounded(resolution: Resolution) -> Resolution:
    if long_side(resolution) > MOST_PIXELS:
        raise ValueError(f"Input should be less than or equal to {MOST_PIXELS}")
    return resolution


class LabelRecord(Config):
    """A label field that the generator is conditioned on."""

    name: Line
    classes: Annotated[tuple[Line, ...], FailFast()]


class CollectionRecord(Config):
    """A summary of the training collection."""

    name: Line
    hash: Line
    count: Count
    sources: Count
    fit: Line
    licences: Counts
    """Source pictures by licence. May contain `unknown` and, with many licences, `12 others`."""
    kind: Line = ""
    """A text that describes the kind of source it was packed from."""
    artists: Counts = Field(default_factory=dict)
    """Source pictures by artist, in the same form; empty where none is known."""
    duplicates: Whole = 0
    """Source pictures that were excluded as duplicates."""
    forgotten: Counts = Field(default_factory=dict)
    """Source pictures that were removed (`impasto forget`), by day."""
    only: Line | None = None
    """The condition of the part that was learned from (`train --only`); None: all of it."""


class TunedRecord(Config):
    """How a model was tuned to single pictures (`impasto invert --tune`)."""

    model: Line
    """SHA-256 of the weights that it was tuned from."""
    pictures: Annotated[tuple[Line, ...], FailFast()]
    """Names of the pictures' files."""
    sha256: Annotated[tuple[Line, ...], FailFast()]
    """Of the pictures' pixels, as they were fitted to the model's resolution."""
    steps: Count


class ModelRecord(Config):
    """The contents of `model.json`."""

    format: Literal[1] = 1
    recipe: Line
    resolution: Annotated[PictureSize, AfterValidator(_bounded)]
    buckets: tuple[Annotated[PictureSize, AfterValidator(_bounded)], ...] = Field((), max_length=64)
    """All sizes that the generator makes, if there are several."""
    latent: LatentConfig
    generator: NetworkConfig
    discriminator: NetworkConfig | None
    """The discriminator, if it was trained with one. A checkpoint has its weights too; sampling does
    not need them."""
    labels: Annotated[tuple[LabelRecord, ...], FailFast()]
    label_rows: Annotated[tuple[Annotated[tuple[int, ...], FailFast()], ...], FailFast()]
    """The combinations of classes, one a field (-1: unknown), that occur among training images."""
    label_counts: Annotated[tuple[Whole, ...], FailFast()]
    """Number of training images of each combination."""
    label_counts_by_size: Annotated[
        tuple[Annotated[tuple[Whole, ...], FailFast()], ...], FailFast()
    ] = ()
    """The same for each of `buckets`. Empty, and not in `model.json`, for models of one size and those
    that were saved before it was."""
    collection: CollectionRecord
    parameters: Count
    """Trainable values of the generator."""
    images_seen: Whole
    """Real images that it was trained with, repetitions included."""
    weights_sha256: Line = ""
    """SHA-256 of the weights file; set when that is written."""
    discriminator_sha256: Line | None = None
    """SHA-256 of the discriminator's weights file, where there is one."""
    autoencoder: NetworkConfig | None = None
    """The frozen autoencoder whose latents the generator makes; its weights are not part of a model. It
    names them by SHA-256."""
    real_noise: float | None = None
    """`training.real_noise`; None in older models."""
    fake_noise: float | None = None
    """`training.fake_noise`; None in older models."""
    hides_labels: bool | None = None
    """Whether labels were hidden in training (`training.hide_labels`); None in older models."""
    tuned: Annotated[tuple[TunedRecord, ...], FailFast()] = ()
    """What came after its training; the pictures are among the sources of `collection`."""
    plugins: Annotated[tuple[PluginRecord, ...], FailFast()] = ()
    """Packages and files outside impasto that its networks are from."""

    @classmethod
    def of(cls, folder: Path) -> "ModelRecord":
        """That of a model folder.

        Raises:
            ImpastoError: there is none, it is damaged, or of an unknown format.
        """
        return read_record(folder / MODEL_FILE, "model", cls)

    @field_validator("autoencoder")
    @classmethod
    def _without_places(cls, value: NetworkConfig | None) -> NetworkConfig | None:
        """A model may come from anybody, so no file or address that its record names is read."""
        if value is None:
            return None
        places = {"encoder", "decoder"} & value.options.keys()
        return value.model_copy(update=dict.fromkeys(places))

    @model_serializer(mode="wrap")
    def _without_counts_of_no_size(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        if not self.label_counts_by_size:
            found.pop("label_counts_by_size", None)
        return found

    @model_validator(mode="before")
    @classmethod
    def _no_flood(cls, value: Any) -> Any:
        return _few(value)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if not 0 < (self.latent.dim or 0) <= MOST_LATENTS:
            raise ValueError(f"latent.dim should be a number from 1 to {MOST_LATENTS:,}")
        if len(self.label_rows) != len(self.label_counts):
            raise ValueError("label_rows and label_counts should be equally many")
        self._check_counts_by_size()
        sizes = self.label_sizes
        if not sizes:
            return self
        if not all(sizes):
            raise ValueError("a label field should have classes")
        if not any(self.label_counts):
            raise ValueError("label_counts should count pictures")
        if any(len(row) != len(sizes) for row in self.label_rows):
            raise ValueError("label_rows should have a class for each label field")
        columns = zip(*self.label_rows, strict=True)
        for column, size in zip(columns, sizes, strict=True):
            if min(column) < -1 or max(column) >= size:
                raise ValueError("label_rows should have numbers of classes, or -1")
        return self

    def _check_counts_by_size(self) -> None:
        by_size = self.label_counts_by_size
        if by_size and len(by_size) != len(self.buckets):
            raise ValueError("label_counts_by_size should have counts for each of the buckets")
        if any(len(counts) != len(self.label_rows) for counts in by_size):
            raise ValueError("label_counts_by_size should have a count for each of the label_rows")
        if not all(map(any, by_size)):
            raise ValueError("label_counts_by_size should count pictures of each size")

    @property
    def label_sizes(self) -> tuple[int, ...]:
        """Number of classes of each label field."""
        return tuple(len(field.classes) for field in self.labels)

    def of_size(self, size: Resolution) -> Self:
        """The record of the same model as one of another of its sizes."""
        return self.model_copy(update={"resolution": size})

    @property
    def combinations(self) -> list[tuple[tuple[int, ...], int]]:
        """The combinations that occur among training images of the model's size, each with its number
        of these; among those of all sizes where it is not known for each."""
        by_size = dict(zip(self.buckets, self.label_counts_by_size, strict=False))
        counts = by_size.get(self.resolution, self.label_counts)
        both = zip(self.label_rows, counts, strict=True)
        return [(row, count) for row, count in both if count]

    def class_counts(self, field: int) -> list[int]:
        """Training images of each class of the label field at this place."""
        counts = [0] * len(self.labels[field].classes)
        for row, count in zip(self.label_rows, self.label_counts, strict=True):
            if row[field] >= 0:
                counts[row[field]] += count
        return counts

    @property
    def learned_without_labels(self) -> bool:
        """Whether the generator has learned pictures without labels, too, as far as is known."""
        return self.hides_labels is not False or (-1,) * len(self.labels) in self.label_rows
