"""What a strategy is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_diiqn.expert import Observations
from sb3_diiqn.guides import ComparedReturns
from sb3_diiqn.inference import ActionEstimates, ExpertKnowledge
from sb3_diiqn.inference.settings import Seed


@dataclass(frozen=True)
class Context:
    """
    What action inference, guides and losses are made of; each takes from it what it needs.

    :param observation_space: the space of observations as the networks have them
    :param stored_space: that of observations as they are stored, which is another one under ``VecNormalize``
    :param n_actions: number of the agent's actions
    :param n_envs: number of environments
    :param device: where networks run
    :param knowledge: the expert data, ``knowledge.expert``, and what is known of them
    :param seed: makes the seed of one of several independent generators; strategies of your own take 100 and more
    :param infer: estimates the actions of expert transitions, given their indices of shape (n,)
    :param clone_probabilities: how likely the clone would take each action at n observations, None if it has learned nothing;
        there is one for guides that say ``needs_clone``
    :param match_pending: matches and infers at once from what the agent has experienced
    :param returns: what guide episodes and the agent's own return
    """

    observation_space: spaces.Space[Any]
    stored_space: spaces.Space[Any]
    n_actions: int
    n_envs: int
    device: th.device
    knowledge: ExpertKnowledge
    seed: Callable[[int], Seed]
    infer: Callable[[np.ndarray], ActionEstimates]
    clone_probabilities: Callable[[Observations], np.ndarray | None]
    match_pending: Callable[[], None]
    returns: ComparedReturns
