"""Starting a training from another model: layers that fit are kept, all others begin afresh.

A layer is kept where the new network has one of the same name whose tensors all have the same shapes;
half a layer is never kept. `fastgan`, `r3gan` and `projected` name their layers by the side of the maps
they make or see, so pictures of another resolution change only what the networks gain or lose, and what
reads that; families that count their layers keep what happens to fit. Where the classes differ, what is
learned of each one (the rows of label embeddings and of class heads) goes by the names of its label
field and of the class; other layers whose shapes depend on the classes begin afresh.

The rows of embeddings for new classes begin around the mean of the model's, and a network without
classes as one whose class is that mean: drawn around zero, they would ask the generator for what it has
never painted, and get flat fields of one colour; all at the mean, they would stay alike for long.

What is taken over is the averaged generator. Where nothing of it is new, it is averaged on without the
ramp-up that a training from nothing has: after a hundred images the average would be all new, and worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from impasto.collection import Collection
from impasto.config import NetworkConfig, Ramp, RunConfig
from impasto.errors import ImpastoError
from impasto.networks._conditioning import LabelEmbedding
from impasto.sampling.model import ModelRecord
from impasto.training.matching import Kept, fill, listed, reconditioned, sized_by_classes
from impasto.training.pretrained import PretrainedModel
from impasto.training.state import TrainState

_LEAST = 0.01
"""Of a generator's values: with less kept, the training has not started from that model."""


@dataclass(frozen=True)
class Transfer:
    """What a training has taken from the model it starts from.

    Attributes:
        source: that model.
        generator: what is kept of it.
        discriminator: likewise; None: it begins afresh.
        classes: by label field: classes that are kept, and classes that are new.
        notes: what else to say of it, a clause each.
    """

    source: PretrainedModel
    generator: Kept
    discriminator: Kept | None
    classes: dict[str, tuple[list[str], list[str]]]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """What is printed when training starts: of the generator, and of the rest."""
        mine = self.source
        rest = [
            "discriminator new" if self.discriminator is None else self.discriminator.line(),
            *self.notes,
        ]
        if self.discriminator is not None:
            rest[0] = f"discriminator {rest[0]}"
        for field, (kept, new) in self.classes.items():
            text = f"classes of {field} kept: {len(kept)} of {len(kept) + len(new)}"
            rest.append(text + (f", new: {listed(new)}" if new else ""))
        return [
            f"from {mine.name} ({mine.record.recipe}, {mine.record.resolution} pixels, "
            f"{mine.record.images_seen:,} images seen): generator {self.generator.line()}",
            f"from {mine.name}: {'; '.join(rest)}",
        ]

    def record(self) -> dict[str, Any]:
        """What `run.json` remembers of it."""
        known = self.source.record
        return {
            "model": self.source.name,
            "recipe": known.recipe,
            "resolution": known.resolution,
            "images_seen": known.images_seen,
            "collection": known.collection.name,
            "weights_sha256": known.weights_sha256,
            "discriminator_sha256": self.discriminator and known.discriminator_sha256,
            "generator": self.generator.record(),
            "discriminator": self.discriminator and self.discriminator.record(),
            "classes": {
                field: {"kept": kept, "new": new} for field, (kept, new) in self.classes.items()
            },
        }


def settled(config: RunConfig, collection: Collection, source: PretrainedModel) -> RunConfig:
    """The config of a training that starts from a model: where the generator is to be the very same,
    its average needs no ramp-up, nor a half-life that grows from nothing. Where layers or classes are
    new, it does: half a half-life long they would spoil what is painted.

    Args:
        config: resolved.
        collection: to learn from.
        source: the model.
    """
    fields = {field.name: field.classes for field in collection.fields}
    labels = [(name, fields[name]) for name in config.labels]
    if not _same(source.record, config.resolution, config.latent.dim, config.generator, labels):
        return config
    half_life = config.training.ema_half_life
    if isinstance(half_life, Ramp):
        half_life = half_life.end
    update = {"ema_rampup": None, "ema_half_life": half_life}
    training = config.training.model_copy(update=update)
    return config.model_copy(update={"training": training})


def _same(
    theirs: ModelRecord,
    resolution: int,
    latent_dim: int,
    generator: NetworkConfig,
    labels: Iterable[tuple[str, Sequence[str]]],
) -> bool:
    """Whether a model's generator is this very one, its label fields and their classes included."""
    options = generator.options
    return (
        (theirs.resolution, theirs.latent.dim) == (resolution, latent_dim)
        and theirs.generator.network == generator.network
        and options | theirs.generator.options == options
        and [(field.name, tuple(field.classes)) for field in theirs.labels]
        == [(name, tuple(classes)) for name, classes in labels]
    )


def begin(state: TrainState, source: PretrainedModel, record: ModelRecord) -> Transfer:
    """Put the layers of a model that fit into networks whose training has not begun yet.

    The generator and its average both start from the model's averaged generator; the discriminator
    from the one beside it, where there is one of the same family. Optimisers start afresh.

    Args:
        state: freshly built.
        source: the model.
        record: of the generator in `state`.

    Raises:
        ImpastoError: nothing of the generator fits, or next to nothing, or it paints in two stages.
    """
    theirs = source.record
    _check_family(source, record)
    changed = theirs.labels != record.labels
    sized = sized_by_classes("generator", record) if changed else frozenset()
    tensors, adapted = reconditioned(state.generator, source.generator)
    generator, pairs = fill(state.generator, record.labels, tensors, theirs.labels, sized)
    if generator.values < _LEAST * generator.of:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: {_other_settings(theirs.generator, record)}"
        )
    state.average.load_state_dict(state.generator.state_dict())
    notes = _input_notes(theirs, record, adapted)
    discriminator = None
    if source.discriminator is None:
        notes.append("there is none beside that model")
    elif theirs.discriminator.network != record.discriminator.network:
        notes.append(f"the one there is of the family '{theirs.discriminator.network}'")
    else:
        sized = sized_by_classes("discriminator", record) if changed else frozenset()
        discriminator, _ = fill(
            state.discriminator, record.labels, source.discriminator, theirs.labels, sized
        )
    if not changed and _reads_labels(state.generator) <= set(generator.kept):
        pairs = {(field.name, name) for field in record.labels for name in field.classes}
    labels = [(field.name, field.classes) for field in record.labels]
    if _same(theirs, record.resolution, record.latent.dim, record.generator, labels):
        notes.append("nothing of the generator is new, so its average has no ramp-up")
    classes = {}
    for field in record.labels:
        kept = [name for name in field.classes if (field.name, name) in pairs]
        classes[field.name] = (kept, [name for name in field.classes if name not in kept])
    return Transfer(source, generator, discriminator, classes, tuple(notes))


def _check_family(source: PretrainedModel, record: ModelRecord) -> None:
    """Refuse a model whose generator has no layer in common with this one.

    Raises:
        ImpastoError: it is of another family, or the recipe paints in two stages.
    """
    theirs = source.record
    if record.generator.network == "stacked":
        raise two_stages(record.recipe)
    if theirs.generator.network != record.generator.network:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: its generator is of the family "
            f"'{theirs.generator.network}', recipe {record.recipe} trains one of "
            f"'{record.generator.network}'; name the recipe {theirs.recipe}, or leave out --from"
        )


def _input_notes(theirs: ModelRecord, record: ModelRecord, adapted: bool) -> list[str]:
    """A clause each where the two generators read other latents, or only one of them reads labels.

    Args:
        theirs: the model that is started from.
        record: the generator to be trained.
        adapted: whether batch norms that read labels were adapted (`matching.reconditioned`).
    """
    notes = []
    if theirs.latent.dim != record.latent.dim:
        notes.append(
            f"the latent has {record.latent.dim} values, there {theirs.latent.dim}: "
            "the layers that read it are new"
        )
    if bool(theirs.labels) != bool(record.labels):
        learns = (
            "this run learns labels, that model"
            if record.labels
            else "that model learned labels, this run"
        )
        begins = {
            (True, False): "it begins as the mean of that model's classes",
            (True, True): "at first it paints all classes alike",
        }.get((adapted, bool(record.labels)), "the layers that read them are new")
        notes.append(f"{learns} none: {begins}")
    return notes


def two_stages(recipe: str) -> ImpastoError:
    """The error where a recipe in two stages is to start from a model."""
    return ImpastoError(
        f"recipe {recipe} trains in two stages, and these cannot start from a model; choose another "
        "recipe, or leave out --from"
    )


def _reads_labels(network: nn.Module) -> set[str]:
    """A generator's layers that hold what is learned of each class, where there are any."""
    found = network.named_modules()
    return {path for path, module in found if isinstance(module, LabelEmbedding)}


def _other_settings(theirs: NetworkConfig, record: ModelRecord) -> str:
    """Why no layer fits, though the families are the same."""
    here = record.generator.options
    other = [
        f"generator.{name}={value}"
        for name, value in theirs.options.items()
        if here.get(name, value) != value
    ]
    if not other:
        return "none of its layers is as large as the one of its name here; leave out --from"
    return f"its layers are of other sizes; train with those: --set {' --set '.join(other)}"
