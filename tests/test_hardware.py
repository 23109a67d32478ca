"""What `auto` stands for on a machine."""

import os
import platform
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch

from genexp.hardware import device_of, look_for_no_gpus, precision_of, sent


@pytest.mark.parametrize(
    ("gpu", "gpu_has", "cpu_has", "expected"),
    [
        (True, True, False, "bf16-mixed"),
        (True, False, True, "32-true"),
        (False, True, False, "32-true"),
        (False, False, True, "bf16-mixed"),
    ],
)
def test_precision_follows_the_units_of_what_is_trained_on(gpu, gpu_has, cpu_has, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: gpu_has)
    monkeypatch.setattr("genexp.hardware.cpu_features", lambda: {"amx_bf16": cpu_has})
    assert precision_of(gpu) == expected


@pytest.mark.parametrize(
    ("name", "there", "expected"), [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")]
)
def test_auto_is_the_gpu_where_there_is_one(name, there, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert device_of(name).type == expected


@pytest.mark.parametrize("there", [True, False])
def test_optimisers_look_for_no_gpus_where_there_are_none(there, monkeypatch):
    looked = []
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
    monkeypatch.setattr("torch.cuda._device_count_nvml", lambda: looked.append("nvml") or int(there))
    monkeypatch.setattr("torch.cuda._is_compiled", lambda: True)
    look_for_no_gpus()
    looked.clear()
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == ("1" if there else "0")
    assert torch.cuda.is_available() == there
    assert looked == (["nvml"] if there else [])


KEPT = """
import ctypes
from genexp.hardware import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

keep_freed_memory()
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
before = resident()
block = library.malloc(ctypes.c_size_t(20 * 2**20))
ctypes.memset(block, 1, 20 * 2**20)
library.free(block)
print((resident() - before) / 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of GNU's C library")
@pytest.mark.parametrize(
    ("environment", "kept"),
    [({}, True), ({"MALLOC_ARENA_MAX": "2"}, False), ({"GLIBC_TUNABLES": "glibc.malloc.check=0"}, False)],
)
def test_freed_memory_is_kept_unless_the_environment_says_how_it_is_dealt_with(environment, kept):
    around = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    ran = subprocess.run(
        [sys.executable, "-c", KEPT], env=around | environment, check=True, capture_output=True, text=True
    )
    assert (float(ran.stdout) > 19) == kept, ran.stdout


def test_what_is_sent_to_a_card_is_not_waited_for():
    pinned, on_host = Mock(), Mock(device=torch.device("cpu"))
    on_host.pin_memory.return_value = pinned
    assert sent(on_host, torch.device("cuda")) is pinned.to.return_value
    pinned.to.assert_called_once_with(torch.device("cuda"), non_blocking=True)


def test_what_is_sent_to_a_cpu_is_the_same_memory():
    values = torch.ones(3)
    assert sent(values, torch.device("cpu")) is values
