"""Conditional requests: what a client has already is not sent again, and what it has not seen is not overwritten.

Every JSON answer to a GET has an ETag. Sent back as If-None-Match it gives 304 and no body while nothing has changed.
That of an alert rule begins with the rule's version; sent as If-Match it keeps an edit from a rule that somebody else
has changed meanwhile (RFC 9110, section 13, but for 409 in place of 412: the answer says what differs).
"""

import re
from collections.abc import Callable, Coroutine
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute

from utils.errors import InputError

RULE_TAG = re.compile(r'(?:W/)?"(\d{1,15})(?:-[0-9a-f]*)?"')
KEPT = ("etag", "cache-control", "link", "x-total-count")  # headers that a 304 repeats

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

IfMatch = Annotated[
    str | None,
    Header(
        description='ETag of the rule that was edited, or its version as `"3"`; 409 where there is a newer one',
        examples=['"1"'],
    ),
]


class Conditional(APIRoute):
    """A route whose JSON answers to GET have an ETag, and are not sent to a client that has them."""

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            response = await answer(request)
            is_whole = response.status_code == 200 and response.media_type == "application/json"
            return _unless_known(request, response) if request.method == "GET" and is_whole else response

        return handle


def _unless_known(request: Request, response: Response) -> Response:
    body = bytes(response.body)
    tag = response.headers.setdefault("ETag", f'"{digest(body)}"')
    response.headers.setdefault("Cache-Control", "no-cache")  # may be kept, but has to be asked for
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if tag not in known and "*" not in known:
        return response
    headers = {name: value for name, value in response.headers.items() if name in KEPT}
    return Response(status_code=304, headers=headers)


def digest(body: bytes) -> str:
    """Sixteen letters that another body does not have."""
    return blake2b(body, digest_size=8).hexdigest()


def tag_rule(response: Response, version: int) -> Response:
    """Give the answer with a rule its ETag: version and state, as the state moves without an edit."""
    response.headers["ETag"] = f'"{version}-{digest(bytes(response.body))}"'
    return response


def version_of(if_match: str | None, in_body: int | None = None) -> int | None:
    """The version that a client has edited, by header or body; None where it does not say, or any will do (`*`).

    Raises
    ------
    InputError
        The header is no ETag of a rule, or names another version than the body.
    """
    if if_match is None or if_match.strip() == "*":
        return in_body
    found = RULE_TAG.fullmatch(if_match.strip())
    if found is None:
        raise InputError(f'If-Match must be the ETag of a rule, such as "3", was {if_match[:40]!r}', "If-Match")
    version = int(found[1])
    if in_body not in (None, version):
        raise InputError(f"If-Match names version {version}, the body {in_body}", "version")
    return version
