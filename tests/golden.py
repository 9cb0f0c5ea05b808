"""
Short trainings to the bit: what a change that is to change nothing must leave as it is.

``python -m tests.golden record FILE`` before the change, ``python -m tests.golden check FILE`` after it, on the same machine. Not
a test: other processors round differently.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_diiqn import DIIQN, HADIIQN, PAPER, ExpertObservations
from sb3_diiqn.diiqn.qrdiiqn import QRDIIQN
from sb3_diiqn.imitation.config import WHERE_STATES_REPEAT, WHERE_STATES_VARY, Habits
from tests.helpers import LENGTH, TINY, LineEnv, global_random_state, walk

N_STEPS = 400


class _Recorder(KVWriter):
    """Keeps what is logged, but for what depends on the clock."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        timeless = {key: repr(float(value)) for key, value in sorted(key_values.items()) if not key.startswith("time/")}
        self.lines.append([step, timeless])

    def close(self) -> None:
        """Nothing is open."""


class _Dump(BaseCallback):
    """Writes the log every 50 steps."""

    def _on_step(self) -> bool:
        if self.n_calls % 50 == 0:
            self.logger.dump(self.num_timesteps)
        return True


def _expert(look: str) -> ExpertObservations:
    there_and_back = [0, 1, 0, 1, 2, 3, 2, 3, 4, 5]
    trajectories = [walk(range(LENGTH), look), walk(there_and_back, look)]
    rewards = [np.array([-0.1] * (len(path) - 2) + [0.9]) for path in (range(LENGTH), there_and_back)]
    return ExpertObservations.from_trajectories(trajectories, terminated=True, rewards=rewards)


def _env(look: str, n_envs: int, normalized: bool) -> Any:
    env = DummyVecEnv([lambda: LineEnv(look)] * n_envs)
    return VecNormalize(env) if normalized else env


def _digest(arrays: list[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _trace(model: Any, log: _Recorder) -> dict[str, Any]:
    parameters = model.get_parameters()
    modules = {name: state for name, state in parameters.items() if "optim" not in name}
    buffer = model.replay_buffer
    return {
        "weights": {name: _digest([value.cpu().numpy() for value in state.values()]) for name, state in modules.items()},
        "buffer": {
            name: _digest([getattr(buffer, name)])
            for name in ("actions", "rewards", "dones", "expert_indices", "guided")
            if hasattr(buffer, name)
        },
        "random": hashlib.sha256(repr(global_random_state()).encode()).hexdigest()[:16],
        "log": log.lines,
    }


def _policy(look: str) -> str:
    return "MultiInputPolicy" if look.startswith("dict") else "CnnPolicy" if look == "byte image" else "MlpPolicy"


def _with_habits(algorithm: Any, habits: Habits) -> Any:
    return type(algorithm.__name__, (algorithm,), {"where_states_repeat": habits, "where_states_vary": habits})


def train(
    algorithm: Any, look: str, n_envs: int = 1, normalized: bool = False, resume: bool = False, **arguments: Any
) -> dict[str, Any]:
    """Train for a short time, and tell what came of it."""
    settings = {**TINY, **arguments, "expert_data": _expert(look)}
    if look == "byte image":
        settings.pop("policy_kwargs")
    model = algorithm(_policy(look), _env(look, n_envs, normalized), **settings)
    log = _Recorder()
    model.set_logger(Logger(None, [log]))
    model.learn(N_STEPS, callback=_Dump())
    if resume:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / "model")
            model.save_replay_buffer(Path(folder) / "buffer")
            model = algorithm.load(Path(folder) / "model", env=_env(look, n_envs, normalized), expert_data=_expert(look))
            model.load_replay_buffer(Path(folder) / "buffer")
        model.set_logger(Logger(None, [log]))
        model.learn(N_STEPS, callback=_Dump(), reset_num_timesteps=False)
    return _trace(model, log)


def _cases() -> dict[str, Callable[[], dict[str, Any]]]:
    cases: dict[str, Callable[[], dict[str, Any]]] = {}

    def add(name: str, *args: Any, **kwargs: Any) -> None:
        cases[name] = lambda: train(*args, **kwargs)

    bridging = {"inference": "nearest", "guide": "matching"}
    networks = {"inference": "inverse_dynamics", "guide": "both"}
    for preset, habits, arguments in (
        ("paper", WHERE_STATES_VARY, PAPER),
        ("guided", WHERE_STATES_VARY, networks),
        ("bridging", WHERE_STATES_REPEAT, bridging),
    ):
        diiqn, qrdiiqn = _with_habits(DIIQN, habits), _with_habits(QRDIIQN, habits)
        for look in ("vector", "bool planes", "byte image", "dict", "discrete"):
            add(f"{preset} {look}", diiqn, look, **arguments)
        add(f"{preset} 8 environments", diiqn, "bool planes", n_envs=8, **arguments)
        add(f"{preset} n-step", diiqn, "vector", n_steps=3, **arguments)
        add(f"{preset} normalised", diiqn, "vector", n_envs=2, normalized=True, **arguments)
        add(f"{preset} resumed", diiqn, "bool planes", resume=True, **arguments)
        add(f"{preset} QR-DQN", qrdiiqn, "bool planes", **arguments)
    for preset, arguments in (("paper", PAPER), ("bridging", bridging)):
        add(f"{preset} HADIIQN", HADIIQN, "bool planes", **arguments)
        add(f"{preset} HADIIQN 8 environments resumed", HADIIQN, "vector", n_envs=8, resume=True, **arguments)
    add("HADIIQN with a clone", HADIIQN, "bool planes", guide="both", inference="inverse_dynamics")
    add("recorded rewards", DIIQN, "bool planes", expert_rewards="recorded", **networks)
    add("fixed margin", DIIQN, "bool planes", margin=0.8, **networks)
    add("learned metric", DIIQN, "vector", matching_kwargs={"similarity_metric": "learned"}, **networks)
    return cases


def main() -> int:
    """Record traces, or check against recorded ones."""
    command, file = sys.argv[1], Path(sys.argv[2])
    chosen = sys.argv[3:]
    torch.set_num_threads(1)
    cases = {name: case for name, case in _cases().items() if not chosen or any(part in name for part in chosen)}
    traces = {}
    for number, (name, case) in enumerate(cases.items()):
        print(f"\r{number + 1}/{len(cases)} {name:60}", end="", file=sys.stderr, flush=True)
        traces[name] = case()
    print(file=sys.stderr)
    if command == "record":
        file.write_text(json.dumps(traces, indent=1))
        return 0
    before = json.loads(file.read_text())
    wrong = 0
    for name, trace in json.loads(json.dumps(traces)).items():
        differing = [part for part in trace if trace[part] != before[name][part]]
        wrong += bool(differing)
        if differing:
            print(f"{name}: {', '.join(differing)} changed")
            for part in differing:
                print("   ", str(before[name][part])[:300], "\n    ", str(trace[part])[:300])
    print(f"{len(traces) - wrong} of {len(traces)} as before")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
