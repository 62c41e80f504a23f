import torch
from hypothesis import given
from hypothesis import strategies as st

from training.conflict import cosines, pairwise


@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
def test_cosines_are_those_of_the_gradients_whatever_their_length(seed: int, scale: float) -> None:
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows[1] *= scale
    expected = torch.nn.functional.cosine_similarity(rows.unsqueeze(0), rows.unsqueeze(1), dim=-1)
    torch.testing.assert_close(cosines(rows @ rows.T), expected)


def test_a_task_without_a_gradient_has_no_direction() -> None:
    rows = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(cosines(rows @ rows.T), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_each_pair_of_tasks_is_named_once() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert pairwise(["a", "b", "c"], rows @ rows.T) == {("a", "b"): -1.0, ("a", "c"): 0.0, ("b", "c"): 0.0}
