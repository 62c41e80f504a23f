"""What the bento carries: the service's own dependencies, and no file of training."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def bentofile() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))
    return loaded


def test_its_packages_are_the_service_s_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(bentofile()["python"]["packages"]) == sorted(project["dependencies"])


def test_it_includes_only_the_schema_of_export_and_nothing_of_training() -> None:
    patterns = bentofile()["include"]
    assert [each for each in patterns if each.startswith("export")] == [
        "export/__init__.py",
        "export/manifest.py",
    ]
    assert not [each for each in patterns if each.startswith("training")]
