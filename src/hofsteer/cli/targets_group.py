"""What `hofsteer targets show FILE.csv:GROUP` prints: a group of a user's own table."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from hofsteer.cli.output import results

if TYPE_CHECKING:
    from hofsteer.instruments import Instrument
    from hofsteer.targets import ItemGoal, Target


def group_json(target: "Target", instrument: "Instrument") -> dict[str, Any]:
    """Return a group, the group nearest to it and how well it is known as JSON values."""
    from hofsteer.baselines import persona_text
    from hofsteer.targets import item_noise_floors, nearest, noise_floor

    near, distance = nearest(target, instrument.dimension_ids)
    goal = target.item_goal(instrument)
    return {
        "schema": 1,
        "code": target.code,
        "name": target.name,
        "kind": target.kind,
        "persona": persona_text(target),
        "instrument": instrument.id,
        "constants": target.constants,
        "scores": {
            d: {"score": target.scores[d], "source": target.sources[d]} if d in target.scores else None
            for d in instrument.dimension_ids
        },
        "missing": list(target.missing),
        "n": target.n,
        "n_effective": target.n_effective,
        "standard_errors": {d: target.errors.get(d) for d in target.scores},
        "noise_floor": noise_floor(instrument, target).to_json(),
        "nearest": {
            "code": near.code,
            "name": near.name,
            "distance": distance,
            "item_losses": _apart(goal, near.item_goal(instrument)),
        },
        "item_noise_floors": {} if goal is None else item_noise_floors(goal),
        "items": None if target.items is None else target.items.to_json(),
    }


def show_group(target: "Target", instrument: "Instrument") -> None:
    """Print a group: scores, what is near, how well it is known, and its item distributions."""
    from hofsteer.baselines import persona_text
    from hofsteer.report import item_losses_in_words, item_losses_note, noise_floor_note, points
    from hofsteer.targets import nearest, noise_floor, uncertainty_note

    console, digits = results(), instrument.digits
    table = Table("dimension", "score", "source", title=f"{target.name} ({target.code})")
    for d in instrument.dimension_ids:
        table.add_row(d, points(target.scores.get(d), digits), target.sources.get(d, "missing"))
    console.print(table)
    (near, distance), goal = nearest(target, instrument.dimension_ids), target.item_goal(instrument)
    apart = item_losses_in_words(_apart(goal, near.item_goal(instrument)))
    by_items = f"; item losses {apart}" if apart else ""
    console.print(f"nearest other group: {near.name}, {distance:.{digits}f} points{by_items}", highlight=False)
    console.print(uncertainty_note(target, digits), highlight=False)
    console.print(f"constants: {target.constants or 'unknown'}", highlight=False)
    console.print(f"persona: {persona_text(target)}", highlight=False)
    floor = noise_floor(instrument, target)
    console.print(noise_floor_note(floor.points, digits, instrument.variation, floor.n, target.noun), highlight=False)
    if goal is None or target.items is None:
        why = "none are kept of it" if target.items is None else f"those kept are not of the items of {instrument.id}"
        console.print(f"item distributions: {why}", highlight=False)
        return
    shown = Table("item", "n", "effective", "answers in percent, by option", title=f"{target.items.file}")
    for name, one in target.items.items.items():
        shares = "-" if one.shares is None else "  ".join(f"{100 * share:.0f}" for share in one.shares)
        shown.add_row(name, str(one.n), f"{one.n_effective:.0f}", shares)
    console.print(shown)
    console.print(item_losses_note(goal), highlight=False)


def _apart(goal: "ItemGoal | None", other: "ItemGoal | None") -> dict[str, float]:
    """Return the item losses between two groups; empty unless the second has all items that the first has."""
    from hofsteer.targets import ITEM_LOSSES, item_loss

    if goal is None or other is None or not other.known[goal.known].all():
        return {}
    return {kind: float(item_loss(kind, other.shares, goal)) for kind in ITEM_LOSSES}
