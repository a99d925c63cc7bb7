"""What the schema says of answers that are no JSON."""

from typing import Any, TypedDict

from fastapi.responses import Response


class Given(TypedDict):
    """Arguments of a route."""

    response_class: type[Response]
    responses: dict[int | str, dict[str, Any]]


def gives(*kinds: str) -> Given:
    """The arguments of a route whose answer is of one of these media types."""
    content: dict[str, Any] = {kind: {} for kind in kinds}
    return {
        "response_class": Response,
        "responses": {200: {"description": "What was asked for", "content": content}},
    }
