"""`hofsteer models`: which models can answer."""

from hofsteer.cli.output import AsJson, print_json, results


def models(as_json: AsJson = False) -> None:
    """Show the bundled model with its card's numbers, and how to name others."""
    from hofsteer.respondent.mini import card

    numbers = card()
    if as_json:
        print_json({"schema": 1, "models": [{"id": "mini", "kind": "bundled", "card": numbers}]})
        return
    console = results()
    console.print("mini: bundled, a simulated respondent; results on it say nothing about real models", style="bold")
    for key, value in numbers.items():
        console.print(f"  {key.replace('_', ' ')}: {value}", highlight=False)
    console.print("Any causal language model of transformers answers too:")
    console.print("  --model meta-llama/Meta-Llama-3-8B-Instruct   a hub id", highlight=False)
    console.print(
        "  --model ./my-model                            a local folder with safetensors weights", highlight=False
    )
