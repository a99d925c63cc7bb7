"""`python -m tests.helpers.trained_weights COLLECTION STEPS RECIPE ...`: train each recipe, made small,
and print the digests of its weights as JSON. Several processes train it together. Settings may follow a
recipe's name: `artgan,training.generator_steps=2`."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.processes import Processes, joined
from impasto.settings import change, parse_settings
from impasto.training.resolve import resolve
from impasto.training.session import Session
from tests.helpers.training import CPU, small


def in_portions(recipe: str, labels: bool = True, **settings: Any) -> RunConfig:
    """A recipe made small, with batches of four portions of two pictures."""
    config = small(recipe, training__accumulate=4, **settings)
    if config.first_stage is not None:
        config = change(config, {"first_stage.training.accumulate": 4})
    changes: dict[str, Any] = {}
    if config.labels and labels:
        changes["labels"] = ["style", "genre"][: len(config.labels)]
    if config.training.balance:
        changes["training.balance"] = "style"
    return change(config, changes)


def entry(text: str) -> RunConfig:
    """The config that a recipe's name, with settings after commas, stands for."""
    recipe, *settings = text.split(",")
    return change(in_portions(recipe), parse_settings(settings))


def digest(session: Session) -> str:
    """Of all weights, of the averaged ones and of the adaptive probability."""
    found = hashlib.sha256()
    state = session.state
    for network in (state.generator, state.discriminator, state.average):
        for name, value in network.state_dict().items():
            found.update(name.encode())
            found.update(value.contiguous().numpy().tobytes())
    if state.adaptive is not None:
        found.update(state.adaptive.state.numpy().tobytes())
    return found.hexdigest()


def trained(
    config: RunConfig, collection: Collection, steps: int, processes: Processes
) -> tuple[str, dict[str, float]]:
    """The digest after some steps, and the statistics of the last one."""
    session = Session(resolve(config, collection), collection, CPU, processes)
    statistics = {}
    for _ in range(steps):
        statistics = session.trainer.step()
    return digest(session), {name: float(value) for name, value in statistics.items()}


def main() -> None:
    path, steps, *recipes = sys.argv[1:]
    collection = Collection.open(Path(path))
    found = {}
    with joined() as processes:
        for recipe in recipes:
            made, statistics = trained(entry(recipe), collection, int(steps), processes)
            found[recipe] = [made, statistics]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
