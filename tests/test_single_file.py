"""The single file says what the package does: its equations are the package's, and it learns as well."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from sb3_diiqn import DIIQN
from sb3_diiqn.datasets import load
from sb3_diiqn.guides import ComparedReturns
from sb3_diiqn.inference import confidence as equations
from sb3_diiqn.inference import estimate
from sb3_diiqn.losses import FadingWeight, margin_losses

PATH = Path(__file__).parent.parent / "examples" / "diiqn_single_file.py"


def _module() -> Any:
    specification: Any = importlib.util.spec_from_file_location("diiqn_single_file", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


single = _module()


def test_it_is_short_and_needs_little() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350
    nodes = list(ast.walk(ast.parse(text)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"gymnasium", "numpy", "torch"}
    for number in range(1, 14):
        assert f"({number})" in text, "each equation has its number"


@pytest.mark.parametrize("method", ["dqn", "paper", "default"])
@pytest.mark.parametrize("task", ["cartpole", "maze"])
def test_it_runs(task: str, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    returns = single.train(single.TASKS[task], method, steps=600, every=300, episodes=1)
    assert len(returns) == 2
    assert np.isfinite(returns).all()
    output = capsys.readouterr().out
    assert re.search(rf"^{method}, step 600: greedy return -?\d+\.\d\d", output, re.MULTILINE)
    assert ("confidence" in output) == (method != "dqn")
    assert ("certainty" in output) == (method == "default")


def test_the_same_seed_gives_the_same() -> None:
    first, second, other = (single.train(single.TASKS["cartpole"], "default", seed, 200, 3, steps=600) for seed in (1, 1, 2))
    assert first == second != other


def test_other_recordings(tmp_path: Path) -> None:
    """An array of observations is one trajectory, of which no end is known."""
    np.savez(tmp_path / "own.npz", observations=np.arange(40.0).reshape(10, 2, 2))
    expert = single.Expert(tmp_path / "own.npz", np.random.default_rng(0))
    assert expert.s.shape == expert.next_s.shape == (9, 4)
    assert not expert.ended.any()
    assert expert.known_end.tolist() == [True] * 8 + [False]


@pytest.mark.parametrize("name", ["cartpole", "maze"])
def test_the_transitions_are_those_of_the_package(name: str) -> None:
    expert, wanted = single.Expert(single.DATASETS / f"{name}.npz", np.random.default_rng(0)), load(name)
    indices = np.arange(len(wanted))
    assert np.array_equal(expert.s, wanted.current(indices))
    assert np.array_equal(expert.next_s, wanted.next(indices))
    assert np.array_equal(expert.ended, wanted.terminals)


def test_inference_and_sampling() -> None:
    """The nearest transition lends its action, its reward and its end, and only near states match."""
    expert = single.Expert(single.DATASETS / "cartpole.npz", np.random.default_rng(0))
    s, next_s = expert.s[7], expert.next_s[7]
    assert expert.observe(s + 100, 0, 1.0, next_s + 100, False) == -1
    assert expert.observe(s, 1, 2.0, next_s, True) >= 0
    assert (expert.a[7], expert.error[7], expert.r[7], expert.terminal[7]) == (1, 0.0, 2.0, 1.0)
    expert.observe(s, 0, 3.0, next_s + expert.unit, False)
    assert (expert.a[7], expert.r[7]) == (1, 2.0), "one that is further away changes nothing"
    drawn = [expert.observe(s, 1, 2.0, next_s, True) for _ in range(50)]
    assert 2 <= len(set(drawn)) <= single.K
    assert expert.distance(expert.s[drawn], s).max() <= 1 - single.TAU


def test_confidence() -> None:
    generator = np.random.default_rng(0)
    expert_value, agent_value = generator.normal(size=(2, 50))
    count, error = generator.integers(0, 300_000, 50), generator.random(50) * 0.05
    wanted = equations.confidence(
        equations.usefulness(expert_value, agent_value, single.BETA),
        equations.training(count, single.C_MAX),
        equations.inference(error, 0.03),
    )
    assert np.allclose(single.confidence(expert_value, agent_value, count, error, 0.03), wanted.phi)


def test_estimates_and_margin() -> None:
    th.manual_seed(0)
    probabilities = (3 * th.randn(50, 4)).softmax(dim=1)
    probabilities[0] = 0.25
    plausible, certainty = single.estimate(probabilities)
    wanted = estimate(probabilities.numpy())
    assert np.array_equal(plausible.numpy(), wanted.plausible)
    assert np.allclose(certainty.numpy(), wanted.certainty, atol=1e-6)
    q_values = th.randn(50, 4)
    assert th.equal(single.margin_losses(q_values, plausible, 0.3), margin_losses(q_values, plausible, 0.3))


@pytest.mark.parametrize("better", [-1.0, 0.0, 0.3, 1.0])
def test_comparison_and_weight(better: float) -> None:
    generator = np.random.default_rng(0)
    guide, returns = single.Guide(generator), ComparedReturns()
    weight = FadingWeight(1.0, returns)
    for episode in range(60):
        guide.plays = bool(episode % 3 == 0)
        value = 0.0 if episode < 20 else generator.normal() + better * guide.plays
        guide.note(value)
        returns.note(guide.plays, value)
        assert guide.is_better == pytest.approx(returns.guide_is_better(), abs=1e-9)
        for remaining in (1.0, 0.7, 0.4):
            assert guide.imitation_weight(remaining) == pytest.approx(weight(remaining), abs=1e-9)


def test_stretches() -> None:
    """The guide leads the fraction of steps that it is to lead, whatever the exploration rate."""
    guide = single.Guide(np.random.default_rng(0))
    for _ in range(single.FEWEST):
        guide.draw(0.5, 0.0, begins=True)
        assert guide.alone, "as long as there are too few to compare"
        guide.note(1.0)
    guide.is_better = 0.0
    single_steps = [guide.draw(0.5, 0.0, step % 500 == 0) for step in range(50_000)]
    assert single_steps[0] == pytest.approx((0.5 - 0.4) / (1 - 0.4))
    steps = []
    for step in range(100_000):
        guide.draw(0.5, 0.0, step % 500 == 0)
        steps.append((guide.alone, guide.leads))
    alone, led = np.array(steps).T
    assert np.mean(alone) == pytest.approx(0.5, abs=0.1)
    assert not led[alone].any()
    assert np.mean(led[~alone]) == pytest.approx(0.4, abs=0.05)


class Evaluating(BaseCallback):
    """
    Evaluates as the single file does.

    :param every: steps between evaluations
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            self.returns.append(single.greedy_return(self._preference, single.TASKS["cartpole"], 5))
        return True

    def _preference(self, observation: th.Tensor) -> th.Tensor:
        """One for the action that the model predicts."""
        return th.eye(2)[int(self.model.predict(observation.numpy(), deterministic=True)[0])]


def returns_of_package(seed: int, steps: int, every: int) -> list[float]:
    task, evaluating = single.TASKS["cartpole"], Evaluating(every)
    DIIQN(
        "MlpPolicy",
        task.env_id,
        expert_data="builtin:cartpole",
        learning_rate=single.LEARNING_RATE,
        buffer_size=steps,
        learning_starts=single.LEARNING_STARTS,
        batch_size=single.BATCH,
        gamma=task.gamma,
        train_freq=task.train_every,
        target_update_interval=task.target_every,
        exploration_fraction=task.exploration,
        exploration_final_eps=single.FINAL_EPSILON,
        seed=seed,
        device="cpu",
    ).learn(steps, callback=evaluating)
    return evaluating.returns


@pytest.mark.learning
def test_it_learns_as_well_as_the_package() -> None:
    """
    Greedy return on CartPole, mean over five evaluations in 10 000 steps and five seeds, with the same settings.

    It is at most a third below the package's, and at most half above; and by a fifth above that of the file's own DQN.
    """
    steps, every, task = 10_000, 2_000, single.TASKS["cartpole"]
    own = [np.mean(single.train(task, "default", seed, every, 5, steps=steps)) for seed in range(5)]
    packages = [np.mean(returns_of_package(seed, steps, every)) for seed in range(5)]
    alone = [np.mean(single.train(task, "dqn", seed, every, 5, steps=steps)) for seed in range(5)]
    assert 2 / 3 < np.mean(own) / np.mean(packages) < 3 / 2, (own, packages)
    assert np.mean(own) > 1.2 * np.mean(alone), (own, alone)
