"""What streaming from tar shards costs: images a second and memory, on a generated set of shards.

    python benchmarks/shards.py [--images 200000] [--folder shards] [--quick]

Writes PNG pictures of 32 x 32 pixels in shards of 10,000 with their labels (kept in --folder for the next time), then
measures in processes of their own: reading the headers, and training batches of 128 as `data=webdataset` gives them,
with each buffer and number of workers. Memory is the largest resident set of the process, beside that of one that has
imported the same and read nothing; those of workers are told apart.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from quick import parsed

SIDE, PER_SHARD, BATCH = 32, 10_000, 128


def write_shards(folder: Path, count: int) -> None:
    """Shards of smooth random pictures, unless they are there."""
    for shard in range(-(-count // PER_SHARD)):
        path = folder / f"train-{shard:04d}.tar"
        if path.is_file():
            continue
        generator = torch.Generator().manual_seed(shard)
        partial = path.with_suffix(".partial")
        with tarfile.open(partial, "w") as tar:
            for i in range(min(PER_SHARD, count - shard * PER_SHARD)):
                level = torch.randint(256, (3, 4, 4), generator=generator).float()
                picture = torch.nn.functional.interpolate(level[None], (SIDE, SIDE), mode="bilinear")[0].byte()
                file = io.BytesIO()
                Image.fromarray(picture.movedim(0, -1).contiguous().numpy()).save(file, "PNG", compress_level=1)
                for name, content in ((f"{i:06d}.png", file.getvalue()), (f"{i:06d}.cls", str(i % 10).encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        partial.rename(path)


def measured(folder: str, buffer: int | None, workers: int, batches: int) -> dict[str, float]:
    """One measurement in this process."""
    from genexp.data.datamodule import ImageData
    from genexp.data.store import Stored
    from genexp.data.webdataset import WebDataset

    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    source = WebDataset(folder, SIDE)
    examples = source.split("train")
    headers = time.perf_counter() - begun
    data = ImageData(
        source, [3, SIDE, SIDE], 10, BATCH, SIDE, 3, in_memory=False, workers=workers, shuffle_buffer=buffer
    )
    data._splits["train"] = Stored(examples, examples.fingerprint, None, [])  # without the survey, which reads it once
    loader = iter(data.train_dataloader())
    next(loader)
    begun = time.perf_counter()
    for _ in range(batches):
        next(loader)
    rate = batches * BATCH / (time.perf_counter() - begun)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    del loader
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"count": len(examples), "headers": headers, "rate": rate, "before": before, "most": most, "worker": child}


def main() -> None:
    """Read arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=int, default=200)
    arguments = parsed(parser, images=400, batches=2)
    if arguments.one:
        print(json.dumps(measured(**json.loads(arguments.one))))
        return
    count, batches = arguments.images, arguments.batches
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        write_shards(folder, count)
        size = sum(path.stat().st_size for path in folder.glob("*.tar")) / 2**20
        print(f"{count:,} images, {size:,.0f} MiB, written in {time.perf_counter() - begun:.0f} s", flush=True)
        for buffer, workers in ((10_000, 0), (10_000, 2), (1_000, 0), (None, 0)):
            asked = {"folder": str(folder), "buffer": buffer, "workers": workers, "batches": batches}
            command = [sys.executable, __file__, "--one", json.dumps(asked)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"buffer {buffer or 'all':>6}  workers {workers}  headers {found['headers']:5.1f} s  "
                f"{found['rate']:6,.0f} images/s  memory {found['before']:.0f} -> {found['most']:.0f} MiB"
                + (f", a worker {found['worker']:.0f} MiB" if workers else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
