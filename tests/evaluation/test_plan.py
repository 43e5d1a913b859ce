"""A plan is fixed before the search, and says so if it was not."""

import pytest

from hofsteer.alignment.objective import forms
from hofsteer.errors import ConfigError, TargetError
from hofsteer.evaluation.plan import (
    HeldOut,
    departures,
    first_opening,
    log_opening,
    make_plan,
    read_plan,
    write_plan,
)
from hofsteer.instruments import Administration, load_instrument

VSM13 = load_instrument("vsm13")


@pytest.fixture
def plan():
    return make_plan(model="mini", targets=["china", "JPN", "CHN"], seeds=(0, 1), settings={"search.budget": 64})


def test_a_plan_is_read_as_it_was_written(plan, tmp_path):
    write_plan(plan, tmp_path / "plan.toml")
    assert read_plan(tmp_path / "plan.toml") == plan
    assert plan.targets == ("CHN", "JPN")
    with pytest.raises(ConfigError, match="is there already, and a plan is not changed"):
        write_plan(plan, tmp_path / "plan.toml")


def test_a_changed_plan_is_refused(plan, tmp_path):
    path = tmp_path / "plan.toml"
    write_plan(plan, path)
    path.write_text(path.read_text(encoding="utf-8").replace("loss = 10.0", "loss = 20.0"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"plan\.toml was changed after it was written: its hash is \w{12}"):
        read_plan(path)


def test_the_hash_is_of_what_was_decided_and_not_of_the_time(plan):
    later = plan.model_copy(update={"written": "2030-01-01T00:00:00+00:00"})
    assert later.hash == plan.hash
    assert plan.model_copy(update={"seeds": (0, 1, 2)}).hash != plan.hash


def test_a_newer_format_and_unknown_keys_are_named(plan, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("format = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="want a plan of format 1, got 2"):
        read_plan(path)
    with pytest.raises(ConfigError, match=r"margins\.los.* did you mean"):
        make_plan(model="mini", targets=["JPN"], margins={"los": 3})
    with pytest.raises(TargetError, match="did you mean"):
        make_plan(model="mini", targets=["Japann"])
    with pytest.raises(ConfigError, match="budgt"):
        make_plan(model="mini", targets=["JPN"], settings={"search.budgt": 3})


def test_runs_take_everything_from_it(plan):
    config = plan.run_config("China", 1)
    assert (config.target, config.search.seed, config.search.budget, config.plan) == ("CHN", 1, 64, plan.hash)
    with pytest.raises(ConfigError, match="the plan has the targets CHN, JPN, got SAU"):
        plan.run_config("SAU", 0)
    with pytest.raises(ConfigError, match="the plan has the seeds 0, 1, got 7"):
        plan.run_config("CHN", 7)


def test_a_group_is_found_by_the_way_to_its_table(tmp_path):
    # a plan once kept the name of the file alone, and found it in the current folder or not at all
    table = tmp_path / "own.csv"
    table.write_text("group,PDI,constants\nnorth,40,midpoint\nsouth,60,midpoint\n")
    plan = make_plan(model="mini", targets=[f"{table}:north"])
    assert plan.targets == (f"{table}:north",)
    assert plan.run_config(f"{table}:north", 0).target == f"{table}:north"
    with pytest.raises(ConfigError, match=r"the plan has the targets .*own.csv:north, got .*own.csv:south"):
        plan.run_config(f"{table}:south", 0)


def test_held_out_forms_are_none_of_those_fitted():
    fitted = forms(VSM13, [0, 1], ["listed", "reversed"])
    held_out = HeldOut().forms(VSM13, fitted)
    assert {(form.wording, form.order) for form in held_out} == {
        (w, o) for w in range(2, 8) for o in ("listed", "reversed")
    }
    whole = HeldOut(wordings=(0, 2), labels=("digits", "letters"), systems=("", "Be brief.")).forms(VSM13, fitted)
    assert len(whole) == 2 * 2 * 2 * 2 - 2  # the two fitted forms of wording 0 are left out
    assert not set(whole) & set(fitted)
    with pytest.raises(ConfigError, match=r"held_out\.wordings wants wordings 0 to 7 of vsm13-own, got 9"):
        HeldOut(wordings=(9,)).forms(VSM13, fitted)
    with pytest.raises(ConfigError, match="leave a wording out"):
        HeldOut(wordings=(0,)).forms(VSM13, fitted)
    with pytest.raises(ConfigError, match="leave a wording out"):
        make_plan(model="mini", targets=["JPN"], settings={"wordings": list(range(8))})


def test_one_fitted_form_leaves_the_other_wordings():
    held_out = HeldOut().forms(VSM13, [Administration(VSM13)])
    assert {form.wording for form in held_out} == set(range(1, 8))


def test_what_was_done_out_of_order_is_exploratory(plan):
    in_order = {"hash": plan.hash, "started": "2999-01-01T00:00:00+00:00"}

    def said(plan, opened, runs):
        return departures(plan, opened, runs, "JPN", (0, 1))

    assert said(plan, None, [in_order, in_order]) == ()
    assert said(None, None, [in_order]) == ("there was no plan",)
    assert said(plan, None, [in_order, {}]) == ("a run was started without a plan",)
    assert said(plan, None, [{**in_order, "hash": "other"}]) == ("a run was started under another plan",)
    assert said(plan, None, [{**in_order, "started": "2000-01-01T00:00:00+00:00"}]) == ("a run is older than the plan",)
    opened = "2998-01-01T00:00:00+00:00"
    assert said(plan, opened, [in_order]) == (f"held-out data were opened at {opened}, before a run was started",)
    assert said(plan, "2999-06-01T00:00:00+00:00", [in_order]) == ()  # opened after the runs: looked at twice


@pytest.mark.parametrize(
    ("target", "seeds", "said"),
    [
        ("CHN", range(12), ()),
        ("CHN", [s for s in range(12) if s not in (4, 5, 9)], ("3 of 12 planned seeds are not here: 4, 5, 9",)),
        ("CHN", range(11), ("1 of 12 planned seeds is not here: 11",)),
        ("CHN", range(14), ("2 of 14 seeds are not planned: 12, 13",)),
        ("SAU", range(12), ("the target SAU is not planned, and CHN, JPN are",)),
    ],
)
def test_seeds_and_targets_that_are_not_the_planned_ones_are_said(target, seeds, said, plan):
    # one run of a plan of twelve seeds was once no departure
    longer = plan.model_copy(update={"seeds": tuple(range(12))})
    runs = [{"hash": longer.hash, "started": "2999-01-01T00:00:00+00:00"} for _ in seeds]
    assert departures(longer, None, runs, target, tuple(seeds)) == said


def test_openings_are_logged_beside_the_plan(tmp_path):
    path = tmp_path / "plan.toml"
    assert first_opening(path) is None
    log_opening(path, ["run-0"])
    first = first_opening(path)
    log_opening(path, ["run-1"])
    assert first_opening(path) == first
    assert len((tmp_path / "plan.opened.jsonl").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("line", ['{"opened": "2026-11', "{}", "[]", '{"opened": 3}', '{"opened": "soon"}', "\xff"])
def test_a_half_written_line_of_the_log_is_named(line, tmp_path):
    path = tmp_path / "plan.toml"
    log_opening(path, ["run-0"])
    with (tmp_path / "plan.opened.jsonl").open("a", encoding="latin-1") as log:
        log.write(line)
    with pytest.raises(ConfigError, match=r"plan\.opened\.jsonl, line 2: want an opening with its time, .*, got '"):
        first_opening(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "want a plan as `hofsteer plan` writes it, got an empty file"),
        ("format = 1\n", "want the entry 'written', got none"),
        ('written = "2026"\nmodel = "mini"\ntargets = []\n', "targets: "),
    ],
)
def test_a_file_that_is_no_plan_is_named(text, said, tmp_path):
    # it was once told to give --written, an option that is not there
    path = tmp_path / "empty.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_plan(path)
    assert str(refused.value).startswith(f"{path}: {said}")
