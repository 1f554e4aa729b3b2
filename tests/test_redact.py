"""Secrets that a text holds are in nothing that is written or shown."""

import pytest

from snellen.errors import DataError, Stopped
from snellen.redact import command_without_folders, has_password, redacted, redacted_command, without_folders

SECRET = "c3VwZXIrc2VjcmV0LzEyMzQ1Njc4OTA"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://AKIA:{SECRET}@bucket/x", "s3://…@bucket/x"),
        (f"s3://AKIA:sl/ash{SECRET}@bucket/x", "s3://…@bucket/x"),
        (f"https://{SECRET}@host/x.parquet", "https://…@host/x.parquet"),
        (f"parquet/https://host/a.parquet?X-Amz-Date=1&X-Amz-Signature={SECRET}", "parquet/https://host/a.parquet?…"),
        (f"parquet/https://host/a.parquet?sig={SECRET},label=class", "parquet/https://host/a.parquet?…,label=class"),
        (f"reading 'https://host/a?sv=1&sig={SECRET}' failed: no", "reading 'https://host/a?…' failed: no"),
        (f"no hf_{SECRET} here", "no hf_… here"),
        (f"vlm/x@http://host/v1,api_key={SECRET}", "vlm/x@http://host/v1,api_key=…"),
        (f"HF_TOKEN={SECRET} PASSWORD={SECRET}", "HF_TOKEN=… PASSWORD=…"),
    ],
)
def test_what_is_secret_is_hidden(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/data/a@b/c?d=e",
        "s3://bucket/a b/é",
        "s3://bucket/a:b@c",
        "sftp://me@host:22/a",
        "http://host:8000/a@b",
        "imagenet@s3://bucket/x",
        "parquet/s3://bucket/part-?.parquet,label=class",
        "timm/resnet50@/w.safetensors,mean=0.5",
        "vlm/m@http://host/v1,max_tokens=64,key_env=OPENAI_API_KEY",
        "hub/someone/photos:test",
        "what? token: none",
    ],
)
def test_what_is_not_stays(text):
    """A spec must open the same again."""
    assert redacted(text) == text


def test_a_command_line():
    words = [
        "my script.py",
        "--hf-token",
        SECRET,
        f"--password={SECRET}",
        "-o",
        f"s3://a:{SECRET}@b",
        "--key-env",
        "KEY",
    ]
    shown = redacted_command(words)
    assert SECRET not in shown
    assert shown.startswith("'my script.py' --hf-token … --password=… -o")
    assert shown.endswith("--key-env KEY")
    assert redacted_command(["a", "it's", "-o", "x y"]) == """a 'it'"'"'s' -o 'x y'"""


@pytest.mark.parametrize("kind", [DataError, Stopped])
def test_no_message_shows_one(kind):
    assert str(kind(f"'https://host/a?sig={SECRET}' is no folder")) == "'https://host/a?…' is no folder"


def test_passwords_of_urls():
    assert has_password(f"s3://key:{SECRET}@bucket")
    assert not has_password("s3://key@bucket:9/a:b@c")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("timm/x@/home/me/models/w.safetensors,mean=0.5", "timm/x@w.safetensors,mean=0.5"),
        ("timm/x@../models/w.safetensors", "timm/x@w.safetensors"),
        ("hf/org/name@/home/me/checkpoint/", "hf/org/name@checkpoint"),
        ("vlm/m@http://10.0.0.3:8000/v1,max_tokens=64", "vlm/m@v1,max_tokens=64"),
        ("open_clip/ViT-B-32,openai,templates=/home/me/t.txt", "open_clip/ViT-B-32,openai,templates=t.txt"),
        ("/home/me/pets.py:tiny", "pets.py:tiny"),
        ("parquet//home/me/x", "parquet/x"),
        ("parquet/home/me/x/*.parquet,label=class", "parquet/*.parquet,label=class"),
        ("parquet/s3://bucket/me/x", "parquet/x"),
        ("file:///home/me/x", "x"),
        ("s3://bucket/me/x/", "x"),
        ("photos:/home/me/x", "photos:x"),
        ("photos=C:/Users/me/x", "photos=x"),
        ("--out=/home/me/x", "--out=x"),
        ("~bob/x", "x"),
        ("~bob", "…"),
        ("../../x", "x"),
        ("../..", "…"),
        ("home/me/x", "x"),
        (r"C:\Users\me\x", "x"),
        (r"\\server\share\x", "x"),
        ("/home/me/my photos/x y", "x y"),
        ("/data/a@b/c", "c"),
        ("imagenet-c/fog/3@/home/me/c", "imagenet-c/fog/3@c"),
    ],
)
def test_no_folder_of_a_machine_is_published(text, published):
    assert without_folders(text) == published
    assert without_folders(published) == published
    assert command_without_folders(f"snellen mine '{text}'").split(maxsplit=2)[2].strip("'") == published


@pytest.mark.parametrize(
    "text",
    [
        "timm/resnet50",
        "embedded/efficientnet_lite0",
        "open_clip/ViT-B-32,openai",
        "hub/someone/photos:test",
        "imagenet-c/*/3",
        "ImageNet_V2/top-images",
        "examples",
        "--undecided",
        "photos=CC-BY-4.0",
        "2026-01-02T03:04:05Z",
    ],
)
def test_what_names_no_folder_stays(text):
    assert without_folders(text) == text


def test_a_command_that_is_no_shells():
    assert command_without_folders("snellen mine it's /home/me/x") == "snellen mine 'it'\"'\"'s' x"
