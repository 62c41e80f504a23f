import shutil
from pathlib import Path

import pytest

from export.manifest import BundleError, Precision
from service.bundle import open_bundle
from service.preflight import check_settings_and_bundle


def test_a_sound_bundle_opens(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle, Precision.FP32)
    assert bundle.encoder_path.is_file()
    assert bundle.tokenizer_path.is_file()
    assert all(bundle.head_path(task).is_file() for task in bundle.manifest.tasks)
    assert bundle.golden


def test_a_missing_bundle_says_which_setting_to_change(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="ENCODEONCE_BUNDLE"):
        open_bundle(tmp_path / "none", Precision.FP32)


def test_a_precision_that_the_bundle_lacks_names_those_it_has(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"has no int8 encoder. Set ENCODEONCE_PRECISION to: fp32"):
        open_bundle(tiny_bundle, Precision.INT8)


@pytest.mark.parametrize("damage", ["encoder.onnx", "tokenizer.json", "golden.jsonl"])
def test_a_damaged_file_is_refused_by_name(tiny_bundle: Path, tmp_path: Path, damage: str) -> None:
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy")
    content = (copy / damage).read_bytes()
    (copy / damage).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=damage):
        open_bundle(copy, Precision.FP32)


def test_the_preflight_ends_with_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENCODEONCE_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="There is no bundle"):
        check_settings_and_bundle()
    monkeypatch.setenv("ENCODEONCE_THREADS", "none")
    with pytest.raises(SystemExit, match=r"ENCODEONCE_.*threads"):
        check_settings_and_bundle()
