"""What torch and NumPy compute, for the tests of `web/`, which compute the same in TypeScript.

    python -m tools.web.expected

writes `web/tests/expected.json`. A test holds the file to what is computed here now.
"""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.config import LatentConfig, NetworkConfig
from impasto.exploring.curves import Through
from impasto.networks import one_hot
from impasto.sampling.class_choice import labels_of_seeds, mixed
from impasto.sampling.model import CollectionRecord, LabelRecord, ModelRecord
from impasto.sampling.pixels import to_uint8
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points
from impasto.sampling.seeds import MAX_SEED, latents_of_seeds

FILE = Path(__file__).parents[2] / "web" / "tests" / "expected.json"
SEEDS = (0, 1, 17, 123_456_789, MAX_SEED)
SIZES = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 100, 128, 130, 256)
TRUNCATIONS = (0.3, 0.7, 1.0, 2.0, 3.0)


def packed(values: Tensor) -> str:
    """Values as float32, in base64."""
    return base64.b64encode(values.float().contiguous().numpy().astype("<f4").tobytes()).decode()


def unpacked(text: str) -> bytes:
    """The bytes of `packed` values."""
    return base64.b64decode(text)


def latents(
    seeds: Sequence[int] = SEEDS,
    sizes: Sequence[int] = SIZES,
    truncations: Sequence[float] = TRUNCATIONS,
) -> list[dict[str, Any]]:
    """Latents of seeds, of several sizes and both distributions, and truncated ones."""
    cases: list[tuple[int, str, float | None]] = [(size, "normal", None) for size in sizes]
    cases += [(size, "uniform", None) for size in (1, 20)] + [(20, "uniform", 0.5)]
    cases += [(128, "normal", truncation) for truncation in truncations]
    found = []
    for size, distribution, truncation in cases:
        config = LatentConfig.model_validate({"dim": size, "distribution": distribution})
        for seed, values in zip(seeds, latents_of_seeds(seeds, config, truncation), strict=True):
            found.append(
                {
                    "seed": seed,
                    "latent": {"size": size, "distribution": distribution},
                    "truncation": truncation,
                    "values": packed(values),
                }
            )
    return found


def record() -> ModelRecord:
    """A model of two label fields, in which some pictures are of unknown genre."""
    return ModelRecord(
        recipe="example",
        resolution=16,
        latent=LatentConfig(dim=20),
        generator=NetworkConfig(network="fastgan"),
        discriminator=None,
        labels=(
            LabelRecord(name="style", classes=("Ukiyo-e", "Cubism", "Art Nouveau (Modern)")),
            LabelRecord(name="genre", classes=("portrait", "paysage marin à l'été")),
        ),
        label_rows=((0, -1), (0, 0), (1, 0), (1, 1), (2, 1)),
        label_counts=(7, 100, 3, 20, 45),
        collection=CollectionRecord(
            name="example", hash="0", count=175, sources=175, fit="crop", licences={}
        ),
        parameters=1,
        images_seen=1,
        weights_sha256="ab" * 32,
    )


def classes() -> dict[str, Any]:
    """Class weights of seeds: drawn, chosen, chosen so that no combination has them, and mixed."""
    model = record()
    cases: list[tuple[dict[int, int], dict[int, dict[int, float]]]] = [
        ({}, {}),
        ({0: 1}, {}),
        ({0: 2, 1: 0}, {}),
        ({1: 1}, {0: {0: 0.25, 2: 0.75}}),
    ]
    seeds = [*range(12), MAX_SEED]
    found = []
    for chosen, mixtures in cases:
        rows = mixed(model, labels_of_seeds(seeds, model, chosen), mixtures)
        parts = {**{field: {number: 1.0} for field, number in chosen.items()}, **mixtures}
        choice = [
            [{"class": number, "weight": weight} for number, weight in parts.get(field, {}).items()]
            for field in range(len(model.labels))
        ]
        found.append({"choice": choice, "weights": one_hot(rows, model.label_sizes).tolist()})
    return {
        "labels": {
            "fields": [each.model_dump(mode="json") for each in model.labels],
            "rows": model.label_rows,
            "counts": model.label_counts,
        },
        "seeds": seeds,
        "cases": found,
        "shares": [[seed, float(np.random.default_rng([seed, 1]).random())] for seed in seeds],
    }


def walks() -> list[dict[str, Any]]:
    """Loops through four latents, or four with two levels each, at places between them."""
    found = []
    places = torch.tensor([0.0, 0.2, 0.5, 1.0, 1.7, 2.4, 3.3, 3.9], dtype=torch.float64)
    for distribution, levels in (("normal", 1), ("uniform", 1), ("normal", 2)):
        config = LatentConfig.model_validate({"dim": 20, "distribution": distribution})
        points = latents_of_seeds([3, 1, 4, 15, 9, 2, 6, 5][: 4 * levels], config)
        if levels > 1:
            points = points.view(4, levels, 20)
        curve = Through(points, loop=True, distribution=config.distribution, spline=True)
        found.append(
            {
                "distribution": distribution,
                "points": [packed(each) for each in points],
                "places": places.tolist(),
                "values": [packed(each) for each in curve(places / len(points))],
            }
        )
    return found


def points() -> list[dict[str, Any]]:
    """Points as the texts that PNGs carry: of a seed, of a truncated seed, and of an edited one."""
    model = record()
    found = []
    for truncation, edits in ((None, {}), (0.7, {}), (0.7, {"warmth": 1.5})):
        origin = Origin(seed=5, truncation=truncation, edits=edits)
        values = latents_of_seeds([5], model.latent, truncation) + 0.25 * len(edits)
        one = Points.make(model, values, labels_of_seeds([5], model), [origin])
        found.append(
            {
                "text": one.text(0),
                "latents": packed(one.latents[0]),
                "classes": one.classes[0].tolist(),
            }
        )
    return found


def mixed_point() -> dict[str, Any]:
    """Coarse levels of a seed and fine levels of another, as a text and as latents."""
    model, coarse, fine, at = record(), 5, 8, 1
    one, other = latents_of_seeds([coarse, fine], model.latent)
    values = torch.stack([one, other])[None]
    point = Points.make(model, values, labels_of_seeds([coarse], model), [Origin()])
    return {
        "coarse": coarse,
        "fine": fine,
        "at": at,
        "text": point.text(0),
        "latents": packed(values),
    }


def pixels() -> dict[str, Any]:
    """An image, among whose values are halves between two levels, and its levels."""
    halves = (torch.arange(0, 256) - 127.0) / 127.5
    near = torch.cat([halves, halves + 1e-7, torch.tensor([-1.0, 1.0, -3.0, 3.0])])
    image = near[: len(near) // 3 * 3].view(1, 3, -1, 2)
    return {
        "size": list(image.shape[2:]),
        "image": packed(image),
        "levels": to_uint8(image)[0].flatten().tolist(),
    }


def expected() -> dict[str, Any]:
    """All of it."""
    return {
        "latents": latents(),
        "classes": classes(),
        "walks": walks(),
        "points": points(),
        "mixed": mixed_point(),
        "pixels": pixels(),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(expected()) + "\n", encoding="utf-8")
