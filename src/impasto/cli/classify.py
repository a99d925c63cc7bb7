"""`impasto classify`: the run's discriminator as a classifier of real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Batch, Device, ModelArgument, stoppable
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.evaluation.accuracy import FieldResult


def command(
    run: ModelArgument,
    data: Annotated[
        str | None,
        typer.Option(
            help="Collection to classify, or 'masters'. Default: the run's own.",
            metavar="COLLECTION",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Pictures to classify.", metavar="heldout|train")
    ] = "heldout",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results. Default: the run.", metavar="FOLDER"),
    ] = None,
    device: Device = "auto",
    batch: Batch = 64,
    plugin: Plugins = None,
) -> None:
    """Measure the discriminator's accuracy on the classes of held-out pictures.

    It prints the accuracy, overall and by class, and draws a confusion matrix. The discriminators
    of gangogh, artgan and gantor classify; the flagship's does not.

    Writes classify-FIELD.json and confusion-FIELD.png. For other pictures than the held-out ones of
    the model's own collection, the file names begin with the names of the collection and the split.
    """
    from impasto.curation.classification import check_labels, classify, judging_notes
    from impasto.device import choose_device
    from impasto.evaluation.folders import home_of
    from impasto.sampling import find_model
    from impasto.sampling.model import ModelRecord, load_discriminator, run_of
    from impasto.sampling.output import slugs
    from impasto.training.run_folder import find_collection, with_noise

    folder = find_model(run)
    record = with_noise(ModelRecord.of(folder), run)
    check_labels(record)
    discriminator = load_discriminator(folder)
    collection = find_collection(run, record, data)
    chosen = choose_device(device)
    with stoppable("nothing is written"):
        results = classify(
            discriminator, record, collection, split=split, device=chosen, batch=batch
        )
    own = collection.content_hash == record.collection.hash
    title = f"{'held-out' if split == 'heldout' else 'training'} pictures of {collection.title}"
    typer.echo(f"{title}, named by the discriminator of {folder}")
    for note in (_learned_from(split, own), *judging_notes(discriminator, record, collection)):
        if note is not None:
            typer.echo(note)
    # A model of the package or the hub is in a folder that is not to write to.
    elsewhere = home_of(run, None)
    target = out or run_of(run) or (folder if folder == run.expanduser() else elsewhere)
    parts = slugs([each.field for each in results])
    # The report shows the files with plain names, so only held-out pictures of the own collection
    # get them.
    prefix = "" if own and split == "heldout" else f"{slugs([collection.title])[0][:100]}-{split}-"
    written: list[Path] = []
    about = {
        "model": str(folder),
        "images_seen": record.images_seen,
        "collection": {"name": collection.title, "hash": collection.content_hash},
        "same_collection": own,
        "split": split,
    }
    for each, part in zip(results, parts, strict=True):
        for line in each.lines():
            typer.echo(line)
        names = target / f"{prefix}classify-{part}.json", target / f"{prefix}confusion-{part}.png"
        _write(each, *names, about, title)
        written += names
    for path in written:
        typer.echo(quoted(path))


def _learned_from(split: str, own: bool) -> str | None:
    """A warning if the discriminator was, or may have been, trained on these pictures.

    Args:
        split: `heldout` or `train`.
        own: whether they are of its training collection.
    """
    if split == "train":
        return "it was trained on these pictures: this measures memory, not skill"
    if not own:
        return (
            "note: not its training collection; it may have been trained on some of these pictures"
        )
    return None


def _write(
    found: FieldResult, numbers: Path, picture: Path, about: dict[str, Any], title: str
) -> None:
    """Write a label field's numbers and its confusion matrix."""
    from impasto.curation.confusion import confusion_picture
    from impasto.files import atomic_file, write_json

    write_json(numbers, {**about, **found.numbers()})
    with atomic_file(picture) as temporary:
        confusion_picture(found, f"{found.field}: {title}").save(temporary, "PNG")
