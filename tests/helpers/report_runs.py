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

FAULTS = {
    "divergence": "divergence",
    "spikes": "spikes",
    "saturation": "discriminator wins",
    "collapse": "collapse",
    "nan": "not finite",
}
"""Faults that `with_fault` brings about, and the kind of finding that each is."""


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


def stats_rows(images: NDArray[np.int64], series: dict[str, Floats]) -> list[dict[str, Any]]:
    """The curves as rows of statistics."""
    return [json.loads(line) for line in jsonl(images, series).splitlines()]


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


# Evaluations


def score_row(
    name: str,
    value: float | None,
    half: float = 0.0,
    *,
    field: str | None = None,
    cls: str | None = None,
    pictures: int = 2000,
    warning: str | None = None,
) -> dict[str, Any]:
    """A score with an interval of `half` on either side."""
    return {
        "name": name,
        "field": field,
        "cls": cls,
        "value": value,
        "low": None if value is None else value - half,
        "high": None if value is None else value + half,
        "pictures": pictures,
        "reference": 2235,
        "warning": warning,
    }


CLASSES = ("landscape", "actor <print>", "birds & flowers")


def evaluation(
    images_seen: int,
    scores: list[dict[str, Any]],
    *,
    name: str = "run",
    network: str = "lite0",
    network_sha256: str = "a" * 64,
    collection_hash: str = "0" * 64,
    reference: int = 2235,
    pictures: int = 2000,
    during_training: bool = False,
    heldout: list[dict[str, Any]] | None = None,
    judges: list[dict[str, Any]] | None = None,
    weights_sha256: str | None = None,
    per_class: int = 100,
    resolution: int = 16,
    folder: str | None = None,
) -> dict[str, Any]:
    """A row of `metrics.jsonl`."""
    return {
        "format": 1,
        "created": f"2026-11-22T03:00:00.{images_seen:09d}+00:00",
        "impasto": "0.1.0",
        "during_training": during_training,
        "subject": {
            "kind": "run",
            "name": name,
            "images_seen": images_seen,
            "weights_sha256": weights_sha256,
            "recipe": "ukiyoe_dcgan_v1",
        },
        "network": {
            "name": network,
            "weights_sha256": network_sha256,
            "resize": "bicubic to 224 px",
            "width": 1280,
        },
        "collection": {"name": "ukiyoe-64", "hash": collection_hash, "resolution": resolution},
        "reference": {
            "split": "train",
            "pictures": reference,
            "sources": 2235,
            "available": reference,
        },
        "pictures": {"count": pictures, "extra": 120, "per_class": per_class},
        "scores": scores,
        "heldout": heldout or [],
        "memorisation": None,
        "judges": judges or [],
        "folder": folder,
        "seconds": {"pictures": 20.0, "features": 40.0, "scores": 3.0},
    }


def scored(
    share: float,
    *,
    network: str = "lite0",
    level: float = 1.0,
    field: str | None = "genre",
    classes: tuple[str, ...] = CLASSES,
) -> list[dict[str, Any]]:
    """The scores of a run that is `share` of its way from noise to good pictures; `level` times as far
    from the real ones as usual."""
    rng = np.random.default_rng([round(1000 * share), round(1000 * level)])
    far = level * (0.15 + 0.85 * np.exp(-3 * share)) * np.exp(rng.normal(0, 0.02))
    near = float(np.clip(1 - far, 0.02, 0.95))
    rows = [
        score_row(f"fd-{network}", 900 * far, 12),
        score_row(f"fd-{network}-infinity", 880 * far, 18),
        score_row(f"kid-{network}", 0.4 * far, 0.006),
        score_row(f"is-{network}", 2 + 4 * near, 0.1),
        score_row(f"precision-{network}", 0.8 * near, 0.02),
        score_row(f"recall-{network}", 0.6 * near, 0.03),
        score_row(f"density-{network}", near, 0.05),
        score_row(f"coverage-{network}", 0.7 * near, 0.02),
        score_row(f"diversity-{network}", 0.4 + 0.6 * near, 0.02),
        score_row(f"copied-{network}", 0.01, 0.004),
    ]
    if field is None:
        return rows
    rows += [
        score_row("top1-judge", 0.3 + 0.6 * near, 0.02, field=field),
        score_row("is-judge", 1.2 + near, 0.05, field=field),
        score_row("accuracy-judge", 0.83, 0.03, field=field, pictures=432),
        score_row("accuracy-discriminator", 0.4 + 0.3 * near, 0.04, field=field, pictures=432),
    ]
    for place, cls in enumerate(classes):
        of: dict[str, Any] = {"field": field, "cls": cls, "pictures": 1400 // (place + 1)}
        few = f"{cls}: {of['pictures']} pictures are too few" if place == 2 else None
        rows += [
            score_row(f"fd-{network}", 900 * far + 60 * place, 20 + 10 * place, warning=few, **of),
            score_row(f"kid-{network}", 0.4 * far + 0.02 * place, 0.01, **of),
            score_row(f"diversity-{network}", 0.4 + 0.6 * near, 0.05, **of),
            score_row("top1-judge", max(0.02, 0.3 + 0.6 * near - 0.1 * place), 0.04, **of),
            score_row("accuracy-judge", 0.9 - 0.1 * place, 0.05, **of),
            score_row("accuracy-discriminator", 0.5 + 0.2 * near - 0.1 * place, 0.06, **of),
        ]
    return rows


def judge(field: str = "genre", classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    return {
        "field": field,
        "classes": list(classes),
        "accuracy": 0.83,
        "low": 0.80,
        "high": 0.86,
        "baseline": 0.66,
        "made_baseline": 0.61,
        "pictures": 432,
        "sources": 432,
    }


def heldout_scores(network: str = "lite0") -> list[dict[str, Any]]:
    """What held-out real pictures score."""
    return [
        score_row(f"fd-{network}", 61, 6, pictures=432),
        score_row(f"kid-{network}", 0.0004, 0.0011, pictures=432),
        score_row(f"is-{network}", 6.4, 0.3, pictures=432),
        score_row(f"copied-{network}", 0.01, 0.009, pictures=432),
        score_row("top1-judge", 0.83, 0.03, field="genre", pictures=432),
    ]


def write_evaluations(run: Path, rows: list[dict[str, Any]]) -> None:
    """Write a run's `metrics.jsonl`."""
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def evaluated_moments(end: int, moments: int = 10, **options: Any) -> list[dict[str, Any]]:
    """Evaluations at evenly spread moments of a run of `end` images; with `only`, such as ("kid",),
    of no other kinds of scores."""
    only = options.pop("only", None)
    level = options.pop("level", 1.0)
    network = options.get("network", "lite0")
    classes = options.pop("classes", CLASSES)
    field = options.pop("field", "genre")
    return [
        evaluation(
            round(end * number / moments),
            [
                score
                for score in scored(
                    number / moments, level=level, network=network, field=field, classes=classes
                )
                if only is None or score["name"].split("-")[0] in only
            ],
            heldout=heldout_scores(network),
            judges=[judge(field, classes)] if field else [],
            **options,
        )
        for number in range(1, moments + 1)
    ]
