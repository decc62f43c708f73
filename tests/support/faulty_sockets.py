"""Sockets that fail as a test says: the machine's bad days, without waiting for them."""

import os
from collections import Counter, defaultdict


class FaultySocket:
    """A socket of which some calls raise, or return something else; the rest goes to a real one.

    `calls` counts by name. A call that is made to fail does so until it is mended.
    """

    def __init__(self, real):
        self.real, self.calls = real, Counter()
        self._always, self._next = {}, defaultdict(list)

    def fail(self, name, number):
        """From now on, let a call raise OSError of a number."""
        self._always[name] = OSError(number, os.strerror(number))

    def mend(self, name):
        """Let a call do what it does."""
        del self._always[name]

    def script(self, name, *answers):
        """Let the next calls return or raise something else."""
        self._next[name] += answers

    def __getattr__(self, name):
        method = getattr(self.real, name)
        if not callable(method):
            return method

        def call(*arguments):
            self.calls[name] += 1
            answer = self._always.get(name)
            if answer is None and self._next[name]:
                answer = self._next[name].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return method(*arguments) if answer is None else answer

        return call
