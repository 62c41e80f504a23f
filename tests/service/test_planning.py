import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.inputs import ChoiceInput, PairInput, QuestionInput, RankingInput, TaskInput, TokensInput
from service.kinds.registry import kind_of
from service.planning import Plan, plan
from service.tokenization import ContextWindows, TextPair
from tests.support.service_fakes import STATES, default_tasks, task, tasks_of_every_kind

TASKS = {name: kind_of(entry) for name, entry in default_tasks().items()}
EVERY_KIND = {name: kind_of(entry) for name, entry in tasks_of_every_kind().items()}

TEXT = st.sampled_from("abc")
INPUTS: st.SearchStrategy[TaskInput] = st.one_of(
    TEXT,
    st.builds(PairInput, text=TEXT, text_pair=TEXT),
    st.builds(RankingInput, query=TEXT, documents=st.lists(TEXT, min_size=1, max_size=4).map(tuple)),
    st.builds(QuestionInput, question=TEXT, context=TEXT),
    st.builds(ChoiceInput, question=TEXT, choices=st.lists(TEXT, min_size=2, max_size=4).map(tuple)),
    st.builds(TokensInput, tokens=st.lists(TEXT, min_size=1, max_size=4).map(tuple)),
)


def read_by(planned: Plan, task_name: str) -> list[list[object]]:
    """What a task reads of each of its inputs."""
    (reading,) = (each for each in planned.readings if task_name in each.tasks)
    return [[planned.sequences[place] for place in job.sequences] for job in reading.jobs]


def answered_by(planned: Plan, task_name: str) -> list[int]:
    """The inputs that a task answers."""
    return [job.input_index for each in planned.readings if task_name in each.tasks for job in each.jobs]


@given(st.lists(INPUTS, min_size=1, max_size=8))
def test_every_task_reads_what_its_kind_says_of_the_inputs_that_fit_it(inputs: list[TaskInput]) -> None:
    planned = plan(inputs, EVERY_KIND)
    for name, kind in EVERY_KIND.items():
        fitting = [index for index, each in enumerate(inputs) if type(each) in kind.reader.takes]
        assert answered_by(planned, name) == fitting
        if fitting:
            assert read_by(planned, name) == [list(kind.reader.sequences(inputs[index])) for index in fitting]


@given(st.lists(INPUTS, min_size=1, max_size=8))
def test_no_sequence_of_an_input_is_planned_twice(inputs: list[TaskInput]) -> None:
    planned = plan(inputs, EVERY_KIND)
    for index, each in enumerate(inputs):
        places = {
            place
            for reading in planned.readings
            for job in reading.jobs
            if job.input_index == index
            for place in job.sequences
        }
        assert len({planned.sequences[place] for place in places}) == len(places), each


def test_all_kinds_on_a_text_share_its_sequence() -> None:
    planned = plan(["a b"], EVERY_KIND)
    assert planned.sequences == ["a b"]
    assert {name for reading in planned.readings for name in reading.tasks} == {
        "intent", "topics", "mood", "entities", "word_class"
    }  # fmt: skip


def test_a_bi_encoded_query_and_its_documents_are_plain_texts() -> None:
    planned = plan([RankingInput(query="q", documents=("a", "b", "a"))], {"article": EVERY_KIND["article"]})
    assert planned.sequences == ["q", "a", "b"]
    assert planned.readings[0].jobs[0].sequences == (0, 1, 2, 1)


def test_cross_encoded_kinds_share_their_pairs() -> None:
    planned = plan([PairInput(text="a", text_pair="b")], {name: EVERY_KIND[name] for name in ("duplicate",)})
    assert planned.sequences == [TextPair("a", "b")]


def test_choices_follow_context_and_question() -> None:
    kinds = {"next_step": EVERY_KIND["next_step"]}
    both = ChoiceInput(context="It rains.", question="What now?", choices=("a", "b"))
    assert plan([both], kinds).sequences == [
        TextPair("It rains. What now?", "a"),
        TextPair("It rains. What now?", "b"),
    ]
    assert plan([ChoiceInput(question="q", choices=("a", "b"))], kinds).sequences[0] == TextPair("q", "a")


def test_a_question_is_planned_with_windows_of_the_tasks_stride() -> None:
    planned = plan([QuestionInput(question="q", context="c")], EVERY_KIND)
    assert planned.sequences == [ContextWindows("q", "c", 2)]


def test_offsets_and_states_are_asked_for_only_where_somebody_reads_them() -> None:
    inputs = ["a", PairInput(text="b", text_pair="c")]
    planned = plan(inputs, EVERY_KIND)
    assert planned.with_offsets == planned.with_states == {0}
    without = {name: kind for name, kind in EVERY_KIND.items() if not kind.reads_states}
    assert not plan(inputs, without).with_offsets | plan(inputs, without).with_states


def test_all_misfits_are_named() -> None:
    inputs = ["a", PairInput(text="a", text_pair="b"), "c"]
    with pytest.raises(InvalidRequest) as refusal:
        plan(inputs, {"duplicate": TASKS["duplicate"]})
    assert [fault.field for fault in refusal.value.errors] == ["inputs.0", "inputs.2"]


def test_a_misfit_is_told_what_every_asked_task_takes() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        plan(
            [PairInput(text="a", text_pair="b")],
            {name: EVERY_KIND[name] for name in ("entities", "next_step")},
        )
    assert refusal.value.errors[0].message == (
        "The input has text and text_pair, but entities takes text or tokens; "
        "next_step takes choices with context, question or both."
    )


@pytest.mark.parametrize(
    ("kind", "pair", "reads_pairs"),
    [
        ("classification", None, False),
        ("tagging", None, False),
        ("pair_classification", "cross_encoder", True),
        ("pair_classification", "bi_encoder", False),
        ("ranking", "cross_encoder", True),
        ("ranking", "bi_encoder", False),
        ("question_answering", None, True),
        ("multiple_choice", None, True),
        ("multiple_choice", "cross_encoder", True),
        ("multiple_choice", "bi_encoder", False),
    ],
)
def test_the_form_of_what_a_kind_reads_is_fixed(kind: str, pair: str | None, reads_pairs: bool) -> None:
    assert kind_of(task(kind, pair=pair)).reader.reads_pairs == reads_pairs


def test_a_kind_reads_states_if_its_head_does() -> None:
    assert kind_of(task(inputs=STATES)).reads_states
    assert not kind_of(task()).reads_states
