"""The registry's operations that look: versions by reference, in pages and by what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping

from dwcp_jupyter.registry import (
    listing,
    resolution,
    searching,
)
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.values import Model, ModelList, ModelVersion, VersionList

__all__ = ["ReadingCalls"]


class ReadingCalls(Acting):
    """What is there."""

    def get_model(self, model_id: ModelReference) -> ModelVersion:
        """Return the version that a reference or id means; for a bare name the highest.

        Raises
        ------
        ModelNotFoundError
            If there is none; it names what was probably meant.
        """
        with self._stores.metadata.read() as connection:
            return resolution.resolve(connection, reference_of(model_id))

    def resolve(self, reference: ModelReference) -> ModelVersion:
        """Return the one version that `reference` means, for a change or a deploy.

        Raises
        ------
        ModelNotFoundError
            If there is none.
        AmbiguousModelError
            If it leaves a choice.
        """
        with self._stores.metadata.read() as connection:
            return resolution.resolve(connection, reference_of(reference), must_be_certain=True)

    def list_models(
        self,
        filter: Mapping[str, str] | None = None,  # noqa: A002 - the guide's name
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> ModelList:
        """Return the models in order of their names.

        Parameters
        ----------
        filter : mapping, optional
            ``name`` (part of it, any case), ``stage`` and ``framework`` (of any version), ``tag`` (of the model or
            any version).
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            The last name of the page before.
        """
        with self._stores.metadata.read() as connection:
            return ModelList(
                listing.find_models(connection, dict(filter or {}), limit=listing.check_limit(limit), after=after)
            )

    def list_versions(
        self, model_id: ModelReference, *, limit: int | None = None, after: str | None = None
    ) -> VersionList:
        """Return a model's versions, the highest first.

        Parameters
        ----------
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            The last version of the page before.
        """
        with self._stores.metadata.read() as connection:
            model = resolution.model_row(connection, reference_of(model_id).partition("@")[0])
            return VersionList(listing.find_versions(connection, model, limit=listing.check_limit(limit), after=after))

    def search_versions(
        self, condition: str = "", *, order_by: str | None = None, limit: int | None = None, after: str | None = None
    ) -> VersionList:
        """Return the versions of all models that meet a condition, by name and then the highest first.

        Parameters
        ----------
        condition : str
            Comparisons joined by ``and``, ``or``, ``not`` and parentheses. Fields: ``name``, ``version``, ``stage``,
            ``alias``, ``tag``, ``framework``, ``framework_version``, ``flavor``, ``task_type``, ``author``,
            ``created_by``, ``created_at``, ``description``, ``changelog``, ``run_id``, ``git_commit``, ``sha256``,
            ``training_dataset``, and by their names ``metrics.``, ``params.`` and ``custom_metadata.``. Operators:
            ``= != < <= > >= like``. What a version does not have is neither equal nor different: ``author != 'ana'``
            is of those with another author. ``tag`` and ``alias`` ask whether it is among them, so ``tag != 'risk'``
            is also of versions without tags.
        order_by : str, optional
            ``name``, ``version``, ``created_at`` or a metric, with ``asc`` or ``desc``: ``"metrics.auc desc"``.
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            Reference of the last version of the page before.

        Raises
        ------
        FilterError
            If it cannot be understood; it says where.

        Examples
        --------
        ``registry.search_versions("metrics.test_accuracy >= 0.95 and tag = 'risk' and stage != 'archived'")``
        """
        with self._stores.metadata.read() as connection:
            return VersionList(
                searching.search(
                    connection, condition, order_by=order_by, limit=listing.check_limit(limit), after=after
                ),
                wanted={"condition": condition} if condition.strip() else None,
            )

    def describe_model(self, model_id: ModelReference) -> Model:
        """Return a model as a whole: its description, tags, stages and aliases."""
        name = model_id.name if isinstance(model_id, ModelVersion) else reference_of(model_id)
        with self._stores.metadata.read() as connection:
            (model,) = listing.describe(connection, [resolution.model_row(connection, name)])
        return model
