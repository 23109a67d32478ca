"""The flag `--quick` of every benchmark: its smallest work once, to see that it runs; the figures say nothing then."""

import argparse


def parsed(parser: argparse.ArgumentParser, **short: object) -> argparse.Namespace:
    """What was typed, with the values of `short` where that was `--quick`."""
    parser.add_argument("--quick", action="store_true", help="the smallest work once, to see that it runs")
    given = parser.parse_args()
    if given.quick:
        vars(given).update(short)
    return given
