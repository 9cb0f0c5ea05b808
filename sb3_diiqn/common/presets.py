"""Named choices of those arguments that say which parts of the method are in use."""

from __future__ import annotations

from typing import Any

from sb3_diiqn.exceptions import ConfigurationError
from sb3_diiqn.inference import InferenceSettings

_PAPER: dict[str, Any] = {
    "inference": "nearest",
    "guidance_share": 0.0,
    "guidance_length": 20,
    "guide": "matching",
    "guide_follows": "next",
    "led_episodes": 0.0,
    "greedy_episodes": 0.0,
    "margin_weight": 0.0,
    "margin": 0.8,
    "imitate_guide": False,
    "recorded_weight": 0.0,
}

#: For each preset, the arguments that it sets where the user leaves them None.
PRESETS: dict[str, dict[str, Any]] = {
    # the published method
    "paper": _PAPER,
    # the published method of HA-DIIQN; its bridges lead most episodes until the agent is as good, and a margin loss imitates
    # them until it is better; from then on they are followed in half of the exploration
    "bridging": _PAPER
    | {
        "guidance_share": 0.5,
        "guide_follows": "shortest",
        "led_episodes": 0.8,
        "margin_weight": 1.0,
        "margin": "auto",
        # what to do halfway on a bridge is nowhere in the recording
        "imitate_guide": True,
    },
    # a clone of the expert leads most episodes until the agent is as good, and a margin loss imitates the expert until it is
    # better; from then on the clone leads most of the exploration
    "guided": _PAPER
    | {
        "inference": "inverse_dynamics",
        "guidance_share": 0.8,
        "guide": "both",
        "led_episodes": 0.8,
        "greedy_episodes": 0.5,
        "margin_weight": 1.0,
        "margin": "auto",
        "recorded_weight": 1.0,
    },
}


#: err_max where a network infers actions, too: then only an equal transition is believed, but for rounding. Of float vectors
#: the nearest is soon near enough, and of another action or with another reward all the same: a step is small against states.
MAX_INFERENCE_ERROR_BESIDE_A_NETWORK = 1e-4


def with_preset(preset: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """
    Fill in a preset where an argument is None, and err_max, which depends on what else there is to infer actions.

    :param preset: key of :data:`PRESETS`
    :param arguments: the user's arguments
    :return: the same, and all that the presets set
    :raises ConfigurationError: if there is no such preset
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigurationError(f"preset={preset!r}: it must be one of {', '.join(map(repr, PRESETS))}")
    chosen = PRESETS[preset]
    # also what a model of an earlier version did not know of
    filled = chosen | {name: chosen[name] if value is None and name in chosen else value for name, value in arguments.items()}
    if filled["max_inference_error"] is None:
        nearest = filled["inference"] == "nearest"
        alone = InferenceSettings.max_inference_error
        filled["max_inference_error"] = alone if nearest else MAX_INFERENCE_ERROR_BESIDE_A_NETWORK
    return filled
