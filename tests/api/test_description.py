"""The description of the API: complete, and its examples are what the routes answer."""

from typing import Any

import jsonschema
import pytest

from api.app import build_api
from api.description import ERRORS, examples
from tests.api.answers import collected

SCHEMA = build_api().openapi()
ROUTES = [(method, path, route) for path, item in SCHEMA["paths"].items() for method, route in item.items()]


def resolved(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """A checker of a schema that names components."""
    return jsonschema.Draft202012Validator(schema | {"components": SCHEMA["components"]})


def answers(route: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Media types of what a route answers when all is well, each with schema and example."""
    well = [answer for status, answer in route["responses"].items() if status.startswith("2")]
    return [part for answer in well for part in answer.get("content", {}).items()]


@pytest.mark.parametrize("method, path, route", ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_a_route_says_what_it_takes_and_gives(method, path, route):
    assert route["summary"] and route["operationId"]
    assert set(ERRORS) <= set(route["responses"])
    for parameter in route.get("parameters", []):
        if parameter["in"] == "path":
            assert "example" in parameter or parameter["schema"]["examples"]
    for media, part in answers(route):
        if media == "application/json":
            assert part["schema"], "a schema that lets everything pass"
            resolved(part["schema"]).validate(part["example"])
        elif media.startswith("text/"):
            assert part["example"].strip()
    for media, part in route.get("requestBody", {}).get("content", {}).items():
        if media == "application/json":
            reference = part["schema"]["$ref"].rpartition("/")[2]
            for example in SCHEMA["components"]["schemas"][reference]["examples"]:
                resolved(part["schema"]).validate(example)


def test_routes_are_named_once():
    names = [route["operationId"] for _, _, route in ROUTES]
    assert len(names) == len(set(names))


def shape(value: Any) -> Any:
    """Names and kinds without the values."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Where two shapes differ; what does not exist in one of them (None) fits everything."""
    if "NoneType" in (one, other):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        uneven = [f"{at}.{name}" for name in one.keys() ^ other.keys()]
        return uneven + [
            row for name in one.keys() & other.keys() for row in differences(one[name], other[name], f"{at}.{name}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        return [row for a, b in zip(one, other, strict=False) for row in differences(a, b, f"{at}[]")]
    return [] if one == other else [f"{at}: {one} and {other}"]


BY_NAME = ("rules", "context", "differs")  # tables whose names are ids or data


def test_the_examples_are_what_the_routes_answer(tmp_path):
    """Written anew by `python -m tests.api.answers`."""
    now, kept = collected(tmp_path), examples()
    assert now.keys() == kept.keys()
    found = [row for name in now for row in differences(shape(now[name]), shape(kept[name]), name)]
    assert [row for row in found if not any(f".{name}." in row for name in BY_NAME)] == []
