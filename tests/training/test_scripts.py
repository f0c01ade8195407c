"""A script that calls ``fit``: ended by a signal, it does not go on half trained; run again, it carries on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from epslab.runs import Run

SCRIPT = """
import sys
from pathlib import Path
import torch
from epslab.data import PointSet, toys
from epslab.training import Machine, fit

model = torch.nn.Linear(2, 2)

def objective(batch, progress):
    return {"loss": (model(batch.examples) - batch.examples).square().sum(1)}

train, validation = PointSet(toys.two_moons(500, generator=torch.Generator().manual_seed(1))).split([400, 100], seed=0)
epochs = int(sys.argv[1])
run = fit(model, objective, train, validation, out="run", epochs=epochs, resume=True, machine=Machine("cpu"))
print("trained for", run.result()["epochs"], "epochs")
"""


@pytest.mark.processes
def test_a_script_is_ended_and_run_again(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("RANK")}

    def start(epochs: int) -> subprocess.Popen[str]:
        command = f"{shlex.join([sys.executable, 'script.py', str(epochs)])} && echo went-on"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, shell=True, cwd=tmp_path, text=True, env=environment, **pipes)

    shell = start(1_000_000)
    end = time.monotonic() + 120
    while not (tmp_path / "run/checkpoints/last.ckpt").exists() and shell.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    (process,) = psutil.Process(shell.pid).children()
    process.send_signal(signal.SIGTERM)
    out, err = shell.communicate(timeout=60)
    assert (shell.returncode, out) == (128 + signal.SIGTERM, "")
    assert re.search(r"^Interrupted in epoch \d+/1000000; the whole state is in 'run'\.$", err, re.MULTILINE), err
    assert "Traceback" not in err
    run = Run.open(tmp_path / "run")
    assert run.result()["status"] == "interrupted"
    assert not list(run.folder.rglob(".*"))
    epochs = run.result()["epochs"] + 2
    for said in (f"epoch {epochs}/{epochs}:", f"Nothing to train: 'run' is finished, with {epochs} epochs."):
        shell = start(epochs)
        out, err = shell.communicate(timeout=120)
        assert (shell.returncode, out) == (0, f"trained for {epochs} epochs\nwent-on\n"), err
        assert said in err
