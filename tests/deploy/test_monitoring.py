"""Alert rules and dashboard: what Prometheus' own tool says of them, and that they name metrics there are."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.service.http.test_app import serving
from tests.support.service_process import ROOT

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
GRAFANA = DEPLOY / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "encodeonce.json"
OTHERS = {"up"}
"""Metrics that Prometheus makes itself."""


@pytest.mark.parametrize(
    "check", ["check rules alerts.yml", "check config prometheus.yml", "test rules alerts.test.yml"]
)
def test_promtool_accepts_it(check: str) -> None:
    said = subprocess.run(
        ["promtool", *check.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")))
    tests = (PROMETHEUS / "alerts.test.yml").read_text(encoding="utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- ", tests))
    assert fired == alerts


def panels() -> list[Any]:
    loaded: list[Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return loaded


def expressions() -> list[str]:
    rules = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [rules]


async def test_they_name_metrics_that_the_service_has() -> None:
    async with serving() as (client, _):
        await client.post("/v1/predict", json={"inputs": ["a"]})
        text = (await client.get("/metrics")).text
    there = set(re.findall(r"^(\w+)(?:\{| )", text, re.MULTILINE)) | OTHERS
    named = set(re.findall(r"\b((?:encodeonce|process)_\w+|up)\b(?=\{|\[|\))", " ".join(expressions())))
    assert len(named) > 10
    assert named <= there


def test_no_panel_lies_on_another() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24, "Grafana's grid has 24 columns"


def test_every_panel_says_what_it_shows() -> None:
    assert [panel["title"] for panel in panels() if not (panel["description"] and panel["title"])] == []


def test_the_provisioned_folder_is_where_compose_mounts_it() -> None:
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    provider = (GRAFANA / "provisioning" / "dashboards" / "encodeonce.yaml").read_text(encoding="utf-8")
    (folder,) = re.findall(r"path: (\S+?)\}", provider)
    assert f"./grafana/dashboards:{folder}:ro" in compose
