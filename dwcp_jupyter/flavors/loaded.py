"""A model ready to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_jupyter.exceptions import DwcpError, PredictionError
from dwcp_jupyter.flavors import tables
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.protocol import Flavor, Prediction
from dwcp_jupyter.flavors.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LoadedModel"]


class LoadedModel:
    """A model with its description: input is checked by the signature before the model sees it.

    Attributes
    ----------
    native : object
        The framework's own model.
    info : PackageInfo
        What was kept of it.
    """

    def __init__(self, native: Any, info: PackageInfo, flavor: Flavor) -> None:
        self.native = native
        self.info = info
        self._flavor = flavor

    @property
    def signature(self) -> Signature | None:
        """What it takes and gives."""
        return self.info.signature

    def conform(self, data: Any) -> pd.DataFrame:
        """Return `data` as the model takes them; see `Signature.conform`."""
        return tables.to_frame(data) if self.signature is None else self.signature.conform(data)

    def predict(self, data: Any) -> Prediction:
        """Return the model's answer.

        Parameters
        ----------
        data : DataFrame, Arrow table, mapping, or list of mappings
            Columns by name, shape (n_samples, n_inputs).

        Raises
        ------
        SignatureError
            If the data do not fit the signature; it names the columns.
        PredictionError
            If the model fails on data that do.
        """
        return self.predict_conformed(self.conform(data))

    def predict_conformed(self, frame: pd.DataFrame) -> Prediction:
        """Return the model's answer to what `conform` gave.

        Raises
        ------
        PredictionError
            If the model fails, or does not answer once for each row.
        """
        kind = type(self.native).__name__
        try:
            prediction = self._flavor.predict(self.native, frame, self.info)
        except DwcpError:
            raise
        except Exception as exc:  # the model is foreign code: whatever it raises is its failure, not ours
            raise PredictionError(
                f"The model ({kind}) failed on input that fits its signature: {type(exc).__name__}: {exc}"
            ) from exc
        if len(prediction.values) != len(frame):
            raise PredictionError(
                f"The model ({kind}) gave {len(prediction.values)} answers to {len(frame)} rows. It must give "
                "one for each row."
            )
        return prediction

    def __repr__(self) -> str:
        return f"LoadedModel({type(self.native).__name__}, format={self.info.format})"
