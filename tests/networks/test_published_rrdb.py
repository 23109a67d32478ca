"""Files of ESRGAN's weights: all three layouts are one network, sizes are read from the tensors, others are refused."""

import re

import pytest
import torch
from safetensors.torch import save_file

from genexp.conditioning.pictures import Picture
from genexp.networks.published_rrdb import published_rrdb
from genexp.networks.rrdb import Rrdb
from genexp.shipped import WrongDigest

SIZES = {"depth": 2, "width": 6, "growth": 4}


def network(scale=4):
    torch.manual_seed(scale)
    return Rrdb(8 * scale, 3, {"source": Picture((3, 8, 8))}, **SIZES)


def as_in_the_repository(name):
    name = re.sub(r"^body\.(\d+)\.rdb(\d)", r"RRDB_trunk.\1.RDB\2", name)
    for today, then in (("conv_body", "trunk_conv"), ("conv_up1", "upconv1"), ("conv_up2", "upconv2")):
        name = name.replace(today, then)
    return name.replace("conv_hr", "HRconv")


def as_first_released(name):
    name = re.sub(r"^body\.(\d+)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", name)
    places = {"conv_first": "0", "conv_body": "1.sub.2", "conv_up1": "3", "conv_up2": "6", "conv_hr": "8"}
    for today, place in {**places, "conv_last": "10"}.items():
        name = name.replace(f"{today}.", f"model.{place}.")
    return name


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("layout", [lambda name: name, as_in_the_repository, as_first_released])
def test_a_file_of_every_layout_is_the_network_that_it_was_made_of(layout, scale, tmp_path):
    made = network(scale)
    path = tmp_path / "RRDB.pth"
    torch.save({layout(name): tensor for name, tensor in made.state_dict().items()}, path)
    found, digest = published_rrdb(str(path))
    picture = torch.rand(1, 3, 12, 8) * 2 - 1
    assert torch.equal(found.restored(picture), made.restored(picture))
    assert (found.scale, len(digest), found.training) == (scale, 64, False)
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_average_of_a_saved_training_is_taken_and_safetensors_are_read(tmp_path):
    made, other = network(4), network(4).requires_grad_(False)
    other.conv_last.bias.add_(1)
    torch.save({"params": other.state_dict(), "params_ema": made.state_dict()}, tmp_path / "both.pth")
    save_file(made.state_dict(), tmp_path / "plain.safetensors")
    for name in ("both.pth", "plain.safetensors"):
        state = published_rrdb(str(tmp_path / name))[0].state_dict()
        assert all(torch.equal(state[key], tensor) for key, tensor in made.state_dict().items())


def test_other_files_are_refused_in_one_line(tmp_path):
    state = network().state_dict()
    wrong = {
        "lacks conv_first.weight": {"fc.weight": torch.ones(3, 3)},
        "lacks body.1.rdb3.conv5.bias": {n: t for n, t in state.items() if n != "body.1.rdb3.conv5.bias"},
        "has more: conv_up3.weight": {**state, "conv_up3.weight": torch.ones(1)},
        "has other sizes: conv_hr.weight": {**state, "conv_hr.weight": torch.ones(6, 6, 1, 1)},
        "makes 3 channels of 5, which is none of its scales": {**state, "conv_first.weight": torch.ones(6, 5, 3, 3)},
    }
    for i, (said, held) in enumerate(wrong.items()):
        path = tmp_path / f"{i}.pth"
        torch.save(held, path)
        with pytest.raises(ValueError, match=rf"weights must be a state dict of RRDBNet .*: .*{re.escape(said)}$"):
            published_rrdb(str(path))
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"weights must be a state dict of RRDBNet .*, got a list"):
        published_rrdb(str(tmp_path / "list.pth"))
    with pytest.raises(FileNotFoundError, match="weights must be a file with a state dict of RRDBNet"):
        published_rrdb(str(tmp_path / "none.pth"))
    torch.save(state, tmp_path / "good.pth")
    with pytest.raises(WrongDigest, match="must have a SHA-256 that begins with 00000000"):
        published_rrdb(str(tmp_path / "good.pth"), digest="00000000")
