"""In-memory batches against an MNIST-style torchvision Dataset behind a DataLoader with two workers."""

import argparse
import time

import torch
from quick import parsed
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits


class DigitsLikeMNIST(MNIST):
    """The embedded digits, read exactly as torchvision reads MNIST: a PIL image and a transform for every sample."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.data, self.targets = images, labels
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
        self.target_transform = None

    def __len__(self) -> int:
        return len(self.data)


def main() -> None:
    """Print images per second of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each side")
    parser.add_argument("--repeat", type=int, default=40, help="copies of the digits, so that an epoch is MNIST-sized")
    given = parsed(parser, seconds=0.2, repeat=2)
    torch.set_num_threads(1)
    data = ImageData(Digits(image_size=28), [1, 28, 28], 10, 128, 28, 1)
    data.setup()
    columns = data.stored("train").examples.read(torch.arange(data.split_size("train")))
    images = columns["image"][:, 0].repeat(given.repeat, 1, 1)
    dataset = DigitsLikeMNIST(images, columns["label"].repeat(given.repeat))
    loader = DataLoader(dataset, batch_size=128, shuffle=True, num_workers=2, persistent_workers=True)
    ours = rate(
        lambda: (data.on_after_batch_transfer(batch, 0)["image"] for batch in data.train_dataloader()), given.seconds
    )
    theirs = rate(lambda: (image for _ in range(1000) for image, _ in loader), given.seconds)
    print(f"in memory              {ours:>12,.0f} images/s")
    print(f"Dataset, two workers   {theirs:>12,.0f} images/s")
    print(f"ratio                  {ours / theirs:>12.1f}")


def rate(batches, seconds: float) -> float:
    """Images per second after a warm-up of five batches."""
    count, begun = 0, 0.0
    for i, batch in enumerate(batches()):
        if i == 5:
            count, begun = 0, time.perf_counter()
        count += len(batch)
        if i > 5 and time.perf_counter() - begun > seconds:
            return count / (time.perf_counter() - begun)
    raise ValueError(f"seconds must be shorter than the data last, got {seconds}")


if __name__ == "__main__":
    main()
