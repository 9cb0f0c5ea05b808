"""Rows of arrays: fingerprints, duplicates, and groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

#: Bytes of rows that are worked on at once.
PORTION = 1 << 20

_SHIFT, _FACTOR = np.uint64(33), np.uint64(0xFF51AFD7ED558CCD)


class Rows(Protocol):
    """What has rows of numbers: an array, or something that makes them when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and their width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return an array of some rows."""


def portions(rows: Rows, n: int | None = None) -> Iterator[slice]:
    """
    Cut rows into stretches that fit the processor's cache.

    :param rows: shape (n, width)
    :param n: cut so many rows of this width instead
    """
    size = max(1, PORTION // max(rows.itemsize * rows.shape[1], 1))
    return (slice(start, start + size) for start in range(0, len(rows) if n is None else n, size))


def fingerprints(rows: np.ndarray) -> np.ndarray:
    """
    Compute a 64-bit number for each row, equal for equal rows and nearly surely different for others.

    :param rows: shape (n, width)
    :return: shape (n,), uint64
    """
    parts = [_fingerprints(rows[portion]) for portion in portions(rows)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=np.uint64), *parts])


def mixed(words: np.ndarray) -> np.ndarray:
    """
    Spread every bit over the word, as the finalizer of MurmurHash3 does.

    :param words: of any shape, uint64
    """
    words = (words ^ (words >> _SHIFT)) * _FACTOR
    return np.asarray(words ^ (words >> _SHIFT))


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the distinct rows, numbered by first appearance. Rows are compared byte by byte.

    :param rows: shape (n, width)
    :return: where each distinct row appears first, shape (m,), and for every row its number among them, shape (n,); int64
    """
    keys = fingerprints(rows)
    order = np.argsort(keys, kind="stable")
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = keys[order[1:]] != keys[order[:-1]]
    if not _are_equal(rows, order[1:][~begins[1:]], order[:-1][~begins[1:]]):
        return _distinct_by_bytes(rows)
    return _numbered_by_appearance(order[begins], order, np.cumsum(begins) - 1)


def expanded(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    List the members of ranges.

    :param starts: first member of each range, shape (n,)
    :param stops: one after the last, shape (n,)
    :return: for every member the range that it is in, and the member
    """
    counts = stops - starts
    source = np.repeat(np.arange(len(counts)), counts)
    return source, np.arange(len(source)) + (starts - np.cumsum(counts) + counts)[source]


class Groups:
    """
    Lists the members of groups.

    :param group_of_member: the group that each member is in, shape (n_members,)
    :param n_groups: number of groups
    """

    def __init__(self, group_of_member: np.ndarray, n_groups: int) -> None:
        # 32 bits: these lists are as long as the data
        self._members = np.argsort(group_of_member, kind="stable").astype(np.int32)
        self._offsets = np.zeros(n_groups + 1, dtype=np.int32)
        np.cumsum(np.bincount(group_of_member, minlength=n_groups), out=self._offsets[1:])

    def counts(self, groups: np.ndarray) -> np.ndarray:
        """
        Count the members of some groups.

        :param groups: shape (n,)
        """
        return np.asarray(self._offsets[groups + 1] - self._offsets[groups])

    def member(self, groups: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """
        Look up one member of each of some groups.

        :param groups: shape (n,)
        :param numbers: which of its members, from 0 on, shape (n,)
        """
        return np.asarray(self._members[self._offsets[groups] + numbers], dtype=np.int64)

    def members(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        List all members of some groups.

        :param groups: shape (n,)
        :return: for every member the position in ``groups`` that it belongs to, and the member
        """
        source, place = expanded(self._offsets[groups], self._offsets[groups + 1])
        return source, self._members[place].astype(np.int64)


def _fingerprints(rows: np.ndarray) -> np.ndarray:
    words = _as_words(rows)
    return mixed(np.asarray(mixed(words) @ _multipliers(words.shape[1])))


def _as_words(rows: np.ndarray) -> np.ndarray:
    """View the bytes of rows as 64-bit words, with zeros added where they do not fill the last one."""
    if rows.dtype == np.uint64:
        return rows
    octets = np.ascontiguousarray(rows).view(np.uint8)
    missing = -octets.shape[1] % 8
    return (np.pad(octets, ((0, 0), (0, missing))) if missing else octets).view(np.uint64)


@lru_cache(maxsize=16)
def _multipliers(n: int) -> np.ndarray:
    """Return odd numbers, always the same ones."""
    return np.asarray(mixed(np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1))


def _are_equal(rows: np.ndarray, first: np.ndarray, second: np.ndarray) -> bool:
    octets = np.ascontiguousarray(rows).view(np.uint8)
    return all(np.array_equal(octets[first[part]], octets[second[part]]) for part in portions(octets, len(first)))


def _distinct_by_bytes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the distinct rows by sorting them: slow, and right whatever the fingerprints are."""
    octets = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, number = np.unique(octets, return_index=True, return_inverse=True)
    order = np.argsort(number, kind="stable")
    return _numbered_by_appearance(first, order, number[order])


def _numbered_by_appearance(first: np.ndarray, order: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Renumber distinct rows by where they appear first.

    :param first: where each distinct row appears first
    :param order: a permutation of all rows
    :param number: the number of the distinct row that each of them is, in that order
    """
    rank = np.empty(len(first), dtype=np.int64)
    by_appearance = np.argsort(first)
    rank[by_appearance] = np.arange(len(first))
    number_of_row = np.empty(len(order), dtype=np.int64)
    number_of_row[order] = rank[number]
    return first[by_appearance], number_of_row
