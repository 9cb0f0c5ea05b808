"""
Implicit imitation for an algorithm of Stable-Baselines3.

``host`` is the mixin that forwards the algorithm's hooks, ``learner`` owns the strategies and makes an update of them,
``config`` chooses them. ``action_inference`` infers the expert's actions, ``sampling`` samples expert transitions, ``buffers``
and ``callbacks`` are the replay buffer and the callback, ``persistence`` reads expert data and remembers them.
"""
