"""Uploads to the Hugging Face Hub."""

from pathlib import Path

from lit_models.extras import require_packages

_GONE = ["*.onnx", "*.pt2", "*.png", "*.yaml"]


def check_name(name: str) -> None:
    """Raise a ValueError where a name is no OWNER/NAME that the Hub takes.

    Example:
        >>> check_name("vae")
        Traceback (most recent call last):
        ValueError: --push takes OWNER/NAME, such as someone/vae, got vae
    """
    require_packages("huggingface_hub", extra="export")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(f"--push {name}: {error}") from error
    if name.count("/") != 1:
        raise ValueError(f"--push takes OWNER/NAME, such as someone/vae, got {name}")


def push(folder: Path, name: str, is_space: bool = False, private: bool = False) -> str:
    """Upload a folder to a repository on the Hub, which is made where there is none; its address.

    Graphs and pictures that lie there from an earlier export, and are not uploaded again, are deleted.

    Args:
        folder: what is uploaded, as one commit.
        name: `OWNER/NAME`.
        is_space: make a Gradio Space, not a model.
        private: of a repository that is made: for its owner alone.

    Raises:
        RuntimeError: huggingface_hub is not installed.
        ValueError: the Hub refuses the name or the upload, or cannot be reached.

    Example:
        >>> push(Path("exported/vae"), "someone/vae")  # doctest: +SKIP
    """
    require_packages("huggingface_hub", extra="export")
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    kind = "space" if is_space else "model"
    try:
        api = HfApi(library_name="lit-generative")
        made = api.create_repo(
            name, repo_type=kind, exist_ok=True, private=private, space_sdk="gradio" if is_space else None
        )
        # the name as the Hub has it
        api.upload_folder(
            folder_path=folder, repo_id=made.repo_id, repo_type=kind, commit_message="Upload", delete_patterns=_GONE
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, httpx.HTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"--push {name}: {reason} Log in with `hf auth login`, with a token that may write; what was exported lies "
            f"in {folder}"
        ) from error
    return str(made)
