"""What is said of libraries of extras, and what they are kept from saying."""

import logging

import pytest

from genexp.extras import require_extra


def test_a_missing_library_names_its_extra():
    with pytest.raises(
        ValueError, match="logger=none needs the extra 'hub', which holds no_such_library: uv sync --ex"
    ):
        require_extra("no_such_library", "logger=none")


def test_what_torchao_says_at_its_import_is_not_shown_and_all_else_is(caplog):
    for _ in range(2):
        require_extra("torch", "anything")
    noisy = logging.getLogger("torch.utils._pytree")
    noisy.warning("Calling register_constant() on Enum subclasses is deprecated")
    noisy.warning("something else")
    logging.getLogger("diffusers.quantizers.torchao.torchao_quantizer").warning("Unable to import `torchao` objects")
    assert [each.message for each in caplog.records] == ["something else"]
    assert len(noisy.filters) == 1
