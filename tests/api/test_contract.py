"""The API keeps to its own description: every route, with values that fit it and values that do not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import engine as engines
from api.app import build_api
from api.streams import EPOCH
from tests.api.answers import RULE, collecting

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
MOST = 5  # cases of each kind and route
LAST = ("DELETE",)  # what would take away what others look at
LABELS = sorted(
    (f"{method.upper()} {path}" for path, item in build_api().openapi()["paths"].items() for method in item),
    key=lambda label: label.startswith(LAST),
)


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Iterator["Market"]:
    """An engine on which every route was called once, and the names of what is there."""
    folder: Path = tmp_path_factory.mktemp("contract")
    with collecting(folder, rest_url="http://127.0.0.1:9") as (engine, calls):
        names = {
            "symbol": "BTCUSDT",
            "symbol_x": "BTCUSDT",
            "symbol_y": "ETHUSDT",
            "timeframe": "1s",
            "rule_id": calls("POST", "/v1/alerts", body=RULE)["id"],
            "event_id": calls.answers["GET /v1/alerts/history"][0]["event_id"],
            "job_id": "backtest-1",
            "scan_id": "scan-2",
            "number": 1,
            "name": "closes.csv",
            "form": "csv",
        }
        yield Market(engine, described(names), described({}))


@dataclass(frozen=True)
class Market:
    """An engine, the description with the names of what is there in it, and as it is."""

    engine: Any
    named: Any
    plain: Any


def described(names: dict[str, Any]) -> Any:
    """The description as schemathesis has it; with names, paths and legs are those that are there."""
    api = build_api()
    body = api.openapi()
    for item in body["paths"].values():
        for route in item.values():
            route.pop("security")  # no token is set: tests/api/test_api.py
            for parameter in route.get("parameters", []):
                if parameter["name"] in names:
                    parameter["schema"] = {"enum": [names[parameter["name"]]]}
    found = schemathesis.openapi.from_dict(body)
    found.app = api
    return found


def checked(label: str, schema: Any, mode: GenerationMode, engine: Any) -> None:
    """Call a route with some cases, always the same ones."""
    engines.install(engine)
    operation = schema.find_operation_by_label(label)

    @seed(11)
    @settings(
        max_examples=MOST,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        if "stream" in label:
            case.query = {**(case.query or {}), "events": 1}
            case.headers = {"Last-Event-ID": f"0-{EPOCH}-0"}  # there is an alert to tell of
        case.call_and_validate(checks=CHECKS)
        for job in engine.jobs.all():
            engine.jobs.cancel(job.job_id)

    run()


@pytest.mark.parametrize("label", LABELS)
def test_what_fits_the_description_is_answered_as_it_says(label, market):
    checked(label, market.named, GenerationMode.POSITIVE, market.engine)


@pytest.mark.parametrize("label", LABELS)
def test_what_does_not_fit_or_is_not_there_is_refused_in_the_one_shape(label, market):
    """A route that takes any text gets names of nothing instead."""
    mode = GenerationMode.NEGATIVE if may_be_wrong(label, market.plain) else GenerationMode.POSITIVE
    checked(label, market.plain, mode, market.engine)


def may_be_wrong(label: str, schema: Any) -> bool:
    """Whether anything but text is asked for."""
    route = schema.find_operation_by_label(label).definition.raw
    texts = ({"string"}, {"string", "null"})
    kinds = [parameter["schema"] for parameter in route.get("parameters", [])]
    named = [{part.get("type") for part in kind.get("anyOf", [kind])} for kind in kinds]
    free = [
        kind in texts and not {"enum", "maxLength"} & set(schema) for kind, schema in zip(named, kinds, strict=True)
    ]
    return "requestBody" in route or not all(free)
