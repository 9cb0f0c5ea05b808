"""The entries of ``zoo_configs`` are the environments of the suites, and the documentation shows what these returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch as th

from benchmarks.algorithms import import_object
from benchmarks.storage import ResultFolder
from benchmarks.suite import load_suite
from benchmarks.zoo import ENTRIES, Entry, zoo_table
from sb3_diiqn.zoo.configurations import configuration_folder, read_yml
from sb3_diiqn.zoo.environments import VARIANTS
from sb3_diiqn.zoo.expert import configured_expert

ROOT = Path(__file__).parents[2]
#: not trained at full length
NOT_IN_THE_TABLE = {"FreewayNoFrameskip-v4"}
FILES = {name: read_yml(configuration_folder() / f"{name}.yml") for name in ("dqn", "diiqn", "hadiiqn")}


def environment_of(entry: Entry) -> Any:
    return load_suite(entry.suite).environments[entry.environment]


def arguments_of(env_id: str, env_kwargs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Turn the id of a variant into the environment's own, and the arguments that are no defaults there."""
    original, arguments = VARIANTS.get(env_id, (env_id, {}))
    defaults = {"sb3_diiqn/Maze2D-v0": {"layout": "paper", "actions": "NESW"}}.get(original, {})
    return original, {**defaults, **arguments, **env_kwargs}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.algorithm} {entry.env_id}")
def test_an_entry_is_what_was_run(entry: Entry) -> None:
    """Settings, environment and expert are those of the suite."""
    environment = environment_of(entry)
    configured = dict(FILES[entry.algorithm][entry.env_id])
    assert configured.pop("n_timesteps") == environment.n_timesteps
    assert configured.pop("n_envs", 1) == environment.n_envs
    env_id, env_kwargs = arguments_of(entry.env_id, configured.pop("env_kwargs", {}))
    own = environment.env_kwargs
    # gymnasium cuts after as many steps by default
    assert env_id == environment.id.rpartition(":")[2] and {"max_episode_steps": 200, **env_kwargs} == {
        "max_episode_steps": 200,
        **own,
    }
    settings = dict(load_suite(entry.suite).algorithms[entry.algorithm].settings)
    expected = environment.settings | settings
    if "MinAtarPolicy" in expected["policy"]:
        # the policy's own
        assert expected.pop("policy_kwargs") == {"optimizer_class": "torch.optim:Adam", "optimizer_kwargs": {"fused": True}}
        assert import_object("torch.optim:Adam") is th.optim.Adam
    assert {**configured, "policy": configured["policy"].replace("policies.", "policies:")} == {
        **expected,
        "expert_data": configured["expert_data"],
    }


def test_every_entry_is_in_the_table() -> None:
    for algorithm in ("diiqn", "hadiiqn"):
        listed = {entry.env_id for entry in ENTRIES if entry.algorithm == algorithm}
        assert listed == FILES[algorithm].keys() - NOT_IN_THE_TABLE


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.suite != "minatar"], ids=lambda entry: entry.environment
)
def test_the_expert_is_as_good(entry: Entry) -> None:
    """As many transitions, and as many random actions among them."""
    recipe = environment_of(entry).expert
    name = Path(FILES[entry.algorithm][entry.env_id]["expert_data"]).stem.removeprefix("sb3_diiqn-")
    env_id = name.rpartition("-")[0]
    expert = configured_expert(env_id if entry.suite == "classic_control" else f"sb3_diiqn/{env_id}")
    randomness = recipe["epsilon"] if entry.suite == "classic_control" else recipe["kwargs"]["randomness"]
    assert expert["n_steps"] == recipe["n_steps"] and 1 - expert["quality"] == pytest.approx(randomness)


def test_the_table_is_that_of_the_committed_results() -> None:
    if not (ROOT / "results").is_dir():
        pytest.skip("the results are not here")
    page = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    assert zoo_table(ResultFolder(ROOT / "results")).markdown() in page
