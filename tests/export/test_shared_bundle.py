"""A bundle whose tasks share a layer above the encoder: from training to one encoder row for all tasks."""

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from export.bundle import export_bundle
from export.manifest import Manifest
from export.sessions import Graph
from export.verify import verify_bundle
from service.assembly import launch
from service.engine import Prediction
from service.schemas import parse_input
from service.settings import Provider, Settings
from tests.support.tiny import write_config
from tests.support.tiny_kinds import kinds_config
from training.assembly.trained import TrainedModel, load_model
from training.commands.fit import fit

SHARING_TASKS = ("mood", "issues", "same", "close", "entities", "parts")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """PLE under text, pair and token tasks, with poolings that heads learn and heads of others' making."""
    folder = tmp_path_factory.mktemp("sharing")
    config = kinds_config(folder, tiny_encoder)
    config["tasks"] = {name: config["tasks"][name] for name in (*SHARING_TASKS, "stars")}
    config["sharing"] = {"name": "ple", "tasks": list(SHARING_TASKS), "hidden": [8], "expert_dropout": 0.2}
    fit(write_config(folder / "ple.yaml", config), folder / "run", resume=False, console=Console(quiet=True))
    return folder / "run"


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedModel:
    return load_model(run)


@pytest.fixture(scope="module")
def shared_bundle(run: Path) -> Path:
    """Written only if every head agrees with torch in every packing."""
    export_bundle(run, run.parent / "bundle", version="1")
    return run.parent / "bundle"


@pytest.fixture(scope="module")
def shared_manifest(shared_bundle: Path) -> Manifest:
    return verify_bundle(shared_bundle).manifest


def test_a_bundle_with_a_sharing_layer_is_one_like_any_other(
    shared_manifest: Manifest, shared_bundle: Path, trained: TrainedModel
) -> None:
    (deviations,) = verify_bundle(shared_bundle).deviations.values()
    assert max(deviations.values()) < 1e-4
    for task in trained.tasks:
        expected = trained.model.heads[task].input_names
        assert Graph(shared_bundle / "heads" / f"{task}.onnx").inputs == expected


def test_the_architecture_says_what_is_shared(shared_manifest: Manifest) -> None:
    found = {name: task.head.architecture for name, task in shared_manifest.tasks.items()}
    ple = "ple (2 levels of 1 + 1 shared experts)"
    assert found["issues"] == f"{ple} + layer mix + linear"
    assert found["close"] == f"{ple} + examples.custom_head.heads:BilinearHead"
    assert found["parts"] == f"{ple} + 1 transformer layer + linear"
    assert found["stars"] == "AutoModelForSequenceClassification"


def test_a_text_with_all_tasks_costs_one_encoder_row(shared_bundle: Path) -> None:
    async def ask() -> Prediction:
        settings = Settings(bundle=shared_bundle, provider=Provider.CPU, threads=1, row_len=48)
        runtime = await launch(settings)
        try:
            given = [parse_input({"text": "my parcel arrived late"})]
            return await runtime.engine.predict(given, timeout_s=60.0)
        finally:
            await runtime.close()

    prediction = asyncio.run(ask())
    (answers,) = prediction.answers
    assert set(answers) == {"mood", "issues", "entities", "parts", "stars"}
    assert prediction.usage.encoder_rows == 1
