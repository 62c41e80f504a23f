"""All Markdown pages together: their links lead somewhere, and the names in them are those of the code."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from service.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in ("docs", "examples", "clients")
                                      for page in (ROOT / folder).rglob("*.md"))])  # fmt: skip
OF_CLIENTS = {"ENCODEONCE_ADMIN_URL", "ENCODEONCE_API_KEY"}
"""Variables of `service.admin` and of the playground's curl line."""
OTHERS = {"venv", "pip", "http"}
"""Modules of `python -m` that are not ours."""


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", without_code(page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_name_in_it_is_one_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    settings = {f"ENCODEONCE_{name.upper()}" for name in Settings.model_fields} | OF_CLIENTS
    assert set(re.findall(r"\bENCODEONCE_[A-Z_]*[A-Z]\b(?!\*)", text)) <= settings
    modules = {name.rstrip(".") for name in re.findall(r"python -m ([\w.]+)", text)} - OTHERS
    assert [name for name in modules if find_spec(name) is None] == []


OURS = ("training", "export", "service", "loadtests", "examples")


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Package and options of every command that runs one of our modules, in code of any kind."""
    joined = text.replace("\\\n", " ")
    found = re.findall(rf"(?:python )?-m ({'|'.join(OURS)})\b([^`\n#]*)", joined)
    return [(package, re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)) for package, rest in found]


def known_options(package: str) -> set[str]:
    sources = (file.read_text(encoding="utf-8") for file in (ROOT / package).rglob("*.py"))
    return {option for source in sources for option in re.findall(r'"(--[a-z][a-z-]*)"', source)}


def test_every_option_of_a_command_is_one_of_its_package() -> None:
    shown: dict[str, set[str]] = {package: set() for package in OURS}
    for page in PAGES:
        for package, options in commands(page.read_text(encoding="utf-8")):
            shown[package] |= set(options)
    assert sum(map(len, shown.values())) >= 30
    assert {package: options - known_options(package) for package, options in shown.items()} == {
        package: set() for package in OURS
    }
