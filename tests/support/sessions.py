"""Live sessions in tests: a gateway and a mobile terminal, and the examples of their docstrings."""

import doctest
import importlib
from contextlib import ExitStack, chdir

from live_pair import PairFiles

import scapy_mobsec
from scapy_mobsec import GatewaySession, MobileSession


def session_files(folder):
    """The files of a pair by udp and tcp, with the names of the documents."""
    files = PairFiles(folder)
    at = f"{files.at}:4500"
    files.write_gateway(listen=f'"udp:{at}", "tcp:{at}"')
    files.write_mobile('allow = ["udp", "tcp:4500"]\nstart = "udp"')
    files.mobile = files.mobile.rename(folder / "lab.toml")
    return files


class Sessions:
    """Both in one hand."""

    def __init__(self, folder):
        self.files = session_files(folder)
        self.gateway = GatewaySession(self.files.gateway)
        try:
            self.mobile = MobileSession(self.files.mobile)
        except BaseException:
            self.gateway.close()
            raise

    def close(self):
        self.mobile.close()
        self.gateway.close()


def run_examples(module, folder):
    """Run the examples of a module, each with files of its own, and with a gateway if it has none;
    return how many there were.
    """
    names = {name: getattr(scapy_mobsec, name) for name in scapy_mobsec.__all__}
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = finder.find(importlib.import_module(module), extraglobs=names)
    for number, test in enumerate(each for each in examples if each.examples):
        with ExitStack() as stack:
            here = folder / str(number)
            here.mkdir()
            files = session_files(here)
            stack.enter_context(chdir(here))
            if "GatewaySession(" not in test.docstring:
                stack.enter_context(GatewaySession(files.gateway))
            report = []
            runner.run(test, out=report.append)
            assert not runner.summarize(verbose=False).failed, "".join(report)
    return runner.tries
