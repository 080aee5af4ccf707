"""Counts per bin and per category, aligned between a reference and a current sample.

Bins are always made from the reference alone: bins that follow the current sample would hide part of its shift. The
outer bins are open, so no value is lost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bin_counts", "category_counts", "finite", "quantile_edges", "sturges_edges"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def finite(values: ArrayLike) -> Floats:
    """Return `values` as a flat float array without NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    keep = np.isfinite(array)
    return array if keep.all() else array[keep]


def quantile_edges(reference: ArrayLike, *, bins: int = 10) -> Floats:
    """Return the inner and outer edges of bins that each hold about the same share of `reference`.

    Parameters
    ----------
    reference : array_like, shape (n,)
    bins : int
        Wanted number. Values that repeat give fewer.

    Returns
    -------
    ndarray, shape (k + 1,)
        Strictly ascending, k <= `bins`. Empty for an empty reference; a constant c gives ``[c, c + ulp]``.
    """
    values = finite(reference)
    if not values.size:
        return values
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)))
    return _widened(edges)


def sturges_edges(reference: ArrayLike) -> Floats:
    """Return the edges of ``ceil(log2(n)) + 1`` bins of equal width (Sturges 1926).

    References
    ----------
    https://doi.org/10.1080/01621459.1926.10502161
    """
    values = finite(reference)
    if not values.size:
        return values
    bins = math.ceil(math.log2(values.size)) + 1 if values.size > 1 else 1
    return _widened(np.unique(np.linspace(values.min(), values.max(), bins + 1)))


def _widened(edges: Floats) -> Floats:
    return edges if edges.size > 1 else np.array([edges[0], np.nextafter(edges[0], np.inf)])


def bin_counts(values: ArrayLike, edges: ArrayLike) -> Counts:
    """Return how many of `values` lie in each bin ``[edge, next edge)``.

    Values below the first edge count into the first bin, those from the last edge on into the last one.

    Returns
    -------
    ndarray of int64, shape (len(edges) - 1,)
    """
    inner = np.asarray(edges, dtype=np.float64)[1:-1]
    places = np.searchsorted(inner, finite(values), side="right")
    return np.bincount(places, minlength=inner.size + 1).astype(np.int64)


def category_counts(
    reference: ArrayLike, current: ArrayLike, *, limit: int | None = None
) -> tuple[list[Any], Counts, Counts]:
    """Return the categories of both samples and how often each occurs in either.

    Parameters
    ----------
    reference, current : array_like of hashable
        None and NaN are left out.
    limit : int, optional
        Keep the most frequent categories of the two samples together and count the rest as one, named None.

    Returns
    -------
    categories : list
        By falling count in both together; equal ones by their text.
    reference_counts, current_counts : ndarray of int64
    """
    counts = [_value_counts(values) for values in (reference, current)]
    total = {name: counts[0].get(name, 0) + counts[1].get(name, 0) for name in counts[0] | counts[1]}
    categories: list[Any] = sorted(total, key=lambda name: (-total[name], str(name)))
    aligned = [np.array([side.get(name, 0) for name in categories], dtype=np.int64) for side in counts]
    if limit is not None and len(categories) > limit:
        categories = [*categories[: limit - 1], None]
        aligned = [np.append(array[: limit - 1], array[limit - 1 :].sum()) for array in aligned]
    return categories, aligned[0], aligned[1]


def _value_counts(values: ArrayLike) -> dict[Any, int]:
    import pandas as pd

    series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    counts = series.value_counts(sort=False)
    return dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
