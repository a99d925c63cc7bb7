"""The run's discriminator as a classifier of real images, as GANGogh's was evaluated."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from impasto.collection import Collection
from impasto.errors import ImpastoError, choices
from impasto.evaluation.accuracy import FieldResult, result
from impasto.evaluation.discriminator import (
    MEASURED,
    depends_on_batch,
    judging_by,
    real_pictures,
    statistics_of_real,
)
from impasto.networks import Judgement
from impasto.sampling.model import ModelRecord


def true_classes(collection: Collection, record: ModelRecord, field: int) -> np.ndarray | None:
    """The classes of all images of a collection in one label field, numbered as in the model.

    Fields and classes are matched by name.

    Args:
        collection: the collection.
        record: of the model.
        field: column of the label field in the model.

    Returns:
        int64 [N], -1 where the class is unknown in the collection or to the model. None if the
        collection has no such field.
    """
    wanted = record.labels[field]
    columns = {each.name: column for column, each in enumerate(collection.fields)}
    if wanted.name not in columns:
        return None
    column = columns[wanted.name]
    numbers = {name: number for number, name in enumerate(wanted.classes)}
    known = [numbers.get(name, -1) for name in collection.fields[column].classes]
    translation = np.array([*known, -1], np.int64)  # -1 indexes the last element
    return translation[collection.labels[:, column]]


@torch.inference_mode()
def predicted_classes(
    discriminator: nn.Module,
    collection: Collection,
    rows: np.ndarray,
    record: ModelRecord,
    *,
    device: torch.device | str = "cpu",
    batch: int = 64,
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """The classes that the discriminator predicts for images of a collection: int64 [N, F].

    The discriminator gets unknown labels. Each image is evaluated independently, with batch norm
    statistics of the collection's training images and with the noise of training
    (`evaluation/discriminator.py`). If images have a multiple of the model's resolution, blocks of
    pixels are averaged, as in training.

    Args:
        discriminator: of the model.
        collection: the collection.
        rows: indices [N] of the images.
        record: of the model.
        device: device to run on.
        batch: images at a time.
        progress: called with the number of images classified so far.

    Raises:
        ImpastoError: the discriminator does not classify.
    """
    discriminator = discriminator.to(device).eval()
    noise, fields = record.real_noise or 0.0, len(record.labels)
    statistics = statistics_of_real(
        discriminator, collection, record.resolution, fields, noise=noise, device=device
    )
    predicted = []
    with judging_by(discriminator, statistics):
        for start in range(0, len(rows), batch):
            some = rows[start : start + batch]
            images = real_pictures(collection, some, record.resolution, noise=noise, device=device)
            labels = torch.full((len(some), fields), -1, device=device)
            judgement: Judgement = discriminator(images, labels)
            if judgement.class_logits is None:
                raise ImpastoError(
                    "this model's discriminator names no classes; train with a recipe whose "
                    "discriminator does, such as gangogh, on a collection with labels"
                )
            logits = judgement.class_logits
            predicted.append(torch.stack([each.argmax(dim=1) for each in logits], dim=1))
            progress(start + len(some))
    return torch.cat(predicted).cpu().numpy()


def judging_notes(
    discriminator: nn.Module, record: ModelRecord, collection: Collection
) -> list[str]:
    """Lines for the user on what predictions depend on besides the image: batch norm statistics and
    noise."""
    lines = []
    count = min(MEASURED, len(collection.train_indices))
    if depends_on_batch(discriminator):
        lines.append(
            f"batch norm by the statistics of {count} training pictures of {collection.title}"
            if count
            else "note: batch norm by the running statistics of training, which mix real and generated "
            f"pictures, as {collection.title} has no training pictures; accuracies may be too low"
        )
    if record.real_noise:
        lines.append(
            f"pictures are shown under noise of standard deviation {record.real_noise:g}, as in training"
        )
    return lines


def check_labels(record: ModelRecord) -> None:
    """Check that the model has label fields.

    Raises:
        ImpastoError: it has none.
    """
    if not record.labels:
        raise ImpastoError(
            "this model knows no classes: it was trained without labels, so there is nothing to name"
        )


def _most_frequent(record: ModelRecord, field: int) -> int:
    """The number of the class that most of the model's training pictures have."""
    return int(np.argmax(record.class_counts(field)))


def classify(
    discriminator: nn.Module,
    record: ModelRecord,
    collection: Collection,
    *,
    split: str = "heldout",
    device: torch.device | str = "cpu",
    batch: int = 64,
    progress: Callable[[int], None] = lambda done: None,
) -> list[FieldResult]:
    """Classify the collection's images with the discriminator. There is a result for each label field
    that model and collection have.

    Args:
        discriminator: of the model.
        record: of the model.
        collection: opened at the model's resolution or a multiple of it.
        split: `heldout` or `train`.
        device: device to run on.
        batch: images at a time.
        progress: called with the number of images classified so far.

    Raises:
        ImpastoError: the model does not classify, or no image has a class that the model knows.
    """
    check_labels(record)
    if split not in ("heldout", "train"):
        raise ImpastoError(f"--split is heldout or train, not '{split}'")
    rows = collection.heldout_indices if split == "heldout" else collection.train_indices
    truths = {
        field: truth[rows]
        for field in range(len(record.labels))
        if (truth := true_classes(collection, record, field)) is not None
    }
    names = choices([field.name for field in record.labels])
    usable = [field for field, truth in truths.items() if (truth >= 0).any()]
    if not usable:
        raise ImpastoError(
            f"{collection.path} has no {'held-out' if split == 'heldout' else 'training'} picture "
            f"of a class that this model knows (it knows of {names})"
        )
    predicted = predicted_classes(
        discriminator, collection, rows, record, device=device, batch=batch, progress=progress
    )
    results = []
    for field in usable:
        known = truths[field] >= 0
        results.append(
            result(
                record.labels[field].name,
                record.labels[field].classes,
                truths[field][known],
                predicted[known, field],
                collection.sources[rows][known],
                commonest=_most_frequent(record, field),
                unknown=int((~known).sum()),
            )
        )
    return results
