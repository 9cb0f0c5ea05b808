"""The callback that keeps the confidence up to date, and those of the user beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EveryNTimesteps
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.monitor import Monitor

from sb3_diiqn import DIIQN, PAPER
from sb3_diiqn.imitation.callbacks import ConfidenceCallback, with_confidence_callback
from tests.helpers import TINY, LineEnv, right_walks

ALL_KEYS = {"confidence", "usefulness", "training", "inference", "matched", "inferred", "trained", "inference_error"}


class Rows(KVWriter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.rows.append((step, dict(key_values)))

    def close(self) -> None:
        """Nothing is open."""


class Diary(BaseCallback):
    """Writes down every call."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.stop_at = stop_at
        self.pages: list[tuple[str, int]] = []

    def _note(self, event: str) -> None:
        self.pages.append((event, self.num_timesteps))

    def _on_training_start(self) -> None:
        self._note("training start")

    def _on_rollout_start(self) -> None:
        self._note("rollout start")

    def _on_step(self) -> bool:
        self._note(f"step {self.locals['rewards'].tolist()}")
        return self.stop_at is None or self.num_timesteps < self.stop_at

    def _on_rollout_end(self) -> None:
        self._note("rollout end")

    def _on_training_end(self) -> None:
        self._note("training end")


def dqn() -> DQN:
    return DQN("MlpPolicy", LineEnv(), **TINY)


def diiqn(**arguments: Any) -> DIIQN:
    return DIIQN("MlpPolicy", LineEnv(), **{**TINY, **PAPER, "expert_data": right_walks(), **arguments})


def events(model: DQN, callback: BaseCallback, diary: Diary, n: int = 60) -> list[tuple[str, int]]:
    """What a diary says, without the rewards of steps where the two algorithms have learned differently."""
    model.learn(n, callback=callback)
    return [(event if step <= TINY["learning_starts"] else event.split(" [")[0], step) for event, step in diary.pages]


def alone(diary: Diary) -> Any:
    return diary


def in_a_list(diary: Diary) -> Any:
    return [diary]


def in_a_callback_list(diary: Diary) -> Any:
    return CallbackList([diary])


def in_an_event_callback(diary: Diary) -> Any:
    return EveryNTimesteps(10, diary)


@pytest.mark.parametrize("wrapped", [alone, in_a_list, in_a_callback_list, in_an_event_callback])
@pytest.mark.parametrize("stop_at", [None, 30])
def test_callbacks_are_called_as_by_dqn(wrapped: Callable[[Diary], Any], stop_at: int | None) -> None:
    of_dqn, of_diiqn = Diary(stop_at), Diary(stop_at)
    expected = events(dqn(), wrapped(of_dqn), of_dqn)
    assert events(diiqn(), wrapped(of_diiqn), of_diiqn) == expected
    assert expected[-1][1] == (stop_at or 60)


@pytest.mark.parametrize("make", [dqn, diiqn])
def test_functions_are_called_at_every_step_and_can_stop(make: Callable[[], DQN]) -> None:
    seen: list[int] = []

    def function(locals_: dict[str, Any], globals_: dict[str, Any]) -> bool:
        seen.append(locals_["self"].num_timesteps)
        return len(seen) < 10

    make().learn(60, callback=function)
    assert seen == list(range(1, 11))


def test_none_is_allowed() -> None:
    assert diiqn().learn(30, callback=None).num_timesteps == 32


def test_the_users_list_is_left_as_it_is() -> None:
    callbacks: list[BaseCallback] = [Diary()]
    diiqn().learn(30, callback=callbacks)
    assert len(callbacks) == 1


def test_the_confidence_callback_comes_last_and_once() -> None:
    diary, own = Diary(), ConfidenceCallback()
    assert [type(one) for one in with_confidence_callback(None)] == [ConfidenceCallback]
    assert [type(one) for one in with_confidence_callback(diary)] == [Diary, ConfidenceCallback]
    assert [type(one) for one in with_confidence_callback([diary])] == [Diary, ConfidenceCallback]
    assert with_confidence_callback(own) == [own]
    assert with_confidence_callback([own, diary]) == [own, diary]


def test_a_confidence_callback_inside_a_callback_list_is_not_doubled() -> None:
    nested = CallbackList([Diary(), ConfidenceCallback()])
    assert with_confidence_callback(nested) == [nested]


def test_without_expert_data_no_callback_is_added() -> None:
    model = diiqn(expert_data=None)
    callback = model._init_callback(None)
    assert type(callback) is type(dqn()._init_callback(None))


# --- what is logged ---------------------------------------------------------------------------------------------------------


def logged(model: DQN, callback: Any = None, n: int = 120) -> list[tuple[int, dict[str, float]]]:
    """The values under ``expert/`` in every row that was logged, with the step."""
    rows = Rows()
    model.set_logger(Logger(None, [rows]))
    model.learn(n, callback=callback, log_interval=1)
    prefix = "expert/"
    return [(step, {key[len(prefix) :]: row[key] for key in row if key.startswith(prefix)}) for step, row in rows.rows]


def monitored(**arguments: Any) -> DIIQN:
    arguments = {**TINY, **PAPER, "expert_data": right_walks(), **arguments}
    return DIIQN("MlpPolicy", Monitor(LineEnv(time_limit=10)), **arguments)


def test_everything_is_logged_and_within_its_bounds() -> None:
    rows = logged(monitored(), ConfidenceCallback(log_frequency=1))
    assert set(rows[-1][1]) == ALL_KEYS
    for _, row in rows:
        assert all(0 <= value <= 1 for value in row.values())
    assert rows[-1][1]["inferred"] == 1
    assert rows[-1][1]["inference_error"] == 0


def test_statistics_are_those_of_the_tables() -> None:
    model = diiqn().learn(100)
    model.expert_statistics()
    model.train(gradient_steps=2, batch_size=16)
    statistics = model.expert_statistics()
    assert model.knowledge is not None
    assert statistics["matched"] == pytest.approx(np.mean(model.replay_buffer.expert_indices[:100] >= 0))
    assert statistics["trained"] == np.mean(model.knowledge.training_count > 0)
    assert 0 < statistics["confidence"] < min(statistics["usefulness"], statistics["inference"])
    assert "confidence" not in model.expert_statistics(), "there was no update since"


def test_log_frequency() -> None:
    class Counting(DIIQN):
        steps: list[int]

        def expert_statistics(self) -> dict[str, float]:
            self.steps.append(self.num_timesteps)
            return super().expert_statistics()

    model = Counting("MlpPolicy", LineEnv(), **TINY, expert_data=right_walks())
    model.steps = []
    model.learn(100, callback=ConfidenceCallback(log_frequency=30))
    assert model.steps == [4, 36, 68, 100]
    model.steps = []
    model.learn(40, callback=ConfidenceCallback(log_frequency=30), reset_num_timesteps=False)
    assert model.steps == [104, 136]


def test_confidence_is_up_to_date_after_every_rollout() -> None:
    model = diiqn(learning_starts=1000)
    model.learn(40)
    assert (model.replay_buffer.expert_indices[:40] >= 0).any()
