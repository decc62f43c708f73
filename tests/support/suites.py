"""Suites for tests: those that can be verified, and a selection with each algorithm in it."""

from scapy_mobsec.esp.suites import SUITES

VERIFIABLE = [name for name, suite in SUITES.items() if suite.verifiable]
COMBINED = [name for name in VERIFIABLE if not SUITES[name].integrity_key_length]
SEPARATE = [name for name in VERIFIABLE if SUITES[name].integrity_key_length]
CBC = [name for name in SEPARATE if SUITES[name].block_length > 1]
UNVERIFIABLE = [name for name in SUITES if name not in VERIFIABLE]

EACH_ALGORITHM = [
    *COMBINED,
    *(name for name in SEPARATE if name.startswith("aes-cbc-")),
    "aes-ctr-hmac-sha2-256-128",
    "3des-cbc-hmac-sha1-96",
    "null-hmac-sha1-96",
]
WITH_ESN = ["aes-gcm-16", "aes-gcm-8", "aes-ccm-16", "null-aes-gmac", "aes-cbc-hmac-sha2-256-128"]
