"""The networks beside the Q-network: when they learn, and how they are saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from sb3_diiqn import DIIQN
from tests.diiqn.line_models import CLONE, INVERSE, NETWORKS, make, parameters_of
from tests.helpers import right_walks, walk


@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items())
def test_the_network_and_its_optimizer_are_saved(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    model = make(**arguments).learn(200)
    model.save(tmp_path / "model")
    for data in (right_walks(), None):
        loaded = DIIQN.load(tmp_path / "model", expert_data=data)
        one, other = getattr(model, name), getattr(loaded, name)
        for before, after in zip(parameters_of(one), parameters_of(other), strict=True):
            np.testing.assert_array_equal(before, after)
        old, new = (network.optimizer.state_dict()["state"] for network in (one, other))
        assert old.keys() == new.keys()
        assert len(old) > 0
        assert loaded.predict(walk([0]))[0].shape == (1,)


@pytest.mark.parametrize(("name", "arguments"), NETWORKS.items())
def test_a_loaded_model_learns_on(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    model = make(**arguments).learn(200)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks())
    before = parameters_of(getattr(loaded, name))
    loaded.learn(100, reset_num_timesteps=False)
    after = parameters_of(getattr(loaded, name))
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


def test_the_networks_learn_from_every_batch_at_first_then_ever_more_rarely() -> None:
    model = make(**INVERSE, guide="clone", guidance_share=0.5, gradient_steps=1, train_freq=1)
    model.networks_warm_up, model.networks_interval = 2, 3
    learned: dict[str, list[tuple[int, int]]] = {"inverse_dynamics": [], "cloned_policy": []}
    for name, calls in learned.items():
        getattr(model, name).learn = lambda *batch, calls=calls: calls.append((model._n_batches, len(batch[1])))
    model.learn(model.learning_starts + 12)
    # one in 1 up to 3, one in 2 up to 5, and one in 3 from then on
    updates = [1, 2, 3, 4, 6, 9, 12]
    assert learned["inverse_dynamics"] == [(n, 16) for n in updates]
    assert learned["cloned_policy"] == [(n, 128) for n in updates]


@pytest.mark.parametrize(
    ("saved", "instead"),
    [
        (CLONE, {"guidance_share": 0.0}),
        (CLONE, {"guide": "matching"}),
        ({"guidance_share": 0.5}, {"guide": "clone"}),
        (INVERSE, {"inference": "nearest"}),
        ({}, {"inference": "inverse_dynamics"}),
    ],
)
def test_a_loaded_model_can_be_guided_otherwise(tmp_path: Path, saved: dict[str, Any], instead: dict[str, Any]) -> None:
    """A network that is not needed any more is left in the file, one that was not there begins anew."""
    model = make(**saved).learn(200)
    model.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=model.get_env(), expert_data=right_walks(), **instead)
    for one, other in zip(parameters_of(model.q_net), parameters_of(loaded.q_net), strict=True):
        np.testing.assert_array_equal(one, other)
    loaded.learn(100, reset_num_timesteps=False)
    loaded.set_parameters(tmp_path / "model.zip")


@pytest.mark.parametrize("exact_match", [False, True])
def test_parameters_without_the_networks_leave_them_as_they_are(exact_match: bool) -> None:
    model = make(**CLONE).learn(200)
    parameters = {key: value for key, value in model.get_parameters().items() if not key.startswith("cloned_policy")}
    before, n_batches = model.clone_probabilities(walk([0, 1])), model._n_batches
    assert before is not None
    model.set_parameters(parameters, exact_match=exact_match)
    np.testing.assert_array_equal(model.clone_probabilities(walk([0, 1])), before)
    assert model._n_batches == n_batches


def test_a_saved_network_of_another_architecture_is_not_taken(tmp_path: Path) -> None:
    model = make(**INVERSE).learn(200)
    parameters = model.get_parameters()
    parameters["inverse_dynamics"] = {"head.1.weight": th.zeros(1)}
    before = parameters_of(model.inverse_dynamics)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="inverse_dynamics is not of this model's architecture"):
        model.set_parameters(parameters)
    for one, other in zip(before, parameters_of(model.inverse_dynamics), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(one, other)
