"""The commit protocol has no way to damage, and each of its rules is needed."""

from __future__ import annotations

import pytest

from kafka.model import BROKEN, SOUND, search


@pytest.mark.parametrize("name", SOUND)
def test_with_all_rules_no_state_shows_damage(name: str) -> None:
    found = search(SOUND[name], records=2, workers=2)
    assert found.damage is None, found.steps
    assert found.states > 40


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_with_all_rules_no_state_of_a_larger_model_shows_damage(name: str) -> None:
    assert search(SOUND[name], records=3, workers=2).damage is None


DAMAGE = {
    "R1": "twice",
    "R2": "twice",
    "R3": "without its offset",
    "R4": "twice",
    "R6": "missing",
    "R7": "deleted",
    "R8": "does not exist",
    "R11": "twice",
}


@pytest.mark.parametrize("name", BROKEN)
def test_without_a_rule_there_is_a_way_to_damage(name: str) -> None:
    found = search(BROKEN[name], records=2, workers=2)
    assert found.damage is not None
    assert DAMAGE.get(name.partition(":")[0], "") in found.damage
    assert 6 <= len(found.steps) <= 16, found.steps


def test_the_way_to_damage_can_be_read() -> None:
    found = search(BROKEN["R3: a failed send_offsets is committed"], records=2, workers=2)
    assert found.damage == "output 0 is committed without its offset"
    assert found.steps == [
        "worker 0: init_transactions",
        "worker 0: read the pointer",
        "worker 0: write output 0",
        "worker 0: write the snapshot",
        "worker 0: send_offsets fails; go on",
        "worker 0: commit",
    ]
