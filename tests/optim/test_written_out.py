"""Momentum, Nesterov, RMSprop and Adam: against torch's own and textbook formulas, their states, their errors."""

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn

import optim
from lit_generative import train
from lit_models import LitClassifier, load_model
from lit_models.networks import ShallowConvEncoder
from optim import Adam, Momentum, Nesterov, RMSprop

OURS: list[Callable[..., torch.optim.Optimizer]] = [Momentum, Nesterov, RMSprop, Adam]
# ours, and torch's with the same numbers
PAIRS = {
    "momentum": (partial(Momentum, momentum=0.9), partial(torch.optim.SGD, momentum=0.9)),
    "no momentum": (partial(Momentum, momentum=0.0), torch.optim.SGD),
    "rmsprop": (partial(RMSprop, alpha=0.95), partial(torch.optim.RMSprop, alpha=0.95)),
    "adam": (Adam, torch.optim.Adam),
    "adam with other betas": (
        partial(Adam, betas=(0.5, 0.9), eps=1e-3),
        partial(torch.optim.Adam, betas=(0.5, 0.9), eps=1e-3),
    ),
}


class Network(nn.Module):
    """A matrix, a vector, and a parameter without dimensions, which starts at 0."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 4)
        self.shift = nn.Parameter(torch.tensor(0.0))
        self.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return (self.layer(x) + self.shift).tanh()


def loss_of(model: Network, step: int) -> Tensor:
    """Another batch each step."""
    x = torch.linspace(-1, 1, 48, dtype=model.shift.dtype).view(8, 6).roll(step, 0)[: 3 + step % 3]
    return (model(x) - x[:, :4].flip(1)).square().sum()


def fit(model: Network, optimizer: torch.optim.Optimizer, steps: range = range(20), l1: float = 0.0) -> list[Tensor]:
    """All weights after each step; `l1` is put into the gradients by hand."""
    seen = []
    for step in steps:
        optimizer.zero_grad()
        loss_of(model, step).backward()
        for parameter in model.parameters():
            parameter.grad += l1 * parameter.detach().sign()
        optimizer.step()
        seen.append(torch.cat([parameter.detach().clone().flatten() for parameter in model.parameters()]))
    return seen


@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("pair", PAIRS)
def test_they_are_torchs_step_by_step(pair: str, l1: float) -> None:
    ours, torchs = PAIRS[pair]
    model, other = Network(), Network()
    found = fit(model, ours(model.parameters(), lr=0.01, l1=l1))
    expected = fit(other, torchs(other.parameters(), lr=0.01), l1=l1)
    for step, (one, another) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(one, another, rtol=0, atol=1e-12, msg=f"step {step}")
    assert (found[-1] - found[0]).abs().min() > 1e-4, "every weight has moved, biases too"


@pytest.mark.parametrize("make", OURS)
def test_l1_reaches_biases_and_spares_a_group_that_says_so(make: Callable[..., torch.optim.Optimizer]) -> None:
    weight, bias, spared = (nn.Parameter(torch.tensor([2.0, -2.0, 0.0])) for _ in range(3))
    optimizer = make([{"params": [weight, bias]}, {"params": [spared], "l1": 0.0}], lr=0.5, l1=0.25)
    for parameter in (weight, bias, spared):
        parameter.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(weight, bias)
    assert (weight.detach().abs() < torch.tensor([2.0, 2.0, 1e-9])).all(), "towards 0, and a weight of 0 stays"
    assert torch.equal(spared.detach(), torch.tensor([2.0, -2.0, 0.0]))


def fista(gradient: Callable[[Tensor], Tensor], x: Tensor, rate: float, steps: int) -> list[Tensor]:
    """Beck and Teboulle 2009, equations 4.1 to 4.3, in their letters: the points y_2, y_3, ... of the gradients."""
    y, t = x, 1.0
    seen = []
    for _ in range(steps):
        new = y - rate * gradient(y)  # x_k = p_L(y_k)
        after = (1 + math.sqrt(1 + 4 * t**2)) / 2  # t_(k+1)
        y = new + ((t - 1) / after) * (new - x)  # y_(k+1)
        x, t = new, after
        seen.append(y)
    return seen


@pytest.mark.parametrize("tensors", [1, 3])
def test_nesterov_is_fista_whatever_the_number_of_tensors(tensors: int) -> None:
    matrix = torch.linspace(-1, 1, 36, dtype=torch.float64).view(6, 6) + torch.eye(6, dtype=torch.float64)
    start = torch.linspace(1, 2, 6, dtype=torch.float64)
    expected = fista(lambda y: matrix.T @ (matrix @ y), start, 0.02, 40)
    parts = [nn.Parameter(part.clone()) for part in start.chunk(tensors)]
    optimizer = Nesterov(parts, lr=0.02)
    for wanted in expected:
        optimizer.zero_grad()
        (0.5 * (matrix @ torch.cat(parts)).square().sum()).backward()
        optimizer.step()
        torch.testing.assert_close(torch.cat(parts).detach(), wanted, rtol=0, atol=1e-12)


class CourseworkNesterov(torch.optim.Optimizer):
    """The coursework's, with both of its errors: one lambda for all tensors, which each of them moves on, from 0."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.coefficient = 0.0
        self.gammas: list[float] = []

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for x in group["params"]:
                after = (1 + math.sqrt(1 + 4 * self.coefficient**2)) / 2
                gamma = (1 - self.coefficient) / after
                self.coefficient = after
                y = self.state[x].get("y", x.clone())
                self.state[x]["y"] = x - group["lr"] * x.grad
                x.copy_((1 - gamma) * self.state[x]["y"] + gamma * y)
                self.gammas.append(gamma)


def noisy_loss(optimizer_of: Callable[..., torch.optim.Optimizer], steps: int) -> float:
    """Mean loss of the last fifth of descending a quadratic of four tensors by noisy gradients."""
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.ones(25)) for _ in range(4)]
    optimizer = optimizer_of(parameters, lr=1e-3)
    losses = []
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = parameter.detach() + torch.randn(25)
        optimizer.step()
        losses.append(sum(float(parameter.detach().square().sum()) for parameter in parameters) / 200)
    return sum(losses[-steps // 5 :]) / (steps // 5)


def test_the_courseworks_nesterov_skips_a_step_and_its_momentum_runs_ahead() -> None:
    """A network of four tensors: gammas of 0, 0, 0, 0 are right in the first step, since there is no y before it."""
    parameters = [nn.Parameter(torch.ones(2)) for _ in range(4)]
    wrong = CourseworkNesterov(parameters, lr=0.5)
    for parameter in parameters:
        parameter.grad = torch.ones(2)
    wrong.step()
    assert wrong.gammas == pytest.approx([1, 0, -0.282, -0.434], abs=1e-3)
    # gamma 1 takes the old point: the first tensor does not move; the last ones go too far
    assert [parameter.detach()[0].item() for parameter in parameters] == pytest.approx([1, 0.5, 0.359, 0.283], abs=1e-3)
    right = [nn.Parameter(torch.ones(2)) for _ in range(4)]
    optimizer = Nesterov(right, lr=0.5)
    for parameter in right:
        parameter.grad = torch.ones(2)
    optimizer.step()
    assert all(parameter.detach().tolist() == [0.5, 0.5] for parameter in right)
    # lambda grows by 1/2 a tensor: after k steps its momentum is that of 4 k steps
    for _ in range(99):
        wrong.step()
    assert -wrong.gammas[-1] == pytest.approx(1 - 3 / 400, abs=1e-3)
    # and so is the noise that it adds up: more of it than with lambda once a step, which has more than a fixed momentum
    losses = [noisy_loss(kind, 1000) for kind in (CourseworkNesterov, Nesterov, Momentum)]
    assert losses[0] > 1.5 * losses[1] > 1.5 * losses[2]


def test_the_courseworks_rmsprop_has_its_shares_exchanged_and_is_nearly_sign_descent() -> None:
    """Its v = (1 - .95) v + .95 g^2 is our alpha of .05: nearly all of v is the newest gradient."""
    spread = {}
    for alpha in (0.05, 0.95):
        weight = nn.Parameter(torch.tensor(0.0))
        optimizer = RMSprop([weight], lr=1.0, alpha=alpha)
        sizes = []
        for step in range(100):
            before = weight.item()
            weight.grad = torch.tensor(0.01 * (1 + step % 4))
            optimizer.step()
            sizes.append(before - weight.item())
        spread[alpha] = max(sizes[-4:]) / min(sizes[-4:])
    assert spread[0.05] < 1.4, "gradients of 1, 2, 3 and 4 give steps of almost one size"
    assert spread[0.95] == pytest.approx(4, rel=0.1), "beside a mean of some twenty steps they stay what they are"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", OURS)
def test_they_go_on_from_their_state_to_the_bit(
    make: Callable[..., torch.optim.Optimizer], dtype: torch.dtype, tmp_path: Path
) -> None:
    whole = Network(dtype)
    expected = fit(whole, make(whole.parameters(), lr=0.01, l1=0.01))
    first = Network(dtype)
    optimizer = make(first.parameters(), lr=0.01, l1=0.01)
    fit(first, optimizer, range(8))
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    seconds = [copy.deepcopy(first) for _ in range(2)]
    resumed = [make(second.parameters(), lr=0.5) for second in seconds]
    for one in resumed:  # of one state, which neither changes for the other
        one.load_state_dict(state)
    for second, one in zip(seconds, resumed, strict=True):
        for found, wanted in zip(fit(second, one, range(8, 20)), expected[8:], strict=True):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", OURS)
def test_weights_of_16_bits_learn_what_those_of_32_do(
    make: Callable[..., torch.optim.Optimizer], dtype: torch.dtype
) -> None:
    """With gradients so small that their squares are 0 in float16."""
    ends = {}
    for kind in (dtype, torch.float32):
        weight = nn.Parameter(torch.tensor([1.0, -1.0], dtype=kind))
        optimizer = make([weight], lr=0.01)
        for _ in range(20):
            weight.grad = torch.tensor([1e-4, -2e-4], dtype=kind)
            optimizer.step()
        ends[kind] = weight.detach().float()
        assert weight.dtype == kind
    torch.testing.assert_close(ends[dtype], ends[torch.float32], rtol=0, atol=0.02 if dtype == torch.float16 else 0.1)
    if make in (RMSprop, Adam):
        assert (ends[dtype].abs() < 0.95).all(), "they divide by the gradient's size, so small ones move weights too"


@pytest.mark.parametrize("make", OURS)
def test_closures_parameters_without_gradients_and_none_at_all(make: Callable[..., torch.optim.Optimizer]) -> None:
    model, frozen = Network(), nn.Parameter(torch.ones(2))
    optimizer = make([*model.parameters(), frozen], lr=0.01)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, 0)
        loss.backward()
        return loss.detach()

    losses = [float(optimizer.step(closure)) for _ in range(30)]  # type: ignore[arg-type]
    assert losses[-1] < losses[0]
    assert torch.equal(frozen.detach(), torch.ones(2))
    assert frozen not in optimizer.state, "it begins when it first has a gradient"
    optimizer.zero_grad()
    assert optimizer.step() is None


@pytest.mark.parametrize("make", OURS)
def test_groups_have_their_rates_and_schedulers_move_them(make: Callable[..., torch.optim.Optimizer]) -> None:
    model = Network()
    optimizer = make([{"params": [model.layer.weight], "lr": 0.5}, {"params": [model.layer.bias]}], lr=0.1)
    optimizer.add_param_group({"params": model.shift, "lr": 0.0})
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    before = model.shift.detach().clone()
    fit(model, optimizer, range(2))
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.05, 0.0]
    assert torch.equal(model.shift.detach(), before)


def test_schedulers_of_momentum_find_its_name() -> None:
    for make, name in ((Momentum, "momentum"), (Adam, "betas")):
        optimizer = make(Network().parameters())
        torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
        assert name in optimizer.param_groups[0]


@pytest.mark.parametrize("make", OURS)
def test_a_grad_scaler_leaves_out_steps_that_overflow(make: Callable[..., torch.optim.Optimizer]) -> None:
    model, other = Network(torch.float32), Network(torch.float32)
    optimizer, plain = make(model.parameters(), lr=0.01), make(other.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(6):
        optimizer.zero_grad()
        loss = loss_of(model, step)
        scaler.scale(loss * (float("inf") if step == 2 else 1)).backward()
        scaler.step(optimizer)
        scaler.update()
        if step != 2:
            fit(other, plain, range(step, step + 1))
    for one, another in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, another)


@pytest.mark.parametrize("make", OURS)
def test_a_copy_and_a_pickle_are_the_same_optimizer(make: Callable[..., torch.optim.Optimizer], tmp_path: Path) -> None:
    model = Network()
    optimizer = make(model.parameters(), lr=0.01)
    fit(model, optimizer, range(3))
    torch.save({"model": model, "optimizer": optimizer}, tmp_path / "all.pt")
    loaded = torch.load(tmp_path / "all.pt", weights_only=False)
    copied = copy.deepcopy({"model": model, "optimizer": optimizer})
    expected = fit(model, optimizer, range(3, 9))[-1]
    for one in (loaded, copied):
        assert torch.equal(fit(one["model"], one["optimizer"], range(3, 9))[-1], expected)


@pytest.mark.parametrize("name", ["Adam", "Momentum", "Nesterov", "RMSprop"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "16-true", "64-true", "bf16-mixed"])
def test_a_plain_trainer_takes_them(name: str, precision: str) -> None:
    """Half precision on the CPU included; a last small batch, clipping and two batches a step."""
    encoder = partial(ShallowConvEncoder, mean=0.1307, std=0.3081)
    model = LitClassifier((1, 8, 8), 3, encoder=encoder, optimizer=partial(getattr(optim, name), lr=0.01, l1=1e-3))
    loader = torch.utils.data.DataLoader([(torch.rand(1, 8, 8), step % 3) for step in range(9)], batch_size=4)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    options: dict[str, Any] = {"accelerator": "cpu", "gradient_clip_val": 1.0, "accumulate_grad_batches": 2, **quiet}
    before = [parameter.detach().clone() for parameter in model.parameters()]
    lightning.Trainer(max_epochs=2, precision=precision, **options).fit(model, loader, loader)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert any(not torch.equal(one, other.float()) for one, other in zip(before, model.parameters(), strict=True))


WORDS = [
    "--model=LitClassifier",
    "--data=DigitsDataModule",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
]


@pytest.mark.parametrize("name", ["Adam", "Nesterov"])
def test_a_config_may_name_them_and_runs_go_on(name: str, tmp_path: Path) -> None:
    words = [*WORDS, "--model.encoder=ShallowConvEncoder", f"--trainer.default_root_dir={tmp_path}"]
    words += [f"--model.optimizer=optim.{name}", "--model.optimizer.lr=0.01", "--model.optimizer.l1=0.001"]
    train.main(["fit", *words])
    last = tmp_path / "LitClassifier/version_0/checkpoints/last.ckpt"
    made = load_model(last).recipe["init_args"]["optimizer"]
    assert made["class_path"] == f"optim.{name.lower()}.{name}"
    assert made["init_args"]["l1"] == 0.001
    cli = train.main(["fit", *words, f"--ckpt_path={last}", "--trainer.max_epochs=2"])
    states = cli.trainer.optimizers[0].state.values()
    assert {state.get("step", 4) for state in states} == {4}


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_optimizer_of_the_same_name(tmp_path: Path) -> None:
    words = [*WORDS, f"--trainer.default_root_dir={tmp_path}"]
    runs = tmp_path / "LitClassifier"
    for number, (name, other) in enumerate([("torch.optim.Adam", "optim.Adam"), ("optim.Adam", "torch.optim.Adam")]):
        train.main(["fit", *words, f"--model.optimizer={name}"])
        last = f"--ckpt_path={runs}/version_{2 * number}/checkpoints/last.ckpt"
        with pytest.raises(ValueError, match=r"state_dict must be of|the checkpoint is of a run with"):
            train.main(["fit", *words, last, f"--model.optimizer={other}", "--trainer.max_epochs=2"])


def refused(make: Callable[..., Any], match: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=match):
        make(Network().parameters(), **options)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "0.1", None, True])
@pytest.mark.parametrize("make", OURS)
def test_rates_out_of_range(make: Callable[..., torch.optim.Optimizer], value: Any) -> None:
    for name in ("lr", "l1"):
        refused(make, f"{name} must be a finite number, at least 0, got {value!r}", {name: value})


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Momentum, {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0: it is the share of the old"),
        (RMSprop, {"alpha": -0.1}, r"alpha must be in \[0, 1\), got -0.1"),
        (RMSprop, {"eps": 0.0}, "eps must be a finite number above 0, got 0.0: 1e-8 is usual"),
        (Adam, {"eps": -1e-8}, "eps must be a finite number above 0, got -1e-08"),
        (Adam, {"betas": (0.9, 1.0)}, r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (Adam, {"betas": (0.9,)}, r"betas must be two numbers, got \(0.9,\)"),
        (Adam, {"betas": 0.9}, "betas must be two numbers, got 0.9"),
    ],
)
def test_other_settings_out_of_range(make: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    refused(make, message, options)


def test_groups_and_parameters_that_do_not_fit() -> None:
    for make in OURS:
        with pytest.raises(ValueError, match="empty parameter list"):
            make([])
        with pytest.raises(ValueError, match=r"lr must be a finite number, at least 0, got -0\.5"):
            make([{"params": Network().parameters(), "lr": -0.5}])
        optimizer = make(Network().parameters())
        with pytest.raises(ValueError, match="l1 must be a finite number, at least 0, got -1"):
            optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "l1": -1})
        assert len(optimizer.param_groups) == 1, "what was refused was not added"
        with pytest.raises(ValueError, match=r"must be real numbers for \w+, got complex ones"):
            make([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
        with pytest.raises(ValueError, match=r"state_dict must be of optim\..*, got one without \[.*'l1'\]"):
            optimizer.load_state_dict(torch.optim.SGD(Network().parameters(), lr=0.1).state_dict())


@pytest.mark.parametrize("make", OURS)
def test_settings_that_an_optimizer_lacks_are_refused_in_groups(make: Callable[..., Any]) -> None:
    parameters = list(Network().parameters())
    with pytest.raises(
        ValueError, match=r"has no weight_decay, got 0\.1 for a parameter group: leave it out.*'l1', 'lr'"
    ):
        make([{"params": parameters[:1], "weight_decay": 0.1}, {"params": parameters[1:]}])
    optimizer = make([{"params": parameters[:1], "weight_decay": 0, "name": "matrices"}])
    with pytest.raises(ValueError, match="has no maximize, got True"):
        optimizer.add_param_group({"params": parameters[1:], "maximize": True})
    assert len(optimizer.param_groups) == 1, "what was refused was not added"


def test_sparse_gradients_are_refused() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=r"Adam takes no sparse gradients: make the layer with sparse=False"):
        Adam(embedding.parameters()).step()
