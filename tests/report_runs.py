"""Run folders as training would leave them, made in a moment: healthy ones, and each with a fault."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]
INTERVAL = 1024
"""Images between rows."""
PICTURES = 2235


def healthy(
    rows: int = 200, *, seed: int = 0, noise: float = 0.12, drift: float = 0.3
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """Curves of a run as they should be: noisy, wild at the start, drifting a little.

    Numbers follow a DCGAN of ours on crops of 21 paintings: loss of the discriminator near 0.6, of
    the generator near 2.3 after a start at 4, D(x) 0.77 and D(G(z)) 0.22.
    """
    rng = np.random.default_rng(seed)
    images = (np.arange(rows) + 1) * INTERVAL
    time = np.linspace(0, 1, rows)
    start = np.exp(-time / 0.03)

    def wander(size: float) -> Floats:
        # Rows of a true run hang together: noise with a memory of one row in two.
        steps = rng.standard_normal(rows) * size * np.sqrt(0.75)
        for row in range(1, rows):
            steps[row] += 0.5 * steps[row - 1]
        return np.asarray(steps)

    discriminator = (0.6 - 0.3 * start - 0.3 * drift * time) * np.exp(wander(noise))
    generator = (2.3 + 2 * start + drift * time) * np.exp(wander(noise))
    series = {
        "loss/discriminator": discriminator,
        "loss/discriminator/max": discriminator * (1.5 + rng.exponential(0.5, rows)),
        "loss/generator": generator,
        "loss/generator/max": generator * (1.3 + rng.exponential(0.4, rows)),
        "score/real": np.clip(0.77 + 0.1 * start + wander(0.03), 0, 1),
        "score/fake": np.clip(0.22 - 0.1 * start + wander(0.03), 0, 1),
        "images_per_second": 120 + wander(8),
    }
    grids = np.arange(max(1, rows // 40) - 1, rows, max(1, rows // 40))
    fake, real = np.full(rows, np.nan), np.full(rows, np.nan)
    real[grids] = 0.22 + rng.normal(0, 0.005, len(grids))
    fake[grids] = (0.19 - 0.1 * start[grids]) * np.exp(rng.normal(0, 0.06, len(grids)))
    series |= {"diversity/fake": fake, "diversity/real": real}
    return images, series


def with_fault(
    fault: str, at: float, rows: int = 200, *, seed: int = 0
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """The healthy curves with `fault` from the share `at` of the run on."""
    images, series = healthy(rows, seed=seed)
    time = np.linspace(0, 1, rows)
    since = np.clip((time - at) / (1 - at), 0, 1)
    first = round(at * (rows - 1))
    if fault == "divergence":
        series["loss/generator"] = series["loss/generator"] + 5 * since
        series["loss/generator/max"] = series["loss/generator/max"] + 5 * since
        series["loss/discriminator"] = series["loss/discriminator"] * (1 - 0.7 * since)
    elif fault == "spikes":
        for row in range(first, rows - 4, max(4, rows // 25)):
            series["loss/generator"][row] *= 5
            series["loss/generator/max"][row] *= 8
    elif fault == "saturation":
        series["score/real"][first:] = 0.995
        series["score/fake"][first:] = 0.004
        series["loss/discriminator"][first:] *= 0.03
    elif fault == "collapse":
        series["diversity/fake"][first:] *= 0.15
    elif fault == "nan":
        # As training does: it stops in the row where a loss broke.
        for name in ("loss/discriminator", "loss/generator", "score/real", "score/fake"):
            series[name][first] = np.inf
        images, series = images[: first + 1], {n: v[: first + 1] for n, v in series.items()}
    else:
        raise ValueError(f"no fault '{fault}'")
    return images, series


def with_classes(
    series: dict[str, Floats],
    field: str = "genre",
    *,
    real: float,
    fake: float,
    start: float = 0.3,
    seed: int = 0,
    batch: int = 32,
) -> dict[str, Floats]:
    """The curves with label accuracies that go from `start` to these levels over half of the run, as
    noisy as shares of a batch are, and missing now and then."""
    rng = np.random.default_rng(seed)
    rows = len(series["loss/generator"])
    time = np.clip(2 * np.linspace(0, 1, rows), 0, 1)
    for kind, level in (("real", real), ("fake", fake)):
        shares = rng.binomial(batch, start + (level - start) * time) / batch
        shares[rng.random(rows) < 0.1] = np.nan
        series[f"accuracy/{field}/{kind}"] = shares
    return series


def jsonl(images: NDArray[np.int64], series: dict[str, Floats]) -> str:
    """The curves as the text of a `stats.jsonl`; what was not recorded in a row is left out."""
    lines = []
    for index, seen in enumerate(images.tolist()):
        row: dict[str, Any] = {
            "images_seen": seen,
            "step": seen // 64,
            "seconds": round(seen / 120, 3),
        }
        for name, values in series.items():
            value = float(values[index])
            if not np.isnan(value):
                row[name] = None if np.isinf(value) else value
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def grid(seed: int, share: float, tile: int = 16, columns: int = 4, rows: int = 4) -> Image.Image:
    """A grid of something like pictures, that go from noise to patches as `share` goes to 1."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (rows * 4, columns * 4, 3))
    fine = np.random.default_rng([seed, round(1000 * share)]).uniform(
        0, 255, (rows * tile, columns * tile, 3)
    )
    patches = coarse.repeat(tile // 4, axis=0).repeat(tile // 4, axis=1)
    return Image.fromarray((share * patches + (1 - share) * fine).astype(np.uint8))


def class_grid(
    classes: int, rows: int, *, by_class: float, by_latent: float, tile: int = 16, seed: int = 0
) -> Image.Image:
    """The same latents (a row each) in every class (a column each), in plain colours: a class and a
    latent each have one of their own, and add up; their sizes are standard deviations of 255."""
    rng = np.random.default_rng(seed)
    columns = rng.choice([-1.0, 1.0], (1, classes, 4, 4, 3)) * by_class
    latents = rng.choice([-1.0, 1.0], (rows, 1, 4, 4, 3)) * by_latent
    colours = np.clip(127.5 + columns + latents, 0, 255)
    pixels = colours.repeat(tile // 4, axis=2).repeat(tile // 4, axis=3)
    joined = pixels.swapaxes(1, 2).reshape(rows * tile, classes * tile, 3)
    return Image.fromarray(joined.round().astype(np.uint8))


def add_class_grids(
    run: Path,
    moments: dict[int, tuple[float, float]],
    *,
    field: str = "genre",
    classes: tuple[str, ...] = ("landscape", "actor <print>", "birds & flowers"),
    rows: int = 4,
) -> None:
    """Grids of classes at moments (images seen: `by_class` and `by_latent`), told in `run.json`."""
    path = run / "run.json"
    told = json.loads(path.read_text())
    told.setdefault("class_grids", {})[field] = {"classes": list(classes), "rows": rows}
    path.write_text(json.dumps(told))
    for seen, (by_class, by_latent) in moments.items():
        picture = class_grid(len(classes), rows, by_class=by_class, by_latent=by_latent, seed=seen)
        picture.save(run / "samples" / f"classes-{field}-{seen:012d}.png")


def record(images: int, **changes: Any) -> dict[str, Any]:
    """A `run.json` for so many planned images."""
    return {
        "format": 1,
        "command": "impasto train ukiyoe_dcgan_v1 --data ukiyoe-64",
        "created": "2026-11-22T02:35:00+00:00",
        "recipe": "ukiyoe_dcgan_v1",
        "recipe_text": "Japanese-art DCGAN, version 1.\n\nSource: Gao & Qin <project page>.",
        "config": {
            "recipe": "ukiyoe_dcgan_v1",
            "resolution": 16,
            "objective": [
                {"term": "bce", "weight": 1.0, "real_labels": [1, 1], "fake_labels": [0, 0]}
            ],
            "training": {"images": images, "batch": 64, "grid": 16, "pretrain_images": 0},
        },
        "collection": {
            "name": "ukiyoe-64",
            "path": "/nowhere/ukiyoe-64",
            "hash": "0" * 64,
            "count": PICTURES,
            "fields": [
                {
                    "name": "genre",
                    "classes": ["landscape", "actor <print>", "birds & flowers"],
                    "counts": [1400, 600, 120],
                }
            ],
            "fit": "squash",
            "resolution": 16,
        },
        "score": "probability",
        "versions": {"impasto": "0.1.0", "torch": "2.13.0"},
        "machine": {"device": "cpu", "threads": 2},
        "parameters": {"generator": 3576704, "discriminator": 2765568},
        **changes,
    }


def write_run(
    folder: Path,
    images: NDArray[np.int64],
    series: dict[str, Floats],
    *,
    grids: int = 6,
    planned: int | None = None,
    **changes: Any,
) -> Path:
    """Write a run folder; `planned` images in all (by default, as many as were seen)."""
    samples = folder / "samples"
    samples.mkdir(parents=True)
    end = int(images[-1]) if len(images) else 0
    (folder / "run.json").write_text(json.dumps(record(planned or end or 1000, **changes)))
    (folder / "stats.jsonl").write_text(jsonl(images, series))
    if grids:
        grid(7, 1.0).save(samples / "reals.png")
    for number in range(grids):
        share = number / max(1, grids - 1)
        grid(3, share).save(samples / f"fakes-{round(end * share):012d}.png")
    return folder
