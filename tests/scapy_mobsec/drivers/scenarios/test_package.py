import time

import pytest

from scapy_mobsec.drivers.scenarios import SCENARIOS, run


def test_each_has_one_word_and_a_sentence():
    assert all(name.isalnum() and name == name.lower() for name in SCENARIOS)
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name
        assert scenario.sentence[0].isupper()
        assert scenario.sentence.endswith(".")


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_the_same_octets_for_the_same_seed(scenario):
    begin = time.process_time()
    result = run(scenario, 3)
    assert time.process_time() - begin < 2
    assert run(scenario, 3) == result
    assert run(scenario, 4).captures != result.captures
