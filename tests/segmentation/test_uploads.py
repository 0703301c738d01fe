"""Pictures arrive on the device as they were, in order, the next ones while one looks."""

import numpy as np
import pytest
import torch

from ubereport.segmentation.uploads import PictureUploads


def pictures(n: int) -> np.ndarray:
    rgb = np.random.default_rng(n).integers(0, 256, (n, 6, 4, 3), dtype=np.uint8)
    rgb.setflags(write=False)
    return rgb


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("n_together", [1, 3, 4])
def test_every_picture_arrives_once_and_in_order(n, n_together):
    rgb = pictures(n)
    uploads = PictureUploads(torch.device("cpu"))
    for _ in range(2):  # the buffers serve again
        arrived = [pixels.numpy().copy() for pixels in uploads.chunks(rgb, n_together)]
        assert all(len(pixels) <= n_together for pixels in arrived)
        np.testing.assert_array_equal(np.concatenate([*arrived, rgb[:0]]), rgb)


def test_the_next_chunk_travels_while_the_present_one_stays_good():
    """One chunk ahead is begun when a chunk is handed over, and does not overwrite it."""
    uploads = PictureUploads(torch.device("cpu"))
    begun = []
    begin = uploads._begin
    uploads._begin = lambda chunk: begun.append(len(chunk)) or begin(chunk)
    rgb = pictures(7)
    for number, pixels in enumerate(uploads.chunks(rgb, 2)):
        assert len(begun) == min(number + 2, 4)
        np.testing.assert_array_equal(pixels.numpy(), rgb[2 * number : 2 * number + 2])


def test_larger_and_other_pictures_get_a_buffer_that_fits():
    uploads = PictureUploads(torch.device("cpu"))
    for rgb in (pictures(2), pictures(9), np.zeros((3, 8, 8, 3), np.uint8)):
        (pixels,) = uploads.chunks(rgb, 16)
        np.testing.assert_array_equal(pixels.numpy(), rgb)


def test_cuda_copies_on_a_stream_of_its_own():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    uploads = PictureUploads(torch.device("cuda"))
    rgb = pictures(50)
    arrived = [pixels.cpu().numpy() for pixels in uploads.chunks(rgb, 7)]
    np.testing.assert_array_equal(np.concatenate(arrived), rgb)
