"""The registry's operations on what was: a moment of the past, and every change since."""

from __future__ import annotations

from datetime import date, datetime

from dwcp_jupyter.events import Record
from dwcp_jupyter.exceptions import ModelNotFoundError
from dwcp_jupyter.registry import history
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.history import StageHistory
from dwcp_jupyter.registry.names import ModelReference, parse_reference, reference_of
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import event_log

__all__ = ["PastCalls"]


class PastCalls(Acting):
    """What was when."""

    def as_of(self, model_id: ModelReference, when: date | datetime) -> ModelVersion:
        """Return the version that a reference meant at a moment, as it was then.

        Parameters
        ----------
        when : datetime or date
            A moment with a time zone; without one it is read as UTC. Of a day its end counts, in UTC.

        Raises
        ------
        ModelNotFoundError
            If it meant none.
        TypeError
            If `when` is neither.
        IntegrityError
            If the trail up to then makes no sense.

        Examples
        --------
        ``registry.as_of("churn@production", date(2026, 3, 1))``: what was in production when that day ended.
        """
        moment, model_id = history.moment_of(when), reference_of(model_id)
        return history.as_of(self._past_events(parse_reference(model_id).name, until=moment), model_id, moment)

    def history(self, model_id: ModelReference) -> StageHistory:
        """Return every change of a model's stages and aliases, the oldest first."""
        name = parse_reference(reference_of(model_id)).name
        found = self._past_events(name)
        if not found:
            raise ModelNotFoundError(f"No model '{name}' was ever in this workspace. List models with %models.")
        return history.changes(found)

    def _past_events(self, name: str, *, until: datetime | None = None) -> list[Record]:
        with self._stores.metadata.read() as connection:
            return event_log.read(connection, kinds=history.KINDS, below=f"model:{name}", until=until)
