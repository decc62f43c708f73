import pytest
from frames import Bench


@pytest.fixture
def bench():
    """An observer that knows the keys, and both ends' senders."""
    return Bench()
