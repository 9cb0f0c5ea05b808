"""Searches the agent's newest steps for bridges, looking back at most k steps of the same episode. (HA-DIIQN)"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sb3_diiqn.inference.bridges import BridgeCandidates, no_candidates
from sb3_diiqn.inference.index import Hits
from sb3_diiqn.inference.nearest import NO_ACTION


class Matches(NamedTuple):
    """Expert observations that agent observations match."""

    row: np.ndarray
    """Which agent observation, as a row of the batch: step * n_envs + environment, shape (n,)."""
    observation: np.ndarray
    """Which expert observation, shape (n,)."""
    distance: np.ndarray
    """Their distance, shape (n,)."""


class _Window(NamedTuple):
    """The last k steps and a batch of new ones; everything that a path can consist of."""

    actions: np.ndarray  # (steps, n_envs)
    rewards: np.ndarray  # (steps, n_envs)
    terminals: np.ndarray  # (steps, n_envs)
    episodes: np.ndarray  # (steps, n_envs), a number that differs between episodes of an environment
    starts: Matches


class PathSearch:
    """
    Finds bridges as the steps come in: O(k) per step, however large the replay buffer is.

    Each new state is the possible end of the paths that began up to k steps ago in its episode. A path that ends with the
    episode ends in that episode's last observation, which is no later step's state and comes in ``final``.

    :param transition_of_observation: the expert transition that starts at each expert observation
    :param trajectory_ends: for each expert observation the index of its trajectory's last one
    :param max_length: k, longest path in agent steps
    :param max_gain: n, how many expert steps later it may end
    :param gamma: discount factor
    :param n_envs: number of environments
    :param observed_at: lists the expert observations that are the states of hits; asked only about what can end a path
    """

    def __init__(
        self,
        transition_of_observation: np.ndarray,
        trajectory_ends: np.ndarray,
        max_length: int,
        max_gain: int,
        gamma: float,
        n_envs: int,
        observed_at: Callable[[Hits], Matches],
    ) -> None:
        self._transition_of_observation = transition_of_observation
        self._trajectory_ends = trajectory_ends
        self.max_length = max_length
        self.max_gain = max_gain
        self.gamma = gamma
        self.n_envs = n_envs
        self._observed_at = observed_at
        self._past = self._nothing()

    def search(
        self,
        actions: np.ndarray,
        rewards: np.ndarray,
        terminals: np.ndarray,
        begins: np.ndarray,
        starts: Matches,
        arrived: Hits,
        final: Hits,
    ) -> BridgeCandidates:
        """
        Take in new steps and find the paths that end with them.

        :param actions: shape (steps, n_envs)
        :param rewards: shape (steps, n_envs)
        :param terminals: 1 where the episode ended for good, shape (steps, n_envs)
        :param begins: True where a step does not go on from the one before it, shape (steps, n_envs)
        :param starts: those matches of the new observations from which bridges are wanted; transitions start at all of them
        :param arrived: the expert states that the new observations match
        :param final: the expert states that the *next* observations match, for the steps that end an episode
        """
        n_old = len(self._past.actions)
        shift = n_old * self.n_envs
        last = self._past.episodes[-1] if n_old else np.zeros(self.n_envs, dtype=np.int64)
        window = _Window(
            np.concatenate([self._past.actions, actions]),
            np.concatenate([self._past.rewards, rewards]),
            np.concatenate([self._past.terminals, terminals]),
            np.concatenate([self._past.episodes, last + np.cumsum(begins, axis=0)]),
            Matches(*(np.concatenate(pair) for pair in zip(self._past.starts, _shifted(starts, shift), strict=True))),
        )
        self._past = self._newest(window)
        if len(window.starts.row) == 0:
            return no_candidates(self.max_length)
        arrived, final = (hits._replace(query=hits.query + shift) for hits in (arrived, final))
        return self._candidates(window, arrived, final)

    def _candidates(self, window: _Window, arrived: Hits, final: Hits) -> BridgeCandidates:
        starts = window.starts
        step, env = np.divmod(starts.row, self.n_envs)
        # every start with every length, those ending earlier first
        length = np.repeat(np.arange(1, self.max_length + 1), len(step))
        start, step, env = (np.tile(array, self.max_length) for array in (np.arange(len(step)), step, env))
        key = self._path_keys(window, step, env, length)
        ends_keys, ends = self._end_keys(key, arrived, final)
        n_observations = len(self._trajectory_ends)
        observation = starts.observation[start]
        # of the ends on the trajectory, the one furthest ahead but at most n steps
        furthest = np.minimum(observation + self.max_gain, self._trajectory_ends[observation])
        position = np.searchsorted(ends_keys, key * n_observations + furthest, side="right") - 1
        found = np.flatnonzero((key >= 0) & (position >= 0))
        found = found[ends_keys[position[found]] > (key * n_observations + observation)[found]]
        if len(found) == 0:
            return no_candidates(self.max_length)
        end = ends_keys[position[found]] - key[found] * n_observations
        start, step, env, length, observation = start[found], step[found], env[found], length[found], observation[found]
        # in the order in which the agent was seen at the ends: at once where the episode ends, else with the next step
        order = np.argsort(2 * (step + length) - key[found] % 2, kind="stable")
        start, step, env, length = start[order], step[order], env[order], length[order]
        observation, end, end_distance = observation[order], end[order], ends.distance[position[found]][order]
        path_actions, reward = self._along(window, step, env, length)
        return BridgeCandidates(
            self._transition_of_observation[observation],
            length,
            end,
            end - observation,
            (starts.distance[start] + end_distance) / 2,
            path_actions,
            reward,
            window.terminals[step + length - 1, env],
        )

    def _end_keys(self, path_keys: np.ndarray, arrived: Hits, final: Hits) -> tuple[np.ndarray, Matches]:
        """
        Sort the places where paths end; two for every row: a state in the middle of an episode, and an episode's last.

        :return: sorted keys that say where and at which expert observation, and the matches in the same order
        """
        place, final_place = 2 * arrived.query, 2 * (final.query + self.n_envs) + 1
        asked = np.zeros(max(array.max(initial=0) for array in (place, final_place, path_keys)) + 1, dtype=bool)
        asked[path_keys[path_keys >= 0]] = True
        ends = self._observed_at(
            Hits(
                np.concatenate([place[asked[place]], final_place[asked[final_place]]]),
                np.concatenate([arrived.row[asked[place]], final.row[asked[final_place]]]),
                np.concatenate([arrived.distance[asked[place]], final.distance[asked[final_place]]]),
            )
        )
        keys = ends.row * len(self._trajectory_ends) + ends.observation
        order = np.argsort(keys, kind="stable")
        return keys[order], Matches(*(array[order] for array in ends))

    def _path_keys(self, window: _Window, step: np.ndarray, env: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Name the place where each path would end, -1 where its episode or the window ends before."""
        n_steps = len(window.actions)
        end = step + length
        episode = window.episodes[step, env]
        alive = (end <= n_steps) & (window.episodes[np.minimum(end, n_steps) - 1, env] == episode)
        goes_on = (end < n_steps) & (window.episodes[np.minimum(end, n_steps - 1), env] == episode)
        places = 2 * (end * self.n_envs + env) + np.where(goes_on, 0, 1)
        return np.where(alive, places, -1)

    def _along(self, window: _Window, step: np.ndarray, env: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return actions, padded, and discounted return of paths."""
        actions = np.full((len(step), self.max_length), NO_ACTION, dtype=np.int64)
        reward = np.zeros(len(step))
        for offset in range(self.max_length):
            on_path = np.flatnonzero(offset < length)
            actions[on_path, offset] = window.actions[step[on_path] + offset, env[on_path]]
            reward[on_path] += self.gamma**offset * window.rewards[step[on_path] + offset, env[on_path]]
        return actions, reward

    def _newest(self, window: _Window) -> _Window:
        dropped = max(len(window.actions) - self.max_length, 0)
        kept = window.starts.row >= dropped * self.n_envs
        starts = Matches(*(array[kept] for array in window.starts))
        return _Window(
            window.actions[dropped:],
            window.rewards[dropped:],
            window.terminals[dropped:],
            window.episodes[dropped:],
            _shifted(starts, -dropped * self.n_envs),
        )

    def _nothing(self) -> _Window:
        empty = np.zeros((0, self.n_envs))
        no_index = np.zeros(0, dtype=np.int64)
        whole = empty.astype(np.int64)
        return _Window(whole, empty, empty, whole, Matches(no_index, no_index, np.zeros(0, dtype=np.float32)))


def _shifted(matches: Matches, rows: int) -> Matches:
    return matches._replace(row=matches.row + rows)
