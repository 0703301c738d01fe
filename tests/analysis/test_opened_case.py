"""What makes a case the same one: recording, bundle and settings, by digests."""

import dataclasses
from types import SimpleNamespace

from ubereport.analysis.opened_case import fingerprint
from ubereport.core.config import AnalysisConfig
from ubereport.core.presence import PresenceRule
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle

INDEX = SimpleNamespace(parts=[SimpleNamespace(sha256="a" * 64)])


def of(bundle, **changes):
    metadata = dataclasses.replace(bundle.metadata, **changes)
    return fingerprint(INDEX, dataclasses.replace(bundle, metadata=metadata), AnalysisConfig())


def test_the_same_weights_read_in_another_way_are_another_case():
    """An interrupted or finished case of the one must not be taken for one of the other."""
    bundle = load_bundle(find_bundle("ube-blood", models_dir()))
    low, central, high = bundle.metadata.thresholds
    rule = PresenceRule(probability=0.97, view_frac=0.002)
    network = bundle.metadata.network
    other = dataclasses.replace(network, has_flood_gain=not network.has_flood_gain)
    prints = [
        of(bundle, presence=None),
        of(bundle, presence=rule),
        of(bundle, presence=PresenceRule(probability=0.97, view_frac=0.004)),
        of(bundle, presence=rule, thresholds=(low, central + 0.001, high)),
        of(bundle, presence=None, thresholds=(low, central + 0.001, high)),
        of(bundle, presence=rule, test_time="flip"),
        of(bundle, presence=rule, input_width_px=288),
        of(bundle, presence=rule, network=other),
    ]
    assert len(set(prints)) == len(prints)
    assert of(bundle, presence=rule) == prints[1]
    assert of(bundle, presence=rule, title="Another title") == prints[1]
