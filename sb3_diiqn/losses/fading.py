"""How much imitation counts: less and less, unless the guide is clearly better, so that the expert is no limit."""

from __future__ import annotations

from sb3_diiqn.guides import ComparedReturns


class FadingWeight:
    """
    A weight that falls over time, sooner where guide episodes return less than the agent's own, and not while they clearly
    return more.

    :param coefficient: the weight at the beginning
    :param returns: what the guide's and the agent's own episodes return, None if the guide plays none
    """

    #: fraction of the training over which the weight falls, unless the guide is clearly better
    fraction = 0.5
    #: power of how clearly the guide is better or worse: after a few episodes, two equals often look a little different
    sharpness = 4
    #: fraction of the weight that is left as long as the guide is no worse: without any, an equal agent loses its way where it
    #: has hardly been, or goes round in circles where actions are nearly alike
    kept = 0.2
    #: where no larger fraction of it is left, it counts as 0, and what it weighs costs nothing
    least = 0.01

    def __init__(self, coefficient: float, returns: ComparedReturns | None = None) -> None:
        self.coefficient = coefficient
        self.returns = returns

    def __call__(self, progress_remaining: float) -> float:
        """
        Compute the weight.

        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        remaining = max(0.0, 1.0 - (1.0 - progress_remaining) / self.fraction)
        if self.returns is None:
            return self.coefficient * remaining
        # two equals take turns in looking like the better one: only a clear difference counts, for and against the guide
        not_worse = min(1.0, 2.0 * self.returns.guide_is_better()) ** self.sharpness
        if not self.returns.are_known():
            return self.coefficient * not_worse * remaining
        lasting = self.returns.guide_is_clearly_better() ** self.sharpness
        return self.coefficient * max(not_worse * max(remaining, self.kept), lasting)

    def is_worth_it(self, progress_remaining: float) -> bool:
        """
        Tell whether so much of the weight is left that it counts.

        :param progress_remaining: how much of the training is still to come, in [0, 1]
        """
        return self(progress_remaining) > self.least * self.coefficient
