import dataclasses
import errno
import itertools
import math

import numpy as np
import pytest
import torch

from tests.laboratory.training.conftest import write_set
from ubereport.core.config import config_from_toml, config_to_toml
from ubereport.core.errors import AnnotationError, BundleError, ConfigError, OutputError
from ubereport.files import atomic
from ubereport.laboratory.training.batches import Batch
from ubereport.laboratory.training.config import OptimizerConfig, TrainConfig
from ubereport.laboratory.training.finetune import finetune, mixed_pools, split_indices
from ubereport.laboratory.training.labelled_stills import cache_stills, read_manifest
from ubereport.laboratory.training.loop import learning_rate, network_spec, predict, train
from ubereport.laboratory.training.weights import (
    load_weights,
    read_checkpoint,
    write_weights,
)
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import build_network, load_state, portable_state


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def red_still(side_px, x):
    label = np.zeros((side_px, side_px), np.uint8)
    label[:, x : x + side_px // 2] = 1
    rgb = np.full((side_px, side_px, 3), (180, 170, 160), np.uint8)
    rgb[label == 1] = (140, 10, 10)
    return rgb, label


class RedBatches:
    """Half of each crop is red, somewhere."""

    def __init__(self, side_px, batch_size=2):
        self.side_px, self.batch_size = side_px, batch_size

    def draw(self, step, seed):
        rng = np.random.default_rng([seed, step])
        places = rng.integers(0, self.side_px // 2, self.batch_size)
        rgb, label = zip(*(red_still(self.side_px, int(x)) for x in places), strict=True)
        planes = torch.from_numpy(np.stack(rgb)).permute(0, 3, 1, 2).float()
        return Batch(planes, torch.from_numpy(np.stack(label)))


class KilledError(Exception):
    pass


def kill_at(step):
    def on_progress(progress):
        if progress.step >= step:
            raise KilledError

    return on_progress


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, tiny_config):
    config = dataclasses.replace(tiny_config, steps=4, validate_every=2)
    batches = RedBatches(32)
    whole = train(config, batches, None, tmp_path / "whole")
    with pytest.raises(KilledError):
        # progress at step 2 comes before the checkpoint of step 2: the run resumes from step 1
        train(config, batches, None, tmp_path / "killed", kill_at(2))
    assert read_checkpoint(tmp_path / "killed" / "checkpoint").step == 1
    resumed = train(config, batches, None, tmp_path / "killed")
    assert equal(whole, resumed)
    state = read_checkpoint(tmp_path / "killed" / "checkpoint")
    assert equal(state.network, read_checkpoint(tmp_path / "whole" / "checkpoint").network)
    assert state.step == 4


def test_another_seed_gives_another_network(tmp_path, tiny_config):
    config = dataclasses.replace(tiny_config, steps=1)
    batches = RedBatches(32)
    first = train(config, batches, None, tmp_path / "a")
    other = train(dataclasses.replace(config, seed=2), batches, None, tmp_path / "b")
    assert not equal(first, other)


def test_a_finished_run_is_not_trained_again(tmp_path, tiny_config):
    batches = RedBatches(32)
    first = train(tiny_config, batches, None, tmp_path / "run")
    seen = []
    again = train(tiny_config, batches, None, tmp_path / "run", seen.append)
    assert equal(first, again)
    assert seen == []


@pytest.mark.parametrize("change", [{"steps": 2}, {"input_px": 64}, {"side_px": 64}])
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, tiny_config, change):
    batches = RedBatches(32)
    config = dataclasses.replace(tiny_config, steps=1)
    train(dataclasses.replace(config, **change), batches, None, tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration"):
        train(config, batches, None, tmp_path / "run")


def test_a_damaged_checkpoint_is_refused(tmp_path, tiny_config):
    batches = RedBatches(32)
    config = dataclasses.replace(tiny_config, steps=1)
    train(config, batches, None, tmp_path / "run")
    (tmp_path / "run" / "checkpoint" / "moments.safetensors").write_bytes(b"torn")
    with pytest.raises(BundleError, match="damaged"):
        train(config, batches, None, tmp_path / "run")


@pytest.mark.slow
def test_the_loop_learns_red_from_gray(tmp_path, tiny_config):
    config = dataclasses.replace(
        tiny_config,
        initial_probability=0.5,  # half of what it sees is red
        # 48 steps: five seeds end at 0.984 to 1 of pixels; 24 left one processor at 0.88.
        steps=48,
        side_px=64,
        batch_size=4,
        validate_every=48,
        checkpoint_every=48,
        optimizer=OptimizerConfig(lr=5e-3, warmup_steps=2, ema_decay=0.5, n_frozen_stages=0),
    )
    rows = []
    state = train(config, RedBatches(64, 4), None, tmp_path / "run", rows.append)
    assert rows[-1].loss < 0.5 * rows[0].loss
    network = build_network(network_spec(config))
    network.load_state_dict(dict(state), strict=False)
    rgb, label = red_still(64, 20)
    called = predict(network, rgb[None], torch.device("cpu"))[0] > 0.5
    assert (called == (label == 1)).mean() > 0.9


@pytest.mark.parametrize(("first", "low", "high"), [(0.1, 0.03, 0.25), (0.5, 0.3, 0.7)])
def test_a_network_begins_with_the_probability_asked_for(tmp_path, tiny_config, first, low, high):
    config = dataclasses.replace(
        tiny_config,
        initial_probability=first,
        steps=1,
        optimizer=OptimizerConfig(lr=1e-9, warmup_steps=0, n_frozen_stages=0),
    )
    state = train(config, RedBatches(32), None, tmp_path / "run")
    network = build_network(network_spec(config))
    network.load_state_dict(dict(state), strict=False)
    rgb, _ = red_still(32, 9)
    assert low < predict(network, rgb[None], torch.device("cpu")).mean() < high


def test_an_infinite_loss_stops_the_run(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(
        "ubereport.laboratory.training.loop.segmentation_loss",
        lambda logit, label, config: logit.sum() * float("nan"),
    )
    with pytest.raises(ConfigError, match="The loss is nan"):
        train(tiny_config, RedBatches(32), None, tmp_path / "run")


def test_an_error_while_drawing_reaches_the_caller(tmp_path, tiny_config):
    class Broken:
        def draw(self, step, seed):
            raise AnnotationError("a still went missing")

    with pytest.raises(AnnotationError, match="a still went missing"):
        train(tiny_config, Broken(), None, tmp_path / "run")


def test_frozen_stages_keep_their_weights_and_statistics(tmp_path, tiny_config):
    optimizer = dataclasses.replace(tiny_config.optimizer, n_frozen_stages=1, lr=1e-2)
    config = dataclasses.replace(tiny_config, optimizer=optimizer, steps=2, side_px=64)
    torch.manual_seed(config.seed)
    before = build_network(network_spec(config)).state_dict()
    train(config, RedBatches(64), None, tmp_path / "run")
    after = read_checkpoint(tmp_path / "run" / "checkpoint").network
    for key, value in after.items():
        stem = ("encoder.model.conv_stem", "encoder.model.bn1", "encoder.model.blocks.0.")
        assert torch.equal(value, before[key]) == key.startswith(stem) or value.numel() < 2, key


def test_the_learning_rate_warms_up_stays_and_falls():
    config = OptimizerConfig(lr=0.1, warmup_steps=10, decay_frac=0.5, final_lr_frac=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert rates[10:50] == pytest.approx([0.1] * 40)
    half = 0.5 * (1 + math.cos(math.pi * 0.5))
    assert rates[75] == pytest.approx(0.1 * (0.1 + 0.9 * half))
    assert all(a >= b for a, b in itertools.pairwise(rates[50:]))


def test_fine_tuning_holds_a_fold_out_and_writes_the_average(manifest, tmp_path, tiny_config):
    stills = read_manifest(manifest)
    rows = []
    state = finetune(tiny_config, stills, tmp_path / "runs" / "tiny", rows.append)
    assert rows[-1].validation.n_positive == rows[-1].validation.n_negative == 2
    assert equal(state, load_weights(tmp_path / "runs" / "tiny" / "average.safetensors"))
    inside, out = split_indices(stills, tiny_config)
    assert not {stills[i].group for i in inside} & {stills[i].group for i in out}
    assert len(inside) + len(out) == len(stills)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_config):
    """What training on the set gives when nothing comes between."""
    folder = tmp_path_factory.mktemp("undisturbed")
    stills = read_manifest(write_set(folder / "set"))
    return finetune(tiny_config, stills, folder / "whole" / "tiny")


@pytest.mark.parametrize(
    "what", ["rgb.npy", "tiny/.held_out", "tiny/.config", "/.checkpoint.", "tiny/.average"]
)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    manifest, tmp_path, tiny_config, undisturbed, monkeypatch, what
):
    stills, runs = read_manifest(manifest), tmp_path / "runs"
    write, save = atomic._write_through, np.save

    def full(path, content, *mode):
        if what in path.as_posix():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content, *mode)

    def full_for_arrays(stream, array):
        if what in stream.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(stream, array)

    monkeypatch.setattr(atomic, "_write_through", full)
    monkeypatch.setattr(np, "save", full_for_arrays)
    with pytest.raises(OutputError, match="does not fit"):
        finetune(tiny_config, stills, runs / "tiny")
    monkeypatch.undo()
    state = finetune(tiny_config, stills, runs / "tiny")
    assert equal(state, undisturbed)
    assert equal(state, load_weights(runs / "tiny" / "average.safetensors"))
    assert not [path for path in runs.rglob("*") if ".new-" in path.name]


def test_shares_mix_composites_and_simulated_stills_in(manifest, tmp_path, tiny_config):
    data = dataclasses.replace(
        tiny_config.data, composite_share=0.3, simulated_share=0.2, n_simulated=2, n_composites=4
    )
    config = dataclasses.replace(tiny_config, data=data, input_px=64)
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    pools = mixed_pools(config, cache, np.arange(24), (), tmp_path / "cache")
    assert [pool.share for pool in pools] == pytest.approx([0.5, 0.3, 0.2])
    for pool in pools:
        rgb, label = pool.read(pool.pick(np.random.default_rng(1))[0])
        assert rgb.shape == (64, 64, 3)
        assert label.shape == (64, 64)


def test_a_share_without_stills_to_draw_from_is_refused(manifest, tmp_path, tiny_config):
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    data = dataclasses.replace(tiny_config.data, box_share=0.1)
    with pytest.raises(AnnotationError, match=r"data\.box_share is above 0"):
        mixed_pools(dataclasses.replace(tiny_config, data=data), cache, np.arange(24), (), tmp_path)


def test_a_run_starts_from_the_weights_of_another(tmp_path, tiny_config):
    batches = RedBatches(32)
    config = dataclasses.replace(tiny_config, steps=1)
    first = train(config, batches, None, tmp_path / "first")
    from safetensors.torch import save_file

    save_file(first, tmp_path / "first.safetensors")
    frozen = OptimizerConfig(lr=1e-9, weight_decay=0.0, n_frozen_stages=0, ema_decay=0.0)
    second = dataclasses.replace(config, initial="first.safetensors", optimizer=frozen)
    state = train(second, batches, None, tmp_path / "second")
    weight = "segmentation_head.0.weight"
    assert torch.allclose(state[weight], first[weight], atol=1e-6)


def with_lived_in_norms(config, folder):
    """Weights whose normalizations are far from what an untrained network has."""
    network = build_network(network_spec(config))
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.7, 1.3),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.6, 1.6),
            ):
                torch.nn.init.uniform_(tensor, low, high, generator=generator)
    write_weights(portable_state(network), folder / "lived.safetensors")
    return dataclasses.replace(config, initial="lived.safetensors")


def frozen_norms(config, lr):
    optimizer = OptimizerConfig(
        lr=lr, weight_decay=0.0, n_frozen_stages=1, ema_decay=0.0, is_normalization_frozen=True
    )
    return dataclasses.replace(config, optimizer=optimizer)


def test_frozen_normalizations_answer_as_before_and_fit_the_usual_network(tmp_path, tiny_config):
    config = frozen_norms(with_lived_in_norms(tiny_config, tmp_path), lr=1e-9)
    state = train(config, RedBatches(32), None, tmp_path / "run")
    answers = []
    for weights in (load_weights(tmp_path / "lived.safetensors"), state):
        network = build_network(network_spec(config))
        load_state(network, weights)
        answers.append(predict(network, red_still(64, 20)[0][None], torch.device("cpu")))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)


def test_what_frozen_normalizations_shifted_is_learned_on(tmp_path, tiny_config):
    shipped = dataclasses.replace(tiny_config, encoder=NetworkSpec().encoder)
    config = frozen_norms(with_lived_in_norms(shipped, tmp_path), lr=1e-3)
    before = train(frozen_norms(config, 1e-9), RedBatches(32), None, tmp_path / "before")
    after = train(config, RedBatches(32), None, tmp_path / "run")
    assert before.keys() == after.keys()
    stem = ("encoder.model.conv_stem", "encoder.model.bn1", "encoder.model.blocks.0.")
    shifts = [k for k in after if k.endswith(".bias")]
    assert len(shifts) > 50
    for key in shifts:
        assert torch.equal(before[key], after[key]) == key.startswith(stem), key


def test_a_run_with_frozen_normalizations_goes_on_bit_for_bit(tmp_path, tiny_config):
    config = frozen_norms(with_lived_in_norms(tiny_config, tmp_path), lr=1e-3)
    config = dataclasses.replace(config, steps=4, validate_every=2)
    whole = train(config, RedBatches(32), None, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(config, RedBatches(32), None, tmp_path / "killed", kill_at(2))
    assert equal(whole, train(config, RedBatches(32), None, tmp_path / "killed"))


def test_weights_of_another_architecture_are_refused(tmp_path, tiny_config):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    config = dataclasses.replace(tiny_config, initial="other.safetensors")
    with pytest.raises(BundleError, match="another architecture"):
        train(config, RedBatches(32), None, tmp_path / "run")


@pytest.mark.parametrize("head", [b"\x80\x02", b"PK\x03\x04"])
def test_a_pickle_is_refused_as_weights(tmp_path, head):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(head + b"payload")
    with pytest.raises(BundleError, match=r"pickle|zip archive"):
        load_weights(path)


def test_weights_that_are_missing_or_no_safetensors_are_refused(tmp_path):
    with pytest.raises(BundleError, match="There are no weights"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(BundleError, match="no sound safetensors file"):
        load_weights(tmp_path / "text.safetensors")


def test_configurations_go_through_toml(tiny_config):
    assert config_from_toml(config_to_toml(tiny_config), TrainConfig) == tiny_config


@pytest.mark.parametrize(
    "text",
    [
        "steps = 0",
        "side_px = 100",
        "batch_size = 0",
        "[data]\nfold = 9",
        "[data]\ncomposite_share = 0.7\nbox_share = 0.7",
        "[optimizer]\nlr = 2.0",
        "[augment]\nmin_crop_frac = 0.01",
        "[hsv]\nhue_low_max = 175",
        "stepz = 3",
        'initial = "imagenet"\n[optimizer]\nis_normalization_frozen = true',
    ],
)
def test_a_value_out_of_range_is_refused_before_any_work(text):
    with pytest.raises(ConfigError):
        config_from_toml(text, TrainConfig)
