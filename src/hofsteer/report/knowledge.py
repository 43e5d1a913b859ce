"""What a model knows of a benchmark, as a table and sentences."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.knowledge import Count, Knowledge
from hofsteer.evaluation.proportions import mcnemar, wilson
from hofsteer.targets import Target


def knowledge_table(knowledge: Knowledge) -> Table:
    """Return a line a country and one over all; behind a soft prompt too, if there is one."""
    steered = 0 if knowledge.steered else None
    table = Table(title=f"{knowledge.benchmark.name}: questions answered right", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    heads = ["country", "n", "right", "95 % interval"]
    if steered is not None:
        heads += ["steered", "95 % interval", "lost", "gained", "p"]
    for column, head in enumerate(heads):
        table.add_column(head, justify="right" if column else "left")
    adjusted = knowledge.p_values() if steered is not None else {}
    for name in knowledge.countries():
        table.add_row(name, *_cells(knowledge.count(name, steered), adjusted.get(name)))
    count = knowledge.count(number=steered)
    table.add_row("all", *_cells(count, None if steered is None else mcnemar(count.lost, count.gained)), style="bold")
    return table


def knowledge_notes(knowledge: Knowledge, margin: float) -> list[str]:
    """Return what has to be said with the table."""
    benchmark, chance = knowledge.benchmark, knowledge.permuted
    said = [
        f"By guessing {benchmark.chance:.2%} would be right, by the best constant answer {benchmark.constant:.1%}; "
        f"with the key permuted over the questions {chance.mean:.1%} ({chance.low:.1%} to {chance.high:.1%}): what "
        f"habits of answering get without knowing. Answers given: {_shares(knowledge)}."
    ]
    if not knowledge.there:
        said.append("The model alone is right no more often than its habits explain: it knows nothing to be lost.")
    if benchmark.left_out:
        said.append(f"Questions with a blank option, left out: {benchmark.left_out}.")
    if knowledge.steered:
        part, count = knowledge.damage(margin), knowledge.count(number=0)
        assert part.bounds is not None
        said.append(
            f"Damage: {100 * (count.lost - count.gained) / count.n:.1f} percentage points of right answers lost "
            f"(one-sided 95 % bounds {100 * part.bounds[0]:.1f} to {100 * part.bounds[1]:.1f}), wanted within "
            f"{100 * margin:g}: {part.word}. {count.lost} lost, {count.gained} gained, McNemar's exact p "
            f"{mcnemar(count.lost, count.gained):.3g}; p of countries are adjusted for their number."
        )
    return said


def steered_note(knowledge: Knowledge, target: Target) -> str:
    """Return in a sentence what soft prompts for a target leave of the knowledge, mean over them."""
    benchmark, count = knowledge.benchmark, knowledge.count()
    text = (
        f"{benchmark.name}, {count.n} questions: alone {count.share:.1%} right, steered "
        f"{count.share - knowledge.lost.mean():.1%}; by guessing {benchmark.chance:.2%}, with the key permuted "
        f"{knowledge.permuted.mean:.1%}."
    )
    if (name := knowledge.country_of(target)) is not None:
        own = [knowledge.count(name, number) for number in range(len(knowledge.steered))]
        mean = sum(one.steered for one in own) / len(own) / own[0].n
        text += f" About {target.in_sentence} ({own[0].n}): {own[0].share:.1%} and {mean:.1%}."
    if not knowledge.there:
        text += " Alone it knows nothing to be lost, so this is no part of the damage."
    return text


def _cells(count: Count, p: float | None) -> list[str]:
    cells = [str(count.n), f"{count.share:.1%}", _interval(count.right, count.n)]
    if p is not None:
        cells += [f"{count.steered / count.n:.1%}", _interval(count.steered, count.n)]
        cells += [str(count.lost), str(count.gained), f"{p:.2g}"]
    return cells


def _interval(right: int, n: int) -> str:
    low, high = wilson(right, n)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _shares(knowledge: Knowledge) -> str:
    given, right = knowledge.shares(knowledge.alone), knowledge.shares()
    named = zip(knowledge.benchmark.answers, given, right, strict=True)
    shares = [f"{name} {share:.0%} (right {key:.0%})" for name, share, key in named]
    if (none := knowledge.alone.unanswered) > 0:
        shares.append(f"none {none:.0%}, where the options got no probability")
    return ", ".join(shares)
