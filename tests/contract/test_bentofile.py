"""What the bentos carry: the service's own dependencies, and no file of training."""

import tomllib
from typing import Any

import pytest
import yaml

from tests.support.service_process import ROOT

FILES = ("bentofile.yaml", "bentofile.cuda.yaml")


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(params=FILES)
def bentofile(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_its_packages_are_the_service_s_dependencies(bentofile: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(bentofile["python"]["packages"]) == sorted(project["dependencies"])


def test_it_includes_only_the_schema_of_export_and_nothing_of_training(bentofile: dict[str, Any]) -> None:
    patterns = bentofile["include"]
    assert [each for each in patterns if each.startswith("export")] == [
        "export/__init__.py",
        "export/manifest/*.py",
    ]
    assert not [each for each in patterns if each.startswith("training")]


def test_both_carry_the_same_code_and_bundle() -> None:
    one, other = map(read, FILES)
    assert one["include"] == other["include"]
