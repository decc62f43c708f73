"""A sealed draft is an ordinary object of the frozen class."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from scapy_mobsec.registration.draft import draft_of


@dataclass(frozen=True, slots=True)
class Pair:
    left: int
    right: int = 2


@pytest.fixture
def sealed():
    draft = draft_of(Pair)()
    draft.left, draft.right = 1, 2
    draft.__class__ = Pair
    return draft


def test_equal_to_one_made_by_the_constructor(sealed):
    assert type(sealed) is Pair
    assert sealed == Pair(1)
    assert hash(sealed) == hash(Pair(1))
    assert repr(sealed) == repr(Pair(1))


def test_frozen(sealed):
    with pytest.raises(FrozenInstanceError):
        sealed.left = 3
    assert not hasattr(sealed, "__dict__")


def test_copies(sealed):
    assert replace(sealed, right=5) == Pair(1, 5)
    assert copy.deepcopy(sealed) == pickle.loads(pickle.dumps(sealed)) == sealed
