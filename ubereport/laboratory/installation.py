"""What this machine has of what ubereport needs, and how to mend what is missing."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ubereport.core.config import Device
from ubereport.core.errors import UbereportError
from ubereport.documents.page.pdf import HOW_TO_PRINT, try_printers
from ubereport.files.resources import templates_dir
from ubereport.segmentation.bundle import BundleEntry, list_bundles, verify_bundle

NEEDED = (
    ("torch", "torch"),
    ("PyAV", "av"),
    ("OpenCV", "cv2"),
    ("NumPy", "numpy"),
    ("PyArrow", "pyarrow"),
    ("segmentation-models-pytorch", "segmentation_models_pytorch"),
    ("matplotlib", "matplotlib"),
    ("Jinja2", "jinja2"),
)
OPTIONAL = (
    ("decord", "decord", "PyAV reads in its place; pip install decord (Linux and Windows x86-64)"),
    ("Ray", "ray", "needed for clusters only; pip install 'ubereport[ray]'"),
    (
        "OpenVINO",
        "openvino",
        "torch runs networks in its place, at half the speed; pip install openvino",
    ),
    ("pydicom", "pydicom", "needed for DICOM video only; pip install 'ubereport[dicom]'"),
)
MIN_MEMORY_GIB = 4.0
MIN_DISK_GIB = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what was found and, where it is not good, how to mend it."""

    what: str
    is_good: bool
    is_needed: bool
    found: str
    mend: str


def examine() -> Iterator[Finding]:
    """Look at libraries, system parts, bundles, templates, devices, memory and disk.

    Findings come as they are found: most at once, the speed of inference after some seconds.
    """
    yield _python()
    for what, module in NEEDED:
        yield _library(what, module, "pip install --force-reinstall ubereport")
    yield from _printers()
    for what, module, mend in OPTIONAL:
        yield _library(what, module, mend, is_needed=False)
    yield _checked("templates", lambda: str(len(list(templates_dir().rglob("*")))) + " files")
    yield _bundles()
    yield _devices()
    yield from _decoders()
    yield _memory()
    yield _disk()
    # Last, since it takes longer than everything before.
    yield from _inference()


def _python() -> Finding:
    version = sys.version.split()[0]
    return Finding("Python", sys.version_info >= (3, 11), True, version, "install Python 3.11")


def _library(what: str, module: str, mend: str, is_needed: bool = True) -> Finding:
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return Finding(what, False, is_needed, f"cannot be loaded ({type(error).__name__})", mend)
    try:
        version = metadata.version({"cv2": "opencv-python-headless"}.get(module, module))
    except metadata.PackageNotFoundError:
        version = "present"
    return Finding(what, True, is_needed, version, "")


def _printers() -> tuple[Finding, ...]:
    """Print with each; one that works is enough, and without any reports are HTML alone."""
    trials = try_printers()
    is_printing = any(trial.printer is not None for trial in trials)
    mend = (
        "not needed: the other one prints" if is_printing else f"for reports as PDF {HOW_TO_PRINT}"
    )
    return tuple(
        Finding(trial.what, True, False, trial.printer, "")
        if trial.printer is not None
        else Finding(trial.what, False, False, trial.problem, mend)
        for trial in trials
    )


def _checked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, True, look(), "")
    except UbereportError as error:
        return Finding(what, False, True, str(error), "install ubereport again")


def _terms(entry: BundleEntry) -> str:
    licence = entry.metadata.licence if entry.metadata is not None else ""
    return f"licence {licence}" if licence else "no licence stated"


def _bundles() -> Finding:
    try:
        entries = list_bundles()
        # Every byte is hashed here, which `models list` does not do: a doctor is asked for
        # certainty.
        problems = [f"{e.folder.name}: {p}" for e in entries for p in verify_bundle(e.folder)]
    except UbereportError as error:
        return Finding("models", False, True, str(error), "install ubereport again")
    names = ", ".join(f"{e.folder.name} ({_terms(e)})" for e in entries)
    is_good = bool(entries) and not problems
    return Finding("models", is_good, True, " ".join(problems) or names, "install ubereport again")


def _devices() -> Finding:
    try:
        from ubereport.segmentation.devices import choose_device
    except (ImportError, OSError):
        return Finding("device", False, True, "torch cannot be loaded", "see torch above")
    choice = choose_device(Device.AUTO, is_low_precision_allowed=True)
    n_cores = os.cpu_count()
    return Finding(
        "device", True, True, f"{choice.title} in {choice.precision}, {n_cores} cores", ""
    )


def _decoders() -> tuple[Finding, ...]:
    """Decode ten pictures on the processor and on every graphics device whose driver is here."""
    try:
        from ubereport.video.device_check import check_devices

        offered, checks = check_devices()
    except (UbereportError, ImportError, OSError) as error:
        return (Finding("decoding", False, True, str(error), "see PyAV above"),)
    findings = [
        Finding("decoding", True, False, f"PyAV, which can ask {', '.join(offered)}", ""),
        *(
            Finding(
                f"decoding, {check.title}",
                check.problem is None,
                False,
                f"ten pictures in {1000 * check.duration_s:.0f} ms"
                if check.problem is None
                else check.problem,
                "" if check.problem is None else "see its driver; the processor decodes instead",
            )
            for check in checks
        ),
    ]
    return tuple(findings)


def _inference() -> tuple[Finding, ...]:
    """Measure every route for some seconds; good is what `auto` takes being the fastest usable."""
    from ubereport.laboratory.route_speeds import measure_shipped, recommended, taken_by_auto

    try:
        speeds = measure_shipped()
        best, by_auto = recommended(speeds), taken_by_auto(speeds)
    except (UbereportError, ImportError, OSError) as error:
        return (Finding("inference", False, True, str(error), "see torch and models above"),)
    findings = []
    for speed in speeds:
        marks = (
            f"area within {100 * speed.area_deviation_max_frac:.2f} percentage points of fp32 "
            f"(mean {100 * speed.area_deviation_mean_frac:.3f})",
            *(["not usable: more than 0.2"] if not speed.is_usable else []),
            *(["auto takes this"] if speed is by_auto else []),
            *(["recommended"] if speed is best else []),
        )
        fact = f"{speed.pictures_per_s:.0f} pictures/s, {', '.join(marks)}"
        is_good = speed is not by_auto or speed is best
        mend = "" if is_good else f"set segmentation.route = {best.route}; {best.title} is faster"
        findings.append(Finding(f"inference, {speed.title}", is_good, False, fact, mend))
    return tuple(findings)


def _memory() -> Finding:
    if not hasattr(os, "sysconf"):  # Windows
        return Finding("memory", True, False, "this system does not tell how much", "")
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    mend = f"analysis wants {MIN_MEMORY_GIB:.0f} GiB of memory; lower segmentation.batch_size"
    return Finding("memory", gib >= MIN_MEMORY_GIB, False, f"{gib:.1f} GiB", mend)


def _disk() -> Finding:
    gib = shutil.disk_usage(Path.cwd()).free / 2**30
    mend = f"keep {MIN_DISK_GIB:.0f} GiB free for reports and work in progress"
    return Finding("disk", gib >= MIN_DISK_GIB, False, f"{gib:.1f} GiB free here", mend)
