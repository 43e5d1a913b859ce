"""The evaluation of finished runs: what their soft prompts do where no search looked, and the verdict by rule."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.objective import forms
from hofsteer.alignment.run import RunFolder
from hofsteer.baselines import persona_text
from hofsteer.config import RunConfig
from hofsteer.errors import RunError, TargetError
from hofsteer.evaluation.abilities import Generalising, measure_abilities, measure_generalising
from hofsteer.evaluation.caricature import Caricature, measure_caricature
from hofsteer.evaluation.claims import Verdict, judge
from hofsteer.evaluation.conversation import Conversations, measure_conversations
from hofsteer.evaluation.culturalbench import Benchmark
from hofsteer.evaluation.evidence import Evidence, Question, collect
from hofsteer.evaluation.knowledge import Knowledge, measure_knowledge
from hofsteer.evaluation.plan import HeldOut, Plan
from hofsteer.evaluation.reference_rows import ReferenceRows, measure_reference_rows
from hofsteer.evaluation.texts import measure_texts
from hofsteer.evaluation.transfer import Transfer, measure_transfer
from hofsteer.files import short_hash
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import Constants, Target, countries_on, noise_floor, target_for, zone_of

SAME = ("model", "instrument", "constants")  # of the provenance: runs that are judged together agree in these
DEFAULTS = Plan(written="", model="", targets=("",))

Watcher = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One run with its soft prompt."""

    folder: RunFolder
    config: RunConfig
    provenance: dict[str, Any]
    soft_prompt: SoftPrompt

    @property
    def target(self) -> str:
        """The code of its target."""
        return str(self.provenance["target"]["code"])


@dataclass(frozen=True)
class Extras:
    """What is asked beside the forms of a survey."""

    texts: bool = True  # the model writes answers too
    transfer: bool = True  # what the runs kept along their search is asked too
    conversation: bool = True  # the survey is asked in one chat too
    benchmarks: tuple[Benchmark, ...] = ()  # of knowledge; losing it is damage where the model alone knows any


@dataclass(frozen=True, eq=False)
class RunsEvaluation:
    """What S runs for one target show, and the verdict."""

    target: Target
    model: str
    runs: tuple[FinishedRun, ...]
    controls: tuple[FinishedRun, ...]
    question: Question
    evidence: Evidence
    verdict: Verdict
    reference: ReferenceRows
    caricature: Caricature
    generalising: Generalising | None  # None: the target is no country
    exploratory: tuple[str, ...]  # why; nothing where all was done in the order of a plan
    untested: tuple[str, ...]  # instruments on which nothing is published of the target
    simulated: bool
    transfer: Transfer | None = None  # None: not asked for, or the runs kept nothing along their search
    conversations: Conversations | str | None = None  # or why there are none; None: not asked for
    knowledge: tuple[Knowledge, ...] = ()  # of each benchmark that was asked
    lost_margin: float = DEFAULTS.margins.lost  # of right answers, by the plan

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        evidence, verdict = self.evidence, self.verdict
        return {
            "schema": 1,
            "target": self.target.code,
            "model": self.model,
            "simulated": self.simulated,
            "runs": [run.folder.name for run in self.runs],
            "seeds": [run.config.search.seed for run in self.runs],
            "controls": [run.target for run in self.controls],
            "held_out": [_form(form) for form in self.question.held_out],
            "untested": list(self.untested),
            "exploratory": list(self.exploratory),
            "verdict": {claim.name: claim.word for claim in verdict.claims} if verdict.given else None,
            "seeds_for_a_verdict": verdict.least_seeds,
            "gates": [
                {"name": gate.name, "value": _finite(gate.value), "wanted": gate.wanted, "open": gate.open}
                for gate in verdict.gates
            ],
            "claims": [
                {
                    "name": claim.name,
                    "alone": claim.alone,
                    "because": claim.because or None,
                    "seeds_needed": claim.seeds_needed,
                    "parts": [
                        {
                            "name": part.name,
                            "value": part.value,
                            "bounds": None if part.bounds is None else list(map(_finite, part.bounds)),
                            "wanted": part.wanted,
                            "word": part.word,
                            "seeds_needed": part.seeds_needed,
                        }
                        for part in claim.parts
                    ],
                }
                for claim in verdict.claims
            ],
            "specific_to": verdict.specific_to if verdict.given else None,
            "zone": None if (zone := verdict.zone) is None else {**asdict(zone), "passes": zone.passes},
            "evidence": {
                "losses": {
                    policy: {"steered": losses.tolist(), "naive": naive.tolist()}
                    for policy, (losses, naive) in evidence.losses.items()
                },
                "persona_loss": evidence.persona_loss,
                "noise_floor": evidence.noise_floor,
                "item_losses": {kind: losses.to_json() for kind, losses in evidence.item_losses.items()},
                "fitted_losses": evidence.fitted_losses.tolist(),
                "skill": evidence.skill.tolist(),
                "rank": evidence.rank,
                "gains": {name: gain.tolist() for name, gain in evidence.gains.items()},
                "persona_gains": dict(evidence.persona_gains),
                "control_gains": evidence.control_gains.tolist(),
                "control_zones": list(evidence.control_zones),
                "choice_share": None if evidence.choice_share is None else evidence.choice_share.tolist(),
                "item_spread": evidence.item_spread,
                "loss_spread": {
                    name: None if len(losses) < 2 else float(losses.std(ddof=1))
                    for name, losses in (
                        ("fitted", evidence.fitted_losses),
                        ("held_out", evidence.held_out_losses),
                    )
                },
                "valid_mass": evidence.valid_mass.mean(axis=1).tolist(),
                "order_agreement": evidence.order_agreement.tolist(),
                "style_drift": evidence.style_drift.tolist(),
                "styles": evidence.styles.to_json(),
                "variance_kept": evidence.variance_kept.tolist(),
                "lost": {name: lost.tolist() for name, lost in evidence.lost.items()},
                "kl": None if evidence.kl is None else evidence.kl.tolist(),
                "absent": dict(evidence.absent),
                "neutral_texts": evidence.neutral_texts,
                "unusable_texts": None if evidence.texts is None else evidence.texts.unusable.tolist(),
                "text_gap": None if evidence.texts is None else list(map(_finite, evidence.texts.gap)),
                "texts": None if evidence.texts is None else evidence.texts.to_json(),
            },
            "reference": self.reference.to_json(),
            "caricature": self.caricature.to_json(),
            "generalising": None if self.generalising is None else self.generalising.to_json(),
            "transfer": None if self.transfer is None else self.transfer.to_json(),
            "conversations": self.conversations.to_json()
            if isinstance(self.conversations, Conversations)
            else self.conversations,
            "knowledge": [one.to_json(self.lost_margin) for one in self.knowledge],
        }


def open_runs(paths: Sequence[Path]) -> tuple[FinishedRun, ...]:
    """Return the finished runs at paths: run folders, or folders of them.

    Raises:
        RunError: there is no run, one is not finished, or its soft prompt cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        if (path / "config.toml").is_file():
            found.append(path)
        elif inside := sorted(child.parent for child in path.glob("*/config.toml")):
            found += inside
        else:
            raise RunError(
                f"want a run folder or a folder of runs, but {path} has no config.toml, nor has one inside it"
            )
    return tuple(map(_open, dict.fromkeys(path.resolve() for path in found)))


def evaluate_runs(
    respondent: Respondent,
    runs: Sequence[FinishedRun],
    controls: Sequence[FinishedRun] = (),
    plan: Plan | None = None,
    exploratory: Sequence[str] = (),
    extras: Extras = Extras(),
    watch: Watcher | None = None,
    question: Question | None = None,
) -> RunsEvaluation:
    """Return the evaluation of runs that differ in their seed alone.

    Args:
        respondent: the model that they were found on.
        runs: for one target.
        controls: runs for other targets, with the same budget.
        plan: held-out forms, other instruments and margins; the defaults without one.
        exploratory: why the evaluation is exploratory (`plan.departures`).
        extras: what is asked beside the forms.
        watch: called with what is asked, before it is.
        question: in place of what the first run and the plan ask (`question_of`), such as of a country that is
            invented.

    Raises:
        RunError: the runs do not belong together, or not to this model.
        ModelError: answers cannot be used.
    """
    watch = watch or (lambda text: None)
    _check_together(runs, controls, respondent)
    first, decided = runs[0], plan or DEFAULTS
    question, untested = question_of(first, decided) if question is None else (question, ())
    prompts = np.stack([run.soft_prompt.values for run in runs])
    led = [run.soft_prompt.values for run in controls]

    def abilities(given: SoftPrompts | None) -> Any:
        watch("facts, refusals and neutral text")
        return measure_abilities(respondent, given)

    watch("written answers")
    written = measure_texts(respondent, prompts, question) if extras.texts else None
    watch("held-out forms and other instruments")
    evidence = collect(respondent, prompts, question, led, abilities, written)
    watch("baselines and rows without a model")
    reference = measure_reference_rows(respondent, question, evidence, prompts.shape[1])
    caricature = measure_caricature(respondent, prompts, question, decided.margins.caricature)
    watch("lines about the people of the country")
    generalising = measure_generalising(respondent, prompts, question.target)
    transfer = None
    if extras.transfer:
        watch("points along the search")
        transfer = measure_transfer(respondent, [run.folder for run in runs], question)
    conversations = None
    if extras.conversation:
        watch("the survey in one conversation")
        conversations = measure_conversations(respondent, prompts, question)
    knowledge = []
    for benchmark in extras.benchmarks:
        watch(benchmark.name)
        knowledge.append(measure_knowledge(respondent, benchmark, prompts))
    known = {one.benchmark.name: one.lost for one in knowledge if one.there}
    evidence = replace(
        evidence,
        lost={**evidence.lost, **known},
        zone=zone_of(question.target.code),
        control_zones=tuple(zone_of(run.target) for run in controls),
    )
    return RunsEvaluation(
        target=question.target,
        model=str(first.provenance["model"]["id"]),
        runs=tuple(runs),
        controls=tuple(controls),
        question=question,
        evidence=evidence,
        verdict=judge(evidence, decided.margins),
        reference=reference,
        caricature=caricature,
        generalising=generalising,
        exploratory=(*exploratory, *_unlike(runs, controls)),
        untested=untested,
        simulated=respondent.simulated,
        transfer=transfer,
        conversations=conversations,
        knowledge=tuple(knowledge),
        lost_margin=decided.margins.lost,
    )


def question_of(run: FinishedRun, plan: Plan) -> tuple[Question, tuple[str, ...]]:
    """Return what is asked of a run, and the instruments of the plan on which nothing is published of its target.

    Raises:
        TargetError: its target is not found any more.
        ConfigError: no held-out form is left.
    """
    config = run.config
    instrument = load_instrument(config.instrument)
    target = target_for(config.target, instrument)
    fitted = forms(instrument, config.wordings, config.orders, config.cue)
    place = config.target if target.kind == "group" else target.code.partition("@")[0]  # a table is found by its path
    elsewhere, untested = {}, []
    for name in plan.instruments:
        other = load_instrument(name)
        if other.id == instrument.id:
            continue
        try:
            elsewhere[name] = target_for(place, other)
        except TargetError:
            untested.append(name)
    own = Constants.from_json(run.provenance["constants"])
    others = [Constants.from_json(table) for table in run.provenance.get("other_constants", [])]
    countries = target.beside or countries_on(instrument.dimension_ids)
    return (
        Question(
            target=target,
            fitted=fitted,
            held_out=_held_out(plan.held_out, fitted),
            constants={constants.kind: constants for constants in (own, *others)},
            countries=countries,
            elsewhere=elsewhere,
            choices=plan.choices,
            persona=persona_text(target),
            noise_floor=noise_floor(instrument, target).points,
        ),
        tuple(untested),
    )


def _open(path: Path) -> FinishedRun:
    folder = RunFolder.open(path)
    if not (path / "soft_prompt").is_dir():
        raise RunError(f"{path} has no soft prompt: the search is not finished; go on with hofsteer resume {path}")
    return FinishedRun(folder, folder.config(), folder.read_json("provenance.json"), SoftPrompt.load(path))


def _unlike(runs: Sequence[FinishedRun], controls: Sequence[FinishedRun]) -> tuple[str, ...]:
    """Return what makes the controls another draw than the runs: longer soft prompts can do more, priced ones less."""
    tokens, reasons = len(runs[0].soft_prompt.values), []
    lengths = [len(run.soft_prompt.values) for run in controls]
    if any(length != tokens for length in lengths):
        reasons.append(f"the controls have {min(lengths)} to {max(lengths)} tokens, the runs {tokens}")
    if any(run.config.objective != runs[0].config.objective for run in (*runs, *controls)):
        reasons.append("runs and controls do not all minimise the same (their settings of `objective`)")
    return tuple(reasons)


def _check_together(runs: Sequence[FinishedRun], controls: Sequence[FinishedRun], respondent: Respondent) -> None:
    first = runs[0]
    for run in (*runs[1:], *controls):
        for key in SAME:
            own, other = (_comparable(key, one.provenance) for one in (first, run))
            if own != other:
                raise RunError(
                    f"{run.folder.name} has another {key} than {first.folder.name}: they are not judged together"
                )
        if run.config.search.budget != first.config.search.budget:
            budgets = first.config.search.budget, run.config.search.budget
            raise RunError(
                f"want runs of one budget, got {budgets[0]} in {first.folder.name} and {budgets[1]} in "
                f"{run.folder.name}"
            )
    if others := sorted({run.target for run in runs} - {first.target}):
        raise RunError(
            f"want runs for one target, got {first.target} and {others[0]}; give other targets as --controls"
        )
    seeds = [run.config.search.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise RunError(
            f"want runs of different seeds, got seed {max(seeds, key=seeds.count)} twice: one draw is not two"
        )
    if same := [run.folder.name for run in controls if run.target == first.target]:
        raise RunError(f"a control aims at another target, but {same[0]} aims at {first.target} as well")
    for run in runs[1:]:
        if run.soft_prompt.values.shape != first.soft_prompt.values.shape:
            raise RunError(
                f"want soft prompts of one shape, got {first.soft_prompt.values.shape} in {first.folder.name} and "
                f"{run.soft_prompt.values.shape} in {run.folder.name}"
            )
    weights = respondent.identity().get("weights_sha256")
    recorded = first.provenance["model"].get("weights_sha256")
    if weights != recorded:
        raise RunError(
            f"the runs were found on weights {short_hash(recorded)}, and the model has {short_hash(weights)}"
        )


def _comparable(key: str, provenance: dict[str, Any]) -> Any:
    """Return what must agree between runs: constants by their values, the rest whole."""
    return provenance[key]["values"] if key == "constants" else provenance[key]


def _held_out(held_out: HeldOut, fitted: Sequence[Administration]) -> tuple[Administration, ...]:
    return held_out.forms(fitted[0].instrument, fitted)


def _form(form: Administration) -> dict[str, Any]:
    facets = ("wording", "order", "numbering", "labels", "system")
    return {facet: getattr(form, facet) for facet in facets}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
