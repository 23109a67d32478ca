"""Names of what is read from files and written to them. Imports no torch."""

from typing import Any

Tree = dict[str, Any]
"""A mapping of YAML or JSON: below its texts stand numbers, texts, true, null, lists and further mappings.

What stands where is checked where it is read, by the shape that a reader is given or by the rules of `config`; until
then no type can tell.
"""

State = dict[str, Any]
"""What a checkpoint holds, or keeps of one part: as above, and tensors; it loads with `weights_only=True`."""
