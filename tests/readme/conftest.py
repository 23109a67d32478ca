"""Assertions in the helpers say what they compared."""

import pytest

pytest.register_assert_rewrite("outcomes", "place")
