"""The cards that the Hub shows of recordings and models: what is known of them, and how to load them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sb3_diiqn.expert import ExpertObservations
from sb3_diiqn.expert.manifest import versions
from sb3_diiqn.expert.types import describe

ACTIONS = "actions.npz"
#: Rows of a recording's card, and the keys of manifests that they are taken from, the first that is there.
FACTS = {
    "environment": ("env_id", "environment"),
    "its arguments": ("env_kwargs",),
    "wrappers": ("wrappers",),
    "expert": ("expert", "policy"),
    "random actions": ("epsilon",),
    "seed": ("seed",),
    "made by": ("made_by",),
    "made with": ("made_with", "versions"),
}
UNSAID: tuple[Any, ...] = (None, "", {})
TAGS = ("reinforcement-learning", "imitation-learning", "stable-baselines3", "sb3-diiqn")

RECORDING_CARD = """\
# Observations of an expert in {environment}

Observations of an expert{rewards}, without its actions, for implicit imitation.

{table}

## Format

`expert.npz` has plain arrays and no pickled objects. `observations` (or `observations/NAME` for each key) are those of all
trajectories, one after the other. Trajectory m is `observations[offsets[m]:offsets[m + 1]]`. `terminated` says which
trajectories really ended. `rewards`, if they are there, has one number for each transition.{actions}

## How to load it

```python
from sb3_diiqn import DIIQN, ExpertObservations

data = ExpertObservations.load("{name}")
model = DIIQN("MlpPolicy", env, expert_data="{name}")
```

This needs `sb3-diiqn[huggingface]`. Nothing in the file is executed.
"""

MODEL_CARD = """\
# {algorithm} in {environment}

{algorithm} is an algorithm of sb3_diiqn: Q-learning of Stable-Baselines3 that learns from what an expert saw.

{table}

## How to load it

```python
from sb3_diiqn import {algorithm}, hub

model = hub.load_model({algorithm}, "{name}")
action, _ = model.predict(observation, deterministic=True)
```

This needs `sb3-diiqn[huggingface]`. Loading a model unpickles parts of it, which can execute code: load only those that you
trust. Expert data are not needed to predict.

The policy can be exported as a plain {host}, which does without sb3_diiqn: `model.to_{export}().save("{export}.zip")`.
"""


def recording_card(name: str, data: ExpertObservations, known: Mapping[str, Any], license: str | None, acted: bool) -> str:
    """
    Write the card of a recording.

    :param name: by which it is loaded
    :param data: the recording
    :param known: about it, by the keys of manifests
    :param license: by the Hub's names; None: the card does not say
    :param acted: whether there is a file of the true actions
    """
    rows = {label: next((known[key] for key in keys if known.get(key) not in UNSAID), None) for label, keys in FACTS.items()}
    rows["mean return"] = _return(known["mean_return"], known["std_return"], known["n_episodes"])
    rows |= {"transitions": f"{len(data)}, in {data.n_trajectories} trajectories", "observations": describe(data.observations)}
    environment = rows["environment"] or "an unknown environment"
    metadata = {
        "license": license,
        "pretty_name": f"Observations of an expert in {environment}",
        "task_categories": ["reinforcement-learning"],
        "tags": [*TAGS, "imitation-from-observation", *([rows["environment"]] if rows["environment"] else [])],
        # the Hub cannot show it as a table
        "viewer": False,
    }
    rewards = "" if data.rewards is None else " and its rewards"
    actions = f"\n`{ACTIONS}` has what the expert did, for evaluations: no algorithm reads it." if acted else ""
    rows["content hash"] = data.content_hash
    return _card(metadata, RECORDING_CARD, rows, name=name, environment=environment, rewards=rewards, actions=actions)


def model_card(
    name: str, algorithm: str, env_id: str, saved: Mapping[str, Any], returns: str | None, license: str | None
) -> str:
    """
    Write the card of a model.

    :param name: by which it is loaded
    :param algorithm: name of its class
    :param env_id: its environment
    :param saved: what the saved model says of itself
    :param returns: of the greedy agent, in words; None: the card does not say
    :param license: by the Hub's names; None: the card does not say
    """
    host = "QRDQN" if algorithm == "QRDIIQN" else "DQN"
    task = {"type": TAGS[0], "name": TAGS[0]}
    result = {"task": task, "dataset": {"name": env_id, "type": env_id}}
    metric = {"type": "mean_reward", "value": returns, "name": "mean_reward", "verified": False}
    metadata = {
        "license": license,
        "library_name": "stable-baselines3",
        "tags": [env_id, "deep-reinforcement-learning", *TAGS],
        "model-index": [{"name": algorithm, "results": [{**result, "metrics": [metric]}]}] if returns else None,
    }
    rows = {"algorithm": algorithm, "environment": env_id, "mean greedy return": returns, "trained for": saved["trained for"]}
    rows |= {"saved with": saved["saved with"], "pushed with": versions()}
    names = {"host": host, "export": host.lower(), "environment": env_id}
    return _card(metadata, MODEL_CARD, rows, name=name, algorithm=algorithm, **names)


def _return(mean: float | None, deviation: float | None, n_episodes: int | None) -> str | None:
    if mean is None:
        return None
    spread = "" if deviation is None else f" +- {deviation:.4g}"
    return f"{mean:.4g}{spread}" + ("" if n_episodes is None else f" over {n_episodes} episodes")


def _card(metadata: Mapping[str, Any], text: str, rows: Mapping[str, Any], **parts: str) -> str:
    # the Hub's names of licenses are in lower case
    known = {key: value.lower() if key == "license" else value for key, value in metadata.items() if value is not None}
    lines = [f"| {label} | {_cell(value)} |" for label, value in rows.items() if value is not None]
    table = "\n".join(["| | |", "|---|---|", *lines])
    return f"---\n{yaml.safe_dump(known, sort_keys=False)}---\n\n{text.format(table=table, **parts)}"


def _cell(value: Any) -> str:
    shown = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
    return " ".join(shown.split()).replace("|", "\\|")
