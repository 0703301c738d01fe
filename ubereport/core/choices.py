"""What a setting may name; `ubereport.core.config` hands these on."""

from __future__ import annotations

from enum import StrEnum


class Route(StrEnum):
    """Which library runs the network on a processor."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class SamplingMode(StrEnum):
    """How the pictures to look at are chosen."""

    ADAPTIVE = "adaptive"
    UNIFORM = "uniform"
    KEYFRAMES = "keyframes"


class ReaderChoice(StrEnum):
    """Which library decodes."""

    AUTO = "auto"
    DECORD = "decord"
    PYAV = "pyav"


class EngineChoice(StrEnum):
    """Where the cases of a batch run."""

    EMBEDDED = "embedded"
    RAY = "ray"


class DecodeDevice(StrEnum):
    """What decodes: the processor or a graphics device's own decoder."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    VAAPI = "vaapi"
    QSV = "qsv"
    VIDEOTOOLBOX = "videotoolbox"
    D3D11VA = "d3d11va"


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class PdfChoice(StrEnum):
    """Whether reports are printed, too."""

    ALWAYS = "always"
    AUTO = "auto"
    NEVER = "never"


class LabelFormat(StrEnum):
    """Formats of annotated stills; `FOLDER` is what training reads, `AUTO` finds the format."""

    AUTO = "auto"
    PNG = "png"
    COCO = "coco"
    LABELME = "labelme"
    CVAT = "cvat"
    LABEL_STUDIO = "label-studio"
    FOLDER = "folder"
