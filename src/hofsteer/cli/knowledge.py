"""`hofsteer knowledge`: how much of a benchmark does a model know, and what does a soft prompt leave of it?"""

from pathlib import Path
from typing import Annotated

import typer

from hofsteer.cli.output import (
    AsJson,
    Model,
    load_adapter,
    load_respondent,
    messages,
    print_json,
    results,
    warn_of_low_mass,
    warn_of_other_weights,
)

BENCHMARK = (
    "A benchmark of knowledge: culturalbench (both forms, from the hub), culturalbench-easy, culturalbench-hard, or "
    "one from a file: culturalbench-easy=FILE (.csv or .parquet)."
)


def knowledge(
    benchmarks: Annotated[list[str], typer.Argument(help=BENCHMARK, metavar="BENCHMARK[=FILE]...")],
    model: Model = "mini",
    prompt: Annotated[
        Path | None, typer.Option(help="Ask behind this soft prompt too: a run or a PEFT adapter.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the permutations of the key.", min=0)] = 0,
    template: Annotated[
        list[str] | None, typer.Option(help="An argument of the chat template, such as enable_thinking=false.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Hub branch, tag or commit of the model.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="A torch device, such as cpu or cuda:0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model a benchmark of cultural knowledge: right answers by country, beside what habits alone would get.

    With --prompt also what a soft prompt leaves of it. Answers are read from the probabilities of the options.
    """
    from hofsteer.config import check_model, template_arguments
    from hofsteer.evaluation.culturalbench import load_benchmarks
    from hofsteer.evaluation.knowledge import measure_knowledge
    from hofsteer.evaluation.plan import Margins
    from hofsteer.report import MINI_STATEMENT
    from hofsteer.report.knowledge import knowledge_notes, knowledge_table

    asked = load_benchmarks(benchmarks)
    adapter, run = load_adapter(prompt, model)
    arguments = template_arguments(template or [])
    respondent = load_respondent(
        check_model(id=model, revision=revision, dtype=dtype, device=device, template=arguments)
    )
    warn_of_other_weights(run, respondent)
    margin = Margins().lost
    found = []
    for benchmark in asked:
        with messages().status(f"{benchmark.name}: {len(benchmark.countries)} questions"):
            found.append(
                measure_knowledge(respondent, benchmark, None if adapter is None else adapter.values[None], seed)
            )
    warn_of_low_mass(min(one.alone.valid_mass for one in found))
    if as_json:
        print_json(
            {
                "schema": 1,
                "model": model,
                "soft_prompt": adapter.identity() if adapter else None,
                "benchmarks": [one.to_json(margin) for one in found],
            }
        )
        return
    shown = results()
    for one in found:
        shown.print(knowledge_table(one))
        for text in knowledge_notes(one, margin):
            shown.print(text, highlight=False)
    if respondent.simulated:
        shown.print(MINI_STATEMENT)
