import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from export.manifest import HeadInput
from service.engine import Engine, StageTimes, Usage
from service.errors import DeadlineExceeded, InferenceFailed, InvalidRequest, Overloaded, UnknownTask
from service.inputs import PairInput, QuestionInput, TaskInput
from service.tokenization import TextSequence, TokenizedInput, Windows
from tests.support.service_fakes import (
    MAX_LENGTH,
    PATIENCE_S,
    POISON,
    SEP_ID,
    TAGS,
    FakeEncoderSession,
    FakeHeadSession,
    FakeTokenizer,
    default_tasks,
    parts,
    running,
    task,
)

TIMEOUT_S = 30.0
TEXT = "where is my parcel"
PAIR = PairInput(text="where is my parcel", text_pair="my parcel is late")
ON_TEXT = ("intent", "sentiment", "urgency")


async def ask(engine: Engine, *inputs: TaskInput, tasks: tuple[str, ...] | None = None) -> Usage:
    return (await engine.predict(inputs, tasks=tasks, timeout_s=TIMEOUT_S)).usage


async def test_three_tasks_on_one_text_at_once_cost_one_encoder_row() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        usage = await ask(runtime.engine, TEXT, tasks=ON_TEXT)
    assert encoder.rows_encoded == usage.encoder_rows == 1


async def test_three_tasks_on_one_text_in_turn_cost_one_encoder_row() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        usages = [await ask(runtime.engine, TEXT, tasks=(name,)) for name in ON_TEXT]
    assert encoder.rows_encoded == 1
    assert [each.encoder_rows for each in usages] == [1, 0, 0]
    assert [each.cache_hits for each in usages] == [0, 1, 1]


async def test_a_hundred_cold_requests_over_three_tasks_cost_one_row_and_one_leaving_harms_none() -> None:
    encoder = FakeEncoderSession()
    encoder.gate.clear()
    async with running(parts(encoder=encoder)) as runtime:
        requests = [
            asyncio.create_task(ask(runtime.engine, TEXT, tasks=(ON_TEXT[number % 3],)))
            for number in range(100)
        ]
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        requests[0].cancel()  # the one that opened the flight
        requests[50].cancel()
        encoder.gate.set()
        done = await asyncio.gather(*requests, return_exceptions=True)
    assert encoder.rows_encoded == 1
    usages = [each for each in done if isinstance(each, Usage)]
    assert len(usages) == 98
    assert sum(each.coalesced for each in usages) == 98


async def test_when_all_leave_before_their_batch_nothing_is_computed() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        encoder.gate.clear()
        other = asyncio.create_task(ask(runtime.engine, "other", tasks=("intent",)))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        leaving = [asyncio.create_task(ask(runtime.engine, TEXT, tasks=(name,))) for name in ON_TEXT]
        await asyncio.sleep(0)
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await asyncio.sleep(0)
        assert runtime.batcher.queue_len == 0
        encoder.gate.set()
        await other
    assert encoder.rows_encoded == 1


async def test_requests_of_different_tasks_share_an_encoder_batch() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        await asyncio.gather(
            ask(runtime.engine, "one", tasks=("intent",)),
            ask(runtime.engine, "two", tasks=("sentiment",)),
            ask(runtime.engine, PAIR, tasks=("duplicate",)),
        )
    assert [len(batch.placements) for batch in encoder.batches] == [3]


async def test_a_bi_encoded_pair_shares_rows_with_tasks_on_its_texts() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        await ask(runtime.engine, PAIR.text, PAIR.text_pair, tasks=("intent",))
        usage = await ask(runtime.engine, PAIR, tasks=("similar",))
    assert (usage.encoder_rows, usage.cache_hits) == (0, 2)
    assert encoder.rows_encoded == 2


async def test_a_pair_with_both_kinds_of_tasks_costs_three_rows() -> None:
    async with running(parts()) as runtime:
        usage = await ask(runtime.engine, PAIR)
        assert usage.encoder_rows == 3


async def test_a_repeated_input_of_one_request_is_encoded_once() -> None:
    async with running(parts()) as runtime:
        usage = await ask(runtime.engine, TEXT, TEXT, TEXT, tasks=("intent",))
    assert (usage.encoder_rows, usage.coalesced, usage.cache_hits) == (1, 2, 0)


async def test_cached_answers_equal_computed_ones() -> None:
    async with running(parts()) as runtime:
        computed = await runtime.engine.predict([TEXT, PAIR], timeout_s=TIMEOUT_S)
        cached = await runtime.engine.predict([TEXT, PAIR], timeout_s=TIMEOUT_S)
    assert cached.answers == computed.answers
    assert cached.usage.cache_hits == 4


async def test_answers_in_company_equal_answers_alone() -> None:
    texts = [" ".join(f"word{i * j}" for j in range(i + 1)) for i in range(15)]
    async with running(parts(), pooled_cache_bytes=0) as runtime:
        together = await runtime.engine.predict(texts, timeout_s=TIMEOUT_S)
        for text, answers in zip(texts, together.answers, strict=True):
            alone = await runtime.engine.predict([text], timeout_s=TIMEOUT_S)
            for name in ON_TEXT:
                first, second = alone.answers[0][name], answers[name]
                np.testing.assert_allclose(_numbers(first), _numbers(second), atol=1e-5)


def _numbers(answer: object) -> list[float]:
    assert isinstance(answer, dict)
    return list(answer["scores"].values()) if "scores" in answer else [answer["value"]]


async def test_without_task_names_every_task_that_fits_answers() -> None:
    async with running(parts()) as runtime:
        prediction = await runtime.engine.predict([TEXT, PAIR], timeout_s=TIMEOUT_S)
    assert [set(answers) for answers in prediction.answers] == [set(ON_TEXT), {"duplicate", "similar"}]


async def test_usage_adds_up_to_the_sequences() -> None:
    async with running(parts()) as runtime:
        await ask(runtime.engine, TEXT)
        usage = await ask(runtime.engine, TEXT, PAIR, TEXT)
    assert usage.encoder_rows + usage.cache_hits + usage.coalesced == 5
    # "where is my parcel" has 4 words and 2 special tokens, its pair 4 more and one special token.
    assert usage.tokens == 6 + (11 + 6 + 6) + 6


async def test_a_failing_input_fails_its_own_request_only() -> None:
    async with running(parts()) as runtime:
        good, bad = await asyncio.gather(
            ask(runtime.engine, TEXT, tasks=("intent",)),
            ask(runtime.engine, POISON, tasks=("intent",)),
            return_exceptions=True,
        )
    assert isinstance(good, Usage)
    assert isinstance(bad, InferenceFailed)


async def test_an_error_is_not_cached() -> None:
    encoder = FakeEncoderSession()
    async with running(parts(encoder=encoder)) as runtime:
        for _ in range(2):
            with pytest.raises(InferenceFailed):
                await ask(runtime.engine, POISON, tasks=("intent",))
        assert len(runtime.cache.pooled) == 0
    assert len(encoder.batches) == 2


async def test_a_request_beyond_the_queue_is_refused_and_leaves_no_trace() -> None:
    encoder = FakeEncoderSession()
    encoder.gate.clear()
    async with running(parts(encoder=encoder), queue_tokens=16, max_batch_tokens=8) as runtime:
        waiting = [
            asyncio.create_task(ask(runtime.engine, f"a b c d {n}", tasks=("intent",))) for n in range(2)
        ]
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        with pytest.raises(Overloaded):
            await ask(runtime.engine, "a b c d e f g h", tasks=("intent",))
        encoder.gate.set()
        assert all(each.encoder_rows == 1 for each in await asyncio.gather(*waiting))


async def test_a_passed_deadline_ends_the_request_and_cancels_its_work() -> None:
    encoder = FakeEncoderSession()
    encoder.gate.clear()
    async with running(parts(encoder=encoder)) as runtime:
        held = asyncio.create_task(ask(runtime.engine, "other", tasks=("intent",)))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        with pytest.raises(DeadlineExceeded):
            await runtime.engine.predict([TEXT], timeout_s=0.001)
        await asyncio.sleep(0)
        assert runtime.batcher.queue_len == 0
        encoder.gate.set()
        await held
    assert encoder.rows_encoded == 1


async def test_unknown_tasks_are_named_with_the_known_ones() -> None:
    async with running(parts()) as runtime:
        with pytest.raises(
            UnknownTask, match=r"Unknown tasks 'ner', 'qa'\. This bundle has: duplicate, intent"
        ):
            await ask(runtime.engine, TEXT, tasks=("ner", "intent", "qa"))


async def test_an_input_that_fits_no_asked_task_is_named() -> None:
    async with running(parts()) as runtime:
        with pytest.raises(InvalidRequest) as refusal:
            await ask(runtime.engine, TEXT, PAIR, tasks=("duplicate",))
    (fault,) = refusal.value.errors
    assert fault.field == "inputs.0"
    assert fault.message == "The input has text, but duplicate takes text and text_pair."


async def test_a_head_on_token_states_gets_the_packed_states_of_its_own_sequences() -> None:
    tasks = {**default_tasks(), "tagging": task(inputs=("last_hidden_state", "segment_ids"))}
    loaded = parts(tasks)
    async with running(loaded) as runtime:
        await ask(runtime.engine, TEXT, tasks=("intent",))
        assert len(runtime.cache.states) == 1, "kept although intent does not read them: tagging may be next"
        texts = [TEXT, "other words", "x"]
        prediction = await runtime.engine.predict(texts, tasks=["tagging"], timeout_s=TIMEOUT_S)
        assert prediction.usage.cache_hits == 1
        for text, answers in zip(texts, prediction.answers, strict=True):
            alone = await runtime.engine.predict([text], tasks=["tagging"], timeout_s=TIMEOUT_S)
            np.testing.assert_allclose(
                _numbers(alone.answers[0]["tagging"]), _numbers(answers["tagging"]), atol=1e-5
            )


async def test_a_task_on_pooled_vectors_does_with_an_encoding_that_lost_its_token_states() -> None:
    tasks = {**default_tasks(), "entities": task("tagging", labels=TAGS)}
    async with running(parts(tasks), states_cache_bytes=0) as runtime:
        first = await ask(runtime.engine, TEXT, tasks=("entities",))
        second = await ask(runtime.engine, TEXT, tasks=("intent",))
        third = await ask(runtime.engine, TEXT, tasks=("intent", "entities"))
    assert [each.encoder_rows for each in (first, second, third)] == [1, 0, 1]


async def test_equal_sequences_of_a_request_share_the_token_states_that_one_of_them_needs() -> None:
    tasks = {
        "entities": task("tagging", labels=TAGS),
        "similar": task("pair_regression", pair="bi_encoder"),
    }
    inputs: list[TaskInput] = ["a b", PairInput(text="a b", text_pair="c"), "a b"]
    for order in (inputs, inputs[::-1], inputs[1:] + inputs[:1]):
        async with running(parts(tasks)) as runtime:
            for _ in range(2):
                await ask(runtime.engine, *order)


async def test_only_pairs_keep_token_states_where_only_heads_on_pairs_read_them() -> None:
    tasks = {**default_tasks(), "answer": task("question_answering")}
    async with running(parts(tasks)) as runtime:
        await ask(runtime.engine, TEXT)
        assert len(runtime.cache.states) == 0
        await ask(runtime.engine, QuestionInput(question="where is it", context="on the way"))
        assert len(runtime.cache.states) == 1


class UntypedTokenizer(FakeTokenizer):
    """As of a family without token types, whose separator can be typed."""

    async def tokenize(
        self, sequences: Sequence[TextSequence], *, with_offsets: Collection[int] = ()
    ) -> list[Windows]:
        found = await super().tokenize(sequences, with_offsets=with_offsets)
        separator = (await super().tokenize(["</s>"]))[0][0].input_ids[1]
        return [tuple(_untyped(each, separator) for each in windows) for windows in found]


def _untyped(each: TokenizedInput, separator: int) -> TokenizedInput:
    ids = np.where(each.input_ids == separator, SEP_ID, each.input_ids)
    return replace(each, input_ids=ids, token_type_ids=np.zeros_like(each.token_type_ids))


async def test_a_text_that_spells_a_pairs_separator_does_not_take_its_token_states_away() -> None:
    states = ("last_hidden_state", "segment_ids")
    duplicate = task("pair_classification", pair="cross_encoder", inputs=states)
    loaded = parts({"intent": task(labels=("ask", "buy")), "duplicate": duplicate})
    loaded = replace(loaded, encoder=replace(loaded.encoder, tokenizer=UntypedTokenizer()))
    async with running(loaded) as runtime:
        await ask(runtime.engine, PairInput(text="a", text_pair="b"), "a </s> b")


async def test_two_questions_on_a_context_never_mix() -> None:
    tasks = {"answer": task("question_answering")}
    context = " ".join(f"w{n}" for n in range(50))
    asked = [QuestionInput(question=f"what is {n}", context=context) for n in range(3)]
    async with running(parts(tasks), pooled_cache_bytes=0) as runtime:
        together = await runtime.engine.predict(asked, timeout_s=TIMEOUT_S)
        for each, answers in zip(asked, together.answers, strict=True):
            alone = await runtime.engine.predict([each], timeout_s=TIMEOUT_S)
            assert alone.answers[0]["answer"]["start"] == answers["answer"]["start"]  # type: ignore[typeddict-item]


async def test_a_question_that_is_too_long_is_named_by_its_input() -> None:
    asked = QuestionInput(question="why " * MAX_LENGTH, context="because")
    async with running(parts({"answer": task("question_answering")})) as runtime:
        with pytest.raises(InvalidRequest) as refusal:
            await ask(runtime.engine, QuestionInput(question="why", context="because"), asked)
    assert [fault.field for fault in refusal.value.errors] == ["inputs.1.question"]


async def test_token_states_are_not_kept_where_no_head_reads_them() -> None:
    async with running(parts()) as runtime:
        await ask(runtime.engine, TEXT, PAIR)
        assert len(runtime.cache.states) == 0


async def test_heads_run_once_for_all_requests_of_a_batch() -> None:
    loaded = parts()
    head = loaded.heads["intent"]
    assert isinstance(head, FakeHeadSession)
    async with running(loaded) as runtime:
        await asyncio.gather(*(ask(runtime.engine, f"text {n}", tasks=("intent",)) for n in range(5)))
    assert head.calls == 1


async def test_embeddings_come_from_the_same_cache_and_have_unit_length() -> None:
    async with running(parts()) as runtime:
        await ask(runtime.engine, TEXT, tasks=("intent",))
        found = await runtime.engine.embed([TEXT, "other"], timeout_s=TIMEOUT_S)
    assert (found.usage.cache_hits, found.usage.encoder_rows) == (1, 1)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-6)


async def test_stage_times_are_filled() -> None:
    times = StageTimes()
    async with running(parts()) as runtime:
        await runtime.engine.predict([TEXT], timeout_s=TIMEOUT_S, times=times)
    assert min(times.tokenise, times.queue, times.encode, times.head) > 0


class GatedHead(FakeHeadSession):
    """A head over token states that a test can hold."""

    def __init__(self) -> None:
        super().__init__(len(TAGS), is_token_level=True)
        self.gate, self.entered = threading.Event(), threading.Event()

    def run(self, inputs: Mapping[HeadInput, NDArray[Any]]) -> NDArray[np.float32]:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S), "nobody opened the gate"
        return super().run(inputs)


async def test_a_deadline_holds_while_a_head_computes_and_what_is_late_is_not_computed() -> None:
    head = GatedHead()
    loaded = replace(parts({"entities": task("tagging", labels=TAGS)}), heads={"entities": head})
    async with running(loaded) as runtime:
        held = asyncio.create_task(runtime.engine.predict([TEXT], timeout_s=TIMEOUT_S))
        await asyncio.to_thread(head.entered.wait, PATIENCE_S)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await runtime.engine.predict(["late"], timeout_s=0.05)
        head.gate.set()
        await held
        await runtime.engine.predict(["in time"], timeout_s=TIMEOUT_S)
    assert head.calls == 2


class StuckTokenizer(FakeTokenizer):
    """Somebody else's text is tokenised for ever."""

    async def tokenize(
        self, sequences: Sequence[TextSequence], *, with_offsets: Collection[int] = ()
    ) -> list[Windows]:
        await asyncio.Event().wait()
        return []


async def test_a_deadline_holds_while_others_are_tokenised() -> None:
    async with running(parts({"entities": task("tagging", labels=TAGS)})) as runtime:
        engine = replace(runtime.engine, tokenizer=StuckTokenizer())
        for ask_for in (engine.predict, engine.embed, engine.embed_tokens):
            with pytest.raises(DeadlineExceeded):
                await ask_for([TEXT], timeout_s=0.02)
            with pytest.raises(DeadlineExceeded):
                await ask_for([TEXT], timeout_s=-1.0)
