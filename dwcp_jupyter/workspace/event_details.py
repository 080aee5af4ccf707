"""An event in one line, as the audit trail shows it: what is different since, in values cut to what a line holds.

Of a policy the fields are told that changed, with what they were before: that somebody asks for one reviewer now says
little to who does not know that it was two. The whole of an event is in the trail's export.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dwcp_jupyter.events import Event
from dwcp_jupyter.rendering.formats import clip, is_number, number

__all__ = ["tell_last"]

_SHOWN = ("source", "target", "state", "comment", "reason", "alias", "justification", "task_type", "kind", "reference")
_MOST = 60
"""Characters of one value."""
_NUMBERS = 3
_FIELDS = 4


def tell_last(events: Sequence[Event], count: int) -> list[str]:
    """Return the lines of the last events; those before them tell what policies were."""
    policies: dict[str, Mapping[str, Any]] = {}
    lines = []
    for place, event in enumerate(events, start=count - len(events)):
        if event.kind.startswith("policy."):
            former, said = policies.get(event.subject, {}), _mapping(event.payload.get("body"))
            policies[event.subject] = said
            lines += [_policy(said, former)] if place >= 0 else []
        elif place >= 0:
            lines.append(_OTHERS.get(event.kind, _named)(event.payload))
    return lines


def _policy(said: Mapping[str, Any], former: Mapping[str, Any]) -> str:
    """Return what a policy asks, and what it asked before where that was something else."""
    changed = [name for name in [*said, *(name for name in former if name not in said)] if _differ(name, said, former)]
    if not changed:
        return "nothing changed" if said else "asks nothing of its own"
    return _joined([_change(name, said, former) for name in changed], most=len(changed))


def _differ(name: str, said: Mapping[str, Any], former: Mapping[str, Any]) -> bool:
    return name not in said or name not in former or said[name] != former[name]


def _change(name: str, said: Mapping[str, Any], former: Mapping[str, Any]) -> str:
    now = _short(said[name]) if name in said else "left open"
    return f"{name} {now}" + (f" (before: {_short(former[name])})" if name in former else "")


def _update(payload: Mapping[str, Any]) -> str:
    fields = {name: _loaded(value) if name in ("tags", "custom_metadata") else value for name, value in payload.items()}
    return _joined([f"{name} {_short(value)}" for name, value in fields.items()], most=_FIELDS)


def _evidence(payload: Mapping[str, Any]) -> str:
    values = _mapping(payload.get("body"))
    measured = {name: value for name, value in values.items() if is_number(value)} or values
    told = _joined([f"{name} {_short(value)}" for name, value in measured.items()], most=_NUMBERS)
    return ": ".join(filter(None, (str(payload.get("kind", "")), told)))


def _approval(payload: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (f"to {payload['stage']}" if payload.get("stage") else "", _named(payload))))


def _named(payload: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {payload[key]}" for key in _SHOWN if payload.get(key))


_OTHERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "approval.decided": _approval,
    "approval.requested": _approval,
    "evidence.recorded": _evidence,
    "model.updated": _update,
}


def _joined(told: list[str], *, most: int) -> str:
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def _short(value: Any) -> str:
    if is_number(value):
        return number(value)
    if isinstance(value, Mapping):
        value = [f"{key} ({_short(item)})" for key, item in value.items()]
    if isinstance(value, list):
        value = "; ".join(item if isinstance(item, str) else _short(item) for item in value)
    return clip(str(value), _MOST) if value not in ("", None) else "none"


def _mapping(text: Any) -> Mapping[str, Any]:
    found = _loaded(text)
    return found if isinstance(found, Mapping) else {}


def _loaded(text: Any) -> Any:
    """Return what JSON says; a text that is none as it is, for the trail shows whatever was recorded."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
