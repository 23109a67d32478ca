"""Write the resolved environment into pyproject.toml's constraint-dependencies and constraints.txt.

Run after changing a dependency:  python .ci/pin.py        (with --check, only say whether they agree)
uv.lock is not committed: it would hold addresses. uv reads the list in pyproject.toml; pip reads constraints.txt.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPORT = "uv export --frozen --format requirements-txt --no-hashes --no-header --no-annotate --no-emit-project"


def resolved() -> list[str]:
    """Every pinned package of the lock file; markers only where a package has several versions."""
    subprocess.run(["uv", "lock", "--quiet"], cwd=ROOT, check=True)
    command = [*EXPORT.split(), "--all-groups", "--all-extras"]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line.replace('"', "'") for line in out.splitlines() if line and not line.startswith(("#", "-"))]
    names = [line.split("==")[0] for line in lines]
    return [line if names.count(name) > 1 else line.split(" ;")[0] for name, line in zip(names, lines, strict=True)]


def main() -> int:
    """Rewrite both files, or with `--check` compare them."""
    pins = resolved()
    block = "constraint-dependencies = [\n" + "".join(f'    "{pin}",\n' for pin in pins) + "]"
    pyproject, constraints = ROOT / "pyproject.toml", ROOT / "constraints.txt"
    text = pyproject.read_text()
    new = re.sub(r"constraint-dependencies = \[(?:\]|.*?\n\])", lambda _: block, text, count=1, flags=re.DOTALL)
    wanted = "".join(f"{pin}\n" for pin in pins)
    if "--check" in sys.argv:
        same = new == text and constraints.is_file() and constraints.read_text() == wanted
        print("pins agree with the resolved environment" if same else "pins differ: run python .ci/pin.py")
        return 0 if same else 1
    pyproject.write_text(new)
    constraints.write_text(wanted)
    print(f"{len(pins)} packages pinned")
    return 0


if __name__ == "__main__":
    sys.exit(main())
