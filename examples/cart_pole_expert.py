"""A policy of one's own for the recorder, as `--policy examples.cart_pole_expert:act`: from one observation to one action."""


def act(observation):
    _, _, angle, angular_velocity = observation
    return int(angle + angular_velocity > 0)
