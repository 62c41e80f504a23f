"""``docs/settings.md`` has the table of the code."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_settings_table_is_that_of_the_code() -> None:
    shown = DOCS.split("<!-- settings:")[1].split("-->", 1)[1].split("<!-- /settings -->")[0].strip()
    assert shown == settings_table()


def settings_table() -> str:
    """Every variable with its default and description."""
    rows = [f"| `ENCODEONCE_{name.upper()}` | {_default(field)} | {field.description} |"
            for name, field in Settings.model_fields.items()]  # fmt: skip
    return "\n".join(["| variable | default | what |", "|---|---|---|", *rows])


def _default(field: FieldInfo) -> str:
    default: Any = getattr(field.default, "value", field.default)
    if isinstance(default, Path):
        default = default.relative_to(ROOT)
    return f"`{default}`"
