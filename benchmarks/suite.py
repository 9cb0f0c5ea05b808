"""Suites: what is to be run, read from a small yml file and checked before anything starts. See the package's docstring."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.algorithms import BASELINE, find_algorithm
from benchmarks.recipes import Environment, Evaluation, ExpertRecipe, overlay_expert, read_recipe
from benchmarks.section import Section
from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.expert.manifest import settings_hash

SUITES = Path(__file__).parent / "suites"
"""Folder of the suites that can be named without a path."""
SUFFIXES = (".yml", ".yaml")
"""A suite that is named with one of these is a file, and no shipped one."""
NESTED = ("matching_kwargs", "bridge_kwargs")
"""Settings of which a layer changes single keys; all others are replaced as a whole."""


@dataclass(frozen=True, eq=False)
class Cell:
    """
    One independent training.

    :param settings: everything but the seed that determines the result
    :param expert: the expert that it learns from, None if its algorithm uses none
    """

    suite: str
    environment: str
    algorithm: str
    variation: str
    seed: int
    settings: dict[str, Any]
    expert: ExpertRecipe | None

    @property
    def path(self) -> Path:
        """The cell's file, relative to the folder of the suite's cells."""
        return Path(self.environment, self.algorithm, self.variation, f"seed-{self.seed}.json")

    @property
    def settings_hash(self) -> str:
        """Hash of the settings; a finished cell whose hash differs is done again."""
        return settings_hash(self.settings)

    def __str__(self) -> str:
        """Name the cell for people."""
        return f"{self.environment} {self.algorithm} {self.variation} seed {self.seed}"


@dataclass(frozen=True)
class Layer:
    """
    One entry of ``algorithms`` or ``variations``: what it lays over an environment's settings.

    :param algorithms: those that a variation is for, None for all
    :param environments: those that it is for, None for all
    :param own_settings: whether an algorithm has nothing of the environment's settings, which are DQN's
    """

    settings: dict[str, Any] = field(default_factory=dict)
    expert: dict[str, Any] = field(default_factory=dict)
    algorithm_class: str = ""
    algorithms: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    own_settings: bool = False

    def is_for(self, environment: str, algorithm: str) -> bool:
        """Tell whether it has anything to do with an algorithm in an environment."""
        return (self.algorithms is None or algorithm in self.algorithms) and (
            self.environments is None or environment in self.environments
        )


@dataclass(frozen=True)
class Suite:
    """
    A checked suite.

    :param source: the mapping that it was read from
    :param overview: algorithms in the figure of all environments, None for all
    """

    name: str
    environments: dict[str, Environment]
    algorithms: dict[str, Layer]
    variations: dict[str, Layer]
    seeds: list[int]
    evaluation: Evaluation
    source: dict[str, Any]
    overview: tuple[str, ...] | None = None

    @property
    def baseline(self) -> str | None:
        """Name of the algorithm that others are compared with: the first of the baseline's class; None if there is none."""
        return next((name for name, layer in self.algorithms.items() if layer.algorithm_class == BASELINE), None)

    def combinations(self) -> Iterator[tuple[str, str, str]]:
        """Iterate over (environment, algorithm, variation)."""
        for environment in self.environments:
            for variation, layer in self.variations.items():
                for algorithm, own in self.algorithms.items():
                    if layer.is_for(environment, algorithm) and own.is_for(environment, algorithm):
                        yield environment, algorithm, variation

    def cells(self) -> list[Cell]:
        """All cells, seed by seed, so that an interrupted run has something to compare."""
        return [self.cell(*combination, seed) for seed in self.seeds for combination in self.combinations()]

    def cell(self, environment: str, algorithm: str, variation: str, seed: int) -> Cell:
        """One cell: the environment's settings, overlaid by the algorithm's, overlaid by the variation's."""
        base, own = self.environments[environment], self.algorithms[algorithm]
        uses_expert = find_algorithm(own.algorithm_class).uses_expert
        recipe = self.expert(environment, algorithm, variation) if uses_expert else None
        shared = {"policy": "MlpPolicy"} if own.own_settings else base.settings
        settings = {
            "class": own.algorithm_class,
            "id": base.id,
            "env_kwargs": base.env_kwargs,
            "n_envs": base.n_envs,
            "n_timesteps": base.n_timesteps,
            "settings": overlaid(overlaid(shared, own.settings), self.variations[variation].settings),
            "evaluation": vars(self.evaluation),
            "expert": recipe and recipe.settings,
        }
        return Cell(self.name, environment, algorithm, variation, seed, settings, recipe)

    def expert(self, environment: str, algorithm: str | None = None, variation: str | None = None) -> ExpertRecipe | None:
        """Find the environment's expert, with the changes that the algorithm and the variation make to it."""
        base = self.environments[environment]
        if base.expert is None:
            return None
        merged = dict(base.expert)
        for layer in (algorithm and self.algorithms[algorithm], variation and self.variations[variation]):
            if layer:
                merged = overlay_expert(merged, layer.expert)
        where = ", ".join(filter(None, (f"environments.{environment}", algorithm, variation)))
        return read_recipe(Section(self.name, f"{where}: expert", merged), base, self.evaluation)


def overlaid(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """
    Lay settings over others. Those of :data:`NESTED` are merged one level deep, where both are mappings.

    :param settings: what holds where nothing is said
    :param changes: what is said
    """
    merged = settings | changes
    for name in NESTED:
        before, after = settings.get(name), changes.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            merged[name] = before | after
    return merged


def load_suite(name_or_path: str) -> Suite:
    """
    Read and check a suite.

    :param name_or_path: name of a suite that comes with the package, or path of a yml file
    :raises ConfigurationError: if there is no such suite or something in it is wrong; suite, key and value are named
    """
    path = Path(name_or_path)
    if path.suffix not in SUFFIXES:
        names = [suite.stem for suite in sorted(SUITES.glob("*.yml"))]
        if name_or_path not in names:
            raise ConfigurationError(
                f"There is no suite {name_or_path!r}: give the path of a .yml file, or one of {', '.join(names)}."
            )
        path = SUITES / f"{name_or_path}.yml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The suite {name_or_path!r} cannot be read: {error}.") from error
    try:
        source = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"The suite {name_or_path!r} is no valid yml: {error}") from error
    return parse_suite(path.stem, source)


def describe_suites() -> str:
    """List the suites that are here, one a line, with the first sentence of what each says about itself."""
    lines = []
    for path in sorted(SUITES.glob("*.yml")):
        comment = " ".join(line.lstrip("# ") for line in itertools.takewhile(_is_comment, path.read_text().splitlines()))
        first = re.match(r".*?[.:](?= |$)", comment)
        lines.append(f"  {path.stem:16} {first[0][:-1] if first else comment}")
    return "\n".join(lines)


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def parse_suite(name: str, source: Any) -> Suite:
    """
    Check a suite that is already a mapping.

    :param name: name of the suite, for messages and folders
    :param source: the content of the yml file
    """
    section = Section(name, "", _numbers(source))
    evaluation = section.section("evaluation")
    environments = section.section("environments")
    algorithms = section.section("algorithms")
    variations = section.section("variations", default={"default": {}})
    suite = Suite(
        name=section.check_name(name, "name of the file"),
        environments={key: _environment(key, environments.section(key, default={})) for key in environments.names()},
        algorithms={key: _algorithm(key, algorithms.section(key, default={}), environments) for key in algorithms.names()},
        variations={
            key: _variation(variations.section(key, default={}), algorithms, environments) for key in variations.names()
        },
        seeds=_seeds(section),
        evaluation=Evaluation(
            evaluation.integer("every"), evaluation.integer("episodes", 10), evaluation.integer("max_steps", 10_000)
        ),
        source=source,
        overview=_selection(section, "overview", algorithms),
    )
    for part in (section, evaluation):
        part.finish()
    _check_experts(suite)
    return suite


def _environment(name: str, section: Section) -> Environment:
    environment = Environment(
        name=name,
        id=section.take("id", str, name),
        env_kwargs=section.take("env_kwargs", dict, {}),
        n_envs=section.integer("n_envs", 1),
        n_timesteps=section.integer("n_timesteps"),
        settings=section.take("settings", dict),
        expert=section.take("expert", dict, None),
        solved=section.number("solved", None),
        lowest_return=section.number("lowest_return", 0.0) or 0.0,
    )
    if not isinstance(environment.settings.get("policy"), str):
        raise section.error("settings.policy", environment.settings.get("policy"), "the name of a policy, such as MlpPolicy")
    section.finish()
    return environment


def _algorithm(name: str, section: Section, environments: Section) -> Layer:
    algorithm_class = section.take("class", str, name)
    try:
        find_algorithm(algorithm_class)
    except ConfigurationError as error:
        raise section.error(
            "class", algorithm_class, f"a known one (without this key: the entry's own name). {error}"
        ) from error
    changes = section.take("settings", dict, {}), section.take("expert", dict, {})
    layer = Layer(
        *changes,
        algorithm_class,
        environments=_selection(section, "environments", environments),
        own_settings=section.flag("own_settings", not find_algorithm(algorithm_class).shares_settings),
    )
    section.finish()
    return layer


def _variation(section: Section, algorithms: Section, environments: Section) -> Layer:
    changes = section.take("settings", dict, {}), section.take("expert", dict, {})
    layer = Layer(
        *changes,
        algorithms=_selection(section, "algorithms", algorithms),
        environments=_selection(section, "environments", environments),
    )
    section.finish()
    return layer


def _selection(section: Section, key: str, known: Section) -> tuple[str, ...] | None:
    """Read a list of names out of those of another section; None if it is absent."""
    names = section.take(key, list, None)
    for name in names or []:
        if name not in known.names():
            raise section.error(key, name, f"names out of {', '.join(known.names())}")
    return None if names is None else tuple(names)


def _seeds(section: Section) -> list[int]:
    given = section.take("seeds", (int, list))
    seeds: list[int] = list(range(given)) if isinstance(given, int) else given
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise section.error("seeds", given, "how many seeds (at least 1), or a list of whole numbers from 0 on")
    if len(set(seeds)) < len(seeds):
        raise section.error("seeds", seeds, "every seed once")
    return seeds


def _check_experts(suite: Suite) -> None:
    for environment, algorithm, variation in suite.combinations():
        recipe = suite.expert(environment, algorithm, variation)
        if recipe is None and find_algorithm(suite.algorithms[algorithm].algorithm_class).uses_expert:
            raise ConfigurationError(
                f"Suite {suite.name!r}, key 'environments.{environment}.expert': it is missing, and {algorithm!r} needs it."
            )


def _numbers(value: Any) -> Any:
    """Turn '1e-4' and '1e5' into numbers: yml's own rules leave them strings because they have no decimal point."""
    if isinstance(value, dict):
        return {key: _numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_numbers(entry) for entry in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value
