"""What is known of a model: the contents of `model.json`. Read without torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from impasto.config import Config, Count, LatentConfig, NetworkConfig, read_record
from impasto.plugin_records import PluginRecord

MODEL_FILE = "model.json"


class LabelRecord(Config):
    """A label field that the generator is conditioned on."""

    name: str
    classes: tuple[str, ...]


class CollectionRecord(Config):
    """A summary of the training collection."""

    name: str
    hash: str
    count: Count
    sources: Count
    fit: str
    licences: dict[str, int]
    """Source pictures by licence. May contain `unknown` and, with many licences, `12 others`."""
    kind: str = ""
    """A text that describes the kind of source it was packed from."""
    artists: dict[str, int] = Field(default_factory=dict)
    """Source pictures by artist, in the same form; empty where none is known."""
    duplicates: int = 0
    """Source pictures that were excluded as duplicates."""
    forgotten: dict[str, int] = Field(default_factory=dict)
    """Source pictures that were removed (`impasto forget`), by day."""
    only: str | None = None
    """The condition of the part that was learned from (`train --only`); None: all of it."""


class TunedRecord(Config):
    """How a model was tuned to single pictures (`impasto invert --tune`)."""

    model: str
    """SHA-256 of the weights that it was tuned from."""
    pictures: tuple[str, ...]
    """Names of the pictures' files."""
    sha256: tuple[str, ...]
    """Of the pictures' pixels, as they were fitted to the model's resolution."""
    steps: Count


class ModelRecord(Config):
    """The contents of `model.json`."""

    format: Literal[1] = 1
    recipe: str
    resolution: Count
    latent: LatentConfig
    generator: NetworkConfig
    discriminator: NetworkConfig | None
    """The discriminator, if it was trained with one. A checkpoint has its weights too; sampling does
    not need them."""
    labels: tuple[LabelRecord, ...]
    label_rows: tuple[tuple[int, ...], ...]
    """The combinations of classes, one a field (-1: unknown), that occur among training images."""
    label_counts: tuple[int, ...]
    """Number of training images of each combination."""
    collection: CollectionRecord
    parameters: Count
    """Trainable values of the generator."""
    images_seen: int
    """Real images that it was trained with, repetitions included."""
    weights_sha256: str = ""
    """SHA-256 of the weights file; set when that is written."""
    discriminator_sha256: str | None = None
    """SHA-256 of the discriminator's weights file, where there is one."""
    autoencoder: NetworkConfig | None = None
    """The frozen autoencoder whose latents the generator makes; its weights are not part of a model."""
    real_noise: float | None = None
    """`training.real_noise`; None in older models."""
    fake_noise: float | None = None
    """`training.fake_noise`; None in older models."""
    hides_labels: bool | None = None
    """Whether labels were hidden in training (`training.hide_labels`); None in older models."""
    tuned: tuple[TunedRecord, ...] = ()
    """What came after its training; the pictures are among the sources of `collection`."""
    plugins: tuple[PluginRecord, ...] = ()
    """Packages and files outside impasto that its networks are from."""

    @classmethod
    def of(cls, folder: Path) -> "ModelRecord":
        """That of a model folder.

        Raises:
            ImpastoError: there is none, it is damaged, or of an unknown format.
        """
        return read_record(folder / MODEL_FILE, "model", cls)

    @property
    def label_sizes(self) -> tuple[int, ...]:
        """Number of classes of each label field."""
        return tuple(len(field.classes) for field in self.labels)

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
