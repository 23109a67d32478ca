import pytest
import torch
from torch.nn.functional import interpolate

from genexp.networks.vision_transformer import VisionTransformer

transformers = pytest.importorskip("transformers")

SIZES = {"width": 128, "depth": 2, "heads": 2, "patch_size": 7, "grid": 4}


def randomised(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network.eval()


def translated(state, depth):
    """DINOv2's own names and fused projections to those of transformers."""
    out = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": state["mask_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    if "register_tokens" in state:
        out["embeddings.register_tokens"] = state["register_tokens"]
    for i in range(depth):
        ours, theirs = f"blocks.{i}.", f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            fused = state[f"{ours}attn.qkv.{kind}"].chunk(3)
            for name, part in zip("qkv", fused, strict=True):
                out[f"{theirs}attention.{name}_proj.{kind}"] = part
            out[f"{theirs}attention.o_proj.{kind}"] = state[f"{ours}attn.proj.{kind}"]
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                out[f"{theirs}{name}.{kind}"] = state[f"{ours}{name}.{kind}"]
        for number in (1, 2):
            out[f"{theirs}layer_scale{number}.lambda1"] = state[f"{ours}ls{number}.gamma"]
    return out


@pytest.mark.parametrize("registers", [0, 3])
def test_it_computes_what_transformers_does_with_the_same_weights(registers):
    network = randomised(VisionTransformer(**SIZES, registers=registers))
    settings = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 7}
    if registers:
        config = transformers.Dinov2WithRegistersConfig(**settings, num_register_tokens=registers)
        model = transformers.Dinov2WithRegistersModel(config)
    else:
        model = transformers.Dinov2Model(transformers.Dinov2Config(**settings))
    model.load_state_dict(translated(network.state_dict(), 2))
    image = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model.eval()(image).pooler_output
        torch.testing.assert_close(network(image), expected, rtol=1e-4, atol=1e-4)


def test_position_embeddings_are_interpolated_as_in_the_published_code():
    network = randomised(VisionTransformer(**SIZES))
    plane = network.pos_embed[:, 1:].reshape(1, 4, 4, 128).permute(0, 3, 1, 2)
    found = network._positions(3, 6)
    assert torch.equal(found[:, 0], network.pos_embed[:, 0])
    expected = interpolate(plane, scale_factor=(3.1 / 4, 6.1 / 4), mode="bicubic")
    torch.testing.assert_close(found[:, 1:], expected.permute(0, 2, 3, 1).reshape(1, 18, 128))
    assert network._positions(4, 4) is network.pos_embed


def test_a_state_dict_tells_the_sizes_of_its_network():
    network = randomised(VisionTransformer(**SIZES, registers=2))
    again = VisionTransformer.fitting(network.state_dict())
    again.load_state_dict(network.state_dict())
    image = torch.randn(2, 3, 14, 21)
    with torch.no_grad():
        assert torch.equal(network(image), again.eval()(image))


def test_the_published_sizes_have_the_published_names():
    with torch.device("meta"):
        state = VisionTransformer(384, 12, 6).state_dict()
    assert len(state) == 175
    assert sum(tensor.numel() for tensor in state.values()) == 22_056_576
    assert tuple(state["pos_embed"].shape) == (1, 1370, 384)
    for name in ("blocks.11.attn.qkv.bias", "blocks.0.ls1.gamma", "blocks.3.mlp.fc1.weight", "patch_embed.proj.bias"):
        assert name in state


def test_bad_input_is_refused():
    network = VisionTransformer(**SIZES)
    with pytest.raises(ValueError, match=r"image must have sides in multiples of 7, got \(28, 30\)"):
        network(torch.zeros(1, 3, 28, 30))
    with pytest.raises(ValueError, match="heads must divide width=10, got 3"):
        VisionTransformer(10, 1, 3)
    with pytest.raises(ValueError, match="weights must be DINOv2's state dict"):
        VisionTransformer.fitting({"a": torch.zeros(1)})
