"""The settings that train one variational autoencoder; its fields are the command's flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from epslab.errors import UserError
from epslab.recipes.checks import require
from epslab.recipes.common import TrainingSettings
from epslab.recipes.quality import Samples


@dataclass(frozen=True)
class Estimates(Samples):
    """Estimates of a VAE's likelihood besides the ELBO, and how its samples are measured.

    Args:
        generated: Samples to draw and compare with as many held-out examples; null: as many as there are; 0: none.
        samples: Draws of z per image for the ELBO.
        importance_samples: Draws K per image for the importance-weighted bound; null: no such bound.
        prior_samples: Draws L per image for prior Monte Carlo; null: no such estimate.

    Raises:
        UserError: A count below 1.
    """

    generated: int | None = 0
    samples: int = 1
    importance_samples: int | None = None
    prior_samples: int | None = None

    def __post_init__(self) -> None:
        """Check the counts."""
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "samples", "importance_samples", "prior_samples")


@dataclass(frozen=True)
class VAERecipe(TrainingSettings):
    """A variational autoencoder (Kingma & Welling, 2014), by default with the course's settings.

    Args:
        latent_dim: Latent dimensions D; 2 gives a manifold to look at.
        net: "conv": five convolutions each way (image sides of 4 pixels and more); "perceptron": fully connected;
            "auto": perceptrons for points and for sides below 16, where three halvings leave the convolutions nothing
            to see.
        width: Channels of the convolutional nets' outer layers; the inner ones have twice as many.
        hidden: Units of each hidden layer of the perceptrons, e.g. "[500]" or "[200, 200]".
        positive: How the perceptron encoder makes sigma positive: "exp" or "softplus".
        likelihood: What the decoder's output means: "categorical" over grey levels, "bernoulli" for binary pixels,
            "normal" with a fixed standard deviation (the only one for points), "logistic-mixture" over 256 levels.
        levels: Grey levels of the categorical likelihood, 2 to 256.
        std: Standard deviation of the normal likelihood, in units of the pixel range [0, 1], or of the points.
        mixtures: Components per pixel of the logistic mixture.
        binarise: How images become binary, for the Bernoulli likelihood: "threshold" at one half; "static", one seeded
            draw for the whole training; "dynamic", a fresh draw every epoch; "none" leaves them grey.
        prior: "normal": N(0, I); "mixture" of learnt normals; "vamp": the VampPrior (Tomczak & Welling, 2018);
            "flow": a coupling flow, for two latent dimensions and more.
        posterior: "normal": diagonal; "planar" or "radial": made more flexible by flows (Rezende & Mohamed, 2015).
        posterior_steps: Planar or radial flows of the posterior, one after the other.
        components: Components of the mixture prior, pseudo-inputs of the VampPrior.
        beta: Weight of the KL term in the loss; reported bounds always have weight 1.
        free_bits: Nats of KL per latent dimension that cost nothing: the loss does not push the KL below them.
        warmup_epochs: Epochs over which the weight of the KL term rises from 0.
        samples: Draws of z per image in training.
        init: Initial weights: "torch", torch's default (the course's); "he", normal with standard deviation √(2/fan-in)
            and biases 0 (He et al., 2015), which learns faster.
        sample_epochs: Epochs after which samples are drawn; 0 means before training. The last epoch always counts.
    """

    options: ClassVar[type | None] = Estimates

    epochs: int = 80
    latent_dim: int = 20
    net: Literal["auto", "conv", "perceptron"] = "auto"
    width: int = 32
    hidden: tuple[int, ...] = (500,)
    positive: Literal["exp", "softplus"] = "exp"
    likelihood: Literal["categorical", "bernoulli", "normal", "logistic-mixture"] = "categorical"
    levels: int = 16
    std: float = 0.1
    mixtures: int = 10
    binarise: Literal["none", "threshold", "static", "dynamic"] = "none"
    prior: Literal["normal", "mixture", "vamp", "flow"] = "normal"
    posterior: Literal["normal", "planar", "radial"] = "normal"
    posterior_steps: int = 8
    components: int = 50
    beta: float = 1.0
    free_bits: float = 0.0
    warmup_epochs: float = 0.0
    samples: int = 1
    init: Literal["torch", "he"] = "torch"
    sample_epochs: tuple[int, ...] = (0, 10, 80)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, before anything is loaded or written.

        Raises:
            UserError: One sentence that names the setting, its value and what it may be.
        """
        super().__post_init__()
        require(self, "1 or more", lambda n: n >= 1, "latent_dim", "width", "mixtures", "components", "samples")
        require(self, "1 or more", lambda n: n >= 1, "posterior_steps")
        require(self, "0 or more", lambda x: x >= 0, "beta", "free_bits", "warmup_epochs")
        require(self, "more than 0", lambda x: x > 0, "std")
        require(self, "between 2 and 256", lambda n: 2 <= n <= 256, "levels")
        require(self, "a list of numbers of 0 or more", lambda at: min(at, default=0) >= 0, "sample_epochs")
        require(self, "one layer or more, each of 1 unit or more", lambda units: min(units, default=0) >= 1, "hidden")
        binary = self.likelihood == "bernoulli"
        if binary != (self.binarise != "none"):
            raise UserError(
                "The Bernoulli likelihood needs to know how grey images become binary: choose `binarise='threshold'`,"
                " static or dynamic."
                if binary
                else f"`binarise='{self.binarise}'` makes images binary, which only `likelihood='bernoulli'` describes."
            )
        for name, law in (("prior", self.prior), ("posterior", self.posterior)):
            if self.free_bits > 0 and law != "normal":
                raise UserError(
                    f"`free_bits=` floors the KL of each dimension, which the {law} {name} does not split into;"
                    f" use `{name}='normal'`."
                )
        if self.prior == "flow" and self.latent_dim < 2:
            raise UserError(
                f"`prior='flow'` couples latent dimensions: it needs `latent_dim=` of 2 or more, not {self.latent_dim}."
            )

    def net_for(self, shape: tuple[int, ...]) -> Literal["conv", "perceptron"]:
        """The net, with "auto" resolved; sides below 4 go to the convolutions, which refuse them.

        Raises:
            UserError: Examples of this shape are points, which other settings are not for.
        """
        if len(shape) == 1:
            self._check_points()
            return "perceptron"
        if self.net == "auto":
            return "perceptron" if 4 <= min(shape[1:]) < 16 else "conv"
        return self.net

    def _check_points(self) -> None:
        for field, value, instead in (("likelihood", self.likelihood, "normal"), ("net", self.net, "perceptron")):
            if value not in (instead, "auto"):
                raise UserError(
                    f"The data are points, and `{field}='{value}'` is for images; use `{field}='{instead}'`."
                )
        if self.prior == "vamp":
            raise UserError("The data are points, but the VampPrior's pseudo-inputs are images; use `prior='normal'`.")
