"""
The benchmark: which algorithm learns how fast, over environments and seeds, from one command.

.. code-block:: bash

    python -m benchmarks run SUITE... [--out FOLDER] [--workers N] [--only PATTERN...]
    python -m benchmarks run SUITE... --backend ray --address auto
    python -m benchmarks status [SUITE...] [--out FOLDER]
    python -m benchmarks cost SUITE --algorithms NAME... [--environments NAME...] [--variation NAME] [--out FOLDER]
    python -m benchmarks report [SUITE...] [--out FOLDER]
    python -m benchmarks pack [SUITE...] [--out FOLDER]

``SUITE`` is the name of a suite in ``benchmarks/suites`` or the path of a ``.yml`` file. A suite stands for a matrix of
*cells*: environment x algorithm x variation x seed, each one independent training. ``run`` makes the experts, then runs the
cells that are not finished yet; it can be stopped or killed at any moment and loses only the cells that were running. Cells
whose settings or expert changed since, or whose file is damaged, are done again. ``--only 'Breakout/dqn/*'`` runs a part; two
that have no cell in common may run side by side into one folder. Cells that require a package that is not installed are left
out. ``cost`` measures what a training takes of the CPU time: one of the algorithm and one of DQN, each in a process of
its own, take turns, so that what else the machine does hits both. With that, the report has a section that compares them at
equal processor time. ``report`` works at any time, from the files alone. ``pack`` moves finished cells into one compressed
file per suite, which everything else reads as well, and ``unpack`` writes them as one file each again.

Suites
------
Keys with a value behind them are optional, and that is their default::

    seeds: 5                      # how many (0, 1, ...), or a list
    evaluation:
      every: 5000                 # required: environment steps between two evaluations of the greedy policy
      episodes: 10                # over as many fixed seeds, the same for all
      max_steps: 10000            # an episode that is still running is cut here

    environments:
      NAME:                       # for tables and file names: letters, digits and . _ + = -
        id: NAME                  # Gymnasium id; "module:id" imports the module that registers it
        env_kwargs: {}            # arguments of the environment
        n_envs: 1
        n_timesteps: 100000       # required: environment steps of one training
        settings: {policy: ...}   # required: shared by all algorithms: constructor arguments, with the policy
        expert: {kind: ...}       # required if an algorithm learns from one, see below
        solved: ...               # return from which on it counts as solved; default: the expert's mean return
        lowest_return: 0          # return that counts as zero in ratios, such as -200 in MountainCar

    algorithms:
      NAME:
        class: NAME               # key of benchmarks.algorithms.ALGORITHMS, or module:Class of an own one;
                                  # diiqn has its defaults, diiqn-paper is the published method
        settings: {}              # laid over the environment's
        own_settings: false       # true: without the environment's, for classes that have other arguments than DQN (gaifo)
        expert: {}                # laid over the environment's, such as {kind: random} for a control
        environments: [...]       # those that it is run in; default: all

    overview: [...]               # algorithms in the figure of all environments; default: all

    variations:                   # default: one, named "default", that changes nothing
      NAME:
        algorithms: [...]         # those that it is for; default: all
        environments: [...]       # the same
        settings: {}              # laid over the algorithm's
        expert: {}                # laid over the algorithm's, such as {n_steps: 1000} for less data

Settings are constructor arguments as in rl-zoo's files; one that is laid over another replaces it as a whole, but for
``matching_kwargs`` and ``bridge_kwargs``, which are merged key by key. At any depth, a string ``module:name`` stands for what
it names, as in ``policy_kwargs: {activation_fn: "torch.nn:Tanh"}``. A list as ``train_freq`` becomes a tuple. Numbers may be
written ``1e-4`` and ``1e5``. To share settings between environments, use yml's anchors (``&name``, ``*name``, ``<<: *name``).

Experts
-------
Recordings are made once and kept in ``FOLDER/experts``, with a ``manifest.json``; equal recipes share one file. Of every kind
but ``file``::

    expert:
      kind: train                 # required: train, policy, random or file
      n_steps: 10000              # required: transitions to record
      epsilon: 0                  # share of random actions
      seed: 1000
      env_kwargs: {}              # laid over the environment's, such as another set of actions
      shuffle: false              # true: a control, every s is paired with the s' of another transition at random

``train``: a DQN with the environment's settings, trained for ``n_timesteps`` (default: the environment's). With ``share`` in
[0, 1] it is the policy of the first evaluation that reached this share of the final greedy return: the training's own one (see
:func:`~sb3_diiqn.expert.training.final_return`), or ``final_return``, at which the training then ends. Shares are measured
from ``lowest_return``. ``policy``: ``policy: "module:factory"`` and ``kwargs: {}``; ``factory(env, **kwargs)`` returns a
function from observation to action, and a seed of its own, if it has one, is among the ``kwargs``. ``random``: random actions.
``file``: only ``path``, recordings that exist, relative to the current folder.

Results
-------
``FOLDER/SUITE/cells/ENVIRONMENT/ALGORITHM/VARIATION/seed-N.json``, or the packed one in
``FOLDER/SUITE/cells.tar.xz``, holds ``settings`` and their hash, the ``expert``'s entry of the manifest, ``versions``,
``git_revision``, ``wall_time`` in seconds, ``steps_per_second`` without evaluations, and the curves: ``training`` (``step``,
``return``, ``length`` of every finished episode), ``greedy`` (``step``, ``mean``, ``returns`` of every evaluation),
``expert_statistics`` (what the algorithm logs under ``expert/``), and ``agreement`` at every evaluation: how often what the
algorithm knows of the expert's actions is what these were (see :class:`~benchmarks.agreement.ActionAgreement`), where the true
ones are known. ``FOLDER/SUITE/cost/ENVIRONMENT/ALGORITHM/VARIATION.json`` holds what ``cost`` measured: at every fiftieth of
the training the ``steps`` and the ``seconds`` of DQN and of the algorithm until then. ``FOLDER/SUITE/report`` holds
``report.md``, ``summary.csv``, ``overall.csv``, ``runs.csv`` and the figures. What the columns mean is said in the report, and
defined in :mod:`~benchmarks.curves` and :mod:`~benchmarks.statistics`.

On a Ray cluster (``--backend ray``, extra ``ray``) experts are made on this machine, and cells take one CPU each.
On the cluster ``sb3_diiqn`` must be installed, and the clone with this folder be on its ``PYTHONPATH``; a common folder is
not needed.
"""
