"""`python -m scapy_mobsec` is `mobsec`."""

from scapy_mobsec.ui.cli import main

main()
