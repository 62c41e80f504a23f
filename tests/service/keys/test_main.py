"""The command makes keys that the service knows, and takes them back."""

from pathlib import Path

import pytest

from service.keys.__main__ import main
from service.keys.file import KeyFile, hash_key


def test_a_key_is_printed_once_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.json"
    assert (
        main(["add", str(file), "shop", "--task", "intent", "--task", "urgency", "--inputs-per-s", "5"]) == 0
    )
    shop = capsys.readouterr().out.strip()
    assert main(["add", str(file), "desk"]) == 0
    desk = capsys.readouterr().out.strip()
    assert shop != desk
    assert all(key.startswith("eo_") and len(key) == 46 for key in (shop, desk))
    assert [key.sha256 for key in KeyFile.read(file).keys] == [hash_key(shop), hash_key(desk)]
    assert main(["list", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "shop\tintent, urgency\t5 inputs/s",
        "desk\tall tasks\tany rate",
    ]
    assert main(["remove", str(file), "shop"]) == 0
    assert [key.name for key in KeyFile.read(file).keys] == ["desk"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "shop"], "named shop"),
        (["add", "a b"], "name: "),
        (["add", "b", "--inputs-per-s", "-1"], "inputs_per_s: "),
        (["remove", "nope"], "There is no key 'nope'. There are: shop."),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    file = tmp_path / "keys.json"
    main(["add", str(file), "shop"])
    before = file.read_bytes()
    command, *rest = arguments
    assert main([command, str(file), *rest]) == 1
    assert sentence in capsys.readouterr().err
    assert file.read_bytes() == before


def test_listing_a_file_that_is_not_there_fails(tmp_path: Path) -> None:
    assert main(["list", str(tmp_path / "none")]) == 1
