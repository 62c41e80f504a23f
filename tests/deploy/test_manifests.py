"""Kubernetes manifests against the API's schemas, compose against its own tool; both against the service."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
import yaml
from jsonschema import validate

from service.settings import Settings
from tests.support.service_process import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.parent for path in (KUBERNETES / "overlays").glob("*/kustomization.yaml"))
SERVICE_MONITOR: dict[str, Any] = {
    # What of the operator's custom resource is used here; its own schema comes with the operator.
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["selector", "endpoints"],
            "properties": {
                "selector": {"type": "object", "required": ["matchLabels"]},
                "endpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["port"],
                        "properties": {
                            "port": {"type": "string"},
                            "path": {"type": "string", "pattern": "^/"},
                            "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
                        },
                    },
                },
            },
        },
    },
}


Resources: TypeAlias = dict[tuple[str, str], dict[str, Any]]


def documents(file: Path) -> list[Any]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def built(folder: Path) -> list[dict[str, Any]]:
    """What a kustomization comes to: its resources, with its patches merged in by kind and name."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    resources: list[dict[str, Any]] = []
    for name in kustomization["resources"]:
        there = (folder / name).resolve()
        resources += built(there) if there.is_dir() else documents(there)
    for patch in kustomization.get("patches", ()):
        (change,) = documents(folder / patch["path"])
        (target,) = (each for each in resources if identity(each) == identity(change))
        merge(target, change)
    return resources


def identity(resource: dict[str, Any]) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def merge(target: Any, change: Any) -> None:
    """Kubernetes' strategic merge, as far as it is used here: lists of named things merge by name."""
    for key, value in change.items():
        if isinstance(value, dict) and key in target:
            merge(target[key], value)
        elif isinstance(value, list) and key in target:
            by_name = {each["name"]: each for each in target[key]}
            for each in value:
                if each["name"] in by_name:
                    merge(by_name[each["name"]], each)
                else:
                    target[key].append(each)
        else:
            target[key] = value


def every_resource() -> Iterator[tuple[str, dict[str, Any]]]:
    for overlay in OVERLAYS:
        yield from ((overlay.name, each) for each in built(overlay))


def named_resources() -> list[Any]:
    return [pytest.param(each, id="-".join((overlay, *identity(each)))) for overlay, each in every_resource()]


@pytest.mark.parametrize("resource", named_resources())
def test_a_resource_is_what_its_schema_says(resource: dict[str, Any]) -> None:
    if resource["kind"] == "ServiceMonitor":
        validate(resource, SERVICE_MONITOR)
    else:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_every_file_belongs_to_a_kustomization() -> None:
    listed = set()
    for file in KUBERNETES.rglob("kustomization.yaml"):
        (kustomization,) = documents(file)
        names = [*kustomization["resources"], *(each["path"] for each in kustomization.get("patches", ()))]
        listed |= {(file.parent / name).resolve() for name in names}
    files = {file for file in KUBERNETES.rglob("*.yaml") if file.name != "kustomization.yaml"}
    assert files == {each for each in listed if each.is_file()}


@pytest.fixture(params=OVERLAYS, ids=lambda path: path.name)
def resources(request: pytest.FixtureRequest) -> Resources:
    return {identity(each): each for each in built(request.param)}


def service_container(resources: Resources) -> dict[str, Any]:
    (container,) = resources["Deployment", "encodeonce"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_selectors_find_the_pods(resources: Resources) -> None:
    labels = resources["Deployment", "encodeonce"]["spec"]["template"]["metadata"]["labels"]
    for kind, path in {
        "Service": ["spec", "selector"],
        "PodDisruptionBudget": ["spec", "selector", "matchLabels"],
        "NetworkPolicy": ["spec", "podSelector", "matchLabels"],
        "ServiceMonitor": ["spec", "selector", "matchLabels"],
    }.items():
        selector: Any = resources[kind, "encodeonce"]
        for key in path:
            selector = selector[key]
        assert selector.items() <= labels.items(), kind


def test_no_container_is_root_or_writes_its_own_files(
    resources: Resources,
) -> None:
    for (kind, _), resource in resources.items():
        if kind != "Deployment":
            continue
        pod = resource["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_may_drain_before_it_is_killed(resources: Resources) -> None:
    pod = resources["Deployment", "encodeonce"]["spec"]["template"]["spec"]
    *_, hook = service_container(resources)["lifecycle"]["preStop"]["exec"]["command"]
    (limit_s,) = re.findall(r"--limit-s (\d+)", hook)
    assert pod["terminationGracePeriodSeconds"] > int(limit_s) + Settings.model_fields["drain_s"].default


def test_the_hook_is_the_one_that_the_page_on_operations_shows(resources: Resources) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (shown,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    pod = resources["Deployment", "encodeonce"]["spec"]["template"]["spec"]
    assert shown["lifecycle"] == service_container(resources)["lifecycle"]
    assert shown["terminationGracePeriodSeconds"] == pod["terminationGracePeriodSeconds"]


def test_the_autoscaler_has_the_target_that_the_page_on_sizing_reckons(resources: Resources) -> None:
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"target, (\d+) tokens", page)
    (seconds, token_us) = re.findall(r"`([\d.]+) s ÷ token_s`", page) + re.findall(r"--token-us (\d+)", page)
    (metric,) = resources["HorizontalPodAutoscaler", "encodeonce"]["spec"]["metrics"]
    target = int(metric["pods"]["target"]["averageValue"])
    assert target == int(shown) == int(float(seconds) / (int(token_us) * 1e-6))


def test_the_rule_that_lets_traces_out_is_what_its_schema_says() -> None:
    file = KUBERNETES / "base" / "network-policy.yaml"
    head, rule = file.read_text(encoding="utf-8").split("    # - to:", 1)
    policy = yaml.safe_load(head + "    # - to:".replace("# ", "") + rule.replace("    # ", "    "))
    assert len(policy["spec"]["egress"]) == len(documents(file)[0]["spec"]["egress"]) + 1
    kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)


def environment_names() -> list[str]:
    compose = documents(ROOT / "deploy" / "compose.yaml")[0]["services"]["encodeonce"]["environment"]
    names = [*compose]
    for _, resource in every_resource():
        if identity(resource) == ("Deployment", "encodeonce"):
            (container,) = resource["spec"]["template"]["spec"]["containers"]
            names += [each["name"] for each in container["env"]]
    return sorted({name for name in names if name.startswith("ENCODEONCE_")})


@pytest.mark.parametrize("name", environment_names())
def test_every_variable_is_a_setting(name: str) -> None:
    assert name.removeprefix("ENCODEONCE_").lower() in Settings.model_fields


def test_compose_is_a_compose_file() -> None:
    command = ["docker-compose", "-f", "compose.yaml", "config", "--quiet"]
    said = subprocess.run(command, cwd=ROOT / "deploy", capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
