"""Reading what somebody wrote as a policy: YAML or a mapping, checked field by field.

A policy may come from anybody, so what it costs to read it and to say what is wrong with it grows with its length
alone: YAML aliases, by which a short text stands for an endless one, are refused, and values are shown cut.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dwcp_jupyter.events import Assurance
from dwcp_jupyter.exceptions import PolicyError, TransitionError, did_you_mean
from dwcp_jupyter.registry.checks import Check, read_comparison
from dwcp_jupyter.registry.stages import Stage, stage_of

__all__ = ["read_fields", "read_yaml"]

_LONGEST = 1 << 16
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxtuple, _BRIEF.maxdict, _BRIEF.maxstring = 3, 4, 4, 4, 80


def read_yaml(text: str) -> Any:
    """Return what YAML says.

    Raises
    ------
    PolicyError
        If it is none, too long, nested too deep, or has aliases.
    """
    import yaml

    if len(text) > _LONGEST:
        raise PolicyError(f"The policy has {len(text)} characters, above the limit of {_LONGEST}. Shorten it.")
    try:
        alias = next((token for token in yaml.scan(text) if isinstance(token, yaml.AliasToken)), None)
        if alias is not None:
            raise PolicyError(f"The policy has the YAML alias '*{alias.value[:60]}'. Write out what it stands for.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as exc:  # an impossible date is a ValueError
        raise PolicyError(f"The policy is no YAML: {exc}") from exc
    except RecursionError:
        raise PolicyError("The policy is nested too deep. Write a flatter one.") from None


def read_fields(said: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a policy by their names, as `StagePolicy` takes them.

    Raises
    ------
    PolicyError
        It names every fault.
    """
    if not isinstance(said, Mapping):
        raise PolicyError(f"A policy is a mapping of fields, not {_shown(said)}. Write, for example: reviewers: 2")
    faults: list[str] = []
    values: dict[str, Any] = {}
    for name, value in said.items():
        if name not in known:
            faults.append(f"no field '{str(name)[:60]}'.{did_you_mean(str(name), known)} Fields: {', '.join(known)}.")
            continue
        try:
            values[name] = _READERS[name](value)
        except (ValueError, TypeError) as exc:
            faults.append(f"{name}: {exc}")
    if faults:
        raise PolicyError("The policy cannot be kept: " + "; ".join(faults))
    return values


def _shown(value: Any) -> str:
    """Return a value in words, cut: what was written may stand for much more than its length."""
    try:
        return _BRIEF.repr(value)[:200]
    except ValueError:  # Python prints no number of thousands of digits
        return f"a {type(value).__name__} too long to show"


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise ValueError(f"{_shown(value)} is no number of people from 0 to 100")
    return value


def _days(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 3650:
        raise ValueError(f"{_shown(value)} is no number of days up to 3650")
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(n, str) and n for n in value):
        raise ValueError(f"{_shown(value)} is no list of names")
    return tuple(dict.fromkeys(value))


def _roles(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{_shown(value)} is no mapping of roles to names")
    return {str(role): _names(people) for role, people in value.items()}


def _assurance(value: Any) -> Assurance:
    if isinstance(value, str) and value in set(Assurance):
        return Assurance(value)
    raise ValueError(f"{_shown(value)} is none of: {', '.join(Assurance)}")


def _stages(value: Any) -> tuple[Stage, ...]:
    try:
        return tuple(dict.fromkeys(stage_of(name) for name in _names(value)))
    except TransitionError as exc:
        raise ValueError(str(exc)) from None


def _checks(value: Any) -> tuple[Check, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{_shown(value)} is no list of checks")
    return tuple(check for item in value for check in _read_check(item))


def _read_check(item: Any) -> Iterable[Check]:
    if isinstance(item, Mapping) and list(item) == ["documents"]:
        return [Check(path=f"documents.{name}", sign="exists") for name in _names(item["documents"])]
    found = read_comparison(item) if isinstance(item, str) else None
    if found is None:
        raise ValueError(
            f"{_shown(item)} is no check. Write 'metrics.test_accuracy >= 0.95' or 'documents: [model_card]'"
        )
    return [found]


_READERS: dict[str, Callable[[Any], Any]] = {
    "reviewers": _count,
    "roles": _roles,
    "require": _names,
    "expires_after_days": _days,
    "assurance": _assurance,
    "checks": _checks,
    "stages": _stages,
}
