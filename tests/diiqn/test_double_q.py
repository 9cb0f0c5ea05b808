"""Double Q-learning: the Q-network chooses the next action, the target network values it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.torch_layers import FlattenExtractor

from sb3_diiqn import DIIQN
from sb3_diiqn.common.transitions import Transitions, batch_of
from tests.helpers import TINY, LineEnv, right_walks

N_AGENT, N_EXPERT = 30, 10
# the networks come to disagree
LIVELY: dict[str, Any] = {"target_update_interval": 60, "learning_rate": 0.01, "gradient_steps": 4}


def make(algorithm: Any = DIIQN, **arguments: Any) -> Any:
    return algorithm("MlpPolicy", LineEnv(), **{**TINY, "double_q": True, **arguments})


def transitions(n: int, generator: th.Generator) -> Transitions:
    actions, dones = th.randint(2, (n, 1), generator=generator), th.randint(2, (n, 1), generator=generator).float()
    observations, following = th.randn(2, n, 3, generator=generator)
    return Transitions(observations, actions, following, dones, th.randn(n, 1, generator=generator), th.full((n, 1), 0.9))


def disagreeing(network: th.nn.Module) -> None:
    """Give a network other weights, so that it prefers other actions."""
    for parameter in network.parameters():
        parameter.data = th.randn(parameter.shape, generator=th.Generator().manual_seed(len(parameter.shape)))


def each(losses: th.Tensor, errors: th.Tensor, agent: Transitions, expert: Transitions) -> Any:
    """Loss and error of each transition, as numbers, with the parts of the transition."""
    return zip(losses.detach().tolist(), errors.tolist(), [*zip(*agent, strict=True), *zip(*expert, strict=True)], strict=True)


def test_losses_of_agent_and_expert_by_hand() -> None:
    model, generator = make(expert_data=right_walks()), th.Generator().manual_seed(0)
    disagreeing(model.q_net_target)
    agent, expert = transitions(N_AGENT, generator), transitions(N_EXPERT, generator)
    _, losses, errors = model._element_wise_losses(batch_of(agent, expert, np.arange(N_EXPERT)))
    n_disagreements = 0
    for loss, seen, (observation, action, following, done, reward, discount) in each(losses, errors, agent, expert):
        chosen = int(model.q_net(following[None])[0].argmax())
        values = model.q_net_target(following[None])[0]
        n_disagreements += chosen != int(values.argmax())
        error = abs(
            float((model.q_net(observation[None])[0, action] - reward - (1 - done) * discount * values[chosen]).detach())
        )
        assert loss == pytest.approx(0.5 * error**2 if error < 1 else error - 0.5, rel=1e-4)
        assert seen == pytest.approx(error, rel=1e-4)
    assert n_disagreements > 5


def test_on_quantiles_by_hand() -> None:
    pytest.importorskip("sb3_contrib")
    from sb3_diiqn import QRDIIQN  # noqa: PLC0415 - optional package
    from sb3_diiqn.diiqn.qrdiiqn import quantile_huber_losses  # noqa: PLC0415

    model, generator = make(QRDIIQN, expert_data=right_walks()), th.Generator().manual_seed(0)
    disagreeing(model.quantile_net_target)
    agent, expert = transitions(N_AGENT, generator), transitions(N_EXPERT, generator)
    _, losses, errors = model._element_wise_losses(batch_of(agent, expert, np.arange(N_EXPERT)))
    n_disagreements = 0
    for loss, seen, (observation, action, following, done, reward, discount) in each(losses, errors, agent, expert):
        chosen = int(model.quantile_net(following[None])[0].mean(dim=0).argmax())
        ahead = model.quantile_net_target(following[None])[0]
        n_disagreements += chosen != int(ahead.mean(dim=0).argmax())
        target = reward + (1 - done) * discount * ahead[:, chosen]
        quantiles = model.quantile_net(observation[None])[:, :, int(action)].detach()
        expected = quantile_huber_losses(quantiles, target[None])
        assert seen == pytest.approx(abs(float(quantiles.mean() - target.detach().mean())), rel=1e-3, abs=1e-6)
        assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    assert n_disagreements > 5


def weights(model: Any) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in model.policy.parameters()]


def test_without_expert_data_it_learns_as_with_an_expert_that_is_never_met() -> None:
    """And not as DQN does."""
    alone = make(**LIVELY).learn(300)
    beside = make(**LIVELY, expert_data=right_walks(), preset="paper")
    beside.replay_buffer.knowledge.usable = lambda indices: np.zeros(len(indices), dtype=bool)
    beside.learn(300)
    plain = make(**LIVELY, double_q=False).learn(300)
    for one, other in zip(weights(alone), weights(beside), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert any(
        not np.allclose(one, other, rtol=1e-3, atol=1e-5) for one, other in zip(weights(alone), weights(plain), strict=True)
    )


def test_it_is_saved(tmp_path: Path) -> None:
    make().learn(50).save(tmp_path / "model")
    assert DIIQN.load(tmp_path / "model").double_q


class NormalizedExtractor(FlattenExtractor):
    """Features with batch normalisation."""

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space)
        self.normalization = th.nn.BatchNorm1d(self.features_dim)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        normalized: th.Tensor = self.normalization(super().forward(observations))
        return normalized


@pytest.mark.parametrize("expert", [None, right_walks()], ids=["alone", "with an expert"])
def test_choosing_the_next_action_leaves_no_trace_in_the_network(expert: Any) -> None:
    counts = []
    for double_q in (False, True):
        model = make(double_q=double_q, expert_data=expert, policy_kwargs={"features_extractor_class": NormalizedExtractor})
        model.learn(100)
        counts.append(int(model.q_net.features_extractor.normalization.num_batches_tracked))
    assert counts[0] == counts[1] == model._n_updates
