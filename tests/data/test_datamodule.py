import itertools

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torchvision.transforms import v2

from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.data.source import Arrays, ContentDigest


class _Few:
    """A tiny labelled source."""

    classes = ("a", "b", "c")

    def __init__(self, count=20, label=None, shape=(1, 4, 4), dtype=torch.uint8):
        self.count, self.label, self.shape, self.dtype = count, label, shape, dtype

    def split(self, name):
        number = torch.arange(self.count)
        image = number.reshape(-1, *[1] * len(self.shape)).expand(-1, *self.shape).to(self.dtype).contiguous()
        label = number % 3 if self.label is None else torch.full((self.count,), self.label)
        columns = {"image": image} if self.classes is None else {"image": image, "label": label}
        return Arrays(columns, f"few-{name}")


class _Unlabelled(_Few):
    classes = None


def _data(source=None, **options):
    return ImageData(**{"source": source or _Few(), "shape": [1, 4, 4], "num_classes": 3, "batch_size": 6, **options})


class _Recorder(LightningModule):
    """Records what reaches the training step."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_index):
        self.seen.append(batch)
        optimizer = self.optimizers()
        self.manual_backward((self.weight * batch["image"].mean()).sum())
        optimizer.step()

    def validation_step(self, batch, batch_index):
        torch.rand(7)  # a validation that uses the global random state
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def _fit(data, folder, max_steps, checkpoint=None, **options):
    model = _Recorder()
    saver = ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trainer = Trainer(
        max_steps=max_steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        callbacks=[saver],
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, data, ckpt_path=checkpoint)
    return model


_FLIP = [v2.RandomHorizontalFlip(0.5), v2.RandomCrop(4, padding=1)]


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_resume_continues_with_the_very_next_image(tmp_path, stop):
    """Validation every 2 batches, a stop inside an epoch, at its end, and right after a validation."""
    options = {"val_check_interval": 2, "check_val_every_n_epoch": None, "num_sanity_val_steps": 1}
    straight = _fit(_data(augment=_FLIP), tmp_path / "straight", 9, **options)
    first = _fit(_data(augment=_FLIP), tmp_path / "first", stop, **options)
    checkpoint = str(tmp_path / "first" / f"step={stop}.ckpt")
    rest = _fit(_data(augment=_FLIP), tmp_path / "rest", 9, checkpoint, **options)
    joined = first.seen + rest.seen
    assert len(joined) == len(straight.seen) == 9
    for ours, theirs in zip(joined, straight.seen, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_epochs_cut_by_lightning_do_not_repeat_images(tmp_path):
    model = _fit(_data(_Few(20)), tmp_path, 10, limit_train_batches=2)
    index = torch.cat([batch["index"] for batch in model.seen])
    assert sorted(index[:20].tolist()) == list(range(20))
    assert sorted(index[20:40].tolist()) == list(range(20))


def test_the_position_is_a_plain_container_in_the_checkpoint(tmp_path):
    _fit(_data(), tmp_path, 3)
    checkpoint = torch.load(tmp_path / "step=3.ckpt", weights_only=True)
    assert checkpoint["ImageData"] == {"batches": 3}


def test_augmentation_reaches_training_and_never_validation(tmp_path):
    invert = [v2.RandomInvert(1.0)]
    model = _fit(_data(_Few(20), augment=invert), tmp_path, 4, limit_train_batches=2)
    for batch in model.seen:
        assert torch.allclose(batch["image"][:, 0, 0, 0], (255 - batch["index"]) * 2 / 255 - 1, atol=1e-6)
    for batch in model.validated:
        assert torch.allclose(batch["image"][:, 0, 0, 0], batch["index"] * 2 / 255 - 1, atol=1e-6)


def test_training_images_do_not_depend_on_validation(tmp_path):
    often = _fit(_data(augment=_FLIP), tmp_path / "often", 6, val_check_interval=1, check_val_every_n_epoch=None)
    never = _fit(_data(augment=_FLIP), tmp_path / "never", 6, limit_val_batches=0)
    assert often.validated
    assert not never.validated
    for a, b in zip(often.seen, never.seen, strict=True):
        assert torch.equal(a["image"], b["image"])


def test_digits_end_to_end(tmp_path):
    data = ImageData(Digits(), [1, 8, 8], 10, 128, image_size=8, channels=1, cache_dir=tmp_path)
    data.setup()
    assert [data.split_size(name) for name in ("train", "val", "test")] == [1197, 200, 400]
    images = torch.cat([batch["image"] for batch in data.reference("train")])
    assert images.shape == (1197, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1
    digest = ContentDigest()
    examples = Digits().split("train")
    digest.add(examples.read(torch.arange(len(examples))))
    assert data.digest("train") == digest.hexdigest()
    assert data.classes == tuple("0123456789")


def test_streaming_gives_what_memory_gives():
    held, streamed = _data(), _data(in_memory=False, workers=1)
    pairs = itertools.islice(zip(held.train_dataloader(), streamed.train_dataloader(), strict=False), 8)
    for a, b in pairs:
        assert all(torch.equal(a[name], b[name]) for name in ("image", "label", "index"))
    for a, b in zip(held.eval_loader("test"), streamed.eval_loader("test"), strict=True):
        assert torch.equal(a["image"], b["image"])
    assert held.digest("val") == streamed.digest("val")


def test_limit_trains_on_the_first_images_only():
    data = _data(limit=4)
    seen = {i for batch in itertools.islice(data.train_dataloader(), 5) for i in batch["index"].tolist()}
    assert seen == {0, 1, 2, 3}
    assert data.split_size("val") == 20


def test_null_classes_leave_the_labels_out():
    data = _data(num_classes=None)
    assert set(next(iter(data.train_dataloader()))) == {"image", "index"}
    assert set(next(iter(data.val_dataloader()))) == {"image", "index"}
    assert data.classes is None


class _Ranks:
    """What the datamodule needs to know of a trainer."""

    def __init__(self, rank, world_size):
        self.global_rank, self.world_size, self.training = rank, world_size, True


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_batch_after_augmentation_is_the_same_for_every_world_size(world_size):
    def batches(rank, size):
        data = _data(augment=_FLIP)
        data.trainer = _Ranks(rank, size)
        return [data.on_after_batch_transfer(b, 0) for b in itertools.islice(data.train_dataloader(), 5)]

    whole = batches(0, 1)
    parts = [batches(rank, world_size) for rank in range(world_size)]
    for b, batch in enumerate(whole):
        for rank in range(world_size):
            assert torch.equal(parts[rank][b]["image"], batch["image"][rank::world_size])


def test_ranks_must_divide_the_batch():
    data = _data(batch_size=6)
    data.trainer = _Ranks(0, 4)
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 4 ranks that share it, got 6"):
        data.setup()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (_Few(shape=(3, 4, 4)), {}, r"shape must be that of the source's image, \[3, 4, 4\], got \[1, 4, 4\]"),
        (_Few(), {"num_classes": 4}, "num_classes must be 3, the number of classes of the source, got 4"),
        (_Few(label=7), {}, r"every label of train must lie in \[0, 3\), got 7"),
        (_Few(label=-1), {}, r"every label of train must lie in \[0, 3\), got -1"),
        (_Unlabelled(), {}, "num_classes must be null for a source without labels, got 3"),
        (
            _Few(shape=(2,), dtype=torch.float32),
            {"shape": [2], "augment": _FLIP},
            r"augment needs a source of images, got one of \['image', 'label'\]",
        ),
    ],
)
def test_a_source_that_does_not_fit_is_refused_before_training(source, options, message):
    with pytest.raises(ValueError, match=message):
        _data(source, **options).setup()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"eval_batch_size": 0}, "eval_batch_size must be at least 1, got 0"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"workers": -1}, "workers must be at least 0, got -1"),
        (
            {"image_size": 8, "channels": 1},
            r"shape must be \[channels, image_size, image_size\], got image_size 8 and shape",
        ),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        _data(**options)
