"""GAIfO: what the discriminator sees, and that it is an algorithm of Stable-Baselines3."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from sb3_diiqn.baselines import GAIfO
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingDependencyError, MissingExpertDataError
from tests.helpers import LENGTH, LineEnv, right_walks, walk

HAS_IMITATION = importlib.util.find_spec("imitation") is not None
needs_imitation = pytest.mark.skipif(not HAS_IMITATION, reason="imitation is not installed")
SMALL: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 4, "seed": 0, "device": "cpu"}


@pytest.mark.skipif(HAS_IMITATION, reason="imitation is installed")
def test_without_imitation() -> None:
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[imitation\]"):
        GAIfO("MlpPolicy", LineEnv(), right_walks(), **SMALL)


class _Log(BaseCallback):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.returns: list[float] = []
        self.starts = self.ends = 0

    def _on_training_start(self) -> None:
        self.starts += 1

    def _on_training_end(self) -> None:
        self.ends += 1

    def _on_step(self) -> bool:
        self.steps.append(self.num_timesteps)
        self.returns += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        return True


@needs_imitation
@pytest.mark.parametrize("look", ["vector", "bool planes"])
def test_learns_from_the_expert(look: str, tmp_path: Path) -> None:
    """A low discount: with rewards that are all positive, going to and fro would otherwise be worth more than arriving."""
    log = _Log()
    settings = SMALL | {"learning_rate": 3e-3, "discriminator_updates": 20, "gamma": 0.2}
    model = GAIfO("MlpPolicy", make_vec_env(lambda: LineEnv(look), 2), right_walks(look), **settings)
    model.learn(1200, callback=log)
    assert log.steps == list(range(2, 1281, 2)), "environment steps, whole rollouts"
    assert (log.starts, log.ends) == (1, 1)
    assert max(log.returns) == pytest.approx(0.5) and min(log.returns) < 0, "the environment's own returns"

    places = np.arange(LENGTH - 1)
    here, there = walk(places, look), walk(places + 1, look)
    reward = model._trainer.reward_train.predict
    right = reward(here, np.ones(5, dtype=int), there, np.zeros(5, dtype=bool))
    left = reward(there, np.zeros(5, dtype=int), here, np.zeros(5, dtype=bool))
    assert right.mean() > left.mean()
    other = reward(here, np.zeros(5, dtype=int), there, np.ones(5, dtype=bool))
    np.testing.assert_array_equal(right, other)  # neither actions nor ends are seen

    observations = walk(range(LENGTH), look)
    assert model.predict(observations[:-1], deterministic=True)[0].tolist() == [1] * 5
    model.save(tmp_path / "model.zip")
    loaded = GAIfO.load(tmp_path / "model.zip", env=make_vec_env(lambda: LineEnv(look), 2))
    assert (loaded.predict(observations, deterministic=True)[0] == model.predict(observations, deterministic=True)[0]).all()
    with pytest.raises(MissingExpertDataError, match="expert_data"):
        loaded.learn(10)


@needs_imitation
def test_stopped_and_continued() -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            return self.n_calls < 70

    model = GAIfO("MlpPolicy", LineEnv(), right_walks(), **SMALL)
    assert model.learn(200, callback=Stop()).num_timesteps == 70
    assert model.learn(64, reset_num_timesteps=False).num_timesteps == 134
    assert model.learn(64).num_timesteps == 64


@needs_imitation
def test_bad_input() -> None:
    with pytest.raises(MissingExpertDataError, match="expert_data"):
        GAIfO("MlpPolicy", LineEnv(), **SMALL)
    with pytest.raises(ExpertDataError, match="shape"):
        GAIfO("MlpPolicy", LineEnv(), right_walks("bool planes"), **SMALL)
    with pytest.raises(ConfigurationError, match="Dict"):
        GAIfO("MultiInputPolicy", LineEnv("dict"), right_walks("dict"), **SMALL)
    for name in ("discriminator_updates", "discriminator_batch_size"):
        with pytest.raises(ConfigurationError, match=f"{name}=0"):
            GAIfO("MlpPolicy", LineEnv(), right_walks(), **SMALL | {name: 0})
