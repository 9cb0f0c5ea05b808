"""What a training says of itself: one line at its start, and numbers of its networks for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sb3_diiqn.imitation.units import evenly_spread, stored_steps
from sb3_diiqn.networks import InverseDynamics

if TYPE_CHECKING:
    from sb3_diiqn.imitation.learner import Learner

#: The networks are asked about so many transitions.
N_ASKED = 128


def network_statistics(learner: Learner) -> dict[str, float]:
    """
    Ask the auxiliary networks about a few transitions, the same ones of the expert each time.

    :param learner: the learner
    :return: ``inverse_dynamics_accuracy``, fraction of the agent's newest transitions whose action is told;
        ``inverse_dynamics_certainty``, mean over expert transitions, see :func:`~sb3_diiqn.inference.estimate`;
        ``reward_error``, mean absolute error over the agent's newest transitions; and ``clone_agreement``, fraction of expert
        transitions at which the clone's likeliest action is one that the expert may have taken, each weighted by that
        certainty. Only of networks that have learned something
    """
    statistics = _reward_statistics(learner)
    network, clone, expert = learner.inference.network, learner.clone, learner.knowledge.expert
    knows, has_clone = network is not None and network.has_learned, clone is not None and clone.has_learned
    if not (knows or has_clone):
        return statistics
    indices = evenly_spread(len(expert), N_ASKED)
    estimates = learner.infer(indices)
    if isinstance(network, InverseDynamics) and knows and learner.host.replay_buffer.size() > 0:
        buffer, env = learner.host.replay_buffer, learner.host._vec_normalize_env
        observations, actions, next_observations = buffer.single_steps(*newest(buffer), env)
        told = network.probabilities(observations, next_observations).argmax(axis=1)
        statistics["inverse_dynamics_accuracy"] = float((told == actions[:, 0].cpu().numpy()).mean())
        statistics["inverse_dynamics_certainty"] = float(estimates.certainty.mean())
    probabilities = learner.clone_probabilities(expert.current(indices)) if has_clone else None
    if probabilities is not None and estimates.certainty.any():
        agrees = np.take_along_axis(estimates.plausible, probabilities.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
        statistics["clone_agreement"] = float(np.average(agrees, weights=estimates.certainty))
    return statistics


def _reward_statistics(learner: Learner) -> dict[str, float]:
    model = None if learner.reward_source is None else learner.reward_source.network
    buffer, env = learner.host.replay_buffer, learner.host._vec_normalize_env
    if model is None or not model.has_learned or buffer.size() == 0:
        return {}
    places = newest(buffer)
    observations, _, next_observations = buffer.single_steps(*places, env)
    paid, terminals = buffer.outcomes_of(*places)
    told = model.predict(observations, next_observations, terminals > 0)
    return {"reward_error": float(np.abs(told.values - paid).mean())}


def newest(buffer: Any) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the agent's newest transitions, most of which nothing was learned from yet.

    :param buffer: the replay buffer
    :return: where they are stored, and of which environments they are, each shape (n,)
    """
    steps = stored_steps(buffer)[-max(1, N_ASKED // buffer.n_envs) :]
    return np.repeat(steps, buffer.n_envs), np.tile(np.arange(buffer.n_envs), len(steps))


def in_use(learner: Learner) -> str:
    """
    Say in one line what is learned from, and by which parts of the method.

    :param learner: the learner
    """
    config, knowledge = learner.config, learner.knowledge
    by = (
        ""
        if learner.inference.knows_only_tables
        else f" and by {type(learner.inference.network or learner.inference).__name__}"
    )
    threshold, distance = knowledge.settings.similarity_threshold, type(knowledge.matcher.distance).__name__
    parts = [
        f"learning from {knowledge.expert!r}",
        f"observations compared by {distance}, matching from a similarity of {threshold:g} on, as "
        f"{knowledge.matching_pairs:.1%} of the pairs of distinct expert states do",
        f"actions inferred from the nearest transitions{by}",
        f"values from all of it, rewards {config.expert_rewards}" if learner.reward_source else "values where states match",
        _guide(learner),
        f"imitation loss with weight {config.imitation_coef:g}" if config.imitation_coef else "no imitation loss",
    ]
    return f"{type(learner.host).__name__}: {'; '.join(parts)}"


def _guide(learner: Learner) -> str:
    if learner.exploration is None:
        return "no guide"
    guide, fraction = learner.config.guide, learner.config.guide_fraction
    return f"guide {guide!r} in up to {fraction:.0%} of episodes and {learner.habits.exploration_fraction:.0%} of exploration"
