from examples.russian.shared_premises import twins


def test_a_premise_counts_when_it_stands_there_exactly_twice() -> None:
    rows = [("a", "yes"), ("a", "no"), ("b", "yes"), ("b", "yes"), ("c", "no"), *[("d", "no")] * 3]
    assert twins([{"text_a": text, "label": label} for text, label in rows]) == (2, 1)
