"""Makes the network that the package ships for `impasto enlarge`: trained on paintings of 256 pixels.

    python -m benchmarks.enlarger_model --data paintings-256 [--images 200k] [--out RUN] [--to FOLDER]
        [--model masters ...]

Crops of 128 pixels are reduced four times, and the network learns to give them back. Inputs are reduced
by various filters, blurred, and given noise and the faults of generators: faint weaves of two and four
pixels, and smeared patches. Some inputs are pictures of `--model`s: for these there is nothing to give
back, so their enlargement has to look like crops of paintings, and to be the input again when reduced.
The loss is that of Real-ESRGAN (Wang et al. 2021, arXiv:2107.10833): pixels (1), features (1), and an
adversary (0.1 of it, after `--warm-up` images), here impasto's discriminator on the features of a frozen
network (hinge). The weights that are kept are an average over steps.

`--out` keeps the state every 2,000 images, and the same command goes on from there. At the end the
weights are written to `--to` in half precision, with a record of how they were made.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._command import run as run_command
from impasto.collection import Collection, open_or_pack
from impasto.collection.provenance import provenance
from impasto.device import autocast, choose_device
from impasto.enlarging.network import FACTOR, Enlarger
from impasto.enlarging.tiles import enlarged
from impasto.enlarging.weights import PACKAGED
from impasto.files import atomic_file, write_json
from impasto.formatting import parse_count
from impasto.networks._frozen_features import FrozenFeatures
from impasto.networks.projected import Discriminator
from impasto.sampling import Model
from impasto.sampling.output import save_grid
from impasto.sampling.pixels import as_images
from impasto.sampling.tensors import write_tensors

SIDE = 128
"""Of the crops of paintings."""
BATCH = 8
GENERATED = 2
"""Inputs of a batch that a generator painted, once the adversary has begun."""
EMA = 0.998


def _filters(scale: float, device: torch.device) -> Tensor:
    """A Gaussian blur of this deviation in pixels, as a 7x7 kernel."""
    places = torch.arange(7, device=device) - 3.0
    line = torch.exp(-(places**2) / (2 * max(scale, 1e-3) ** 2))
    line = line / line.sum()
    return line[:, None] * line[None, :]


def _blurred(images: Tensor, scale: float) -> Tensor:
    kernel = _filters(scale, images.device).expand(3, 1, 7, 7)
    return F.conv2d(F.pad(images, (3,) * 4, mode="reflect"), kernel, groups=3)


def _weave(images: Tensor, random: np.random.Generator) -> Tensor:
    """A faint periodic pattern of two or four pixels, as transposed convolutions leave it."""
    period = int(random.choice([2, 4]))
    tile = torch.from_numpy(random.normal(0, 1, (1, 3, period, period)).astype(np.float32))
    tile = tile - tile.mean((2, 3), keepdim=True)
    repeats = images.shape[-1] // period
    strength = float(random.uniform(0, 0.06))
    return images + strength * tile.repeat(1, 1, repeats, repeats).to(images)


def _smeared(images: Tensor, random: np.random.Generator) -> Tensor:
    """Patches that are blurred along one direction, as a generator that lacks detail paints them."""
    length = int(random.integers(2, 5))
    kernel = torch.zeros(7, 7)
    if random.random() < 0.5:
        kernel[3, 3 - length // 2 : 3 - length // 2 + length] = 1 / length
    else:
        kernel[3 - length // 2 : 3 - length // 2 + length, 3] = 1 / length
    smear = F.conv2d(
        F.pad(images, (3,) * 4, mode="reflect"), kernel.expand(3, 1, 7, 7).to(images), groups=3
    )
    field = torch.from_numpy(random.normal(0, 1, (len(images), 1, 4, 4)).astype(np.float32))
    mask = (F.interpolate(field, images.shape[-2:], mode="bicubic") > 0.5).to(images)
    return torch.lerp(images, smear, mask)


def reduced(crops: Tensor, random: np.random.Generator) -> Tensor:
    """Crops [B, 3, H, H] in [-1, 1] to inputs [B, 3, H/4, H/4], each batch in a way of its own."""
    images = _blurred(crops, float(random.uniform(0, 1.2))) if random.random() < 0.4 else crops
    kind = random.choice(["area", "bicubic", "bilinear"])
    size = (crops.shape[-1] // FACTOR,) * 2
    if kind == "area":
        images = F.interpolate(images, size, mode="area")
    else:
        images = F.interpolate(images, size, mode=str(kind), antialias=True)
    if random.random() < 0.35:
        images = _weave(images, random)
    if random.random() < 0.35:
        images = _smeared(images, random)
    if random.random() < 0.5:
        images = images + float(random.uniform(0, 0.04)) * torch.randn_like(images)
    return images.clamp(-1, 1)


class Crops:
    """Random crops of a collection's training pictures, mirrored at random."""

    def __init__(self, collection: Collection, seed: int) -> None:
        self.collection = collection
        self.indices = np.asarray(collection.train_indices)
        self.seed = seed

    def batch(self, number: int, count: int) -> Tensor:
        """[count, 3, SIDE, SIDE] in [-1, 1]; the same for the same number."""
        random = np.random.default_rng([self.seed, number])
        pixels = self.collection.images(np.sort(random.choice(self.indices, count, replace=False)))
        span = pixels.shape[1] - SIDE + 1
        found = []
        for picture in pixels:
            top, left = random.integers(0, span, 2)
            crop = picture[top : top + SIDE, left : left + SIDE]
            found.append(crop[:, ::-1] if random.random() < 0.5 else crop)
        return as_images(torch.from_numpy(np.ascontiguousarray(np.stack(found))))


def painted(names: list[str], count: int) -> Tensor:
    """Pictures [N, 3, S, S] in [-1, 1] of these models, 32 by 32 pixels and larger cut to that."""
    parts, side = [], SIDE // FACTOR
    for name in names:
        pixels = Model.load(name).sample(range(count // len(names)))
        images = as_images(torch.from_numpy(pixels))
        corners = range(0, images.shape[-1] - side + 1, side)
        parts += [images[:, :, y : y + side, x : x + side] for y in corners for x in corners]
    return torch.cat(parts)


class Training:
    """The networks, their optimisers, and the clock in crops."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        torch.manual_seed(options.seed)
        self.options, self.device = options, device
        self.network = Enlarger().to(device)
        self.average = Enlarger().to(device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.discriminator = Discriminator(
            resolution=SIDE, read_at=SIDE, levels=(4, 8, 16), head_width=64, expand=False,
            pixel_width=16, pixel_batch_norm=True,
        ).to(device)  # fmt: skip
        self.features = FrozenFeatures(SIDE).to(device).requires_grad_(False)
        learning = {"lr": options.rate, "betas": (0.9, 0.99)}
        self.optimiser = torch.optim.Adam(self.network.parameters(), **learning)
        trained = [p for p in self.discriminator.parameters() if p.requires_grad]
        self.adversary = torch.optim.Adam(trained, lr=2e-4, betas=(0.0, 0.99))
        self.seen = 0

    def state(self) -> dict[str, object]:
        """All that a checkpoint keeps."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "adversary": self.adversary.state_dict(),
            "seen": self.seen,
        }

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this benchmark."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name in ("network", "average", "discriminator", "optimiser", "adversary"):
            getattr(self, name).load_state_dict(state[name])
        self.seen = int(state["seen"])

    def realness(self, images: Tensor) -> Tensor:
        labels = torch.empty(len(images), 0, dtype=torch.long, device=self.device)
        return self.discriminator(images, labels).realness

    def step(self, crops: Tensor, inputs: Tensor, drawn: Tensor | None) -> dict[str, float]:
        """One update of each network; `drawn` are inputs that a generator painted."""
        everything = inputs if drawn is None else torch.cat([inputs, drawn])
        with autocast(self.device, "auto"):
            made = self.network(everything)
        made = made.float()
        values: dict[str, float] = {}
        if drawn is not None:
            with autocast(self.device, "auto"):
                real, fake = self.realness(crops), self.realness(made.detach())
            loss = F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()
            self.adversary.zero_grad()
            loss.backward()
            self.adversary.step()
            values["adversary"] = float(loss.detach())
        given = made[: len(crops)]
        pixels = F.l1_loss(given, crops)
        with autocast(self.device, "auto"):
            wanted = self.features(crops)
            found = self.features(given)
        # Each stage's difference in shares of its own size; the coarsest says nothing of texture.
        shares = [
            F.l1_loss(each.float(), goal.float()) / goal.float().abs().mean()
            for each, goal in zip(found[:4], wanted[:4], strict=True)
        ]
        features = torch.stack(shares).mean()
        loss = pixels + features
        if drawn is not None:
            back = F.interpolate(made[len(crops) :], drawn.shape[-2:], mode="area")
            loss = loss + F.l1_loss(back, drawn)
            self.discriminator.requires_grad_(False)
            with autocast(self.device, "auto"):
                realness = self.realness(made).float().mean()
            loss = loss - 0.1 * realness
            values["realness"] = float(realness.detach())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if drawn is not None:
            for name, parameter in self.discriminator.named_parameters():
                parameter.requires_grad_("features." not in name)
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - EMA)
        self.seen += len(crops)
        return {"pixels": float(pixels.detach()), "features": float(features.detach()), **values}


def _rates(training: Training, images: int) -> None:
    """The learning rate falls to a tenth over the last third."""
    left = (images - training.seen) / (images / 3)
    for group in training.optimiser.param_groups:
        group["lr"] = training.options.rate * min(1.0, max(0.1, left))


def _sheet(training: Training, collection: Collection, generated: Tensor, path: Path) -> None:
    """Held-out crops reduced and enlarged again, beside the enlargement by Lanczos and the original;
    below, generated pictures."""
    import PIL.Image

    rows = []
    for index in collection.heldout_indices[:4]:
        crop = collection.images(np.array([index]))[0][:SIDE, :SIDE]
        small = np.asarray(
            PIL.Image.fromarray(crop).resize((SIDE // 4,) * 2, PIL.Image.Resampling.BOX)
        )
        rows.append((small, crop))
    for picture in generated[:: max(1, len(generated) // 4)][:4]:
        small = ((picture.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
        rows.append((small, np.zeros((SIDE, SIDE, 3), np.uint8)))
    tiles = []
    for small, crop in rows:
        lanczos = PIL.Image.fromarray(small).resize((SIDE,) * 2, PIL.Image.Resampling.LANCZOS)
        made = enlarged(torch.tensor(small)[None], training.average)[0].numpy()
        tiles += [np.asarray(lanczos), made, crop]
    save_grid(path, np.stack(tiles), columns=3)


def _batches(
    training: Training, crops: Crops, generated: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    while True:
        number = training.seen // BATCH
        random = np.random.default_rng([training.options.seed, number, 1])
        torch.manual_seed(number)
        real = crops.batch(number, BATCH)
        inputs = reduced(real, random)
        drawn = None
        if training.seen >= training.options.warm_up:
            drawn = generated[torch.from_numpy(random.choice(len(generated), GENERATED))]
            drawn = drawn.to(training.device)
        yield real.to(training.device), inputs.to(training.device), drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", required=True, help="a collection of 256 pixels")
    parser.add_argument("--images", type=parse_count, default=200_000)
    parser.add_argument("--warm-up", type=parse_count, default=40_000)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help="a model whose pictures are inputs too")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("enlarger"))
    parser.add_argument("--to", type=Path, default=PACKAGED.parent)
    options = parser.parse_args()
    device = choose_device(options.device)
    collection = open_or_pack(options.data, 256)
    training, crops = Training(options, device), Crops(collection, options.seed)
    names = options.model or ["masters"]
    generated = painted(names, 400)
    options.out.mkdir(parents=True, exist_ok=True)
    state = options.out / "state.pt"
    if state.exists():
        training.load(state)
    began, before = time.process_time(), training.seen
    for real, inputs, drawn in _batches(training, crops, generated):
        _rates(training, options.images)
        values = training.step(real, inputs, drawn)
        if training.seen % 2_000 < BATCH or training.seen >= options.images:
            with atomic_file(state) as temporary:
                torch.save(training.state(), temporary)
            speed = (training.seen - before) / (time.process_time() - began)
            row = {"seen": training.seen, "crops_per_cpu_second": round(speed, 2), **values}
            with (options.out / "stats.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(row, flush=True)
        if training.seen % 10_000 < BATCH or training.seen >= options.images:
            _sheet(training, collection, generated, options.out / f"sheet-{training.seen:09d}.png")
        if training.seen >= options.images:
            break
    tensors = {name: tensor.half() for name, tensor in training.average.state_dict().items()}
    sizes = {"width": training.average.width, "blocks": training.average.blocks}
    with atomic_file(options.to / PACKAGED.name) as temporary:
        digest = write_tensors(temporary, tensors, {"enlarger": json.dumps(sizes)})
    write_json(
        options.to / PACKAGED.with_suffix(".json").name,
        {
            "collection": collection.name,
            "pictures": len(collection.train_indices),
            "content_hash": collection.content_hash,
            "provenance": provenance(collection),
            "weights_sha256": digest,
            "models": names,
            "images": training.seen,
            "seed": options.seed,
        },
    )


if __name__ == "__main__":
    run_command(main)
