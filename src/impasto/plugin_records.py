"""The plugins that a run or model needs, recorded in run.json and model.json, and checks that they
are present. Records are only compared with what is found; nothing is run or installed because of
them."""

from collections.abc import Iterable, Iterator
from functools import cache

from pydantic import TypeAdapter, ValidationError

from impasto.config import Config, NetworkConfig, RunConfig
from impasto.errors import ImpastoError, in_words
from impasto.formatting import one_line
from impasto.messages import say
from impasto.plugins import WHAT, plugins_of
from impasto.registry import module_names

Need = tuple[str, str]
"""A room and a name in it, such as `networks` and `plain`."""


class PluginRecord(Config):
    """A package or file outside impasto, and what it provides."""

    name: str
    """The package's name, or the file's without its folder."""
    version: str | None = None
    """The version of a package."""
    sha256: str | None = None
    """The digest of a file."""
    provides: tuple[str, ...]
    """What it provides, such as `networks/plain`."""

    def __str__(self) -> str:
        name = one_line(self.name)
        if self.sha256 is None:
            return f"package {name} {one_line(self.version or '')}".strip()
        return f"file {name} (SHA-256 {self.sha256[:12]})"


def read_plugins(value: object) -> tuple[PluginRecord, ...]:
    """The records in a run.json; empty for older ones, where `value` is None.

    Raises:
        ImpastoError: `value` is no list of records.
    """
    try:
        return TypeAdapter(tuple[PluginRecord, ...]).validate_python(value or ())
    except ValidationError as error:
        raise ImpastoError(f"its plugins are damaged ({in_words(error.errors()[0])})") from error


def networks_of(config: NetworkConfig | None) -> Iterator[Need]:
    """A network, and those that its settings name, such as the first stage of a stacked one; nothing
    where there is no network."""
    if config is None:
        return
    yield "networks", config.network
    for option in config.options.values():
        if isinstance(option, dict) and isinstance(option.get("network"), str):
            yield "networks", option["network"]


def needs_of(config: RunConfig) -> Iterator[Need]:
    """Everything that a run uses, its first stage included."""
    for stage in config.stages:
        yield from networks_of(stage.generator)
        yield from networks_of(stage.discriminator)
        yield from (("objectives", term.term) for term in stage.objective)
        if stage.training.augment is not None:
            yield from (("augmentations", kind) for kind in stage.training.augment.kinds)
        yield "features", stage.evaluation.features


def records_of(needs: Iterable[Need]) -> tuple[PluginRecord, ...]:
    """The records of plugins among these needs."""
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for room, name in sorted(set(needs)):
        plugin = plugins_of(room).get(name)
        if plugin is not None:
            origin = plugin.origin
            key = (origin.name, origin.version, origin.sha256)
            found.setdefault(key, []).append(f"{room}/{name}")
    return tuple(
        PluginRecord(name=name, version=version, sha256=sha256, provides=tuple(provides))
        for (name, version, sha256), provides in found.items()
    )


def require(records: Iterable[PluginRecord], needs: Iterable[Need], subject: object) -> None:
    """Check that a run's or model's plugins are present, with a note if a version or file differs.

    Args:
        records: the recorded plugins.
        needs: what is used now.
        subject: its folder, for messages.

    Raises:
        ImpastoError: something is missing.
    """
    wanted = {f"{room}/{name}": (room, name) for room, name in needs}
    for record in records:
        for room, name in (wanted[each] for each in record.provides if each in wanted):
            plugin = plugins_of(room).get(name)
            if plugin is None and name not in module_names(room):
                raise ImpastoError(
                    f"{subject} needs the {WHAT[room]} '{one_line(name)}' of the {record}, which runs "
                    f"code that is not part of impasto; if you trust it, {_how_to_get(record)}"
                )
            origin = None if plugin is None else plugin.origin
            same = origin is not None and (
                (origin.name, origin.version) == (record.name, record.version)
                if record.sha256 is None
                else origin.sha256 == record.sha256
            )
            if not same:
                now = "impasto itself" if origin is None else str(origin)
                _note(
                    f"note: the {WHAT[room]} '{one_line(name)}' is from {now}, not from the {record} "
                    "that was trained with; the two may differ"
                )


@cache
def _note(text: str) -> None:
    """Print a note once."""
    say(text, to_stderr=True)


def _how_to_get(record: PluginRecord) -> str:
    if record.sha256 is not None:
        return f"give the file with --plugin {one_line(record.name)}"
    return "install the package from where this comes from"
