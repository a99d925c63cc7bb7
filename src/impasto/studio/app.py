"""The application: routes, errors, and the page."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from impasto import __version__
from impasto.errors import ImpastoError, in_words, lacks_memory
from impasto.studio.context import Studio, TheStudio
from impasto.studio.models import BusyError
from impasto.studio.places import MissingError, existing
from impasto.studio.routes import (
    collections,
    exploring,
    gallery,
    jobs,
    judging,
    models,
    packing,
    runs,
    sharing,
    training,
)
from impasto.studio.security import Gate, Guard

LOGGER = logging.getLogger("impasto.studio")
PAGE = Path(__file__).parent / "page_files"
"""The page, as `web/` builds it."""
_PAUSE = 1.0
"""Seconds between two looks at the queue."""


class ErrorAnswer(BaseModel):
    """The answer to a request that cannot be fulfilled."""

    error: str
    """One line: what is wrong, and what to do."""


class PlainJson(JSONResponse):
    """JSON in ASCII, which has escapes for what UTF-8 has not: names of files that are no text."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class About(BaseModel):
    """The paths of this studio's folders by name."""

    folders: dict[str, str]


def create_app(studio: Studio, gate: Gate) -> FastAPI:
    """The application of one studio."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 413, 421, 422, 500, 503)
    }
    app = FastAPI(
        title="impasto studio",
        version=__version__,
        description='The API of the page. Errors are one line: `{"error": ...}`.',
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would be fetched from the network
        redoc_url=None,
        lifespan=_advancing,
        default_response_class=PlainJson,
        responses=errors,
        separate_input_output_schemas=False,
    )
    app.state.studio = studio
    modules = (
        collections,
        packing,
        training,
        runs,
        judging,
        jobs,
        models,
        gallery,
        exploring,
        sharing,
    )
    for module in modules:
        app.include_router(module.router, prefix="/api")
    _add_own_routes(app)
    _add_errors(app, studio)
    app.add_middleware(Guard, gate=gate)
    return app


@contextlib.asynccontextmanager
async def _advancing(app: FastAPI) -> AsyncIterator[None]:
    """Start waiting jobs as others end, as long as the server runs."""
    studio: Studio = app.state.studio

    async def advance() -> None:
        while True:
            try:
                await asyncio.to_thread(studio.jobs.advance)
            except Exception:
                LOGGER.exception("the queue of jobs")
            await asyncio.sleep(_PAUSE)

    task = asyncio.create_task(advance())
    try:
        yield
    finally:
        task.cancel()


def _add_own_routes(app: FastAPI) -> None:
    @app.get("/api/alive", tags=["studio"])
    def alive() -> dict[str, bool]:
        """Whether the server answers; needs no token."""
        return {"alive": True}

    @app.get("/api/studio", tags=["studio"])
    def about(studio: TheStudio) -> About:
        """This studio's folders."""
        folders = {name: str(path) for name, path in vars(studio.places).items()}
        return About(folders=folders)

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str) -> Response:
        """The page and its files; addresses inside the page lead to the page."""
        if path.startswith("api/"):
            raise MissingError("there is no such address")
        parts = [part for part in path.split("/") if part]
        if parts and (PAGE / parts[0]).exists():
            file = existing(PAGE.resolve(), *parts, what="file")
            if file.is_file():
                return FileResponse(file)
        index = PAGE / "index.html"
        if not index.is_file():
            return PlainTextResponse(
                "The studio's page is not built in this installation (make web). Its API answers: "
                "/api/openapi.json lists the addresses.\n"
            )
        return FileResponse(index)


def _add_errors(app: FastAPI, studio: Studio) -> None:
    """Every error is one line of JSON; what is unexpected is logged here, and not shown."""

    def answer(status: int, text: str) -> JSONResponse:
        return PlainJson({"error": text}, status_code=status)

    @app.exception_handler(ImpastoError)
    def expected(request: Request, error: ImpastoError) -> JSONResponse:
        if isinstance(error, MissingError):
            return answer(404, str(error))
        words = studio.places.in_words(str(error))
        return answer(503 if isinstance(error, BusyError) else 400, words)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return answer(422, f"{place}: {in_words(first)}" if place else in_words(first))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(ClientDisconnect)
    def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        return answer(400, "the request was cut off")  # nobody reads it

    @app.exception_handler(UnicodeEncodeError)
    def no_text(request: Request, error: UnicodeEncodeError) -> JSONResponse:
        return answer(400, "the request has letters that are no Unicode (lone surrogates)")

    @app.exception_handler(OSError)
    def no_file(request: Request, error: OSError) -> JSONResponse:
        LOGGER.exception("%s %s", request.method, request.url.path, exc_info=error)
        return answer(400, f"a file cannot be used: {error.strerror or type(error).__name__}")

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, ModuleNotFoundError):
            return answer(400, f"this needs the package {error.name}, which is not installed")
        if lacks_memory(error):
            return answer(503, "not enough memory for this; ask for less at once")
        LOGGER.exception("%s %s", request.method, request.url.path, exc_info=error)
        return answer(500, "an unexpected error; the terminal of impasto studio shows it")
