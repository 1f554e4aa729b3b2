"""Secrets that a text holds are in nothing that is written or shown."""

import pytest

from snellen.errors import DataError, Stopped
from snellen.redact import has_password, redacted, redacted_command

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
