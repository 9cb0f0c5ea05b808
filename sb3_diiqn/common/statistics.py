"""What a training says of itself: one line at its start, and numbers for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sb3_diiqn.common.buffers import TensorObservations, to_tensors
from sb3_diiqn.common.units import evenly_spread, observations_at, stored_steps

if TYPE_CHECKING:
    from sb3_diiqn.common.demonstration import ExpertDemonstration

#: The networks are asked about so many transitions.
N_ASKED = 128


def network_statistics(model: ExpertDemonstration) -> dict[str, float]:
    """
    Ask the networks beside the Q-network about a few transitions, the same ones of the expert each time.

    :param model: a model with expert data
    :return: ``inverse_dynamics_accuracy``, fraction of the agent's newest transitions whose action is told;
        ``inverse_dynamics_certainty``, mean over expert transitions, see :func:`~sb3_diiqn.inference.estimate`; and
        ``clone_agreement``, fraction of expert transitions at which the clone's likeliest action is one that the expert may
        have taken, each weighted by that certainty. Only of networks that have learned something
    """
    statistics = {}
    network, clone, expert = model.inverse_dynamics, model.cloned_policy, model.expert
    knows, has_clone = network is not None and network.has_learned, clone is not None and clone.has_learned
    if expert is None or not (knows or has_clone):
        return {}
    indices = evenly_spread(len(expert), N_ASKED)
    estimates = model.estimate_actions(indices)
    if network is not None and knows:
        observations, actions, next_observations = _newest(model)
        told = network.probabilities(observations, next_observations).argmax(axis=1)
        statistics["inverse_dynamics_accuracy"] = float((told == actions).mean())
        statistics["inverse_dynamics_certainty"] = float(estimates.confidence.mean())
    probabilities = model.clone_probabilities(expert.current(indices)) if has_clone else None
    if probabilities is not None and estimates.confidence.any():
        agrees = np.take_along_axis(estimates.plausible, probabilities.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
        statistics["clone_agreement"] = float(np.average(agrees, weights=estimates.confidence))
    return statistics


def _newest(model: ExpertDemonstration) -> tuple[TensorObservations, np.ndarray, TensorObservations]:
    """Return the agent's newest transitions: observations, actions of shape (n,), next observations."""
    buffer: Any = model.replay_buffer
    steps = stored_steps(buffer)[-max(1, N_ASKED // buffer.n_envs) :]
    step, environment = np.repeat(steps, buffer.n_envs), np.tile(np.arange(buffer.n_envs), len(steps))

    def tensors(stored: Any) -> TensorObservations:
        return to_tensors(buffer, observations_at(stored, step, environment), model._vec_normalize_env)

    return tensors(buffer.observations), buffer.actions[step, environment, 0], tensors(buffer.next_observations)


def in_use(model: Any) -> str:
    """
    Say in one line what is learned from, and by which parts of the method.

    :param model: a model with expert data
    """
    network = model.inverse_dynamics
    parts = [
        f"learning from {model.expert!r}",
        f"preset {model.preset!r}",
        f"observations compared by {model.knowledge.metric}, matching from a similarity of {model.similarity_threshold:g} on",
        f"actions inferred from the nearest transitions{'' if network is None else f' and by {type(network).__name__}'}",
        _guide(model),
        f"margin loss with weight {model.margin_weight:g}" if model.margin_weight else "no margin loss",
    ]
    return f"{type(model).__name__}: {'; '.join(parts)}"


def _guide(model: Any) -> str:
    if model._guidance is None:
        return "no guide"
    return f"guide {model.guide!r} in up to {model.led_episodes:.0%} of episodes and {model.guidance_share:.0%} of exploration"
