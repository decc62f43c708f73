"""ESP on bytes: suites, security associations, the anti-replay window, the SPI table."""
