"""The command line: parses, calls, prints. What a command needs is imported when it runs, so that help is instant."""

from accelsim.cli import runs, designs, networks, memory, evidence, presets  # isort: skip - the order of the help
from accelsim.cli.program import app, main, run_command

__all__ = ["app", "designs", "evidence", "main", "memory", "networks", "presets", "run_command", "runs"]
