"""A run's command, machine, versions, recipe and all settings."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import yaml
from markupsafe import Markup

from impasto.formatting import readable_time
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render


def particulars_section(record: RunRecord) -> Markup:
    """A table of facts on the run, its recipe's text and its settings."""
    config = record.get("config")
    settings = (
        yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
        if config
        else ""
    )
    recipe = str(record.get("recipe_text", default=""))
    return render("particulars", rows=_rows(record), recipe=recipe, settings=settings)


def _rows(record: RunRecord) -> list[tuple[str, str]]:
    # Names, not paths, because pages are shared.
    created, seconds = record.get("created"), record.last("seconds")
    facts: list[tuple[str, Any]] = [
        ("Run", f"{record.whole.name}/{record.name}" if record.whole else record.name),
        ("Command", record.get("command")),
        ("Begun", _date(created) if created else None),
        ("Training time", readable_time(seconds) if seconds is not None else None),
        ("Speed", _speed(record)),
    ]
    for player in ("generator", "discriminator"):
        count = record.count("parameters", player)
        facts.append((player.capitalize(), f"{count:,} parameters" if count else None))
    facts += [
        ("Collection", record.get("collection", "name")),
        ("Only", record.get("collection", "only")),
        ("Content hash", record.get("collection", "hash")),
        ("Resolution", record.get("collection", "resolution")),
        ("Fitted by", record.get("collection", "fit")),
    ]
    for name in ("machine", "versions"):
        value = record.get(name, default={})
        if isinstance(value, dict):
            parts = [f"{key} {text}" for key, text in value.items() if text is not None]
            facts.append((name.capitalize(), ", ".join(parts)))
    return [(name, str(value)) for name, value in facts if value not in (None, "", {}, [])]


def _speed(record: RunRecord) -> str | None:
    speed = record.series.get("images_per_second")
    if speed is None or not np.isfinite(speed).any():
        return None
    return f"{float(np.median(speed[np.isfinite(speed)])):,.0f} images a second (median)"


def _date(text: Any) -> str:
    """An ISO time as `22 November 2025, 02:35 UTC`; other text as it is."""
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return str(text)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
