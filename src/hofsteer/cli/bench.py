"""`hofsteer bench`: how fast a model answers a survey here."""

from typing import Annotated

import typer
from rich.table import Table

from hofsteer.cli.output import AsJson, InstrumentName, Model, load_respondent, messages, print_json, results
from hofsteer.errors import ConfigError


def bench(
    model: Model = "mini",
    instrument: InstrumentName = "vsm13",
    layout: Annotated[str, typer.Option(help="Per item stem-first, or scale-first.")] = "stem-first",
    repetitions: Annotated[int, typer.Option(help="Of which the medians are taken.")] = 5,
    generate: Annotated[bool, typer.Option(help="Also time sampling answer texts.")] = True,
    candidates: Annotated[int, typer.Option(help="Soft prompts that share a pass.")] = 1,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="A torch device, such as cpu or cuda:0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time a survey, in seconds for each candidate: in one pass, as a padded batch, and as sampled texts."""
    if repetitions < 1:
        raise ConfigError(f"--repetitions wants at least 1, got {repetitions}")
    if candidates < 1:
        raise ConfigError(f"--candidates wants at least 1, got {candidates}")
    from hofsteer.config import check_model
    from hofsteer.instruments import Administration, load_instrument
    from hofsteer.respondent.bench import NEW_TOKENS
    from hofsteer.respondent.bench import bench as measure

    administration = Administration(load_instrument(instrument), layout=layout)  # type: ignore[arg-type]  # it checks it
    respondent = load_respondent(check_model(id=model, dtype=dtype, device=device))
    with messages().status("measuring") as status:
        found = measure(
            respondent,
            administration,
            repetitions,
            generate,
            candidates,
            watch=lambda done: status.update(f"measuring: {done} of {repetitions + 1} rounds"),
        )
    if as_json:
        print_json(found.to_json())
        return
    together = "one candidate" if candidates == 1 else f"one of {candidates} candidates"
    table = Table(title=f"{model}, {instrument}, {layout}: {together}, {found.items} items, {found.threads} threads")
    faster = "times faster in one pass" if found.one_pass else "times faster item by item"
    for column in ("how", "positions", "seconds", faster):
        table.add_column(column, justify="left" if column == "how" else "right")
    padded, texts = found.speedup_vs_padded, found.speedup_vs_generate
    name = "one pass" if found.one_pass else "item by item (no one-pass answers from this model)"
    positions = "" if found.positions_trie is None else str(found.positions_trie)
    table.add_row(name, positions, f"{found.seconds_trie:.3f}", "")
    table.add_row("padded batch", str(found.positions_padded), f"{found.seconds_padded:.3f}", f"{padded:.1f}")
    if texts is not None:
        label = f"5 sampled texts of at most {NEW_TOKENS} tokens"
        table.add_row(label, "", f"{found.seconds_generate:.3f}", f"{texts:.1f}")
    console = results()
    console.print(table)
    share = found.share_of_matmul_rate
    rate = f"a {found.dtype} matrix product here ({found.matmul_gflops:.0f} GFLOP/s)"
    of_rate = "" if share is None else f", {100 * share:.0f} % of the rate of {rate}"
    console.print(
        f"{found.candidates_a_second:.1f} candidates a second{of_rate}; largest difference of log-probabilities "
        f"{found.max_abs_difference:.1e}",
        highlight=False,
    )
