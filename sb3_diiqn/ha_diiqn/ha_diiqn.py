"""Heterogeneous-actions deep implicit imitation Q-network (HA-DIIQN)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.exceptions import MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.given import index_path
from sb3_diiqn.ha_diiqn.bridging_policy import BridgingPolicy
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, ImitationConfig, settings_from
from sb3_diiqn.inference import NO_ACTION, BridgingKnowledge, BridgingSettings, ExpertKnowledge


class HADIIQN(DIIQN):
    """
    Heterogeneous-Actions Deep Implicit Imitation Q-Network: DIIQN for an expert that can do what the agent cannot.

    Paper: https://arxiv.org/abs/2511.03616. An expert transition that no own action reproduces, though all were tried there,
    is infeasible. It is replaced by a *bridge*: a path of the agent's own that leads from its state to a later state of the
    same trajectory. While collecting, the guide follows bridges. Where no state repeats, little is known of feasibility and
    bridges: there a clone is asked first, which mixes those of the agent's actions that come closest to the expert's. Takes
    all arguments of :class:`~sb3_diiqn.DIIQN`, and:

    :param bridge_kwargs: the fields of :class:`~sb3_diiqn.inference.BridgingSettings`: ``infeasibility_threshold`` (0.03), an
        expert transition with a larger inference error is infeasible, once every own action was tried at states that match it;
        ``infeasibility_evidence`` (1), how often each must have been tried there, more where actions have random effects;
        ``bridge_length`` (4, k of the paper), longest bridge in agent steps; ``bridge_gain`` (4, n), how many expert steps
        later a bridge may end; ``bridge_patience`` (3), a bridge followed in vain so many times more often than not is dropped
    :raises ConfigurationError: if an argument is out of range
    """

    matching_guide = BridgingPolicy
    where_states_vary = replace(WHERE_STATES_REPEAT, inference="inverse_dynamics", guide="both")

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        *args: Any,
        bridge_kwargs: Mapping[str, Any] | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs["_init_setup_model"] = False
        super().__init__(policy, env, *args, **kwargs)
        self.bridge_kwargs = bridge_kwargs
        if _init_setup_model:
            self._setup_model()

    def inspect_expert(self) -> dict[str, np.ndarray]:
        """
        Return what is known about each expert transition.

        :return: arrays of shape (n_transitions,): ``feasibility``, values of :class:`~sb3_diiqn.inference.Feasibility`;
            ``bridged``, whether a bridge takes its place; ``bridge_length`` in agent steps and ``bridge_gain`` in expert
            steps, 0 where there is no bridge; ``bridge_actions``, of shape (n_transitions, k), the bridge's actions, -1
            behind its end and where there is none; ``action``, the inferred action or the bridge's first, -1 if there is none;
            ``error``, the inference error, infinite if there is none; ``training_count``
        :raises MissingExpertDataError: if the model has no expert data
        """
        knowledge = self.knowledge
        if not isinstance(knowledge, BridgingKnowledge):
            raise MissingExpertDataError("the model has no expert data: pass expert_data=... to the constructor, or to load")
        self.update_confidence()
        everything = np.arange(len(knowledge.expert))
        bridged = knowledge.bridged(everything)
        return {
            "feasibility": knowledge.feasibility.copy(),
            "bridged": bridged,
            "bridge_length": np.where(bridged, knowledge.bridges.length, 0),
            "bridge_gain": np.where(bridged, knowledge.bridges.gain, 0),
            "bridge_actions": np.where(bridged[:, np.newaxis], knowledge.bridges.actions, NO_ACTION),
            "action": knowledge.action(everything),
            "error": knowledge.inferred.error.copy(),
            "training_count": knowledge.training_count.copy(),
        }

    def _setup_model(self) -> None:
        self._bridging()
        super()._setup_model()

    def _bridging(self) -> BridgingSettings:
        return settings_from(BridgingSettings, "bridge_kwargs", self.bridge_kwargs)

    def _make_knowledge(self, config: ImitationConfig, expert: ExpertObservations) -> ExpertKnowledge:
        return BridgingKnowledge(
            expert,
            self.stored_space,
            config.matching(),
            self.stream_seed(0),
            bridging=self._bridging(),
            n_actions=int(self.action_space.n),  # type: ignore[attr-defined]
            n_envs=self.n_envs,
            gamma=self.gamma,
            cache_path=index_path(self.expert_data, expert.content_hash),
        )
