import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.planning import plan, reads_states
from service.tokenization import TextSequence
from tests.support.service_fakes import default_tasks, task

TASKS = default_tasks()
INPUTS = st.builds(TextSequence, text=st.sampled_from("abc"), text_pair=st.sampled_from(["a", "b", None]))


@given(st.lists(INPUTS, min_size=1, max_size=8))
def test_every_job_reads_sequences_of_its_own_input(inputs: list[TextSequence]) -> None:
    planned = plan(inputs, TASKS)
    for name, jobs in planned.jobs.items():
        for job in jobs:
            source = inputs[job.input_index]
            read = [planned.sequences[place] for place in job.sequences]
            if name == "similar":
                assert [each.text for each in read] == [source.text, source.text_pair]
                assert all(each.text_pair is None for each in read)
            else:
                assert read == [source]


@given(st.lists(INPUTS, min_size=1, max_size=8))
def test_every_input_gets_every_task_that_fits_it(inputs: list[TextSequence]) -> None:
    planned = plan(inputs, TASKS)
    for index, each in enumerate(inputs):
        found = {name for name, jobs in planned.jobs.items() if any(job.input_index == index for job in jobs)}
        assert found == {
            name for name, entry in TASKS.items() if entry.kind.takes_pair_mode == (each.text_pair is not None)
        }


def test_a_bi_encoded_pair_of_equal_texts_needs_one_sequence() -> None:
    planned = plan([TextSequence(text="a", text_pair="a")], {"similar": TASKS["similar"]})
    assert len(planned.sequences) == 1
    assert planned.jobs["similar"][0].sequences == (0, 0)


def test_all_misfits_are_named() -> None:
    inputs = [TextSequence(text="a"), TextSequence(text="a", text_pair="b"), TextSequence(text="c")]
    with pytest.raises(InvalidRequest) as refusal:
        plan(inputs, {"duplicate": TASKS["duplicate"]})
    assert [fault.field for fault in refusal.value.errors] == ["inputs.0", "inputs.2"]


@pytest.mark.parametrize(
    ("pair", "kind", "is_pair", "expected"),
    [
        (None, "classification", False, True),
        (None, "classification", True, False),
        ("cross_encoder", "pair_classification", True, True),
        ("bi_encoder", "pair_classification", False, True),
        ("bi_encoder", "pair_classification", True, False),
    ],
)
def test_token_states_are_read_of_the_sequences_that_a_task_encodes(
    pair: str | None, kind: str, is_pair: bool, expected: bool
) -> None:
    tagging = task(kind, pair=pair, inputs=("last_hidden_state", "segment_ids"))
    assert reads_states(tagging, is_pair=is_pair) == expected
    assert not reads_states(task(kind, pair=pair), is_pair=is_pair)
