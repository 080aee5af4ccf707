"""What a benchmark returns, and how it looks in Markdown.

A report keeps figures and text apart: `faults` (a lost version, an HTTP error, a wrong answer) make the run fail,
`targets` say whether a limit was met and never do, since a busy machine misses them without anything being wrong.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long and beside whom to measure.

    Attributes
    ----------
    runs : int
        Alternating runs that the medians are taken of.
    seconds : float
        Length of one load, in seconds.
    only : tuple of str
        Contenders whose name holds one of these texts; empty for all.
    reduced : bool
        One short run; peers take part only if their environment exists already.
    """

    runs: int = 5
    seconds: float = 5.0
    only: tuple[str, ...] = ()
    reduced: bool = False

    def wants(self, name: str) -> bool:
        """Return whether the contender called `name` takes part."""
        return not self.only or any(text in name for text in self.only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text or numbers under one heading."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def to_markdown(self) -> str:
        """Return the heading and the table, numbers to three significant digits and right-aligned."""
        numeric = [any(isinstance(row[i], float | int) for row in self.rows) for i in range(len(self.columns))]
        lines = [f"### {self.heading}", "", _line(self.columns)]
        lines.append(_line(["---:" if is_number else "---" for is_number in numeric]))
        lines += [_line([shown(value) for value in row]) for row in self.rows]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A limit and what was measured; `at_least` says in which direction it holds."""

    text: str
    measured: float
    limit: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        """Whether the measured figure is within the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one benchmark."""

    title: str
    tables: tuple[Table, ...]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    versions: str = ""

    def to_markdown(self) -> str:
        """Return the whole report as Markdown."""
        parts = [f"## {self.title}", *(table.to_markdown() for table in self.tables)]
        if self.targets:
            rows = [
                (t.text, t.measured, ("≥ " if t.at_least else "≤ ") + shown(t.limit), "yes" if t.is_met else "**no**")
                for t in self.targets
            ]
            parts.append(
                Table(heading="Targets", columns=("target", "measured", "limit", "met"), rows=tuple(rows)).to_markdown()
            )
        if self.faults:
            parts.append("\n".join(["### Faults", "", *(f"- {fault}" for fault in self.faults)]))
        parts += self.notes
        parts.append(machine_line(self.versions))
        return "\n\n".join(parts)


def shown(value: object) -> str:
    """Return a number to three significant digits without an exponent, anything else as its text."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(ours: float | None, theirs: float | None) -> float | str:
    """Return `ours` / `theirs`, or a dash where one of them was not measured."""
    return "-" if not ours or not theirs else ours / theirs


def machine_line(versions: str = "") -> str:
    """Return one line on the machine, its load and the versions in use."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ours = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("dwcp-jupyter", "duckdb", "scikit-learn", "uvloop")
    )
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    parts = [
        f"{_processor()}, {cores} cores, load {load:.1f} at the end",
        system,
        ours,
        *([versions] if versions else []),
    ]
    return f"*{'; '.join(parts)}.*"


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
