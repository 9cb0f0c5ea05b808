"""Learning from the whole of the expert data: estimates of its actions, and the margin loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from sb3_diiqn.imitation.demonstration import DemonstrationSamples
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, HADIIQN, ExpertObservations
from sb3_diiqn.common.compatibility import NStepReplayBuffer
from sb3_diiqn.common.priorities import TransitionPriorities
from sb3_diiqn.inference import NO_ACTION, ActionEstimates, ExpertFollower, estimate
from sb3_diiqn.networks.inverse_dynamics import InverseDynamics
from tests.diiqn.line_models import INVERSE, make, parameters_of
from tests.helpers import LEFT, LENGTH, RIGHT, TINY, LineEnv, Unpaid, right_walks, walk

needs_n_steps = pytest.mark.skipif(NStepReplayBuffer is None, reason="this Stable-Baselines3 has no n-step returns")


# --- estimates ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "n_envs"),
    [
        ("vector", 1),
        ("vector", 3),
        ("unbounded vector", 1),
        ("bool planes", 1),
        ("discrete", 1),
        ("multi-discrete", 1),
        ("dict", 1),
    ],
)
def test_the_network_finds_the_experts_actions_whatever_the_observations(look: str, n_envs: int) -> None:
    model = make(look, n_envs, **INVERSE, exploration_fraction=1.0, exploration_final_eps=1.0, gradient_steps=4)
    model.learn(400)
    estimates = model.estimate_actions(np.arange(2 * (LENGTH - 1)))
    assert estimates.plausible[:, RIGHT].all()
    assert estimates.plausible.sum() == 2 * (LENGTH - 1)
    assert (estimates.confidence > 0.5).all()


def test_the_nearest_transition_is_believed_with_zeta() -> None:
    model = make(margin_weight=1.0)
    assert model.estimate_actions(np.arange(4)).confidence.tolist() == [0] * 4, "nothing was inferred yet"
    model.learn(400)
    estimates = model.estimate_actions(np.arange(2 * (LENGTH - 1)))
    assert estimates.plausible.argmax(axis=1).tolist() == [RIGHT] * 2 * (LENGTH - 1)
    np.testing.assert_allclose(estimates.confidence, 1.0, atol=1e-4)


@needs_n_steps
def test_with_n_step_returns_the_network_learns_from_single_steps() -> None:
    """Three steps to the right and two to the left would look like one to the right."""
    arguments = {**INVERSE, "n_steps": 3, "gradient_steps": 4, "exploration_fraction": 1.0, "exploration_final_eps": 1.0}
    model = make(**arguments)
    estimates = model.learn(500).estimate_actions(np.arange(LENGTH - 1))
    assert estimates.plausible.tolist() == [[False, True]] * (LENGTH - 1)


def test_the_network_sees_what_the_agent_sees() -> None:
    """With VecNormalize both are normalised, or the estimates would be far off."""
    env = VecNormalize(DummyVecEnv([LineEnv]))
    arguments = {**TINY, "buffer_size": 1000, "gradient_steps": 4, "exploration_fraction": 1.0, "exploration_final_eps": 1.0}
    model = DIIQN("MlpPolicy", env, expert_data=right_walks(), **INVERSE, **arguments).learn(500)
    assert model.estimate_actions(np.arange(LENGTH - 1)).plausible.tolist() == [[False, True]] * (LENGTH - 1)


def test_what_the_agent_likes_to_do_is_not_taken_for_the_expert_s_doing() -> None:
    model = make(**INVERSE).learn(100)
    network = model.inverse_dynamics
    assert network is not None
    before, after = th.as_tensor(walk(range(LENGTH - 1))), th.as_tensor(walk(range(1, LENGTH)))
    expected = estimate(network.likelihoods(before, after)).confidence
    assert not np.allclose(expected, estimate(network.probabilities(before, after)).confidence)
    np.testing.assert_allclose(model.estimate_actions(np.arange(LENGTH - 1)).confidence, expected, rtol=1e-4, atol=1e-6)


class AlwaysRight(InverseDynamics):
    """Somebody's own inference, which knows better."""

    def likelihoods(self, observations: Any, next_observations: Any) -> np.ndarray:
        """Whatever is seen, the expert went right."""
        return np.tile(np.eye(2, dtype=np.float32)[RIGHT], (len(observations), 1))


def test_ones_own_inference_is_asked_and_saved(tmp_path: Path) -> None:
    model = make(inference=AlwaysRight, margin_weight=1.0)
    assert model.estimate_actions(np.arange(LENGTH - 1)).plausible.tolist() == [[False, True]] * (LENGTH - 1)
    model.learn(60)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", expert_data=right_walks())
    assert isinstance(loaded.inverse_dynamics, AlwaysRight)
    for own, others in zip(parameters_of(model.inverse_dynamics), parameters_of(loaded.inverse_dynamics), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(own, others)


# --- the margin loss ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("remaining", "share"), [(1.0, 1.0), (0.75, 0.5), (0.5, 0.0), (0.0, 0.0)])
def test_its_weight_is_the_confidence_and_falls_in_the_first_half_of_the_training(remaining: float, share: float) -> None:
    model = make(margin_weight=3.0, margin=0.5)
    model._current_progress_remaining = remaining
    plausible, confidence = th.tensor([[True, False], [False, True]]), th.tensor([0.5, 1.0])
    samples = DemonstrationSamples(th.zeros(2, 3), plausible, confidence, np.arange(2))
    loss = model._demonstration_loss(samples, th.tensor([[1.0, 2.0], [0.0, 0.1]]), th.zeros(4))
    assert float(loss) == pytest.approx(3.0 * share * (0.5 * 1.5 + 1.0 * 0.4) / 2)


def test_it_is_added_to_the_paper_s_loss() -> None:
    """One update with and one without, from the same weights and the same draws: the difference of the losses is the margin's."""
    losses = []
    for weight in (0.0, 2.0):
        model = make(margin_weight=weight, learning_rate=0.0, learning_starts=100)
        # early in so long a training, the margin loss has its whole weight
        model.learn(10**9, callback=lambda variables, _: variables["self"].num_timesteps < 99)
        np.random.seed(0)  # noqa: NPY002 - what the buffer draws with
        model.train(gradient_steps=1, batch_size=16)
        losses.append(model.logger.name_to_value["train/loss"])
    expert = right_walks()
    indices = np.random.default_rng([3, 3]).integers(len(expert), size=16)
    q_values = model.q_net(th.as_tensor(expert.observations[expert.observation_index[indices]]))
    estimates = model.estimate_actions(indices)
    assert estimates.confidence.max() > 0.9
    falls_short = (0.8 + q_values[:, 1 - RIGHT] - q_values[:, RIGHT]).relu().detach().numpy()
    assert losses[1] - losses[0] == pytest.approx(2.0 * (estimates.confidence * falls_short).mean(), rel=1e-4)


def test_an_automatic_margin_is_twice_the_mean_error_and_so_is_the_weight() -> None:
    model = make(margin_weight=3.0, margin="auto")
    assert loss_of_one_sample(model) == pytest.approx(0.4 * 3.0 * 0.5 * (1.0 + 0.4))


def test_less_of_the_errors_is_chosen_and_saved(tmp_path: Path) -> None:
    make(margin_weight=3.0, margin="auto", margin_factor=0.5).save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=make().get_env(), expert_data=right_walks())
    assert loss_of_one_sample(loaded) == pytest.approx(0.1 * 3.0 * 0.5 * (1.0 + 0.1))


def loss_of_one_sample(model: DIIQN) -> float:
    """Of a transition whose action, with a confidence of 0.5, falls short by 1, beside two errors of 0.2 in the mean."""
    model._current_progress_remaining = 1.0
    samples = DemonstrationSamples(th.zeros(1, 3), th.tensor([[True, False]]), th.tensor([0.5]), np.arange(1))
    return float(model._demonstration_loss(samples, th.tensor([[1.0, 2.0]]), th.tensor([0.1, 0.3])))


class BySight(InverseDynamics):
    """Tells from the first number that changes who went where; counts what it is asked."""

    asked = 0

    def likelihoods(self, observations: Any, next_observations: Any) -> np.ndarray:
        """Left is where s' is before s."""
        BySight.asked = len(observations)
        right = (next_observations[:, 0] > observations[:, 0]).long()
        return np.asarray(th.nn.functional.one_hot(right, 2).float().numpy())


@pytest.mark.parametrize("vote", [False, True])
def test_conflicting_estimates_of_a_network_can_be_put_to_the_vote(vote: bool) -> None:
    """At the second state the expert went back once and on three times; each kind of transition is estimated once."""
    expert = ExpertObservations.from_trajectories([walk([0, 1, 0, 1, 2]), walk([0, 1, 2]), walk([0, 1, 2])])
    model = make(expert_data=expert, inference=BySight, margin_weight=1.0, margin_vote=vote)
    drawn = model._estimate_demonstrations()
    n_drawn = sum(len(batch.confidence) for batch in drawn)
    assert BySight.asked == (3 if vote else n_drawn), "to vote, there and back and on are asked for once"
    at_second = th.cat([(batch.observations == th.as_tensor(walk([1]))).all(dim=1) for batch in drawn])
    plausible = th.cat([batch.plausible for batch in drawn])[at_second].numpy()
    confidence = th.cat([batch.confidence for batch in drawn])[at_second].numpy()
    assert (plausible.sum(axis=1) == 1).all()
    assert plausible[:, RIGHT].mean() == pytest.approx(1.0 if vote else 0.75, abs=0.1)
    assert confidence == pytest.approx(0.5 if vote else 1.0), "three of four, beyond chance; else each by itself is certain"


def test_where_the_agent_values_its_own_action_more_by_a_margin_it_is_left_to_itself() -> None:
    """The third state is at 0.6 above the expert's action, which is more than 0.5; the second below."""
    plausible, confidence = th.tensor([[True, False]] * 3), th.tensor([1.0, 0.5, 1.0])
    samples = DemonstrationSamples(th.zeros(3, 3), plausible, confidence, np.arange(3))
    q_values = th.tensor([[1.0, 0.8], [0.0, 0.4], [0.0, 0.6]], requires_grad=True)
    for margin_filter, third in ((False, 1.1), (True, 0.0)):
        model = make(margin_weight=3.0, margin=0.5, margin_filter=margin_filter)
        model._current_progress_remaining = 1.0
        loss = model._demonstration_loss(samples, q_values, th.zeros(4))
        assert float(loss.detach()) == pytest.approx(3.0 * (0.3 + 0.5 * 0.9 + third) / 3)
    (gradient,) = th.autograd.grad(loss, q_values)
    assert gradient[2].tolist() == [0.0, 0.0]
    assert (gradient[:2, 0] < 0).all() and (gradient[:2, 1] > 0).all()


def test_what_is_learned_already_is_drawn_less_often() -> None:
    model = make(margin_weight=1.0, margin=0.5, margin_priorities=True)
    model._current_progress_remaining = 1.0
    n = len(right_walks())
    priorities = model._priorities
    assert priorities is not None
    assert shares_drawn(priorities, n) == pytest.approx(np.full(n, 1 / n), abs=0.005), "nothing was drawn yet: evenly"
    # learned; half of a margin short of it, and believed by half; two margins short of it; learned, but not known
    plausible, confidence = th.tensor([[True, False]] * 4), th.tensor([1.0, 0.5, 1.0, 0.0])
    samples = DemonstrationSamples(th.zeros(4, 3), plausible, confidence, np.arange(4))
    model._demonstration_loss(samples, th.tensor([[1.0, 0.5], [0.25, 0.0], [0.0, 0.5], [1.0, 0.5]]), th.zeros(4))
    weights = np.array([0.1, 0.85] + [1.1] * (n - 2))
    assert shares_drawn(priorities, n) == pytest.approx(weights / weights.sum(), abs=0.005)


def shares_drawn(priorities: TransitionPriorities, n: int) -> np.ndarray:
    return np.bincount(priorities.draw(100_000), minlength=n) / 100_000


class KnowsTheLeft(InverseDynamics):
    """Knows what the expert did in the left three states; notes which share of what it is asked about starts there."""

    def __init__(self, observation_space: Any, n_actions: int) -> None:
        super().__init__(observation_space, n_actions)
        self.shares: list[float] = []

    def likelihoods(self, observations: Any, next_observations: Any) -> np.ndarray:
        """Right, or anything."""
        known = observations[:, 0] < 0.5
        self.shares.append(float(known.float().mean()))
        return np.where(known[:, None], np.eye(2, dtype=np.float32)[RIGHT], np.float32(0.5))


def test_priorities_are_noted_in_training_and_begin_anew_when_loaded(tmp_path: Path) -> None:
    arguments = {"inference": KnowsTheLeft, "margin_weight": 1.0, "learning_rate": 0.01, "gradient_steps": 4}
    model = make(**arguments, margin_filter=True, margin_priorities=True)
    # the margin loss ends at half of the training
    model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 400)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks())
    assert loaded.margin_filter and loaded.margin_priorities
    loaded.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 100)
    for one in (model, loaded):
        shares: Any = one.inverse_dynamics.shares  # type: ignore[union-attr]
        assert shares[0] == pytest.approx(3 / 5, abs=0.1), "of all transitions, evenly"
        assert min(shares) < 0.3, "what is known was learned"
    assert DIIQN.load(tmp_path / "model").predict(walk([0]))[0].shape == (1,)


@pytest.mark.parametrize("algorithm", [DIIQN, HADIIQN])
@pytest.mark.parametrize(("look", "n_envs"), [("dict", 1), ("vector", 3)])
def test_filter_and_priorities_whatever_the_observations_and_the_algorithm(algorithm: Any, look: str, n_envs: int) -> None:
    env = DummyVecEnv([lambda: LineEnv(look)] * n_envs)
    policy = "MultiInputPolicy" if look == "dict" else "MlpPolicy"
    chosen = {"preset": "paper", "margin": "auto", "margin_filter": True, "margin_priorities": True, "imitate_guide": True}
    chosen["margin_vote"] = True
    arguments = {**TINY, **INVERSE, **chosen, "buffer_size": 1000, "gradient_steps": 4, "guidance_share": 0.5}
    model = algorithm(policy, env, expert_data=right_walks(look), **arguments)
    model.learn(1000, callback=lambda variables, _: variables["self"].num_timesteps < 400)
    assert (model.predict(walk(range(LENGTH - 1), look), deterministic=True)[0] == RIGHT).all(), "it is learned"
    voted = model._voted_probabilities(np.arange(LENGTH - 1))
    np.testing.assert_allclose(voted.sum(axis=1), 1.0, rtol=1e-5)
    assert (voted.argmax(axis=1) == RIGHT).all()


def test_what_the_expert_rarely_does_is_not_imitated() -> None:
    """At the second state it went back once and on three times: all four are imitated as going on."""
    expert = ExpertObservations.from_trajectories([walk([0, 1, 0, 1, 2]), walk([0, 1, 2]), walk([0, 1, 2])])
    model = make(expert_data=expert, margin_weight=1.0, exploration_fraction=1.0, exploration_final_eps=1.0).learn(300)
    back = 1
    assert model.estimate_actions(np.array([back])).plausible[0].tolist() == [True, False]
    drawn = model._estimate_demonstrations()
    second = th.cat([(batch.observations == th.as_tensor(walk([1]))).all(dim=1) for batch in drawn])
    assert second.float().mean() == pytest.approx(0.5, abs=0.1), "it is every second transition"
    plausible = th.cat([batch.plausible for batch in drawn])[second]
    assert (plausible[:, RIGHT] & ~plausible[:, LEFT]).all()
    assert th.cat([batch.confidence for batch in drawn])[second].numpy() == pytest.approx(0.5), "three of four, beyond chance"


def test_it_counts_for_as_much_as_the_guide_is_better() -> None:
    model = make(preset="guided", margin_weight=2.0)
    model.learn(50)
    model._current_progress_remaining = 0.75
    returns = model._guidance.leading.returns
    assert model._demonstration_weight() == pytest.approx(2.0 * 0.5), "nothing is known: it falls over time"
    for led, value in [(True, 1.0), (False, 0.0)] * 5:
        returns.note(led, value)
    assert model._demonstration_weight() == pytest.approx(2.0, rel=1e-4), "it always returns more"
    returns.note(led=True, episode_return=0.0)
    returns.note(led=False, episode_return=1.0)
    better = returns.guide_is_better()
    assert 0.5 < better < 1.0
    clearly = 2 * better - 1
    assert clearly**4 > 0.5
    assert model._demonstration_weight() == pytest.approx(2.0 * clearly**4)
    model._current_progress_remaining = 1.0
    assert model._demonstration_weight() == pytest.approx(2.0)
    model._current_progress_remaining = 0.0
    assert model._demonstration_weight() == pytest.approx(2.0 * clearly**4)
    for _ in range(5):
        returns.note(led=False, episode_return=2.0)
    worse = returns.guide_is_better()
    assert 0.0 < worse < 0.5
    assert model._demonstration_weight() == 0.0, "there is nothing left to learn from it"
    model._current_progress_remaining = 0.75
    assert model._demonstration_weight() == pytest.approx(2.0 * (2 * worse) ** 4 * 0.5)
    for _ in range(500):
        returns.note(led=False, episode_return=2.0)
        returns.note(led=True, episode_return=1.0)
    assert model._demonstration_weight() == 0.0
    assert model._draw_demonstration() is None, "what counts for nothing is not even estimated"
    for _ in range(500):
        returns.note(led=True, episode_return=3.0)
        returns.note(led=False, episode_return=2.0)
    assert model._draw_demonstration() is not None, "the agent has fallen behind"


@pytest.mark.parametrize("look", ["vector", "dict"])
def test_estimates_are_made_for_many_updates_at_once(look: str) -> None:
    """Each update has its own draws, those that one draw of all of them gives; and the next ones are estimated anew."""
    model = make(look, **INVERSE, margin_batch_size=5)
    model.learn(200)
    model._current_progress_remaining = 1.0
    model._demonstrations = []
    model._demonstration_generator = np.random.default_rng(7)
    n = model.demonstrations_at_once
    samples = [model._draw_demonstration() for _ in range(n)]
    indices = np.random.default_rng(7).integers(len(right_walks(look)), size=5 * n)
    expected, _ = model._expert_tensors(indices)
    estimates = model.estimate_actions(indices)
    for number, sample in enumerate(samples):
        part = slice(5 * number, 5 * number + 5)
        drawn, wanted = (given if isinstance(given, dict) else {"": given} for given in (sample.observations, expected))
        assert all((drawn[key] == wanted[key][part]).all() for key in wanted)
        np.testing.assert_array_equal(sample.plausible.numpy(), estimates.plausible[part])
        np.testing.assert_allclose(sample.confidence.numpy(), estimates.confidence[part], rtol=1e-5)
    assert model._demonstrations == []
    assert len(model._draw_demonstration().confidence) == 5
    assert len(model._demonstrations) == n - 1


@pytest.mark.parametrize("inference", ["nearest", "inverse_dynamics"])
def test_it_imitates_where_nothing_is_paid(inference: str) -> None:
    """Early in a long training, when the loss still has its weight."""
    changes = {"buffer_size": 1000, "learning_rate": 0.01, "exploration_final_eps": 0.5, "gradient_steps": 4}
    arguments = {**TINY, **changes, "preset": "paper"}
    for weight, expected in ((0.0, False), (1.0, True)):
        env = Unpaid(LineEnv())
        model = DIIQN("MlpPolicy", env, expert_data=right_walks(), inference=inference, margin_weight=weight, **arguments)
        model.learn(10_000, callback=lambda variables, _: variables["self"].num_timesteps < 400)
        actions, _ = model.predict(walk(range(LENGTH - 1)), deterministic=True)
        assert (actions == RIGHT).all() == expected


def test_nothing_is_learned_where_nothing_is_known() -> None:
    """Recordings of states that the agent never sees."""
    elsewhere = ExpertObservations.from_trajectories([np.full((4, 3), value, dtype=np.float32) for value in (0.0, 1.0)])
    with_margin = make(expert_data=elsewhere, margin_weight=1.0).learn(200)
    without = make(expert_data=elsewhere).learn(200)
    for one, other in zip(parameters_of(with_margin.q_net), parameters_of(without.q_net), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_result() -> None:
    first, second = (make(**INVERSE, guidance_share=0.5).learn(300) for _ in range(2))
    for one, other in zip(parameters_of(first.q_net), parameters_of(second.q_net), strict=True):
        np.testing.assert_array_equal(one, other)


# --- guidance -----------------------------------------------------------------------------------------------------------------


def test_where_no_action_is_known_the_estimate_is_asked() -> None:
    model = make()
    assert model.knowledge is not None
    follower = ExpertFollower(model.knowledge, 3, seed=0)
    observations, environments = walk([0, 1, 2]), np.arange(3)
    assert follower.actions(observations, environments).tolist() == [NO_ACTION] * 3
    follower.release(environments)

    def estimates(indices: np.ndarray) -> ActionEstimates:
        assert model.knowledge is not None
        positions = model.knowledge.expert.position[indices]
        return ActionEstimates(np.eye(2, dtype=bool)[positions % 2], np.array([0.9, 0.8, 0.1])[positions])

    follower.estimate_actions = estimates
    assert follower.actions(observations, environments).tolist() == [0, 1, NO_ACTION], "the last one is not trusted"


def test_of_several_plausible_actions_one_is_drawn() -> None:
    model = make()
    assert model.knowledge is not None
    follower = ExpertFollower(model.knowledge, 1, seed=0)
    follower.estimate_actions = lambda indices: ActionEstimates(np.array([[True, False, True]]), np.array([1.0]))
    drawn = [int(follower.actions(walk([1]), np.arange(1))[0]) for _ in range(200)]
    assert set(drawn) == {0, 2}
    assert 60 < drawn.count(0) < 140
