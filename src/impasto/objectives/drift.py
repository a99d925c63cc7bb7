"""Generated images drift towards real ones of their class, and away from each other.

Source: drifting models (2026, arXiv:2602.04770), their published loss.
For each set of features of a frozen network, every generated image gets a force: real images of its
class attract it, generated ones repel it, near ones more than far ones. The loss moves its features a
step along the force. Without repulsion all images of a class become alike.

The paper trains with this alone, with strong feature networks and large batches. Here earlier generated
images stay in a queue as further ones that repel, and the term is meant to stand beside an adversarial
one.

An evaluation with the same network is no test of what this term does: it was trained on.
"""

import torch
from torch import Tensor, nn

from impasto.config import Count
from impasto.networks._frozen_features import CHANNELS, FrozenFeatures, stage_statistics
from impasto.objectives import StepInputs
from impasto.resolution import Resolution

_EMPTY = -2
"""The label of an empty place in the queue; no image has it."""
_MASKED = -1e9
"""Logit of pairs that do not act on each other, so that the softmax gives them 0."""


def force(
    moved: Tensor, others: Tensor, reals: Tensor, masks: tuple[Tensor, Tensor], radius: float
) -> Tensor:
    """The force on each generated image in a space of features, scaled to a root mean square of 1.

    Args:
        moved: features [N, D] of the generated images.
        others: [M, D] of generated images that repel them.
        reals: [R, D] of real images that attract them.
        masks: bool [N, M] and [N, R]: which images repel, and which attract, each generated image.
        radius: temperature of the softmax over distances, in mean distances: the range of the force.

    Returns:
        [N, D]; zero for an image that no image attracts, or that no image repels.
    """
    targets, mask = torch.cat([others, reals]), torch.cat(masks, dim=1)
    apart = torch.cdist(moved, targets)
    apart = apart / (apart * mask).sum().div(mask.sum().clamp_min(1)).clamp_min(1e-12)
    logits = torch.where(mask, -apart / radius, _MASKED)
    share = (logits.softmax(1) * logits.softmax(0)).sqrt() * mask
    repelled, attracted = share.split([len(others), len(reals)], dim=1)
    weights = torch.cat(
        [
            -repelled * attracted.sum(1, keepdim=True),
            attracted * repelled.sum(1, keepdim=True),
        ],
        dim=1,
    )
    # The weights of a row sum to 0, so where the image itself stands does not matter.
    pull = weights @ targets
    return pull / pull.square().mean().sqrt().clamp_min(1e-12)


def same_classes(labels: Tensor, others: Tensor) -> Tensor:
    """Which pairs have the same class in every field: bool [N, M] for labels [N, F] and [M, F]."""
    return (labels[:, None] == others[None]).all(dim=2)


class Memory(nn.Module):
    """The frozen network, and a queue of features of earlier generated images with their labels."""

    labels: Tensor

    def __init__(
        self,
        *,
        resolution: Resolution,
        label_sizes: tuple[int, ...],
        radii: tuple[float, ...],
        queue: int,
        read_at: int,
    ) -> None:
        super().__init__()
        del resolution, radii
        self.frozen = FrozenFeatures(read_at)
        # A field more than the run's: whether there is anything, also where it has no fields.
        self.register_buffer("labels", torch.full((queue, len(label_sizes) + 1), float(_EMPTY)))
        for stride, channels in CHANNELS.items():
            self.register_buffer(f"features{stride}", torch.zeros(queue, 6 * channels))

    def features(self, images: Tensor) -> list[Tensor]:
        """Features of images [B, 3, H, W], one [B, D] a stage."""
        return stage_statistics(self.frozen(images))

    def queued(self) -> list[Tensor]:
        """The queue's features, one [Q, D] a stage."""
        return [getattr(self, f"features{stride}") for stride in CHANNELS]

    @torch.no_grad()
    def push(self, features: list[Tensor], labels: Tensor) -> None:
        """Put a batch's features and labels in the queue's front; the oldest ones fall out."""
        for mine, newest in [*zip(self.queued(), features, strict=True), (self.labels, labels)]:
            mine.copy_(torch.cat([newest.to(mine.dtype), mine])[: len(mine)])


def generator_loss(
    inputs: StepInputs,
    memory: Memory,
    *,
    radii: tuple[float, ...] = (0.02, 0.05, 0.2),
    queue: Count = 256,
    read_at: Count = 64,
) -> Tensor:
    """The mean squared step along the forces of all radii, averaged over the sets of features.

    Args:
        inputs: of the step.
        memory: features of earlier generated images.
        radii: temperatures of the forces, see `force`, in mean distances.
        queue: number of earlier generated images that repel.
        read_at: side in pixels at which Lite0 reads images.
    """
    del queue, read_at
    fakes = memory.features(inputs.fake)
    with torch.no_grad():
        reals = memory.features(inputs.real)
    # Every label row has one more field, 0, so that empty places of the queue match nothing.
    labels = nn.functional.pad(inputs.fake_labels.float(), (0, 1))
    real_labels = nn.functional.pad(inputs.real_labels.float(), (0, 1))
    others = torch.cat([labels, memory.labels])
    itself = torch.eye(len(labels), len(others), dtype=torch.bool, device=labels.device)
    masks = (same_classes(labels, others) & ~itself, same_classes(labels, real_labels))
    losses = []
    for fake, real, earlier in zip(fakes, reals, memory.queued(), strict=True):
        # A mean distance of the root of the number of values, as in the source.
        unit = fake.shape[1] ** 0.5 / torch.cdist(fake.detach(), real).mean().clamp_min(1e-12)
        x, y = fake * unit, real * unit
        with torch.no_grad():
            repelling = torch.cat([x, earlier * unit])
            step = torch.stack([force(x, repelling, y, masks, radius) for radius in radii]).sum(0)
        losses.append((x - (x + step).detach()).square().mean())
    memory.push(fakes, labels)
    return torch.stack(losses).mean()
