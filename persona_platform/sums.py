"""Sums whose last digit does not hang on how the work was split: a plan's id is a digest of what they lead to.

Polars splits a plain sum or mean of few large groups among threads, as they come free, and BLAS a product of long
arrays by their number. Here values are added in the order of their rows, and by one thread. So that this order is
one order, joins before a sum say ``maintain_order``, and so do groups that are themselves added up.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def total(of: str | pl.Expr) -> pl.Expr:
    """The sum of a group's values in the order of its rows, nulls left out; within ``agg`` only."""
    return (pl.col(of) if isinstance(of, str) else of).implode().list.sum()


def average(of: str | pl.Expr) -> pl.Expr:
    """The mean of a group's values in the order of its rows, nulls left out; within ``agg`` only."""
    return (pl.col(of) if isinstance(of, str) else of).implode().list.mean()


def one_thread() -> AbstractContextManager[object]:
    """Within it numpy's matrix products take one thread."""
    return _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> "ThreadpoolController":
    import numpy.linalg  # noqa: F401  # loads BLAS, which a controller made before it would not see
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looking the libraries up takes 10 ms: once
