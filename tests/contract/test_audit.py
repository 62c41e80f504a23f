"""``make audit``: what it looks at, and what it says where it could not look."""

import importlib.util
import json
from importlib.metadata import distribution
from typing import Any

import pytest

from tests.support.service_process import ROOT

FIXED = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}
UNFIXED = {"id": "PYSEC-2", "aliases": [], "fix_versions": []}
REPORT = {
    "dependencies": [
        {"name": "sound", "version": "1", "vulns": []},
        {"name": "broken", "version": "2", "vulns": [FIXED]},
        {"name": "unmended", "version": "4", "vulns": [UNFIXED]},
        {"name": "encodeonce", "skip_reason": "distribution marked as editable"},
    ]
}


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_licences_are_read_of_what_the_service_carries_and_of_nothing_else(audit: Any) -> None:
    carried = {package.name.lower() for package in audit.carried()}
    assert {"bentoml", "fastapi", "starlette", "numpy", "redis", "pydantic-core"} <= {
        name.replace("_", "-") for name in carried
    }
    assert carried.isdisjoint({"encodeonce", "torch", "transformers", "pytest", "datasets"})
    assert "Apache" in audit.licence(distribution("bentoml"))
    assert audit.licence_faults() == []


def test_a_licence_that_an_image_must_not_carry_is_named(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "COPYLEFT", ("apache",))
    assert any(fault.startswith("bentoml: Apache") for fault in audit.licence_faults())


def test_every_known_vulnerability_is_listed_but_those_that_are_accepted(
    audit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = json.dumps(REPORT)
    broken, unmended = audit.vulnerabilities(report)
    assert broken == "broken 2: PYSEC-1, fixed in 3"
    assert unmended == "unmended 4: PYSEC-2, fixed in no version"
    monkeypatch.setattr(audit, "ACCEPTED", {"CVE-1": "the part is not used"})
    assert audit.vulnerabilities(report) == [unmended]


def test_without_a_network_it_says_that_vulnerabilities_were_not_looked_up(
    audit: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert audit.vulnerability_faults() == []
    assert "NOT DONE" in capsys.readouterr().out
