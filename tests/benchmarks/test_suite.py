"""Suites: what they stand for, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from stable_baselines3 import DQN

from benchmarks import algorithms
from benchmarks.__main__ import main
from benchmarks.cell import model_of
from benchmarks.runner import check_runnable
from benchmarks.suite import SUITES, Suite, load_suite, overlaid, parse_suite
from sb3_diiqn import PAPER
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.record import record_expert

MINIMAL = """
seeds: 2
evaluation: {every: 100}
environments:
  CartPole-v1:
    n_timesteps: 1000
    settings: {policy: MlpPolicy, learning_rate: 1e-3, gamma: 0.9}
    expert: {kind: train, share: 0.5, n_steps: 200, epsilon: 0.1}
algorithms:
  dqn:
  diiqn: {settings: {gamma: 0.95}}
"""


def _source() -> dict[str, Any]:
    source: dict[str, Any] = yaml.safe_load(MINIMAL)
    return source


def _suite(**changes: Any) -> Suite:
    return parse_suite("small", _source() | changes)


def test_defaults_and_order() -> None:
    suite = _suite()
    assert [str(cell) for cell in suite.cells()] == [
        "CartPole-v1 dqn default seed 0",
        "CartPole-v1 diiqn default seed 0",
        "CartPole-v1 dqn default seed 1",
        "CartPole-v1 diiqn default seed 1",
    ]
    cell = suite.cells()[0]
    assert cell.path == Path("CartPole-v1/dqn/default/seed-0.json")
    assert cell.settings == {
        "class": "dqn",
        "id": "CartPole-v1",
        "env_kwargs": {},
        "n_envs": 1,
        "n_timesteps": 1000,
        "settings": {"policy": "MlpPolicy", "learning_rate": 1e-3, "gamma": 0.9},
        "evaluation": {"every": 100, "episodes": 10, "max_steps": 10_000},
        "expert": None,
    }
    assert cell.expert is None


def test_settings_are_laid_over_each_other() -> None:
    variations = {"default": None, "gamma": {"algorithms": ["diiqn"], "settings": {"gamma": 0.5}}}
    suite = _suite(variations=variations, seeds=[7])
    assert {(cell.algorithm, cell.variation): cell.settings["settings"]["gamma"] for cell in suite.cells()} == {
        ("dqn", "default"): 0.9,
        ("diiqn", "default"): 0.95,
        ("diiqn", "gamma"): 0.5,
    }


def test_dictionaries_of_our_own_are_merged_one_level_deep_and_others_replaced() -> None:
    base = {
        "matching_kwargs": {"n_neighbors": 3, "similarity_metric": {"a": 1}},
        "policy_kwargs": {"net_arch": [8]},
        "gamma": 0.5,
    }
    changes = {
        "matching_kwargs": {"similarity_metric": {"b": 2}},
        "bridge_kwargs": {"bridge_gain": 2},
        "policy_kwargs": {"n_quantiles": 5},
    }
    assert overlaid(base, changes) == {
        "matching_kwargs": {"n_neighbors": 3, "similarity_metric": {"b": 2}},
        "bridge_kwargs": {"bridge_gain": 2},
        "policy_kwargs": {"n_quantiles": 5},
        "gamma": 0.5,
    }
    assert overlaid(base, {"matching_kwargs": None})["matching_kwargs"] is None
    assert base["matching_kwargs"] == {"n_neighbors": 3, "similarity_metric": {"a": 1}}, "it is left as it was"


def test_a_variation_changes_one_key_of_what_its_algorithm_has() -> None:
    algorithms = {"diiqn": {"settings": {"matching_kwargs": {"n_neighbors": 3, "usefulness_beta": 2}}}}
    variations = {"default": None, "near": {"settings": {"matching_kwargs": {"n_neighbors": 1}}}}
    default, near = (
        cell.settings["settings"]["matching_kwargs"]
        for cell in _suite(seeds=1, algorithms=algorithms, variations=variations).cells()
    )
    assert (default, near) == ({"n_neighbors": 3, "usefulness_beta": 2}, {"n_neighbors": 1, "usefulness_beta": 2})


def test_algorithms_and_variations_for_some_environments_only() -> None:
    line = {**_source()["environments"]["CartPole-v1"], "id": "CartPole-v1"}
    suite = _suite(
        environments=dict.fromkeys(("one", "two", "three"), line),
        algorithms={"dqn": {}, "diiqn": {"environments": ["one", "two"]}},
        variations={"default": {}, "wide": {"algorithms": ["diiqn"], "environments": ["two", "three"]}},
    )
    assert list(suite.combinations()) == [
        ("one", "dqn", "default"),
        ("one", "diiqn", "default"),
        ("two", "dqn", "default"),
        ("two", "diiqn", "default"),
        ("two", "diiqn", "wide"),
        ("three", "dqn", "default"),
    ]


def test_experts_are_laid_over_each_other() -> None:
    algorithms = {"dqn": {}, "diiqn": {}, "control": {"class": "diiqn", "expert": {"kind": "random"}}}
    algorithms["given"] = {"class": "diiqn", "expert": {"kind": "file", "path": "data.npz"}}
    suite = _suite(
        algorithms=algorithms, variations={"default": {}, "less": {"expert": {"n_steps": 20}, "algorithms": ["diiqn"]}}
    )
    recipes = {(cell.algorithm, cell.variation): cell.expert for cell in suite.cells() if cell.seed == 0}
    full, less, control, given = (
        recipes[key] for key in (("diiqn", "default"), ("diiqn", "less"), ("control", "default"), ("given", "default"))
    )
    assert full and less and control and given and recipes["dqn", "default"] is None
    assert full.settings["training"]["settings"]["gamma"] == 0.9, "an expert has the environment's settings"
    assert full.settings["training"] == less.settings["training"]
    assert (full.settings["n_steps"], less.settings["n_steps"]) == (200, 20)
    assert full.name != less.name
    assert "training" not in control.settings
    assert (control.settings["n_steps"], control.settings["epsilon"]) == (200, 0.1)
    assert given.settings == {"kind": "file", "path": "data.npz"}


def test_expert_in_another_environment() -> None:
    source = _source()
    source["environments"]["CartPole-v1"] |= {
        "env_kwargs": {"a": 1, "b": 1},
        "expert": {"kind": "random", "n_steps": 5, "env_kwargs": {"b": 2}},
    }
    cell = parse_suite("small", source).cells()[1]
    assert cell.settings["env_kwargs"] == {"a": 1, "b": 1}
    assert cell.expert is not None
    assert cell.expert.settings["env_kwargs"] == {"a": 1, "b": 2}


def test_hash_tells_settings_apart() -> None:
    first, second = _suite().cells()[1], _suite().cells()[1]
    assert first.settings_hash == second.settings_hash
    for changes in ({"evaluation": {"every": 50}}, {"algorithms": {"dqn": {}, "diiqn": {"settings": {"gamma": 0.951}}}}):
        assert _suite(**changes).cells()[1].settings_hash != first.settings_hash
    source = _source()
    source["environments"]["CartPole-v1"]["solved"] = 400
    assert parse_suite("small", source).cells()[1].settings_hash == first.settings_hash, "a criterion changes no training"


ENVIRONMENT = ("environments", "CartPole-v1")


@pytest.mark.parametrize(
    ("path", "value", "fragments"),
    [
        (("seeds",), 0, ("'seeds'", "0 given", "at least 1")),
        (("seeds",), [1, 1], ("'seeds'", "[1, 1]", "every seed once")),
        (("seeds",), [-1], ("'seeds'", "[-1]")),
        (("seeds",), "three", ("'seeds'", "'three'", "a whole number or a list")),
        (("seeds",), None, ("'seeds'", "None")),
        (("sedes",), 3, ("'sedes'", "unknown", "did you mean 'seeds'")),
        (("evaluation", "every"), 0, ("'evaluation.every'", "0 given", "at least 1")),
        (("evaluation", "every"), True, ("'evaluation.every'", "True")),
        (("evaluation", "episode"), 3, ("'evaluation.episode'", "did you mean 'episodes'")),
        (("environments",), {}, ("'environments'", "empty")),
        (("environments",), [1], ("'environments'", "[1]", "a mapping")),
        ((*ENVIRONMENT, "n_timestep"), 5, ("'environments.CartPole-v1.n_timestep'", "did you mean 'n_timesteps'")),
        ((*ENVIRONMENT, "n_timesteps"), 2.5, ("'environments.CartPole-v1.n_timesteps'", "2.5", "a whole number")),
        ((*ENVIRONMENT, "n_envs"), -1, ("n_envs", "-1")),
        ((*ENVIRONMENT, "solved"), "yes", ("solved", "'yes'", "a number")),
        ((*ENVIRONMENT, "settings"), {"gamma": 0.9}, ("settings.policy", "None", "MlpPolicy")),
        ((*ENVIRONMENT, "settings"), None, ("settings", "None", "a mapping")),
        (("environments", "MinAtar/Breakout-v1"), {}, ("'MinAtar/Breakout-v1'", "under 'id'")),
        (("algorithms", "ddqn"), {}, ("'algorithms.ddqn.class'", "'ddqn'", "dqn, dqn-averaged, diiqn, diiqn-paper, hadiiqn")),
        (("algorithms", "dqn"), {"gamma": 0.9}, ("'algorithms.dqn.gamma'", "0.9", "settings")),
        (("variations",), {"v": {"algorithms": ["rainbow"]}}, ("'variations.v.algorithms'", "'rainbow'", "dqn, diiqn")),
        (("variations",), {"v": {"environments": ["Pong"]}}, ("'variations.v.environments'", "'Pong'", "CartPole-v1")),
        (("algorithms", "dqn"), {"environments": "CartPole-v1"}, ("'algorithms.dqn.environments'", "a list")),
        (("variations",), {"v": {"setting": {}}}, ("'variations.v.setting'", "did you mean 'settings'")),
        ((*ENVIRONMENT, "expert", "kind"), "human", ("expert.kind", "'human'", "train, policy, random, file")),
        ((*ENVIRONMENT, "expert", "n_steps"), 0, ("expert.n_steps", "0 given")),
        ((*ENVIRONMENT, "expert", "epsilon"), 1.5, ("expert.epsilon", "1.5", "[0, 1]")),
        ((*ENVIRONMENT, "expert", "path"), "x.npz", ("expert.path", "unknown", "'x.npz'")),
        ((*ENVIRONMENT, "expert"), {"kind": "policy", "n_steps": 5}, ("expert.policy", "missing")),
        ((*ENVIRONMENT, "expert"), {"kind": "train", "n_steps": 5, "final_return": 3}, ("expert.share", "None")),
        (("variations",), {"v": {"expert": {"n_step": 3}}}, ("CartPole-v1, dqn, v: expert.n_step", "did you mean 'n_steps'")),
    ],
)
def test_bad_suite(path: tuple[str, ...], value: Any, fragments: tuple[str, ...]) -> None:
    source = copy.deepcopy(_source())
    place = source
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ConfigurationError) as caught:
        parse_suite("small", source)
    for fragment in ("Suite 'small'", *fragments):
        assert fragment in str(caught.value)


@pytest.mark.parametrize("key", ["seeds", "evaluation", "environments", "algorithms"])
def test_missing_key(key: str) -> None:
    source = _source()
    del source[key]
    with pytest.raises(ConfigurationError, match=f"Suite 'small', key '{key}': it is missing"):
        parse_suite("small", source)


def test_missing_expert() -> None:
    source = _source()
    del source["environments"]["CartPole-v1"]["expert"]
    with pytest.raises(ConfigurationError, match=r"'environments\.CartPole-v1\.expert': it is missing, and 'diiqn' needs it"):
        parse_suite("small", source)
    parse_suite("small", source | {"algorithms": {"dqn": {}}})


@pytest.mark.parametrize("source", [None, [], "text", {1: 2}])
def test_no_mapping(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="Suite 'small', top level"):
        parse_suite("small", source)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert load_suite(str(path)).name == "mine"
    with pytest.raises(ConfigurationError, match=r"'nothing'.*one of .*demo"):
        load_suite("nothing")
    with pytest.raises(ConfigurationError, match=r"absent\.yml.*cannot be read"):
        load_suite(str(tmp_path / "absent.yml"))
    path.write_text("seeds: [1", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"mine\.yml.*no valid yml"):
        load_suite(str(path))
    path.write_text("seeds: !!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"mine\.yml.*no valid yml"):
        load_suite(str(path))


@pytest.mark.parametrize("name", [path.stem for path in SUITES.glob("*.yml")])
def test_shipped_suites_are_valid(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert len(suite.cells()) == len(suite.seeds) * len(list(suite.combinations()))


class Own(DQN):
    """An algorithm that somebody brings along."""

    def __init__(self, *args: Any, expert_data: Any = None, courage: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expert_data, self.courage = expert_data, courage


def test_own_algorithm(tmp_path: Path) -> None:
    own = {"class": "tests.benchmarks.test_suite:Own", "settings": {"courage": 0.5}}
    on_policy = {"class": "stable_baselines3:PPO", "own_settings": True, "settings": {"n_steps": 32}}
    suite = parse_suite("mine", _source() | {"algorithms": {"dqn": {}, "own": own, "ppo": on_policy}})
    check_runnable(suite)
    dqn, cell, ppo = suite.cells()[:3]
    assert cell.settings["class"] == "tests.benchmarks.test_suite:Own" and cell.expert == suite.expert("CartPole-v1")
    assert cell.settings["settings"] == dqn.settings["settings"] | {"courage": 0.5}
    assert ppo.expert is None and ppo.settings["settings"] == {"policy": "MlpPolicy", "n_steps": 32}
    model = model_of(cell, "somewhere.npz")
    assert isinstance(model, Own) and (model.expert_data, model.courage) == ("somewhere.npz", 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.benchmarks.test_suite:Absent", "Absent"),
        ("no_such_module:Class", "no_such_module"),
        ("tests.benchmarks.test_suite:_source", "derived from Stable-Baselines3's BaseAlgorithm"),
    ],
)
def test_bad_own_algorithm(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"'algorithms\.own\.class'.*{message}"):
        parse_suite("mine", _source() | {"algorithms": {"own": {"class": name}}})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("diiqn", {"inference": "auto", "guide": "auto", "imitation_coef": 1.0}),
        ("diiqn-paper", PAPER),
        ("hadiiqn", {"inference": "auto", "guide": "auto", "imitation_coef": 1.0}),
        ("hadiiqn-paper", PAPER),
    ],
)
def test_names_are_those_of_python(name: str, arguments: dict[str, Any]) -> None:
    """Without further settings, the class with its defaults; the published method has its name."""
    source = _source() | {"algorithms": {name: {}}}
    model: Any = model_of(
        parse_suite("names", source).cells()[0], record_expert("CartPole-v1", n_steps=20, seed=0).expert_data
    )
    assert type(model).__name__ == name.removesuffix("-paper").upper()
    assert {argument: getattr(model, argument) for argument in arguments} == arguments


def test_the_published_method_is_that_of_the_package() -> None:
    assert algorithms.PAPER == PAPER


def test_help_lists_the_suites(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    listed = {
        line.split()[0] for line in capsys.readouterr().out.partition("The suites here:")[2].splitlines() if line.strip()
    }
    assert {path.stem for path in SUITES.glob("*.yml")} <= listed
