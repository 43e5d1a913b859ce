from hofsteer.report import read_out_floor_note


def test_a_floor_is_named_only_where_there_is_one():
    assert read_out_floor_note(1e-12) is None
    assert read_out_floor_note(0.04) is None
    assert read_out_floor_note(0.04, digits=2) is not None
    assert read_out_floor_note(11.26) == (
        "Read-out floor: 11.3 points, the loss of the target's own scores read this way."
    )
