"""A user's script, which Lightning starts once for every process: trains a sample on two of them."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from training_samples import Denoiser, Pair, adversarial, denoising, images, seeded

from epslab.training import Machine, Optimisation, fit
from epslab.types import Batch, Progress

# Processes have 4 and 3 examples of each batch, and 1 and 0 of the last.
SETS = images(99, 1), images(30, 2)


def main(kind: str, out: Path, devices: int, stop: int | None = None, **arguments: Any) -> None:
    """Train; with ``stop``, press Ctrl-C in every process at this step."""

    def before(batch: Batch, progress: Progress) -> None:
        if progress.training and progress.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    options: dict[str, Any] = {"epochs": 2, "batch_size": 7, "seed": 5, "progress": False}
    options |= {"machine": Machine("cpu", devices, strategy="ddp" if devices > 1 else "auto"), **arguments}
    if kind == "pair":
        model = seeded(Pair)
        run = fit(model, adversarial(model, before), *SETS, out=out, monitor="val/critic/loss", **options)
    else:
        model = seeded(Denoiser)
        # Their statistics and draws are each process's own.
        model.norm, model.dropout = nn.GroupNorm(1, 4), nn.Identity()
        run = fit(
            model,
            denoising(model, before),
            *SETS,
            out=out,
            optimisation=Optimisation(gradient_clip=1.0, average=0.9),
            **options,
        )
    weights = torch.cat([value.flatten() for value in model.state_dict().values()]).tolist()
    (out.parent / f"{out.name}-{'other' if run.read_only else 'first'}.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), 2, **json.loads(sys.argv[3]))
