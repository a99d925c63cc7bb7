"""Shared by several tests: TWO, record_of."""

from impasto import readers as readers
from impasto.config import LatentConfig, NetworkConfig
from impasto.sampling.model import CollectionRecord, LabelRecord, ModelRecord


def record_of(
    fields: dict[str, tuple[str, ...]], rows: list[tuple[int, ...]], counts: list[int]
) -> ModelRecord:
    """What is known of a model of these label fields and combinations."""
    return ModelRecord(
        recipe="x",
        resolution=8,
        latent=LatentConfig(dim=4),
        generator=NetworkConfig(network="gangogh"),
        discriminator=NetworkConfig(network="gangogh"),
        labels=tuple(LabelRecord(name=name, classes=names) for name, names in fields.items()),
        label_rows=tuple(rows),
        label_counts=tuple(counts),
        collection=CollectionRecord(
            name="x", hash="0", count=1, sources=1, fit="crop", licences={}
        ),
        parameters=1,
        images_seen=1,
    )


TWO = record_of(
    {"style": ("Cubism", "Ukiyo-e"), "genre": ("landscape", "marina", "portrait")},
    [(-1, 0), (0, 0), (0, 2), (1, 0), (1, 1)],
    [1, 2, 5, 4, 3],
)
