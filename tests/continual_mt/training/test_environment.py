from __future__ import annotations

import platform

import torch

from continual_mt.training.environment import environment


def test_environment_describes_this_process() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        found = environment(torch.device("cpu"), torch.bfloat16, workers=3)
    finally:
        torch.set_num_threads(before)
    assert found["python"] == platform.python_version()
    assert str(torch.__version__).startswith(str(found["torch"]).partition("+")[0])
    assert (found["device"], found["precision"], found["workers"], found["threads"]) == ("cpu", "bfloat16", 3, 1)
    assert str(found["processor"]).endswith(torch.backends.cpu.get_cpu_capability())
    assert {"numpy", "sentencepiece"} < set(found)
