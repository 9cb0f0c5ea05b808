"""Who plays an episode: the guide, for as long as its episodes return more than the agent's own."""

from __future__ import annotations

from collections import deque
from math import erf, sqrt

import numpy as np

from sb3_diiqn.inference.settings import Seed


class ComparedReturns:
    """
    The returns of the latest guide episodes, and of the agent's own that are compared with them.

    Guide and agent both learn, so that what lies further back says nothing about them any more: it is forgotten also where no
    newer ones of a kind have come in, and a guide that had a bad beginning is given another try. As long as all episodes ever
    noted return the same, as in a task that nobody has solved yet, nothing is known, and the guide has the benefit of the
    doubt, less and less with each of its episodes that shows nothing; later it means that the two are equals.

    :param window: how many episodes of each are compared
    :param memory: how many episodes, of both together, are remembered
    """

    #: The guide is taken to be the better one as long as fewer episodes than this are known of either.
    fewest = 5
    #: after so many guide episodes that showed nothing, half of the benefit of the doubt is left
    patience = 50

    def __init__(self, window: int = 15, memory: int = 500) -> None:
        self._window = window
        self._episodes: deque[tuple[bool, float]] = deque(maxlen=memory)
        self._have_differed = False
        self._n_by_guide = 0
        self._guide_is_better: float | None = None

    def note(self, by_guide: bool, episode_return: float) -> None:
        """
        Note an episode that ended.

        :param by_guide: whether the guide played it, else the agent
        :param episode_return: sum of its rewards
        """
        self._episodes.append((by_guide, episode_return))
        self._n_by_guide += by_guide
        self._have_differed = self._have_differed or episode_return != self._episodes[0][1]
        self._guide_is_better = self._compare()

    def latest(self, by_guide: bool) -> np.ndarray:
        """
        Return the latest returns of one kind, the newest last, shape (n,).

        :param by_guide: those of the guide, else the agent's own
        """
        return np.array([value for guides, value in self._episodes if guides == by_guide][-self._window :])

    def are_enough(self, by_guide: bool) -> bool:
        """
        Tell whether so many episodes of one kind are known that they can be compared.

        :param by_guide: those of the guide, else the agent's own
        """
        return len(self.latest(by_guide)) >= self.fewest

    def guide_is_better(self) -> float:
        """
        Tell how probable it is that guide episodes return more in the mean; 1 as long as nothing is known, or from there
        towards 0.5 as long as all episodes ever noted return the same.

        The difference of the two means is taken to be normally distributed around the one that was seen, with the sum of their
        squared standard errors as its variance.
        """
        if self._guide_is_better is not None:
            return self._guide_is_better
        return 1.0 if self._have_differed else 0.5 + 0.5 * self.patience / (self.patience + self._n_by_guide)

    def guide_is_clearly_better(self) -> float:
        """Tell how clearly the guide is better, in [0, 1]: 0 where it is an equal or worse, 1 where there is no doubt."""
        return max(0.0, 2.0 * self.guide_is_better() - 1.0)

    def are_known(self) -> bool:
        """Tell whether there are enough episodes of both kinds to compare, and not all ever noted returned the same."""
        return self._guide_is_better is not None

    def statistics(self) -> dict[str, float]:
        """
        Return the mean returns that are compared, as far as there are any, and how probable it is that the guide is better.

        :return: ``guide_return``, of the latest guide episodes; ``own_return``, of the agent's own that are compared; and
            ``guide_is_better``
        """
        returns = {"guide_return": self.latest(by_guide=True), "own_return": self.latest(by_guide=False)}
        known = {name: float(np.mean(values)) for name, values in returns.items() if len(values)}
        return {**known, "guide_is_better": self.guide_is_better()}

    def _compare(self) -> float | None:
        if not (self._have_differed and self.are_enough(by_guide=True) and self.are_enough(by_guide=False)):
            return None
        guides, own = self.latest(by_guide=True), self.latest(by_guide=False)
        # before rounding errors of means and variances say otherwise
        if np.ptp([*guides, *own]) == 0:
            return 0.5
        difference = guides.mean() - own.mean()
        error = sqrt(guides.var(ddof=1) / len(guides) + own.var(ddof=1) / len(own))
        if error == 0:
            return float(difference > 0)
        return 0.5 * (1 + erf(difference / error / sqrt(2)))


class GuideEpisodes:
    """
    Draws which episodes the guide plays: a fraction of them, times how clearly it is better than the agent.

    The fraction falls linearly to 0 over the training: where a guide stays just a little better, the agent would else never
    have the episodes of its own that it learns most from. A guide that is an equal or worse, such as the clone of a bad
    expert, has nothing left to play but a few episodes, which find out whether it has become better.

    Some of the other episodes the agent may play alone, without a guided stretch; all of them, as long as few are known. Then
    only these are compared with the guide's.

    :param fraction: fraction of the episodes that a clearly better guide plays at the beginning, in [0, 1)
    :param fraction_alone: fraction of the other episodes that the agent plays alone, in [0, 1]; 0: all of them are compared
    :param returns: what is known of the episodes until now
    :param n_envs: number of environments
    :param seed: seed of the draws
    """

    #: lower bound of how clearly the guide is better, so that a few of its episodes find out whether it has become so
    least = 0.05

    def __init__(
        self, fraction: float, fraction_alone: float, returns: ComparedReturns, n_envs: int, seed: Seed = None
    ) -> None:
        self.fraction = fraction
        self.fraction_alone = fraction_alone
        self.returns = returns
        #: which environments are in an episode that the guide plays, shape (n_envs,), bool
        self.guides = np.zeros(n_envs, dtype=bool)
        #: which environments are in an episode that the agent plays alone, shape (n_envs,), bool
        self.alone = np.zeros(n_envs, dtype=bool)
        self._return = np.zeros(n_envs)
        self._generator = np.random.default_rng(seed)

    def restart(self) -> None:
        """Forget the episodes that are under way: the environments are reset, and nobody knows what would have come of it."""
        self.guides[:] = False
        self.alone[:] = False
        self._return[:] = 0.0

    def begin(self, starts: np.ndarray, progress_remaining: float) -> None:
        """
        Draw who plays the episodes that begin: the guide, the agent alone, or the agent with guided stretches.

        :param starts: whether each environment's episode begins, shape (n_envs,)
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        if not starts.any():
            return
        rate = self.fraction * progress_remaining * max(self.returns.guide_is_clearly_better(), self.least)
        self.guides = np.where(starts, self._generator.random(len(starts)) < rate, self.guides)
        if self.fraction_alone > 0:
            fraction = self.fraction_alone if self.returns.are_enough(by_guide=False) else 1.0
            alone = ~self.guides & (self._generator.random(len(starts)) < fraction)
            self.alone = np.where(starts, alone, self.alone)

    def note(self, rewards: np.ndarray, dones: np.ndarray, count: bool) -> None:
        """
        Note a step of each environment.

        :param rewards: rewards, not normalised, shape (n_envs,)
        :param dones: whether each episode ended or was cut, shape (n_envs,)
        :param count: whether episodes that end count; not before the guide has learned something
        """
        self._return += rewards
        compared = dones & (self.guides | self.alone) if self.fraction_alone > 0 else dones
        for environment in np.flatnonzero(compared) if count else ():
            self.returns.note(bool(self.guides[environment]), float(self._return[environment]))
        self._return[dones] = 0.0
