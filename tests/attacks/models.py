"""Small classifiers with fixed random weights."""

import torch
from torch import Tensor, nn


def seeded(seed: int, make: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        model: nn.Module = make()  # type: ignore[operator]
    return model.eval()


def conv_net(seed: int = 0, channels: int = 3) -> nn.Module:
    """Convolutions and BatchNorm with statistics that are not those of a fresh layer."""

    def make() -> nn.Module:
        model = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 16, 5),
        )
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.normal_(module.weight, 1, 0.2)
                nn.init.normal_(module.bias, 0, 0.2)
        with torch.no_grad():  # logits as large as a trained net's
            model[-1].weight *= 60
        return model

    model = seeded(seed, make)
    with torch.no_grad():  # so that every class is predicted somewhere
        model[-1].bias -= model(images(256, seed=99, channels=channels)).mean(0)
    return model


def images(n: int, seed: int = 0, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    """k/255, as data has them."""
    k = torch.randint(256, (n, channels, 8, 8), generator=torch.Generator().manual_seed(seed))
    return k.to(dtype) / 255
