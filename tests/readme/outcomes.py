"""What a typed line must leave behind and say."""

import json
from collections.abc import Callable

from PIL import Image
from place import Done, Place, require_whole_wandb_run

import genexp

Check = Callable[[Place, Done], None]


def trained(name: str, pictures: bool = True) -> Check:
    """A finished run of this name, whole in W&B too; folder and upload are printed so that they can be typed."""

    def check(place, done):
        assert done.code == 0, done.err
        folder = place.newest(name)
        require_whole_wandb_run(folder, pictures)
        printed = dict(each.split("  ", 1) for each in done.out.splitlines() if "  " in each)
        assert printed["run folder"].strip() == str(folder.path.relative_to(place.folder))
        upload = printed["upload to W&B"].split()
        assert upload[:2] == ["wandb", "sync"]
        assert (place.folder / upload[2]).is_dir()

    return check


def without_wandb(name: str, file: str) -> Check:
    """A finished run of this name that another logger has kept."""

    def check(place, done):
        folder = place.newest(name)
        assert folder.record["state"] == "finished"
        assert not (folder.path / "wandb").exists()
        assert not file or list(folder.path.rglob(file))

    return check


def resumed(place: Place, done: Done) -> None:
    assert "resuming    after" in done.err
    trained("my_quickstart")(place, done)


def sweep_of(count: int) -> Check:
    """A sweep of so many finished jobs, each whole in W&B."""

    def check(place, done):
        jobs = place.jobs()
        assert len(jobs) == count
        assert len({job.record["id"] for job in jobs}) == count
        for job in jobs:
            require_whole_wandb_run(job)

    return check


def nothing_again(place: Place, done: Done) -> None:
    assert "jobs already" in done.err
    assert "started" not in done.err


def searched(place: Place, done: Done) -> None:
    sweep_of(2)(place, done)
    assert {"study.csv", "history.png", "slices.png"} <= {each.name for each in place.jobs()[0].path.parent.iterdir()}


def reproduced(name: str, trainings: int, measurements: int) -> Check:
    def check(place, done):
        folder = place.outputs / "ablations" / name / "cpu"
        for part, count in (("runs", trainings), ("measurements", measurements)):
            states = [job["state"] for job in json.loads((folder / part / "sweep.json").read_text())["jobs"]]
            assert states == ["finished"] * count
        assert (folder / "table.md").read_text() in done.out
        for path in folder.glob("runs/0*"):
            if "logger=none" not in (path / "overrides.yaml").read_text():
                require_whole_wandb_run(genexp.load_run(path).folder)

    return check


def drawn(count: int) -> Check:
    """So many pictures lie where the line says."""

    def check(place, done):
        (folder,) = [each.split()[-1] for each in done.out.splitlines() if each.startswith("images ")]
        assert len(list((place.folder / folder).glob("*.png"))) == count

    return check


def says(*texts: str) -> Check:
    def check(place, done):
        assert done.code == 0, done.err
        assert [text for text in texts if text not in done.out + done.err] == []

    return check


def refused(*texts: str) -> Check:
    """One line says what is missing, and the status is 1."""

    def check(place, done):
        assert done.code == 1
        last = done.err.strip().splitlines()[-1]
        assert last.startswith("genexp ")
        assert [text for text in texts if text not in last] == []
        assert "Traceback" not in done.err

    return check


def with_more_drawn(name: str) -> Check:
    """A whole run, and what it offers to type next draws pictures."""

    def check(place, done):
        trained(name)(place, done)
        (offered,) = [each for each in done.out.splitlines() if each.startswith("draw more ")]
        more = place.type(offered.removeprefix("draw more").strip(), "num=8")
        assert more.code == 0, more.err
        assert "8 images" in more.out

    return check


def painted(place: Place, done: Done) -> None:
    assert Image.open(place.folder / "photo_as_painting.png").size == (64, 64)


def exported(place: Place, done: Done) -> None:
    """A file that onnxruntime draws pictures from, and its card."""
    import numpy as np
    import onnxruntime

    assert done.code == 0, done.err
    session = onnxruntime.InferenceSession(place.folder / "drawing/model.onnx")
    noise, caption = np.zeros((2, *session.get_inputs()[0].shape[1:]), np.float32), np.ones((2, 12), np.int64)
    (image,) = session.run(None, {"noise": noise, "caption": caption})
    assert image.shape == (2, 3, 64, 64)
    assert "license: mit" in (place.folder / "drawing/README.md").read_text()
