"""Whole networks on this machine, made of the kernel's parts: for demonstrations, measurements and
tests. Linux, as root.
"""
