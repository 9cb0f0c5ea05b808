"""highway-env's motorway, with the agent at the wheel, or with a driver whose actions the agent does not have."""

from __future__ import annotations

from typing import Any

import gymnasium

from sb3_diiqn.exceptions import ConfigurationError, MissingDependencyError

DRIVERS = ("agent", "traffic")


class TrafficDriver(gymnasium.Wrapper[Any, Any, Any, Any]):
    """
    An expert: the car drives by itself, as all others on the road do, and ignores the actions that it is given.

    It accelerates and steers continuously, by the intelligent driver model (Treiber et al. 2000, arXiv cond-mat/0002177), and
    changes lanes by MOBIL (Kesting et al. 2007). The agent has five actions: changing lanes, and changing the speed in steps.

    :param env: an environment of highway-env
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and put the driver into the car."""
        from highway_env.vehicle.behavior import IDMVehicle  # noqa: PLC0415 - optional package

        observation, info = self.env.reset(seed=seed, options=options)
        motorway: Any = self.env.unwrapped
        car = IDMVehicle.create_from(motorway.vehicle)
        car.target_speed = motorway.config["reward_speed_range"][1]
        motorway.road.vehicles[motorway.road.vehicles.index(motorway.vehicle)] = car
        motorway.vehicle = car
        return observation, info


def make_highway(driver: str = "agent", **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """
    Make ``highway-fast-v0`` of highway-env.

    :param driver: who drives, ``"agent"`` or, for recordings of an expert, ``"traffic"``
    :param kwargs: arguments of the environment
    :raises MissingDependencyError: if highway-env is not installed
    :raises ConfigurationError: if there is no such driver
    """
    if driver not in DRIVERS:
        raise ConfigurationError(f"driver={driver!r}: it must be one of {', '.join(map(repr, DRIVERS))}")
    try:
        import highway_env  # noqa: F401, PLC0415 - optional package
    except ImportError as error:
        raise MissingDependencyError("highway-env", "highway") from error
    env: gymnasium.Env[Any, Any] = gymnasium.make("highway-fast-v0", **kwargs)
    return TrafficDriver(env) if driver == "traffic" else env
