"""The evaluation of finished runs: what their soft prompts do where no search looked, and the verdict by rule."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hofsteer.alignment.objective import forms
from hofsteer.baselines import persona_text
from hofsteer.errors import RunError, TargetError
from hofsteer.evaluation.abilities import Generalising, measure_abilities, measure_generalising
from hofsteer.evaluation.caricature import Caricature, measure_caricature
from hofsteer.evaluation.claims import Verdict, judge
from hofsteer.evaluation.conversation import Conversations, measure_conversations
from hofsteer.evaluation.culturalbench import Benchmark
from hofsteer.evaluation.evidence import Evidence, Question, collect
from hofsteer.evaluation.finished import FinishedRun
from hofsteer.evaluation.knowledge import Knowledge, measure_knowledge
from hofsteer.evaluation.plan import HeldOut, Plan
from hofsteer.evaluation.reference_rows import ReferenceRows, measure_reference_rows
from hofsteer.evaluation.texts import measure_texts
from hofsteer.evaluation.together import changed_since, check_model, check_together, unlike
from hofsteer.evaluation.transfer import Transfer, measure_transfer
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.targets import Constants, Target, countries_on, noise_floor, target_for, zone_of

DEFAULTS = Plan(written="", model="", targets=("",))

Watcher = Callable[[str], None]


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
                "skill": evidence.skill.mean(axis=1).tolist(),
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
    """Return the evaluation of runs that differ in their seed alone, or of those that do not: then it is exploratory.

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
        RunError: the runs do not belong together or not to this model, or what they kept cannot be read.
        ModelError: answers cannot be used.
    """
    watch = watch or (lambda text: None)
    check_together(runs, controls)
    check_model((*runs, *controls), respondent)
    followed = [run.along() for run in runs] if extras.transfer else []
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
        transfer = measure_transfer(respondent, followed, question)
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
        exploratory=(*exploratory, *changed_since(first, question), *unlike(runs, controls, question.target)),
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
        RunError: its constants are of another instrument.
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
    dimensions = instrument.dimension_ids
    for constants in (own, *others):
        if constants.values.shape != (len(dimensions),):
            raise RunError(
                f"{run.folder.path}: provenance.json: want a constant for each of {', '.join(dimensions)}, got "
                f"{constants.values.size} ({constants.kind})"
            )
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


def _held_out(held_out: HeldOut, fitted: Sequence[Administration]) -> tuple[Administration, ...]:
    return held_out.forms(fitted[0].instrument, fitted)


def _form(form: Administration) -> dict[str, Any]:
    facets = ("wording", "order", "numbering", "labels", "system")
    return {facet: getattr(form, facet) for facet in facets}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
