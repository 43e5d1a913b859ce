"""What is fixed before a search: the held-out forms, margins, seeds, controls and constants, with a hash and a time.

A plan that is written first cannot be bent to the result. `hofsteer plan` writes it; `align`, `evaluate` and `compare`
take it. What was done out of order is not forbidden, and is called exploratory: a run older than its plan, held-out
data that were opened before a search began, seeds that are left out. A plan that was changed is refused.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hofsteer.alignment.objective import forms
from hofsteer.config import RunConfig, check_table, resolve
from hofsteer.errors import ConfigError
from hofsteer.files import append_line, hash_bytes, replace_text
from hofsteer.instruments import Administration, load_instrument
from hofsteer.instruments.base import Instrument
from hofsteer.tables import read_toml
from hofsteer.targets import target_name

FORMAT = 1
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Margins(_Table):
    """The lines that decide; defaults of the design, to be argued with before a search and never after."""

    seeds_for_a_verdict: Annotated[int, Field(ge=3)] = 10
    # gates
    valid_mass: Share = 0.90  # mean over items
    item_valid_mass: Share = 0.75  # of each item
    refused: Share = 0.10  # of generated answers, unparsable ones among them
    text_gap: Positive = 10.0  # points between scores of first tokens and of texts, beyond the read-out floor
    order: Share = 0.7  # correlation of item means, straight and reversed
    style_drift: Positive = 0.3  # steps of a five-point scale, on content-free items
    room: Positive = 10.0  # points, of the naive loss; the noise floor where that is larger
    # claims
    loss: Positive = 10.0  # points, upper bound on held-out forms
    of_naive: Share = 0.5  # of the naive loss, at most
    nearest: Annotated[int, Field(ge=1)] = 3  # the target is among so many nearest countries
    gain: Share = 0.10  # G, lower bound on every other instrument
    controls: Annotated[int, Field(ge=19)] = 39  # K
    exceeded: Annotated[float, Field(gt=0, lt=1)] = 0.05  # share of controls that come as near
    choice_share: Share = 0.5  # of the way that a persona moves choices
    lost: Share = 0.02  # of facts, refusals of harmful requests, even-handedness, a benchmark's right answers
    kl: Positive = 0.05  # nats a token on neutral prompts, mean over seeds
    variance: Share = 0.5  # of the naive answers' variance, at least
    # no claim
    caricature: Positive = 0.10  # of the caricature index above 1


class HeldOut(_Table):
    """The factorial of forms that no search sees: wordings x orders x numberings x labels x system texts."""

    wordings: tuple[int, ...] | None = None  # None: all that were not fitted
    orders: Annotated[tuple[Literal["listed", "reversed"], ...], Field(min_length=1)] = ("listed", "reversed")
    numberings: Annotated[tuple[Literal["rising", "falling"], ...], Field(min_length=1)] = ("rising",)
    labels: Annotated[tuple[Literal["digits", "letters"], ...], Field(min_length=1)] = ("digits",)
    systems: Annotated[tuple[str, ...], Field(min_length=1)] = ("",)  # system texts; "" is none

    def forms(self, instrument: Instrument, fitted: Sequence[Administration]) -> tuple[Administration, ...]:
        """Return the forms, those fitted left out. Raises ConfigError if none is left, or a wording is not there."""
        there = range(min(len(item.wordings) for item in instrument.items))
        seen = {form.wording for form in fitted}
        wordings = self.wordings if self.wordings is not None else tuple(w for w in there if w not in seen)
        if unknown := [w for w in wordings if w not in there]:
            raise ConfigError(f"held_out.wordings wants wordings 0 to {there[-1]} of {instrument.id}, got {unknown[0]}")
        facets = itertools.product(wordings, self.orders, self.numberings, self.labels, self.systems)
        forms = [
            replace(fitted[0], wording=w, order=o, numbering=n, labels=label, system=system or None)
            for w, o, n, label, system in facets
        ]
        kept = tuple(form for form in forms if form not in fitted)
        if not kept:
            raise ConfigError(
                f"want held-out forms of {instrument.id} beside those fitted, got none: leave a wording out"
            )
        return kept


class Plan(_Table):
    """A whole plan."""

    format: int = FORMAT
    written: str  # UTC, ISO 8601
    model: str
    targets: Annotated[tuple[str, ...], Field(min_length=1)]  # codes, or FILE.csv:GROUP as given
    instrument: str = "vsm13"
    constants: str | None = None  # the policy; None is the instrument's default
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = tuple(range(10))
    settings: dict[str, Any] = {}  # of every search, by dotted key
    held_out: HeldOut = HeldOut()
    instruments: tuple[str, ...] = ("ivs10",)  # the other instruments; those with data of the target's people count
    choices: str | None = "vignettes"  # an instrument of choices, judged beside a persona
    margins: Margins = Margins()

    @property
    def hash(self) -> str:
        """SHA-256 of all but the time: what was decided, not when."""
        table = self.model_dump(mode="json", exclude={"written"})
        return hash_bytes(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())

    def run_config(self, target: str, seed: int) -> RunConfig:
        """Return the settings of one of its searches. Raises ConfigError for a target or seed that is not planned."""
        code = target_name(target, load_instrument(self.instrument))
        if code not in self.targets:
            raise ConfigError(f"the plan has the targets {', '.join(self.targets)}, got {code}")
        if seed not in self.seeds:
            raise ConfigError(f"the plan has the seeds {', '.join(map(str, self.seeds))}, got {seed}")
        fixed = {"target": code, "instrument": self.instrument, "constants": self.constants, "search.seed": seed}
        return resolve(flags={**self.settings, **fixed, "model.id": self.model, "plan": self.hash})


def make_plan(**fields: Any) -> Plan:
    """Return a checked plan, written now; fields are those of `Plan`. Raises HofsteerError for what cannot be met."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    plan = check_table(Plan, {"written": now, **{name: value for name, value in fields.items() if value is not None}})
    instrument = load_instrument(plan.instrument)
    codes = tuple(dict.fromkeys(target_name(name, instrument) for name in plan.targets))
    plan = plan.model_copy(update={"targets": codes})
    config = plan.run_config(codes[0], plan.seeds[0])
    plan.held_out.forms(instrument, forms(instrument, config.wordings, config.orders, config.cue))
    for name in (*plan.instruments, *([plan.choices] if plan.choices else [])):
        load_instrument(name)
    return plan


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan to a new file. Raises ConfigError if there is one: a plan is not changed."""
    import tomli_w

    if path.exists():
        raise ConfigError(f"{path} is there already, and a plan is not changed: write another")
    table = {**plan.model_dump(mode="json", exclude_none=True), "hash": plan.hash}
    replace_text(path, "# Fixed before the search. Its hash covers all but the time.\n" + tomli_w.dumps(table))


def read_plan(path: Path) -> Plan:
    """Return the plan in a file. Raises ConfigError if it is no plan, or was changed after it was written."""
    if not (table := read_toml(path)):
        raise ConfigError(f"{path}: want a plan as `hofsteer plan` writes it, got an empty file")
    recorded = table.pop("hash", None)
    if (newer := table.get("format", FORMAT)) != FORMAT:
        raise ConfigError(f"{path}: want a plan of format {FORMAT}, got {newer!r}")
    plan = check_table(Plan, table, f"{path}")
    if recorded != plan.hash:
        raise ConfigError(
            f"{path} was changed after it was written: its hash is {plan.hash[:12]}, and it says {str(recorded)[:12]}"
        )
    return plan


def log_opening(path: Path, runs: Sequence[str]) -> None:
    """Note beside a plan that its held-out data were opened now, for these runs."""
    entry = {"opened": datetime.now(UTC).isoformat(timespec="seconds"), "runs": list(runs)}
    append_line(_log(path), entry)


def first_opening(path: Path) -> str | None:
    """Return when a plan's held-out data were first opened, as its log says, in ISO 8601; None if it has no opening.

    Raises:
        ConfigError: a line of the log is none, such as a half-written one.
    """
    log = _log(path)
    lines = log.read_bytes().splitlines() if log.is_file() else []
    return min((_opened(log, number, line) for number, line in enumerate(lines, 1)), default=None)


def departures(
    plan: Plan | None, opened: str | None, runs: Sequence[dict[str, Any]], target: str, seeds: Sequence[int]
) -> tuple[str, ...]:
    """Return why an evaluation is exploratory, in words; nothing where all was done in order.

    Args:
        plan: what was planned; None where nothing was.
        opened: when its held-out data were first opened, before this evaluation.
        runs: `plan` tables of the runs' provenance: the plan's hash and when the run started; empty without a plan.
        target: of the runs, by the name in their settings.
        seeds: of the runs.
    """
    if plan is None:
        return ("there was no plan",)
    found = []
    if target not in plan.targets:
        found.append(f"the target {target} is not planned, and {', '.join(plan.targets)} {_is(plan.targets)}")
    if missing := [seed for seed in plan.seeds if seed not in seeds]:
        found.append(f"{len(missing)} of {len(plan.seeds)} planned seeds {_is(missing)} not here: {_listed(missing)}")
    if more := [seed for seed in seeds if seed not in plan.seeds]:
        found.append(f"{len(more)} of {len(seeds)} seeds {_is(more)} not planned: {_listed(more)}")
    if any(not run for run in runs):
        found.append("a run was started without a plan")
    elif any(run["hash"] != plan.hash for run in runs):
        found.append("a run was started under another plan")
    if any(run and run["started"] < plan.written for run in runs):
        found.append("a run is older than the plan")
    if opened is not None and any(run and run["started"] > opened for run in runs):
        found.append(f"held-out data were opened at {opened}, before a run was started")
    return tuple(found)


def _is(some: Sequence[Any]) -> str:
    return "is" if len(some) == 1 else "are"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _opened(log: Path, number: int, line: bytes) -> str:
    try:
        opened: str = json.loads(line)["opened"]
        datetime.fromisoformat(opened)
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{log}, line {number}: want an opening with its time, as --plan writes it, "
            f"got {line[:60].decode(errors='replace')!r}"
        ) from None
    return opened


def _log(path: Path) -> Path:
    return path.with_suffix(".opened.jsonl")
