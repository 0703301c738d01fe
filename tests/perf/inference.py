"""Speed of every route against a ResNet-34 U-Net++ in fp32, and how far areas move from fp32.

    python tests/perf/inference.py --stills FOLDER [--sizes 192 320] [--threads 1 2]

The reference is segmentation-models-pytorch's default U-Net++ (decoder channels 256 to 16), eager,
in the same batches on the same pictures. Best of three passes over sixteen pictures each.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ubereport.core.config import SegmentationConfig
from ubereport.files.resources import models_dir
from ubereport.laboratory.route_speeds import measure_routes
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import build_network

BATCH = 16
REPETITIONS = 3


def pictures(folder: Path, n: int, size_px: int) -> np.ndarray:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, n).astype(int)]
    read = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in chosen]
    size = (size_px, size_px)
    return np.stack([cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) for rgb in read])


def reference_pictures_per_s(size_px: int) -> float:
    network = build_network(NetworkSpec(encoder="resnet34")).to(
        memory_format=torch.contiguous_format
    )
    planes = torch.rand((BATCH, 3, size_px, size_px))
    best_s = float("inf")
    with torch.inference_mode():
        network.eval()(planes[:2])
        for _ in range(REPETITIONS):
            started = time.perf_counter()
            network(planes)
            best_s = min(best_s, time.perf_counter() - started)
    return BATCH / best_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[192, 320])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default=SegmentationConfig().model)
    given = parser.parse_args()
    shipped = load_bundle(find_bundle(given.model, models_dir()))
    for size_px in given.sizes:
        # A graph is of one size; torch takes any.
        own_px = shipped.metadata.input_height_px
        graph = shipped.metadata.graph if size_px == own_px else None
        metadata = replace(
            shipped.metadata, input_height_px=size_px, input_width_px=size_px, graph=graph
        )
        bundle = replace(shipped, metadata=metadata)
        rgb = pictures(given.stills, given.n, size_px)
        for n_threads in given.threads:
            torch.set_num_threads(n_threads)
            base = reference_pictures_per_s(size_px)
            print(f"{size_px} px, {n_threads} threads: reference {base:.2f} pictures/s", flush=True)
            field = np.ones((size_px, size_px), dtype=bool)
            for speed in measure_routes(bundle, rgb, field, n_threads):
                print(
                    f"  {speed.title:55} {speed.pictures_per_s:6.1f} pictures/s = "
                    f"{speed.pictures_per_s / base:4.1f} x; area within "
                    f"{100 * speed.area_deviation_max_frac:.3f} points, mean "
                    f"{100 * speed.area_deviation_mean_frac:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
