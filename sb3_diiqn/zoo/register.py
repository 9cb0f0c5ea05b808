"""Importing this makes ``diiqn``, ``hadiiqn`` and ``qrdiiqn`` known to rl-zoo, for scripts of your own as well::

    import sb3_diiqn.zoo.register
    from rl_zoo3.train import train

    if __name__ == "__main__":
        train()

It registers the algorithms, what Optuna searches for them, and the environments. rl-zoo's ``train`` gets an experiment manager
that reads expert data once per process and says which command makes a file that is missing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sb3_diiqn import DIIQN, HADIIQN
from sb3_diiqn.exceptions import MissingDependencyError
from sb3_diiqn.zoo.search_spaces import DQN_SPACE, OWN_SPACES, convert, sampler

try:
    import rl_zoo3.train
    from rl_zoo3 import ALGOS, hyperparams_opt
except ImportError as error:
    raise MissingDependencyError(error.name or "rl_zoo3", "zoo") from error

# rl-zoo brings sb3-contrib
from sb3_diiqn import QRDIIQN
from sb3_diiqn.zoo.environments import register_environments
from sb3_diiqn.zoo.experiment import ExperimentManager

_options: Any = hyperparams_opt
_train: Any = rl_zoo3.train


def register(own_arguments_only: bool = False, trial_id: int | None = None) -> None:
    """
    Register everything with rl-zoo. Importing this module does so with the defaults.

    :param own_arguments_only: let Optuna search only the arguments that DQN does not have; the others stay those of the
        yml file
    :param trial_id: trial that ``train`` takes its hyperparameters from, for rl-zoo before 2.4, which has no ``--trial-id``
    """
    ALGOS.update(diiqn=DIIQN, hadiiqn=HADIIQN, qrdiiqn=QRDIIQN)
    for name, space in OWN_SPACES.items():
        _options.HYPERPARAMS_SAMPLER[name] = sampler(space if own_arguments_only else {**DQN_SPACE, **space})
        # rl-zoo before 2.4 has no converters
        getattr(hyperparams_opt, "HYPERPARAMS_CONVERTER", {})[name] = convert
    register_environments()
    _train.ExperimentManager = ExperimentManager if trial_id is None else partial(ExperimentManager, trial_id=trial_id)


register()
