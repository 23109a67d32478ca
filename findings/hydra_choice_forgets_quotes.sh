#!/usr/bin/env bash
# hydra-core 1.3.8, omegaconf 2.3.1, Python 3.11
#
# Guess, written down first: a quoted value of an override stays text, whichever way a sweep is written. name='1e3','b' and
#   name=choice('1e3','b') are two spellings of one sweep, so its jobs get the texts 1e3 and b in both.
# Behaviour: the first spelling keeps the quotes in the overrides of the jobs, the second drops them, so each job parses its
#   value anew: '1e3' becomes the number 1000.0, '007' stays text, 'true' becomes a truth value. sort(...) and shuffle(...)
#   do the same.
# Output seen:
#   name='1e3','true'          ["'1e3'", "'true'"]  ['1e3', 'true']
#   name=choice('1e3','true')  ['1e3', 'true']      [1000.0, True]
#   name=sort('1e3','true')    ['1e3', 'true']      [1000.0, True]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet hydra-core==1.3.8 omegaconf==2.3.1
"$folder/venv/bin/python" - <<'PY'
from hydra.core.override_parser.overrides_parser import OverridesParser

parser = OverridesParser.create()


def jobs(sweep):
    (parsed,) = parser.parse_overrides([sweep])
    texts = list(parsed.sweep_string_iterator())
    values = [parser.parse_override(f"name={text}").value() for text in texts]
    print(f"{sweep:<26} {texts!s:<20} {values}")
    return values


assert jobs("name='1e3','true'") == ["1e3", "true"], "the simple spelling changes texts now"
assert jobs("name=choice('1e3','true')") == [1000.0, True], "choice keeps quotes now"
assert jobs("name=sort('1e3','true')") == [1000.0, True], "sort keeps quotes now"
PY
