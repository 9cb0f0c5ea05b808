"""Episodes that the guide leads: when it is the better one, and what it does in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_diiqn import DIIQN
from sb3_diiqn.common.guidance import ExpertGuidance, GuidanceSettings
from sb3_diiqn.common.leading import ComparedReturns, LedEpisodes
from tests.common.test_guidance import EXPERT, HOST, N_ACTIONS, Recorder
from tests.helpers import LineEnv, right_walks


def compared(led: list[float], own: list[float]) -> ComparedReturns:
    returns = ComparedReturns()
    for value in led:
        returns.note(True, value)
    for value in own:
        returns.note(False, value)
    return returns


@pytest.mark.parametrize(
    ("led", "own", "expected"),
    [
        # the difference is 1, its variance 2.5 / 5: the normal distribution up to the square root of 2
        ([1, 2, 3, 4, 5], [2, 2, 2, 2, 2], 0.92135),
        # 1 / sqrt(2.5 / 5 + 10 / 5) below zero
        ([1, 2, 3, 4, 5], [0, 2, 4, 6, 8], 0.26355),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], 0.5),
        ([2] * 5, [1] * 5, 1.0),
        ([1] * 5, [2] * 5, 0.0),
        ([1] * 5, [1] * 5, 1.0),  # nothing tells them apart
        ([-1.0000000000000007] * 15, [-1.0000000000000007] * 7, 1.0),  # their means are rounded
        ([0] * 4, [1] * 15, 1.0),  # too few to tell
        ([0] * 15, [1] * 4, 1.0),
    ],
)
def test_probability_that_the_guide_is_better(led: list[float], own: list[float], expected: float) -> None:
    assert compared(led, own).guide_is_better() == pytest.approx(expected, abs=1e-5)


def test_only_the_latest_episodes_count() -> None:
    returns = compared([0] * 15, [1] * 15)
    assert returns.guide_is_better() == 0
    for _ in range(15):
        returns.note(True, 2)
    assert returns.guide_is_better() == 1
    assert returns.statistics() == {"guide_return": 2, "compared_return": 1, "guide_is_better": 1}


def test_a_bad_beginning_is_forgotten_and_the_guide_tried_again() -> None:
    returns = compared([0] * 20, [1] * 480)
    assert returns.guide_is_better() == 0
    for _ in range(15):
        returns.note(False, 1)
    assert returns.guide_is_better() == 0  # five are left
    returns.note(False, 1)
    assert returns.guide_is_better() == 1


@pytest.mark.parametrize("value", [1.0, -1.0000000000000007])
def test_who_returned_different_things_before_and_the_same_now_are_equals(value: float) -> None:
    """Nobody has solved the task at first, then the guide has, in the end both have."""
    returns = compared([value - 1] * 7, [value - 1] * 15)
    assert not returns.are_known()
    for _ in range(5):
        returns.note(True, value)
    assert returns.are_known() and returns.guide_is_better() > 0.9
    for _ in range(15):
        returns.note(True, value)
        returns.note(False, value)
    assert returns.are_known() and returns.guide_is_better() == 0.5
    assert returns.guide_is_clearly_better() == 0.0


def test_statistics_of_nothing() -> None:
    assert ComparedReturns().statistics() == {"guide_is_better": 1.0}


@pytest.mark.parametrize(
    ("led", "own", "remaining", "expected"),
    [
        ([2] * 5, [1] * 5, 1.0, 0.6),
        ([1] * 5, [1] * 5, 1.0, 0.6),  # as in a sparse task that nobody has solved yet
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], 1.0, 0.03),
        # better with probability 0.92135, see above
        ([1, 2, 3, 4, 5], [2] * 5, 1.0, 0.6 * 0.8427),
        ([1, 2, 3, 4, 5], [0, 2, 4, 6, 8], 1.0, 0.03),
        ([0] * 5, [1] * 5, 1.0, 0.03),
        ([], [], 1.0, 0.6),
        ([2] * 5, [1] * 5, 0.25, 0.15),
        ([2] * 5, [1] * 5, 0.0, 0.0),
    ],
)
def test_share_of_episodes_that_are_led(led: list[float], own: list[float], remaining: float, expected: float) -> None:
    leading = LedEpisodes(0.6, compared(led, own), n_envs=20_000, seed=0)
    leading.begin(np.ones(20_000, dtype=bool), remaining)
    assert leading.led.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 20_000))


def test_who_leads_changes_only_where_an_episode_begins() -> None:
    leading = LedEpisodes(0.5, ComparedReturns(), n_envs=1000, seed=0)
    leading.begin(np.ones(1000, dtype=bool), 1.0)
    before = leading.led.copy()
    starts = np.arange(1000) < 500
    leading.begin(starts, 1.0)
    np.testing.assert_array_equal(leading.led[~starts], before[~starts])
    assert (leading.led[starts] != before[starts]).mean() == pytest.approx(0.5, abs=0.1)


def test_returns_are_those_of_whole_episodes() -> None:
    returns = ComparedReturns()
    leading = LedEpisodes(0.5, returns, n_envs=3, seed=0, greedy_share=0.5)
    leading.led[:], leading.greedy[:] = [True, False, False], [False, True, False]
    leading.note(np.array([1.0, 10.0, 0.5]), np.array([False, True, False]), count=False)  # too early to count
    leading.note(np.array([2.0, 20.0, 0.5]), np.array([True, False, True]), count=True)
    leading.note(np.array([4.0, 40.0, 0.5]), np.array([True, True, True]), count=True)
    assert list(returns.latest(led=True)) == [3, 4]
    assert list(returns.latest(led=False)) == [60], "not those that were explored"


def test_without_greedy_episodes_all_are_compared() -> None:
    returns = ComparedReturns()
    leading = LedEpisodes(0.5, returns, n_envs=1000, seed=0)
    leading.begin(np.ones(1000, dtype=bool), 1.0)
    assert not leading.greedy.any()
    leading.note(np.ones(1000), np.ones(1000, dtype=bool), count=True)
    assert len(returns.latest(led=True)) == len(returns.latest(led=False)) == 15


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_agent_acts_greedily_in_some_of_its_own_episodes(share: float) -> None:
    leading = LedEpisodes(0.6, compared([2] * 5, [1] * 5), n_envs=20_000, seed=0, greedy_share=share)
    leading.begin(np.ones(20_000, dtype=bool), 1.0)
    assert not (leading.led & leading.greedy).any()
    assert leading.greedy[~leading.led].mean() == pytest.approx(share, abs=0.03)
    before = leading.greedy.copy()
    leading.begin(np.arange(20_000) < 10_000, 1.0)
    np.testing.assert_array_equal(leading.greedy[10_000:], before[10_000:])
    assert (leading.greedy != before)[:10_000].mean() == pytest.approx(2 * 0.4 * share * (1 - 0.4 * share), abs=0.03)


@pytest.mark.parametrize(("cut", "expected"), [(0, 0.5), (1, 0.5), (2, 0.0), (15, 0.0)])
def test_an_agent_whose_time_is_up_explores_in_all_episodes(cut: int, expected: float) -> None:
    """Of its latest 15 episodes, as many were cut."""
    returns, everyone = ComparedReturns(window=1000, memory=2000), np.ones(1000, dtype=bool)
    leading = LedEpisodes(0.0, returns, n_envs=1000, seed=0, greedy_share=0.5)
    leading.note(np.zeros(1000), everyone, count=True, cut=np.arange(1000) >= 1000 - cut)
    leading.begin(everyone, 1.0)
    assert leading.greedy.mean() == pytest.approx(expected, abs=0.06)
    leading.note(np.where(leading.greedy, 2.0, 1.0), everyone, count=True, cut=np.arange(1000) >= 1000 - cut)
    compared_now = {1.0} if expected == 0 else {2.0}
    assert set(returns.latest(led=False)) - {0.0} == compared_now, "as long as they are cut, all of them"
    for _ in range(2):
        leading.note(np.zeros(1000), everyone, count=True)
    leading.begin(everyone, 1.0)
    assert leading.greedy.mean() == pytest.approx(0.5, abs=0.06), "and again once its episodes end by themselves"


def test_that_a_guides_episodes_are_cut_says_nothing_nor_do_a_few() -> None:
    leading = LedEpisodes(0.5, ComparedReturns(), n_envs=1000, seed=0, greedy_share=0.5)
    everyone = np.ones(1000, dtype=bool)
    leading.led[:] = True
    leading.note(np.zeros(1000), everyone, count=True, cut=everyone)
    leading.led[:4] = False
    leading.note(np.zeros(1000), everyone, count=True, cut=everyone)
    leading.begin(everyone, 1.0)
    assert leading.greedy.any()


def test_nothing_else_chooses_in_a_greedy_episode() -> None:
    leading = LedEpisodes(0.5, compared([1] * 5, [0] * 5), 4000, 1, greedy_share=0.5)
    settings = GuidanceSettings(0.8, 20, "clone", 0.5, 0.5)
    guidance = ExpertGuidance(Recorder(), settings, N_ACTIONS, 4000, 0, leading)
    for _ in range(5):
        actions = guidance.override(np.full(4000, HOST), np.arange(4000)[:, None], 1.0)
        guidance.note_step(np.zeros(4000), np.zeros(4000, dtype=bool))
        assert (actions[guidance.greedy()] == HOST).all()
        assert not guidance.has_chosen[guidance.greedy()].any()
    assert guidance.greedy().mean() == pytest.approx(0.25, abs=0.04)


def handing_over(
    led: list[float], own: list[float], lengths: list[int], share: float = 0.5, n_envs: int = 20_000, greedy: float = 0.0
) -> LedEpisodes:
    """Whoever leads an episode of the given lengths has led one to the end; then all environments begin a new one."""
    leading = LedEpisodes(0.9, compared(led, own), n_envs, seed=0, greedy_share=greedy, handover_share=share)
    for length in lengths:
        leading.led[0] = True
        for step in range(length):
            assert not leading.note(np.zeros(n_envs), np.arange(n_envs) < (step + 1 == length), count=True).any()
    leading.note(np.zeros(n_envs), np.ones(n_envs, dtype=bool), count=False)
    leading.returns = compared(led, own)  # as they were
    leading.begin(np.ones(n_envs, dtype=bool), 1.0)
    return leading


def handover_steps(leading: LedEpisodes, longest: int) -> np.ndarray:
    """After how many steps each environment is handed over, ``longest`` at most; 0 where it is not, shape (n_envs,)."""
    steps = np.zeros(len(leading.led), dtype=int)
    nobody = np.zeros(len(leading.led), dtype=bool)
    for step in range(1, longest + 1):
        led = leading.led.copy()
        now = leading.note(np.zeros(len(led)), nobody, count=True)
        np.testing.assert_array_equal(leading.led, led & ~now)
        assert led[now].all(), "only what the guide has begun"
        steps[now] = step
    return steps


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_guide_hands_over_within_the_length_of_its_episodes(share: float) -> None:
    leading = handing_over([2] * 5, [1] * 5, [6, 10], share)
    led = leading.led.copy()
    steps = handover_steps(leading, 30)
    assert (steps[led] > 0).mean() == pytest.approx(share, abs=0.02)
    counts = np.bincount(steps[steps > 0], minlength=9)
    assert len(counts) == 9, "after 8 steps, the mean, at the latest"
    assert chisquare(counts[1:]).pvalue > 0.001


def test_a_guide_that_is_hardly_better_hands_over_sooner() -> None:
    """Better with probability 0.92135, see above: clearly better by 0.8427, so after 0.8427 * 20 steps at the latest."""
    steps = handover_steps(handing_over([1, 2, 3, 4, 5], [2] * 5, [20]), 30)
    assert steps.max() == 17
    assert handover_steps(handing_over([1] * 5, [2] * 5, [20]), 30).max() == 1


def test_as_long_as_nothing_was_led_to_the_end_nothing_is_handed_over() -> None:
    assert not handover_steps(handing_over([2] * 5, [1] * 5, []), 30).any()


def test_what_was_handed_over_says_nothing_about_either() -> None:
    leading = handing_over([2] * 5, [1] * 5, [8], share=0.9, greedy=0.5)
    begun_greedily = leading.greedy.copy()
    steps = handover_steps(leading, 8)
    greedily = leading.greedy & ~begun_greedily
    assert not greedily[steps == 0].any()
    assert greedily[steps > 0].mean() == pytest.approx(0.5, abs=0.02)
    everyone = np.ones(20_000, dtype=bool)
    leading.returns = noted = ComparedReturns(window=20_000, memory=20_000)
    leading.note(np.where(steps > 0, 7.0, 1.0), everyone, count=True)
    assert set(noted.latest(led=True)) == set(noted.latest(led=False)) == {1.0}


def test_episodes_that_end_before_their_handover_do_not_make_the_guide_look_short_lived() -> None:
    """Guide and agent are equals: an episode ends at each step with the same probability, and returns its length."""
    returns = ComparedReturns(window=4000, memory=10**6)
    leading = LedEpisodes(0.9, returns, n_envs=400, seed=0, handover_share=0.5)
    generator, starts = np.random.default_rng(0), np.ones(400, dtype=bool)
    for _ in range(500):
        leading.begin(starts, 1.0)
        starts = generator.random(400) < 0.1
        leading.note(np.ones(400), starts, count=True)
    led, own = returns.latest(led=True), returns.latest(led=False)
    assert min(len(led), len(own)) > 1000
    assert led.mean() == pytest.approx(own.mean(), abs=1.5)
    assert np.mean(leading._lengths) > 5


def test_the_agents_own_episodes_do_not_tell_how_long_the_guide_leads() -> None:
    leading = LedEpisodes(0.5, ComparedReturns(), n_envs=2, seed=0, handover_share=0.5)
    leading.led[:] = [True, False]
    for step in range(9):
        leading.note(np.zeros(2), np.array([step == 2, step == 8]), count=True)
        leading.led[0] = step < 2
    assert list(leading._lengths) == [3]


def test_a_guided_stretch_ends_where_an_episode_is_handed_over() -> None:
    """All stretches are longer than the episodes: whoever is not led is guided to the end, or not at all."""
    leading = LedEpisodes(0.9, compared([2] * 5, [1] * 5), 4000, seed=0, handover_share=0.9)
    leading._lengths.append(5)
    guidance = ExpertGuidance(Recorder(), GuidanceSettings(0.0, 1e9, "clone", 0.9), N_ACTIONS, 4000, 0, leading)
    followed = []
    for _ in range(8):
        followed.append(guidance.override(np.full(4000, HOST), np.arange(4000)[:, None], 1.0) == EXPERT)
        guidance.note_step(np.zeros(4000), np.zeros(4000, dtype=bool))
    steps = np.sum(followed, axis=0)
    np.testing.assert_array_equal(np.arange(8)[:, None] < steps, followed)
    assert set(steps) == {0, 1, 2, 3, 4, 5, 8}
    assert ((steps > 0) & (steps < 8)).mean() == pytest.approx(0.81, abs=0.04)


class Greedily(DIIQN):
    """Exploits nothing by itself, and says which actions it would."""

    def _greedy_actions(self) -> np.ndarray:
        return np.ones(self.n_envs, dtype=np.int64)


def test_the_agent_explores_elsewhere() -> None:
    """With an exploration rate of 1 it acts at random, and greedily where it is compared."""
    env = DummyVecEnv([LineEnv] * 400)
    arguments = {"exploration_fraction": 1.0, "exploration_final_eps": 1.0, "learning_starts": 0, "device": "cpu", "seed": 0}
    settings: dict[str, Any] = {"led_episodes": 0.5, "greedy_episodes": 0.5, "guidance_share": 0.0}
    learner = Greedily("MlpPolicy", env, expert_data=right_walks(), **settings, **arguments)
    learner._setup_learn(400)
    learner.exploration_rate = 1.0
    actions = learner._sample_action(0, n_envs=400)[0]
    leading = learner._guidance.leading  # type: ignore[union-attr]
    assert leading is not None
    assert (actions[leading.greedy] == 1).all()
    alone = ~leading.greedy & ~leading.led
    assert actions[alone].mean() == pytest.approx(0.5, abs=0.2)
    warming_up = learner._sample_action(10_000, n_envs=400)[0]
    assert warming_up[leading.greedy].mean() == pytest.approx(0.5, abs=0.2)


def led_actions(share: float, led: list[float], own: list[float], n_envs: int = 4000) -> np.ndarray:
    """Actions of the second step of an episode without any other guidance, shape (n_envs,)."""
    leading = LedEpisodes(share, compared(led, own), n_envs, seed=1)
    guidance = ExpertGuidance(Recorder(), GuidanceSettings(0.0, 20, "clone", share), N_ACTIONS, n_envs, 0, leading)
    observations = np.arange(n_envs)[:, None]
    for _ in range(2):
        actions = guidance.override(np.full(n_envs, HOST), observations, 0.1)
        guidance.note_step(np.zeros(n_envs), np.zeros(n_envs, dtype=bool))
    return actions


def test_led_episodes_follow_the_guide() -> None:
    actions = led_actions(0.5, [1] * 5, [0] * 5)
    assert set(actions) == {HOST, EXPERT}
    assert (actions == EXPERT).mean() == pytest.approx(0.5, abs=0.04)


def test_a_guide_that_is_worse_leads_hardly_any() -> None:
    assert (led_actions(0.5, [0] * 5, [1] * 5) == EXPERT).mean() < 0.05


def model(env: LineEnv | None = None, **settings: Any) -> DIIQN:
    fixed: dict[str, Any] = {"learning_starts": 20, "train_freq": 1, "buffer_size": 1000, "seed": 0, "device": "cpu"}
    arguments = fixed | settings
    return DIIQN("MlpPolicy", LineEnv() if env is None else env, expert_data=right_walks(), preset="guided", **arguments)


def test_learning_notes_the_returns_and_keeps_them_in_the_file(tmp_path: Path) -> None:
    learner = model(led_episodes=0.5)
    learner.learn(400)
    statistics = learner.expert_statistics()
    assert {"guide_return", "compared_return", "guide_is_better", "guide_episodes"} <= statistics.keys()
    learner.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    for led in (True, False):
        known = learner._compared_returns.latest(led)
        assert len(known) > 0
        np.testing.assert_array_equal(loaded._compared_returns.latest(led), known)
    loaded.learn(100, reset_num_timesteps=False)


@pytest.mark.parametrize("limit", [2, 20])
def test_learning_notes_which_episodes_the_time_limit_cut(limit: int) -> None:
    """Two steps do not reach the end of the line."""
    learner = model(LineEnv(time_limit=limit), led_episodes=0.5)
    greedy: list[bool] = []
    learner.learn(400, callback=lambda local, _: greedy.append(bool(local["self"]._guidance.greedy()[0])) is None)
    assert any(greedy[200:]) == (limit == 20)


def test_without_led_episodes_nothing_is_compared() -> None:
    learner = model(led_episodes=0.0)
    learner.learn(100)
    assert not {"guide_is_better", "guide_episodes", "guide_return"} & learner.expert_statistics().keys()


def test_led_episodes_need_a_clone_but_no_stretches() -> None:
    learner = model(led_episodes=0.5, guidance_share=0.0)
    learner.learn(200)
    assert learner.cloned_policy is not None
    assert len(learner._compared_returns.latest(led=True)) > 0


def test_learning_hands_episodes_over(tmp_path: Path) -> None:
    """The guide goes right at once; an agent that always goes left comes back from where it was led."""
    learner = model(led_episodes=0.9, handed_over_episodes=0.8, guidance_share=0.0)
    learner.learn(600)
    guided = learner.replay_buffer.guided[:600, 0].astype(bool)
    ends = np.flatnonzero(learner.replay_buffer.dones[:600, 0])
    episodes = np.split(guided, ends + 1)[10:-1]
    begun = [one for one in episodes if one[0] and not one.all()]
    assert len(begun) >= 5
    for one in begun:
        assert not one[one.argmin() :].any(), "what the agent has taken over it keeps"
    learner.save(tmp_path / "model")
    loaded = DIIQN.load(tmp_path / "model", env=LineEnv(), expert_data=right_walks())
    assert loaded.handed_over_episodes == 0.8
    loaded.learn(50, reset_num_timesteps=False)
