"""Deep implicit imitation Q-network (DIIQN)."""

from __future__ import annotations

from typing import Any

import torch as th
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_diiqn.common.buffers import ExpertReward, TensorObservations
from sb3_diiqn.common.compatibility import DEFAULT_LEARNING_STARTS, n_steps_argument
from sb3_diiqn.common.expert_side import ExpertData
from sb3_diiqn.common.export import as_host
from sb3_diiqn.common.imitation import ImplicitImitation
from sb3_diiqn.common.margin import Inference, Margin
from sb3_diiqn.common.transitions import Batch, Learning, with_further
from sb3_diiqn.inference import DistanceFunction


class DIIQN(ImplicitImitation, DQN):
    """
    Deep Implicit Imitation Q-Network: DQN that learns from recordings of what an expert went through.

    Paper: https://arxiv.org/abs/2511.03616. The recordings hold observations only. Which action the expert took is inferred
    from the agent's own transitions, and every update weighs the expert's transition against the agent's by a confidence, so
    that the agent can pass the expert. Without expert data it is Stable-Baselines3's DQN, to the bit.

    All arguments of :class:`stable_baselines3.DQN` keep their names and meaning. The others:

    :param expert_data: recordings of the expert: an :class:`~sb3_diiqn.ExpertObservations`, a path to a file of them, or None
    :param similarity_metric: how alike two observations are, in [0, 1]. ``"auto"`` chooses by observation space: Jaccard
        similarity of active cells for binary observations, mean absolute difference for integer images, root mean square of
        the differences, each relative to its range in the expert data, for float vectors, share of equal components for
        discrete ones, and the mean over the keys of Dict observations. Or one of ``"jaccard"``, ``"absolute"``, ``"range"``,
        ``"mismatch"``, or a function that gets two arrays of n and of m observations and returns *distances* in [0, 1], of
        shape (n, m). (Open in the paper.) Or ``"learned"``: as ``"auto"`` at the beginning, and then by embeddings that a
        network beside learns from the agent's and the expert's transitions, which leave out what is noise; a similarity of
        0.97 is a third of one of the expert's steps
    :param similarity_threshold: tau of the paper; an expert state that is at least this similar to the agent's is accepted as
        a match, in [0, 1]
    :param n_neighbors: k of the paper, how many nearest expert states are considered for a match
    :param usefulness_beta: beta of the paper, steepness of the sigmoid of the difference in value between the expert's and
        the agent's action
    :param max_training_count: c_max of the paper; an expert transition trained on this often counts as fully trained
    :param max_inference_error: err_max of the paper, in (0, 1]; an action that was inferred from a transition this far away
        has no confidence. Default: 0.03 with ``inference="nearest"``; else 1e-4, which is equal but for rounding, as the
        network then knows better
    :param expert_reward: the reward (and end of episode) in the expert's loss: ``"matched"``, what the agent saw on the
        transition from which the action was inferred; ``"agent"``, what it saw on the transition that the expert's is compared
        with (the paper's tuple); or ``"recorded"``, what the expert data have, if they have rewards
    :param preset: which parts are in use: ``"guided"``, in which a clone of the expert leads episodes, and a margin loss
        imitates the expert, as long as the clone is better than the agent; ``"bridging"``, in which matching expert
        transitions lead episodes and half of the exploration, and are imitated; or ``"paper"``, the published method. It sets
        those of the following arguments that are None, see :data:`sb3_diiqn.common.presets.PRESETS`
    :param guidance_share: share of the exploratory steps, in [0, 1], that follow the expert's inferred actions, in contiguous
        stretches; 0 is the paper's exploration
    :param guidance_length: mean length of such a stretch in steps
    :param guide: who chooses the actions of such a stretch: ``"matching"``, the expert transitions that match the agent's
        state, and chance where none does; ``"clone"``, a policy that learns beside from the expert's states and the
        estimates of its actions, and knows what to do also where nothing matches; or ``"both"``, the clone where it is
        sure, or nothing matches
    :param guide_follows: which of several matching transitions is followed: ``"next"``, the nearest one ahead on the
        trajectory that the guide is on, or ``"shortest"``, the one with the shortest way to the end of its own, which leaves
        out detours; as ``"next"`` where ends are no goals, as those of a game that ends with the player's life
    :param led_episodes: share of the episodes, in [0, 1), that the guide leads from beginning to end, as long as these clearly
        return more than the agent's own; falls linearly to 0 over the training. On top of the stretches, and 0 in the paper
    :param greedy_episodes: where episodes are led, share of the agent's own, in [0, 1), in which it acts greedily; the guide
        is compared with these alone, so that exploring does not make it look better than it is. While a time limit cuts its
        episodes, none is greedy, and all are compared. 0 explores in all of them
    :param handed_over_episodes: share of the led episodes, in [0, 1), that the guide only begins, and hands over to the agent
        after a drawn number of steps; fewer, the less the guide is better
    :param inference: how the expert's actions are estimated where the whole of the expert data is used, that is, by the margin
        loss and, where nothing is near enough, by the guidance: ``"nearest"``, from the nearest of the agent's transitions as
        in the paper, or ``"inverse_dynamics"``, by a network that learns from the agent's transitions which action leads from
        one observation to the next; or your own class derived from
        :class:`~sb3_diiqn.common.inverse_dynamics.InverseDynamics`
    :param margin_weight: weight of a large-margin loss on the estimated actions, at the beginning; so that the expert is no
        limit, it falls linearly to 0 over half of the training, with ``led_episodes`` sooner where these return less than
        the agent's own, and later where they clearly return more. 0 turns it off, as in the paper
    :param margin: by how much the expert's action is to be valued above the others, in units of the reward; or ``"auto"``:
        ``margin_factor`` times the mean temporal-difference error, which also scales the weight, so that the unit of the
        reward does not matter
    :param margin_factor: with ``margin="auto"``, the margin in mean temporal-difference errors, and the weight likewise; less
        than the default where much of these errors is chance
    :param margin_filter: whether the margin loss, of expert and guide, leaves out the states at which the agent values an
        action of its own higher than theirs by more than the margin
    :param margin_priorities: whether the margin loss draws those expert transitions less often of which the agent has learned
        what is known; else it draws all evenly
    :param margin_vote: with a network as ``inference``, whether all of the expert's transitions from one state vote on what
        the margin loss imitates there; with ``"nearest"`` they always do
    :param margin_batch_size: expert transitions per update that the margin loss draws, from all of them
    :param imitate_guide: whether the margin loss also imitates what the guide did in the agent's own transitions: the
        recording does not show what comes halfway on a bridge
    :param recorded_weight: with ``expert_reward="recorded"``, weight of a temporal-difference loss on ``margin_batch_size``
        expert transitions per update, drawn from all of the data, with the recorded rewards and one of the plausible actions:
        as if they were the agent's own, each weighted by the confidence in the estimate
    :param double_q: double Q-learning (van Hasselt et al. 2016, arXiv 1509.06461): the Q-network chooses the next action, the
        target network values it; also without expert data, which then is no longer DQN to the bit. Not in the paper
    :raises ConfigurationError: if an argument is out of range or does not go together with another
    :raises ExpertDataError: if the expert data is damaged or does not fit the environment
    """

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: GymEnv | str | None,
        learning_rate: float | Schedule = 1e-4,
        buffer_size: int = 1_000_000,
        learning_starts: int = DEFAULT_LEARNING_STARTS,
        batch_size: int = 32,
        tau: float = 1.0,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 4,
        gradient_steps: int = 1,
        replay_buffer_class: type[ReplayBuffer] | None = None,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        target_update_interval: int = 10000,
        exploration_fraction: float = 0.1,
        exploration_initial_eps: float = 1.0,
        exploration_final_eps: float = 0.05,
        max_grad_norm: float = 10,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        expert_data: ExpertData = None,
        similarity_metric: str | DistanceFunction = "auto",
        similarity_threshold: float = 0.97,
        n_neighbors: int = 5,
        usefulness_beta: float = 1.0,
        max_training_count: int = 150_000,
        max_inference_error: float | None = None,
        expert_reward: ExpertReward = "matched",
        preset: str = "guided",
        guidance_share: float | None = None,
        guidance_length: float | None = None,
        guide: str | None = None,
        guide_follows: str | None = None,
        led_episodes: float | None = None,
        greedy_episodes: float | None = None,
        handed_over_episodes: float = 0.0,
        inference: Inference | None = None,
        margin_weight: float | None = None,
        margin: Margin | None = None,
        margin_factor: float = 2.0,
        margin_filter: bool = False,
        margin_priorities: bool = False,
        margin_vote: bool = False,
        margin_batch_size: int = 16,
        imitate_guide: bool | None = None,
        recorded_weight: float | None = None,
        double_q: bool = False,
    ) -> None:
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            replay_buffer_class=replay_buffer_class,
            # Stable-Baselines3 writes into the caller's dictionary
            replay_buffer_kwargs=None if replay_buffer_kwargs is None else dict(replay_buffer_kwargs),
            optimize_memory_usage=optimize_memory_usage,
            target_update_interval=target_update_interval,
            exploration_fraction=exploration_fraction,
            exploration_initial_eps=exploration_initial_eps,
            exploration_final_eps=exploration_final_eps,
            max_grad_norm=max_grad_norm,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            **n_steps_argument(n_steps),
        )
        self._set_imitation_arguments(
            expert_data,
            expert_reward,
            preset,
            similarity_metric=similarity_metric,
            similarity_threshold=similarity_threshold,
            n_neighbors=n_neighbors,
            usefulness_beta=usefulness_beta,
            max_training_count=max_training_count,
            max_inference_error=max_inference_error,
            guidance_share=guidance_share,
            guidance_length=guidance_length,
            guide=guide,
            guide_follows=guide_follows,
            led_episodes=led_episodes,
            greedy_episodes=greedy_episodes,
            handed_over_episodes=handed_over_episodes,
            inference=inference,
            margin_weight=margin_weight,
            margin=margin,
            margin_factor=margin_factor,
            margin_filter=margin_filter,
            margin_priorities=margin_priorities,
            margin_vote=margin_vote,
            margin_batch_size=margin_batch_size,
            imitate_guide=imitate_guide,
            recorded_weight=recorded_weight,
            double_q=double_q,
        )
        if _init_setup_model:
            self._setup_model()

    def to_dqn(self) -> DQN:
        """
        Make a plain DQN of Stable-Baselines3 with the same weights, which neither needs this package nor expert data.

        It can be saved, loaded, asked for predictions, and goes on learning as DQN: with the optimizer's state, the number of
        steps and the exploration rate of this model, its arguments but ``double_q``, and an empty replay buffer. It has no
        environment yet, see ``set_env``.

        :return: the model, on the same device; this one stays as it is
        """
        return as_host(self, DQN)

    def _element_wise_losses(self, batch: Batch, also: TensorObservations | None = None) -> Learning:
        with th.no_grad():
            next_q_values = self.q_net_target(batch.next_observations)
            judged = self._judged(self.q_net, batch.next_observations) if self.double_q else next_q_values
            next_values = next_q_values.gather(1, judged.argmax(dim=1, keepdim=True))[batch.next_row]
            targets = batch.rewards + (1 - batch.dones) * batch.discounts * next_values
        q_values = self.q_net(with_further(batch.observations, also))
        values = q_values[batch.row].gather(1, batch.actions)
        losses = th.nn.functional.smooth_l1_loss(values, targets, reduction="none").squeeze(1)
        return Learning(q_values, losses, (values.detach() - targets).abs().squeeze(1))
