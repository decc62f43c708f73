"""The `mobsec` command. Its help is the docstrings below; errors are one line and exit code 2.

Nothing heavy is imported before a command runs: `mobsec --help` loads neither Scapy nor numpy.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click

import scapy_mobsec
from scapy_mobsec.ui.cli_options import output_option
from scapy_mobsec.ui.cli_terminals import gateway, mobile, status

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

DECODE_OUTPUT = click.Choice(["text", "json", "csv"])
BENCH_SUITES = click.Choice(
    ["aes-gcm-16", "aes-cbc-hmac-sha1-96", "aes-cbc-hmac-sha2-256-128", "chacha20-poly1305"]
)
BENCH_CARRIERS = click.Choice(["native", "udp", "tcp", "http"])
LINK_MODES = click.Choice(["tunnel", "transport", "l2tp"])
KEY_FORMATS = click.Choice(
    ["toml", "key-list", "xfrm", "ikev2_decryption_table", "esp_sa", "tcpdump", "wireshark"]
)


class NobodyReads(Exception):
    """The reader of what is written has gone: no fault, and nothing to be said."""


class Commands(click.Group):
    """Tells a closed pipe before click and rich make exit code 1 of it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Raises NobodyReads and what the command raises."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise NobodyReads from error
        except SystemExit as error:
            if isinstance(error.__context__, BrokenPipeError):
                raise NobodyReads from error
            raise


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(scapy_mobsec.__version__, message="mobsec %(version)s")
def cli() -> None:
    """Secure mobile IPsec links: see, do and test them."""


for each in (gateway, mobile, status):
    cli.add_command(each)


@cli.command()
@click.argument("captures", metavar="CAPTURE...", nargs=-1)
@click.option(
    "-r", "--read", metavar="CAPTURE", multiple=True, help="A capture, as an option; may repeat."
)
@click.option(
    "-k",
    "--keys",
    metavar="KEYS",
    multiple=True,
    help="Keys of any format that `mobsec keys convert` reads; may repeat. Without -k: your own "
    "Wireshark tables.",
)
@click.option(
    "--tls-keys",
    metavar="FILE",
    multiple=True,
    help="TLS key log, as SSLKEYLOGFILE names it; may repeat. Those in pcapng are read unasked.",
)
@click.option(
    "--tcp-port",
    "tcp_ports",
    metavar="N",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Read TCP on this port, too, whatever a stream begins with; may repeat.",
)
@click.option(
    "-T",
    "--type",
    "output",
    type=DECODE_OUTPUT,
    default="text",
    show_default=True,
    help="Tables for people, one JSON object, or a line of CSV for each packet.",
)
@click.option("--ladder", is_flag=True, help="The signalling as a diagram, instead of tables.")
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --ladder: write it as a picture, too.",
)
@click.option("--timeline", is_flag=True, help="Which path carried data when, instead of tables.")
@click.option("--explain", is_flag=True, help="One sentence for each move, instead of tables.")
@click.option(
    "-Y",
    "--filter",
    "filters",
    metavar="KEY=VALUE...",
    multiple=True,
    help="Show these packets alone, of type=, spi=, encap= or inner=ADDRESS/BITS; a comma between "
    "values is or, several filters are and, != is not.",
)
@click.option(
    "-w",
    "--write",
    metavar="FILE",
    help="Write the inner packets in clear to FILE, - for stdout (the report then to stderr). In a "
    ".pcapng those that are not verified have a comment; a classic capture does not get them.",
)
@click.option(
    "--keep-outer",
    is_flag=True,
    help="With -w FILE.pcapng: write the frames as captured, with comments that tell the events.",
)
@click.option(
    "--both-ends",
    is_flag=True,
    help="Compare two captures of one run, at two places: one-way loss, and what was translated in "
    "between.",
)
@click.option(
    "-i",
    "--interface",
    metavar="IFACE",
    help="Decode what passes this interface, until Ctrl-C or -c; needs CAP_NET_RAW.",
)
@click.option(
    "-f",
    "--bpf",
    metavar="BPF",
    default="",
    help="With -i: a filter as of tcpdump, by libpcap.",
)
@click.option("-c", "--count", type=click.IntRange(min=1), help="Stop after so many packets.")
@click.option("-q", "--quiet", is_flag=True, help="Only the summary; no notes, no progress.")
def decode(
    captures: tuple[str, ...],
    read: tuple[str, ...],
    keys: tuple[str, ...],
    tls_keys: tuple[str, ...],
    tcp_ports: tuple[int, ...],
    output: str,
    ladder: bool,
    svg: Path | None,
    timeline: bool,
    explain: bool,
    filters: tuple[str, ...],
    write: str | None,
    keep_outer: bool,
    both_ends: bool,
    interface: str | None,
    bpf: str,
    count: int | None,
    quiet: bool,
) -> int:
    """Decode captures: SAs, registrations, translations and moves.

    Decrypts ESP, native, in UDP, TCP, TLS and HTTP, and tells what the network did to each
    registration. Captures are pcap or pcapng, plain or gzip, in the order given; - is stdin, for
    captures and for keys.
    """
    from scapy_mobsec.ui.decode import run_decode
    from scapy_mobsec.ui.output import Wanted
    from scapy_mobsec.ui.packet_filter import PacketFilter

    sources = [*read, *captures]
    _check_sources(sources, [*keys, *tls_keys], interface, bpf)
    if keep_outer and not write:
        raise click.UsageError("--keep-outer says what -w writes: give that, too")
    if both_ends:
        from scapy_mobsec.ui.both_ends import run_both_ends

        if len(sources) != 2:
            raise click.UsageError("--both-ends compares two captures: give two")
        views = ladder or svg or timeline or explain or output == "csv"
        if write or count or filters or views:
            raise click.UsageError("--both-ends has tables and JSON of its own, of whole captures")
        as_json = output == "json"
        run_both_ends(sources, keys or None, tls_keys, tcp_ports, as_json=as_json, quiet=quiet)
        return 0
    try:
        packet_filter = PacketFilter(filters)
        wanted = Wanted(output, ladder, svg, timeline, explain, quiet, packet_filter)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return run_decode(
        sources,
        keys or None,
        tls_keys,
        tcp_ports,
        wanted=wanted,
        count=count,
        write=write,
        keep_outer=keep_outer,
        interface=interface,
        bpf=bpf,
    )


def _check_sources(
    captures: Sequence[str], keys: Sequence[str], interface: str | None, bpf: str
) -> None:
    if not captures and not interface:
        raise click.UsageError("no capture given")
    if interface and captures:
        raise click.UsageError("-i decodes an interface, not captures: give one or the other")
    if bpf and not interface:
        raise click.UsageError("-f filters what -i captures: give that, too")
    if [*captures, *keys].count("-") > 1:
        raise click.UsageError("stdin (-) can be read only once")


@cli.command()
@click.argument("scenario", required=False)
@click.option("--simulate", is_flag=True, help="On the simulated internet, in virtual time.")
@click.option("--list", "names", is_flag=True, help="Name the scenarios, and what each shows.")
@click.option(
    "-w",
    "--write",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what a link saw to FILE (.pcapng: with comments that tell the events), and its "
    "keys beside it, with the ending .esp_sa; of TLS those of the records, with the ending .keylog "
    "(.pcapng: inside).",
)
def demo(scenario: str | None, simulate: bool, names: bool, write: Path | None) -> int:
    """Show handovers: the network, what passed a link, and how it ended.

    Both terminals on loopback, with real sockets, through five networks; no rights are needed, and
    handover.pcapng is written. Or with --simulate a scenario of the simulated internet: without a
    name a mobile terminal moves behind a NAT and registers anew.
    """
    from rich.console import Console

    from scapy_mobsec.ui.demo import print_scenarios, run_demo

    console = Console(width=get_terminal_size().columns, highlight=False)
    if names:
        if write:
            raise click.UsageError("--list runs no scenario: there is nothing to write")
        print_scenarios(console)
    elif simulate:
        run_demo(scenario or "handover", console, write)
    elif scenario:
        raise click.UsageError("scenarios are of the simulated internet: give --simulate, too")
    else:
        from scapy_mobsec.ui.live_demo import CAPTURE, run_live_demo

        return run_live_demo(console, write or CAPTURE)
    return 0


@cli.group()
def keys() -> None:
    """Key files: new ones, and from any format to any format."""


@keys.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option(
    "--to",
    "kind",
    type=KEY_FORMATS,
    help="The format of OUT, where its name does not tell it.",
)
def convert(source: str, target: str, kind: str | None) -> None:
    """Read keys from IN, whatever its format, and write them to OUT.

    IN is told by its content: Wireshark's esp_sa and ikev2_decryption_table, or a folder with them
    (as strongSwan's save-keys writes), `ip xfrm state`, a log of charon (ike = 4, chd = 4), secrets
    of tcpdump -E, plain key lists, this program's TOML. OUT is told by its name: *.toml,
    *.keys.txt, *.xfrm, *.tcpdump, *.esp_sa, *.ikev2_decryption_table, FOLDER/. Only you can read
    what is written; what is there is replaced. - is stdin and stdout.
    """
    from scapy_mobsec.ui.keys import run_convert

    run_convert(source, target, kind)


@keys.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "-g",
    "--gateway",
    metavar="HOST[:PORT]",
    required=True,
    help="Where mobile terminals dial the gateway: an address, or a name. Port 4500 if not given.",
)
@click.option(
    "-c",
    "--carrier",
    "carriers",
    metavar="CARRIER",
    multiple=True,
    help="What may carry the packets: native, udp, tcp, tls, http, https, http-post or https-post, "
    "with :PORT where it is another than usual; may repeat.  [default: udp]",
)
@click.option(
    "-n",
    "--mobiles",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many mobile terminals; each has files of its own.",
)
@click.option(
    "--home",
    metavar="ADDRESS",
    default="10.10.1.1",
    show_default=True,
    help="Inner address of the mobile terminal; of several they count up from here.",
)
@click.option(
    "--signalling",
    metavar="ADDRESS",
    default="10.10.0.1",
    show_default=True,
    help="Inner address of the gateway.",
)
@click.option(
    "--suite", metavar="NAME", default="aes-gcm-16", show_default=True, help="Algorithms of ESP."
)
@click.option("--mode", type=LINK_MODES, default="tunnel", show_default=True)
@click.option("--ah", is_flag=True, help="AH, too, where nothing translates.")
def new(
    folder: Path,
    gateway: str,
    carriers: tuple[str, ...],
    mobiles: int,
    home: str,
    signalling: str,
    suite: str,
    mode: str,
    ah: bool,
) -> None:
    """Make a gateway and its mobile terminals in FOLDER: configurations, new keys, state.

    Nothing that is there is replaced. A state file holds which sequence numbers were used: move the
    files of a mobile terminal to its machine, and keep no copy that could be started.
    """
    from scapy_mobsec.ui.new_keys import run_new_keys

    run_new_keys(
        folder,
        gateway,
        carriers or ("udp",),
        home,
        signalling,
        mobiles=mobiles,
        suite=suite,
        mode=mode,
        ah=ah,
    )


@cli.group()
def bench() -> None:
    """Measure this machine, beside a peer in the same run."""


@bench.command()
@output_option
def codec(output: str) -> None:
    """Build and parse RREQ and RREP: the engine's codec beside the Scapy layers."""
    from rich.console import Console

    from scapy_mobsec.ui.bench import bench_codec

    bench_codec(Console(), as_json=output == "json")


@bench.command()
@click.option(
    "--links",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=100_000,
    show_default=True,
    help="The largest number of links to measure with.",
)
@click.option(
    "--seconds",
    metavar="S",
    type=click.FloatRange(0, 600),
    default=10.0,
    show_default=True,
    help="Time for the rates, preparations included; at least three rounds are run.",
)
@output_option
def engine(links: int, seconds: float, output: str) -> None:
    """Register at the other terminal: transactions per second and core, memory per link."""
    from rich.console import Console

    from scapy_mobsec.ui.bench_engine import bench_engine, engine_figures

    bench_engine(Console(), engine_figures(links, seconds), as_json=output == "json")


@bench.command(name="decode")
@click.option(
    "--packets",
    metavar="N",
    type=click.IntRange(1_000, 100_000_000),
    default=200_000,
    show_default=True,
    help="ESP packets of the capture; Scapy gets 5,000 at most.",
)
@click.option("--suite", type=BENCH_SUITES, default="aes-gcm-16", show_default=True)
@click.option("--encapsulation", type=BENCH_CARRIERS, default="udp", show_default=True)
@output_option
def bench_decode_command(packets: int, suite: str, encapsulation: str, output: str) -> None:
    """Decode a capture: packets per second and memory, beside tshark and Scapy.

    The capture goes through a pipe, once a tenth of it and once all: no space on disk is needed.
    With 2,000,000 packets it takes a few minutes.
    """
    from rich.console import Console

    from scapy_mobsec.packet.path import Encapsulation
    from scapy_mobsec.ui.bench_decode import bench_decode, decode_figures

    with Console(stderr=True).status("") as status:
        carrier = Encapsulation(encapsulation)
        figures = decode_figures(packets, suite, carrier, say=status.update)
    bench_decode(Console(), figures, as_json=output == "json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = cli.main(arguments, prog_name="mobsec", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as help_text:
        click.echo(help_text.format_message())
        code = EXIT_BAD_INPUT
    except click.ClickException as error:
        click.echo(f"mobsec: {' '.join(error.format_message().split())}", err=True)
        code = EXIT_BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except (NobodyReads, BrokenPipeError):
        _silence()
        code = 0
    except OSError as error:
        click.echo(f"mobsec: cannot write: {error.strerror}", err=True)
        _silence()
        code = EXIT_BAD_INPUT
    sys.exit(code or 0)


def _silence() -> None:
    """Let nothing more out, so that the interpreter's last flush has nothing to complain of."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
