"""A data set repository on disk: as a plain copy, and as the Hub's client keeps it in its cache."""

import hashlib

REPO = "taesiri/imagenet-hard"
# Nobody listens there.
NO_NETWORK = "http://127.0.0.1:9"
COMMIT = "5" * 40
VALIDATION = ["data/validation-00000-of-00002.parquet", "data/validation-00001-of-00002.parquet"]


def card(*configs):
    """A README.md whose head lists these configurations."""
    return "---\nlicense: mit\nconfigs:\n" + "".join(configs) + "---\n# Words\n"


ONE_A_SPLIT = card(
    "- config_name: default\n  data_files:\n  - split: validation\n    path: data/validation-*\n"
    "  - split: train\n    path: [data/a.parquet, 'data/sub/**']\n"
)


def sha256(rows):
    """The digest of each row's image."""
    return [hashlib.sha256(row.data).hexdigest() for row in rows]


def put(folder, files):
    """Write files, by their paths below a folder; the folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def put_cache(home, files, commit=COMMIT):
    """Lay files out as the Hub's client does in its cache, blobs and links by commit; the environment that says so."""
    root = home / "hub" / f"datasets--{REPO.replace('/', '--')}"
    for path, data in files.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        link = root / "snapshots" / commit / path
        put(blob.parent, {blob.name: data})
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    put(root / "refs", {"main": commit.encode()})
    return {"HF_HOME": str(home)}
