"""A worker process: a task per line on standard input, its outcome per line on standard output.

It ends when its input does, which is also what happens when the head dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module

EVALUATE = "accelsim.explore.evaluation:evaluate"
"""What evaluates the points of a study."""


def serve(function: str = EVALUATE) -> None:
    """Evaluate tasks until there are no more.

    Parameters
    ----------
    function
        What a task is handed to, as ``module:name``; it takes plain data and returns plain data.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the head decides what it means
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    module, _, name = function.partition(":")
    evaluate = getattr(import_module(module), name)

    answers.write('{"ready": true}\n')
    answers.flush()
    for line in sys.stdin:
        outcome = evaluate(json.loads(line))
        try:
            answers.write(json.dumps(outcome, allow_nan=False) + "\n")
            answers.flush()
        except BrokenPipeError:  # the head is gone
            os._exit(1)


if __name__ == "__main__":
    serve()
