"""Recipes of experts: how their recordings are made, as a suite says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.section import Section
from sb3_diiqn.expert.manifest import settings_hash

EXPERT_KINDS = {
    "train": frozenset({"n_timesteps", "share", "final_return"}),
    "policy": frozenset({"policy", "kwargs"}),
    "random": frozenset[str](),
    "file": frozenset({"path"}),
}
"""The kinds of experts, and the keys that only they have."""


@dataclass(frozen=True)
class Evaluation:
    """
    When and how the greedy policy is evaluated.

    :param every: environment steps between two evaluations
    :param episodes: episodes per evaluation, always from the same seeds
    :param max_steps: an episode that is still running after this many steps is cut
    """

    every: int
    episodes: int
    max_steps: int


@dataclass(frozen=True)
class Environment:
    """One entry of ``environments``."""

    name: str
    id: str
    env_kwargs: dict[str, Any]
    n_envs: int
    n_timesteps: int
    settings: dict[str, Any]
    expert: dict[str, Any] | None
    solved: float | None
    lowest_return: float


@dataclass(frozen=True)
class ExpertRecipe:
    """
    How the recordings of an expert are made. Equal recipes share one file.

    :param environment: name of the environment in the suite, for the file's name only
    :param kind: one of :data:`EXPERT_KINDS`
    :param settings: everything that determines the recordings
    """

    environment: str
    kind: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the expert's files: environment, kind, and a hash of the settings."""
        return f"{self.environment}-{self.kind}-{settings_hash(self.settings)[:10]}"


def overlay_expert(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """
    Lay changes over a recipe. With another kind, the keys that only the old kind has go; a file is not made, so all go.

    :param base: recipe as a suite has it
    :param changes: keys that replace others
    """
    if changes.get("kind") == "file":
        return changes
    if changes.get("kind", base.get("kind")) != base.get("kind"):
        base = {key: value for key, value in base.items() if key not in EXPERT_KINDS.get(base.get("kind", ""), ())}
    return base | changes


def read_recipe(section: Section, environment: Environment, evaluation: Evaluation) -> ExpertRecipe:
    """
    Check a recipe, and complete it.

    :param section: what a suite has
    :param environment: of the expert
    :param evaluation: of the suite
    """
    kind = section.take("kind", str)
    if kind not in EXPERT_KINDS:
        raise section.error("kind", kind, f"one of {', '.join(EXPERT_KINDS)}")
    settings: dict[str, Any] = {"kind": kind}
    if kind == "file":
        settings["path"] = section.take("path", str)
        section.finish()
        return ExpertRecipe(environment.name, kind, settings)
    settings |= {
        "id": environment.id,
        "env_kwargs": environment.env_kwargs | section.take("env_kwargs", dict, {}),
        "n_steps": section.integer("n_steps"),
        "epsilon": section.fraction("epsilon", 0.0),
        "seed": section.integer("seed", 1000, minimum=0),
        "max_steps": evaluation.max_steps,
    }
    if section.flag("shuffle", False):
        settings["shuffle"] = True
    if kind == "policy":
        settings |= {"policy": section.take("policy", str), "kwargs": section.take("kwargs", dict, {})}
    if kind == "train":
        settings["training"] = {
            "n_timesteps": section.integer("n_timesteps", environment.n_timesteps),
            "n_envs": environment.n_envs,
            "settings": environment.settings,
            "evaluation": vars(evaluation),
            "share": section.fraction("share", None),
            "final_return": section.number("final_return", None),
            "lowest_return": environment.lowest_return,
        }
        if settings["training"]["final_return"] is not None and settings["training"]["share"] is None:
            raise section.error("share", None, "the share of final_return that the expert is to reach, above 0 and at most 1")
    section.finish()
    return ExpertRecipe(environment.name, kind, settings)
