"""
Record observation-only demonstrations: ``sb3-diiqn record --env CartPole-v1 --policy random --n-steps 99 -o data``.

Only observations and rewards are written. The expert can be any model of Stable-Baselines3, sb3-contrib or this package, a
function of your own, or a random policy; ``--epsilon`` makes it a worse one.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_diiqn.exceptions import ConfigurationError, DIIQNError, ExpertDataError
from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.policies import (
    Environment,
    ModelPolicy,
    Policy,
    find_vec_normalize,
    import_module,
    import_registering,
    load_function,
    load_model,
    load_vec_normalize,
)
from sb3_diiqn.expert.storage import npz_path, write_npz

SUPPORTED_SPACES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True, repr=False)
class Recording:
    """What :func:`record_expert` returns."""

    expert_data: ExpertObservations
    """Observations and rewards; the last trajectory is cut where the wanted number of steps was reached."""
    episode_returns: np.ndarray
    """(number of complete episodes,) float64 sum of rewards of every episode that ended or reached its time limit."""
    actions: np.ndarray
    """(n_transitions, *action) the expert's true actions, for evaluations only: no algorithm is ever given them."""

    def __repr__(self) -> str:
        mean = f", {self.episode_returns.mean():.4g} on average" if len(self.episode_returns) else ""
        return f"Recording({self.expert_data!r}; returns of {len(self.episode_returns)} complete episodes{mean}; actions)"


def write_actions(path: str | os.PathLike[str], actions: np.ndarray, data: ExpertObservations) -> None:
    """
    Keep an expert's true actions for evaluations, in a file of their own, which no algorithm reads.

    :param path: the file
    :param actions: shape (n_transitions,)
    :param data: the demonstrations, by whose content hash they will be recognised
    """
    write_npz(path, {"actions": actions, "content_hash": np.str_(data.content_hash)})


def read_actions(path: str | os.PathLike[str]) -> tuple[np.ndarray, str]:
    """
    Read what :func:`write_actions` has written.

    :param path: the file
    :return: the actions, shape (n_transitions,), and the content hash of the expert data that they belong to
    """
    with np.load(path, allow_pickle=False) as content:
        return content["actions"], str(content["content_hash"])


def record_expert(
    env: Environment | str,
    policy: Policy | BaseAlgorithm | None = None,
    *,
    n_steps: int | None = None,
    n_episodes: int | None = None,
    epsilon: float = 0.0,
    seed: int | None = None,
    progress_bar: bool = False,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Recording:
    """Let a policy act in an environment and keep the environment's own observations.

    They are recorded as the environment emits them, also where the model sees them normalised or stacked: so does a replay
    buffer store them, and DIIQN normalises and stacks them as its own environment does.

    :param env: one environment, not vectorised, or the id of a registered one. The caller closes it.
    :param policy: a function from observation to action, a model (its deterministic prediction is used), or None (default) for
        uniformly random actions. See :class:`ModelPolicy` for models trained with ``VecNormalize`` or frame stacking.
    :param n_steps: number of transitions to record
    :param n_episodes: number of whole episodes to record; give one of the two
    :param epsilon: probability in [0, 1] with which a random action replaces the policy's
    :param seed: for the environment's first reset and the random actions; the same seed gives the same ``content_hash``, as
        far as environment and policy are deterministic. None (default): different each time
    :param progress_bar: whether to show one, if ``tqdm`` is installed
    :param output: the ``.npz`` to write the expert data to; None (default): nothing is written
    :param overwrite: whether ``output`` may replace a file; if not (default), that is refused before anything is recorded
    :raises ConfigurationError: bad argument, unsupported observation space, an action that the environment does not have, or a
        file that exists
    """
    _check_numbers(n_steps, n_episodes, epsilon, seed)
    if not (policy is None or callable(policy) or isinstance(policy, BaseAlgorithm)):
        raise ConfigurationError(f"policy is {policy!r}: expected a function, a model, or None for random actions")
    if output is not None:
        _check_outputs([npz_path(output)], overwrite, "overwrite=True")
    episodes: list[_Episode] = []
    remaining = n_steps or n_episodes or 0
    opened: Any = make_environment(env) if isinstance(env, str) else nullcontext(env)
    with opened as world, _progress(remaining, "steps" if n_steps else "episodes", progress_bar) as bar:
        _check_environment(world)
        chooser = ModelPolicy(policy, world) if isinstance(policy, BaseAlgorithm) else policy
        actor = _Actor(world, chooser, epsilon, np.random.default_rng(seed))
        while remaining > 0:
            episode = _run_episode(world, actor, seed if not episodes else None, remaining if n_steps else None)
            episodes.append(episode)
            done = len(episode.rewards) if n_steps else 1
            remaining -= done
            if bar is not None:
                bar.update(done)
    recording = Recording(
        expert_data=ExpertObservations.from_trajectories(
            [_stacked(episode.observations) for episode in episodes],
            [episode.terminated for episode in episodes],
            [episode.rewards for episode in episodes],
        ),
        episode_returns=np.array([np.sum(episode.rewards) for episode in episodes if episode.complete], dtype=np.float64),
        actions=np.array([action for episode in episodes for action in episode.actions]),
    )
    if output is not None:
        recording.expert_data.save(output)
    return recording


@dataclass
class _Episode:
    observations: list[Any]
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    complete: bool = False


class _Actor:
    """A policy with a fraction of random actions, drawn from generators of its own."""

    def __init__(self, env: Environment, policy: Policy | None, epsilon: float, rng: np.random.Generator) -> None:
        self.policy, self.epsilon, self.rng = policy, epsilon, rng
        self.action_space = copy.deepcopy(env.action_space)
        self.action_space.seed(int(rng.integers(2**31)))

    def reset(self) -> None:
        reset = getattr(self.policy, "reset", None)
        if callable(reset):
            reset()

    def act(self, observation: Any) -> Any:
        if self.policy is None:
            return self.action_space.sample()
        # The policy is asked in any case: one with a memory must see every observation.
        action = self.policy(observation)
        if self.rng.random() < self.epsilon:
            return self.action_space.sample()
        if isinstance(action, np.ndarray) and action.ndim == 0:
            action = action.item()
        if not isinstance(self.action_space, spaces.Box) and not self.action_space.contains(action):
            raise ConfigurationError(f"The policy chose the action {action!r}, which is not in {self.action_space}")
        return action


def _run_episode(env: Environment, actor: _Actor, seed: int | None, max_steps: int | None) -> _Episode:
    actor.reset()
    observation, _ = env.reset(seed=seed)
    episode = _Episode([_copied(observation, env.observation_space)])
    while not episode.complete and len(episode.rewards) != max_steps:
        action = actor.act(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        episode.observations.append(_copied(observation, env.observation_space))
        episode.actions.append(action)
        episode.rewards.append(float(reward))
        episode.terminated = bool(terminated)
        episode.complete = bool(terminated or truncated)
    return episode


def _copied(observation: Any, space: spaces.Space[Any]) -> Any:
    """A copy in the space's dtype, as SB3's vectorised environments make it: many environments reuse their array."""
    if isinstance(space, spaces.Dict):
        return {key: _copied(observation[key], subspace) for key, subspace in space.spaces.items()}
    return np.array(observation, dtype=space.dtype)


def _stacked(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([observation[key] for observation in observations]) for key in observations[0]}
    return np.stack(observations)


def _progress(total: int, unit: str, wanted: bool) -> Any:
    try:
        tqdm = importlib.import_module("tqdm").tqdm if wanted else None
    except ImportError:
        tqdm = None
    return nullcontext() if tqdm is None else tqdm(total=total, unit=f" {unit}")


def _check_numbers(n_steps: Any, n_episodes: Any, epsilon: Any, seed: Any) -> None:
    if (n_steps is None) == (n_episodes is None):
        raise ConfigurationError(f"n_steps is {n_steps} and n_episodes is {n_episodes}: give one of the two")
    for name, amount in (("n_steps", n_steps), ("n_episodes", n_episodes)):
        if amount is not None and not (isinstance(amount, int | np.integer) and amount >= 1):
            raise ConfigurationError(f"{name} is {amount!r}: expected a whole number, at least 1")
    if not (isinstance(epsilon, int | float | np.number) and 0.0 <= epsilon <= 1.0):
        raise ConfigurationError(f"epsilon is {epsilon!r}: expected a probability in [0, 1]")
    if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ConfigurationError(f"seed is {seed!r}: expected a whole number, 0 or more")


def _check_environment(env: Any) -> None:
    if not isinstance(env, gym.Env):
        raise ConfigurationError(f"env is {env!r}: expected one gymnasium environment, not vectorised, or the id of one")
    space = env.observation_space
    for part in space.spaces.values() if isinstance(space, spaces.Dict) else [space]:
        if not isinstance(part, SUPPORTED_SPACES):
            raise ConfigurationError(
                f"The observation space {space} is not supported: "
                "expected Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these"
            )


def make_environment(env_id: str, **kwargs: Any) -> Environment:
    """``gymnasium.make``, with the ids of MinAtar and of this package registered when they are asked for.

    The module of an id as ``"module:Name-v0"`` is also looked for in the current folder.

    :raises ConfigurationError: the environment cannot be made
    :raises MissingDependencyError: MinAtar is not installed
    """
    env_id = import_registering(env_id)
    # each registers its ids, and MinAtar needs an extra: only for those who ask for them
    if env_id.startswith("MinAtar/"):
        importlib.import_module("sb3_diiqn.envs.minatar").register_minatar()
    if env_id.startswith("sb3_diiqn/"):
        importlib.import_module("sb3_diiqn.envs")
    try:
        return gym.make(env_id, **kwargs)
    except DIIQNError:
        raise
    except Exception as error:  # whatever an environment's constructor raises
        unknown = isinstance(error, gym.error.UnregisteredEnv)
        hint = f". If a module of yours registers it, name that as well: 'module:{env_id}'" if unknown else ""
        raise ConfigurationError(f"The environment '{env_id}' cannot be made: {error}{hint}") from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One clear line; the usage is what ``--help`` is for."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _keyword(text: str) -> tuple[str, Any]:
    name, colon, value = text.partition(":")
    if not name.isidentifier() or not colon:
        raise argparse.ArgumentTypeError(f"'{text}': expected key:value")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _parser() -> _Parser:
    parser = _Parser(prog="sb3-diiqn record", description="Record the observations of an expert.")
    add = parser.add_argument
    add("--env", required=True, metavar="ID", help="environment")
    add("--env-kwargs", nargs="+", type=_keyword, default=[], metavar="KEY:VALUE", help="arguments of the environment")
    add("--import", nargs="+", default=[], metavar="MODULE", dest="modules", help="modules that register environments")
    expert = parser.add_mutually_exclusive_group(required=True)
    expert.add_argument("--model", metavar="ZIP", help="a trained model, with --algo")
    expert.add_argument("--policy", help="'random' or 'module:function', a function from observation to action")
    add("--algo", metavar="NAME", help="algorithm of --model: DQN, PPO, QRDQN, DIIQN, ...")
    add(
        "--vec-normalize",
        metavar="PKL",
        help="VecNormalize statistics of --model, or 'none'; found by itself beside a model of rl-zoo. Original observations "
        "are recorded. Such a file is a pickle, which can execute code: only name one that you trust",
    )
    add("--frame-stack", type=int, default=1, metavar="N", help="frames that --model sees; single observations are recorded")
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--n-steps", type=int, metavar="N", help="number of transitions")
    amount.add_argument("--n-episodes", type=int, metavar="N", help="number of whole episodes")
    add("--epsilon", type=float, default=0.0, metavar="E", help="probability of a random action (default: 0)")
    add("--seed", type=int, metavar="S", help="makes the recording reproducible (0 or more)")
    add("--keep-actions", metavar="FILE", help="also write the true actions to another .npz, for evaluations only")
    add("-o", "--output", required=True, metavar="FILE", help="the .npz to write")
    add("--overwrite", action="store_true", help="replace files that exist")
    return parser


def _check_arguments(arguments: argparse.Namespace) -> None:
    if (arguments.model is None) != (arguments.algo is None):
        raise ConfigurationError("--model and --algo belong together: give both or neither")
    if arguments.model is None and (arguments.vec_normalize is not None or arguments.frame_stack != 1):
        raise ConfigurationError("--vec-normalize and --frame-stack are for --model only: leave them out")
    _check_numbers(arguments.n_steps, arguments.n_episodes, arguments.epsilon, arguments.seed)
    outputs = [npz_path(path) for path in (arguments.output, arguments.keep_actions) if path is not None]
    if len({path.absolute() for path in outputs}) < len(outputs):
        raise ConfigurationError(f"--output and --keep-actions are both {outputs[0]}: actions go into a file of their own")
    _check_outputs(outputs, arguments.overwrite, "--overwrite")


def _check_outputs(paths: list[Path], overwrite: bool, permission: str) -> None:
    """Refuse what cannot be written, or would replace a file without permission; make missing folders."""
    for path in paths:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder: expected the name of the file to write")
        if path.exists() and not overwrite:
            raise ConfigurationError(
                f"{path} exists, and nothing was recorded: name another file, or replace it: {permission}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)


def _chosen_policy(arguments: argparse.Namespace, env: Environment) -> Policy | None:
    if arguments.model is None:
        return None if arguments.policy == "random" else load_function(arguments.policy)
    model, statistics = load_model(arguments.model, arguments.algo), arguments.vec_normalize
    if statistics == "none":
        return ModelPolicy(model, env, False, arguments.frame_stack)
    statistics = statistics or find_vec_normalize(arguments.model)
    if statistics is None:
        return ModelPolicy(model, env, None, arguments.frame_stack)
    print(f"The model sees observations normalised with {statistics}; the environment's own are recorded")
    return ModelPolicy(model, env, load_vec_normalize(statistics, env), arguments.frame_stack)


def _summary(recording: Recording, path: Path) -> str:
    data, returns = recording.expert_data, recording.episode_returns
    lines = [
        f"Episodes: {data.n_trajectories} ({int(data.terminated.sum())} terminated, {int((~data.terminated).sum())} cut)",
        f"Transitions: {len(data)}",
        f"Mean return: {returns.mean():.2f} +- {returns.std():.2f} (standard deviation, {len(returns)} complete episodes)"
        if len(returns)
        else "Mean return: unknown, no episode was completed",
        f"Saved to {path}",
    ]
    return "\n".join(lines)


def _record(arguments: argparse.Namespace) -> None:
    _check_arguments(arguments)
    for module in arguments.modules:
        import_module(module)
    with make_environment(arguments.env, **dict(arguments.env_kwargs)) as env:
        recording = record_expert(
            env,
            _chosen_policy(arguments, env),
            n_steps=arguments.n_steps,
            n_episodes=arguments.n_episodes,
            epsilon=arguments.epsilon,
            seed=arguments.seed,
            progress_bar=True,
        )
        data = recording.expert_data
        try:
            data.adapted_to(env.observation_space)
        except ExpertDataError as error:
            print(f"Warning: the environment contradicts its own observation space. {error}", file=sys.stderr)
    path = data.save(arguments.output)
    if arguments.keep_actions is not None:
        write_actions(arguments.keep_actions, recording.actions, data)
    print(_summary(recording, path))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    :param arguments: those of the process by default
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        _record(parsed)
    except (DIIQNError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        parser.exit(130, "stopped, nothing was saved\n")


if __name__ == "__main__":
    main()
