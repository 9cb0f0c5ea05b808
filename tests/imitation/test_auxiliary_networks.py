"""The auxiliary networks: when they learn, and how they are saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn import DIIQN
from sb3_diiqn.imitation.network_training import NetworkTraining
from tests.helpers import right_walks, walk
from tests.imitation.line_models import CLONE, INVERSE, NETWORKS, PLAIN, learner_of, make, parameters_of


def network_of(model: DIIQN, name: str) -> Any:
    return learner_of(model).networks[name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items())
def test_the_network_and_its_optimizer_are_saved(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    model = make(**arguments).learn(200)
    assert list(learner_of(model).networks) == [name]
    names = {f"imitation.{name}", f"imitation.{name}.optimizer"}
    if not learner_of(model).is_as_published:
        names.add("imitation.averaged_network")
    assert set(model.get_parameters()) == {"policy", "policy.optimizer", *names}
    model.save(tmp_path / "model")
    loaded = PLAIN.load(tmp_path / "model", expert_data=right_walks())
    one, other = network_of(model, name), network_of(loaded, name)
    for before, after in zip(parameters_of(one), parameters_of(other), strict=True):
        np.testing.assert_array_equal(before, after)
    old, new = (network.optimizer.state_dict()["state"] for network in (one, other))
    assert old.keys() == new.keys()
    assert len(old) > 0
    assert loaded.predict(walk([0]))[0].shape == (1,)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items())
def test_a_model_without_its_expert_data_keeps_them_when_it_is_saved_again(
    tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    model = make(**arguments).learn(200)
    model.save(tmp_path / "model")
    without = PLAIN.load(tmp_path / "model")
    assert without.learner is None
    assert without.predict(walk([0]))[0].shape == (1,)
    without.save(tmp_path / "again")
    loaded = PLAIN.load(tmp_path / "again", expert_data=right_walks())
    for before, after in zip(parameters_of(network_of(model, name)), parameters_of(network_of(loaded, name)), strict=True):
        np.testing.assert_array_equal(before, after)
    assert learner_of(loaded).state.n_updates == learner_of(model).state.n_updates > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items())
def test_a_loaded_model_learns_on(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    model = make(**arguments).learn(200)
    model.save(tmp_path / "model")
    loaded = PLAIN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks())
    before = parameters_of(network_of(loaded, name))
    loaded.learn(100, reset_num_timesteps=False)
    after = parameters_of(network_of(loaded, name))
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


def test_the_networks_learn_often_at_first_then_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkTraining, "warm_up", 2)
    monkeypatch.setattr(NetworkTraining, "intervals", (1, 3))
    model = make(**INVERSE, guide="clone", gradient_steps=1, train_freq=1)
    learned: dict[str, list[tuple[int, int]]] = {"action_inference": [], "cloned_policy": []}

    def noted(name: str, batch: tuple[Any, ...]) -> float:
        learned[name].append((learner_of(model).state.n_updates, len(batch[1])))
        return 0.0

    for name in learned:
        network_of(model, name).learn = lambda *batch, name=name: noted(name, batch)
    model.learn(model.learning_starts + 12)
    # one in 1 up to 3, one in 2 up to 5, and one in 3 from then on
    updates = [1, 2, 3, 4, 6, 9, 12]
    assert learned["action_inference"] == [(n, NetworkTraining.batch_size) for n in updates]
    cloned = [(n, NetworkTraining.clone_batch_size) for n in updates for _ in range(NetworkTraining.clone_steps)]
    assert learned["cloned_policy"] == cloned


@pytest.mark.slow
@pytest.mark.parametrize(
    ("saved", "instead"),
    [
        (CLONE, {"guide": "none"}),
        (CLONE, {"guide": "matching"}),
        ({"guide": "matching"}, {"guide": "clone"}),
        (INVERSE, {"inference": "nearest"}),
        ({}, {"inference": "inverse_dynamics"}),
    ],
)
def test_a_loaded_model_can_be_guided_otherwise(tmp_path: Path, saved: dict[str, Any], instead: dict[str, Any]) -> None:
    """A network that is not needed any more is left in the file, one that was not there begins anew."""
    model = make(**saved).learn(200)
    model.save(tmp_path / "model")
    loaded = PLAIN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks(), **instead)
    for one, other in zip(parameters_of(model.q_net), parameters_of(loaded.q_net), strict=True):
        np.testing.assert_array_equal(one, other)
    loaded.learn(100, reset_num_timesteps=False)
    loaded.set_parameters(tmp_path / "model.zip")


def test_a_network_that_begins_anew_in_a_loaded_model_learns_from_every_batch_at_first(tmp_path: Path) -> None:
    model = make(**INVERSE).learn(200)
    model.save(tmp_path / "model")
    loaded = PLAIN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks(), guide="clone")
    assert learner_of(model).state.n_updates > 0
    assert learner_of(loaded).state.n_updates == 0
    assert learner_of(loaded).clone_probabilities(walk([0])) is None


@pytest.mark.slow
@pytest.mark.parametrize("exact_match", [False, True])
def test_parameters_without_the_networks_leave_them_as_they_are(exact_match: bool) -> None:
    model = make(**CLONE).learn(200)
    learner = learner_of(model)
    parameters = {key: value for key, value in model.get_parameters().items() if not key.startswith("imitation.")}
    before, n_updates = learner.clone_probabilities(walk([0, 1])), learner.state.n_updates
    assert before is not None
    model.set_parameters(parameters, exact_match=exact_match)
    np.testing.assert_array_equal(learner.clone_probabilities(walk([0, 1])), before)  # type: ignore[arg-type]
    assert learner.state.n_updates == n_updates


def test_a_saved_network_of_another_architecture_is_not_taken() -> None:
    model = make(**INVERSE).learn(200)
    parameters = model.get_parameters()
    parameters["imitation.action_inference"] = {"head.1.weight": th.zeros(1)}
    before = parameters_of(network_of(model, "action_inference"))
    with pytest.warns(UserWarning, match="action_inference is not of this model's architecture"):
        model.set_parameters(parameters)
    for one, other in zip(before, parameters_of(network_of(model, "action_inference")), strict=True):
        np.testing.assert_array_equal(one, other)
