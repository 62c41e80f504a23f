"""The documents that answer a query, best first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.batches import LabelledBatch
from training.calibration import fit_temperature_of_events
from training.examples import EncodedExamples, Example, Examples
from training.kinds import forecasts
from training.kinds.base import UNCALIBRATED, Calibration, Forecasts, Kind, Logits, RowError
from training.kinds.cells import is_missing, number_cell, text_cell
from training.losses import listwise_loss
from training.metrics import RANKED, ranking_metrics
from training.tokenization import encode_texts


@dataclass(frozen=True, kw_only=True)
class Ranking(Kind):
    """``ranking``. A row of the data is a query with one document; an example is a query with all of its own.

    A target is the documents' grades: 0 is irrelevant, more is better.

    Attributes:
        query_column: Column of the query.
        document_column: Column of the document.
        label_column: Column of the grade.
        group_column: Rows with the same entry belong together; the query's text says so if None.
        is_bi_encoder: Whether query and document are encoded apart, the query once for all its documents.
        objective: ``pointwise``: each document by itself is relevant or not, by its share of the best grade.
            ``listwise``: the documents of a query compete.
        max_candidates: Documents of a query that training sees at once; further ones in lists of their own.
        best_grade: Of the train examples.
    """

    labels = None
    query_column: str = "query"
    document_column: str = "document"
    label_column: str = "label"
    group_column: str | None = None
    is_bi_encoder: bool = False
    objective: Literal["pointwise", "listwise"] = "pointwise"
    max_candidates: int = 16
    best_grade: float = 1.0

    @property
    def name(self) -> str:
        """``ranking``."""
        return "ranking"

    @property
    def bi_encoder(self) -> bool:
        """Whether query and document are encoded apart."""
        return self.is_bi_encoder

    @property
    def num_outputs(self) -> int:
        """One: how well a document answers the query."""
        return 1

    @property
    def metrics(self) -> tuple[str, ...]:
        """Of rankings, mean average precision first."""
        return RANKED

    @property
    def columns(self) -> tuple[str, ...]:
        """Query, document, grade, and group where there is one."""
        group = () if self.group_column is None else (self.group_column,)
        return (self.query_column, self.document_column, self.label_column, *group)

    def parse(self, *cells: Any) -> tuple[dict[str, Any], float]:  # noqa: ANN401
        """Query and one document, and the document's grade: 0 is irrelevant."""
        query, document, label, *group = cells
        grade = number_cell(self.label_column, label)
        if grade < 0:
            raise RowError(f"{self.label_column} {grade:g} is below 0, the grade of an irrelevant document")
        if group and is_missing(group[0]):
            raise RowError(f"{self.group_column} is missing (null or NaN)")
        text = text_cell(self.query_column, query)
        document = text_cell(self.document_column, document)
        return {"query": text, "document": document, "group": group[0] if group else text}, grade

    def gather(self, parsed: Sequence[Example]) -> Sequence[Example]:
        """A query with all of its documents, in the order of their rows."""
        groups: dict[Any, list[Example]] = {}
        for row in parsed:
            groups.setdefault(row.input["group"], []).append(row)
        for name, rows in groups.items():
            other = next((row for row in rows if row.input["query"] != rows[0].input["query"]), None)
            if other is not None:
                raise RowError(
                    f"rows {rows[0].row} and {other.row}: {self.group_column} {name!r} has two queries"
                )
        if not any(row.target > 0 for row in parsed):
            raise RowError(f"{self.label_column}: no query has a relevant document, with a grade above 0")
        return [
            Example(
                input={"query": rows[0].input["query"], "documents": [row.input["document"] for row in rows]},
                target=tuple(row.target for row in rows),
                row=rows[0].row,
            )
            for rows in groups.values()
        ]

    def notes(self, examples: Examples) -> tuple[str, ...]:
        """How many queries nothing can be measured by."""
        without = sum(not any(example.target) for example in examples)
        if not without:
            return ()
        unlearnt = ", and a listwise loss learns nothing from them" if self.objective == "listwise" else ""
        return (
            f"{without} of {len(examples)} queries have no relevant document: "
            f"they count in no metric{unlearnt}",
        )

    def adapted(self, train: Examples) -> Self:
        """With the best grade of train, which pointwise targets are shares of."""
        return replace(self, best_grade=max(grade for example in train for grade in example.target))

    def encode(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """A sequence for each pair, or the query and each document. Targets of shape ``(num_documents,)``."""
        texts: list[list[Any]] = [
            [example.input["query"], *example.input["documents"]]
            if self.is_bi_encoder
            else [(example.input["query"], document) for document in example.input["documents"]]
            for example in examples
        ]
        sequences = iter(encode_texts(tokenizer, [text for each in texts for text in each]))
        return EncodedExamples(
            sequences=[tuple(next(sequences) for _ in each) for each in texts],
            targets=[np.array(example.target, dtype=np.float32) for example in examples],
            references=[example.target for example in examples],
            bi_encoded=self.is_bi_encoder,
        )

    def encode_for_training(self, examples: Examples, tokenizer: Tokenizer) -> EncodedExamples:
        """Lists of at most ``max_candidates`` documents; listwise, each with a relevant one."""
        lists = [each for example in examples for each in self._lists(example)]
        return self.encode(Examples(origin=examples.origin, items=tuple(lists)), tokenizer)

    def loss(self, logits: Tensor, batch: LabelledBatch) -> Tensor:
        """Mean over the documents (pointwise) or over the lists (listwise)."""
        if self.objective == "listwise":
            return listwise_loss(logits, batch.example_ids, batch.targets)
        return functional.binary_cross_entropy_with_logits(logits.squeeze(1), batch.targets / self.best_grade)

    def measure(
        self, logits: Logits, examples: EncodedExamples, calibration: Calibration = UNCALIBRATED
    ) -> dict[str, float]:
        """Over the queries with a relevant document."""
        return ranking_metrics(
            [rows[:, 0] for rows in logits], [np.array(each) for each in examples.references]
        )

    def calibrate(self, logits: Logits, examples: EncodedExamples) -> Calibration:
        """A temperature of the sigmoid of a document's relevance."""
        return Calibration(temperature=fit_temperature_of_events(*_events(logits, examples)))

    def forecasts(self, logits: Logits, examples: EncodedExamples, calibration: Calibration) -> Forecasts:
        """That each document is relevant."""
        return forecasts.of_events(*_events(logits, examples), calibration.temperature)

    def _lists(self, example: Example) -> Iterator[Example]:
        """An example as training shows it. Documents are dealt out, so that each list has its share."""
        relevant = [number for number, grade in enumerate(example.target) if grade > 0]
        others = [number for number, grade in enumerate(example.target) if grade == 0]
        if self.objective == "listwise" and not relevant:
            return
        count = 1
        while math.ceil(len(relevant) / count) + math.ceil(len(others) / count) > self.max_candidates:
            count += 1
        for number in range(count):
            own = relevant[number::count]
            if self.objective == "listwise" and not own:
                own = [relevant[number % len(relevant)]]
            chosen = sorted([*own, *others[number::count]])
            yield Example(
                input={
                    "query": example.input["query"],
                    "documents": [example.input["documents"][each] for each in chosen],
                },
                target=tuple(example.target[each] for each in chosen),
                row=example.row,
            )


def _events(logits: Logits, examples: EncodedExamples) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.concatenate(logits)[:, 0], (np.concatenate(examples.targets) > 0).astype(np.float32)
