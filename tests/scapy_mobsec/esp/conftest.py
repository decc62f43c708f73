"""SA parameters for each algorithm, with and without ESN, and one way to name an expected drop."""

from contextlib import contextmanager

import pytest
from suites import EACH_ALGORITHM, WITH_ESN

from scapy_mobsec.drops import Drop
from scapy_mobsec.esp.sa import SaParameters
from scapy_mobsec.esp.suites import SUITES


@pytest.fixture(scope="session")
def make_parameters():
    """Parameters of a suite by its name, with constant keys."""

    def make(name="aes-gcm-16", *, key_length=None, esn=False, spi=0x1234):
        suite = SUITES[name]
        if key_length is None:
            key_length = min(suite.key_lengths)
        return SaParameters(
            spi,
            suite,
            bytes(range(key_length + suite.salt_length)),
            bytes(range(100, 100 + suite.integrity_key_length)) or None,
            esn,
        )

    return make


@pytest.fixture(
    scope="session",
    params=[*((name, False) for name in EACH_ALGORITHM), *((name, True) for name in WITH_ESN)],
    ids=lambda param: param[0] + ("-esn" if param[1] else ""),
)
def parameters(request, make_parameters):
    """Parameters with each algorithm in turn."""
    name, esn = request.param
    return make_parameters(name, esn=esn)


@pytest.fixture(scope="session")
def drops():
    """`with drops(reason):` expects a Drop for exactly this reason."""

    @contextmanager
    def expect(reason):
        with pytest.raises(Drop) as caught:
            yield
        assert caught.value.reason is reason

    return expect
