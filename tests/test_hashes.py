"""Hashes of weights: what they depend on, and files whose content no longer matches them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.hashes import read_weights, weights_hash
from epslab.nets.pretrained import load_pretrained
from epslab.runs import Run

STATE = {
    "w": torch.arange(12, dtype=torch.float32).view(3, 4), "n": torch.tensor(3), "none": torch.empty(0),
    "half": torch.ones(2, dtype=torch.bfloat16),
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"w": STATE["w"] + torch.eye(3, 4) * 1e-6},
        {"w": STATE["w"].view(4, 3)},
        {"w": STATE["w"].view(torch.int32)},
        {"n": torch.tensor(4)},
        {"none": torch.empty(0, 2)},
        {"half": -STATE["half"]},
        {"more": torch.zeros(1)},
    ],
)
def test_every_name_type_shape_and_value_counts(changed: dict[str, Tensor]) -> None:
    assert weights_hash(STATE | changed) != weights_hash(STATE)


def test_a_name_counts_and_order_and_memory_do_not() -> None:
    renamed = {("v" if name == "w" else name): tensor for name, tensor in STATE.items()}
    assert weights_hash(renamed) != weights_hash(STATE)
    shuffled = dict(reversed(STATE.items())) | {"w": STATE["w"].t().contiguous().t()}
    assert not shuffled["w"].is_contiguous()
    assert weights_hash(shuffled) == weights_hash(STATE)
    net = nn.Conv2d(3, 4, 3)
    before = weights_hash(net.state_dict())
    assert weights_hash(net.to(memory_format=torch.channels_last).state_dict()) == before  # type: ignore[call-overload]
    net.weight.requires_grad_(False)
    assert weights_hash(dict(net.named_parameters())) == before


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run", {})
    run.save_weights(nn.Linear(100, 10).state_dict(), {"epoch": 3})
    return run


def test_a_run_knows_its_weights_by_their_hash(run: Run) -> None:
    net = nn.Linear(100, 10)
    assert run.load_weights(net) == run.weights_hash() == weights_hash(net.state_dict())
    assert run.weights_about() == {"epoch": 3}
    first = run.weights_hash()
    run.save_weights({name: tensor + 1 for name, tensor in net.state_dict().items()})
    assert run.weights_hash() != first
    assert Run(run.folder / "none").weights_hash() is None


@pytest.mark.parametrize("place", [-4000, -1004, -1000])
def test_a_thousand_zeroed_bytes_are_noticed(run: Run, place: int) -> None:
    content = bytearray(run.weights.read_bytes())
    content[place : place + 1000 or None] = bytes(1000)
    run.weights.write_bytes(bytes(content))
    net = nn.Linear(100, 10)
    kept = net.weight.clone()
    with pytest.raises(UserError, match=r"model\.safetensors' are damaged: they differ from those that were saved"):
        run.load_weights(net)
    assert torch.equal(net.weight, kept)
    with pytest.raises(UserError, match="are damaged"):
        load_pretrained(net, run.weights, free=())


@pytest.mark.parametrize("size", [0, 4, 100, 2000, -1])
def test_a_file_written_by_halves_is_refused(run: Run, size: int) -> None:
    run.weights.write_bytes(run.weights.read_bytes()[:size])
    for use in (lambda: run.load_weights(nn.Linear(100, 10)), lambda: load_pretrained(nn.Linear(100, 10), run.weights)):
        with pytest.raises(UserError, match="is not a safetensors file, or is damaged"):
            use()


def test_damage_in_the_header_is_one_sentence(run: Run) -> None:
    content = run.weights.read_bytes()
    for place in range(0, len(content) - 4040, 16):
        run.weights.write_bytes(content[:place] + bytes(16) + content[place + 16 :])
        with pytest.raises(UserError, match=r"damaged|another model"):
            run.load_weights(nn.Linear(100, 10))


def test_files_without_a_hash_are_read(run: Run, tmp_path: Path) -> None:
    """Older ones, and those that ``save_file`` wrote, with and without a header of their own."""
    state = load_file(run.weights)
    for metadata in (None, {"format": "pt"}, {"epslab": '{"epoch": 2}'}, {"epslab": "[1]"}):
        save_file(state, run.weights, metadata=metadata)
        assert weights_hash(read_weights(run.weights)) == run.weights_hash() == run.load_weights(nn.Linear(100, 10))
        assert load_pretrained(nn.Linear(100, 10), run.weights) == ()
    save_file({**state, "weight": state["weight"] * 2}, run.weights)
    assert run.weights_hash() != weights_hash(state)
