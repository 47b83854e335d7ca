"""A worker process: a task per line on standard input, its outcome per line on standard output.

It ends when its input does, which is also what happens when the head dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def serve() -> None:
    """Evaluate tasks until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the head decides what it means
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    from accelsim.explore.evaluation import evaluate

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
