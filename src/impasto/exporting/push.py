"""Uploading a model, with its card, to the Hugging Face hub."""

import tempfile
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.exporting.hub_folder import write_hub_folder
from impasto.exporting.licences import check_licence
from impasto.fetching.client import switched_off
from impasto.fetching.hub import SWITCHES, endpoint, needed_package
from impasto.fetching.hub_model import ask_again
from impasto.formatting import counted, readable_size
from impasto.messages import say
from impasto.sampling.model import DISCRIMINATOR_FILE, HUB
from impasto.sampling.records import ModelRecord


def push_model(
    path: Path,
    repository: str,
    *,
    private: bool = False,
    branch: str | None = None,
    licence: str | None = None,
    discriminator: bool = False,
) -> tuple[str, ModelRecord]:
    """Upload a model as the folder that `write_hub_folder` writes, in one commit.

    Args:
        path: a run, a checkpoint or a model.
        repository: `OWNER/NAME` on the hub; made if there is none.
        private: make it private.
        branch: of the repository; made if there is none. None: `main`.
        licence: see `write_hub_folder`.
        discriminator: upload the discriminator too.

    Returns:
        The name under which this very commit opens, `hf:OWNER/NAME@COMMIT`, and the model's record.

    Raises:
        ImpastoError: as `write_hub_folder`; or one is not logged in, or the hub cannot be reached or
            refuses.
    """
    repository = repository.removeprefix(HUB).strip("/")
    if switch := switched_off(*SWITCHES):
        raise ImpastoError(f"{switch} is set; unset it to upload")
    needed_package()
    from impasto.fetching.hub_upload import check_upload, upload_folder

    check_licence(licence)
    check_upload(repository)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        record = write_hub_folder(
            path, folder, licence=licence, repository=repository, discriminator=discriminator
        )
        sizes = [file.stat().st_size for file in folder.iterdir()]
        size = readable_size(sum(sizes))
        say(f"uploading {counted(len(sizes), 'file')} ({size}) to {repository}", to_stderr=True)
        commit = upload_folder(
            folder,
            repository,
            endpoint(),
            private=private,
            branch=branch,
            outdated=[DISCRIMINATOR_FILE],
        )
    ask_again()
    return f"{HUB}{repository}@{commit}", record
