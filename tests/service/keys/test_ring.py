"""Keys are known by their hash, open their tasks, and count what they use."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import Forbidden, RateLimited
from service.keys.file import KeyEntry, KeyFile, KeyFileError, hash_key, new_key
from service.keys.ring import ApiKey, KeyRing
from tests.support.service_fakes import FakeClock

KEY = new_key()


def entry(key: str = KEY, **changes: Any) -> KeyEntry:
    return KeyEntry(**{"name": "shop", "sha256": hash_key(key), **changes})


def api_key(clock: FakeClock | None = None, **changes: Any) -> ApiKey:
    return ApiKey(entry(**changes), clock=clock or FakeClock())


def test_a_key_is_found_and_another_is_not() -> None:
    others = [entry(new_key(), name=f"other{number}") for number in range(3)]
    ring = KeyRing([*others, entry()])
    found = ring.find(KEY)
    assert found is not None
    assert found.name == "shop"
    for wrong in ("", KEY[:-1], KEY + "x", KEY.upper(), hash_key(KEY), "\udcff"):
        assert ring.find(wrong) is None


def test_a_key_opens_its_tasks_alone() -> None:
    key = api_key(tasks={"intent", "urgency"})
    assert key.permitted(["urgency"], ["intent", "mood", "urgency"]) == ["urgency"]
    assert key.permitted(None, ["intent", "mood", "urgency"]) == ["intent", "urgency"]
    with pytest.raises(Forbidden, match=r"'shop' does not open mood\. It opens: intent, urgency"):
        key.permitted(["intent", "mood"], ["intent", "mood"])
    with pytest.raises(Forbidden, match="opens none of the tasks"):
        key.permitted(None, ["mood"])
    assert api_key().permitted(None, ["mood"]) is None


def test_a_key_counts_its_inputs() -> None:
    clock = FakeClock()
    key = api_key(clock, inputs_per_s=2, burst=4)
    key.charge(4)
    with pytest.raises(RateLimited) as refusal:
        key.charge(3)
    assert refusal.value.retry_after_s == pytest.approx(1.5)
    assert refusal.value.headers == {"retry-after": "2"}
    clock.advance(1.5)
    key.charge(3)
    api_key().charge(10**9)


def test_a_file_survives_writing_and_holds_no_key(tmp_path: Path) -> None:
    file = KeyFile(keys=(entry(tasks={"intent"}, inputs_per_s=2.5),))
    file.write(tmp_path / "keys.json")
    assert KeyFile.read(tmp_path / "keys.json") == file
    assert KEY not in (tmp_path / "keys.json").read_text()
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


A = {"name": "a", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ([A | {"sha256": "x"}], "keys.0.sha256"),
        ([A | {"key": "x"}], "keys.0.key"),
        ([A | {"tasks": []}], "keys.0.tasks"),
        ([A | {"inputs_per_s": 0}], "keys.0.inputs_per_s"),
        ([A, A], "several keys are named a"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, keys: list[Any], sentence: str) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": keys}))
    with pytest.raises(KeyFileError, match=sentence):
        KeyRing.read(tmp_path / "keys.json")


def test_a_missing_file_is_refused_and_none_leaves_the_service_open(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyRing.read(tmp_path / "none")
    assert KeyRing.read(None) is None
