"""Everything that ubereport raises on purpose.

::

    UbereportError                  exit code
    ├── UsageError                  2   the command, a path or an option cannot be used as given
    │   ├── ConfigError             2   a configuration has an unknown key or a value out of range
    │   ├── ManifestError           2   a batch manifest has cells that cannot be used
    │   └── AnnotationError         2   a mask, polygon or annotation file cannot be used
    ├── RecordingError              4   a recording cannot be read at all
    │   ├── RecordingFormatError    4   not a video, no video stream, or out of bounds
    │   └── DecodeError             4   decoding failed, stalled or ran out of memory
    ├── ModelError                  4   a model bundle or its answer cannot be trusted
    │   ├── BundleError             4   missing, altered, of another architecture, or a pickle
    │   └── PredictionError         4   NaN, wrong shape or out of range
    │       └── NetworkLostError    4   the process that ran the network died again and again
    ├── CaseRecordError             4   a stored case cannot be read
    │   └── ReviewError             4   a review was altered, or no longer speaks of the case
    ├── OutputError                 4   the output cannot be written (full, read-only, in use)
    ├── DependencyError             4   a library or system part is missing
    └── SomeCasesFailedError        3   a batch ended with failed cases

Every message says what was given, what is allowed and what to do. Programmer misuse stays
``ValueError`` or ``TypeError``. An interrupt stays ``KeyboardInterrupt`` (exit code 130).
"""

from __future__ import annotations

from typing import ClassVar


class UbereportError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 4


class UsageError(UbereportError):
    """The command, a path or an option cannot be used as given."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration has an unknown key or a value out of range."""


class ManifestError(UsageError):
    """A batch manifest has cells that cannot be used."""


class AnnotationError(UsageError):
    """A mask, polygon or annotation file cannot be used."""


class RecordingError(UbereportError):
    """A recording cannot be read at all."""


class RecordingFormatError(RecordingError):
    """The file is not a video, has no video stream, or is out of bounds."""


class DecodeError(RecordingError):
    """Decoding failed, stalled or ran out of memory."""


class ModelError(UbereportError):
    """A model bundle or its answer cannot be trusted."""


class BundleError(ModelError):
    """A bundle is missing, altered, of another architecture, or a pickle."""


class PredictionError(ModelError):
    """A network answered with NaN, a wrong shape or values out of range."""


class NetworkLostError(PredictionError):
    """The process that ran the network died again and again."""


class CaseRecordError(UbereportError):
    """A stored case cannot be read."""


class ReviewError(CaseRecordError):
    """A review was altered, or no longer speaks of the case beside it."""


class OutputError(UbereportError):
    """The output cannot be written: full, read-only or in use by another run."""


class DependencyError(UbereportError):
    """A library or a part of the system is missing."""


class SomeCasesFailedError(UbereportError):
    """A batch ended with some failed cases; the others are complete."""

    exit_code = 3
