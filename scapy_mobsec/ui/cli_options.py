"""Options that several commands have."""

import click

output_option = click.option(
    "-T",
    "--type",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
)
