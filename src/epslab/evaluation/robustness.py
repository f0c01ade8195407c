"""Clean and robust accuracy, with the evidence that the attacks worked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.strategies.strategy import Strategy
from torch import Tensor, nn

from epslab import seeds
from epslab.attacks.attacked import Attack
from epslab.attacks.checks import checked
from epslab.errors import UserError
from epslab.evaluation.findings import Checks, Finding, judge
from epslab.evaluation.fingerprints import describe, fingerprint, of_tensor
from epslab.evaluation.progress import progress_bar
from epslab.evaluation.radius_sweep import RadiusSweep, SweepResult
from epslab.evaluation.radius_sweep import sweep as swept
from epslab.evaluation.robustness_jobs import Job, OnBatch, Portion, TestSet, walk, workload
from epslab.evaluation.robustness_measure import attacked, ball_of, clean, require_one_radius
from epslab.evaluation.robustness_model import answers
from epslab.evaluation.robustness_report import AttackResult, RobustnessReport
from epslab.evaluation.robustness_store import VERSION, FolderStore, MemoryStore, Store
from epslab.evaluation.shares import Processes
from epslab.geometry import Ball
from epslab.nets.modes import borrowed
from epslab.types import Classifier, Images, Labels

_RESERVED = ("clean", "worst-case", "sweep")


# Plain annotations where the function itself refuses what is wrong, with a sentence.
def evaluate_robustness(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    attacks: Mapping[str, Attack],
    *,
    batch_size: int = 256,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    sweep: RadiusSweep | None = RadiusSweep(),  # noqa: B008 - frozen
    findings: bool = True,
    progress: bool = False,
    on_batch: OnBatch | None = None,
    devices: int | str | Sequence[int] = 1,
    accelerator: str = "auto",
    strategy: str | Strategy = "auto",
    num_nodes: int = 1,
) -> RobustnessReport:
    """Attack a model and report its accuracies, and whether the attacks deserve to be believed.

    Nothing is believed of an attack: whether an example is broken is the model's own answer, in full precision, to the
    image the attack returned, after a check in float64 that this image lies in ball and box. An attack that breaks that
    rule ends the evaluation with a sentence that names it. An example that the model gets wrong without an attack is
    broken under every attack; an attack with a target succeeds whenever the model says another class than the label.

    Example i's noise is a function of the seed, the attack's name and i: results depend on batch size, order of the
    attacks and number of processes only by float rounding. A model is used in eval mode and comes back as it was; so do
    torch's generators.

    With ``out``, results are written batch by batch, and an evaluation killed at any moment and resumed with the same
    batch size gives the same report bit for bit (on the same machine); with another batch size, up to rounding.
    The folder then holds ``evaluation.json`` (what is evaluated), ``results/clean``, ``results/attacks/NAME``,
    ``results/sweep`` and ``results/checks/NAME`` (per batch: indices, adversarial images in float and in 8 bits,
    predictions, distances, queries, gradients; safetensors), ``robustness.json``, ``robustness.csv``, ``sweep.csv``,
    ``examples.csv``. Without it, results stay in memory, with the adversarial images of the first 64 examples only.

    Args:
        model: Images to logits [n classes]: any module or function. A module is given images on its device in its
            dtype, a function gets them as they are.
        images: [n c h w] in [0, 1].
        labels: The true classes, [n].
        attacks: By name; at least one. Every radius is one number.
        batch_size: Images at a time.
        seed: Of all noise.
        out: A folder for results, new or of the same evaluation.
        resume: Carry on with the evaluation in ``out``; where there is none, begin one.
        sweep: Which radii accuracy is measured at; None: at none. There is none either where no attack has a ball and
            the sweep names no norm.
        findings: Run the checks, on at most 256 examples drawn by the seed.
        progress: Show a bar with the examples done, their rate, the time left, and the accuracy of the last batch.
        on_batch: Told of every batch as it is done, in this process.
        devices: Processes, or which GPUs; more than one needs ``out``, on a disk all of them reach. A function must
            then take images on each process's device.
        accelerator: Lightning Fabric's.
        strategy: Lightning Fabric's.
        num_nodes: Machines.

    Raises:
        UserError: Inputs that cannot be evaluated; an attack that broke its rules; ``out`` is in use, or begun with
            another model, other data, attacks or settings.
    """
    attacks = dict(attacks)
    _require(images, labels, attacks, batch_size)
    processes = Processes(devices, accelerator, strategy, num_nodes)
    if processes.count > 1 and out is None:
        raise UserError("Several processes share their results through a folder: give out=.")
    # Within a ball of radius 0 nothing moves: it is no measure for a sweep, and nothing can be compared in it.
    ball = next((ball for ball in map(ball_of, attacks.values()) if ball is not None and float(ball.radius) > 0), None)
    balls = () if sweep is None else sweep.balls(ball)
    checks = Checks.of(attacks, ball, len(images), seed) if findings else None

    with _borrowed(model, images, processes.device) as like:
        examples = TestSet(images, labels, like.device, like.dtype, seed)
        _require_classes(model, examples)
        known = {"model": fingerprint(model)} | {f"attack '{key}'": fingerprint(one) for key, one in attacks.items()}
        name = known["model"].words
        unknown = [f"the {what} holds a {part.unknown}" for what, part in known.items() if part.unknown]
        store: Store = MemoryStore()
        if out is not None:
            folder = FolderStore(Path(out))
            settings = {
                "fingerprints": VERSION,
                "model": name,
                "images": of_tensor(images),
                "labels": of_tensor(labels.long()),
                "attacks": {key: known[f"attack '{key}'"].words for key in attacks},
                "seed": seed,
                "sweep": describe((balls, sweep.attack)) if sweep else None,
                "findings": findings,
            }
            processes.first(lambda: folder.prepare(settings, resume=resume, unknown=unknown))
            store = folder
        jobs = _jobs(model, attacks, balls, sweep, len(images), seed)
        if checks is not None:
            jobs += checks.jobs(model, seed)
        total = workload(jobs, batch_size, processes.rank, processes.count)
        with progress_bar("attacking", total, "examples", progress and processes.rank == 0) as advance:
            processes.everywhere(
                lambda: walk(
                    jobs,
                    examples,
                    store,
                    batch_size=batch_size,
                    seed=seed,
                    rank=processes.rank,
                    processes=processes.count,
                    advance=advance,
                    on_batch=on_batch,
                )
            )
    judged = () if checks is None else judge(checks.evidence(store, torch.finfo(examples.dtype).eps))
    report = _report(store, labels, attacks, balls, judged, seed, name)
    if out is not None:
        processes.first(lambda: report.write(Path(out)))
    return report


def _jobs(
    model: Classifier,
    attacks: Mapping[str, Attack],
    balls: tuple[Ball, ...],
    sweep: RadiusSweep | None,
    n: int,
    seed: int,
) -> list[Job]:
    """The clean images, every attack, the sweep."""
    everyone = torch.arange(n)

    def measured(name: str, attack: Attack) -> Job:
        def work(portion: Portion) -> dict[str, Tensor]:
            own = seeds.of_indices(seed, portion.indices, "robustness", name).to(portion.labels.device)
            return attacked(model, attack, name, portion, own)

        return Job(f"attacks/{name}", everyone, work)

    jobs = [Job("clean", everyone, lambda portion: clean(model, portion))]
    jobs += [measured(name, attack) for name, attack in attacks.items()]
    if sweep is not None and balls:
        jobs.append(Job("sweep", everyone, lambda portion: swept(model, balls, sweep.attack, portion, seed)))
    return jobs


def _report(
    store: Store,
    labels: Labels,
    attacks: Mapping[str, Attack],
    balls: tuple[Ball, ...],
    findings: tuple[Finding, ...],
    seed: int,
    model: str,
) -> RobustnessReport:
    """The report on finished jobs."""
    unharmed = store.read("clean")
    results = {}
    for name, attack in attacks.items():
        rows = store.read(f"attacks/{name}")
        results[name] = AttackResult(
            describe(attack),
            attack.norm,
            float(attack.radius),
            broken=~(rows["right"] & unharmed["right"]),
            claimed=rows["claimed"],
            predictions=rows["prediction"],
            distance=rows["distance"],
            queries=rows["queries"],
            gradients=rows["gradients"],
            broken_rounded=~(rows["right_rounded"] & unharmed["right"]),
            rounding=rows["rounding"],
        )
    curve = None
    if balls:
        rows = store.read("sweep")
        radii = tuple(float(ball.radius) for ball in balls)
        curve = SweepResult(str(balls[0].norm), radii, rows["broken_at"], rows["queries"], rows["gradients"])
    return RobustnessReport(
        labels.detach().cpu().long(),
        unharmed["prediction"],
        unharmed["margin"],
        results,
        curve,
        findings,
        seed,
        model,
        bool(unharmed["eight_bit"].all()),
        store,
    )


@contextmanager
def _borrowed(model: Classifier, images: Images, device: torch.device | None) -> Iterator[Tensor]:
    """The model in eval mode on its device (or this one), given back as it was; a tensor with its device and dtype.

    A function computes where, and in the type that, the images are.
    """
    if not isinstance(model, nn.Module):
        place = images.device if device is None else device
        with borrowed(model, device=place):
            yield images.new_empty((), device=place)
        return
    with borrowed(model, device=device), torch.enable_grad():
        if device is not None:
            model.to(device)
        own = chain(model.parameters(), model.buffers())
        yield next((tensor for tensor in own if tensor.is_floating_point()), images)


def _require(images: Tensor, labels: Tensor, attacks: Mapping[str, Any], batch_size: int) -> None:
    """Refuse what cannot be evaluated.

    Raises:
        UserError: No attacks, names that are no file names or mean something else, a batch size below 1, or images and
            labels that no attack takes.
    """
    if not attacks:
        raise UserError("There are no attacks: give at least one by name, e.g. {'pgd': PGD(Linf(8/255))}.")
    for name, attack in attacks.items():
        if name in _RESERVED:
            raise UserError(f"An attack cannot be named '{name}', which stands for something else in the report.")
        if not name or name.startswith(".") or any(c in '/\\:*?"<>|' or not c.isprintable() for c in name):
            raise UserError(
                f"'{name}' cannot name an attack: its results' folder is called so; give letters and digits."
            )
        if isinstance(attack, type) or not isinstance(attack, Attack):
            raise UserError(
                f"The attack '{name}' is {attack!r}; give an attack with its settings: PGD(Linf(8/255)), or an object"
                " of your own with norm, radius, part, thorough and __call__ (see epslab.attacks.Attack)."
            )
        require_one_radius(name, attack)
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    checked(images, labels, None)


def _require_classes(model: Classifier, examples: TestSet) -> None:
    """Ask the model once, before anything is written.

    Raises:
        UserError: It gives no finite logits, or has no class for a label.
    """
    first = examples.portion(torch.arange(1))
    classes = answers(model, first.images, first._replace(labels=torch.zeros_like(first.labels))).shape[1]
    low, high = (int(end) for end in examples.labels.aminmax())
    if low < 0 or high >= classes:
        raise UserError(
            f"Labels run from {low} to {high}, but the model has {classes} classes: labels must lie in"
            f" 0..{classes - 1}."
        )
