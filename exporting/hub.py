"""Uploads to the Hugging Face Hub."""

from pathlib import Path

from exporting.extras import require_packages


def push(folder: Path, name: str, is_space: bool = False) -> str:
    """Upload a folder to a repository on the Hub, which is made where there is none; its address.

    Args:
        folder: what is uploaded, as one commit.
        name: `OWNER/NAME`.
        is_space: make a Gradio Space, not a model.

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
        made = api.create_repo(name, repo_type=kind, exist_ok=True, space_sdk="gradio" if is_space else None)
        # the name as the Hub has it
        api.upload_folder(folder_path=folder, repo_id=made.repo_id, repo_type=kind, commit_message="Upload")
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, httpx.HTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"--push {name}: {reason} Log in with `hf auth login`, with a token that may write; what was exported lies "
            f"in {folder}"
        ) from error
    return str(made)
