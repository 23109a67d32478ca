"""Networks of videos: an image network of every frame until time is learned, and no video sees another."""

import pytest
import torch

from genexp.networks.dit import DiT
from genexp.networks.dit_video import VideoDiT
from genexp.networks.frames import TemporalAttention
from genexp.networks.unet import UNet
from genexp.networks.unet_video import VideoUNet

SMALL = {"channels": 1, "image_size": 8, "width": 16}
NETWORKS = {
    "unet": lambda **more: VideoUNet(**SMALL, temporal=(8, 4), attention=(4,), groups=4, **more),
    "factorised": lambda **more: VideoDiT(**SMALL, patch_size=2, depth=2, **more),
    "tubes": lambda **more: VideoDiT(**SMALL, patch_size=4, patch_frames=2, depth=2, **more),
    "joint": lambda **more: VideoDiT(**SMALL, patch_size=4, depth=2, attention="joint", **more),
}


def woken(network, seed=0):
    """The network with no weight at zero, as after training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval()


def noisy(batch=3, frames=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, 1, 8, 8, generator=generator), torch.tensor([10.0, 500.0, 900.0])[:batch]


@pytest.mark.parametrize("name", NETWORKS)
def test_no_video_sees_another_and_their_order_is_that_of_the_results(name):
    network, (video, time) = woken(NETWORKS[name]()), noisy()
    out, turn = network(video, time), torch.tensor([2, 0, 1])
    assert out.shape == video.shape
    torch.testing.assert_close(network(video[turn], time[turn]), out[turn], atol=1e-5, rtol=1e-4)
    other = video.clone()
    other[1] = torch.randn(4, 1, 8, 8)
    again = network(other, time)
    torch.testing.assert_close(again[[0, 2]], out[[0, 2]], atol=1e-5, rtol=1e-4)
    assert (again[1] - out[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_every_frame_sees_the_others_and_knows_when_it_is(name):
    network, (video, time) = woken(NETWORKS[name]()), noisy()
    out = network(video, time)
    other = video.clone()
    other[:, 3] += 1
    assert (network(other, time)[:, 0] - out[:, 0]).abs().max() > 1e-4
    assert (network(video.flip(1), time).flip(1) - out).abs().max() > 1e-4


IMAGE = {
    "unet": lambda: UNet(**SMALL, multipliers=(1, 2), blocks=1, attention=(4,), heads=2, groups=4),
    "factorised": lambda: DiT(**SMALL, patch_size=2, depth=2, heads=4),
}


@pytest.mark.parametrize("name", IMAGE)
def test_until_time_is_learned_it_is_the_image_network_of_every_frame(name):
    image, (video, time) = woken(IMAGE[name]()), noisy()
    network = NETWORKS[name]().eval()
    missing, unexpected = network.load_state_dict(image.state_dict(), strict=False)
    assert not unexpected
    assert missing
    assert all(key.startswith("temporal.") for key in missing)
    out = network(video, time)
    for frame in range(4):
        torch.testing.assert_close(out[:, frame], image(video[:, frame], time), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_videos_may_be_of_any_length(name):
    network, (video, time) = woken(NETWORKS[name]()), noisy(frames=6)
    assert network(video, time).shape == video.shape


def test_attention_across_frames_is_plain_attention_of_every_pixel():
    layer = woken(TemporalAttention(8, heads=1, groups=1))
    x = torch.randn(2 * 3, 8, 2, 2)
    out = layer(x, 3)
    normed = torch.nn.functional.group_norm(x, 1, layer.norm.weight, layer.norm.bias, 1e-6)
    own = normed.unflatten(0, (2, 3))[1, :, :, 0, 1]  # the frames (T, C) of one pixel of one video
    angles = torch.arange(3)[:, None] * 10_000 ** (-torch.arange(4) / 3)
    q, k, v = layer.project_in(own + torch.cat([angles.sin(), angles.cos()], 1)).chunk(3, 1)
    mixed = layer.project_out((q @ k.T / 8**0.5).softmax(1) @ v)
    wanted = x.unflatten(0, (2, 3))[1, :, :, 0, 1] + mixed
    torch.testing.assert_close(out.unflatten(0, (2, 3))[1, :, :, 0, 1], wanted, atol=1e-5, rtol=1e-4)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="patch_frames must divide the 3 frames, got 2"):
        NETWORKS["tubes"]()(torch.zeros(1, 3, 1, 8, 8), torch.ones(1))
    with pytest.raises(ValueError, match="attention must be factorised or joint, got 'both'"):
        VideoDiT(**SMALL, attention="both")
    with pytest.raises(ValueError, match="heads must divide the 8 channels, got 3"):
        TemporalAttention(8, heads=3)
