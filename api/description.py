"""The description of the API (OpenAPI): an example of every answer, every error, and the headers that all routes share.

The examples are real: `python -m tests.api.answers` calls every route of a small market and writes them anew.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

FILE = Path(__file__).with_name("examples.json")
PARAMETERS = {  # by name, where the route says nothing itself
    "symbol": "BTCUSDT",
    "symbol_x": "BTCUSDT",
    "symbol_y": "ETHUSDT",
    "timeframe": "1m",
    "form": "csv",
    "rule_id": "3f9c2a7d51b0",
    "event_id": "a81e02b4c9d7",
    "job_id": "backtest-1",
    "scan_id": "scan-1",
    "number": 7,
    "name": "closes.csv",
}
NAMES = {"/v1/alerts/channels/{name}/test": "ops", "/v1/recordings/{name}": "binance-um-20260101-120000.gz"}
ERRORS = {  # status: when, code, message
    "400": ("The body is not JSON", "bad_request", "the body is not JSON: Expecting value at character 12"),
    "401": (
        "The token is missing or wrong",
        "unauthorised",
        "this call needs Authorization: Bearer <token>",
    ),
    "404": ("There is no such thing", "unknown_symbol", "symbol 'FOO' is not followed; followed are BTCUSDT, ETHUSDT"),
    "409": (
        "Not now: somebody has changed it, or the numbers do not exist yet",
        "too_few_observations",
        "needs 60 bars, has 41",
    ),
    "422": ("A value is out of its limits", "invalid_input", "limit: Input should be greater than 0, was '0'"),
    "429": ("Too many calls: Retry-After says when", "too_many_requests", "at most 6000 requests a minute"),
    "503": ("The capture or its storage fails", "storage", "the database is busy: process 4711 writes to it"),
}
KNOWN = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "ETag of the answer that the client has",
}
TAG = {"ETag": {"schema": {"type": "string"}, "description": "Of this answer: send it back as If-None-Match"}}
PARTS = {
    "Link": {"schema": {"type": "string"}, "description": "Where more rows are: rel next or prev (RFC 8288)"},
    "X-Total-Count": {"schema": {"type": "integer"}, "description": "Rows in all, of lists with an offset"},
}


@lru_cache(1)
def examples() -> dict[str, Any]:
    """An answer of each route, by method and path."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def describe(api: FastAPI) -> dict[str, Any]:
    """The description of an API, made once."""
    if api.openapi_schema is None:
        schema = FastAPI.openapi(api)
        for path, routes in schema["paths"].items():
            for method, route in routes.items():
                _describe(route, method.upper(), path)
    return api.openapi_schema or {}


def _describe(route: dict[str, Any], method: str, path: str) -> None:
    for parameter in route.get("parameters", []):
        if parameter["in"] == "path" and "examples" not in parameter["schema"]:
            parameter["example"] = NAMES.get(path, PARAMETERS[parameter["name"]])
    answers = route["responses"]
    for status, answer in list(answers.items()):
        if status.startswith("2"):
            _describe_answer(answer, examples().get(f"{method} {path}"))
            if method == "GET" and "application/json" in answer.get("content", {}):
                _describe_get(route, answer)
    for status, (when, code, message) in ERRORS.items():
        body = {"error": {"code": code, "message": message, "details": {}}}
        schema = {"$ref": "#/components/schemas/Error"}
        answers[status] = {"description": when, "content": {"application/json": {"schema": schema, "example": body}}}


def _describe_answer(answer: dict[str, Any], example: Any) -> None:
    for media, content in answer.get("content", {}).items():
        if example is not None and isinstance(example, str) == media.startswith("text/"):
            content["example"] = example


def _describe_get(route: dict[str, Any], answer: dict[str, Any]) -> None:
    """What conditional requests and lists in parts need."""
    is_list = answer["content"]["application/json"].get("schema", {}).get("type") == "array"
    answer["headers"] = TAG | PARTS if is_list else TAG
    route.setdefault("parameters", []).append(KNOWN)
    route["responses"]["304"] = {"description": "Nothing has changed since", "headers": TAG}
