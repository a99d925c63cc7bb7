"""Whether this tree trains bit for bit as an earlier commit does.

    python -m benchmarks.same_weights REVISION [--recipe NAME ...] [--images 512]

Each recipe is trained, small, by the code of REVISION (in a git worktree of its own) and by the code
of this tree, on the same machine with one thread. All weights, optimiser states and the rows of
`stats.jsonl`, but for their times, must be equal; statistics that differ are named. Then a run
that REVISION left at half its length is resumed by this tree, and must end the same. The packed
collection must have the same content hash.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMED = ("seconds", "images_per_second", "evaluation/seconds", "evaluation/reading_seconds")

COMMON = {"resolution": 32, "training.batch": 16, "training.stats_every": 64}
NARROW = {"generator.width": 8, "discriminator.width": 8}
RECIPES: dict[str, dict[str, object]] = {
    "ukiyoe_dcgan_v3": {**NARROW, "training.ema_half_life": 500},
    "gangogh": {
        **NARROW,
        "training.discriminator_steps": 2,
        "training.pretrain_images": 64,
        "training.balance": "genre",
    },
    "flagship_32": {"labels": "[style]", "training.hide_labels": 0.2},
    "artgan_tricks": {
        **NARROW,
        "training.augment": "{kinds: [bgc], target: 0.6, probability: 0.1, images: 1000}",
    },
    "gantor_v1": {**NARROW, "first_stage.resolution": 16, "first_stage.training.batch": 16},
    "r3gan_32": {"generator.width": 16, "discriminator.width": 16, "training.accumulate": 2},
}
"""What is changed in each recipe so that it is small; together they use every kind of step."""


class Side:
    """One version of the code, with a cache of its own."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(source),
            "IMPASTO_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }

    def call(self, *arguments: str) -> None:
        """Run an impasto command.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "impasto", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"impasto {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def train(self, recipe: str, images: int) -> Path:
        """Train a recipe; gives its run."""
        settings = {
            **COMMON,
            "training.checkpoint_every": images // 2,
            "training.samples_every": images // 2,
            "evaluation.every": images // 2,
            "evaluation.pictures": 64,
            **RECIPES[recipe],
        }
        sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        out = self.folder / recipe
        length = ["--images", str(images), "--device", "cpu", "--out", str(out)]
        self.call("train", recipe, "--data", "masters", *length, *sets)
        return next(out.glob("00000-*"))


def fingerprint(run: Path) -> dict[str, Any]:
    """Digests of a run's newest weights and states, stage by stage, and its rows without times."""
    found: dict[str, Any] = {}
    for stage in [run, *sorted(run.glob("stage-*"))]:
        newest = sorted((stage / "checkpoints").glob("[0-9]*"))[-1]
        name = "" if stage == run else f"{stage.name}/"
        for file in sorted(newest.glob("*.safetensors")):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            found[f"{name}{newest.name}/{file.name}"] = digest
        rows = [json.loads(line) for line in (stage / "stats.jsonl").read_text().splitlines()]
        found[f"{name}rows"] = [
            {key: value for key, value in row.items() if key not in TIMED} for row in rows
        ]
    found["collection"] = json.loads((run / "run.json").read_text())["collection"]["hash"]
    return found


def cut_in_half(run: Path) -> None:
    """Take away a run's newest checkpoint, as if it had been killed before it was written."""
    folders = sorted((run / "checkpoints").glob("[0-9]*"))
    assert len(folders) > 1, f"{run} has only {len(folders)} checkpoint"
    shutil.rmtree(folders[-1])


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The names of what is not the same; of rows, the statistics that differ."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if not (name.endswith("rows") and before and now and len(before) == len(now)):
            found.append(name)
            continue
        keys = {
            key
            for one, other in zip(before, now, strict=True)
            for key in one.keys() | other.keys()
            if one.get(key) != other.get(key)
        }
        found += [f"{name}: {key}" for key in sorted(keys)]
    return found


def compare(revision: str, recipes: list[str], images: int) -> bool:
    """Train all recipes by both versions; whether everything is the same."""
    same = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        earlier = folder / "earlier"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(earlier), revision], check=True)
        try:
            sides = []
            for side, source in (("old", earlier / "src"), ("new", ROOT / "src")):
                (folder / side).mkdir()
                sides.append(Side(source, folder / side))
            old, new = sides
            for recipe in recipes:
                run = old.train(recipe, images)
                before = fingerprint(run)
                found = differences(before, fingerprint(new.train(recipe, images)))
                cut_in_half(run)
                new.call("resume", str(run), "--data", "masters")
                resumed = differences(before, fingerprint(run))
                same = same and not found and not resumed
                print(
                    f"{recipe:18} trained: {found or 'identical'}; "
                    f"resumed: {resumed or 'identical'}",
                    flush=True,
                )
        finally:
            subprocess.run([*git, "remove", "--force", str(earlier)], check=True)
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("revision", help="a commit, such as a tag or a hash")
    parser.add_argument("--recipe", action="append", choices=sorted(RECIPES), default=None)
    parser.add_argument("--images", type=int, default=512)
    options = parser.parse_args()
    sys.exit(not compare(options.revision, options.recipe or list(RECIPES), options.images))


if __name__ == "__main__":
    main()
