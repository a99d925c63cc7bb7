"""`impasto studio`: collections, training and models in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.errors import ImpastoError


def command(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Where the folders collections, runs, models, uploads and jobs are, or are made.",
            metavar="FOLDER",
        ),
    ] = Path(),
    collections: Annotated[
        Path | None,
        typer.Option(
            help="Another folder of collections.",
            show_default="FOLDER/collections",
            metavar="FOLDER",
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Another folder of runs.", show_default="FOLDER/runs", metavar="FOLDER"),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="Another folder of models.", show_default="FOLDER/models", metavar="FOLDER"
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.", metavar="N")
    ] = 8765,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Other than 127.0.0.1, whoever reaches it and knows the token "
            "can use this studio; the connection is not encrypted.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1",
    trainings: Annotated[
        int, typer.Option(min=1, max=64, help="Trainings that run at the same time.", metavar="N")
    ] = 1,
    most_upload: Annotated[
        int, typer.Option(min=1, help="Largest file that can be uploaded, in GB.", metavar="GB")
    ] = 4,
    device: Annotated[
        str,
        typer.Option(
            help="Device that the studio paints on; trainings choose their own.",
            metavar="auto|cpu|cuda|cuda:N|mps",
        ),
    ] = "auto",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    plugin: Plugins = None,
) -> None:
    """Open the studio: collections, training and models in a browser.

    It shows the folders that the other commands make, and starts the same commands. What it started
    goes on when it ends.
    """
    try:
        import fastapi as fastapi
        import uvicorn as uvicorn
    except ImportError:
        raise ImpastoError("the studio is not installed: pip install 'impasto[studio]'") from None
    from impasto.studio.context import Studio
    from impasto.studio.jobs import Jobs
    from impasto.studio.models import Models
    from impasto.studio.places import Places
    from impasto.studio.serve import Listening, serve

    places = Places.under(folder, collections=collections, runs=runs, models=models)
    studio = Studio(places, Jobs(places.jobs, trainings, in_words=places.in_words), Models(device))
    serve(studio, Listening(host, port, most_upload * 10**9), show=browser)
