"""Making the expert data that the configurations ask for: ``sb3-diiqn expert --env CartPole-v1``.

A DQN is trained with the settings of ``dqn.yml``, taken at the first evaluation at which it reaches a chosen fraction of its
final return, and recorded; only what it observed and was rewarded with is written. Environments that have a scripted expert
(``experts.yml``) use that instead. What is there already is not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env

from sb3_diiqn import ExpertObservations
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.manifest import describe_recording, read_json, settings_hash, versions, write_json
from sb3_diiqn.expert.policies import import_module, import_registering, load_function
from sb3_diiqn.expert.storage import replacing
from sb3_diiqn.expert.training import CheckpointCallback, GreedyEvaluation, Target, train_expert
from sb3_diiqn.record import make_environment, record_expert, write_actions
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


def default_configuration() -> Path:
    """File with the DQN's settings where none is named."""
    return configuration_folder() / "dqn.yml"


@dataclass(frozen=True)
class Request:
    """
    An expert as the command line asks for it.

    :param env_id: environment of the expert
    :param quality: in (0, 1]: fraction of the way from a random policy's return to the DQN's final one; of a scripted expert,
        the fraction of its actions that are not random
    :param n_steps: number of transitions to record, at least 1
    :param epsilon: fraction of random actions while recording, in [0, 1]
    :param seed: of training and recording
    :param n_timesteps: length of the DQN's training; None: that of the configuration
    :param configuration: yml file with the DQN's settings; one of the user's own is used also where there is a scripted expert
    :raises ConfigurationError: if a number is out of range
    """

    env_id: str
    quality: float
    n_steps: int
    epsilon: float = 0.0
    seed: int = 0
    n_timesteps: int | None = None
    configuration: Path = field(default_factory=default_configuration)

    def __post_init__(self) -> None:
        if not 0 < self.quality <= 1:
            raise ConfigurationError(f"--quality {self.quality:g}: expected a number above 0 and at most 1")
        if not 0 <= self.epsilon <= 1:
            raise ConfigurationError(f"--epsilon {self.epsilon:g}: expected a share from 0 to 1")
        lowest = {"n-steps": (self.n_steps, 1), "seed": (self.seed, 0), "n-timesteps": (self.n_timesteps, 1)}
        for option, (value, least) in lowest.items():
            if value is not None and value < least:
                raise ConfigurationError(f"--{option} {value}: expected a whole number of at least {least}")


def make_expert(request: Request, path: Path) -> dict[str, Any]:
    """
    Make a file of expert data, unless it is there.

    :param path: the ``.npz`` to write; beside it come a ``.json`` that says what it is (the manifest), the true actions for
        evaluations, and in ``policies/`` the trained policy, from which further recordings are made without training
    :return: the manifest
    :raises ConfigurationError: if a file of that name exists and was made otherwise, or something in the request is wrong
    """
    settings = recipe(request)
    known = _known(path, settings)
    if known is not None:
        return known
    path.parent.mkdir(parents=True, exist_ok=True)
    policy = policy_path(settings, path.parent) if "training" in settings else None
    if policy is not None and read_json(policy.with_suffix(".json")) is None:
        _train(settings, policy)
    entry = _record(settings, path, policy)
    write_json(path.with_suffix(".json"), entry, indent=1)
    return entry


def recipe(request: Request) -> dict[str, Any]:
    """
    Say how the expert is made: everything that determines the recordings.

    :raises ConfigurationError: if there is no such environment or there are no settings for it
    """
    check_environment(request.env_id)
    if request.env_id not in gymnasium.registry:
        raise ConfigurationError(f"There is no environment {request.env_id!r}.")
    settings: dict[str, Any] = {"id": request.env_id, "n_steps": request.n_steps, "epsilon": request.epsilon}
    settings |= {"seed": request.seed, "max_steps": EVALUATION["max_steps"]}
    scripted = configured_expert(request.env_id).get("policy")
    # who names settings wants a DQN with them
    if scripted is not None and request.configuration == default_configuration():
        kwargs = {"randomness": round(1 - request.quality, 9), "seed": request.seed}
        return settings | {"kind": "policy", "policy": scripted, "kwargs": kwargs}
    return settings | {"kind": "train", "training": _dqn(request)}


def policy_path(settings: dict[str, Any], folder: Path) -> Path:
    """File of a trained policy; recipes that differ only in what is recorded share it."""
    parts = {key: settings[key] for key in ("id", "seed", "training")}
    return folder / "policies" / f"{file_name_of(settings['id'])}-{settings_hash(parts)[:10]}.zip"


def configured_expert(env_id: str) -> dict[str, Any]:
    """What ``experts.yml`` says about an environment, completed by :data:`DEFAULTS`."""
    configured: dict[str, Any] = read_yml(configuration_folder() / "experts.yml").get(env_id, {})
    return DEFAULTS | configured


def _dqn(request: Request) -> dict[str, Any]:
    """Turn the configuration of rl-zoo into a training."""
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
                "'sb3-diiqn train --algo dqn', then record with 'sb3-diiqn record --model'."
            )
    configured = int(settings.pop("n_timesteps"))
    n_timesteps = request.n_timesteps or configured_expert(request.env_id).get("n_timesteps") or configured
    return {
        "n_timesteps": n_timesteps,
        "n_envs": settings.pop("n_envs", 1),
        "settings": settings,
        "evaluation": {"every": max(n_timesteps // N_EVALUATIONS, 1), **EVALUATION},
        "share": request.quality,
        "lowest_return": _random_return(request),
    }


def _random_return(request: Request) -> float:
    """Mean return of a random policy: what quality 0 would be."""
    with contextlib.closing(_cut_environment(request.env_id)) as env:
        return float(np.mean(record_expert(env, n_episodes=20, seed=request.seed).episode_returns))


def _cut_environment(env_id: str) -> Any:
    """Make an environment whose episodes all end."""
    return gymnasium.wrappers.TimeLimit(make_environment(env_id), EVALUATION["max_steps"])


def _known(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a file that was made from the same recipe; None if there is neither file nor manifest."""
    entry: dict[str, Any] | None = read_json(path.with_suffix(".json"))
    if not path.exists():
        return None
    if entry is not None and entry.get("settings") == settings:
        if ExpertObservations.load(path).content_hash == entry["content_hash"]:
            return entry
        raise ConfigurationError(f"{path} is not what {path.with_suffix('.json')} says: delete both to make it again.")
    if entry is None:
        raise ConfigurationError(f"{path} exists, and nothing says what it is: delete it, or name another file with --output.")
    raise ConfigurationError(f"{path} was made with other settings: delete it, or name another file with --output.")


def _train(settings: dict[str, Any], path: Path) -> None:
    """Train a DQN and keep the policy that was asked for, which is complete when the JSON file beside it is there."""
    env_id, training = settings["id"], settings["training"]
    n_timesteps, evaluation = training["n_timesteps"], training["evaluation"]
    print(f"{env_id}: training a DQN for {n_timesteps} steps", flush=True)
    env = make_vec_env(partial(make_environment, env_id), training["n_envs"], seed=settings["seed"])
    model = DQN(env=env, seed=settings["seed"], device="cpu", **_arguments(training["settings"]))
    greedy = GreedyEvaluation(partial(make_environment, env_id), evaluation["episodes"], evaluation["max_steps"])
    target = Target(training["share"], lowest_return=training["lowest_return"])
    recorder = CheckpointCallback(greedy, evaluation["every"], n_timesteps, target)
    trained = train_expert(model, recorder, n_timesteps, env_id, progress_bar=_can_show_progress())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        model.save(temporary)
    write_json(path.with_suffix(".json"), trained._asdict())
    print(f"policy {path.stem}: greedy return {trained.greedy_return:.4g} after {trained.steps} steps", flush=True)


def _arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn settings as rl-zoo's files have them into DQN's arguments."""
    policy, frequency = settings["policy"], settings.get("train_freq", 4)
    return settings | {
        "policy": load_function(":".join(policy.rsplit(".", 1))) if "." in policy else policy,
        "train_freq": tuple(frequency) if isinstance(frequency, list) else frequency,
    }


def _can_show_progress() -> bool:
    return sys.stdout.isatty() and all(importlib.util.find_spec(name) for name in ("tqdm", "rich"))


def _record(settings: dict[str, Any], path: Path, policy: Path | None) -> dict[str, Any]:
    """Record the expert, with its true actions in a file of their own, and describe it."""
    entry: dict[str, Any] = {"environment": settings["id"], "kind": settings["kind"], "settings": settings}
    with contextlib.closing(_cut_environment(settings["id"])) as env:
        if policy is None:
            expert: Any = load_function(settings["policy"])(env, **settings["kwargs"])
        else:
            expert = DQN.load(policy, device="cpu")
            entry["policy"] = read_json(policy.with_suffix(".json"))
        recording = record_expert(env, expert, n_steps=settings["n_steps"], epsilon=settings["epsilon"], seed=settings["seed"])
        data = within_bounds(recording.expert_data, env.observation_space)
    if data is not recording.expert_data:
        entry["clipped"] = True
    write_actions(path.with_name(f"{path.stem}-actions.npz"), recording.actions, data)
    data.save(path)
    described = describe_recording(data, recording.episode_returns)
    return (
        entry
        | described
        | {"made_by": "sb3-diiqn expert", "versions": versions(), "file": path.name, "seed": settings["seed"]}
    )


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
    add("--env", required=True, metavar="ID", help="environment of the expert; 'module:ID' imports what registers it")
    add("--gym-packages", nargs="+", default=[], metavar="MODULE", help="modules that register environments")
    add("--quality", type=float, metavar="Q", help="fraction of the DQN's final return; of a scripted expert's actions")
    add("--n-steps", type=int, metavar="N", help="transitions to record")
    add("--epsilon", type=float, metavar="E", help="fraction of random actions while recording")
    add("--seed", type=int, default=0, metavar="S", help="of training and recording (default: 0)")
    add("-n", "--n-timesteps", type=int, metavar="N", help="length of the DQN's training (default: the configuration's)")
    add("-conf", "--conf-file", type=Path, metavar="YML", help="the DQN's settings (default: the package's dqn.yml)")
    add("--folder", type=Path, default=Path(EXPERT_FOLDER), help="where the file goes (default: %(default)s)")
    add("-o", "--output", type=Path, metavar="NPZ", help="the file (default: named after environment and quality)")
    options = parser.parse_args(arguments)
    for name in options.gym_packages:
        import_module(name)
    env_id = import_registering(options.env)
    configured = configured_expert(env_id)
    given = {name: getattr(options, name) for name in DEFAULTS}
    request = Request(
        env_id,
        **{name: configured[name] if value is None else value for name, value in given.items()},
        seed=options.seed,
        n_timesteps=options.n_timesteps,
        **({"configuration": options.conf_file} if options.conf_file else {}),
    )
    path = options.output or ExpertFile(request.env_id, request.quality).path(options.folder)
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    print(describe(path, make_expert(request, path)))
