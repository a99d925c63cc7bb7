"""Sharing a model: `export` and `push`."""

from os import PathLike
from pathlib import Path

from impasto.exploring.directions import directions_of
from impasto.exporting.forms import check_options, form_of
from impasto.exporting.hub_folder import write_hub_folder
from impasto.exporting.onnx_file import export_onnx
from impasto.exporting.page import write_page
from impasto.exporting.push import push_model
from impasto.exporting.space import write_space
from impasto.files import check_new
from impasto.sampling import model as models
from impasto.sampling.step_settings import AS_SAVED, StepSettings


def export(
    model: str | PathLike[str],
    destination: str | PathLike[str],
    *,
    form: str | None = None,
    licence: str | None = None,
    discriminator: bool = False,
    half: bool = False,
    levels: bool = False,
    directions: str | PathLike[str] | None = None,
    how: StepSettings = AS_SAVED,
) -> Path:
    """Write a run's generator in a form to keep or to share; returns its path.

    Args:
        model: a run, a checkpoint or a model, such as `hf:OWNER/NAME`.
        destination: a folder or file that does not exist yet.
        form: `folder`, the model alone; `onnx`, one file for onnxruntime; `html`, a page that paints
            in the browser; `hub`, a folder with a card for the Hugging Face hub; or `space`, one with
            an app for a Space there. None: `onnx` or `html` if the destination ends so, else `folder`.
        licence: of the model, by its identifier on the hub, for `hub` and `space`; None: unknown.
        discriminator: copy the discriminator too; for `folder` and `hub`.
        half: keep the weights in float16, in half the size; for `onnx` and `html`.
        levels: take a latent for each level of the generator; for `onnx`.
        directions: a file of directions for a page's sliders; None: that of the model, if it has one.
        how: sampling settings that differ from the model's, for `onnx` and `html`:
            `StepSettings(steps=8)`.

    Raises:
        ImpastoError: there is no model, it is damaged, an option is not for this form, a package is
            missing, or `destination` exists or cannot be written.
    """
    path, target = Path(model), Path(destination).expanduser()
    form = form_of(form, target, "form")
    given = {"half": half, "levels": levels, "discriminator": discriminator, "licence": licence}
    check_options(form, {**given, "directions": directions, **vars(how)})
    check_new(target)
    if form == "hub":
        write_hub_folder(path, target, licence=licence, discriminator=discriminator)
    elif form == "space":
        write_space(path, target, licence=licence)
    elif form == "folder":
        models.export(path, target, discriminator=discriminator)
    else:
        loaded = models.Model.load(path, **vars(how))
        if form == "onnx":
            export_onnx(loaded, target, half=half, levels=levels)
        else:
            found = directions_of(path, loaded.record, directions)
            write_page(loaded, target, found, half=half)
    return target


def push(
    model: str | PathLike[str],
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    licence: str | None = None,
    discriminator: bool = False,
) -> str:
    """Upload a model with its card to the Hugging Face hub, in one commit; returns its name for
    `Model.load`, `hf:OWNER/NAME@COMMIT`.

    Args:
        model: a run, a checkpoint or a model.
        repository: `OWNER/NAME`; made if there is none.
        private: make a new repository private; an existing one must be private already.
        revision: a branch, made if there is none; None: `main`.
        licence: of the model, by its identifier on the hub; None: unknown.
        discriminator: upload the discriminator too.

    Raises:
        ImpastoError: there is no model, one is not logged in, or the hub cannot be reached or refuses.
    """
    name, _ = push_model(
        Path(model),
        repository,
        private=private,
        branch=revision,
        licence=licence,
        discriminator=discriminator,
    )
    return name
