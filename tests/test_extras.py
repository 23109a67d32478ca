"""What is said of libraries of extras, and what they are kept from saying."""

import logging

import pytest

from genexp.extras import require_extra


def test_a_missing_library_names_its_extra():
    with pytest.raises(
        ValueError, match="logger=none needs the extra 'hub', which holds no_such_library: uv sync --ex"
    ):
        require_extra("no_such_library", "logger=none")


def shown(name, message):
    """Whether a logger lets a warning through."""
    logger = logging.getLogger(name)
    return bool(logger.filter(logger.makeRecord(name, logging.WARNING, "", 0, message, (), None)))


def test_what_torchao_says_at_its_import_is_not_shown_and_all_else_is():
    for _ in range(2):
        require_extra("torch", "anything")
    noisy = "torch.utils._pytree"
    assert not shown(noisy, "Calling register_constant() on Enum subclasses is deprecated")
    assert shown(noisy, "something else")
    assert not shown("diffusers.quantizers.torchao.torchao_quantizer", "Unable to import `torchao` objects")
    assert len(logging.getLogger(noisy).filters) == 1
