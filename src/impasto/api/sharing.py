"""Sharing a model: `export` and `push`."""

from os import PathLike
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.exporting.hub_folder import write_hub_folder
from impasto.exporting.push import push_model
from impasto.exporting.space import write_space
from impasto.sampling import model as models

_FORMS = ("folder", "hub", "space")


def export(
    model: str | PathLike[str],
    destination: str | PathLike[str],
    *,
    form: str = "folder",
    licence: str | None = None,
    discriminator: bool = False,
) -> Path:
    """Copy a run's generator to a new folder, to keep or to share; gives that folder.

    Args:
        model: a run, a checkpoint or a model, such as `hf:OWNER/NAME`.
        destination: a folder that does not exist yet.
        form: `folder`, the model alone; `hub`, with a card for the Hugging Face hub; or `space`, with an
            app for a Space there.
        licence: of the model, by its identifier on the hub, for these two; None: unknown.
        discriminator: copy the discriminator too; not for a Space.

    Raises:
        ImpastoError: there is no model, it is damaged, an option is not for this form, or `destination`
            exists.
    """
    path, folder = Path(model), Path(destination).expanduser()
    if form not in _FORMS:
        raise ImpastoError(f"form is {' or '.join(_FORMS)}, not '{form}'")
    if licence is not None and form == "folder":
        raise ImpastoError("licence is for the forms hub and space, which state it")
    if discriminator and form == "space":
        raise ImpastoError("an app paints without the discriminator: leave it out")
    if form == "hub":
        write_hub_folder(path, folder, licence=licence, discriminator=discriminator)
    elif form == "space":
        write_space(path, folder, licence=licence)
    else:
        models.export(path, folder, discriminator=discriminator)
    return folder


def push(
    model: str | PathLike[str],
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    licence: str | None = None,
    discriminator: bool = False,
) -> str:
    """Upload a model with its card to the Hugging Face hub, in one commit; gives the name under which it
    opens, `hf:OWNER/NAME@COMMIT`.

    Args:
        model: a run, a checkpoint or a model.
        repository: `OWNER/NAME`; made if there is none.
        private: make it private; one that is there has to be private already.
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
