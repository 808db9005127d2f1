import json
import sys
import types

import numpy as np
import onnxruntime
import pytest
import torch

import import_model
import vectors_imported
from importing import hub
from importing.guided import read_checkpoint
from importing.guided_unet import GuidedConfig, GuidedUNet
from importing.measure import gflop, repaint_evaluations
from importing.pipeline_folder import read_folder
from importing.source import UnsupportedModel
from importing.version import Description, write_version
from register import read_card
from vectors_imported import FLAGS, checkpoint, pipeline

GUIDED_256 = GuidedConfig(256, 256, (1, 1, 2, 2, 4, 4), 2, (32, 16, 8), out_channels=6, head_channels=64, resample_blocks=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("guided") / "guided.pt")


@pytest.fixture(scope="module")
def from_diffusers(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    return import_model.run(["diffusers", str(folder), "--id", "tiny", "--out", str(out), "--licence", "none"])


@pytest.fixture(scope="module")
def from_guided(guided, tmp_path_factory):
    """Stored as large networks are."""
    out = tmp_path_factory.mktemp("models")
    return write_version(read_checkpoint(guided, FLAGS), Description("tiny", "1", "none", "here"), out, halved_from=0, external_from=0)


def largest_difference(network, onnx_file):
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    generator, worst = torch.Generator().manual_seed(1), 0.0
    for t in ([3.0], [900.0, 50.0], [0.0, 50.0, 999.0]):
        x = torch.randn(len(t), 3, 16, 16, generator=generator)
        with torch.no_grad():
            expected = network(x, torch.tensor(t)).numpy()
        (found,) = session.run(None, {"x": x.numpy(), "t": np.array(t, np.float32)})
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def test_a_pipeline_of_diffusers_computes_the_same(folder, from_diffusers):
    from diffusers import UNet2DModel

    version, report = from_diffusers
    unet = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    assert largest_difference(lambda x, t: unet(x, t).sample, version / "unet.onnx") < 1e-4
    assert "GFLOP" in report and "On this machine" in report


def test_its_card_says_how_it_is_sampled(from_diffusers):
    card = read_card(from_diffusers[0])  # verifies the digests
    assert card["conditioning"] == "none" and card["prediction"] == "epsilon" and card["resolution"] == 16
    assert card["schedule"] == {"type": "linear", "T": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    assert card["sampling"]["variance"] == "fixed_small" and card["sampling"]["clip"] is True
    assert card["precision"]["weights"] == "fp32" and card["licence"] == "none"
    assert "architecture" not in card
    assert "/" not in card["training"]["imported_from"]  # no path of this machine
    assert "none" in (from_diffusers[0] / "README.md").read_text()


def test_a_guided_diffusion_checkpoint_computes_the_same_from_external_fp16_weights(guided, from_guided):
    version, _ = from_guided
    card = read_card(version)
    assert set(card["files"]) == {"unet.onnx", "unet.onnx.data"} and card["precision"]["weights"] == "fp16"
    assert card["out_channels"] == 6 and card["sampling"]["variance"] == "learned"
    # The checkpoint's weights are fp16 numbers, so nothing is lost.
    assert largest_difference(read_checkpoint(guided, FLAGS).network, version / "unet.onnx") < 1e-4


def test_the_guided_diffusion_network_of_256_px_has_its_published_size():
    with torch.device("meta"):
        network = GuidedUNet(GUIDED_256)
    assert sum(p.numel() for p in network.parameters()) == 552_814_086


def test_both_orders_of_the_attention_channels_compute_the_same():
    old, new = (GuidedUNet(GuidedConfig(8, 32, (1,), 1, (8,), heads=2, split_heads_last=last)).eval() for last in (False, True))
    state = old.state_dict()
    for name, value in state.items():
        if ".qkv." in name:  # [heads, 3, c, ...] -> [3, heads, c, ...]
            state[name] = value.reshape(2, 3, 16, *value.shape[1:]).transpose(0, 1).reshape(value.shape)
    new.load_state_dict(state)
    x, t = torch.randn(1, 3, 8, 8), torch.tensor([7.0])
    torch.testing.assert_close(new(x, t), old(x, t))
    new.load_state_dict(old.state_dict())
    assert not torch.allclose(new(x, t), old(x, t))


def test_rescaled_timesteps(guided):
    state = torch.load(guided, weights_only=True)
    torch.save(state, guided.with_name("4000.pt"))
    plain = read_checkpoint(guided, FLAGS)
    scaled = read_checkpoint(
        guided.with_name("4000.pt"), [*FLAGS, "--diffusion_steps", "4000", "--rescale_timesteps", "True", "--noise_schedule", "cosine"]
    )
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(scaled.network(x, torch.tensor([2000.0])), plain.network(x, torch.tensor([500.0])))
    assert scaled.schedule["T"] == 4000 and scaled.schedule["type"] == "cosine"


def changed(folder, tmp_path, file, **values):
    """A copy of the pipeline folder with other values in one of its JSON files."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps({**config, **values}))
    return copy


@pytest.mark.parametrize(
    ("file", "values", "sentence"),
    [
        ("model_index.json", {"vqvae": ["diffusers", "VQModel"]}, "vqvae"),
        ("unet/config.json", {"num_class_embeds": 10}, "class-conditional"),
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "text"),
        ("unet/config.json", {"in_channels": 4}, "RGB"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "noise levels"),
        ("unet/config.json", {"sample_size": [16, 32]}, "square"),
        ("unet/config.json", {"sample_size": []}, "square"),
        ("unet/config.json", {"sample_size": 2048}, "8 to 1024 px"),
        ("unet/config.json", {"sample_size": 17}, "cannot be evaluated at 17 px"),
        ("unet/config.json", {"block_out_channels": []}, "does not fit its config"),
        ("unet/config.json", {"attention_head_dim": 0}, "does not fit its config"),
        ("unet/config.json", {"block_out_channels": [8, 32]}, "does not fit its config"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 0}, "1 to 10000"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": "1000"}, "1 to 10000"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 20000, "beta_schedule": "squaredcos_cap_v2"}, "1 to 10000"),
        ("scheduler/scheduler_config.json", {"beta_start": 0}, "its betas"),
        ("scheduler/scheduler_config.json", {"beta_end": None}, "its betas"),
        ("scheduler/scheduler_config.json", {"beta_start": 0.99, "beta_end": 0.99}, "abar"),
        ("scheduler/scheduler_config.json", {"prediction_type": ["epsilon"]}, "prediction_type"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "sigmoid"}, "sigmoid"),
        ("scheduler/scheduler_config.json", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "FlowMatchEulerDiscreteScheduler"),
        ("scheduler/scheduler_config.json", {"_class_name": "ScoreSdeVeScheduler"}, "ScoreSdeVeScheduler"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1]}, "trained_betas"),
        ("scheduler/scheduler_config.json", {"thresholding": True}, "thresholding"),
        ("scheduler/scheduler_config.json", {"variance_type": "learned_range"}, "learned_range"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "flow"),
    ],
)
def test_what_the_service_could_not_sample_is_refused_with_a_sentence(folder, tmp_path, file, values, sentence):
    with pytest.raises(UnsupportedModel, match=sentence):
        read_folder(changed(folder, tmp_path, file, **values))


@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize(("content", "sentence"), [(b"[]", "not a JSON object"), (b"{", "not valid JSON"), (b"\xff", "not valid JSON")])
def test_a_damaged_settings_file_is_named(folder, tmp_path, file, content, sentence):
    copy = changed(folder, tmp_path, file)
    (copy / file).write_bytes(content)
    with pytest.raises(UnsupportedModel, match=f"{file.split('/')[-1]} is {sentence}"):
        read_folder(copy)


def test_a_cosine_schedule_has_the_lower_bound_of_diffusers(folder, tmp_path):
    from diffusers import DDPMScheduler

    from importing.schedules import assert_agrees

    section = read_folder(changed(folder, tmp_path, "scheduler/scheduler_config.json", beta_schedule="squaredcos_cap_v2")).schedule
    abar = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2").alphas_cumprod.double().numpy()
    assert section["abar_min"] == pytest.approx(abar[-1], rel=1e-4)
    with pytest.raises(UnsupportedModel, match="noise schedule"):
        assert_agrees({**section, "s": 0.01}, abar)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--class_cond", "True"], "class-conditional"),
        (["--num_channels", "64"], "do not describe"),
        (["--noise_schedule", "sqrt"], "linear or cosine"),
        (["--classifier_path", "x"], "not a flag"),
        (["--learn_sigma", "maybe"], "True or False"),
        (["--image_size", "24", "--channel_mult", ""], "usual channel_mult"),
        (["--image_size", "2048", "--attention_resolutions", "1024"], "8 to 1024 px"),
        (["--diffusion_steps", "20000"], "1 to 10000"),
        (["--num_head_channels", "0"], "do not describe"),
        (["--num_head_channels", "5"], "cannot be evaluated"),
        (["--num_heads", "0", "--num_head_channels", "-1"], "cannot be evaluated"),
    ],
)
def test_flags_that_do_not_fit_are_refused_with_a_sentence(guided, flags, sentence):
    with pytest.raises(UnsupportedModel, match=sentence):
        read_checkpoint(guided, [*FLAGS, *flags])


def test_a_checkpoint_with_classes_or_with_code_is_refused(guided, tmp_path):
    state = torch.load(guided, weights_only=True)
    torch.save({**state, "label_emb.weight": torch.zeros(10, 128)}, tmp_path / "classes.pt")
    with pytest.raises(UnsupportedModel, match="class-conditional"):
        read_checkpoint(tmp_path / "classes.pt", FLAGS)

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "opened"), "w"))

    torch.save(Evil(), tmp_path / "code.pt")
    with pytest.raises(UnsupportedModel, match="weights alone"):
        read_checkpoint(tmp_path / "code.pt", FLAGS)
    assert not (tmp_path / "opened").exists()


def test_a_checkpoint_in_the_older_format_of_pytorch(guided, tmp_path):
    state = torch.load(guided, weights_only=True)
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    found = read_checkpoint(tmp_path / "old.pt", FLAGS).network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_network_that_differs_from_its_source_is_not_written(folder, tmp_path, monkeypatch):
    source = read_folder(folder)
    from importing import version

    real = version.write_onnx

    def damaged(source, *args):
        files = real(source, *args)
        with torch.no_grad():  # the source changes after it was exported
            source.network.unet.conv_out.bias += 0.01
        return files

    monkeypatch.setattr(version, "write_onnx", damaged)
    with pytest.raises(UnsupportedModel, match="differs from its source"):
        write_version(source, Description("tiny", "1", "none", "here"), tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_a_network_whose_outputs_are_not_finite_is_not_written(guided, tmp_path):
    state = torch.load(guided, weights_only=True)
    torch.save({**state, "out.2.bias": torch.full((6,), float("nan"))}, tmp_path / "nan.pt")
    with pytest.raises(UnsupportedModel, match="not finite"):
        write_version(read_checkpoint(tmp_path / "nan.pt", FLAGS), Description("tiny", "1", "none", "here"), tmp_path / "models")
    assert not list((tmp_path / "models").rglob("*.*"))


def test_a_hub_id_is_downloaded_where_huggingface_hub_is_installed(folder, monkeypatch):
    asked = []

    def snapshot_download(name, allow_patterns):
        asked.append(name)
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert hub.folder_of("google/ddpm-cifar10-32") == folder and asked == ["google/ddpm-cifar10-32"]
    assert hub.folder_of(str(folder)) == folder and len(asked) == 1
    with pytest.raises(UnsupportedModel, match="not a folder"):
        hub.folder_of("nowhere")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UnsupportedModel, match="install huggingface_hub"):
        hub.folder_of("google/ddpm-cifar10-32")


def test_the_command_line(guided, tmp_path):
    args = import_model.parse(["openai", str(guided), "--id", "x", "--out", str(tmp_path), "--flags", "--image_size", "256", "--learn_sigma", "True"])
    assert args.flags == ["--image_size", "256", "--learn_sigma", "True"]
    with pytest.raises(UnsupportedModel, match="--licence"):
        import_model.run(["openai", str(guided), "--id", "x", "--out", str(tmp_path), "--flags", *FLAGS])
    with pytest.raises(UnsupportedModel, match="--id"):
        import_model.run(["openai", str(guided), "--id", "A b", "--version", "1", "--licence", "x", "--out", str(tmp_path), "--flags", *FLAGS])


def test_costs(folder):
    assert repaint_evaluations(50, 5, 3) == 140 and repaint_evaluations(4, 5, 3) == 4
    unet = read_folder(folder)
    first = 2 * 16 * 16 * 8 * 3 * 9 / 1e9  # of its first convolution alone
    assert gflop(unet) > first


def test_the_committed_models_are_those_of_this_code():
    for name, source in vectors_imported.sources().items():
        assert largest_difference(source.network, vectors_imported.FOLDER / name / "1" / "unet.onnx") < 1e-4
