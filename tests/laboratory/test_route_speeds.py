from __future__ import annotations

import pytest

from ubereport.core.config import Route
from ubereport.core.errors import DependencyError
from ubereport.laboratory.route_speeds import RouteSpeed, recommended, taken_by_auto


def test_speeds_are_chosen_by_rule() -> None:
    exact = RouteSpeed(Route.TORCH, "cpu", "fp32", 30.0, 0.0, 0.0)
    low = RouteSpeed(Route.TORCH, "cpu", "fp32, late stages bf16", 55.0, 0.001, 0.0001)
    far = RouteSpeed(Route.OPENVINO, "cpu (OpenVINO 1)", "int8", 190.0, 0.028, 0.0013)
    near = RouteSpeed(Route.OPENVINO, "cpu (OpenVINO 1)", "fp32", 48.0, 0.0, 0.0)
    assert recommended((exact, low, far)) is low
    assert recommended((exact, near)) is near
    assert taken_by_auto((exact, low)) is low
    assert taken_by_auto((exact, low, near)) is near
    with pytest.raises(DependencyError, match="install torch again"):
        recommended((far,))
