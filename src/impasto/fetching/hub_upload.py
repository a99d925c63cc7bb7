"""Uploading to the Hugging Face hub through its own client, the package huggingface_hub.

The token is the one that the hub's package keeps (`hf auth login`) or HF_TOKEN. No message contains it.
All files are one commit, so an upload that stops or fails leaves all files on the hub or none.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2  # huggingface_hub's HTTP client, whose errors pass through
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    get_session,
    logging,
    validate_repo_id,
)

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.formatting import error_text, one_line

_TIMEOUT = 60.0
"""Seconds without any progress of a request."""
_LONGEST = 300
"""Most characters of a text of the hub that are shown."""


def check_upload(repository: str) -> None:
    """Check that there is a token and that `repository` is a valid name, without asking the hub.

    Raises:
        ImpastoError: there is no token, or the name is not of the form OWNER/NAME.
    """
    with contextlib.suppress(HFValidationError):
        validate_repo_id(repository)
        if repository.count("/") == 1:
            if get_token() is None:
                raise ImpastoError(
                    "you are not logged in to the hub: run hf auth login, or set HF_TOKEN to a token "
                    "that may write"
                )
            return
    raise ImpastoError(
        f"'{one_line(repository)}' is no name of a repository on the hub; write OWNER/NAME, where "
        "OWNER is you or an organisation of yours"
    )


def upload_folder(
    folder: Path,
    repository: str,
    endpoint: str,
    *,
    private: bool = False,
    branch: str | None = None,
    outdated: Sequence[str] = (),
) -> str:
    """Upload the files of a folder to a model repository, which is made if there is none; returns the
    commit.

    Args:
        folder: without subfolders.
        repository: such as `user/name`.
        endpoint: the hub's address.
        private: make the repository private. An existing one has to be private already.
        branch: made if it does not exist; None: `main`.
        outdated: files that are removed from the repository unless they are in the folder.

    Raises:
        ImpastoError: the hub cannot be reached, does not answer, or refuses; or the repository is
            public although `private` is asked for.
    """
    api = HfApi(endpoint=endpoint, library_name="impasto", library_version=__version__)
    with _with_timeout_and_quiet():
        try:
            api.create_repo(repository, private=private or None, exist_ok=True)
            if private and api.repo_info(repository).private is not True:
                raise ImpastoError(
                    f"{repository} is public on the hub already; make it private there, or upload "
                    "without --private"
                )
            if branch is not None:
                api.create_branch(repository, branch=branch, exist_ok=True)
            added = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
            for each in added:
                # One by one in this thread; Ctrl-C would wait for the threads that upload several.
                api.preupload_lfs_files(repository, [each], revision=branch)
            removed = [
                CommitOperationDelete(name)
                for name in outdated
                if not (folder / name).exists()
                and api.file_exists(repository, name, revision=branch)
            ]
            commit = api.create_commit(
                repository,
                [*added, *removed],
                commit_message=f"Model by impasto {__version__}",
                revision=branch,
            )
        except ImpastoError:
            raise
        except Exception as error:  # Xet's code raises other errors
            raise _failure(error, repository, endpoint) from error
    return one_line(str(commit.oid))[:_LONGEST]


@contextlib.contextmanager
def _with_timeout_and_quiet() -> Iterator[None]:
    """Turn off huggingface_hub's progress bars and warnings, and give its requests a timeout, which
    they lack."""
    session, verbosity, bars = get_session(), logging.get_verbosity(), are_progress_bars_disabled()
    before, session.timeout = session.timeout, httpx2.Timeout(_TIMEOUT)
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        session.timeout = before
        logging.set_verbosity(verbosity)
        if not bars:
            enable_progress_bars()


def _failure(error: BaseException, repository: str, endpoint: str) -> ImpastoError:
    """An error of huggingface_hub as one line with what to do, without the token."""
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__  # huggingface_hub names only the file
    text = error_text(error).replace(get_token() or "\0", "***")[:_LONGEST]
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            return ImpastoError(
                f"{endpoint} does not accept your token (401): run hf auth login, or set HF_TOKEN to "
                "another one"
            )
        if status in (403, 404):
            return ImpastoError(
                f"your token may not write to {repository} ({status}): the owner has to be you or an "
                "organisation of yours, and the token one that may write"
            )
        return ImpastoError(f"{endpoint} refused the upload ({status}): {text}")
    if isinstance(error, httpx2.TimeoutException):
        return ImpastoError(f"{endpoint} does not answer; the upload is there whole or not at all")
    if isinstance(error, httpx2.TransportError):
        return ImpastoError(
            f"no connection to {endpoint} ({text}); the upload is there whole or not at all"
        )
    return ImpastoError(
        f"cannot upload to {repository}: {text}; the upload is there whole or not at all"
    )
