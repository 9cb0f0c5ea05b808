"""The recorder: what it writes, which experts it accepts, and how it refuses bad arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DQN
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from sb3_diiqn import DIIQN, ExpertObservations, record
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingDependencyError
from sb3_diiqn.record import main, make_environment, record_expert
from tests.expert.walk import Walk, cart_poles, forward

ROOT = Path(__file__).parent.parent


def test_whole_episodes_by_hand() -> None:
    recording = record_expert(Walk(), forward, n_episodes=2)
    data = recording.expert_data
    assert data.observations.tolist() == [[0, 0], [1, 0.25], [2, 0.5], [3, 0.75]] * 2
    assert data.offsets.tolist() == [0, 4, 8]
    assert data.terminated.tolist() == [True, True]
    assert data.rewards is not None and data.rewards.tolist() == [-1, -1, 10] * 2
    assert recording.episode_returns.tolist() == [8, 8]
    assert recording.actions.tolist() == [1] * 6


def test_a_recording_is_told_in_one_line_and_what_it_has_for_an_algorithm_is_named() -> None:
    recording = record_expert(Walk(), forward, n_episodes=2)
    assert repr(recording) == f"Recording({recording.expert_data!r}; returns of 2 complete episodes, 8 on average; actions)"
    assert "complete episodes; actions)" in repr(record_expert(Walk(), forward, n_steps=1))
    with pytest.raises(ExpertDataError, match=r"Recording.*Give its expert_data\.$"):
        DIIQN("MlpPolicy", "CartPole-v1", expert_data=recording)


def test_a_number_of_steps_cuts_the_last_episode() -> None:
    recording = record_expert(Walk(), forward, n_steps=5)
    assert np.diff(recording.expert_data.offsets).tolist() == [4, 3]
    assert recording.expert_data.terminated.tolist() == [True, False]
    assert recording.episode_returns.tolist() == [8]
    assert record_expert(Walk(), forward, n_steps=6).expert_data.terminated.tolist() == [True, True]


def test_time_limits_are_cuts_but_complete_episodes() -> None:
    recording = record_expert(Walk(limit=2), forward, n_episodes=2)
    assert recording.expert_data.terminated.tolist() == [False, False]
    assert recording.episode_returns.tolist() == [-2, -2]


class Nested(gym.ObservationWrapper[Any, Any, Any]):
    """A Dict space with a Discrete key."""

    def __init__(self) -> None:
        super().__init__(Walk())
        self.observation_space = spaces.Dict({"place": spaces.Box(0, 3, (2,), np.float32), "column": spaces.Discrete(4)})

    def observation(self, observation: Any) -> Any:
        return {"place": observation, "column": int(observation[0])}


def test_dict_observations() -> None:
    env = Nested()
    data = record_expert(env, forward, n_episodes=1).expert_data
    assert isinstance(data.observations, dict)
    assert data.observations["place"][:, 1].tolist() == [0, 0.25, 0.5, 0.75]
    assert data.observations["column"].tolist() == [0, 1, 2, 3]
    assert data.adapted_to(env.observation_space).observations["column"].shape == (4, 1)


@pytest.mark.parametrize("policy", [None, forward], ids=["random", "function"])
def test_the_seed_makes_it_reproducible(policy: Any) -> None:
    def recorded(seed: int | None) -> str:
        return record_expert("CartPole-v1", policy, n_steps=60, epsilon=0.5, seed=seed).expert_data.content_hash

    np.random.seed(0)  # noqa: NPY002 - the global generator must not matter
    first = recorded(1)
    np.random.seed(1)  # noqa: NPY002
    assert recorded(1) == first
    assert len({recorded(2), recorded(None), recorded(None), first}) == 4


def test_epsilon_is_the_share_of_random_actions() -> None:
    env = gym.make("CartPole-v1")
    assert set(record_expert(env, forward, n_steps=50, epsilon=0.0, seed=0).actions) == {1}
    # Half of the random actions are the policy's own.
    for epsilon, share in [(0.4, 0.2), (1.0, 0.5)]:
        actions = record_expert(env, forward, n_steps=2000, epsilon=epsilon, seed=0).actions
        assert abs((actions == 0).mean() - share) < 0.05


class Counting:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def reset(self) -> None:
        self.seen.append([])

    def __call__(self, observation: Any) -> np.ndarray:
        self.seen[-1].append(float(observation[0]))
        return np.array(1)


def test_a_policy_with_memory_is_reset_and_sees_every_observation() -> None:
    policy = Counting()
    data = record_expert(Walk(), policy, n_episodes=3, epsilon=0.5, seed=0).expert_data
    assert len(policy.seen) == 3
    assert [place for seen in policy.seen for place in seen] == data.current(slice(None))[:, 0].tolist()


class Continuous(Walk):
    """Any push to the right moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return super().step(int(action[0] > 0))


def test_continuous_actions() -> None:
    assert record_expert(Continuous(), n_steps=7, seed=0).actions.shape == (7, 2)
    assert len(record_expert(Continuous(), A2C("MlpPolicy", Continuous()), n_steps=4).expert_data) == 4


BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "no amount": ({}, "n_steps is None and n_episodes is None"),
    "two amounts": ({"n_steps": 3, "n_episodes": 3}, "give one of the two"),
    "no steps": ({"n_steps": 0}, "n_steps is 0: expected a whole number, at least 1"),
    "half a step": ({"n_steps": 2.5}, "n_steps is 2.5: expected a whole number"),
    "text": ({"n_steps": "5"}, "n_steps is '5': expected a whole number"),
    "episodes": ({"n_episodes": -2}, "n_episodes is -2"),
    "epsilon": ({"n_steps": 3, "epsilon": 1.5}, r"epsilon is 1.5: expected a probability"),
    "nan": ({"n_steps": 3, "epsilon": float("nan")}, "epsilon is nan"),
    "epsilon in letters": ({"n_steps": 3, "epsilon": "a"}, "epsilon is 'a': expected a probability"),
    "seed": ({"n_steps": 3, "seed": -3}, "seed is -3: expected a whole number, 0 or more"),
    "half a seed": ({"n_steps": 3, "seed": 1.5}, "seed is 1.5: expected a whole number"),
    "policy by name": ({"n_steps": 3, "policy": "random"}, "policy is 'random': expected a function, a model, or None"),
    "vectorised": ({"n_steps": 3, "env": cart_poles()}, "expected one gymnasium environment, not vectorised"),
    "unknown id": ({"n_steps": 3, "env": "Nowhere-v0"}, "The environment 'Nowhere-v0' cannot be made"),
    "action": ({"n_steps": 3, "policy": lambda _: 2}, r"chose the action 2, which is not in Discrete\(2\)"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_calls(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        record_expert(**{"env": Walk(), "policy": forward, **arguments})


def test_unsupported_observations() -> None:
    env = Walk()
    env.observation_space = spaces.Tuple([spaces.Discrete(2)])  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match=r"The observation space Tuple.* is not supported"):
        record_expert(env, n_steps=3)


def test_minatar_ids_need_no_registration() -> None:
    pytest.importorskip("minatar")
    hashes = set()
    for _ in range(2):
        with make_environment("MinAtar/Breakout-v1") as env:
            data = record_expert(env, n_steps=60, seed=5).expert_data
        assert data.observations.dtype == np.bool_
        hashes.add(data.content_hash)
    assert len(hashes) == 1


def test_missing_minatar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    monkeypatch.setitem(sys.modules, "minatar.gym", None)
    with pytest.raises(MissingDependencyError, match=r"sb3-diiqn\[minatar\]"):
        make_environment("MinAtar/Breakout-v1")


# The command line


def model_for_shifted_cart_poles() -> tuple[DQN, VecNormalize]:
    """It pushes to the right where the first component is above -0.25: never where it is shown normalised, else always."""
    venv = VecNormalize(cart_poles())
    venv.obs_rms.mean[0] = 0.5
    model = DQN("MlpPolicy", venv, buffer_size=10, policy_kwargs={"net_arch": []})
    weights = {name: torch.zeros_like(value) for name, value in model.policy.state_dict().items()}
    weights["q_net.q_net.0.weight"][1, 0], weights["q_net.q_net.0.bias"][1] = 1.0, 0.25
    model.policy.load_state_dict(weights)
    return model, venv


def run(*arguments: Any) -> None:
    main([str(argument) for argument in arguments])


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--env", "CartPole-v1", "--policy", "random", "--n-episodes", 3, "--seed", 1, "-o", tmp_path / "new" / "data")
    path = tmp_path / "new" / "data.npz"
    data = ExpertObservations.load(path)
    recording = record_expert("CartPole-v1", n_episodes=3, seed=1)
    assert data.content_hash == recording.expert_data.content_hash
    returns = recording.episode_returns
    assert capsys.readouterr().out == (
        f"Episodes: 3 (3 terminated, 0 cut)\nTransitions: {len(data)}\n"
        f"Mean return: {returns.mean():.2f} +- {returns.std():.2f} (standard deviation, 3 complete episodes)\n"
        f"Saved to {path}\n"
    )


def test_arguments_of_the_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(
        *("--env", "sb3_diiqn/Maze2D-v0", "--env-kwargs", "observation:one_hot", "slip:0.25", "--policy", "random"),
        *("--n-steps", 4, "-o", tmp_path / "maze"),
    )
    assert ExpertObservations.load(tmp_path / "maze").observations.dtype == np.bool_
    assert "Mean return: unknown, no episode was completed" in capsys.readouterr().out


def test_a_model_from_the_command_line(tmp_path: Path) -> None:
    venv = VecFrameStack(VecNormalize(cart_poles()), 2)
    DIIQN("MlpPolicy", venv, buffer_size=10).save(tmp_path / "model")
    venv.venv.save(str(tmp_path / "normalise.pkl"))
    run(
        *("--env", "CartPole-v1", "--model", tmp_path / "model.zip", "--algo", "DIIQN", "--frame-stack", 2),
        *("--vec-normalize", tmp_path / "normalise.pkl", "--n-steps", 20, "--epsilon", 0.1, "-o", tmp_path / "data"),
    )
    data = ExpertObservations.load(tmp_path / "data")
    assert len(data) == 20
    assert data.adapted_to(gym.make("CartPole-v1").observation_space) is data


def test_what_the_model_of_a_folder_of_rl_zoo_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its statistics are found; the recording is of the environment's own observations, and the actions are those of enjoy."""
    (model, venv), folder = model_for_shifted_cart_poles(), tmp_path / "logs" / "dqn" / "CartPole-v1_1"
    (folder / "CartPole-v1").mkdir(parents=True)
    model.save(folder / "CartPole-v1")
    (folder / "CartPole-v1" / "config.yml").touch()
    venv.save(str(folder / "CartPole-v1" / "vecnormalize.pkl"))
    common = ("--env", "CartPole-v1", "--model", folder / "CartPole-v1.zip", "--algo", "dqn", "--n-steps", 30, "--seed", 0)
    run(*common, "-o", tmp_path / "found")
    said = capsys.readouterr().out
    assert f"normalised with {folder / 'CartPole-v1' / 'vecnormalize.pkl'}; the environment's own are recorded" in said
    run(*common, "-o", tmp_path / "none", "--vec-normalize", "none")
    assert "normalised" not in capsys.readouterr().out
    for name, action in (("found", 0), ("none", 1)):
        expected = record_expert("CartPole-v1", lambda _, action=action: action, n_steps=30, seed=0).expert_data
        assert ExpertObservations.load(tmp_path / name).content_hash == expected.content_hash
    assert (record_expert("CartPole-v1", model, n_steps=30, seed=0).actions == 0).all(), "with its own environment"


def test_other_statistics_beside_a_model_are_for_the_user_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading them executes what is in them."""
    model, venv = model_for_shifted_cart_poles()
    model.save(tmp_path / "model")
    statistics = tmp_path / "rl_model_vecnormalize_100_steps.pkl"
    venv.save(str(statistics))
    common = (
        "--env",
        "CartPole-v1",
        "--model",
        tmp_path / "model.zip",
        "--algo",
        "DQN",
        "--n-steps",
        5,
        "-o",
        tmp_path / "out",
    )
    with monkeypatch.context() as patched:
        patched.setattr(VecNormalize, "load", lambda *_: pytest.fail("it was loaded"))
        with pytest.raises(SystemExit):
            run(*common)
    assert f"{statistics}: if it was trained on" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()
    run(*common, "--vec-normalize", statistics)
    run(*common, "--vec-normalize", "none", "--overwrite")


@pytest.mark.parametrize("existing", ["out.npz", "actions.npz"])
def test_files_are_replaced_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, existing: str
) -> None:
    (tmp_path / existing).write_text("precious")
    command = (*RANDOM, *STEPS, "-o", tmp_path / "out", "--keep-actions", tmp_path / "actions")
    with monkeypatch.context() as patched:
        patched.setattr(record, "record_expert", lambda *_, **__: pytest.fail("something was recorded"))
        with pytest.raises(SystemExit):
            run(*command)
    assert (
        f"{existing} exists, and nothing was recorded: name another file, or replace it: --overwrite"
        in capsys.readouterr().err
    )
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]
    run(*command, "--overwrite")
    assert len(ExpertObservations.load(tmp_path / "out")) == 5


def test_the_function_writes_a_file_when_told(tmp_path: Path) -> None:
    data = record_expert(Walk(), forward, n_episodes=1, output=tmp_path / "new" / "data").expert_data
    path = tmp_path / "new" / "data.npz"
    assert ExpertObservations.load(path).content_hash == data.content_hash
    env = Walk()
    with pytest.raises(ConfigurationError, match=r"data.npz exists, and nothing was recorded.*overwrite=True"):
        record_expert(env, lambda _: pytest.fail("something was recorded"), n_episodes=2, output=path)
    longer = record_expert(env, forward, n_episodes=2, output=path, overwrite=True).expert_data
    assert ExpertObservations.load(path).content_hash == longer.content_hash != data.content_hash


def test_actions_are_kept_apart(tmp_path: Path) -> None:
    outputs = ("-o", tmp_path / "data", "--keep-actions", tmp_path / "actions")
    run("--env", "CartPole-v1", "--policy", "random", "--n-steps", 25, *outputs)
    data = ExpertObservations.load(tmp_path / "data")
    with np.load(tmp_path / "actions.npz", allow_pickle=False) as kept:
        assert kept["actions"].shape == (25,)
        assert str(kept["content_hash"]) == data.content_hash
    with np.load(tmp_path / "data.npz", allow_pickle=False) as written:
        assert "actions" not in written.files
    with pytest.raises(ExpertDataError, match="no 'observations'"):
        ExpertObservations.load(tmp_path / "actions")


@pytest.mark.slow
@pytest.mark.parametrize("env", ["Mine-v0 --import my_envs", "my_envs:Mine-v0"])
def test_as_a_module_with_a_policy_in_the_current_folder(tmp_path: Path, env: str) -> None:
    (tmp_path / "my_policy.py").write_text("def right(observation):\n    return 1\n")
    (tmp_path / "my_envs.py").write_text(
        "import gymnasium\ngymnasium.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=4)\n"
    )
    command = f"-m sb3_diiqn.record --env {env} --policy my_policy:right -o data --n-steps 10 --seed 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, *command.split()]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Episodes: 3 (0 terminated, 3 cut)\nTransitions: 10\n" in done.stdout
    data = ExpertObservations.load(tmp_path / "data.npz")
    expected = record_expert(gym.make("CartPole-v1", max_episode_steps=4), forward, n_steps=10, seed=1)
    assert data.content_hash == expected.expert_data.content_hash


@pytest.mark.filterwarnings("ignore::UserWarning")  # Gymnasium's own about the same
def test_environments_that_leave_their_own_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gym.register("Leaving-v0", Walk, kwargs={"high": 1.5})
    try:
        run("--env", "Leaving-v0", "--policy", "tests.expert.walk:forward", "--n-steps", 3, "-o", tmp_path / "data")
    finally:
        gym.registry.pop("Leaving-v0")
    warning = (
        "Warning: the environment contradicts its own observation space. trajectory 0, step 2: observation[0] is 2.0, outside"
    )
    assert warning in capsys.readouterr().err
    assert len(ExpertObservations.load(tmp_path / "data")) == 3


CART_POLE = ["--env", "CartPole-v1"]
RANDOM = [*CART_POLE, "--policy", "random"]
OUTPUT = ["-o", "out.npz"]
STEPS = ["--n-steps", "5"]
MODEL = [*CART_POLE, "--model", "model.zip", "--algo", "DQN", *STEPS, *OUTPUT]
BAD_ARGUMENTS = {
    "nothing": ([], "the following arguments are required: --env"),
    "no expert": ([*CART_POLE, *STEPS, *OUTPUT], "one of the arguments --model --policy is required"),
    "two experts": ([*MODEL, "--policy", "random"], "not allowed with argument"),
    "no amount": ([*RANDOM, *OUTPUT], "one of the arguments --n-steps --n-episodes is required"),
    "two amounts": ([*RANDOM, *STEPS, "--n-episodes", "5", *OUTPUT], "not allowed with argument"),
    "amount": ([*RANDOM, "--n-steps", "0", *OUTPUT], "n_steps is 0: expected a whole number, at least 1"),
    "amount text": ([*RANDOM, "--n-steps", "many", *OUTPUT], "argument --n-steps: invalid int value: 'many'"),
    "epsilon": ([*RANDOM, *STEPS, "--epsilon", "2", *OUTPUT], "epsilon is 2.0: expected a probability"),
    "seed": ([*RANDOM, *STEPS, "--seed", "-1", *OUTPUT], "seed is -1: expected a whole number, 0 or more"),
    "no output": ([*RANDOM, *STEPS], "required: -o/--output"),
    "output folder": ([*RANDOM, *STEPS, "-o", "folder.npz"], "folder.npz is a folder"),
    "output below a file": ([*RANDOM, *STEPS, "-o", "text.txt/data.npz"], "text.txt"),
    "same outputs": (
        [*RANDOM, *STEPS, *OUTPUT, "--keep-actions", "out"],
        "are both out.npz: actions go into a file of their own",
    ),
    "environment": (
        ["--env", "Nowhere-v0", "--policy", "random", *STEPS, *OUTPUT],
        "The environment 'Nowhere-v0' cannot be made",
    ),
    "environment kwargs": ([*RANDOM, *STEPS, *OUTPUT, "--env-kwargs", "size:3"], "'CartPole-v1' cannot be made"),
    "no colon": ([*RANDOM, *STEPS, *OUTPUT, "--env-kwargs", "size=3"], "'size=3': expected key:value"),
    "import": ([*RANDOM, *STEPS, *OUTPUT, "--import", "no_such_module"], "'no_such_module' cannot be imported"),
    "policy": ([*CART_POLE, "--policy", "clever", *STEPS, *OUTPUT], "'clever': expected 'random' or 'module:function'"),
    "policy module": ([*CART_POLE, "--policy", "no_such:f", *STEPS, *OUTPUT], "'no_such' cannot be imported"),
    "policy function": ([*CART_POLE, "--policy", "math:no_such", *STEPS, *OUTPUT], "'math' has no function 'no_such'"),
    "policy value": ([*CART_POLE, "--policy", "math:pi", *STEPS, *OUTPUT], "'math' has no function 'pi'"),
    "no algorithm": ([*CART_POLE, "--model", "model.zip", *STEPS, *OUTPUT], "--model and --algo belong together"),
    "algorithm without model": ([*RANDOM, "--algo", "DQN", *STEPS, *OUTPUT], "--model and --algo belong together"),
    "statistics without model": ([*RANDOM, *STEPS, *OUTPUT, "--vec-normalize", "model.zip"], "are for --model only"),
    "algorithm": ([*CART_POLE, "--model", "model.zip", "--algo", "DQM", *STEPS, *OUTPUT], "There is no algorithm 'DQM'"),
    "no model file": (
        [*CART_POLE, "--model", "no.zip", "--algo", "DQN", *STEPS, *OUTPUT],
        "'no.zip' cannot be loaded as a DQN",
    ),
    "not a model": ([*CART_POLE, "--model", "text.txt", "--algo", "DQN", *STEPS, *OUTPUT], "'text.txt' cannot be loaded"),
    "another algorithm": ([*CART_POLE, "--model", "model.zip", "--algo", "PPO", *STEPS, *OUTPUT], "cannot be loaded as a PPO"),
    "another environment": (["--env", "Acrobot-v1", *MODEL[2:]], "action space is Discrete(2), the environment's Discrete(3)"),
    "not statistics": ([*MODEL, "--vec-normalize", "text.txt"], "'text.txt' cannot be loaded as VecNormalize"),
    "frames": ([*MODEL, "--frame-stack", "4"], "do not fit the environment's"),
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a text and a folder."""
    folder = tmp_path_factory.mktemp("workplace")
    DQN("MlpPolicy", "CartPole-v1", buffer_size=10).save(folder / "model")
    (folder / "text.txt").write_text("hello")
    (folder / "folder.npz").mkdir()
    return folder


def test_stopped_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "record_expert", stop)
    with pytest.raises(SystemExit) as exit_info:
        main([*RANDOM, *STEPS, "-o", str(tmp_path / "out")])
    assert exit_info.value.code == 130
    assert "stopped, nothing was saved" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_bad_arguments(
    arguments: list[str], message: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("sb3-diiqn record: error: ")
    assert message in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert not (workplace / "out.npz").exists()
