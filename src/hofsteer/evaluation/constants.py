"""The constants of a model: its own answers under the personas of countries, tied to their published scores."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.alignment.run import RunFolder
from hofsteer.baselines import persona_text
from hofsteer.config import EXPECTED, ReadOut
from hofsteer.errors import ModelError, RunError
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent
from hofsteer.targets import Constants, Target, Tie, constants_for, load_target, tie_constants, tied_countries
from hofsteer.targets.constants import FITTED

CHECKED = 4  # personas that a resumed run asks again

Watcher = Callable[[int, int], None]  # personas asked so far, and of how many

# respondent -> (forms under a persona, read-out) -> scores (M,)
_ASKED: WeakKeyDictionary[Respondent, dict[tuple[tuple[Administration, ...], ReadOut], Floats]] = WeakKeyDictionary()

log = logging.getLogger(__name__)


def constants_of(
    policy: str,
    respondent: Respondent,
    forms: Sequence[Administration],
    read_out: ReadOut = EXPECTED,
    watch: Watcher | None = None,
) -> Constants:
    """Return the constants (M,) of a policy for one respondent, asked as the forms and the read-out say.

    `midpoint` and `none` ask nothing. `anchor` and `fitted` ask every form once under the persona of each country (some
    60 forward passes a form for `fitted`), with no soft prompt, and take the mean over forms.

    Args:
        policy: as `policy_for` gives it.
        respondent: who answers.
        forms: those that the constants are for, all of one instrument.
        read_out: how answers are read.
        watch: called with the number of personas asked and of all.

    Raises:
        ModelError: an anchor's persona gives no usable answers, or more than half of the personas of `fitted`.
    """
    instrument = forms[0].instrument
    countries = tied_countries(policy, instrument)
    if not countries:
        return constants_for(instrument, policy)
    computed = persona_scores(countries, respondent, forms, read_out, watch)
    answered = np.array([np.isfinite(row).all() for row in computed])
    left_out = tuple(country.code for country, there in zip(countries, answered, strict=True) if not there)
    if left_out and (policy != FITTED or 2 * len(left_out) > len(countries)):
        raise ModelError(
            f"no constants {policy}: no usable answers under the persona of {', '.join(left_out)}; "
            "constants midpoint need no personas"
        )
    kept = [country for country, there in zip(countries, answered, strict=True) if there]
    published = np.stack([country.vector(instrument.dimension_ids) for country in kept])
    tie = Tie(tuple(country.code for country in kept), computed[answered], published, left_out)
    return tie_constants(policy, instrument, tie)


def persona_scores(
    countries: Sequence[Target],
    respondent: Respondent,
    forms: Sequence[Administration],
    read_out: ReadOut = EXPECTED,
    watch: Watcher | None = None,
) -> Floats:
    """Return scores without constants (N, M), in index points, mean over forms; NaN where answers cannot be used.

    Who was asked once is not asked again while the respondent lives: a comparison starts many runs on one model.
    """
    asked_before = _ASKED.setdefault(respondent, {})
    rows = []
    for number, country in enumerate(countries, start=1):
        asked = tuple(replace(form, system=persona_text(country)) for form in forms)
        if (asked, read_out) not in asked_before:
            responses = respondent.respond(asked, None, read_out)
            asked_before[asked, read_out] = forms[0].instrument.score(responses.probabilities[0]).mean(axis=0)
        rows.append(asked_before[asked, read_out])
        if watch is not None:
            watch(number, len(countries))
    return np.stack(rows)


def every_policy(objective: Objective, watch: Watcher | None = None) -> tuple[Constants, ...]:
    """Return the constants of an objective first, then those of the other policies that a loss is printed under.

    These are `midpoint` and `fitted`; an instrument that has its own zero, or no published scores, has but one. A
    policy whose personas give no usable answers is left out, with a warning.
    """
    own, instrument = objective.constants, objective.instrument
    if instrument.constants == "fixed":
        return (own,)
    policies = [own]
    if own.kind != "midpoint":
        policies.append(constants_for(instrument, "midpoint"))
    if own.kind != FITTED and tied_countries(FITTED, instrument):
        try:
            policies.append(
                constants_of(FITTED, objective.respondent, objective.administrations, objective.read_out, watch)
            )
        except ModelError as error:
            log.warning("%s", error)
    return tuple(policies)


def constants_of_run(path: Path, instrument: Instrument) -> tuple[Constants, ...]:
    """Return the constants that a run recorded, its own first: they belong to whatever is asked with its soft prompt.

    None if there is no run at the path or in the folder around it, or it is of another instrument.

    Raises:
        RunError: the record cannot be read.
    """
    run = RunFolder.of_adapter(path)
    if run is None:
        return ()
    recorded = run.read_json("provenance.json")
    try:
        if recorded["instrument"]["sha256"] != instrument.hash:
            return ()
        return tuple(map(Constants.from_json, (recorded["constants"], *recorded.get("other_constants", ()))))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{run.path}: the constants in provenance.json cannot be read: {error}") from None


def checked_countries(constants: Constants) -> tuple[Target, ...]:
    """Return the countries whose personas a resumed run asks again; none where constants rest on no answers."""
    return () if constants.tie is None else tuple(load_target(code) for code in constants.tie.countries[:CHECKED])


def departure(
    constants: Constants, respondent: Respondent, forms: Sequence[Administration], read_out: ReadOut
) -> float:
    """Return how far the respondent is, in index points at most, from the answers that constants were fitted to.

    The first few personas are asked again: `CHECKED` of them.
    """
    countries = checked_countries(constants)
    if constants.tie is None:
        return 0.0
    computed = persona_scores(countries, respondent, forms, read_out)
    return float(np.abs(computed - constants.tie.computed[: len(countries)]).max())
