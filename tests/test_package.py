"""The package as a whole: what importing it costs, its public names, and which room may import which."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hofsteer

SOURCE = Path(hofsteer.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("torch", "transformers", "scipy", "typer", "matplotlib", "safetensors")

# A room may import rooms of a smaller number, and itself.
LEVELS = {
    "instruments": 0,
    "respondent": 1,
    "targets": 1,
    "world": 2,
    "alignment": 2,
    "baselines": 2,
    "evaluation": 3,
    "report": 4,
    "cli": 5,
}
ANYWHERE = {"errors", "files", "tables", "config", "__version__"}  # modules that belong to no room, and import none


def loaded_after(statement):
    """The modules that a new interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def imports_of(path):
    """What a module imports of hofsteer, wherever in it: first parts of the names, such as `targets`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: want absolute imports"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.split(".")[0] == "hofsteer"}
    return found


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_import_loads_nothing_heavy():
    loaded = loaded_after("import hofsteer")
    assert "hofsteer" in loaded
    assert loaded.isdisjoint({*HEAVY, "numpy", "pydantic"})


def test_light_names_load_no_model_library():
    light = set(hofsteer.__all__) - {"Run", "align", "resume"}
    loaded = loaded_after(f"from hofsteer import {', '.join(sorted(light))}")
    assert loaded.isdisjoint(HEAVY)


def test_command_line_starts_without_a_model_library():
    loaded = loaded_after("import hofsteer.cli.main")
    assert "typer" in loaded
    assert loaded.isdisjoint({"torch", "transformers", "scipy", "matplotlib"})


def test_public_names():
    assert sorted(hofsteer.__all__) == hofsteer.__all__
    assert len(hofsteer.__all__) == len(set(hofsteer.__all__)) == 12
    for name in hofsteer.__all__:
        assert getattr(hofsteer, name).__name__ == name
        assert getattr(hofsteer, name).__doc__
    assert set(hofsteer.__all__) <= set(dir(hofsteer))
    assert "__version__" in dir(hofsteer)


def test_star_import_gives_the_public_names():
    names = {}
    exec("from hofsteer import *", names)
    assert set(names) - {"__builtins__"} == set(hofsteer.__all__)


def test_public_names_are_what_type_checkers_see():
    body = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8")).body
    (block,) = (node for node in body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert set(seen) == set(hofsteer.__all__)
    for name, module in seen.items():
        assert module == f"hofsteer.{hofsteer._HOME[name]}"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="module 'hofsteer' has no attribute 'alignn'"):
        _ = hofsteer.alignn
    assert not hasattr(hofsteer, "__wrapped__")


def test_version_is_that_of_the_project_file():
    import tomllib

    project = SOURCE.parents[1] / "pyproject.toml"
    if not project.is_file():
        pytest.skip("hofsteer is installed without its project file")
    assert tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"] == hofsteer.__version__


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_one_way(path):
    room, imported = room_of(path), imports_of(path)
    match room:
        case "__init__":
            assert imported <= {"errors", "instruments", "pipeline", "respondent", "targets"}
        case "parts" | "record":
            assert imported <= (LEVELS.keys() - {"cli", "report"}) | ANYWHERE | {"search"}
        case "pipeline":
            assert imported <= (LEVELS.keys() - {"cli"}) | ANYWHERE | {"search", "parts", "record"}
        case "comparison" | "control_runs":
            assert imported <= (LEVELS.keys() - {"cli"}) | ANYWHERE | {"pipeline", "parts"}
        case "comparison_runs":
            assert imported <= (LEVELS.keys() - {"cli"}) | ANYWHERE | {"pipeline", "parts", "record", "comparison"}
        case "errors" | "files" | "tables" | "config":
            assert imported <= ANYWHERE
        case "search":  # knows no language model
            assert imported <= {"search", "errors"}
        case _:
            below = {name for name, level in LEVELS.items() if level < LEVELS[room]}
            entries = {"pipeline", "parts", "comparison", "comparison_runs", "control_runs"}
            above = {"alignment": {"search"}, "cli": entries}.get(room, set())
            assert imported <= below | ANYWHERE | {room} | above


def test_rooms_are_those_that_there_are():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages == {*LEVELS, "search"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
