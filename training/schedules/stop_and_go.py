"""Dynamic stop-and-go: a task whose score has plateaued is held until its score falls again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is known of one task.

    Attributes:
        best: Best score so far.
        bad: Evaluations without a gain.
        cooldown: Evaluations that still do not count.
        is_held: STOP rather than GO.
    """

    best: float = -math.inf
    bad: int = 0
    cooldown: int = 0
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAndGoSettings:
    """Numbers of the rule, by default those of the paper and its code.

    Attributes:
        min_gain: A gain is a score above ``best·(1 + min_gain)``.
        patience: GO → STOP after more evaluations than this without a gain.
        max_loss: STOP → GO at a score below ``best·(1 − max_loss)``.
        cooldown: Evaluations after a change that do not count as bad.
    """

    min_gain: float = 0.001
    patience: int = 1
    max_loss: float = 0.005
    cooldown: int = 1


def advance(track: Track, score: float, settings: StopAndGoSettings) -> Track:
    """One evaluation later.

    12-in-1 (Lu et al. 2020, https://arxiv.org/abs/1912.02315, section 3.2), with the patience and cooldown
    of its code.

    Args:
        track: Before.
        score: To be raised. Thresholds are relative, so a score below 0 counts as 0.
        settings: Numbers of the rule.
    """
    current = max(score, 0.0)
    gained = current > track.best * (1 + settings.min_gain)
    best = current if gained else track.best
    bad = 0 if gained or track.cooldown > 0 else track.bad + 1
    after = replace(track, best=best, bad=bad, cooldown=max(track.cooldown - 1, 0))
    if after.bad > settings.patience:
        after = replace(after, is_held=True, bad=0, cooldown=settings.cooldown)
    if after.is_held and current < best * (1 - settings.max_loss):
        after = replace(after, is_held=False, bad=0, cooldown=settings.cooldown)
    return after


class StopAndGo:
    """Follows every task's score on the selection split.

    Args:
        tasks: Names.
        settings: Numbers of the rule.
    """

    def __init__(self, tasks: Sequence[str], settings: StopAndGoSettings) -> None:
        self._settings = settings
        self._tracks = {name: Track() for name in tasks}

    @property
    def held(self) -> frozenset[str]:
        """Tasks in STOP."""
        return frozenset(name for name, track in self._tracks.items() if track.is_held)

    def end_step(self, losses: Mapping[str, float]) -> None:
        """Losses do not matter here."""

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:  # noqa: ARG002
        """Advance every task."""
        self._tracks = {
            name: advance(track, scores[name], self._settings) for name, track in self._tracks.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Every task's track."""
        return {name: asdict(track) for name, track in self._tracks.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._tracks = {name: Track(**track) for name, track in state.items()}
