"""Settings from a file and from options that override it, as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ubereport.core.choices import DecodeDevice, Device, PdfChoice, ReaderChoice, SamplingMode
from ubereport.core.config import AnalysisConfig, config_from_toml
from ubereport.core.validation import check_setting


@dataclass(frozen=True, slots=True)
class Options:
    """What a call may override; None leaves the setting as it is. Names stand for choices."""

    model: str | None = None
    rate: float | None = None
    sampling: SamplingMode | str | None = None
    reader: ReaderChoice | str | None = None
    device: Device | str | None = None
    decode: DecodeDevice | str | None = None
    continuous: bool | None = None
    no_frames: bool = False


def settings_of(config: AnalysisConfig | str | Path | None, options: Options) -> AnalysisConfig:
    """Return the settings of `config` (a TOML file or the settings themselves) with `options`.

    A file may name a `language`, too, which is whoever speaks's and no part of a record.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a value cannot be used.
    """
    base = AnalysisConfig() if config is None else config
    if not isinstance(base, AnalysisConfig):
        # The language is whose report it is and changes no number, so that it stands in the file
        # and not in the settings.
        base = config_from_toml(Path(base), AnalysisConfig, aside=("language",))
    return replace(
        base,
        sampling=_replaced(base.sampling, mode=options.sampling, rate_hz=options.rate),
        decode=_replaced(base.decode, reader=options.reader, device=options.decode),
        segmentation=_replaced(base.segmentation, model=options.model, device=options.device),
        events=_replaced(base.events, is_continuous=options.continuous),
        records=_replaced(base.records, is_frames_kept=False if options.no_frames else None),
    )


def pdf_choice(pdf: PdfChoice | str) -> PdfChoice:
    """Return the choice that a name stands for; raise ConfigError if it stands for none."""
    check_setting(pdf in tuple(PdfChoice), "pdf", pdf, ", ".join(PdfChoice))
    return PdfChoice(pdf)


def _replaced(section: Any, **options: object) -> Any:  # noqa: ANN401 -- any configuration section
    return replace(section, **{k: v for k, v in options.items() if v is not None})
