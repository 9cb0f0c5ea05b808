"""Recordings and models go to the Hub and come back. The Hub is a folder here: nothing is sent anywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml

import sb3_diiqn
from sb3_diiqn import DIIQN, HADIIQN, datasets, hub
from sb3_diiqn.exceptions import ConfigurationError, ExpertDataError, MissingDependencyError, MissingExpertDataError
from sb3_diiqn.expert.given import index_path, load_expert
from sb3_diiqn.expert.storage import is_there
from sb3_diiqn.info import described
from sb3_diiqn.record import make_environment, record_expert, write_actions

huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

NAME = "me/cartpole"
SHORT: dict[str, Any] = {"learning_starts": 10, "buffer_size": 500, "seed": 0, "device": "cpu"}


def raised(name: str, text: str = "404") -> Exception:
    """An error of the Hub, whose constructor differs between versions."""
    kind = getattr(errors, name)
    error: Exception = kind.__new__(kind, text)
    return error


class FakeHub:
    """
    What is used of the Hub, with a folder for each revision of each repository: ``dataset/me/cartpole/main/expert.npz``.

    :param folder: of all repositories
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.downloads: list[str] = []
        self.private: dict[str, bool] = {}
        self.failure: Exception | None = None

    def _revision(self, repo_id: str, repo_type: str, revision: str | None) -> Path:
        repository = self.folder / repo_type / repo_id
        if not repository.is_dir():
            raise raised("RepositoryNotFoundError")
        if not (repository / (revision or "main")).is_dir():
            raise raised("RevisionNotFoundError")
        return repository / (revision or "main")

    def _answer(self) -> None:
        if self.failure is not None:
            raise self.failure

    def hf_hub_download(self, repo_id: str, filename: str, *, repo_type: str, revision: str | None = None) -> str:
        self._answer()
        path = self._revision(repo_id, repo_type, revision) / filename
        if not path.is_file():
            raise raised("EntryNotFoundError")
        self.downloads.append(filename)
        return str(path)

    def list_repo_files(self, repo_id: str, *, repo_type: str, revision: str | None = None) -> list[str]:
        folder = self._revision(repo_id, repo_type, revision)
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        self._answer()
        assert exist_ok
        self.private.setdefault(repo_id, private)
        (self.folder / repo_type / repo_id / "main").mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id: str, folder_path: str, repo_type: str, commit_message: str) -> None:
        assert commit_message
        shutil.copytree(folder_path, self._revision(repo_id, repo_type, None), dirs_exist_ok=True)

    def files(self, repo_id: str, repo_type: str = "dataset") -> list[str]:
        return sorted(self.list_repo_files(repo_id, repo_type=repo_type))

    def card(self, repo_id: str, repo_type: str = "dataset") -> tuple[dict[str, Any], str]:
        """Its metadata and its text."""
        text = (self.folder / repo_type / repo_id / "main" / "README.md").read_text(encoding="utf-8")
        empty, metadata, body = text.split("---\n", 2)
        assert empty == ""
        return yaml.safe_load(metadata), body


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "remote")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return fake


def table(card: str) -> dict[str, str]:
    rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ") and len(line) > 5]
    return dict(rows)


# Recordings


def test_a_recording_comes_back_as_it_was(remote: FakeHub) -> None:
    data = record_expert("CartPole-v1", n_steps=60, seed=0, output="mine.npz").expert_data
    assert hub.push_recording("mine", NAME, facts={"env_id": "CartPole-v1"}) == f"hub:{NAME}"
    assert remote.files(NAME) == ["README.md", "expert.npz"] and remote.private == {NAME: False}
    for name in (NAME, f"hub:{NAME}", f"{NAME}/expert.npz", f"hub:{NAME}/expert.npz@main"):
        assert hub.load_recording(name).content_hash == data.content_hash
    assert load_expert(["builtin:cartpole", f"hub:{NAME}"]).n_transitions == 5060
    assert is_there(f"hub:{NAME}")
    assert index_path(f"hub:{NAME}", "0123456789") is None, "nothing is kept in the cache of another package"
    assert dict(described(f"hub:{NAME}"))["content hash"] == data.content_hash


def test_only_observations_and_rewards_go_out(remote: FakeHub) -> None:
    observations = np.zeros((4, 2), np.float32)
    secret = {"acts": np.ones(4), "infos": np.array([{"path": "of mine"}], dtype=object)}
    np.savez("mine.npz", observations=observations, episode_starts=[1, 0, 1, 0], **secret)
    hub.push_recording("mine.npz", NAME, private=True)
    with zipfile.ZipFile(remote.folder / "dataset" / NAME / "main" / "expert.npz") as file:
        assert sorted(file.namelist()) == ["observations.npy", "offsets.npy", "schema_version.npy", "terminated.npy"]
    assert remote.private == {NAME: True}
    metadata, text = remote.card(NAME)
    assert "license" not in metadata and "mean return" not in table(text)
    assert table(text)["observations"] == "float32 (2,)"


def test_a_pickle_is_refused_on_both_ways(remote: FakeHub, tmp_path: Path) -> None:
    Path("mine.npz").write_bytes(b"\x80\x04.")
    with pytest.raises(ExpertDataError, match="is a pickle"):
        hub.push_recording("mine.npz", NAME)
    remote.create_repo(NAME, repo_type="dataset", private=False, exist_ok=True)
    shutil.copy("mine.npz", remote.folder / "dataset" / NAME / "main" / "expert.npz")
    with pytest.raises(ExpertDataError, match="is a pickle"):
        hub.load_recording(NAME)


def test_actions_go_out_if_they_are_named(remote: FakeHub) -> None:
    recording = record_expert("CartPole-v1", n_steps=30, seed=0, output="mine.npz")
    write_actions("actions-of-mine.npz", recording.actions, recording.expert_data)
    hub.push_recording("mine.npz", NAME, actions="actions-of-mine.npz")
    assert remote.files(NAME) == ["README.md", "actions.npz", "expert.npz"]
    assert "`actions.npz` has what the expert did" in remote.card(NAME)[1]

    with pytest.raises(ConfigurationError, match=r"the actions in actions-of-mine.npz are of other data"):
        hub.push_recording("builtin:cartpole", NAME, actions="actions-of-mine.npz")
    with pytest.raises(ConfigurationError, match="mine.npz cannot be read as actions"):
        hub.push_recording("mine.npz", NAME, actions="mine.npz")


def test_the_card_says_what_the_manifest_says(remote: FakeHub) -> None:
    said = datasets.describe("maze")
    assert hub.push_recording("builtin:maze", NAME) == f"hub:{NAME}"
    metadata, text = remote.card(NAME)
    assert metadata["license"] == "mit" and metadata["task_categories"] == ["reinforcement-learning"]
    assert {"imitation-from-observation", said["env_id"]} <= set(metadata["tags"])
    rows = table(text)
    assert (rows["environment"], rows["wrappers"], rows["expert"]) == (said["env_id"], said["wrappers"], said["expert"])
    assert rows["its arguments"] == "layout paper, actions NESW, max_episode_steps 100"
    assert rows["mean return"] == "0.4731 +- 0.2725 over 39 episodes"
    assert rows["transitions"].startswith("2000, in ") and rows["seed"] == "0"
    assert (rows["made by"], rows["content hash"]) == (said["made_by"], said["content_hash"])
    assert f'ExpertObservations.load("hub:{NAME}")' in text


def test_a_manifest_of_the_zoo_and_facts_of_ones_own(remote: FakeHub) -> None:
    data = record_expert("CartPole-v1", n_steps=30, seed=0, output="mine.npz").expert_data
    manifest = {"environment": "CartPole-v1", "settings": {"epsilon": 0.1}, "policy": {"greedy_return": 250.0, "steps": 900}}
    manifest |= {"mean_return": 200.0, "std_return": None, "n_episodes": 3, "content_hash": data.content_hash}
    Path("mine.json").write_text(json.dumps(manifest))
    hub.push_recording("mine.npz", NAME, license="cc0-1.0", facts={"wrappers": "none | at all", "n_episodes": None})
    metadata, text = remote.card(NAME)
    rows = table(text.replace("\\|", "/"))
    assert metadata["license"] == "cc0-1.0"
    assert (rows["environment"], rows["random actions"], rows["mean return"]) == ("CartPole-v1", "0.1", "200")
    assert (rows["expert"], rows["wrappers"]) == ("greedy_return 250.0, steps 900", "none / at all")

    Path("mine.json").write_text(json.dumps(manifest | {"content_hash": "another"}))
    with pytest.raises(ConfigurationError, match="the manifest beside mine.npz is of other data"):
        hub.push_recording("mine.npz", NAME)
    hub.push_recording(data, NAME)
    assert "environment" not in table(remote.card(NAME)[1]), "data in memory have no manifest"


@pytest.mark.parametrize("manifest", ["[1]", "{", '{"settings": 3}'])
def test_other_files_beside_a_recording(manifest: str, remote: FakeHub) -> None:
    record_expert("CartPole-v1", n_steps=30, seed=0, output="mine.npz")
    Path("mine.json").write_text(manifest)
    Path("manifest.json").write_text(manifest)
    hub.push_recording("mine.npz", NAME)
    assert remote.files(NAME) == ["README.md", "expert.npz"]


# Learning from what is on the Hub


def test_learn_save_and_learn_on(remote: FakeHub) -> None:
    hub.push_recording("builtin:cartpole", NAME)
    model = DIIQN("MlpPolicy", "CartPole-v1", expert_data=f"hub:{NAME}", **SHORT).learn(60)
    assert model.expert is not None and len(model.expert) == 5000
    model.save("model")
    loaded = DIIQN.load("model", env=model.get_env())
    assert loaded.expert is not None and loaded.expert.content_hash == datasets.describe("cartpole")["content_hash"]
    loaded.learn(20, reset_num_timesteps=False)
    assert loaded.num_timesteps == 80
    assert [path.name for path in Path().iterdir()] == ["model.zip"]


def test_other_algorithms(remote: FakeHub) -> None:
    hub.push_recording("builtin:maze-king", NAME)
    with make_environment("sb3_diiqn/Maze2D-v0", **datasets.describe("maze")["env_kwargs"]) as env:
        HADIIQN("MlpPolicy", env, expert_data=f"hub:{NAME}", **SHORT).learn(60)


@pytest.mark.parametrize("missing", ["network", "package"])
def test_a_model_predicts_where_the_recording_cannot_be_had(
    missing: str, remote: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push_recording("builtin:cartpole", NAME)
    model = DIIQN("MlpPolicy", "CartPole-v1", expert_data=f"hub:{NAME}", **SHORT)
    model.save("model")
    remote.failure = raised("LocalEntryNotFoundError")
    if missing == "package":
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    reason = "the Hub cannot be reached" if missing == "network" else r"sb3-diiqn\[huggingface\]"
    with pytest.warns(UserWarning, match=f"cannot learn, only predict.*{reason}"):
        loaded = DIIQN.load("model", env=model.get_env())
    observation = np.zeros(4, np.float32)
    assert loaded.predict(observation, deterministic=True)[0] == model.predict(observation, deterministic=True)[0]
    with pytest.raises(MissingExpertDataError, match=reason):
        loaded.learn(10)


# Models


def qrdiiqn() -> Any:
    pytest.importorskip("sb3_contrib")
    return sb3_diiqn.QRDIIQN


@pytest.mark.parametrize("name", ["DIIQN", "HADIIQN", "QRDIIQN"])
def test_a_model_comes_back_as_it_was(name: str, remote: FakeHub) -> None:
    algorithm = qrdiiqn() if name == "QRDIIQN" else getattr(sb3_diiqn, name)
    env = gymnasium.make("CartPole-v1")
    model = algorithm("MlpPolicy", env, expert_data="builtin:cartpole", **SHORT).learn(40)
    model.save("model")
    short = f"me/{name.lower()}-CartPole-v1"
    pushed = hub.push_model("model", short, env_id="CartPole-v1", mean_return=480.25, std_return=3.0, license="mit")
    assert pushed == f"{short}/{name.lower()}-CartPole-v1.zip"
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    wanted, _ = model.predict(observations, deterministic=True)
    for source in (pushed, short, f"hub:{short}@main"):
        loaded = hub.load_model(algorithm, source, device="cpu")
        assert type(loaded) is algorithm
        assert np.array_equal(loaded.predict(observations, deterministic=True)[0], wanted)
    hub.load_model(algorithm, pushed, env=env).learn(20, reset_num_timesteps=False)

    metadata, text = remote.card(short, "model")
    (found,) = metadata["model-index"]
    assert (metadata["library_name"], metadata["license"], found["name"]) == ("stable-baselines3", "mit", name)
    assert found["results"][0]["metrics"][0]["value"] == "480.25 +/- 3.00"
    assert {"CartPole-v1", "stable-baselines3", "deep-reinforcement-learning"} <= set(metadata["tags"])
    rows = table(text)
    assert (rows["algorithm"], rows["environment"]) == (name, "CartPole-v1")
    assert rows["mean greedy return"] == "480.25 +/- 3.00" and rows["trained for"].startswith("40 steps")
    assert "Stable-Baselines3: " in rows["saved with"] and f"sb3_diiqn {sb3_diiqn.__version__}" in rows["pushed with"]
    export = "to_qrdqn" if name == "QRDIIQN" else "to_dqn"
    assert f"model.{export}()" in text and hasattr(model, export)
    assert f'hub.load_model({name}, "{pushed}")' in text and "can execute code" in text


@pytest.mark.parametrize("env_id", ["CartPole-v1", "sb3_diiqn/Maze2D-v0", "my_module:mine/Env-v0"])
def test_files_are_named_as_huggingface_sb3_names_them(env_id: str, remote: FakeHub) -> None:
    naming = pytest.importorskip("huggingface_sb3.naming_schemes")
    DIIQN("MlpPolicy", "CartPole-v1", **SHORT).save("model.zip")
    pushed = hub.push_model("model.zip", "me/model", env_id=env_id)
    assert pushed == f"me/model/{naming.ModelName('diiqn', naming.EnvironmentName(env_id)).filename}"
    assert remote.files("me/model", "model") == sorted(["README.md", pushed.rpartition("/")[2]])
    metadata, text = remote.card("me/model", "model")
    assert "model-index" not in metadata and "mean greedy return" not in table(text)


def test_huggingface_sb3_finds_a_model(remote: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    others = pytest.importorskip("huggingface_sb3")
    monkeypatch.setenv("TRUST_REMOTE_CODE", "True")
    monkeypatch.setattr(
        huggingface_hub,
        "hf_hub_download",
        lambda repo_id, filename, **_: remote.hf_hub_download(repo_id, filename, repo_type="model"),
    )
    DIIQN("MlpPolicy", "CartPole-v1", **SHORT).save("model.zip")
    hub.push_model("model.zip", "me/model", env_id="CartPole-v1")
    DIIQN.load(others.load_from_hub("me/model", "diiqn-CartPole-v1.zip"))


def test_other_models_are_refused(remote: FakeHub) -> None:
    DIIQN("MlpPolicy", "CartPole-v1", **SHORT).to_dqn().save("dqn.zip")
    with pytest.raises(ConfigurationError, match="expected DIIQN, HADIIQN or QRDIIQN, others have huggingface_sb3"):
        hub.push_model("dqn.zip", "me/dqn", env_id="CartPole-v1")
    with pytest.raises(ConfigurationError, match="cannot be read as a saved model"):
        hub.push_model("nothing", "me/dqn", env_id="CartPole-v1")
    assert not remote.folder.exists()


# What goes wrong


@pytest.mark.parametrize("name", ["", "cartpole", "me/", "/cartpole", "me/cartpole/", "me/cartpole@", "me/car tpole", "../me"])
def test_malformed_names(name: str, remote: FakeHub) -> None:
    expected = "is no name on the Hub: expected hub:user/repository or hub:user/repository/file"
    with pytest.raises(ExpertDataError, match=rf"{expected}\.npz, .* write './hub:"):
        load_expert(f"hub:{name}")
    with pytest.raises(ConfigurationError, match=rf"{expected}\.zip, optionally with @revision at its end$"):
        hub.load_model(DIIQN, name)
    with pytest.raises(ConfigurationError, match="is no repository on the Hub: expected user/repository"):
        hub.push_recording("builtin:cartpole", name)


def test_what_is_not_there(remote: FakeHub) -> None:
    hub.push_recording("builtin:cartpole", NAME)
    DIIQN("MlpPolicy", "CartPole-v1", **SHORT).save("model.zip")
    hub.push_model("model.zip", "me/model", env_id="CartPole-v1")
    for source, message in {
        "me/pong": "the Hub has no dataset repository 'me/pong', or shows it to others only: check the name, or log in",
        f"{NAME}/other.npz": f"the dataset repository '{NAME}' has no file 'other.npz': name hub:{NAME}/expert.npz$",
        f"{NAME}@v2": f"the dataset repository '{NAME}' has no revision 'v2': name a branch",
        # recordings and models are in repositories of their own
        "me/model": "the Hub has no dataset repository 'me/model'",
    }.items():
        with pytest.raises(ExpertDataError, match=message):
            load_expert(f"hub:{source}")
    with pytest.raises(ConfigurationError, match=r"has no file 'model.zip': name hub:me/model/diiqn-CartPole-v1.zip$"):
        hub.load_model(DIIQN, "me/model")
    with pytest.raises(ConfigurationError, match="the Hub has no model repository 'me/cartpole'"):
        hub.load_model(DIIQN, NAME)
    (remote.folder / "dataset" / NAME / "main" / "expert.npz").unlink()
    with pytest.raises(ExpertDataError, match=r"has no file 'expert.npz': it has no .npz at all"):
        hub.load_recording(NAME)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (raised("LocalEntryNotFoundError"), "the Hub cannot be reached, and 'expert.npz' of the dataset repository"),
        (ConnectionError("no\nroute"), r"cannot be loaded \(ConnectionError: no route\)$"),
    ],
)
def test_without_a_network(failure: Exception, message: str, remote: FakeHub) -> None:
    remote.failure = failure
    with pytest.raises(ExpertDataError, match=message):
        load_expert(f"hub:{NAME}")


def test_the_hub_refuses_what_is_pushed(remote: FakeHub) -> None:
    remote.failure = ConnectionError("403, forbidden")
    with pytest.raises(
        ConfigurationError, match=r"pushed to 'me/cartpole' \(ConnectionError: 403.*log in with 'hf auth login'"
    ):
        hub.push_recording("builtin:cartpole", NAME)


@pytest.mark.parametrize(
    "use",
    [
        lambda: hub.load_recording(NAME),
        lambda: hub.push_recording("builtin:cartpole", NAME),
        lambda: hub.load_model(DIIQN, NAME),
    ],
)
def test_without_the_package(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"'huggingface_hub' .* pip install 'sb3-diiqn\[huggingface\]'"):
        use()


def test_the_package_is_imported_only_if_it_is_used() -> None:
    code = "import sys, sb3_diiqn.hub; from sb3_diiqn.expert.given import load_expert; load_expert('builtin:maze'); "
    subprocess.run([sys.executable, "-c", f"{code}assert 'huggingface_hub' not in sys.modules"], check=True)
