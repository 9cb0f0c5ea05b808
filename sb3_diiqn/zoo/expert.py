"""Making the expert data that the configurations ask for: ``python -m sb3_diiqn.zoo expert --env CartPole-v1``.

A DQN is trained with the settings of ``dqn.yml``, taken at the first evaluation at which it reaches a chosen share of its
final return, and recorded; only what it observed and was rewarded with is written. Environments that have a scripted expert
(``experts.yml``) use that instead. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from sb3_diiqn import ExpertObservations
from sb3_diiqn.benchmark.backends import local_backend
from sb3_diiqn.benchmark.experts import make_recordings, policy_path, train_policy
from sb3_diiqn.benchmark.jobs import Job, run_jobs
from sb3_diiqn.benchmark.storage import read_json, write_json
from sb3_diiqn.benchmark.suite import ExpertRecipe, parse_suite
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.record import make_environment, read_actions, record_expert, write_actions
from sb3_diiqn.zoo.configurations import (
    EXPERT_FOLDER,
    ExpertFile,
    configuration_folder,
    file_name_of,
    read_yml,
)
from sb3_diiqn.zoo.environments import check_environment

DEFAULTS: dict[str, Any] = {"quality": 0.5, "n_steps": 10_000, "epsilon": 0.0}
"""For environments without an entry in ``experts.yml``, and for what an entry leaves out."""
N_EVALUATIONS = 50
"""How often the DQN is evaluated on its way; the policies of these moments can be chosen from."""
EVALUATION = {"episodes": 10, "max_steps": 10_000}
UNSUPPORTED = ("normalize", "frame_stack", "env_wrapper", "vec_env_wrapper", "callback", "monitor_kwargs", "env_kwargs")
"""Keys of rl-zoo that are no arguments of DQN."""


@dataclass(frozen=True)
class Request:
    """
    An expert as the command line asks for it.

    :param env_id: environment of the expert
    :param quality: in (0, 1]: share of the way from a random policy's return to the DQN's final one; of a scripted expert, the
        share of its actions that are not random
    :param n_steps: number of transitions to record
    :param epsilon: share of random actions while recording
    :param seed: of training and recording
    :param n_timesteps: length of the DQN's training; None: that of the configuration
    :param configuration: yml file with the DQN's settings
    """

    env_id: str
    quality: float
    n_steps: int
    epsilon: float = 0.0
    seed: int = 0
    n_timesteps: int | None = None
    configuration: Path = field(default_factory=lambda: configuration_folder() / "dqn.yml")


@dataclass(frozen=True)
class NamedRecipe(ExpertRecipe):
    """
    A recipe whose recordings have a name of their own, which configurations can refer to.

    :param file_name: without the suffix
    """

    file_name: str = ""

    @property
    def name(self) -> str:
        """Name of the expert's files."""
        return self.file_name


def make_expert(request: Request, path: Path) -> dict[str, Any]:
    """
    Make a file of expert data, unless it is there.

    :param path: the ``.npz`` to write; beside it come a ``.json`` that says what it is (the manifest), the true actions for
        evaluations, and in ``policies/`` the trained policy, from which further recordings are made without training
    :return: the manifest
    :raises ConfigurationError: if a file of that name exists and was made otherwise, or something in the request is wrong
    """
    recipe = make_recipe(request, path.stem)
    known = _known(path, recipe)
    if known is not None:
        return known
    path.parent.mkdir(parents=True, exist_ok=True)
    if recipe.kind == "train":
        _train(recipe, path.parent)
    entry = _clip(path, request, make_recordings(recipe, path.parent))
    write_json(path.with_suffix(".json"), entry, indent=1)
    return entry


def make_recipe(request: Request, name: str) -> NamedRecipe:
    """
    Say how the benchmark makes this expert.

    :param name: of the file, without suffix
    :raises ConfigurationError: if there is no such environment or there are no settings for it, or a value is out of range
    """
    check_environment(request.env_id)
    if request.env_id not in gymnasium.registry:
        raise ConfigurationError(f"There is no environment {request.env_id!r}.")
    if not 0 < request.quality <= 1:
        raise ConfigurationError(f"--quality {request.quality:g}: expected a number above 0 and at most 1")
    expert: dict[str, Any] = {"n_steps": request.n_steps, "epsilon": request.epsilon, "seed": request.seed}
    scripted = configured_expert(request.env_id).get("policy")
    if scripted is not None:
        kwargs = {"randomness": round(1 - request.quality, 9), "seed": request.seed}
        expert |= {"kind": "policy", "policy": scripted, "kwargs": kwargs}
        environment: dict[str, Any] = {"n_timesteps": 1, "settings": {"policy": "MlpPolicy"}}
    else:
        expert |= {"kind": "train", "share": request.quality}
        environment = _dqn(request)
    # the prefix lets every process register the id first
    environment |= {"id": f"sb3_diiqn.zoo.environments:{request.env_id}", "expert": expert}
    label = file_name_of(request.env_id)
    every = max(environment["n_timesteps"] // N_EVALUATIONS, 1)
    source = {
        "seeds": 1,
        "evaluation": {"every": every, **EVALUATION},
        "environments": {label: environment},
        "algorithms": {"dqn": {}},
    }
    recipe = parse_suite("expert", source).expert(label)
    if recipe is None:
        raise ConfigurationError(f"There is no recipe for {request.env_id!r}.")
    return NamedRecipe(recipe.environment, recipe.kind, recipe.settings, name)


def configured_expert(env_id: str) -> dict[str, Any]:
    """What ``experts.yml`` says about an environment, completed by :data:`DEFAULTS`."""
    configured: dict[str, Any] = read_yml(configuration_folder() / "experts.yml").get(env_id, {})
    return DEFAULTS | configured


def _dqn(request: Request) -> dict[str, Any]:
    """Turn the configuration of rl-zoo into an environment of a suite."""
    entries = read_yml(request.configuration)
    if request.env_id not in entries:
        raise ConfigurationError(
            f"There are no settings of DQN for {request.env_id!r} in {request.configuration}, which has {', '.join(entries)}: "
            "write a yml file of your own and name it with --conf-file."
        )
    settings = dict(entries[request.env_id])
    for key, value in settings.items():
        if key in UNSUPPORTED or (key != "policy" and isinstance(value, str)):
            raise ConfigurationError(
                f"{request.configuration}, {request.env_id}: {key}: {value!r} is not supported here. Train with "
                "'python -m sb3_diiqn.zoo train --algo dqn', then record with 'python -m sb3_diiqn.record --model'."
            )
    n_timesteps = int(settings.pop("n_timesteps"))
    module, dot, name = settings["policy"].rpartition(".")
    settings["policy"] = f"{module}:{name}" if dot else name
    return {
        "n_timesteps": request.n_timesteps or configured_expert(request.env_id).get("n_timesteps") or n_timesteps,
        "n_envs": settings.pop("n_envs", 1),
        "settings": settings,
        "lowest_return": _random_return(request),
    }


def _random_return(request: Request) -> float:
    """Mean return of a random policy: what quality 0 would be."""
    capped: Any = gymnasium.wrappers.TimeLimit(make_environment(request.env_id), EVALUATION["max_steps"])
    with contextlib.closing(capped):
        return float(np.mean(record_expert(capped, n_episodes=20, seed=request.seed).episode_returns))


def _known(path: Path, recipe: NamedRecipe) -> dict[str, Any] | None:
    """The manifest of a file that was made from the same recipe; None if there is neither file nor manifest."""
    entry: dict[str, Any] | None = read_json(path.with_suffix(".json"))
    if not path.exists():
        return None
    if entry is not None and entry.get("settings") == recipe.settings:
        if ExpertObservations.load(path).content_hash == entry["content_hash"]:
            return entry
        raise ConfigurationError(f"{path} is not what {path.with_suffix('.json')} says: delete both to make it again.")
    if entry is None:
        raise ConfigurationError(f"{path} exists, and nothing says what it is: delete it, or name another file with --output.")
    raise ConfigurationError(f"{path} was made with other settings: delete it, or name another file with --output.")


def _train(recipe: NamedRecipe, folder: Path) -> None:
    policy, steps = policy_path(recipe, folder), recipe.settings["training"]["n_timesteps"]
    if policy.exists() and policy.with_suffix(".json").exists():
        return
    jobs = {recipe.environment: Job(train_policy, (recipe, folder), steps, heartbeat=policy.with_suffix(".running"))}
    print(f"{recipe.environment}: training a DQN for {steps} steps", flush=True)
    with local_backend(1) as backend:
        for _, result, say in run_jobs(jobs, backend, "policies"):
            if isinstance(result, BaseException):
                raise result
            say(f"policy {policy.stem}: greedy return {result['greedy_return']:.4g} after {result['steps']} steps")


def within_bounds(data: ExpertObservations, space: spaces.Space[Any]) -> ExpertObservations:
    """
    Clip observations to the bounds of their space, which some environments leave now and then (LunarLander does).

    :return: the data themselves if nothing is to be clipped
    """
    if not isinstance(space, spaces.Box) or isinstance(data.observations, dict):
        return data
    clipped = np.clip(data.observations, space.low, space.high)
    if np.array_equal(clipped, data.observations):
        return data
    return ExpertObservations(clipped, data.offsets, data.terminated, data.rewards)


def _clip(path: Path, request: Request, entry: dict[str, Any]) -> dict[str, Any]:
    """Clip what was recorded if the environment left its own bounds, and correct the manifest."""
    with contextlib.closing(make_environment(request.env_id)) as env:
        data = within_bounds(ExpertObservations.load(path), env.observation_space)
    if data.content_hash == entry["content_hash"]:
        return entry
    data.save(path)
    actions_path = path.with_name(f"{path.stem}-actions.npz")
    actions, _ = read_actions(actions_path)
    write_actions(actions_path, actions, data)
    return entry | {"content_hash": data.content_hash, "clipped": True}


def describe(path: Path, entry: dict[str, Any]) -> str:
    """Say in one line what a file holds."""
    quality = f"mean return {entry['mean_return']:.4g} +- {entry['std_return']:.2g} over {entry['n_episodes']} episodes"
    if "policy" in entry:
        lowest = entry["settings"]["training"]["lowest_return"]
        quality += f", a random policy's is {lowest:.4g}"
        if entry["policy"]["greedy_return"] <= lowest:
            quality += " (the expert is no better: it needs more --n-timesteps)"
    return f"{path}: {entry['n_transitions']} transitions, {quality}"


def main(arguments: Sequence[str]) -> None:
    """
    The command line.

    :param arguments: without the program's and the command's name
    """
    parser = argparse.ArgumentParser(prog="sb3-diiqn expert", description="Make expert data: observations, no actions.")
    add = parser.add_argument
    add("--env", required=True, metavar="ID", help="environment of the expert")
    add("--quality", type=float, metavar="Q", help="share of the DQN's final return; of a scripted expert's actions")
    add("--n-steps", type=int, metavar="N", help="transitions to record")
    add("--epsilon", type=float, metavar="E", help="share of random actions while recording")
    add("--seed", type=int, default=0, metavar="S", help="of training and recording (default: 0)")
    add("-n", "--n-timesteps", type=int, metavar="N", help="length of the DQN's training (default: the configuration's)")
    add("-conf", "--conf-file", type=Path, metavar="YML", help="the DQN's settings (default: the package's dqn.yml)")
    add("--folder", type=Path, default=Path(EXPERT_FOLDER), help="where the file goes (default: %(default)s)")
    add("-o", "--output", type=Path, metavar="NPZ", help="the file (default: named after environment and quality)")
    options = parser.parse_args(arguments)
    configured = configured_expert(options.env)
    given = {name: getattr(options, name) for name in DEFAULTS}
    request = Request(
        options.env,
        **{name: configured[name] if value is None else value for name, value in given.items()},
        seed=options.seed,
        n_timesteps=options.n_timesteps,
        **({"configuration": options.conf_file} if options.conf_file else {}),
    )
    path = options.output or ExpertFile(request.env_id, request.quality).path(options.folder)
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    print(describe(path, make_expert(request, path)))
