"""The behaviour policy while collecting: part of the exploration follows the expert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sb3_diiqn.common.guidance_statistics import GuidanceStatistics
from sb3_diiqn.common.leading import LedEpisodes
from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.inference import NO_ACTION
from sb3_diiqn.inference.settings import Seed, is_in, require

GUIDES = ("matching", "clone", "both")
ORDERS = ("next", "shortest")


@dataclass(frozen=True)
class GuidanceSettings:
    """
    Parameters of the guidance.

    :param guidance_share: share of the exploratory steps that lie in guided stretches, in [0, 1]; 0 turns guidance off, which
        is the paper's exploration
    :param guidance_length: mean length of a stretch in steps, at least 1
    :param guide: who chooses the actions: ``"matching"``, the expert transitions that match the agent's state; ``"clone"``, a
        policy cloned from the expert; or ``"both"``, the clone where it is sure, or no transition matches
    :param led_episodes: share of the episodes that the guide leads from beginning to end as long as it is clearly better, in
        [0, 1), at the beginning; falls linearly to 0 over the training; 0 turns it off
    :param greedy_episodes: where episodes are led, share of the others in which the agent acts greedily, in [0, 1); the guide
        is compared with these alone; 0 compares it with all of them
    :param guide_follows: which of several matching transitions: ``"next"``, the nearest one ahead on the trajectory it is on,
        or ``"shortest"``, the one with the shortest way to the end of its trajectory
    :param handed_over_episodes: share of the led episodes that the guide only begins and hands over to the agent, in [0, 1)
    """

    guidance_share: float
    guidance_length: float
    guide: str = "matching"
    led_episodes: float = 0.0
    greedy_episodes: float = 0.0
    guide_follows: str = "next"
    handed_over_episodes: float = 0.0

    def __post_init__(self) -> None:
        require(self.guide in GUIDES, "guide", self.guide, f"one of {', '.join(map(repr, GUIDES))}")
        require(is_in(self.guidance_share, 0, 1), "guidance_share", self.guidance_share, "in [0, 1]")
        require(is_in(self.guidance_length, 1), "guidance_length", self.guidance_length, "at least 1")
        require(self.guide_follows in ORDERS, "guide_follows", self.guide_follows, f"one of {', '.join(map(repr, ORDERS))}")
        for name, reason in (
            ("led_episodes", "the agent must act, too"),
            ("greedy_episodes", "the agent must explore, too"),
            ("handed_over_episodes", "the guide is judged by what it leads to the end"),
        ):
            share = getattr(self, name)
            require(is_in(share, 0, 1) and share < 1, name, share, f"at least 0 and below 1: {reason}")

    @property
    def has_clone(self) -> bool:
        """Whether a clone of the expert is needed."""
        return self.guide != "matching" and not self.is_off

    @property
    def is_off(self) -> bool:
        """Whether nothing is guided."""
        return self.guidance_share == 0 and self.led_episodes == 0


class Follower(Protocol):
    """Who chooses the actions in guided stretches."""

    def actions(self, observations: Observations, environments: np.ndarray) -> np.ndarray:
        """
        Choose actions.

        :param observations: current observations of these environments, shape (n, ``*observation_shape``)
        :param environments: their indices, shape (n,)
        :return: actions, ``NO_ACTION`` where it knows none, shape (n,)
        """
        ...

    def to_try(self, environments: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """
        Choose what to try where :meth:`actions` knew none.

        :param environments: indices of environments, shape (n,)
        :param drawn: actions drawn at random, shape (n,)
        :return: shape (n,)
        """
        ...

    def committed(self) -> np.ndarray:
        """Tell which environments are in the middle of something that is to be finished, shape (n_envs,) or (1,)."""
        ...

    def release(self, environments: np.ndarray) -> None:
        """
        Forget what some environments were doing.

        :param environments: indices or mask of environments
        """
        ...


class ExpertGuidance:
    """
    Lets a share of the exploratory steps follow the expert, in contiguous stretches.

    A single expert action among random ones leads nowhere in a sparse task; a stretch does. Stretches begin at random, or
    with an episode, and have geometrically distributed lengths, such that the share holds at every moment. The exploration
    rate as a whole stays what the host's schedule says: what the stretches take, random actions give. Episodes that are led
    from beginning to end come on top.

    :param follower: chooses the expert's actions
    :param settings: share and length of the stretches
    :param n_actions: number of the agent's actions
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param leading: draws the episodes that are led, None for none
    """

    def __init__(
        self,
        follower: Follower,
        settings: GuidanceSettings,
        n_actions: int,
        n_envs: int,
        seed: Seed = None,
        leading: LedEpisodes | None = None,
    ) -> None:
        self.follower = follower
        self.leading = leading
        self.n_actions = n_actions
        self.share = settings.guidance_share
        self.length = settings.guidance_length
        self._generator = np.random.default_rng(seed)
        self._statistics = GuidanceStatistics(n_envs)
        self._guided = np.zeros(n_envs, dtype=bool)
        #: in which environments the last action was the follower's, shape (n_envs,), bool
        self.has_chosen = np.zeros(n_envs, dtype=bool)
        self._episode_start = np.ones(n_envs, dtype=bool)

    def restart(self) -> None:
        """Begin anew in all environments, which are reset, whatever was going on there."""
        self._guided = np.zeros_like(self._guided)
        self.has_chosen = np.zeros_like(self._guided)
        self._episode_start = np.ones_like(self._guided)
        self.follower.release(self._episode_start)
        self._statistics.restart()
        if self.leading is not None:
            self.leading.restart()

    def remaining_exploration_rate(self, exploration_rate: float) -> float:
        """
        Compute the rate of random actions outside of guided stretches.

        :param exploration_rate: rate of exploratory steps altogether
        """
        guided = self.share * exploration_rate
        return (exploration_rate - guided) / (1.0 - guided) if guided < 1.0 else 0.0

    def override(
        self, actions: np.ndarray, observations: Observations, exploration_rate: float, progress_remaining: float = 1.0
    ) -> np.ndarray:
        """
        Replace the actions of those environments that are in a guided stretch.

        :param actions: what the host would do, shape (n_envs,)
        :param observations: current observations as the expert data has them, shape (n_envs, ``*observation_shape``)
        :param exploration_rate: rate of exploratory steps altogether
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        if self.leading is not None:
            self.leading.begin(self._episode_start, progress_remaining)
        self._draw_stretches(self.share * exploration_rate)
        environments = np.flatnonzero(self._guided)
        self.has_chosen = np.zeros_like(self._guided)
        if len(environments) == 0:
            return actions
        guided = self.follower.actions(take(observations, environments), environments)
        # where the expert's action is not known yet, trying some is what makes it known
        drawn = self._generator.integers(self.n_actions, size=len(environments))
        tried = self.follower.to_try(environments, drawn)
        self.has_chosen[environments] = guided != NO_ACTION
        actions = actions.copy()
        actions[environments] = np.where(guided == NO_ACTION, tried, guided)
        return actions

    def led(self) -> np.ndarray:
        """Tell in which environments the guide leads the episode, shape (n_envs,)."""
        return np.zeros_like(self._guided) if self.leading is None else self.leading.led

    def greedy(self) -> np.ndarray:
        """Tell in which environments the agent is to act greedily, shape (n_envs,)."""
        return np.zeros_like(self._guided) if self.leading is None else self.leading.greedy

    def note_step(
        self, rewards: np.ndarray, dones: np.ndarray, has_learned: bool = True, cut: np.ndarray | None = None
    ) -> None:
        """
        Note what came of a step; where an episode ended, the next stretches, and who leads, are drawn anew.

        :param rewards: rewards, not normalised, shape (n_envs,)
        :param dones: whether each environment's episode ended or was cut, shape (n_envs,)
        :param has_learned: whether learning has begun; before, episodes say nothing about guide and agent
        :param cut: whether each episode was cut by a time limit, shape (n_envs,), bool; None for none
        """
        self._episode_start = np.asarray(dones, dtype=bool)
        self._statistics.note_step(
            self.has_chosen, self._guided, self.led(), self.greedy(), rewards, self._episode_start, has_learned
        )
        if self.leading is not None:
            # a stretch that goes on would lead on where the episode has just been handed over
            self._guided &= ~self.leading.note(rewards, self._episode_start, has_learned, cut)

    def guide_is_better(self) -> float:
        """Tell how probable it is that the guide does better than the agent; 1 if no episodes are led: nobody knows."""
        return 1.0 if self.leading is None else self.leading.returns.guide_is_better()

    def guide_has_proved_better(self) -> float:
        """Tell how clearly episodes that have ended show the guide to be better, in [0, 1]; 0 if there are none to compare."""
        if self.leading is None or not self.leading.returns.are_known():
            return 0.0
        return self.leading.returns.guide_is_clearly_better()

    def statistics(self) -> dict[str, float]:
        """
        Summarise what the guide has done since the last call, and how guide and agent compare.

        See :meth:`GuidanceStatistics.take`. Nothing is said of guide episodes if there are to be none.
        """
        statistics = self._statistics.take()
        if self.leading is None:
            statistics.pop("guide_episodes", None)
            return statistics
        return statistics | self.leading.returns.statistics()

    def _draw_stretches(self, rate: float) -> None:
        """Make a step of the two-state process whose long-run share of guided steps is the rate."""
        drawn = self._generator.random(len(self._guided))
        begin = rate / (rate + self.length * (1.0 - rate))
        goes_on = np.where(self._guided, drawn >= (1.0 - begin) / self.length, drawn < begin)
        goes_on |= self._guided & self.follower.committed()
        guided = np.where(self._episode_start, drawn < rate, goes_on)
        if self.leading is not None:
            guided = (guided | self.leading.led) & ~self.leading.greedy
        self.follower.release(~(self._guided & guided) | self._episode_start)
        self._guided = guided
        self._episode_start = np.zeros_like(guided)
