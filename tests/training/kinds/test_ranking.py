import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score
from torch.nn import functional

from tests.training.kinds.support import examples_of, tokenizer_of
from training.batches import collate
from training.examples import Example
from training.kinds.base import RowError
from training.kinds.ranking import Ranking
from training.metrics import ranking_metrics

KIND = Ranking()
grades = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0]), min_size=1, max_size=40)


def row_of(row: int, query: str, document: str, grade: float, group: object = None) -> Example:
    given = {"query": query, "document": document, "group": query if group is None else group}
    return Example(input=given, target=grade, row=row)


def query_of(target: list[float]) -> tuple[dict[str, Any], tuple[float, ...]]:
    return {"query": "the lamp", "documents": [f"document {n}" for n in range(len(target))]}, tuple(target)


def test_rows_of_one_query_become_one_example_wherever_they_stand() -> None:
    first, second = KIND.gather(
        [row_of(1, "a", "one", 0), row_of(2, "b", "two", 1), row_of(3, "a", "three", 2)]
    )
    assert first == Example(input={"query": "a", "documents": ["one", "three"]}, target=(0, 2), row=1)
    assert second.input == {"query": "b", "documents": ["two"]}


def test_a_group_parts_equal_queries_and_must_not_join_different_ones() -> None:
    kind = Ranking(group_column="qid")
    assert kind.columns == ("query", "document", "label", "qid")
    assert len(kind.gather([row_of(1, "a", "x", 1, 7), row_of(2, "a", "y", 0, 8)])) == 2
    with pytest.raises(RowError, match="rows 1 and 2: qid 7 has two queries"):
        kind.gather([row_of(1, "a", "x", 1, 7), row_of(2, "b", "y", 0, 7)])


def test_data_without_any_relevant_document_is_refused() -> None:
    with pytest.raises(RowError, match="label: no query has a relevant document"):
        KIND.gather([row_of(1, "a", "x", 0)])


def test_queries_without_a_relevant_document_are_counted_out_loud() -> None:
    examples = examples_of([query_of([0, 1]), query_of([0, 0])])
    assert KIND.notes(examples) == ("1 of 2 queries have no relevant document: they count in no metric",)
    assert "a listwise loss learns nothing from them" in Ranking(objective="listwise").notes(examples)[0]
    assert KIND.notes(examples_of([query_of([1])])) == ()


@pytest.mark.parametrize("objective", ["pointwise", "listwise"])
@given(target=grades, most=st.integers(2, 9))
def test_training_sees_every_document_in_lists_of_bounded_size(
    objective: Literal["pointwise", "listwise"], target: list[float], most: int
) -> None:
    kind = Ranking(objective=objective, max_candidates=most)
    (example,) = examples_of([query_of(target)])
    lists = list(kind._lists(example))
    if objective == "listwise" and not any(target):
        assert lists == []
        return
    grade_of = dict(zip(example.input["documents"], target, strict=True))
    seen: list[str] = []
    for each in lists:
        documents = each.input["documents"]
        assert 1 <= len(documents) <= most
        assert len(set(documents)) == len(documents)
        assert each.target == tuple(grade_of[document] for document in documents)
        assert objective == "pointwise" or any(each.target)
        seen += documents
    assert set(seen) == set(example.input["documents"])
    irrelevant = [document for document in seen if grade_of[document] == 0]
    assert len(irrelevant) == len(set(irrelevant)), "an irrelevant document comes once"
    if objective == "pointwise":
        assert len(seen) == len(target)


def test_cross_encoded_documents_are_pairs_and_bi_encoded_ones_share_their_query(tiny_encoder: Path) -> None:
    tokenizer, examples = tokenizer_of(tiny_encoder), examples_of([query_of([0, 1, 0])])
    cross = KIND.encode(examples, tokenizer)
    assert [sequence.token_type_ids[-1] for sequence in cross.sequences[0]] == [1, 1, 1]
    assert cross.rows_of(0).tolist() == [[0], [1], [2]]
    bi = dataclasses.replace(KIND, is_bi_encoder=True).encode(examples, tokenizer)
    assert len(bi.sequences[0]) == 4
    assert bi.rows_of(0).tolist() == [[0, 1], [0, 2], [0, 3]]
    assert bi.targets[0].tolist() == cross.targets[0].tolist() == [0, 1, 0]


def test_pointwise_grades_are_shares_of_the_best_one(tiny_encoder: Path) -> None:
    examples = examples_of([query_of([0, 1, 4])])
    kind = KIND.adapted(examples)
    batch = collate(kind.encode(examples, tokenizer_of(tiny_encoder)), [0], pad_token_id=0)
    logits = torch.randn(3, 1)
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0], torch.tensor([0, 0.25, 1]))
    torch.testing.assert_close(kind.loss(logits, batch), expected)


def test_listwise_documents_compete_within_their_query(tiny_encoder: Path) -> None:
    kind = Ranking(objective="listwise")
    examples = kind.encode(examples_of([query_of([0, 1]), query_of([1, 0, 0])]), tokenizer_of(tiny_encoder))
    batch = collate(examples, [1, 0], pad_token_id=0)
    logits = torch.randn(5, 1)
    first = -functional.log_softmax(logits[:3, 0], dim=0)[0]
    second = -functional.log_softmax(logits[3:, 0], dim=0)[1]
    torch.testing.assert_close(kind.loss(logits, batch), (first + second) / 2)


def test_metrics_of_a_ranking_are_by_hand() -> None:
    scores = [np.array([0.9, 0.5, 0.7], dtype=np.float32), np.array([0.1, 0.2], dtype=np.float32)]
    found = ranking_metrics(scores, [np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0])])
    # First query: relevant at ranks 2 and 3. Second: at rank 2.
    assert found["map"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 2) / 2)
    assert found["mrr"] == pytest.approx(1 / 2)
    gain = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert found["ndcg@10"] == pytest.approx((gain + 1 / np.log2(3)) / 2)


@given(
    documents=st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 2.0])),
                       min_size=2, max_size=30, unique_by=lambda each: each[0])
)  # fmt: skip
def test_metrics_of_a_ranking_are_scikit_learns(documents: list[tuple[int, float]]) -> None:
    scores, wanted = (np.array(column, dtype=np.float64) for column in zip(*documents, strict=True))
    found = ranking_metrics([scores.astype(np.float32)], [wanted])
    if not wanted.any():
        assert found == {"map": 0, "mrr": 0, "ndcg@10": 0}
        return
    assert found["map"] == pytest.approx(average_precision_score(wanted > 0, scores))
    assert found["ndcg@10"] == pytest.approx(ndcg_score([wanted], [scores], k=10))


def test_a_query_without_a_relevant_document_changes_no_figure() -> None:
    scores, wanted = [np.array([0.9, 0.5], dtype=np.float32)], [np.array([0.0, 1.0])]
    more = ranking_metrics([*scores, scores[0]], [*wanted, np.zeros(2)])
    assert more == ranking_metrics(scores, wanted)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ((" ", "x", 1), "query is empty"),
        (("x", "", 1), "document is empty"),
        (("x", "y", -1), "label -1 is below 0, the grade of an irrelevant document"),
        (("x", "y", None), "label is missing (null or NaN)"),
        (("x", "y", "high"), "label should be a number, found 'high'"),
        (("x\udc00", "y", 1), "query has half a surrogate pair at character 1"),
    ],
)
def test_a_row_that_does_not_fit_says_why(cells: tuple[object, ...], fault: str) -> None:
    with pytest.raises(RowError) as caught:
        KIND.parse(*cells)
    assert str(caught.value) == fault
    with pytest.raises(RowError, match="qid is missing"):
        Ranking(group_column="qid").parse("x", "y", 1, None)


def test_a_million_characters_and_a_nul_are_documents(tiny_encoder: Path) -> None:
    given = {"query": "lamp", "documents": ["a" * 10**6, "a\x00b"]}
    assert KIND.encode(examples_of([(given, (1.0, 0.0))]), tokenizer_of(tiny_encoder)).lengths[0] <= 24
