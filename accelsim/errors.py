"""Every error that a user of accelsim can meet.

An `InputError` says that what the user gave is wrong (exit code 2), a `RunError` that a correct input could not be
carried to its end (exit code 1). Anything else that escapes is a defect of accelsim.
"""

from __future__ import annotations

from typing import Self


class AccelsimError(Exception):
    """Base of all errors that accelsim raises on purpose."""

    exit_code = 1


class InputError(AccelsimError):
    """The user's input is wrong; the message names where, what, and what is allowed.

    Parameters
    ----------
    problem
        What is wrong, in a few words.
    where
        The file, preset or command-line option in which it stands.
    key
        Dotted path of the offending key, node or row inside `where`.
    value
        The offending value; shown with ``repr``.
    allowed
        What would have been accepted.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        where: object | None = None,
        key: str | None = None,
        value: object = ...,
        allowed: str | None = None,
    ) -> None:
        self.problem = problem
        self.where = None if where is None else str(where)
        self.key = key
        self.value = value
        self.allowed = allowed
        super().__init__(self._message())

    def seen_from(self, where: object, section: str = "", name: str | None = None) -> Self:
        """Return the error as it looks from the file that led to it; one that names a file of its own stays as it is.

        Parameters
        ----------
        where
            The file that led to it.
        section
            Dotted key under which that file has what the error's key belongs to.
        name
            What the file calls that which it describes; an error that names this alone names no file.
        """
        if self.where not in (None, name):
            return self
        told = section and self.key and self.key.startswith(f"{section}.")
        key = self.key if told else ".".join(part for part in (section, self.key) if part)
        return type(self)(self.problem, where=where, key=key, value=self.value, allowed=self.allowed)

    def within(self, where: object) -> Self:
        """Return the error as it looks from a file that names what it stands in: that file comes first."""
        if self.where is not None and self.where.startswith(str(where)):
            return self
        place = where if self.where is None else f"{where}: {self.where}"
        return type(self)(self.problem, where=place, key=self.key, value=self.value, allowed=self.allowed)

    def _message(self) -> str:
        subject = self.key or ""
        if self.value is not ...:
            shown = repr(self.value)
            shown = shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 3] + "..."
            subject = f"{subject} = {shown}" if subject else shown
        parts = [part for part in (self.where, subject, self.problem) if part]
        message = ": ".join(parts)
        message = f"{message}; allowed: {self.allowed}" if self.allowed else message
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)  # one line


_LONGEST_VALUE = 120


class ConfigError(InputError):
    """A hardware config is wrong."""


class WorkloadError(InputError):
    """A workload (native YAML, ONNX, topology CSV or a layer graph built in Python) is wrong."""


class MappingError(InputError):
    """A layer cannot be mapped onto the machine: no tiling fits, or the mapping given is not possible."""


class MissingDataError(InputError):
    """Published images that a run asks for are not where it looks for them."""


class RunError(AccelsimError):
    """A correct input could not be simulated to its end."""


class DeadlockError(RunError):
    """The events ran out before the tiles did; the message says who waits for what."""


class StudyInterruptedError(RunError):
    """The user stopped a study, which can be continued."""

    exit_code = 130
