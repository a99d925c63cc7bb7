"""A model as a folder for a Space of the Hugging Face hub: a Gradio app that paints with it."""

import shutil
from pathlib import Path

from impasto import __version__
from impasto.exporting.card import Card
from impasto.exporting.hub_folder import CARD, alone
from impasto.exporting.licences import check_licence
from impasto.files import atomic_folder, write_text
from impasto.sampling.model import Model, copy_model, find_model
from impasto.sampling.records import ModelRecord

APP, REQUIREMENTS = "app.py", "requirements.txt"
GRADIO = "6.31.0"
"""The version of Gradio that the app was run with."""
_PACKAGES = f"""--extra-index-url https://download.pytorch.org/whl/cpu
impasto[torch]=={__version__}
"""


def write_space(path: Path, destination: Path, *, licence: str | None = None) -> ModelRecord:
    """Write a model with an app that paints with it as a new folder; gives the model's record.

    Args:
        path: a run, a checkpoint or a model.
        destination: a folder that does not exist yet.
        licence: see `write_hub_folder`.

    Raises:
        ImpastoError: as `write_hub_folder`.
    """
    check_licence(licence)
    source = find_model(path)
    model = Model.load(source)
    with atomic_folder(destination) as temporary:
        record = copy_model(source, temporary, alone(model.record))
        shutil.copyfile(Path(__file__).with_name("space_app.py"), temporary / APP)
        write_text(temporary / REQUIREMENTS, _PACKAGES)
        write_text(temporary / CARD, _readme(Card(record, "", licence=licence)))
    return record


def _readme(card: Card) -> str:
    """The README.md, with the hub's metadata of a Space in YAML."""
    metadata = {
        "title": card.title,
        "emoji": "🎨",
        "colorFrom": "green",
        "colorTo": "blue",
        "sdk": "gradio",
        "sdk_version": GRADIO,
        "python_version": "3.11",
        "app_file": APP,
        "license": card.licence or "unknown",
        "short_description": "New pictures by a small generator",
    }
    return card.with_metadata(metadata, (card.head(), card.learned(), card.limits()))
