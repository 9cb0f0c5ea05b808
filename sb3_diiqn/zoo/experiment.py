"""rl-zoo's experiment manager, with what expert data need and with the same studies for every version of rl-zoo."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from rl_zoo3 import exp_manager, hyperparams_opt

from sb3_diiqn.exceptions import ConfigurationError, DIIQNError, MissingExpertDataError
from sb3_diiqn.expert.given import load_expert, paths_of
from sb3_diiqn.expert.storage import is_there
from sb3_diiqn.zoo.configurations import expert_command
from sb3_diiqn.zoo.search_spaces import OWN_SPACES, convert

KNOWS_STUDIES = "trial_id" in inspect.signature(exp_manager.ExperimentManager.__init__).parameters
"""Whether rl-zoo itself has ``--trial-id`` and opens journal files; before 2.4 it has neither."""


class ExperimentManager(exp_manager.ExperimentManager):
    """
    Trains and tunes as rl-zoo does. Takes its arguments.

    ``env_kwargs`` of a configuration hold for evaluations, too. Missing expert data are noticed before anything is made, and
    the message names the command that makes them. A study reads them once, and ends with the message if they do not fit;
    rl-zoo would count that as a pruned trial.

    :param trial_id: number of the study's trial whose hyperparameters to train with, from 0 on
    """

    def __init__(self, *args: Any, trial_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # not rl-zoo's own attribute: it takes trial 0 for none
        self.trial_to_retrain = trial_id

    def read_hyperparameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Read the configuration, the trial and the command line, of which the later overwrite the earlier.

        :raises MissingExpertDataError: if they name a file of expert data that does not exist
        """
        if self.trial_to_retrain is not None:
            self.custom_hyperparams = self._hyperparameters_of_trial() | (self.custom_hyperparams or {})
        hyperparams, saved = super().read_hyperparameters()
        # older versions do not know this key, and newer ones evaluate without it
        configured = hyperparams.pop("env_kwargs", {})
        self.env_kwargs = self.env_kwargs or configured
        self.eval_env_kwargs = self.eval_env_kwargs or self.env_kwargs
        path = hyperparams.get("expert_data")
        if isinstance(path, str) and not is_there(path):
            raise MissingExpertDataError(
                f"The expert data {path!r} of {self.algo} on {self.env_name.gym_id} do not exist. This makes them:\n\n"
                f"  {expert_command(path, self.env_name.gym_id)}\n"
            )
        return hyperparams, saved

    def _hyperparameters_of_trial(self) -> dict[str, Any]:
        if self.storage is None or self.study_name is None:
            raise ConfigurationError("--trial-id needs --storage and --study-name: they say in which study the trial is.")
        try:
            study = optuna.load_study(study_name=self.study_name, storage=open_storage(self.storage))
        except KeyError as error:  # as Optuna says it
            raise ConfigurationError(f"--study-name {self.study_name}: {self.storage} has no such study.") from error
        number = self.trial_to_retrain
        trial = next((trial for trial in study.trials if trial.number == number), None)
        if trial is None:
            raise ConfigurationError(f"--trial-id {number}: the study {self.study_name!r} has {len(study.trials)} trials.")
        if self.algo in OWN_SPACES:
            return convert(trial.params)
        if not KNOWS_STUDIES:
            raise ConfigurationError(f"--trial-id for {self.algo} needs rl_zoo3>=2.4: pip install 'rl_zoo3>=2.4'")
        return dict(hyperparams_opt.HYPERPARAMS_CONVERTER[self.algo](trial.params))

    def hyperparameters_optimization(self) -> None:
        """Run the study."""
        paths = self._hyperparams.get("expert_data")
        if paths_of(paths):
            self._hyperparams["expert_data"] = load_expert(paths)  # read-only, so that trials can share it
        if not KNOWS_STUDIES and self.storage is not None:
            self.storage = open_storage(self.storage)  # type: ignore[assignment]
        super().hyperparameters_optimization()

    def objective(self, trial: optuna.Trial) -> float:
        """
        Train with what a trial suggests.

        :return: the mean return of the last evaluation
        """
        try:
            return super().objective(trial)
        except optuna.TrialPruned as pruned:
            if isinstance(pruned.__cause__, DIIQNError):
                raise pruned.__cause__ from None
            raise


def open_storage(storage: str) -> str | BaseStorage:
    """
    Open an Optuna storage as rl-zoo names it.

    :param storage: a journal file, which ends in ``.log``, or the URL of a database
    """
    if not storage.endswith(".log"):
        return storage
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(storage))
