"""Fingerprints, duplicates and groups of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sb3_diiqn.inference import rows as module
from sb3_diiqn.inference.rows import Groups, distinct, expanded, fingerprints, portions

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
dtypes = st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.uint64, np.bool_])


@given(generator=generators, dtype=dtypes, n=st.integers(0, 30), width=st.integers(1, 11))
def test_distinct_rows_are_numbered_by_first_appearance(
    generator: np.random.Generator, dtype: type, n: int, width: int
) -> None:
    rows = generator.integers(0, 2, (n, width)).astype(dtype)
    first, number = distinct(rows)
    known = list(dict.fromkeys(map(tuple, rows.tolist())))
    assert rows[first].tolist() == [list(row) for row in known]
    assert number.tolist() == [known.index(tuple(row)) for row in rows.tolist()]


def test_rows_with_equal_fingerprints_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fingerprints", lambda rows: (rows[:, 0] % 2).astype(np.uint64))
    rows = np.array([[4], [1], [2], [4], [3], [1]])
    first, number = distinct(rows)
    assert first.tolist() == [0, 1, 2, 4]
    assert number.tolist() == [0, 1, 2, 0, 3, 1]


def test_fingerprints_do_not_depend_on_the_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (500, 13)).astype(np.uint8)
    whole = fingerprints(rows)
    assert len(np.unique(whole)) == 500
    monkeypatch.setattr(module, "PORTION", 100)
    assert len(list(portions(rows))) > 10
    np.testing.assert_array_equal(fingerprints(rows), whole)


def test_single_bits_change_the_fingerprint() -> None:
    rows = np.eye(512, dtype=bool)
    pairs = rows | np.roll(rows, 64, axis=1)
    words = np.packbits(np.concatenate([rows, pairs]), axis=1)
    assert len(np.unique(fingerprints(words))) == 1024


@given(ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=8))
def test_expanded_lists_the_members_of_ranges(ranges: list[tuple[int, int]]) -> None:
    starts, counts = (
        (np.array(column, dtype=int) for column in zip(*ranges, strict=True)) if ranges else (np.zeros(0, int),) * 2
    )
    source, member = expanded(starts, starts + counts)
    expected = [(i, start + k) for i, (start, count) in enumerate(ranges) for k in range(count)]
    assert list(zip(source.tolist(), member.tolist(), strict=True)) == expected


@given(generator=generators, n=st.integers(1, 20), n_groups=st.integers(1, 5))
def test_groups(generator: np.random.Generator, n: int, n_groups: int) -> None:
    of_member = generator.integers(0, n_groups, n)
    groups, chosen = Groups(of_member, n_groups), generator.integers(0, n_groups, 6)
    source, member = groups.members(chosen)
    expected = [(position, i) for position, group in enumerate(chosen) for i in range(n) if of_member[i] == group]
    assert list(zip(source.tolist(), member.tolist(), strict=True)) == expected
    assert groups.counts(chosen).tolist() == [int((of_member == group).sum()) for group in chosen]
    filled = chosen[groups.counts(chosen) > 0]
    last = groups.member(filled, groups.counts(filled) - 1)
    assert last.tolist() == [int(np.flatnonzero(of_member == group)[-1]) for group in filled]
