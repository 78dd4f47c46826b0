"""The exceptions npvae raises of its own.

Each also derives from the built-in exception a caller would expect, so that ``except ValueError``
keeps working. Anything the user can mend by changing the input is an ``NpvaeError``; the command line
turns exactly these, and the operating system's own errors, into one line and exit code 2.
"""

from __future__ import annotations

from collections.abc import Callable


class NpvaeError(Exception):
    """Base of every error raised on purpose by npvae."""


class InputError(NpvaeError, ValueError):
    """An argument has the wrong value, shape or range."""


class RowError(InputError):
    """Something is wrong in rows of a table. parts: the message, as texts and the numbers of rows, counted from 0."""

    def __init__(self, *parts: str | int) -> None:
        self.parts = parts
        super().__init__(self.message(lambda row: f"row {row}"))

    def message(self, name: Callable[[int], str]) -> str:
        """The message with ``name(row)`` for every row: of a file, whose reader knows the lines, "line 7"."""
        return "".join(part if isinstance(part, str) else name(int(part)) for part in self.parts)


class InputTypeError(NpvaeError, TypeError):
    """An argument has the wrong type or dtype."""


class UnknownNameError(InputError):
    """A name that is not in a list of known names."""

    def __init__(self, what: str, name: object, known) -> None:
        super().__init__(f"unknown {what} {name!r}; known: {', '.join(map(repr, known))}")


class NotFittedError(NpvaeError, ValueError, AttributeError):
    """A method that needs a fitted model was called before ``fit`` or ``load``."""


class ModelFileError(InputError):
    """A model or checkpoint file is damaged, incomplete, or of another format version."""


class DataFileError(InputError):
    """A data file is damaged, incomplete, or not of the form its name promises."""


class DownloadError(NpvaeError, OSError):
    """A data set could not be fetched, or what came is not what was asked for."""


class MissingDependencyError(NpvaeError, ImportError):
    """An optional package is needed for what was asked; the message says how to install it."""


class DeviceMemoryError(NpvaeError, MemoryError):
    """The GPU has no memory left; the message has the bytes and what to try."""


class NonFiniteError(NpvaeError, FloatingPointError):
    """Training met a number that is not finite; the message names where and the likely cause."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended the training of ``estimator``, which has kept what it was until then: it is usable, but not fully
    trained.

    A KeyboardInterrupt, so that it ends loops around ``fit``, such as a grid search, too.
    """

    def __init__(self, message: str, estimator=None) -> None:
        super().__init__(message)
        self.estimator = estimator


class GradientCheckError(NpvaeError, AssertionError):
    """A gradient differs from its finite difference; ``report`` holds every number."""

    def __init__(self, message: str, report=None) -> None:
        super().__init__(message)
        self.report = report


class KinkError(NpvaeError, ValueError):
    """A finite difference was asked for at a point where the function has no derivative."""


class CarriedColumnsWarning(UserWarning):
    """Columns of a table are not modelled but kept as they are, gaps and all; the message names them and says why."""


class GradientCheckWarning(UserWarning):
    """A gradient is right, but its backward changes its arguments, or is right at its first call only."""


class DataConversionWarning(UserWarning):
    """Data of whole numbers or booleans were converted to floating point."""


class DataScaleWarning(UserWarning):
    """The data are far from the scale at which a network's initial weights make sense."""


class UnregisteredLikelihoodWarning(UserWarning):
    """A model is trained that cannot be saved, because nobody knows its likelihood by a name."""


class ManyClassesWarning(UserWarning):
    """There are so many classes for so few labelled rows that the labels may be numbers to be predicted."""


class ResumedElsewhereWarning(UserWarning):
    """A run was resumed, as its user insisted, where its bits are others than those of a run never interrupted."""


class FitWarning(UserWarning):
    """A model's training has plainly not converged, or the model overfits."""


class FewSamplesWarning(UserWarning):
    """What was drawn rests on so few effective samples that it is all alike."""


class PosteriorCollapseWarning(UserWarning):
    """No latent dimension carries anything about the data."""
