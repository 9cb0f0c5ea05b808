"""
How fast the algorithms are, and what matching with expert data costs.

.. code-block:: bash

    python -m benchmarks throughput [--env NAME ...] [--expert-size N ...] [--pairs N] [--json FILE] [--plot FILE]

Two algorithms with the same network, batch and update schedule train in turns in one process, a stretch of environment steps
each; every pair of stretches gives a ratio of speeds, and the median over the pairs is shown. What else the machine does hits
both halves of a pair alike. Every row of the table is measured in a process of its own, so that its memory can be told.

Parts (``--parts``, default: all):

- ``training``: DIIQN with expert data against Stable-Baselines3's DQN; ``--expert-size 0`` is DIIQN without expert data
- ``default``: the same with the default arguments, whose auxiliary networks learn, too
- ``bridging``: HADIIQN against DIIQN
- ``matching``: matching alone, per agent transition, with its recall against comparing with every expert state
- ``update``: one update alone, of DQN, of DIIQN, and of the network's own arithmetic
- ``networks``: a whole training with a network as inference, and which share of it the inverse dynamics take

The environments are MinAtar's (``breakout``, ``seaquest``, extra ``minatar``), a small lander with 8 numbers as observation
(``lander``), the same with 32 or 128 numbers, which are smooth functions of the state (``vector32``, ``vector128``) or noise
(``noisy32``, ``noisy128``), and moving blocks on 84x84x4 images (``images``). Their experts are recorded by simple scripts.
"""
