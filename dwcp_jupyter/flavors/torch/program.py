"""An exported model, ready to be called: its graph, its weights, and what it takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.torch.archive import DTYPES, Archive, readable
from dwcp_jupyter.flavors.torch.graph import Graph

__all__ = ["Program", "TensorInput"]

_SHAPING = frozenset(
    ("view", "reshape", "flatten", "squeeze", "unsqueeze", "contiguous", "clone", "alias", "detach", "to", "_to_copy")
)
"""Operators that shape scores and leave them what they are."""
_ACTIVATIONS = {
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInput:
    """One tensor that a model takes.

    Attributes
    ----------
    shape : tuple of int, or None
        Of one row; -1 stands for any length, None for an unknown shape.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...] | None = None


class Program:
    """A model that was exported. Safe for threads.

    Attributes
    ----------
    inputs : tuple of TensorInput
        In the order in which it is called with them.
    activation : str or None
        ``"softmax"``, ``"log_softmax"`` or ``"sigmoid"``, if it ends in one.
    classes : tuple or None
        Labels of its outputs: those that the module named, or 0, 1, … of a softmax.
    archive : bytes
        The file that keeps it; empty for one that was loaded.

    Raises
    ------
    UnknownContentError
        If the graph is not known to be safe.
    FlavorError
        If it makes no sense, or does not take rows in batches of any size and give one tensor for them.
    """

    __slots__ = (
        "_answer",
        "_bound",
        "_graph",
        "_watched",
        "activation",
        "archive",
        "classes",
        "inputs",
        "torch_version",
    )

    def __init__(self, contents: Archive, *, archive: bytes = b"", classes: tuple[Any, ...] | None = None) -> None:
        self.archive = archive
        with readable():
            module = contents.program["graph_module"]
            graph, signature = module["graph"], module["signature"]
            self.torch_version = str(contents.program.get("torch_version", ""))
            self._graph = Graph(graph)
            self._bound = [_bound(spec, contents) for spec in signature["input_specs"]]
            self.inputs = tuple(_input(name, graph) for name in self._bound if isinstance(name, str))
            self._watched = tuple(value for value in self._bound if isinstance(value, torch.Tensor))
            self._answer, name = _answer(signature["output_specs"])
            self.activation = _activation(name, graph["nodes"])
            self.classes = classes or self._numbered(graph["tensor_values"][name]["sizes"])

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Return the answer to as many tensors as it has inputs, the rows first; they may be changed."""
        given = iter(tensors)
        before = [tensor._version for tensor in self._watched]
        inputs = [next(given) if isinstance(value, str) else value for value in self._bound]
        with torch.inference_mode():
            answer = self._graph.run(inputs)[self._answer]
        if before != [tensor._version for tensor in self._watched]:
            raise FlavorError(
                "The model changes its own buffers while it answers, so an answer would depend on those before it. "
                "Leave that to training: guard it by `if self.training:`."
            )
        if not isinstance(answer, torch.Tensor):
            raise FlavorError(f"The model answers with a {type(answer).__name__}, not with a tensor.")
        return answer

    def _numbered(self, sizes: list[Mapping[str, Any]]) -> tuple[int, ...] | None:
        """Return the numbers of a softmax's classes."""
        if self.activation not in {"softmax", "log_softmax"} or len(sizes) != 2:
            return None
        width = int(sizes[1].get("as_int", 0))
        return tuple(range(width)) if width > 1 else None


def _bound(spec: Mapping[str, Any], contents: Archive) -> Any:
    """Return what an input of the graph is: a weight, a constant, or the name of what the caller gives."""
    ((kind, content),) = spec.items()
    if kind == "user_input":
        ((argument, value),) = content["arg"].items()
        if argument == "as_tensor":
            return str(value["name"])
        if argument in {"as_none", "as_int", "as_float", "as_bool"}:
            return None if argument == "as_none" else value
        raise FlavorError(f"The model takes an input of the kind '{argument}', and rows are tensors.")
    if kind == "parameter":
        return contents.weights[content["parameter_name"]]
    if kind == "buffer":
        name = content["buffer_name"]
        return contents.weights[name] if name in contents.weights else contents.constants[name]
    if kind == "tensor_constant":
        return contents.constants[content["tensor_constant_name"]]
    if kind == "constant_input":
        return None  # the graph has its value already
    raise FlavorError(f"The model takes a '{kind}', which is neither rows nor weights. Export it without.")


def _input(name: str, graph: Mapping[str, Any]) -> TensorInput:
    meta = graph["tensor_values"][name]
    shape = tuple(int(size["as_int"]) if "as_int" in size else -1 for size in meta["sizes"])
    if not shape or shape[0] != -1:
        rows = f"batches of exactly {shape[0]} rows" if shape else "a number, not rows"
        raise FlavorError(
            f"The exported model takes {rows} as '{name}'. Export it with dynamic_shapes= that leave the first "
            "dimension open, or pass the module itself with input_example=."
        )
    return TensorInput(name=name, dtype=DTYPES[int(meta["dtype"])], shape=shape[1:])


def _answer(specs: list[Mapping[str, Any]]) -> tuple[int, str]:
    """Return the place and the name of the one tensor among the graph's outputs."""
    found = []
    for place, spec in enumerate(specs):
        ((kind, content),) = spec.items()
        if kind == "user_output" and "as_tensor" in content["arg"]:
            found.append((place, str(content["arg"]["as_tensor"]["name"])))
        elif kind not in {"user_output", "user_input_mutation"}:
            raise FlavorError(
                f"The model gives a '{kind}', so answering would change it. Export it in eval mode, without a loss."
            )
    if len(found) != 1:
        raise FlavorError(
            f"The model answers with {len(found)} tensors, and a row has one answer. Wrap it in a module whose forward "
            "returns the one to be served, such as `return self.model(x)['logits']`."
        )
    return found[0]


def _activation(name: str, nodes: list[Mapping[str, Any]]) -> str | None:
    """Return the activation that made an output, over the outputs of each row."""
    makers = {value: node for node in nodes for value in _names(node["outputs"])}
    while name in makers:
        node = makers[name]
        operator = str(node["target"]).removeprefix("torch.ops.aten.").partition(".")[0]
        if operator not in _SHAPING:
            over = {entry["arg"].get("as_int") for entry in node["inputs"] if entry["name"] == "dim"}
            return _ACTIVATIONS.get(operator) if over <= {1, -1} else None
        name = next(_names([entry["arg"] for entry in node["inputs"]]), "")
    return None


def _names(arguments: list[Mapping[str, Any]]) -> Iterator[str]:
    return (str(argument["as_tensor"]["name"]) for argument in arguments if "as_tensor" in argument)
