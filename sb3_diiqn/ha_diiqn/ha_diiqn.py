"""Heterogeneous-actions deep implicit imitation Q-network (HA-DIIQN)."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.diiqn import DIIQN
from sb3_diiqn.exceptions import MissingExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.ha_diiqn.bridging_policy import BridgingPolicy
from sb3_diiqn.inference import (
    NO_ACTION,
    BridgingKnowledge,
    BridgingSettings,
    ExpertKnowledge,
    InferenceSettings,
)


class HADIIQN(DIIQN):
    """
    Heterogeneous-Actions Deep Implicit Imitation Q-Network: DIIQN for an expert that can do what the agent cannot.

    Paper: https://arxiv.org/abs/2511.03616. An expert transition that no own action reproduces, though all were tried there,
    is infeasible. It is replaced by a *bridge*: a path of the agent's own that leads from its state to a later state of the
    same trajectory. While collecting, guidance follows bridges with ``guide="matching"``, which is the default here in every
    preset; the default preset is ``"bridging"``. Where no state repeats, little is known of feasibility and bridges: there
    ``guide="both"`` with ``inference="inverse_dynamics"`` asks a clone first, which mixes those of the agent's actions that
    come closest to the expert's. Takes all arguments of :class:`~sb3_diiqn.DIIQN`, and:

    :param infeasibility_threshold: an expert transition with a larger inference error is infeasible, once every own action was
        tried at states that match it, in [0, 1]
    :param infeasibility_evidence: how often each own action must have been tried there, 1 to 255; more where actions have
        random effects
    :param bridge_length: k of the paper, longest bridge in agent steps
    :param bridge_gain: n of the paper, how many expert steps later a bridge may end
    :param bridge_patience: while collecting, a bridge followed in vain so many times more often than not is dropped
    :raises ConfigurationError: if an argument is out of range
    """

    follower_class = BridgingPolicy

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        *args: Any,
        infeasibility_threshold: float = 0.03,
        infeasibility_evidence: int = 1,
        bridge_length: int = 4,
        bridge_gain: int = 4,
        bridge_patience: int = 3,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs["_init_setup_model"] = False
        kwargs.setdefault("preset", "bridging")
        # whatever the preset: a clone does not know bridges
        kwargs["guide"] = kwargs.get("guide") or "matching"
        super().__init__(policy, env, *args, **kwargs)
        self.infeasibility_threshold = infeasibility_threshold
        self.infeasibility_evidence = infeasibility_evidence
        self.bridge_length = bridge_length
        self.bridge_gain = bridge_gain
        self.bridge_patience = bridge_patience
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

    def _check_settings(self) -> None:
        super()._check_settings()
        self._settings(BridgingSettings)

    def _make_knowledge(self, expert: ExpertObservations) -> ExpertKnowledge:
        return BridgingKnowledge(
            expert,
            self.stored_space,
            self._settings(InferenceSettings),
            self._seed(0),
            bridging=self._settings(BridgingSettings),
            n_actions=self._n_actions(),
            n_envs=self.n_envs,
            gamma=self.gamma,
            cache_path=self._index_cache_path(),
        )


def _signature() -> inspect.Signature:
    """Join the arguments of DIIQN, with the defaults that they have here, and those that are added."""
    of_diiqn, added = (inspect.signature(of.__init__).parameters.values() for of in (DIIQN, HADIIQN))
    changed = {"preset": "bridging", "guide": "matching"}
    known = [parameter.replace(default=changed.get(parameter.name, parameter.default)) for parameter in of_diiqn]
    names = {parameter.name for parameter in known}
    own = [parameter for parameter in added if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in names]
    return inspect.Signature([*known, *own])


# for help(), and for whoever asks which arguments there are
HADIIQN.__init__.__signature__ = _signature()  # type: ignore[attr-defined]
