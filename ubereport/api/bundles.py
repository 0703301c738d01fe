"""Model bundles: which are there, whether they are unaltered, and the graph of an older one."""

from pathlib import Path

from ubereport.core.config import SegmentationConfig
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.bundle import BundleEntry as BundleEntry
from ubereport.segmentation.bundle import list_bundles as list_bundles
from ubereport.segmentation.bundle import verify_bundle as verify_bundle


def check_bundle(config: SegmentationConfig) -> None:
    """Check the bundle that settings name, before any work is done with it.

    Raises
    ------
    BundleError
        If it is missing or altered.
    """
    load_bundle(find_bundle(config.model))


def prepare_bundle(folder: Path) -> Bundle:
    """Give an older bundle its graph; torch is loaded for this alone.

    Errors are those of `ubereport.segmentation.export.prepare_bundle`.
    """
    from ubereport.segmentation import export

    return export.prepare_bundle(folder)
