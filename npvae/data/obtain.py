"""Finding the files of a public data set here, or else fetching them."""

from __future__ import annotations

from pathlib import Path

from npvae.data.places import REMEDY, cache_folder, find, search_folders
from npvae.data.published import FILES, MIRRORS
from npvae.errors import DownloadError


def obtain(name: str, folder, download: bool, progress, timeout: float) -> dict[str, Path]:
    """Return the path of each part ("x_train", ...) of the public data set ``name``.

    Parts that lie in none of the search folders are downloaded into the cache. DownloadError: parts are
    missing and cannot be had; its message says what was tried and how to put the files in place by hand.
    """
    folders = search_folders(name, folder)
    paths = {part: find(file.name, folders) for part, file in FILES[name].items()}
    missing = [part for part, path in paths.items() if path is None]
    if missing and not download:
        raise DownloadError(_message(name, missing, folders, ["Not downloaded, as asked (download=False)."]))
    for at, part in enumerate(missing):
        file, cache = FILES[name][part], cache_folder()
        if cache is None:
            raise DownloadError(
                _message(name, missing[at:], folders, [f"There is no home folder to keep it in; {REMEDY}."])
            )
        target = cache / name / file.name
        # Imported here because urllib is slow to import and most calls need no network.
        from npvae.data.download import AllMirrorsFailed, fetch

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fetch(file, MIRRORS[name], target, timeout, progress)
        except AllMirrorsFailed as failed:
            tried = [f"Mirrors tried for {file.name}:"]
            tried += [f"  {mirror}: {reason}" for mirror, reason in failed.reasons]
            raise DownloadError(_message(name, missing[at:], folders, tried)) from None
        except OSError as error:
            tried = [f"Cannot write the cache folder {target.parent} ({error});", f"{REMEDY}."]
            raise DownloadError(_message(name, missing[at:], folders, tried)) from error
        paths[part] = target
    return {part: path for part, path in paths.items() if path is not None}


def _message(name: str, missing: list[str], folders: list[Path], tried: list[str]) -> str:
    files = [FILES[name][part] for part in missing]
    return "\n".join(
        [
            f"the data set {name!r} is not on this machine and could not be fetched.",
            f"Looked in: {', '.join(map(str, folders)) or 'no folder, for there is no home folder'}",
            *tried,
            f"To put the files in place by hand: save them as <folder>/{name}/<file> and set the environment "
            "variable NPVAE_DATA to <folder>. Files with and without .gz are both read. Missing:",
            *(f"  {name}/{file.name}  {file.size} bytes  sha256 {file.sha256}" for file in files),
        ]
    )
