"""Whole episodes in the hands of the guide, for as long as it does better than the agent."""

from __future__ import annotations

from collections import deque
from math import erf, sqrt

import numpy as np

from sb3_diiqn.inference.settings import Seed


class ComparedReturns:
    """
    The returns of the latest episodes that the guide led, and of the agent's own.

    Guide and agent both learn, so that what lies further back says nothing about them any more: it is forgotten also where no
    newer ones of a kind have come in, and a guide that had a bad beginning is given another try. As long as all episodes ever
    noted return the same, as in a task that nobody has solved yet, nothing is known; later it means that the two are equals.

    :param window: how many episodes of each are compared
    :param memory: how many episodes, of both together, are remembered
    """

    #: The guide is taken to be the better one as long as fewer episodes than this are known of either.
    fewest = 5

    def __init__(self, window: int = 15, memory: int = 500) -> None:
        self._window = window
        self._episodes: deque[tuple[bool, float]] = deque(maxlen=memory)
        self._have_differed = False
        self._guide_is_better: float | None = None

    def note(self, led: bool, episode_return: float) -> None:
        """
        Note an episode that ended.

        :param led: whether the guide led it, else the agent was on its own
        :param episode_return: sum of its rewards
        """
        self._episodes.append((led, episode_return))
        self._have_differed = self._have_differed or episode_return != self._episodes[0][1]
        self._guide_is_better = self._compare()

    def latest(self, led: bool) -> np.ndarray:
        """
        Return the latest returns of one kind, the newest last, shape (n,).

        :param led: those of the episodes that the guide led, else the agent's own
        """
        return np.array([value for by_guide, value in self._episodes if by_guide == led][-self._window :])

    def guide_is_better(self) -> float:
        """
        Tell how probable it is that episodes led by the guide return more in the mean; 1 as long as nothing is known.

        The difference of the two means is taken to be normally distributed around the one that was seen, with the sum of their
        squared standard errors as its variance.
        """
        return 1.0 if self._guide_is_better is None else self._guide_is_better

    def guide_is_clearly_better(self) -> float:
        """Tell how clearly the guide is better, in [0, 1]: 0 where it is an equal or worse, 1 where there is no doubt."""
        return max(0.0, 2.0 * self.guide_is_better() - 1.0)

    def are_known(self) -> bool:
        """Tell whether there are enough episodes of both kinds to compare, and not all ever noted returned the same."""
        return self._guide_is_better is not None

    def statistics(self) -> dict[str, float]:
        """
        Return the mean returns that are compared, as far as there are any, and how probable it is that the guide is better.

        :return: ``guide_return``, of the latest episodes that the guide led; ``compared_return``, of those of the agent's own
            that these are compared with; and ``guide_is_better``
        """
        returns = {"guide_return": self.latest(led=True), "compared_return": self.latest(led=False)}
        known = {name: float(np.mean(values)) for name, values in returns.items() if len(values)}
        return {**known, "guide_is_better": self.guide_is_better()}

    def _compare(self) -> float | None:
        led, own = self.latest(led=True), self.latest(led=False)
        if min(len(led), len(own)) < self.fewest or not self._have_differed:
            return None
        # before rounding errors of means and variances say otherwise
        if np.ptp([*led, *own]) == 0:
            return 0.5
        difference = led.mean() - own.mean()
        error = sqrt(led.var(ddof=1) / len(led) + own.var(ddof=1) / len(own))
        if error == 0:
            return float(difference > 0)
        return 0.5 * (1 + erf(difference / error / sqrt(2)))


class LedEpisodes:
    """
    Draws which episodes the guide leads: a share of them, times how clearly it is better than the agent.

    The share falls linearly to 0 over the training: where a guide stays just a little better, the agent would else never have
    the episodes of its own that it learns most from.

    A guide that is an equal or worse, such as the clone of a bad expert, has nothing left to lead but a few episodes, which
    find out whether it has become better.

    Some of the led episodes the guide may only begin, and hand over to the agent after a drawn number of steps, between 1 and
    the mean length of those that it led to the end lately, times how clearly it is better: the agent starts where the guide
    has got to, and the better it becomes, the earlier. (JSRL with random switching, Uchendu et al. 2023, arXiv 2204.02372,
    where the guide begins all episodes.) What they return says nothing about either, nor do those that ended before.

    In some of its own episodes the agent may act greedily, and the guide is compared with these alone. Exploring costs return,
    and a guide that does not explore would look better than an agent that has passed it; and where exploring ends episodes
    early, greedy ones show the agent what comes later. Where a time limit cuts them, exploring has not, and an agent that
    stands still, or hovers, until its time is up sees nothing new in greedy ones: as long as more than a tenth of its latest
    own episodes were cut, it explores in all of them, and all are compared.

    :param share: share of the episodes that a clearly better guide leads at the beginning, in [0, 1)
    :param returns: what is known of the episodes until now
    :param n_envs: number of environments
    :param seed: seed of the draws
    :param greedy_share: share of the agent's own episodes in which it acts greedily, in [0, 1), and of what is handed over to
        it; 0 compares all of its own
    :param handover_share: share of the led episodes that the guide only begins, in [0, 1)
    """

    #: Lower bound of that factor, so that a few led episodes find out whether the guide has become better.
    least = 0.05

    #: of so many episodes that the guide led to the end the mean length is taken, and of so many of the agent's own, how many
    #: were cut by a time limit
    window = 15
    #: where a larger share of these was cut, the agent does not act greedily
    largest_cut_share = 0.1

    def __init__(
        self,
        share: float,
        returns: ComparedReturns,
        n_envs: int,
        seed: Seed = None,
        greedy_share: float = 0.0,
        handover_share: float = 0.0,
    ) -> None:
        self.share = share
        self.greedy_share = greedy_share
        self.handover_share = handover_share
        self.returns = returns
        #: which environments are in an episode that the guide leads, shape (n_envs,), bool
        self.led = np.zeros(n_envs, dtype=bool)
        #: which environments are in an episode in which the agent acts greedily, shape (n_envs,), bool
        self.greedy = np.zeros(n_envs, dtype=bool)
        self._return = np.zeros(n_envs)
        self._steps = np.zeros(n_envs, dtype=np.int64)
        # after how many steps the guide hands over, infinite where it leads to the end
        self._handover = np.full(n_envs, np.inf)
        self._lengths: deque[int] = deque(maxlen=self.window)
        self._own_were_cut: deque[bool] = deque(maxlen=self.window)
        self._generator = np.random.default_rng(seed)

    def restart(self) -> None:
        """Forget the episodes that are under way: the environments are reset, and nobody knows what would have come of it."""
        self.led[:] = self.greedy[:] = False
        self._return[:], self._steps[:] = 0.0, 0
        self._handover[:] = np.inf

    def begin(self, starts: np.ndarray, progress_remaining: float) -> None:
        """
        Draw who leads the episodes that begin.

        :param starts: whether each environment's episode begins, shape (n_envs,)
        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        if not starts.any():
            return
        rate = self.share * progress_remaining * max(self.returns.guide_is_clearly_better(), self.least)
        self.led = np.where(starts, self._generator.random(len(starts)) < rate, self.led)
        if self.greedy_share > 0:
            self.greedy = np.where(starts, ~self.led & self._draw_greedy(), self.greedy)
        if self.handover_share > 0:
            self._draw_handovers(starts)

    def note(self, rewards: np.ndarray, dones: np.ndarray, count: bool, cut: np.ndarray | None = None) -> np.ndarray:
        """
        Note a step of each environment.

        :param rewards: rewards, not normalised, shape (n_envs,)
        :param dones: whether each episode ended or was cut, shape (n_envs,)
        :param count: whether episodes that end count; not before the guide has learned something
        :param cut: whether each episode was cut by a time limit, shape (n_envs,), bool; None for none
        :return: where the guide now hands over to the agent, shape (n_envs,), bool
        """
        self._return += rewards
        self._steps += 1
        for environment in np.flatnonzero(dones):
            if count:
                self._note_episode(int(environment), cut is not None and bool(cut[environment]))
        self._return[dones], self._steps[dones] = 0.0, 0
        return self._hand_over(self.led & ~dones & (self._steps >= self._handover))

    def _note_episode(self, environment: int, cut: bool) -> None:
        # also one that ended before it was handed over: by themselves, those would be the short ones
        if np.isfinite(self._handover[environment]):
            return
        led = bool(self.led[environment])
        if led:
            self._lengths.append(int(self._steps[environment]))
        else:
            self._own_were_cut.append(cut)
        if led or self.greedy[environment] or self.greedy_share == 0 or self._are_cut():
            self.returns.note(led, float(self._return[environment]))

    def _are_cut(self) -> bool:
        """Tell whether the agent's own episodes are cut by a time limit of late; not as long as few are known."""
        known = len(self._own_were_cut)
        return known >= self.returns.fewest and sum(self._own_were_cut) > self.largest_cut_share * known

    def _draw_greedy(self) -> np.ndarray:
        """Draw where the agent would act greedily, shape (n_envs,), bool; nowhere while its episodes are cut."""
        return (self._generator.random(len(self.led)) < self.greedy_share) & (not self._are_cut())

    def _draw_handovers(self, starts: np.ndarray) -> None:
        """Draw how long the guide leads the episodes that begin; all to the end as long as it has led none."""
        self._handover = np.where(starts, np.inf, self._handover)
        drawn = starts & self.led & (self._generator.random(len(starts)) < self.handover_share)
        if self._lengths and drawn.any():
            longest = np.mean(self._lengths) * self.returns.guide_is_clearly_better()
            self._handover[drawn] = self._generator.random(int(drawn.sum())) * longest

    def _hand_over(self, where: np.ndarray) -> np.ndarray:
        """Leave the rest of these episodes to the agent, which acts greedily in some of them."""
        if where.any():
            self.led = self.led & ~where
            self.greedy = self.greedy | (where & self._draw_greedy())
        return where
