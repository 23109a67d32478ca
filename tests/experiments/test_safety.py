"""Bad things that happen: NaN losses, damaged checkpoints, taken folders, full disks. Nothing that was good is lost."""

import errno
import pathlib

import pytest
import torch

import tiny
from genexp.callbacks.checkpoint import load_checkpoint
from genexp.families.terms import NonFiniteLoss, TermLog
from genexp.files.writing import replace_file


@pytest.mark.parametrize("family", ["vae", "gan", "diffusion"])
def test_a_non_finite_loss_names_batch_term_and_the_last_good_checkpoint(family, tmp_path, monkeypatch):
    overrides = [*tiny.overrides_for(family), f"paths.outputs={tmp_path}", "training.checkpoint_every=32"]
    from genexp.families.base import Family

    original = Family.on_train_batch_start

    def poison(self, batch, batch_index):
        original(self, batch, batch_index)
        if self.batches == 5:
            batch["image"].fill_(float("nan"))

    monkeypatch.setattr(Family, "on_train_batch_start", poison)
    with pytest.raises(
        NonFiniteLoss, match=r"train/.* must stay finite, got nan at batch 5; the last good .*last\.ckpt"
    ):
        tiny.run(overrides)
    folder = tiny.newest(tmp_path)
    state = tiny.checkpoint(folder)
    assert state["counters"]["batches"] == 5
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values() if value.is_floating_point())
    assert folder.record["state"] == "failed"


@pytest.mark.parametrize("first", [4, 31, 32, 63, 64, 95])
def test_the_first_bad_batch_is_reported_even_when_asked_late(first):
    log = TermLog()
    for batch in range(7, 107):
        bad = {first + 7: float("inf"), first + 8: float("nan")}.get(batch, 1.0)
        log.add({"a": torch.tensor(1.0), "b": torch.tensor(bad)}, batch)
    with pytest.raises(NonFiniteLoss, match=f"b must stay finite, got inf at batch {first + 7}") as caught:
        log.flush()
    assert (caught.value.term, caught.value.batch) == ("b", first + 7)


def test_terms_that_come_at_different_batches_are_averaged_apart():
    log = TermLog()
    for batch in range(4):
        log.add({"a": torch.tensor(float(batch))}, batch)
        if batch % 2:
            log.add({"a2": torch.tensor(10.0 * batch), "c": torch.tensor(1.0)}, batch)
    assert log.flush() == {"a": 1.5, "a2": 20.0, "c": 1.0}
    assert log.flush() == {}


def test_every_checkpoint_loads_with_weights_only_and_a_damaged_one_is_named(tmp_path):
    folder = tiny.run([*tiny.overrides_for("gan"), f"paths.outputs={tmp_path}"])
    for name in ("last", "best"):
        assert load_checkpoint(folder.checkpoints / f"{name}.ckpt")["counters"]["images_seen"] > 0
    whole = folder.last.read_bytes()
    folder.last.write_bytes(whole[: len(whole) // 2])
    longer = [*tiny.overrides_for("gan"), "training.max_images=352"]
    with pytest.raises(ValueError, match=r"readable checkpoint of PyTorch, got .*last\.ckpt"):
        tiny.run([*longer, f"paths.outputs={tmp_path}", f"resume={folder.path}"])
    torch.save({"weights": torch.zeros(1)}, folder.last)
    with pytest.raises(ValueError, match="no counters"):
        load_checkpoint(folder.last)


def test_a_flipped_bit_in_a_weight_is_told_and_no_advice_to_unpickle_is_passed_on(tmp_path):
    path = tmp_path / "last.ckpt"
    weight = torch.full((64,), 0.7310585975646973)
    torch.save({"counters": {"images_seen": 1}, "weight": weight}, path)
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes()) + 5] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # PyTorch notices nothing
    with pytest.raises(ValueError, match=r"checkpoint must match its checksums, got .*last\.ckpt: .* is damaged"):
        load_checkpoint(path)
    torch.save({"counters": pathlib.PurePosixPath("x")}, path)
    with pytest.raises(ValueError, match="plain containers only") as raised:
        load_checkpoint(path)
    assert "weights_only" not in str(raised.value)
    torch.save([1], path)
    with pytest.raises(ValueError, match="no counters"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_previous_file(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"good")

    def write(partial):
        partial.write_bytes(b"ha")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_file(path, write)
    assert path.read_bytes() == b"good"


def test_the_best_checkpoint_is_the_one_that_was_measured(tmp_path):
    import json

    folder = tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}"])
    best = json.loads((folder.checkpoints / "best.json").read_text())
    assert tiny.checkpoint(folder, "best")["counters"]["images_seen"] == best["images_seen"]
    measured = {row["images_seen"]: row[best["metric"]] for row in folder.history() if best["metric"] in row}
    assert best["value"] == measured[best["images_seen"]] == min(measured.values())


def test_a_monitor_that_nothing_measures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"training.monitor: must be one of null, auto, val/<term>, fd, got 'fidd'"):
        tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "training.monitor=fidd"])
    given = r"training.monitor must name a value of the evaluation \(.*val/elbo.*\), got 'val/los'"
    with pytest.raises(ValueError, match=given):  # which terms there are the family says as it evaluates
        tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "training.monitor=val/los"])


def test_a_taken_folder_is_refused(tmp_path):
    overrides = [*tiny.overrides_for("vae"), f"run_dir={tmp_path / 'mine'}", "training.max_images=32"]
    tiny.run([*overrides, f"paths.outputs={tmp_path}"])
    with pytest.raises(FileExistsError, match="run_dir must be a folder without a run"):
        tiny.run([*overrides, f"paths.outputs={tmp_path}"])


def test_a_run_that_cannot_start_leaves_no_folder(tmp_path):
    with pytest.raises(Exception, match="batch_size"):
        tiny.run([*tiny.overrides_for("vae"), f"paths.outputs={tmp_path}", "data.batch_size=0"])
    assert not list(tmp_path.rglob("run.json"))


def test_the_sums_of_terms_go_on_as_if_never_stored():
    straight, stored = TermLog(), TermLog()
    for n, (a, b) in enumerate(torch.rand(6, 2)):
        terms = {"train/a": a, "train/b": b} if n % 2 else {"train/a": a}
        straight.add(terms, n)
        stored.add(terms, n)
        groups, totals = stored.state()
        stored = TermLog()
        stored.load_state(groups, totals)
    assert stored.flush() == straight.flush()
    stored.load_state(*TermLog().state())
    assert stored.flush() == {}
