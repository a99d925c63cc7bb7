"""Starting a training from another model: layers that fit are kept, all others begin afresh.

A layer is kept where the new network has one of the same name whose tensors all have the same shapes;
half a layer is never kept. `fastgan`, `r3gan` and `projected` name their layers by the side of the maps
they make or see, so pictures of another resolution change only what the networks gain or lose, and what
reads that; families that count their layers keep what happens to fit. Where the classes differ, what is
learned of each one (the rows of label embeddings and of class heads) goes by the names of its label
field and of the class; other layers whose shapes depend on the classes begin afresh.

The rows of embeddings for new classes begin around the mean of the model's, and a network without
classes as one that is told that mean: drawn around zero, they would ask the generator for what it has
never painted, and get flat fields of one colour; all at the mean, they would stay alike for long.

What is taken over is the averaged generator. Where nothing of it is new, it is averaged on without the
ramp-up that a training from nothing has: after a hundred images the average would be all new, and worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.config import NetworkConfig, Ramp, RunConfig, read_record
from impasto.errors import ImpastoError
from impasto.networks import ClassHead, build_discriminator, build_generator
from impasto.networks._conditioning import (
    ConditionalBatchNorm2d,
    LabelEmbedding,
    with_new_condition,
)
from impasto.plugin_records import networks_of, require
from impasto.sampling.model import (
    DISCRIMINATOR_FILE,
    MASTERS,
    MASTERS_MODEL,
    MODEL_FILE,
    WEIGHTS_FILE,
    LabelRecord,
    ModelRecord,
    find_model,
    read_tensors,
)
from impasto.training.state import TrainState

_MOST_NAMES = 6  # in a line that is printed
_LEAST = 0.01
"""Of a generator's values: below it, to call what is kept a start would be idle words."""


@dataclass(frozen=True)
class Source:
    """The model that a training starts from.

    Attributes:
        name: the run's where it is a checkpoint of one, else the model folder's; or `masters`.
        record: what is known of it.
        generator: its averaged generator's tensors.
        discriminator: the opponent's, where they lie beside.
    """

    name: str
    record: ModelRecord
    generator: dict[str, Tensor]
    discriminator: dict[str, Tensor] | None

    @classmethod
    def load(cls, path: Path) -> "Source":
        """From whatever stands for a model: a run, `RUN/best`, a checkpoint, a model folder, or the
        word `masters`.

        Raises:
            ImpastoError: none of these, damaged, or with weights that are not finite.
        """
        folder = find_model(path)
        record = read_record(folder / MODEL_FILE, "model", ModelRecord)
        networks = [*networks_of(record.generator), *networks_of(record.discriminator)]
        require(record.plugins, networks, folder)
        generator = read_tensors(folder / WEIGHTS_FILE, record.weights_sha256)
        discriminator = None
        if record.discriminator_sha256 is not None:
            discriminator = read_tensors(folder / DISCRIMINATOR_FILE, record.discriminator_sha256)
        every = [*generator.values(), *(discriminator or {}).values()]
        if not all(bool(value.isfinite().all()) for value in every if value.is_floating_point()):
            raise ImpastoError(
                f"{folder} holds weights that are not finite: its training has diverged; start from "
                "an earlier checkpoint of the run"
            )
        # The model of this package has its weights in half precision.
        generator, discriminator = _single(generator), discriminator and _single(discriminator)
        whole = folder.resolve()
        name = whole.parent.parent.name if whole.parent.name == "checkpoints" else whole.name
        if folder == MASTERS_MODEL:
            name = MASTERS
        return cls(name, record, generator, discriminator)


def _single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, what is a fraction in single precision."""
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}


@dataclass(frozen=True)
class Kept:
    """What a network has kept of another one.

    Attributes:
        kept: layers, whole.
        partly: layers of which the rows of some classes are kept.
        new: layers that begin afresh.
        values: weights kept.
        of: weights in all.
    """

    kept: tuple[str, ...]
    partly: tuple[str, ...]
    new: tuple[str, ...]
    values: int
    of: int

    def line(self) -> str:
        """`41 of 45 layers kept, 1 in part (3.1M of 3.3M values); new: blocks.128, to_rgb`."""
        layers = len(self.kept) + len(self.partly) + len(self.new)
        text = f"{len(self.kept)} of {layers} layers kept"
        if self.partly:
            text += f", {len(self.partly)} in part"
        text += f" ({_in_short(self.values)} of {_in_short(self.of)} values)"
        if self.new:
            text += f"; new: {_listed(_branches(self.new, [*self.kept, *self.partly]))}"
        return text

    def record(self) -> dict[str, Any]:
        """The names, for `run.json`."""
        return {"kept": list(self.kept), "partly": list(self.partly), "new": list(self.new)}


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

    source: Source
    generator: Kept
    discriminator: Kept | None
    classes: dict[str, tuple[list[str], list[str]]]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """To be told when training starts: of the generator, and of the rest."""
        mine = self.source
        rest = [
            "discriminator new" if self.discriminator is None else self.discriminator.line(),
            *self.notes,
        ]
        if self.discriminator is not None:
            rest[0] = f"discriminator {rest[0]}"
        for field, (kept, new) in self.classes.items():
            text = f"classes of {field} kept: {len(kept)} of {len(kept) + len(new)}"
            rest.append(text + (f", new: {_listed(new)}" if new else ""))
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


def settled(config: RunConfig, collection: Collection, source: Source) -> RunConfig:
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


def begin(state: TrainState, source: Source, record: ModelRecord) -> Transfer:
    """Put what fits of a model into players whose training has not begun yet.

    The generator and its average both start from the model's averaged generator; the discriminator
    from the one beside it, where there is one of the same family. Optimisers start afresh.

    Args:
        players: freshly built.
        source: the model.
        record: what is known of the players' own generator.

    Raises:
        ImpastoError: nothing of the generator fits, or next to nothing, or it paints in two stages.
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
    sized: frozenset[str] = frozenset()
    changed = theirs.labels != record.labels
    if changed:
        sized = _sized_by_classes("generator", record)
    tensors, retold = _retold(state.generator, source.generator)
    generator, known = _take(state.generator, record.labels, tensors, theirs.labels, sized)
    if generator.values < _LEAST * generator.of:
        raise ImpastoError(
            f"nothing of {source.name} can be kept: {_other_settings(theirs.generator, record)}"
        )
    state.average.load_state_dict(state.generator.state_dict())
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
        }.get((retold, bool(record.labels)), "the layers that read them are new")
        notes.append(f"{learns} none: {begins}")
    discriminator = None
    if source.discriminator is None:
        notes.append("there is none beside that model")
    elif theirs.discriminator.network != record.discriminator.network:
        notes.append(f"the one there is of the family '{theirs.discriminator.network}'")
    else:
        if changed:
            sized = _sized_by_classes("discriminator", record)
        discriminator, _ = _take(
            state.discriminator, record.labels, source.discriminator, theirs.labels, sized
        )
    if not changed and _reads_labels(state.generator) <= set(generator.kept):
        known = {(field.name, name) for field in record.labels for name in field.classes}
    labels = [(field.name, field.classes) for field in record.labels]
    if _same(theirs, record.resolution, record.latent.dim, record.generator, labels):
        notes.append("nothing of the generator is new, so its average has no ramp-up")
    classes = {}
    for field in record.labels:
        kept = [name for name in field.classes if (field.name, name) in known]
        classes[field.name] = (kept, [name for name in field.classes if name not in kept])
    return Transfer(source, generator, discriminator, classes, tuple(notes))


def two_stages(recipe: str) -> ImpastoError:
    """What to say where a recipe in two stages is to start from a model."""
    return ImpastoError(
        f"recipe {recipe} trains in two stages, and these cannot start from a model; choose another "
        "recipe, or leave out --from"
    )


def _reads_labels(network: nn.Module) -> set[str]:
    """A generator's layers that hold what is learned of each class, where there are any."""
    found = network.named_modules()
    return {path for path, module in found if isinstance(module, LabelEmbedding)}


def _take(
    network: nn.Module,
    mine: Sequence[LabelRecord],
    tensors: dict[str, Tensor],
    theirs: Sequence[LabelRecord],
    sized: frozenset[str],
) -> tuple[Kept, set[tuple[str, str]]]:
    """Fill a network with what fits of `tensors`; also gives the (field, class) pairs kept.

    Args:
        network: to be filled.
        mine: its label fields.
        tensors: of another network of its family.
        theirs: that one's label fields.
        sized: names of the network's tensors whose shapes depend on the classes, where these differ.
    """
    state = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    sizes = {name: p.numel() for name, p in network.named_parameters() if name in state}
    rows: dict[str, int] = {}
    pairs: set[tuple[str, str]] = set()
    if sized:
        unsaid = _average_rows(network, mine, tensors, theirs, state)
        rows, pairs = _take_rows(network, mine, tensors, theirs, state)
        for name, mean in unsaid.items():
            state[name] += mean
    layers: dict[str, list[str]] = {}
    for name in state:
        layers.setdefault(_layer_of(name), []).append(name)
    kept: list[str] = []
    partly: list[str] = []
    new: list[str] = []
    values = 0
    for layer, names in layers.items():
        if any(name in rows for name in names):
            count, of = sum(rows[name] for name in names), sum(len(state[name]) for name in names)
            (kept if count == of else partly if count else new).append(layer)
            values += sum(rows[name] * state[name][0].numel() for name in names)
        elif all(
            name not in sized and name in tensors and tensors[name].shape == state[name].shape
            for name in names
        ):
            kept.append(layer)
            values += sum(sizes.get(name, 0) for name in names)
            state |= {name: tensors[name] for name in names}
        else:
            new.append(layer)
    network.load_state_dict(state)
    return Kept(tuple(kept), tuple(partly), tuple(new), values, sum(sizes.values())), pairs


def _retold(network: nn.Module, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a model that is told as many values of the classes as `network`: where these are
    more or fewer, or none, what it learned of the latent stands, and its classes are as their mean.
    Also gives whether any batch norm was changed for that."""
    theirs = [values for name, values in tensors.items() if name.startswith("embedding.fields.")]
    constant = torch.stack([rows.mean(0) for rows in theirs]).sum(0) if theirs else torch.zeros(0)
    mine = getattr(network, "embedding", None)
    width = mine.fields[0].shape[1] if isinstance(mine, LabelEmbedding) else 0
    if width == len(constant):
        return tensors, False
    changed: dict[str, Tensor] = {}
    for path, module in network.named_modules():
        if not isinstance(module, nn.BatchNorm2d) or f"{path}.weight" not in tensors:
            continue
        weight, bias = tensors[f"{path}.weight"], tensors[f"{path}.bias"]
        none = weight.new_zeros(len(weight), 0)
        gain = tensors.get(f"{path}.gain.weight", none)
        shift = tensors.get(f"{path}.shift.weight", none)
        own = module.gain.in_features if isinstance(module, ConditionalBatchNorm2d) else 0
        if own - width != gain.shape[1] - len(constant):
            continue  # told another latent, or only one of them is told it
        values = with_new_condition(weight, bias, gain, shift, constant, width)
        names = ("weight", "bias", "gain.weight", "shift.weight")
        changed |= {f"{path}.{name}": each for name, each in zip(names, values, strict=True)}
    return tensors | changed, bool(changed)


def _average_rows(
    network: nn.Module,
    mine: Sequence[LabelRecord],
    tensors: dict[str, Tensor],
    theirs: Sequence[LabelRecord],
    state: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Let the rows of embeddings, fresh in `state`, lie around the mean of those of the same field in
    `tensors`. What the model's other fields say on the mean, one field is to say for them, a new one if
    there is any: gives, by tensor, what to add to each of its rows."""
    unsaid = {}
    for path, module in network.named_modules():
        if not isinstance(module, LabelEmbedding):
            continue
        width = cast(Tensor, module.fields[0]).shape[1]
        rows = {f.name: tensors.get(f"{path}.fields.{n}") for n, f in enumerate(theirs)}
        means = {name: each.mean(0) for name, each in rows.items() if each is not None}
        if not means or any(len(mean) != width for mean in means.values()):
            continue
        for position, field in enumerate(mine):
            state[f"{path}.fields.{position}"] += means.get(field.name, torch.zeros(width))
        names = [field.name for field in mine]
        others = [mean for name, mean in means.items() if name not in names]
        if others:
            speaker = next((n for n, name in enumerate(names) if name not in means), 0)
            unsaid[f"{path}.fields.{speaker}"] = torch.stack(others).sum(0)
    return unsaid


def _take_rows(
    network: nn.Module,
    mine: Sequence[LabelRecord],
    tensors: dict[str, Tensor],
    theirs: Sequence[LabelRecord],
    state: dict[str, Tensor],
) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Fill the rows of `state` that belong to classes there are in both; gives how many rows are kept
    of each tensor that has one a class, and the (field, class) pairs kept."""
    counts: dict[str, int] = {}
    pairs = set()
    there = _rows_of_classes(network, theirs)
    for (place, field, name), (tensor, row) in _rows_of_classes(network, mine).items():
        if tensor not in state:
            continue
        counts.setdefault(tensor, 0)
        their_tensor, their_row = there.get((place, field, name), ("", 0))
        values = tensors.get(their_tensor)
        if values is not None and values.shape[1:] == state[tensor].shape[1:]:
            state[tensor][row] = values[their_row]
            counts[tensor] += 1
            pairs.add((field, name))
    return counts, pairs


def _rows_of_classes(
    network: nn.Module, fields: Sequence[LabelRecord]
) -> dict[tuple[str, str, str], tuple[str, int]]:
    """(Place, field, class) to the (tensor, row) that holds what is learned of that class there, if
    the network had been built with these label fields."""
    found = {}
    for path, module in network.named_modules():
        if isinstance(module, LabelEmbedding):
            for position, field in enumerate(fields):
                for row, name in enumerate(field.classes):
                    found[path, field.name, name] = (f"{path}.fields.{position}", row)
        elif isinstance(module, ClassHead):
            pairs = [(field.name, name) for field in fields for name in field.classes]
            for tensor in (f"{path}.linear.weight", f"{path}.linear.bias"):
                for row, (own, name) in enumerate(pairs):
                    found[tensor, own, name] = (tensor, row)
    return found


def _sized_by_classes(player: str, record: ModelRecord) -> frozenset[str]:
    """The tensors of a player whose shapes change with the number of classes."""
    found: list[dict[str, Tensor]] = []
    for more in (0, 1):
        sizes = tuple(size + more for size in record.label_sizes)
        with torch.device("meta"):
            if player == "generator":
                network = build_generator(
                    record.generator.network,
                    record.generator.options,
                    latent_dim=record.latent.dim,
                    resolution=record.resolution,
                    label_sizes=sizes,
                )
            else:
                network = build_discriminator(
                    record.discriminator.network,
                    record.discriminator.options,
                    resolution=record.resolution,
                    label_sizes=sizes,
                )
        found.append(network.state_dict())
    here, other = found
    return frozenset(name for name, value in here.items() if value.shape != other[name].shape)


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


def _layer_of(tensor: str) -> str:
    """The layer that a tensor belongs to; of spectral norm's parts, the one that is normed."""
    layer = tensor.partition(".parametrizations.")[0]
    if layer == tensor:
        layer = tensor.rpartition(".")[0] or tensor
    return layer.removesuffix(".fields")


def _branches(new: Iterable[str], others: Iterable[str]) -> list[str]:
    """Names of new layers, with whole branches named once: `blocks.128` for all inside it."""
    held = {".".join(parts[:end]) for parts in map(_parts, others) for end in range(len(parts) + 1)}
    found = []
    for name in new:
        parts = _parts(name)
        heads = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        found.append(next((head for head in heads if head not in held), name))
    return list(dict.fromkeys(found))


def _parts(name: str) -> list[str]:
    return name.split(".")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _in_short(count: int) -> str:
    """`812`, `45k`, `3.1M`."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
