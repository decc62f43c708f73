"""Terminals on the machine's own network: sockets, TUN, netlink, and the clock.

A `Loop` has the clock and the descriptors; a `LiveHost` runs a terminal on it, as `Host` of the
network in memory does in virtual time.
"""
