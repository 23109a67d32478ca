"""The methods of `genexp stylize` by name. Imports no torch."""

from genexp.inference.stylising.diffused import Diffused
from genexp.inference.stylising.gatys import Gatys
from genexp.inference.stylising.method import Method
from genexp.inference.stylising.one_pass import OnePass
from genexp.inference.stylising.textures import Growing, Quilted

METHODS: dict[str, Method] = {
    "gatys": Gatys(),
    "adain": OnePass("adain", any_style=True),
    "johnson": OnePass("johnson", any_style=False),
    "diffusion": Diffused(),
    "efros_leung": Growing(),
    "quilting": Quilted(transfer=False),
    "quilting_transfer": Quilted(transfer=True),
}
"""`method` of conf/stylize.yaml names one of them; a further one is added here and to the rules in config/fields.py."""
