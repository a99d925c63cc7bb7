"""Whether the discriminator knows its pictures by heart: it is asked about ones it never trained on."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from impasto.networks import Judgement
from impasto.objectives import Objective
from impasto.training.data import TrainingPictures

_COUNT = 128
"""Pictures of each kind, at most, that it is asked about at a time."""
_BATCH = 32
"""Of each kind of real picture in a batch."""
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@contextlib.contextmanager
def _as_in_training(discriminator: nn.Module) -> Iterator[None]:
    """Without dropout and noise, but with batch norm by the batch's own statistics and none of them
    remembered: the running ones mix real and generated pictures, which it never sees in one batch."""
    discriminator.eval()
    norms = [module for module in discriminator.modules() if isinstance(module, _NORMS)]
    for norm in norms:
        norm.train()
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        discriminator.train()


@torch.no_grad()
def ask_witnesses(
    discriminator: nn.Module,
    objective: Objective,
    pictures: TrainingPictures,
    fields: tuple[str, ...],
    fakes: tuple[Tensor, Tensor],
) -> dict[str, float]:
    """What the discriminator says of pictures it trains on (`shown`), of held-out ones and of
    generated ones (`sampled`).

    Training and held-out pictures stand in the same batches, as many of one as of the other, so that
    batch norm makes no difference between them.

    Args:
        discriminator: in training mode, which it is left in.
        objective: whose score is meant.
        pictures: of both splits.
        fields: label fields whose classes it names.
        fakes: images [B, 3, H, W] and their labels [B, F].

    Returns:
        The mean score of each kind (`score/KIND`), the share whose class it names
        (`accuracy/FIELD/KIND`), and `overfitting`: how far from training pictures to generated ones
        the held-out ones are taken to be, r_v of Karras et al. 2020 (arXiv:2006.06676, equation 1).
        0: it knows nothing by heart; 1: a real picture that it has not seen is as good as a
        generated one. Nothing without held-out pictures.
    """
    count = min(_COUNT, len(pictures.collection.heldout_indices), len(pictures))
    if count == 0:
        return {}
    realness: dict[str, list[Tensor]] = {"shown": [], "heldout": [], "sampled": []}
    right: dict[str, list[Tensor]] = {}

    def note(kind: str, judgement: Judgement, labels: Tensor) -> None:
        realness[kind].append(judgement.realness.float())
        for field, logits in enumerate(judgement.class_logits or ()):
            known = labels[:, field] >= 0
            found = logits.argmax(dim=1)[known] == labels[known, field]
            right.setdefault(f"accuracy/{fields[field]}/{kind}", []).append(found)

    with _as_in_training(discriminator):
        for start in range(0, count, _BATCH):
            some = range(start, min(start + _BATCH, count))
            shown, shown_labels = pictures.fixed(count, some)
            heldout, heldout_labels = pictures.held_out(count, some)
            labels = torch.cat([shown_labels, heldout_labels])
            judgement: Judgement = discriminator(torch.cat([shown, heldout]), labels)
            for kind, part in (("shown", slice(len(shown))), ("heldout", slice(len(shown), None))):
                named = judgement.class_logits
                note(
                    kind,
                    Judgement(judgement.realness[part], named and tuple(n[part] for n in named)),
                    labels[part],
                )
        for images, labels in zip(
            fakes[0].split(2 * _BATCH), fakes[1].split(2 * _BATCH), strict=True
        ):
            note("sampled", discriminator(images, labels), labels)
    values = {kind: torch.cat(parts) for kind, parts in realness.items()}
    found = {f"score/{kind}": float(objective.score(v).mean()) for kind, v in values.items()}
    for name, parts in right.items():
        hits = torch.cat(parts)
        if len(hits):
            found[name] = float(hits.float().mean())
    shown_mean, heldout_mean, sampled_mean = (float(v.mean()) for v in values.values())
    if shown_mean > sampled_mean:
        found["overfitting"] = (shown_mean - heldout_mean) / (shown_mean - sampled_mean)
    return found
