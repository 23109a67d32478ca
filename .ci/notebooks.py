"""Execute the notebooks and keep what they show, after a change of one or of what it prints: `python .ci/notebooks.py`.

They run in a temporary copy, and its folder is cut out of all they show: no path of the machine gets into them.
"""

import base64
import hashlib
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"


def source_digest(book: nbformat.NotebookNode) -> str:
    """Digest of all code of a notebook, by which a test sees that its outputs are those of this code."""
    code = "\0".join(cell.source for cell in book.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def compact(png: str) -> str:
    """A PNG, in base64, with 128 colours, which drawings and small images are not seen to lose by."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(content, format="PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def execute(path: Path) -> None:
    """Run one notebook from top to bottom and write its outputs into it."""
    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as home:
        shutil.copytree(FOLDER, f"{home}/genexp/notebooks")
        os.environ |= {"GENEXP_CACHE": f"{home}/cache", "PYTHONWARNINGS": "ignore:IProgress not found"}
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        where = {"metadata": {"path": f"{home}/genexp/notebooks"}}
        client = NotebookClient(book, timeout=900, kernel_name="python3", resources=where, coalesce_streams=True)
        client.execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # times of day
        for output in cell.get("outputs", []):
            shown = output.get("data", output)
            for kind in {"text", "text/plain", "text/html", "text/markdown"} & set(shown):
                shown[kind] = shown[kind].replace(f"{home}/genexp/", "../")
            if "image/png" in shown:
                shown["image/png"] = compact(shown["image/png"])
            if "text/html" in shown:
                shown.pop("text/plain", None)
    book.metadata["executed"] = source_digest(book)
    book.metadata.language_info = {"name": "python"}
    nbformat.write(book, path)


if __name__ == "__main__":
    for each in sys.argv[1:] or sorted(FOLDER.glob("*.ipynb")):
        execute(Path(each))
        print(each)
