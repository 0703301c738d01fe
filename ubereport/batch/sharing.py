"""Whether the cases of a batch share one network, and the network that they share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ubereport.core.config import AnalysisConfig, Device
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.shared import NetworkAddress, SharedNetwork


@contextmanager
def shared_network(
    config: AnalysisConfig, n_jobs: int, is_asked_for: bool | None
) -> Iterator[NetworkAddress | None]:
    """Run one network for all cases of a batch on this machine; yield where, or None.

    `is_asked_for` None shares where it helps: several cases at once on one accelerator, where
    each network of its own would load its copy and fight for the device. On the CPU every case
    has its own network and its share of the cores, unless asked for.

    Raises
    ------
    ModelError
        If the bundle is missing or altered.
    DependencyError
        If the device asked for is absent.
    """
    section = config.segmentation
    is_pointless = n_jobs == 1 or section.device is Device.CPU
    if is_asked_for is False or (is_asked_for is None and is_pointless):
        yield None
        return
    bundle = load_bundle(find_bundle(section.model))
    # Color thresholds take no memory and no device: sending pictures to another process would cost
    # more than counting them.
    if bundle.metadata.hsv is not None and not is_asked_for:
        yield None
        return
    with SharedNetwork(bundle, section, is_forced=bool(is_asked_for)) as network:
        yield network.address
