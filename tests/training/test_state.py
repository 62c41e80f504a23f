from pathlib import Path

import torch

from training.samplers import RoundRobinSampler
from training.selection import EarlyStopping
from training.state import RandomState, load_state, save_state


def test_every_part_gets_its_own_state_back(tmp_path: Path) -> None:
    sampler, stopping = RoundRobinSampler(["a", "b"]), EarlyStopping(patience=3)
    sampler.draw()
    stopping.update(0.5)
    save_state(tmp_path / "state" / "training.pt", {"sampler": sampler, "stopping": stopping}, step=7)
    again, later = RoundRobinSampler(["a", "b"]), EarlyStopping(patience=3)
    assert load_state(tmp_path / "state" / "training.pt", {"sampler": again, "stopping": later}) == 7
    assert again.draw() == ("b",)
    assert later.best == 0.5


def test_random_draws_continue_where_they_stood(tmp_path: Path) -> None:
    torch.manual_seed(5)
    torch.rand(3)
    save_state(tmp_path / "training.pt", {"random": RandomState()}, step=0)
    expected = torch.rand(4)
    torch.manual_seed(6)
    load_state(tmp_path / "training.pt", {"random": RandomState()})
    assert torch.equal(torch.rand(4), expected)
