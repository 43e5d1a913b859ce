"""Texts that name a country, and one that does not."""

import pytest

from hofsteer import load_target
from hofsteer.baselines import persona_text, persona_texts, random_prompt, scores_in_words
from hofsteer.errors import TargetError
from hofsteer.targets import all_targets, load_coordinates, target_for
from hofsteer.world import WorldRespondent, load_census


def test_the_persona_is_the_first_of_the_texts():
    target = load_target("USA")
    assert persona_texts(target)[0] == persona_text(target) == "You live in the United States."
    assert len(set(persona_texts(target))) == 8
    assert all("the United States" in text for text in persona_texts(target))


def test_a_group_that_is_no_place_is_not_lived_in(tmp_path, vsm13):
    path = tmp_path / "own.csv"
    path.write_text(
        "group,name,persona,PDI\nJPN,,,1\nR07,,,2\nR08,the eighth,,3\nN1,,You are a nurse.,4\nUSA,,You vote.,5\n"
    )
    texts = {name: persona_texts(target_for(f"{path}:{name}", vsm13)) for name in ("JPN", "R07", "R08", "N1", "USA")}
    assert texts["JPN"][0] == "You live in Japan."
    assert texts["R07"][0] == "You belong to the group R07."
    assert texts["R08"][0] == "You belong to the group the eighth."
    assert texts["N1"][0] == persona_text(target_for(f"{path}:N1", vsm13)) == "You are a nurse."
    assert texts["N1"][1] == "You are a nurse. Answer as people like you do."
    assert texts["USA"][0] == "You vote."
    assert all(len(set(found)) == len(found) for found in texts.values())


def test_scores_in_words_name_no_country():
    names = [target.name for target in all_targets()]
    for target in all_targets():
        said = scores_in_words(target)
        assert not any(name in said for name in names)


@pytest.mark.parametrize(("code", "said"), [("MYS", "they very much accept"), ("AUT", "they hardly accept")])
def test_high_and_low_power_distance(code, said):
    """Malaysia has 100 and Austria 11."""
    assert said in scores_in_words(load_target(code))


def test_the_map_has_no_words():
    with pytest.raises(TargetError, match=r"scores-in-words has words for PDI.*, got SSE"):
        scores_in_words(load_coordinates("JPN"))


def test_a_random_prompt_is_as_long_as_the_vocabulary_s_rows():
    respondent = WorldRespondent(load_census(), width=512)
    rows = random_prompt(respondent, 8, seed=1)
    assert rows.shape == (1, 8, 512)
    assert rows.std() == pytest.approx(respondent.spread, rel=0.05)
    assert (rows == random_prompt(respondent, 8, seed=1)).all()
    assert (rows != random_prompt(respondent, 8, seed=2)).any()
