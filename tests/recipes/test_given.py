"""A run that ``fit`` wrote from Python is measured, sampled and attacked with the model that is given."""

import sys
from pathlib import Path

import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from epslab import recipes
from epslab.audits import find_target
from epslab.classifiers import ClassifierObjective, accuracy
from epslab.cli import main
from epslab.data import ImageSet, PointSet, load
from epslab.errors import UserError
from epslab.evaluation import Elbo, evaluate_likelihood
from epslab.evaluation.dequantised import Dequantised
from epslab.generative import VAE, VAEObjective
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.generative.flows.objective import FlowObjective
from epslab.nets import PerceptronDecoder, PerceptronEncoder
from epslab.nets.small import small_cnn
from epslab.probability.likelihoods import Categorical
from epslab.runs import Run
from epslab.training import Machine, fit
from epslab.types import Batch, Progress


def cnn() -> nn.Module:
    return small_cnn((1, 8, 8), width=4)


def vae() -> nn.Module:
    return VAE(PerceptronEncoder((1, 8, 8), 2), PerceptronDecoder((1, 8, 8), 2, channels=16), Categorical(16))


def flow() -> nn.Module:
    return CouplingFlow((1, 8, 8), levels=16, steps=1, width=4)


class Gaussian(nn.Module):
    """A normal distribution of unit deviation around a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))

    def log_prob(self, points: Tensor) -> Tensor:
        return -0.5 * (points - self.mean).square().sum(1) - torch.log(torch.tensor(2 * torch.pi))


MODULE = (
    "from test_given import Gaussian, cnn, vae\nfrom torch import nn\ndef needs(x): ...\nmade = cnn()\nnumber = 3\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of fit, ``cnn``, ``vae``, ``flow`` and ``points``, and a module that builds their models."""
    folder = tmp_path_factory.mktemp("given")
    train, validation, _ = load("digits").split([200, 50, 0], seed=0)
    cpu = Machine("cpu")
    model = cnn()
    fit(model, ClassifierObjective(model), train, validation, out=folder / "cnn", epochs=2, machine=cpu, progress=False)
    model = vae()
    fit(model, VAEObjective(model), train, validation, out=folder / "vae", epochs=1, machine=cpu, progress=False)
    model = flow()
    fit(model, FlowObjective(model), train, validation, out=folder / "flow", epochs=1, machine=cpu, progress=False)
    model, points = Gaussian(), PointSet(torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) + 1)

    def likelihood(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        return {"loss": -model.log_prob(batch.examples)}

    fit(model, likelihood, points[:50], points[50:], out=folder / "points", epochs=1, machine=cpu, progress=False)
    (folder / "mine.py").write_text(MODULE)
    return folder


@pytest.fixture(autouse=True)
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.mark.parametrize("model", [cnn, "mine:cnn", "mine:made", cnn()])
def test_a_classifier_is_measured_with_its_weights(model: recipes.Given, folder: Path) -> None:
    test = load("digits", "test")
    found = recipes.evaluate(Run.open(folder / "cnn"), model=model)
    own = cnn()
    Run.open(folder / "cnn").load_weights(own)
    assert found["accuracy"].value == float(accuracy(own, test.images, test.labels))
    assert Run.open(folder / "cnn").result()["images"] == len(test)


def test_a_module_that_is_given_stays_as_it_was(folder: Path) -> None:
    model = cnn().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loaded = recipes.load(Run.open(folder / "cnn"), model)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(loaded.state_dict()["0.weight"], before["0.weight"])
    assert not loaded.training


def test_a_vae_is_measured_and_drawn_from(folder: Path) -> None:
    run, test = Run.open(folder / "vae"), load("digits", "test")
    found = recipes.evaluate(run, model=vae, importance_samples=3)
    own = recipes.load(run, vae)
    report = evaluate_likelihood(own, test, {"elbo": Elbo()})
    assert found["bits_per_dim"].value == pytest.approx(report.bits_per_dim("elbo").mean)
    assert "importance_weighted" in found
    assert run.measured().conditions == "16 grey levels"
    assert recipes.sample(run, 3, model="mine:vae").shape == (3, 1, 8, 8)


def test_a_density_of_points_is_measured_on_points_that_are_given(folder: Path) -> None:
    run = Run.open(folder / "points")
    points = torch.tensor([[0.5, -1.0], [2.0, 0.25]])
    with pytest.raises(UserError, match="does not say which data"):
        recipes.evaluate(run, model=Gaussian)
    found = recipes.evaluate(run, model=Gaussian, data=PointSet(points))
    mean = recipes.load(run, Gaussian).mean.detach()
    assert found["log_p"].value == pytest.approx(norm.logpdf((points - mean).numpy()).sum(1).mean(), rel=1e-6)


def test_a_coupling_flow_of_images_is_measured_by_its_levels(folder: Path) -> None:
    run, test = Run.open(folder / "flow"), load("digits", "test").take(40, seed=0)
    found = recipes.evaluate(run, model=flow, data=test)
    report = evaluate_likelihood(recipes.load(run, flow), test, {"log_p": Dequantised()})
    assert found["bits_per_dim"].value == pytest.approx(report.bits_per_dim("log_p").mean)
    assert found["bits_per_dim"].note == "upper bound"


def test_a_classifier_is_attacked(folder: Path) -> None:
    target = find_target(str(folder / "cnn"), model="mine:cnn", limit=20)
    assert (target.data, len(target.images)) == ("digits", 20)
    assert target.run is not None
    with pytest.raises(UserError, match="cannot take images"):
        find_target(str(folder / "vae"), model=vae)


@pytest.mark.parametrize(
    ("name", "model", "sentence"),
    [
        ("cnn", None, "trained from Python, by fit: .* give `model=package.module:name`"),
        ("cnn", "mine:needs", "'mine:needs' built no model .* without arguments"),
        ("cnn", "mine:number", "'mine:number' gives int, but must be a torch module"),
        ("cnn", "mine:none", "has no 'none'"),
        ("cnn", "mine:vae", "belong to another model"),
    ],
)
def test_a_model_that_is_missing_or_another_gets_one_sentence(
    name: str, model: str | None, sentence: str, folder: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        recipes.evaluate(Run.open(folder / name), model=model)


def test_what_cannot_be_asked_gets_one_sentence(folder: Path) -> None:
    run = Run.open(folder / "cnn")
    with pytest.raises(UserError, match="only its script knows; use `split='test'`"):
        recipes.evaluate(run, model=cnn, split="validation")
    with pytest.raises(UserError, match="`importance_samples=` does not measure"):
        recipes.evaluate(run, model=cnn, importance_samples=5)
    flat = ImageSet(torch.zeros(2, 1, 4, 16, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"), "flat")
    with pytest.raises(UserError, match=r"of shape \(1, 8, 8\), but 'flat' has images of shape \(1, 4, 16\)"):
        recipes.evaluate(run, model=cnn, data=flat)
    with pytest.raises(UserError, match="draws no samples"):
        recipes.sample(run, 2, model=cnn)
    recipe = Run.create(folder / "recipe", {"recipe": "small-cnn", "data": "digits", "seed": 0})
    with pytest.raises(UserError, match="trained by the recipe 'small-cnn', which builds its model: leave `model=`"):
        recipes.load(recipe, cnn)
    with pytest.raises(UserError, match="`data=` is for a run that fit wrote"):
        recipes.evaluate(recipe, data="mnist")


def test_every_verb_takes_the_model_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "cnn"]) == 2
    assert "give --model package.module:name" in capsys.readouterr().err
    assert main(["evaluate", "cnn", "--model", "mine:cnn", "--limit", "30"]) == 0
    assert main(["evaluate", "vae", "--model", "mine:vae", "--importance-samples", "2", "--limit", "30"]) == 0
    assert main(["sample", "vae", "--model", "mine:vae", "-n", "4", "--out", "drawn.png"]) == 0
    words = ["--model", "mine:cnn", "--attacks", "fgsm", "--limit", "10", "--no-findings", "--no-sweep"]
    assert main(["attack", "cnn", *words]) == 0
    capsys.readouterr()
    assert main(["report", "cnn", "vae", "--out", "page.html"]) == 0
    page = (folder / "page.html").read_text()
    assert "cnn (Sequential on digits)" in page
    assert "vae (VAE on digits)" in page
    assert "cnn under attack: fgsm" in page
    assert "epslab attack cnn --model mine:cnn" in page
