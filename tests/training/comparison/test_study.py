from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.service_process import ROOT
from training.comparison.planning import planned_single_tasks, planned_variants
from training.comparison.study import Study, load_outline, load_study, merged
from training.errors import ConfigError

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def study_of(small_config: SmallConfig, tmp_path: Path) -> Callable[..., Study]:
    def build(**fields: Any) -> Study:
        (tmp_path / "base.yaml").write_text(yaml.safe_dump(small_config(sampling="sqrt"), sort_keys=False))
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump({"name": "methods", "base": "base.yaml", **fields}))
        return load_study(file)

    return build


def faults_of(build: Callable[[], Study]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        build()
    return caught.value.faults


def test_a_variant_differs_from_the_base_in_what_it_names_alone(study_of: Callable[..., Study]) -> None:
    study = study_of(
        steps=7,
        common={"training": {"batches": "metabatch"}},
        variants=[{"name": "plain"}, {"name": "surgery", "training": {"aggregation": "pcgrad"}}],
    )
    plain, surgery = (study.config(name, seed=3) for name in ("plain", "surgery"))
    assert (plain.training.steps, plain.training.batches.name, plain.seed) == (7, "metabatch", 3)
    assert surgery.training.aggregation.name == "pcgrad"
    same = surgery.training.model_copy(update={"aggregation": plain.training.aggregation})
    assert same == plain.training
    assert surgery.tasks == plain.tasks


def test_a_method_replaces_another_with_its_parameters_and_null_takes_a_key_out() -> None:
    base = {"sampling": {"name": "temperature", "T": 3}, "averaging": "ema", "encoder": {"a": 1, "b": 2}}
    changed = merged(
        base, {"sampling": {"name": "sequential"}, "averaging": None, "encoder": {"b": 3}, "new": {"c": 4}}
    )
    assert changed == {"sampling": {"name": "sequential"}, "encoder": {"a": 1, "b": 3}, "new": {"c": 4}}
    assert base["averaging"] == "ema"


def test_a_variant_may_have_a_sharing_layer_another_one_or_none(study_of: Callable[..., Study]) -> None:
    study = study_of(
        common={"sharing": {"name": "mmoe", "experts": 3}},
        variants=[
            {"name": "mmoe"},
            {"name": "wider", "sharing": {"width": 16}},
            {"name": "cgc", "sharing": {"name": "cgc", "shared_experts": 2}},
            {"name": "soft", "sharing": "soft"},
            {"name": "plain", "sharing": None},
        ],
    )
    found = {name: config.sharing for name, config in study.configs.items()}
    sections = {name: each and each.model_dump(exclude_unset=True) for name, each in found.items()}
    assert sections == {
        "mmoe": {"name": "mmoe", "experts": 3},
        "wider": {"name": "mmoe", "experts": 3, "width": 16},
        "cgc": {"name": "cgc", "shared_experts": 2},
        "soft": {"name": "soft"},
        "plain": None,
    }


def test_a_variant_may_leave_a_task_out(study_of: Callable[..., Study]) -> None:
    study = study_of(variants=[{"name": "all"}, {"name": "pair", "tasks": {"stars": None}}])
    assert list(study.configs["pair"].tasks) == ["sentiment", "duplicate"]


def test_mistakes_of_a_study_are_told_together(study_of: Callable[..., Study]) -> None:
    variants = [{"name": "a"}, {"name": "a"}, {"name": "b", "training": {"steps": 5}}]
    faults = faults_of(lambda: study_of(variants=variants, baseline="bb"))
    assert len(faults) == 3
    assert "'a' is there twice" in faults[0]
    assert "did you mean 'b'?" in faults[1]
    assert "variants.b.training.steps: all runs have the same budget" in faults[2]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"variants": [{"name": "a", "trainings": {}}]}, "variants.0.trainings: unknown key"),
        ({"variants": []}, "variants: Tuple should have at least 1 item"),
        ({"variants": [{"name": "a.b"}]}, "variants.0.name: String should match pattern"),
        ({"variants": [{"name": "alone"}]}, "variants: 'alone' is what reports call each task's own run"),
        ({"variants": [{"name": "a"}], "seeds": []}, "seeds: Tuple should have at least 1 item"),
    ],
)
def test_a_study_that_fits_no_schema_is_refused(
    study_of: Callable[..., Study], fields: dict[str, Any], expected: str
) -> None:
    assert faults_of(lambda: study_of(**fields))[0].startswith(expected)


def test_a_variant_with_a_mistake_is_named(study_of: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match=r"variant worse has 1 mistake:\n  training.aggregation"):
        study_of(variants=[{"name": "good"}, {"name": "worse", "training": {"aggregation": "pcgrad"}}])


def test_a_training_configuration_is_a_study_of_one_variant(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({**small_config(), "seed": 5}))
    study = load_study(file)
    assert [run.name for run in planned_variants(study)] == ["joint.seed5"]
    assert study.outline == load_outline(file)
    assert study.outline.single_task


def test_runs_are_planned_seed_by_seed_and_the_baseline_first(study_of: Callable[..., Study]) -> None:
    study = study_of(
        seeds=[0],
        baseline="plain",
        variants=[{"name": "other"}, {"name": "plain", "seeds": [0, 1]}, {"name": "third", "seeds": [1]}],
    )
    assert [run.name for run in planned_variants(study)] == [
        "plain.seed0",
        "other.seed0",
        "plain.seed1",
        "third.seed1",
    ]
    assert planned_single_tasks(study, {}) == [], "nobody knows yet how many batches each task has"


SHIPPED = sorted(
    file for file in (ROOT / "examples").rglob("*.yaml") if "variants:" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_shipped_study_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    outline = load_outline(file)
    assert outline.baseline in outline.seeds
    faults: tuple[str, ...] = ()
    try:
        load_study(file)
    except ConfigError as error:
        faults = error.faults
    assert [fault for fault in faults if ": no file '" not in fault] == [], "all but data that is not here"
    assert "python -m training compare" in file.read_text(), "its header shows the command"
