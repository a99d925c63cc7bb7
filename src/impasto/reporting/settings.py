"""Facts of compared runs, and their differing settings."""

from collections.abc import Callable, Sequence

from impasto.formatting import readable_time
from impasto.reporting.compared import Compared
from impasto.reporting.elements import PageTable, moment, words
from impasto.reporting.record import RunRecord
from impasto.settings import settings_that_differ


def facts(runs: Sequence[Compared]) -> PageTable:
    """Recipe, collection, duration and machine of each run."""

    def seconds(record: RunRecord) -> str:
        seconds = record.last("seconds")
        return readable_time(seconds) if seconds is not None else ""

    def parameters(record: RunRecord) -> str:
        count = record.count("parameters", "generator")
        return f"{count:,}" if count else ""

    def trained(record: RunRecord) -> str:
        if record.of_model:
            return ""  # the row of the checkpoint says it
        planned = record.images_planned
        whole = f" of {planned:,}" if planned and planned > record.images_done else ""
        return f"{record.images_done:,}{whole} images"

    def text(*names: str) -> Callable[[RunRecord], str]:
        return lambda record: str(record.get(*names, default=""))

    of: dict[str, Callable[[RunRecord], str]] = {
        "Recipe": text("recipe"),
        "Trained on": text("collection", "name"),
        "Pictures": lambda record: f"{record.pictures:,}" if record.pictures else "",
        "Resolution": text("config", "resolution"),
        "Seed": text("config", "training", "seed"),
        "Trained": trained,
        "Training time": seconds,
        "Device": text("machine", "device"),
        "Generator's parameters": parameters,
    }
    if any(run.record.get("collection", "only") for run in runs):
        of["Only"] = text("collection", "only")
    if any(run.record.get("started_from") for run in runs):
        of["Started from"] = text("started_from", "model")
    texts = [(name, [tell(run.record) for run in runs]) for name, tell in of.items()]
    rows = [(name, [words(text) for text in each]) for name, each in texts if any(each)]
    rows.append(("Checkpoint", [words(moment(run.record, run.images_seen)) for run in runs]))
    return PageTable(["", *(run.name for run in runs)], rows)


def settings(runs: Sequence[Compared]) -> PageTable:
    """A table of the settings that differ; empty if none does. Beside a model by itself, only those that
    a model has."""
    configs = [run.record.get("config", default={}) for run in runs]
    if any(run.record.of_model for run in runs):
        shared = set(configs[0]).intersection(*configs[1:])
        configs = [{name: config[name] for name in config if name in shared} for config in configs]
    rows = settings_that_differ(configs)
    rows_of_cells = [(name, [words(value) for value in values]) for name, values in rows]
    return PageTable(["", *(run.name for run in runs)], rows_of_cells)
