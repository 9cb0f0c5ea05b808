"""The warning about units: given where expert and agent have others, and for no task as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from sb3_diiqn import DIIQN, PAPER, ExpertObservations
from sb3_diiqn.envs.experts import MazeExpert
from sb3_diiqn.envs.maze2d import Maze2D
from sb3_diiqn.exceptions import ExpertDataWarning
from sb3_diiqn.imitation.callbacks import ConfidenceCallback
from sb3_diiqn.imitation.units import UnitsCheck, UnitsComparison, evenly_spread, sample_of_agent, stored_steps
from sb3_diiqn.inference.overlap import LEAST_OVERLAP
from tests.ha_diiqn.jumper import BRIDGING
from tests.helpers import LineEnv, right_walks

Convert = Callable[[np.ndarray], np.ndarray]
Policy = Callable[[np.ndarray], int]


def balance(observation: np.ndarray) -> int:
    return int(0.05 * observation[0] + 0.2 * observation[1] + 1.5 * observation[2] + 0.5 * observation[3] > 0)


def swing_car(observation: np.ndarray) -> int:
    return 2 if observation[1] >= 0 else 0


def swing_arm(observation: np.ndarray) -> int:
    return 0 if observation[4] > 0 else 2


EXPERTS: dict[str, Policy] = {"CartPole-v1": balance, "MountainCar-v0": swing_car, "Acrobot-v1": swing_arm}


def episodes(env: gymnasium.Env[Any, Any], act: Callable[[Any], Any], n_steps: int, seed: int) -> list[np.ndarray]:
    """The observations of each episode."""
    observation, _ = env.reset(seed=seed)
    done = [[observation]]
    for _ in range(n_steps):
        observation, _reward, ended, cut, _ = env.step(act(observation))
        done[-1].append(observation)
        if ended or cut:
            observation, _ = env.reset()
            done.append([observation])
    return [np.stack(one) for one in done if len(one) > 1]


@cache
def task(name: str) -> tuple[spaces.Box, list[np.ndarray], list[np.ndarray]]:
    """The observation space, episodes of a good expert, and of a random agent."""
    if name == "Acrobot-v1" and gymnasium.__version__ < "1" and np.__version__ >= "2":
        pytest.skip("Gymnasium's Acrobot needs an older numpy")
    env: Any = Maze2D() if name == "maze" else gymnasium.make(name, max_episode_steps=200)
    expert: Any = MazeExpert(env, 0.0) if name == "maze" else EXPERTS[name]
    env.action_space.seed(0)
    return env.observation_space, episodes(env, expert, 2200, 0), episodes(env, lambda _: env.action_space.sample(), 2200, 5)


def unbounded(space: Any) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, space.shape, np.float32)


def filled(space: Any, trajectories: list[Any]) -> ReplayBuffer:
    """A replay buffer with these episodes, in one environment."""
    lengths = [len(next(iter(one.values())) if isinstance(one, dict) else one) for one in trajectories]
    make = DictReplayBuffer if isinstance(space, spaces.Dict) else ReplayBuffer
    buffer = make(sum(lengths) + 1, space, spaces.Discrete(2), device="cpu")
    for trajectory, length in zip(trajectories, lengths, strict=True):
        for step in range(length - 1):
            now, then = (
                {key: array[None, at] for key, array in trajectory.items()}
                if isinstance(trajectory, dict)
                else trajectory[None, at]
                for at in (step, step + 1)
            )
            buffer.add(now, then, np.zeros(1), np.zeros(1), np.array([step + 2 == length]), [{}])
    return buffer


def compared(space: Any, expert: list[Any], agent: list[Any]) -> UnitsComparison:
    data = ExpertObservations.from_trajectories(expert)
    comparison = UnitsCheck(data, space).compare(filled(space, agent))
    assert comparison is not None
    return comparison


# --- tasks as they are -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPERTS)
@pytest.mark.parametrize("recorded", ["all", "one trajectory", "single steps"])
def test_a_good_expert_and_a_random_agent_have_the_same_units(name: str, recorded: str) -> None:
    space, expert, agent = task(name)
    if recorded == "one trajectory":
        expert = expert[:1]
    if recorded == "single steps":
        expert = [episode[step : step + 2] for episode in expert for step in range(len(episode) - 1)]
    assert compared(space, expert, agent).range_overlap > LEAST_OVERLAP


@pytest.mark.parametrize("name", EXPERTS)
def test_an_agent_that_has_become_an_expert_has_them_too(name: str) -> None:
    space, expert, agent = task(name)
    assert compared(space, expert[:-1], [*agent, *expert[1:]]).range_overlap > 0.5


def test_planes_of_a_maze_whether_booleans_or_bytes() -> None:
    space, expert, agent = task("maze")
    assert UnitsCheck(ExpertObservations.from_trajectories(expert), space).compare(filled(space, agent)) is None
    bytes_ = spaces.Box(0, 255, space.shape, np.uint8)
    as_bytes = [[episode.astype(np.uint8) for episode in episodes] for episodes in (expert, agent)]
    assert compared(bytes_, *as_bytes).range_overlap == 1
    planes = spaces.Box(0, 255, (14, 14, 1), np.uint8)
    as_planes = [[episode.reshape(-1, 14, 14, 1) for episode in episodes] for episodes in as_bytes]
    assert compared(planes, *as_planes).range_overlap == 1


def test_a_corridor_of_which_the_agent_has_seen_the_beginning_only() -> None:
    """The expert goes to the end, at 50; the agent has a way of its own back to the start, and what is constant is constant."""
    step = np.arange(600)
    wandering = np.abs(step % 8 - 4) / 2
    agent = [np.stack([wandering[start : start + 60], np.full(60, 7.0)], axis=1) for start in range(0, 600, 60)]
    expert = [np.stack([np.linspace(2, 50, 97), np.full(97, 7.0)], axis=1) for _ in range(10)]
    space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    assert compared(space, expert, agent).range_overlap > LEAST_OVERLAP


# --- other units -----------------------------------------------------------------------------------------------------------


def z_scored(of: list[np.ndarray]) -> Convert:
    rows = np.concatenate(of)
    return lambda values: ((values - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32)


def to_unit_interval(of: list[np.ndarray]) -> Convert:
    rows = np.concatenate(of)
    return lambda values: ((values - rows.min(axis=0)) / np.ptp(rows, axis=0)).astype(np.float32)


@pytest.mark.parametrize("name", EXPERTS)
@pytest.mark.parametrize("conversion", [z_scored, to_unit_interval])
@pytest.mark.parametrize("whose", ["expert", "agent"])
def test_normalised_data_have_other_units(name: str, conversion: Callable[[Any], Convert], whose: str) -> None:
    space, expert, agent = task(name)
    if whose == "expert":
        expert = [conversion(expert)(episode) for episode in expert]
    else:
        # to the unit interval that the expert's data would have
        agent = [conversion(agent if conversion is z_scored else task(name)[1])(episode) for episode in agent]
    assert compared(unbounded(space), expert, agent).range_overlap < LEAST_OVERLAP


@pytest.mark.parametrize("whose", ["expert", "agent"])
@pytest.mark.parametrize("name, dimension", [("CartPole-v1", 1), ("CartPole-v1", 3), ("Acrobot-v1", 0), ("Acrobot-v1", 4)])
def test_one_feature_in_another_unit_is_found_and_named(name: str, dimension: int, whose: str) -> None:
    space, expert, agent = task(name)
    scale = np.ones(space.shape, dtype=np.float32)
    scale[dimension] = 1 / 8
    if whose == "expert":
        expert = [episode * scale for episode in expert]
    else:
        agent = [episode * scale for episode in agent]
    comparison = compared(unbounded(space), expert, agent)
    assert np.flatnonzero(comparison.overlap < LEAST_OVERLAP).tolist() == [dimension]
    assert comparison.n_foreign == 1
    assert comparison.worst(1).startswith(f"dimension {dimension}: the expert's values lie in [")


def test_of_a_speed_that_begins_at_nought_a_tenth_is_found() -> None:
    """Its first values say nothing."""
    space, expert, agent = task("MountainCar-v0")
    tenth = [episode * np.float32([1, 0.1]) for episode in agent]
    comparison = compared(unbounded(space), agent, tenth)
    assert np.flatnonzero(comparison.overlap < LEAST_OVERLAP).tolist() == [1]
    assert compared(space, expert, agent).n_foreign == 0


@pytest.mark.parametrize("whose", [0, 1])
def test_images_from_0_to_1_and_from_0_to_255(whose: int) -> None:
    generator = np.random.default_rng(0)
    space = spaces.Box(0, 255, (8, 8, 1), np.float32)
    images = [[generator.integers(0, 256, (30, 8, 8, 1)).astype(np.float32) for _ in range(n)] for n in (10, 20)]
    assert compared(space, *images).range_overlap > 0.9
    images[whose] = [episode / 255 for episode in images[whose]]
    comparison = compared(space, *images)
    # they begin as they go on: the root of 1/255
    assert comparison.range_overlap == pytest.approx(255**-0.5, rel=0.05)
    assert comparison.worst().startswith("all cells: ")


def test_keys_of_dict_observations_are_named() -> None:
    space, expert, agent = task("CartPole-v1")
    both = spaces.Dict({"pole": unbounded(space), "where": spaces.Discrete(3), "lamp": spaces.Box(0, 1, (2,), np.bool_)})

    def shown(episode: np.ndarray, scale: float = 1.0) -> dict[str, np.ndarray]:
        n = len(episode)
        return {"pole": episode * scale, "where": np.full((n, 1), scale > 1), "lamp": np.full((n, 2), scale > 1)}

    agents = [shown(episode) for episode in agent]
    alike = compared(both, [shown(episode) for episode in expert], agents)
    assert len(alike.overlap) == 4 and alike.n_foreign == 0
    foreign = compared(both, [shown(episode, 20.0) for episode in expert], agents)
    assert foreign.n_foreign == 4
    assert foreign.worst(1).startswith("'pole', dimension ")


# --- when it is said -------------------------------------------------------------------------------------------------------


def said(check: UnitsCheck, buffer: Any, in_use: float = 1.0) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check.check(buffer, in_use)
    assert all(issubclass(one.category, ExpertDataWarning) for one in caught)
    return [str(one.message) for one in caught]


def scaled_check() -> tuple[UnitsCheck, spaces.Box, list[np.ndarray]]:
    space, expert, agent = task("CartPole-v1")
    data = ExpertObservations.from_trajectories([episode * 100 for episode in expert])
    return UnitsCheck(data, unbounded(space)), unbounded(space), agent


def test_it_is_said_once_and_when_enough_is_known() -> None:
    check, space, agent = scaled_check()
    few = filled(space, agent[:10])
    assert few.size() < 500 and not few.full
    assert check.compare(few) is None
    assert said(check, few) == []
    (message,) = said(check, filled(space, agent))
    assert "different units" in message and "VecNormalize" in message and "4 of 4 dimensions" in message
    assert said(check, filled(space, agent)) == []


def test_it_waits_for_eight_episodes() -> None:
    """Until then, little is known of where episodes begin."""
    check, space, agent = scaled_check()
    steps = np.concatenate(agent)
    assert said(check, filled(space, [steps[:704]])) == []
    assert len(said(check, filled(space, [steps[start : start + 88] for start in range(0, 704, 88)]))) == 1


def test_expert_data_without_any_effect() -> None:
    space, expert, agent = task("CartPole-v1")
    data, buffer = ExpertObservations.from_trajectories(expert), filled(space, agent)
    assert said(UnitsCheck(data, space), buffer, in_use=0.001) == []
    (message,) = said(UnitsCheck(data, space), buffer, in_use=0.0009)
    assert "no effect" in message and "similarity_threshold" in message and "dimension " in message
    space, expert, agent = task("maze")
    (message,) = said(UnitsCheck(ExpertObservations.from_trajectories(expert), space), filled(space, agent * 3), in_use=0.0)
    assert "no effect" in message and "dimension" not in message


def test_a_full_buffer_is_enough_and_its_oldest_row_no_first_observation() -> None:
    buffer = ReplayBuffer(4, spaces.Box(-9, 9, (1,), np.float32), spaces.Discrete(2), device="cpu")
    for step in range(6):
        now = np.full((1, 1), step, dtype=np.float32)
        buffer.add(now, now + 1, np.zeros(1), np.zeros(1), np.array([step == 3]), [{}])
    assert stored_steps(buffer).tolist() == [2, 3, 0, 1]
    sample = sample_of_agent(buffer)
    assert np.ravel(sample.observations).tolist() == [2, 3, 4, 5]  # type: ignore[arg-type]
    assert np.ravel(sample.next_observations).tolist() == [3, 4, 5, 6]  # type: ignore[arg-type]
    assert np.ravel(sample.first).tolist() == [4]  # type: ignore[arg-type]


def test_numbers_are_spread_evenly() -> None:
    assert evenly_spread(3, 5).tolist() == [0, 1, 2]
    assert evenly_spread(101, 5).tolist() == [0, 25, 50, 75, 100]


# --- in a training ---------------------------------------------------------------------------------------------------------


GUIDED: dict[str, Any] = {"inference": "inverse_dynamics", "guide": "both"}


def warned(model: DIIQN, n_steps: int) -> list[str]:
    """What is said in so many steps and 300 more, with a look every 100 steps."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.learn(n_steps, ConfidenceCallback(log_frequency=100))
        model.learn(300, ConfidenceCallback(log_frequency=100), reset_num_timesteps=False)
    return [str(one.message) for one in caught if issubclass(one.category, ExpertDataWarning)]


def learner(expert: list[np.ndarray], **arguments: Any) -> DIIQN:
    data = ExpertObservations.from_trajectories(expert)
    fixed = {"learning_starts": 700, "train_freq": 100, "seed": 3, "device": "cpu", "buffer_size": 5000}
    return DIIQN("MlpPolicy", "CartPole-v1", expert_data=data, **fixed | arguments)


@pytest.mark.slow
@pytest.mark.parametrize("method", [GUIDED, PAPER], ids=["guided", "paper"])
def test_a_training_warns_once_after_warm_up_and_logs_the_overlap(method: dict[str, Any]) -> None:
    _, expert, _ = task("CartPole-v1")
    right = learner(expert, **method)
    assert warned(right, 800) == []
    assert right.expert_statistics()["range_overlap"] > 0.5
    # within the bounds of the space
    wrong = learner([episode / np.float32(8) for episode in expert], **method)
    messages = warned(wrong, 650)
    assert len(messages) == 1 and "different units" in messages[0]
    assert wrong.expert_statistics()["range_overlap"] < LEAST_OVERLAP


@pytest.mark.slow
def test_no_match_is_no_news_where_a_network_infers() -> None:
    """With a threshold that only equal states reach, of which there are none."""
    _, expert, _ = task("CartPole-v1")
    tight = {"similarity_threshold": 1.0}
    assert warned(learner(expert, **GUIDED, matching_kwargs=tight), 800) == []
    (message,) = warned(learner(expert, **PAPER, matching_kwargs={**tight, "max_inference_error": 1e-9}), 800)
    assert "no effect" in message


@pytest.mark.slow
@pytest.mark.parametrize("method", [GUIDED, PAPER, BRIDGING], ids=["guided", "paper", "bridging"])
def test_a_line_of_states_is_as_it_should_be(method: dict[str, Any]) -> None:
    model = DIIQN(
        "MlpPolicy", LineEnv(), expert_data=right_walks(), **method, learning_starts=100, train_freq=100, device="cpu"
    )
    assert warned(model, 600) == []
