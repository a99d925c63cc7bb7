"""Copy the layers of one network that fit into another.

A layer fits if both networks have one of the same name with tensors of the same shapes. Rows of
label embeddings and class heads are matched by the names of label field and class; rows of new
classes start around the mean of the other network's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from impasto.networks import ClassHead, discriminator_of, generator_of
from impasto.networks._conditioning import (
    ConditionalBatchNorm2d,
    LabelEmbedding,
    with_new_condition,
)
from impasto.sampling.model import LabelRecord, ModelRecord

_MOST_NAMES = 6  # in a printed line


@dataclass(frozen=True)
class Kept:
    """Which layers of a network were copied from another network.

    Attributes:
        kept: names of layers that were copied whole.
        partly: names of layers with rows copied for some classes.
        new: names of layers with fresh weights.
        values: number of weights that were copied.
        of: number of all weights.
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
            text += f"; new: {listed(_branches(self.new, [*self.kept, *self.partly]))}"
        return text

    def record(self) -> dict[str, Any]:
        """The names, for `run.json`."""
        return {"kept": list(self.kept), "partly": list(self.partly), "new": list(self.new)}


def fill(
    network: nn.Module,
    mine: Sequence[LabelRecord],
    tensors: dict[str, Tensor],
    theirs: Sequence[LabelRecord],
    sized: frozenset[str],
) -> tuple[Kept, set[tuple[str, str]]]:
    """Copy the layers of `tensors` that fit into a network, in place.

    Args:
        network: gets the layers.
        mine: label fields of `network`.
        tensors: state dict of another network of the same family.
        theirs: label fields of that network.
        sized: names of the tensors of `network` whose shapes depend on the classes, if these differ.

    Returns:
        What was copied, and the (field, class) pairs with copied rows.
    """
    state = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    sizes = {name: p.numel() for name, p in network.named_parameters() if name in state}
    rows: dict[str, int] = {}
    pairs: set[tuple[str, str]] = set()
    if sized:
        shifts = _average_rows(network, mine, tensors, theirs, state)
        rows, pairs = _take_rows(network, mine, tensors, theirs, state)
        for name, shift in shifts.items():
            state[name] += shift
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


def adapt_batch_norms(
    network: nn.Module, tensors: dict[str, Tensor]
) -> tuple[dict[str, Tensor], bool]:
    """A model's state dict with conditional batch norms converted to the embedding of `network`.

    If the two label embeddings differ in width, or only one network has one, the batch norms keep their
    dependence on the latent, and act as if the class were the mean of the model's classes.

    Returns:
        The tensors, and whether any batch norm was changed.
    """
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
            continue  # the latents differ in size, or only one of the two uses it
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
    """Shift the fresh rows of embeddings in `state` to the mean of the same field's rows in `tensors`.

    The model's other fields have no rows here; the sum of their means is added to one field, a new
    one if possible.

    Returns:
        By tensor, the shift to add to each row.
    """
    shifts = {}
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
            position = next((n for n, name in enumerate(names) if name not in means), 0)
            shifts[f"{path}.fields.{position}"] = torch.stack(others).sum(0)
    return shifts


def _take_rows(
    network: nn.Module,
    mine: Sequence[LabelRecord],
    tensors: dict[str, Tensor],
    theirs: Sequence[LabelRecord],
    state: dict[str, Tensor],
) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Copy the rows of classes that both have into `state`; gives the number of rows copied for
    each tensor with a row for each class, and the (field, class) pairs."""
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
    """(Place, field, class) to the (tensor, row) of that class, for the network built with these
    label fields."""
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


def sized_by_classes(role: str, record: ModelRecord) -> frozenset[str]:
    """The tensors of the generator or discriminator whose shapes change with the number of classes."""
    found: list[dict[str, Tensor]] = []
    for more in (0, 1):
        sizes = tuple(size + more for size in record.label_sizes)
        with torch.device("meta"):
            if role == "generator":
                network = generator_of(record, sizes)
            else:
                network = discriminator_of(record, sizes)
        found.append(network.state_dict())
    here, other = found
    return frozenset(name for name, value in here.items() if value.shape != other[name].shape)


def _layer_of(tensor: str) -> str:
    """The layer of a tensor; for spectral norm's tensors, the normalised layer."""
    layer = tensor.partition(".parametrizations.")[0]
    if layer == tensor:
        layer = tensor.rpartition(".")[0] or tensor
    return layer.removesuffix(".fields")


def _branches(new: Iterable[str], others: Iterable[str]) -> list[str]:
    """Names of new layers, with whole branches merged: `blocks.128` for all inside it."""
    held = {".".join(parts[:end]) for parts in map(_parts, others) for end in range(len(parts) + 1)}
    found = []
    for name in new:
        parts = _parts(name)
        heads = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        found.append(next((head for head in heads if head not in held), name))
    return list(dict.fromkeys(found))


def _parts(name: str) -> list[str]:
    return name.split(".")


def listed(names: Sequence[str]) -> str:
    """`a, b, c`; of more than six names the first six and the number of the others."""
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _in_short(count: int) -> str:
    """`812`, `45k`, `3.1M`."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
