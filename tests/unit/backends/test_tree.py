"""Rows that begin alike, as a tree."""

import numpy as np
import pytest

from ct_guard.backends.tree import Tree

ROWS = [(1, 2, 3), (1, 2, 4), (1, 2), (5,), (1, 2, 3)]


@pytest.fixture
def tree() -> Tree:
    return Tree.of(ROWS)


def row_at(tree: Tree, end: int) -> tuple[int, ...]:
    way = []
    while end >= 0:
        way.append(int(tree.ids[end]))
        end = int(tree.parents[end])
    return tuple(reversed(way))


def test_each_row_is_the_way_to_its_end(tree: Tree) -> None:
    assert [row_at(tree, end) for end in tree.ends.tolist()] == ROWS


def test_what_rows_begin_with_stands_there_once(tree: Tree) -> None:
    assert tree.ids.tolist() == [1, 2, 3, 4, 5]


def test_a_token_sees_itself_and_what_it_stands_behind(tree: Tree) -> None:
    assert [np.flatnonzero(seen).tolist() for seen in tree.ancestors] == [
        [0], [0, 1], [0, 1, 2], [0, 1, 3], [4],
    ]  # fmt: skip
    assert tree.depths.tolist() == [0, 1, 2, 2, 0]


def test_a_token_knows_the_rows_that_it_is_of(tree: Tree) -> None:
    assert tree.through == [[0, 1, 2, 4], [0, 1, 2, 4], [0, 4], [1], [3]]


@pytest.mark.parametrize(
    ("rows", "trunk"),
    [
        ([(1, 2, 3), (1, 2, 4)], 3),
        ([(1, 2, 3), (1, 2), (1, 2, 3, 5)], 4),  # none leaves the line
        ([(1, 2), (1, 3), (1, 3, 4)], 2),
        ([(1,), (2,)], 1),
    ],
)
def test_the_trunk_is_what_stands_in_one_line(rows: list[tuple[int, ...]], trunk: int) -> None:
    assert Tree.of(rows).trunk == trunk
