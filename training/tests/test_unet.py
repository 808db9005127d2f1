"""The options of the U-Net."""

import pytest
import torch
from network_vectors import assert_same

import export
import vectors_unet
from onnx_files import write_network
from unet import UNet, UNetConfig, load_unet

TINY = {"resolution": 16, "channels": (8, 16), "attention": (4,), "groups": 4, "head_dim": 8}


def test_the_usual_options_leave_names_and_card_as_they_were():
    config = UNetConfig(**TINY)
    names = [name for name, _ in UNet(config).named_parameters()]
    assert {"down.1.conv.weight", "up.2.conv.weight", "down.0.block.emb.weight"} <= set(names)
    assert not any("resample" in name for name in names)
    assert export.architecture(config).keys() == {"patch", "channels", "blocks", "attention", "head_dim", "groups"}
    assert export.options(export.architecture(config)) == "adaptive group normalisation, self-attention"


def test_the_card_names_other_options():
    config = UNetConfig(**TINY, resample="biggan", adaptive_norm=False)
    assert export.options(export.architecture(config)) == "group normalisation, self-attention, BigGAN resampling"


def test_biggan_blocks_resize_and_start_as_plain_resizing():
    """Their second convolution starts at 0: a block is average pooling, or nearest-neighbour upsampling, of its input."""
    model = UNet(UNetConfig(**TINY, resample="biggan"))
    x, emb = torch.randn(2, 8, 8, 8), torch.randn(2, 32)
    assert torch.equal(model.down[1]["resample"](x, emb), torch.nn.functional.avg_pool2d(x, 2))
    x = torch.randn(2, 16, 4, 4)
    assert torch.equal(model.up[2]["resample"](x, emb), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_without_adaptive_norm_the_embedding_is_added_before_the_second_norm():
    plain, adaptive = (UNet(UNetConfig(**TINY, adaptive_norm=flag)).mid1 for flag in (False, True))
    assert (plain.emb.out_features, adaptive.emb.out_features) == (16, 32)
    torch.nn.init.normal_(plain.conv2.weight)
    torch.nn.init.zeros_(plain.conv1.weight)
    torch.nn.init.zeros_(plain.conv1.bias)
    x, emb = torch.randn(1, 16, 4, 4), torch.randn(1, 32)
    given = plain.emb(emb)[:, :, None, None].expand(1, 16, 4, 4)
    assert torch.allclose(plain(x, emb), x + plain.conv2(torch.nn.functional.silu(plain.norm2(given))), atol=1e-5)


def test_heads_split_the_channels_whatever_head_dim_is():
    assert UNet(UNetConfig(**TINY, heads=4)).mid_attention.heads == 4
    assert UNet(UNetConfig(**TINY)).mid_attention.heads == 2
    with pytest.raises(ValueError, match="3 heads"):
        UNet(UNetConfig(**TINY, heads=3))
    for head_dim in (12, 32):  # 16 channels: neither one head of 16 nor no head
        with pytest.raises(ValueError, match=f"heads of {head_dim}"):
            UNet(UNetConfig(**{**TINY, "head_dim": head_dim}))
    with pytest.raises(ValueError, match="resample"):
        UNetConfig(**TINY, resample="pool")


def test_a_network_with_every_option_is_exported_and_loaded_again(tmp_path):
    model = vectors_unet.network()
    assert write_network(model, tmp_path / "unet.onnx", tmp_path / "weights.safetensors") < 1e-2
    config = vectors_unet.CONFIG
    sizes = {"resolution": config.resolution, "in_channels": config.in_channels, "out_channels": config.out_channels}
    loaded = load_unet(tmp_path, {**sizes, "architecture": export.architecture(config)})
    x, t = torch.randn(1, 4, 16, 16), torch.tensor([500])
    assert torch.allclose(loaded(x, t), model(x, t), atol=1e-2)


def test_a_network_whose_outputs_are_not_numbers_is_not_exported(tmp_path):
    model = vectors_unet.network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="differ from those of the trained network by nan"):
        write_network(model, tmp_path / "unet.onnx", tmp_path / "weights.safetensors")


def test_the_committed_vectors_are_those_of_the_network():
    assert_same((vectors_unet.FOLDER / "unet-options.json").read_text(), vectors_unet.text(vectors_unet.network()))
