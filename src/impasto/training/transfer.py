"""Start a training from another model: layers that fit are copied, others start fresh.

A layer is copied if the new network has one of the same name with tensors of the same shapes.
`fastgan`, `r3gan` and `projected` name their layers by the side of their maps, so another
resolution changes only the added or removed layers and their neighbours; families that number their
layers copy those whose shapes happen to fit. If the classes differ, rows of label embeddings and
class heads are copied by the names of label field and class; other layers whose shapes depend on
the classes start fresh.

Embeddings of new classes start around the mean of the model's, and a network without classes acts
as if its class were that mean. Around zero they would be far from all trained embeddings and give
flat fields of one colour; exactly at the mean they would stay alike for long.

Of a larger generator, the last layer is fitted to the model's pictures (`last_layer.py`).

The copied generator is the averaged one. If none of its layers is new, the EMA has no ramp-up:
otherwise the average would forget the model after a hundred images, and get worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from impasto.collection import Collection
from impasto.config import NetworkConfig, Ramp, RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import titled
from impasto.networks import at_sampling
from impasto.networks._conditioning import LabelEmbedding
from impasto.resolution import Resolution, recorded
from impasto.sampling.model import ModelRecord
from impasto.training.last_layer import fit_last_layer
from impasto.training.matching import Kept, adapt_batch_norms, fill, listed, sized_by_classes
from impasto.training.pretrained import PretrainedModel
from impasto.training.resolve import LEAST_KEPT
from impasto.training.state import TrainState


@dataclass(frozen=True)
class Transfer:
    """What a training has copied from its starting model.

    Attributes:
        source: the starting model.
        generator: which layers were copied.
        discriminator: which layers were copied; None: it starts fresh.
        classes: by label field, the names of copied and of new classes.
        notes: further remarks for the printed lines, a clause each.
        has_discriminator: whether the run trains a discriminator.
    """

    source: PretrainedModel
    generator: Kept
    discriminator: Kept | None
    classes: dict[str, tuple[list[str], list[str]]]
    notes: tuple[str, ...]
    has_discriminator: bool = True

    def lines(self) -> list[str]:
        """The lines printed at the start of training."""
        mine = self.source
        rest = [*self.notes]
        if self.discriminator is not None:
            rest.insert(0, f"discriminator {self.discriminator.line()}")
        elif self.has_discriminator:
            rest.insert(0, "discriminator new")
        for field, (kept, new) in self.classes.items():
            text = f"classes of {field} kept: {len(kept)} of {len(kept) + len(new)}"
            rest.append(text + (f", new: {listed(new)}" if new else ""))
        return [
            f"from {mine.name} ({mine.record.recipe}, {mine.record.resolution} pixels, "
            f"{mine.record.images_seen:,} images seen): generator {self.generator.line()}",
            *([f"from {mine.name}: {'; '.join(rest)}"] if rest else []),
        ]

    def record(self) -> dict[str, Any]:
        """Its entry in `run.json`."""
        known = self.source.record
        return {
            "model": self.source.name,
            "recipe": known.recipe,
            "resolution": recorded(known.resolution),
            "images_seen": known.images_seen,
            "collection": titled(known.collection.name, known.collection.only),
            "weights_sha256": known.weights_sha256,
            "discriminator_sha256": self.discriminator and known.discriminator_sha256,
            "generator": self.generator.record(),
            "discriminator": self.discriminator and self.discriminator.record(),
            "classes": {
                field: {"kept": kept, "new": new} for field, (kept, new) in self.classes.items()
            },
        }


def settled(config: RunConfig, collection: Collection, source: PretrainedModel) -> RunConfig:
    """The config of a training that starts from a model.

    If the generator is exactly the model's, the EMA has no ramp-up and its full half-life at once. With
    new layers or classes it keeps the ramp-up, because their first weights would stay in the average for
    too long. With an autoencoder, the scale of the latents is the model's. In a run that grows, the
    config of the first stage is changed so.

    Args:
        config: resolved.
        collection: the training collection.
        source: the model.

    Raises:
        ImpastoError: only one of the two makes latents, or they have different autoencoders.
    """
    if config.grows:
        assert config.first_stage is not None
        first = settled(config.first_stage, collection, source)
        return config.model_copy(update={"first_stage": first})
    config = _with_model_scale(config, source)
    fields = {field.name: field.classes for field in collection.fields}
    labels = [(name, fields[name]) for name in config.labels]
    if not _same(source.record, config.resolution, config.latent.size, config.generator, labels):
        return config
    half_life = config.training.ema_half_life
    if isinstance(half_life, Ramp):
        half_life = half_life.end
    update = {"ema_rampup": None, "ema_half_life": half_life}
    training = config.training.model_copy(update=update)
    return config.model_copy(update={"training": training})


def _with_model_scale(config: RunConfig, source: PretrainedModel) -> RunConfig:
    """The config with the model's scale of latents; see `settled` for errors."""
    mine, theirs = config.autoencoder, source.record.autoencoder
    if mine is None and theirs is None:
        return config
    if mine is None or theirs is None:
        made, wanted = ("pictures", "latents") if theirs is None else ("latents", "pictures")
        raise ImpastoError(
            f"nothing of {source.name} can be kept: its generator makes {made}, and this run's makes "
            f"{wanted} (autoencoder); start from another model"
        )
    if mine.options["decoder_sha256"] != theirs.options["decoder_sha256"]:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: it makes latents of another autoencoder "
            f"({theirs.network}, decoder {theirs.options['decoder_sha256'][:12]}...); take that one, or "
            "start from another model"
        )
    scaled = mine.model_copy(update={"scale": theirs.options["scale"]})
    return config.model_copy(update={"autoencoder": scaled})


def _same(
    theirs: ModelRecord,
    resolution: Resolution,
    latent_dim: int,
    generator: NetworkConfig,
    labels: Iterable[tuple[str, Sequence[str]]],
) -> bool:
    """Whether a model's generator has this resolution, architecture and latent size, and these label
    fields with these classes."""
    changeable = at_sampling(generator.network)
    options, known = (
        {name: value for name, value in each.options.items() if name not in changeable}
        for each in (generator, theirs.generator)
    )
    return (
        (theirs.resolution, theirs.latent.dim) == (resolution, latent_dim)
        and theirs.generator.network == generator.network
        and options | known == options
        and [(field.name, tuple(field.classes)) for field in theirs.labels]
        == [(name, tuple(classes)) for name, classes in labels]
    )


def begin(state: TrainState, source: PretrainedModel, record: ModelRecord) -> Transfer:
    """Copy the layers of a model that fit into fresh networks.

    The generator and its average both start from the model's averaged generator; the discriminator
    from the model's, if it has one of the same family. Optimisers start fresh.

    Args:
        state: freshly built.
        source: the model.
        record: of the generator in `state`.

    Raises:
        ImpastoError: nothing or next to nothing of the generator fits, or it has two stages.
    """
    theirs = source.record
    _check_family(source, record)
    changed = theirs.labels != record.labels
    sized = sized_by_classes("generator", record) if changed else frozenset()
    tensors, adapted = adapt_batch_norms(state.generator, source.generator)
    generator, pairs = fill(state.generator, record.labels, tensors, theirs.labels, sized)
    if generator.values < LEAST_KEPT * generator.of:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: {_other_settings(theirs.generator, record)}"
        )
    fitted = fit_last_layer(state.generator, record, theirs.resolution, tensors, generator.new)
    state.average.load_state_dict(state.generator.state_dict())
    notes = _input_notes(theirs, record, adapted)
    if fitted:
        notes.append("to_rgb fitted to that model's pictures, enlarged")
    discriminator = None
    if record.discriminator is None:
        pass
    elif theirs.discriminator is None or source.discriminator is None:
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
    if _same(theirs, record.resolution, record.latent.size, record.generator, labels):
        notes.append("nothing of the generator is new, so its average has no ramp-up")
    classes = {}
    for field in record.labels:
        kept = [name for name in field.classes if (field.name, name) in pairs]
        classes[field.name] = (kept, [name for name in field.classes if name not in kept])
    trains_two = record.discriminator is not None
    return Transfer(source, generator, discriminator, classes, tuple(notes), trains_two)


def _check_family(source: PretrainedModel, record: ModelRecord) -> None:
    """Check that a model's generator is of the same family.

    Raises:
        ImpastoError: it is of another family, or the recipe has two stages.
    """
    theirs = source.record
    if record.generator.network == "stacked":
        raise two_stage_error(record.recipe)
    if theirs.generator.network != record.generator.network:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: its generator is of the family "
            f"'{theirs.generator.network}', recipe {record.recipe} trains one of "
            f"'{record.generator.network}'; name the recipe {theirs.recipe}, or leave out --from"
        )


def _input_notes(theirs: ModelRecord, record: ModelRecord, adapted: bool) -> list[str]:
    """Notes if the latents differ, or only one of the generators uses labels.

    Args:
        theirs: the starting model.
        record: of the generator to train.
        adapted: whether conditional batch norms were adapted (`matching.adapt_batch_norms`).
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


def two_stage_error(recipe: str) -> ImpastoError:
    """The error for a two-stage recipe that is to start from a model."""
    return ImpastoError(
        f"recipe {recipe} trains in two stages, and these cannot start from a model; choose another "
        "recipe, or leave out --from"
    )


def _reads_labels(network: nn.Module) -> set[str]:
    """Names of a network's layers with a row for each class: its label embeddings."""
    found = network.named_modules()
    return {path for path, module in found if isinstance(module, LabelEmbedding)}


def _other_settings(theirs: NetworkConfig, record: ModelRecord) -> str:
    """The reason why no layer fits although the families are the same, for an error message."""
    here = record.generator.options
    other = [
        f"generator.{name}={value}"
        for name, value in theirs.options.items()
        if here.get(name, value) != value
    ]
    if not other:
        return "none of its layers is as large as the one of its name here; leave out --from"
    return f"its layers are of other sizes; train with those: --set {' --set '.join(other)}"
