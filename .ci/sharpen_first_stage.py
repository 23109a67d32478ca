"""Train the decoder of the shipped first stage further, on small shapes: `python .ci/sharpen_first_stage.py [folder]`.

The encoder stays as it is, and so do codes and all that was trained on them. Whole pictures are mostly ground, of which
there is nothing more to learn; this decoder sees crops of 8 x 8 places around small shapes, whose corners were too
round to be told apart, with a little noise on their codes. It takes minutes of a core and writes asset and card.
"""

import copy
import math
import sys
from pathlib import Path

import torch

from genexp.data.shape_pictures import CENTRES, factor_levels
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.networks.shipped_networks import trained_with_card
from genexp.shipped import save_asset
from genexp.tensors import to_float

CROPS, BATCH, RATE, NOISE, HALF_LIFE, PICTURES = 60_000, 16, 4e-3, 0.05, 1_500, 4_800
SIDE, FACTOR = 8, 4  # places of a crop, pixels a place


def main(folder):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    network, card = trained_with_card("shapes_first_stage", Path(folder))
    source = Shapes(64)
    weights = list(network.decoder.requires_grad_(True).parameters())
    averaged, optimizer = copy.deepcopy(network), torch.optim.Adam(weights, RATE)
    train = source.split("train")
    levels = factor_levels(train.mode[:PICTURES])
    rows = (levels["size"] == 0).nonzero().flatten()
    corner = ((CENTRES[levels["position"][rows]] + 1) * 8).round().long() - SIDE // 2  # of 16 places a side
    pictures = train.read(rows)["image"]
    with torch.no_grad():
        codes = torch.cat([network.encode(to_float(piece)) for piece in pictures.split(64)])
    steps = CROPS // BATCH
    for step in range(steps):
        rate = RATE * min(1, step / (0.03 * steps)) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = rate
        chosen = torch.randint(len(rows), (BATCH,), generator=generator)
        first = (corner[chosen] + torch.randint(-1, 2, (BATCH, 2), generator=generator)).clamp(0, 16 - SIDE).tolist()
        places = [(slice(y, y + SIDE), slice(x, x + SIDE)) for x, y in first]
        pixels = [tuple(slice(FACTOR * each.start, FACTOR * each.stop) for each in place) for place in places]
        code = torch.stack([codes[row][:, *place] for row, place in zip(chosen, places, strict=True)])
        image = torch.stack([pictures[row][:, *place] for row, place in zip(chosen, pixels, strict=True)])
        most = NOISE / card["scale"] * torch.rand(BATCH, 1, 1, 1, generator=generator)
        error = network.decode(code + most * torch.randn(code.shape, generator=generator)) - to_float(image)
        loss = (error.abs() + 2 * error.square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            share = max(1 - 0.5 ** (BATCH / HALF_LIFE), 1 / (step + 1))
            torch._foreach_lerp_(list(averaged.decoder.parameters()), weights, share)
        if step % 500 == 0:
            print(f"{step * BATCH} crops, loss {float(loss.detach()):.4f}", flush=True)
    told = {split: measured(averaged, source.split(split), split) for split in ("train", "test")}
    card |= {"psnr": {split: psnr for split, (psnr, _) in told.items()}}
    card |= {"read_right": {split: right for split, (_, right) in told.items()}}
    card["recipe"] = (
        f"{card['recipe'].split('; then')[0]}; then its decoder alone, {CROPS:,} crops of {SIDE * FACTOR} pixels "
        "around small shapes: python .ci/sharpen_first_stage.py"
    )
    print(card["psnr"], card["read_right"])
    save_asset("shapes_first_stage", averaged, card, Path(folder))


@torch.no_grad()
def measured(network, examples, split):
    """PSNR of the first 960 pictures of a split after coding, and the share of which the reader reads all right."""
    reader, error, right = ShapeReader(), 0.0, 0
    for rows in torch.arange(960).split(64):
        image = to_float(examples.read(rows)["image"])
        given = network.half().float().decode(network.encode(image))
        error += float((given - image).square().mean()) / 15
        shown, levels = reader.read(reader(given)), factor_levels(examples.mode[rows])
        right += int(torch.stack([shown[name] == levels[name] for name in levels]).all(0).sum())
    return round(10 * math.log10(4 / error), 2), round(right / 960, 4)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["src/genexp/assets"])
