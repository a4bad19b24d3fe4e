"""MuonWithAdam: against torch's Muon and Adam, its groups, its state, its errors."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from lit_generative import train
from lit_models import load_model
from optim import MuonWithAdam
from optim.muon import orthogonalize


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 2))


def train_on_a_batch(model: nn.Module, *optimizers: torch.optim.Optimizer, steps: int = 5) -> list[float]:
    x = torch.linspace(-1, 1, 24).view(4, 6)
    losses = []
    for _ in range(steps):
        loss = (model(x) - x[:, :2]).square().mean()
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


def test_it_is_torchs_muon_and_adam_side_by_side() -> None:
    ours, theirs = network(), network()
    matrices = [parameter for parameter in theirs.parameters() if parameter.ndim == 2]
    biases = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0, momentum=0.95)
    expected = train_on_a_batch(theirs, muon, torch.optim.Adam(biases, lr=1e-3))
    found = train_on_a_batch(ours, MuonWithAdam(ours.parameters(), lr=0.02, adam_lr=1e-3))
    assert found == pytest.approx(expected, rel=0.02)  # torch iterates in bfloat16
    adams = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    for parameter, kind in zip(adams, (torch.optim.Adam, MuonWithAdam), strict=True):
        optimizer = kind([parameter])
        for step in range(4):
            parameter.grad = torch.tensor([1.0, -2.0, 0.1]) * (step - 1.5)
            optimizer.step()
    torch.testing.assert_close(*adams)


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (30, 30), (1, 7)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape).double() * 1e-4
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalize(matrix)
    kept = (left.T @ found @ right.T).diagonal()  # the singular vectors stay
    assert ((kept > 0.6) & (kept < 1.3)).all()
    assert orthogonalize(torch.zeros(shape)).abs().max() == 0
    assert orthogonalize(matrix.bfloat16()).dtype == torch.bfloat16


def test_groups_keep_their_rates_and_a_scheduler_moves_both() -> None:
    model = network()
    optimizer = MuonWithAdam(
        [{"params": model[0].parameters()}, {"params": [model[2].bias], "adam_lr": 0.5}], adam_lr=0.1
    )
    assert [(group["lr"], group["matrices"]) for group in optimizer.param_groups] == [
        (0.02, True),
        (0.1, False),
        (0.5, False),
    ]
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 0.5, 0.5)
    optimizer.step()
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.01, 0.05, 0.25]


def test_groups_may_be_added_named_or_adams_as_a_whole() -> None:
    model = network()
    named = MuonWithAdam(model.named_parameters())
    assert [group["param_names"] for group in named.param_groups] == [["0.weight", "2.weight"], ["0.bias", "2.bias"]]
    optimizer = MuonWithAdam(model[0].parameters())
    optimizer.add_param_group({"params": model[2].weight, "lr": 0.3, "matrices": False})
    optimizer.add_param_group({"params": model[2].bias, "lr": 0.3})
    assert [(group["lr"], group["matrices"]) for group in optimizer.param_groups] == [
        (0.02, True),
        (0.001, False),
        (0.001, False),
        (0.001, False),
    ]
    before = [parameter.clone() for parameter in model.parameters()]
    train_on_a_batch(model, optimizer, steps=1)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"lr must be at least 0, got -0.05"):
        MuonWithAdam([{"params": network().parameters(), "lr": -0.05}])


def test_it_goes_on_from_its_state() -> None:
    whole, first = network(), network()
    expected = train_on_a_batch(whole, MuonWithAdam(whole.parameters()), steps=6)[3:]
    optimizer = MuonWithAdam(first.parameters())
    train_on_a_batch(first, optimizer, steps=3)
    second = copy.deepcopy(first)
    resumed = MuonWithAdam(second.parameters())
    resumed.load_state_dict(optimizer.state_dict())
    assert train_on_a_batch(second, resumed, steps=3) == expected


def test_a_closure_gives_its_loss() -> None:
    model = network()

    def closure() -> float:
        model.zero_grad()
        loss = model(torch.ones(1, 6)).square().sum()
        loss.backward()
        return loss.item()

    optimizer = MuonWithAdam(model.parameters())
    assert optimizer.step(closure) > optimizer.step(closure) > 0


def test_a_config_may_name_it_and_its_checkpoint_loads(tmp_path: Path) -> None:
    words = [
        "--model=LitVAE",
        "--model.latent_dim=2",
        "--data=DigitsDataModule",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    words += [
        "--model.prior=mixture",
        "--model.num_components=2",
        "--model.optimizer=optim.MuonWithAdam",
        "--model.optimizer.lr=0.02",
    ]
    cli = train.main(["fit", *words, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"])
    # matrices and biases of the networks; the mixture, which has no weight matrices
    assert [group["lr"] for group in cli.trainer.optimizers[0].param_groups] == pytest.approx([0.02, 0.001, 0.005])
    model = load_model(tmp_path / "LitVAE/version_0/checkpoints/last.ckpt")
    assert model.recipe["init_args"]["optimizer"]["class_path"] == "optim.muon.MuonWithAdam"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must be at least 0, got -1.0"),
        ({"adam_lr": -1.0}, "adam_lr must be at least 0, got -1.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] must be in \[0, 1\), got 1.0"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MuonWithAdam(network().parameters(), **options)


def test_no_parameters() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        MuonWithAdam([])
