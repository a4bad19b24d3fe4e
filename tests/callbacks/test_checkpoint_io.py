"""A checkpoint is a whole file or none, and data only."""

import pickle
from pathlib import Path

import pytest
import torch

from callbacks import AtomicCheckpointIO
from tests.conftest import Harmful


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    for value in (1, 2):
        io.save_checkpoint({"value": torch.tensor(value)}, path)
        assert io.load_checkpoint(path) == {"value": torch.tensor(value)}
        assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("before", [True, False])
def test_a_full_disk_leaves_the_checkpoint_before(before: bool, tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    if before:
        io.save_checkpoint({"value": 1}, path)
    (tmp_path / ".last.ckpt.tmp").symlink_to("/dev/full")  # whoever writes there finds the disk full
    left = "the checkpoint written before it is untouched" if before else "there was none before it"
    with pytest.raises(
        OSError, match=rf"last.ckpt could not be written \(.*\); {left}. Make room, or pass another folder"
    ):
        io.save_checkpoint({"value": torch.zeros(100_000)}, path)
    assert {file.name for file in tmp_path.iterdir()} == ({"last.ckpt"} if before else set())
    if before:
        assert io.load_checkpoint(path) == {"value": 1}


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, tmp_path / "bad.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "bad.ckpt", weights_only=False)
    assert not (tmp_path / "harm").exists()
