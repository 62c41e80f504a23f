"""``make audit``: does what is installed fit together, under which licences, with which vulnerabilities?

The first two are read from the packages themselves. Vulnerabilities are looked up in OSV's database
(https://osv.dev) by pip-audit: names and versions of what is installed go there. Where it cannot be reached,
that part is reported as not done, and fails nothing.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
COPYLEFT = ("GPL", "SSPL", "EUPL", "OSL", "CC-BY-NC", "BUSL", "proprietary")
"""Licences that an image of the service must not carry without a decision. "GPL" is in AGPL and LGPL, too."""

ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that are known and do not concern us, by id, each with the reason."""


def carried() -> Iterator[Distribution]:
    """The project's own dependencies and theirs, without its extras: what an image of the service carries."""
    seen: set[tuple[str, str]] = set()
    waiting = wanted(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"])
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:  # an alternative that another package fills, or for another platform
            continue
        if not extra:
            yield found
        waiting += wanted(found.requires or (), extra)


def wanted(requirements: Iterable[str], extra: str = "") -> list[tuple[str, str]]:
    """Names of what these requirements ask for on this platform, each with its extras, "" for none."""
    asked = [Requirement(each) for each in requirements]
    return [
        (canonicalize_name(each.name), part)
        for each in asked
        if each.marker is None or each.marker.evaluate({"extra": extra})
        for part in ("", *each.extras)
    ]


def licence(package: Distribution) -> str:
    """As the package states it: an SPDX expression, classifiers, or the first line of a text."""
    stated = package.metadata
    if expression := stated["License-Expression"]:
        return str(expression)
    classifiers = [each for each in stated.get_all("Classifier") or () if each.startswith("License ::")]
    names = [each.rpartition(" :: ")[2] for each in classifiers]
    return "; ".join(names) or str(stated["License"] or "").strip().partition("\n")[0]


def licence_faults() -> list[str]:
    """Packages of the service that state no licence, or one of those."""
    stated = {package.name: licence(package) for package in carried()}
    print(f"Licences: read of {len(stated)} packages that the service carries.")
    return [
        f"{name}: {found or 'states no licence'}"
        for name, found in sorted(stated.items())
        if not found or any(each.casefold() in found.casefold() for each in COPYLEFT)
    ]


def consistency_faults() -> list[str]:
    """What pip says about requirements that are not met."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    print(f"Requirements: {done.stdout.strip().splitlines()[-1] if done.stdout else done.stderr.strip()}")
    return [] if done.returncode == 0 else done.stdout.splitlines()


def vulnerabilities(report: str) -> list[str]:
    """What pip-audit's JSON found, a line each."""
    return [
        f"{package['name']} {package['version']}: {each['id']}, fixed in "
        f"{', '.join(each['fix_versions']) or 'no version'}"
        for package in json.loads(report)["dependencies"]
        for each in package.get("vulns", ())
        if not {each["id"], *each["aliases"]} & ACCEPTED.keys()
    ]


def vulnerability_faults() -> list[str]:
    """Known vulnerabilities of everything that is installed, if the database can be reached."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--skip-editable"]
        options = ["--progress-spinner", "off", "--format", "json", "--output", str(report)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)  # noqa: S603
        if report.exists():  # written only once every package was looked up
            found = vulnerabilities(report.read_text(encoding="utf-8"))
            print(f"Vulnerabilities: {len(found)} known ({len(ACCEPTED)} accepted).")
            return found
    reason = (
        done.stderr.strip().splitlines()[-1]
        if done.stderr.strip()
        else f"pip-audit ended with {done.returncode}"
    )
    print(f"Vulnerabilities: NOT DONE. OSV's database did not answer: {reason[:300]}")
    return []


def main() -> int:
    """Check everything; 1 if anything was found."""
    faults = [*consistency_faults(), *licence_faults(), *vulnerability_faults()]
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
