"""``python -m credchain``: the command line without its script."""

from credchain.cli import main

main(prog_name="credchain")
