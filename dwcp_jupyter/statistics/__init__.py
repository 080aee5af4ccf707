"""Statistics as pure functions on arrays.

Each has its reference, a defined answer for empty, constant and missing input, and a test against an independent
source. Nothing here knows models, stores or Jupyter. Missing values (NaN) are left out; where nothing remains, the
answer is NaN, never an error: callers that need enough rows say so themselves (see `detectable_ks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.statistics.directions import base_name, higher_is_better, is_quality
    from dwcp_jupyter.statistics.divergence import jensen_shannon, psi, wasserstein
    from dwcp_jupyter.statistics.effects import cramers_v, detectable_ks, mean_difference, wilson_interval
    from dwcp_jupyter.statistics.histograms import bin_counts, category_counts, quantile_edges, sturges_edges
    from dwcp_jupyter.statistics.multiplicity import benjamini_hochberg
    from dwcp_jupyter.statistics.numbers import NumberComparison, compare_numbers
    from dwcp_jupyter.statistics.paired import PairedTest, mcnemar, permutation_difference
    from dwcp_jupyter.statistics.two_sample import TestResult, chi_square, ks_p_value, ks_two_sample

__all__ = [
    "NumberComparison",
    "PairedTest",
    "TestResult",
    "base_name",
    "benjamini_hochberg",
    "bin_counts",
    "category_counts",
    "chi_square",
    "compare_numbers",
    "cramers_v",
    "detectable_ks",
    "higher_is_better",
    "is_quality",
    "jensen_shannon",
    "ks_p_value",
    "ks_two_sample",
    "mcnemar",
    "mean_difference",
    "permutation_difference",
    "psi",
    "quantile_edges",
    "sturges_edges",
    "wasserstein",
    "wilson_interval",
]

_HOME = {
    "NumberComparison": "numbers",
    "PairedTest": "paired",
    "TestResult": "two_sample",
    "base_name": "directions",
    "benjamini_hochberg": "multiplicity",
    "bin_counts": "histograms",
    "category_counts": "histograms",
    "chi_square": "two_sample",
    "compare_numbers": "numbers",
    "cramers_v": "effects",
    "detectable_ks": "effects",
    "higher_is_better": "directions",
    "is_quality": "directions",
    "jensen_shannon": "divergence",
    "ks_p_value": "two_sample",
    "ks_two_sample": "two_sample",
    "mcnemar": "paired",
    "mean_difference": "effects",
    "permutation_difference": "paired",
    "psi": "divergence",
    "quantile_edges": "histograms",
    "sturges_edges": "histograms",
    "wasserstein": "divergence",
    "wilson_interval": "effects",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
