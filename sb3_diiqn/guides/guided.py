"""The behaviour policy while collecting: the guide plays some episodes, and part of the exploration."""

from __future__ import annotations

import numpy as np

from sb3_diiqn.expert import Observations
from sb3_diiqn.expert.types import take
from sb3_diiqn.guides.base import Guide
from sb3_diiqn.guides.selection import GuideEpisodes
from sb3_diiqn.guides.statistics import GuidanceStatistics
from sb3_diiqn.inference import NO_ACTION
from sb3_diiqn.inference.settings import Seed


class GuidedExploration:
    """
    Lets the guide choose a fraction of the exploratory steps, in contiguous stretches, and whole episodes on top.

    A single expert action among random ones leads nowhere in a sparse task; a stretch does. Stretches begin at random, or
    with an episode, and have geometrically distributed lengths, such that the fraction holds at every moment. The exploration
    rate as a whole stays what the host's schedule says: what the stretches take, random actions give.

    :param guide: chooses the actions of guided steps
    :param fraction: fraction of the exploratory steps that lie in guided stretches, in [0, 1]
    :param n_actions: number of the agent's actions
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param episodes: draws the episodes that the guide plays, None for none
    """

    #: mean length of a stretch in steps
    stretch_length = 20

    def __init__(
        self,
        guide: Guide,
        fraction: float,
        n_actions: int,
        n_envs: int,
        seed: Seed = None,
        episodes: GuideEpisodes | None = None,
    ) -> None:
        self.guide = guide
        self.fraction = fraction
        self.n_actions = n_actions
        self.episodes = episodes
        self._generator = np.random.default_rng(seed)
        self._statistics = GuidanceStatistics(n_envs)
        self._guided = np.zeros(n_envs, dtype=bool)
        #: in which environments the last action was the guide's, shape (n_envs,), bool
        self.has_chosen = np.zeros(n_envs, dtype=bool)
        self._episode_start = np.ones(n_envs, dtype=bool)

    def restart(self) -> None:
        """Begin anew in all environments, which are reset, whatever was going on there."""
        self._guided = np.zeros_like(self._guided)
        self.has_chosen = np.zeros_like(self._guided)
        self._episode_start = np.ones_like(self._guided)
        self.guide.release(self._episode_start)
        self._statistics.restart()
        if self.episodes is not None:
            self.episodes.restart()

    def remaining_exploration_rate(self, exploration_rate: float) -> float:
        """
        Compute the rate of random actions outside of guided stretches.

        :param exploration_rate: rate of exploratory steps altogether
        """
        guided = self.fraction * exploration_rate
        return (exploration_rate - guided) / (1.0 - guided) if guided < 1.0 else 0.0

    def override(
        self, actions: np.ndarray, observations: Observations, exploration_rate: float, progress_remaining: float = 1.0
    ) -> np.ndarray:
        """
        Replace the actions of those environments that are in a guided stretch or episode.

        :param actions: what the host would do, shape (n_envs,)
        :param observations: current observations as the expert data has them, shape (n_envs, ``*observation_shape``)
        :param exploration_rate: rate of exploratory steps altogether
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        if self.episodes is not None:
            self.episodes.begin(self._episode_start, progress_remaining)
        self._draw_stretches(self.fraction * exploration_rate)
        environments = np.flatnonzero(self._guided)
        self.has_chosen = np.zeros_like(self._guided)
        if len(environments) == 0:
            return actions
        guided = self.guide.act(take(observations, environments), environments).actions
        # where the expert's action is not known yet, trying some is what makes it known
        drawn = self._generator.integers(self.n_actions, size=len(environments))
        tried = self.guide.explore(environments, drawn)
        self.has_chosen[environments] = guided != NO_ACTION
        actions = actions.copy()
        actions[environments] = np.where(guided == NO_ACTION, tried, guided)
        return actions

    def guides(self) -> np.ndarray:
        """Tell in which environments the guide plays the episode, shape (n_envs,), bool."""
        return np.zeros_like(self._guided) if self.episodes is None else self.episodes.guides

    def note_step(self, rewards: np.ndarray, dones: np.ndarray, has_learned: bool = True) -> None:
        """
        Note what came of a step; where an episode ended, the next stretches, and who plays, are drawn anew.

        :param rewards: rewards, not normalised, shape (n_envs,)
        :param dones: whether each environment's episode ended or was cut, shape (n_envs,)
        :param has_learned: whether learning has begun; before, episodes say nothing about guide and agent
        """
        self._episode_start = np.asarray(dones, dtype=bool)
        self._statistics.note_step(self.has_chosen, self._guided, self.guides(), rewards, self._episode_start, has_learned)
        if self.episodes is not None:
            self.episodes.note(rewards, self._episode_start, has_learned)

    def statistics(self) -> dict[str, float]:
        """
        Summarise what the guide does, since the last call, and how guide and agent compare.

        See :meth:`GuidanceStatistics.take`. Nothing is said of guide episodes if there are to be none.
        """
        statistics = self._statistics.take()
        if self.episodes is None:
            statistics.pop("guide_episodes", None)
            return statistics
        compared = self.episodes.returns.statistics()
        if self.episodes.fraction_alone > 0:
            # of all episodes without a guided step, the short ones are too many
            statistics.pop("own_return", None)
        else:
            # guided stretches are part of these
            compared.pop("own_return", None)
        return statistics | compared

    def _draw_stretches(self, rate: float) -> None:
        """Make a step of the two-state process whose long-run fraction of guided steps is the rate."""
        drawn = self._generator.random(len(self._guided))
        begin = rate / (rate + self.stretch_length * (1.0 - rate))
        goes_on = np.where(self._guided, drawn >= (1.0 - begin) / self.stretch_length, drawn < begin)
        goes_on |= self._guided & self.guide.committed()
        guided = np.where(self._episode_start, drawn < rate, goes_on)
        if self.episodes is not None:
            guided = (guided & ~self.episodes.alone) | self.episodes.guides
        self.guide.release(~(self._guided & guided) | self._episode_start)
        self._guided = guided
        self._episode_start = np.zeros_like(guided)
