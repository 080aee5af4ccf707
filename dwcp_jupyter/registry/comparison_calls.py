"""The registry's operations that set versions side by side, and trace where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import (
    InvalidMetadataError,
)
from dwcp_jupyter.registry import (
    resolution,
)
from dwcp_jupyter.registry.comparison import Comparison, ComparisonList, Direction, compare_metrics
from dwcp_jupyter.registry.file_calls import FileCalls
from dwcp_jupyter.registry.lineage import Lineage
from dwcp_jupyter.registry.lineage_graph import lineage_of
from dwcp_jupyter.registry.names import ModelReference, reference_of

__all__ = ["ComparisonCalls"]


class ComparisonCalls(FileCalls):
    """Versions beside others."""

    def compare_models(
        self,
        model_a: ModelReference,
        model_b: ModelReference,
        *,
        primary_metric: str | None = None,
        directions: Mapping[str, Direction] | None = None,
        data: Any = None,
        y_true: Any = None,
        trust: flavors.Trust | str | None = None,
    ) -> Comparison:
        """Return two versions side by side, with the better one where that can be said; it is kept in the history.

        Parameters
        ----------
        primary_metric : str, optional
            The metric that decides. Without it one version must be at least as good in every metric that both have
            and whose direction is known. A metric that only one has decides nothing; the reason names it.
        directions : mapping of str to bool or str, optional
            Whether more is better, or ``"higher"`` or ``"lower"``, for metrics whose names do not tell.
        data, y_true : pandas.DataFrame and array_like, optional
            Rows that neither model was trained on, shapes (n_samples, n_features) and (n_samples,): both models are
            asked, and a paired test decides whether a difference is more than luck.

        Raises
        ------
        ModelNotFoundError, InvalidMetadataError
            If one is not there, or the question cannot be answered; nothing is kept then.
        """
        a, b = self.get_model(model_a), self.get_model(model_b)
        if (data is None) is not (y_true is None):
            raise InvalidMetadataError("A paired test takes both data and y_true. Give the other one too.")
        test = None
        if data is not None:
            from dwcp_jupyter.registry.pairing import paired_test

            first, second = (self.load_model(version.id, trust=trust) for version in (a, b))
            test = paired_test(first, second, data, y_true, primary_metric=primary_metric)
        compared = compare_metrics(a, b, primary_metric=primary_metric, directions=directions, test=test)
        with self._stores.metadata.transaction(self._actor) as tx:
            tx.record("version.compared", f"model:{a.reference}", **compared.to_json())
            return replace(compared, time=tx.now, actor=tx.actor.name)

    def list_comparisons(self, model_id: ModelReference | None = None) -> ComparisonList:
        """Return the comparisons that were made, the newest first; with `model_id` those of that version or model."""
        model_id = None if model_id is None else reference_of(model_id)
        wanted = None if model_id is None else self.get_model(model_id)
        found = [
            Comparison.from_json(event.payload, time=event.time, actor=event.actor.name)
            for event in reversed(self._stores.metadata.events(kinds=["version.compared"]))
        ]
        if wanted is None or model_id is None:
            return ComparisonList(found)
        names = {wanted.reference} if "@" in model_id else {v.reference for v in self.list_versions(wanted.name)}
        return ComparisonList(c for c in found if names & {c.a, c.b})

    def get_model_lineage(self, model_id: ModelReference, *, generations: int | None = None) -> Lineage:
        """Return where a version comes from and what came of it, as a graph.

        Parameters
        ----------
        generations : int, optional
            How many versions before and after it to follow; all without it.

        Raises
        ------
        ModelNotFoundError
            If there is none.
        """
        with self._stores.metadata.read() as connection:
            version = resolution.resolve(connection, reference_of(model_id))
            return lineage_of(connection, version, generations=generations)
