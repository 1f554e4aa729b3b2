"""Keeping secrets out of what is written and shown: in URLs, in options of a command line, and by their form.

And keeping folders and servers out of what is published.
"""

import re
import shlex
from collections.abc import Sequence

HIDDEN = "…"
# What a secret is called, at the end of the name of an option; `max_tokens` and `key_env` are none.
_SECRET = r"[\w-]*(?:token|secret|passw(?:or)?d|credentials?|signature|(?:api|access|account|secret)[_-]?key)"
_NAMED = re.compile(rf"(?i)\b({_SECRET})=[^\s,&'\"]+")
_OPTION = re.compile(rf"(?i)-{{1,2}}{_SECRET}")
# Tokens of Hugging Face, of servers that speak OpenAI's protocol, and of GitHub.
_TOKEN = re.compile(r"\b(hf_|sk-|gh[a-z]_|github_pat_)[A-Za-z0-9_-]{16,}")
# Of a URL: user and password, and the query, which signs a URL of a store; an option of a spec may follow it. A `?` of
# a path, as in `parquet/s3://bucket/?.parquet`, is followed by no name and `=`.
_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#'\"@:]*)@")
# A password may hold a slash, as the secret keys of stores do; what is a port is none.
_PASSWORD = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"@:]*:(?!\d+/)[^\s'\"@]+@")
_QUERY = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[\w.~%$-]+=(?:(?!,\w+=)[^\s'\"])*")

# Specs whose slashes are no folders; where their files lie stands after an @.
_NAMES_NO_PLACE = re.compile(r"(embedded|timm|torchvision|open_clip|hf|vlm|hub)/[\w.-]")


def redacted(text: str) -> str:
    """A text without passwords and queries of URLs, without tokens, and without what `token=` and the like give.

    A user without a password stays, but of a web address, where it is as often a token.

    >>> redacted("parquet/https://me:word@host/a.parquet?sig=abc,label=class")
    'parquet/https://…@host/a.parquet?…,label=class'
    >>> redacted("sftp://me@host/a"), redacted("vlm/x@http://host/v1,max_tokens=64,token=abc")
    ('sftp://me@host/a', 'vlm/x@http://host/v1,max_tokens=64,token=…')
    """
    text = _QUERY.sub(rf"\1?{HIDDEN}", _USER.sub(_user, _PASSWORD.sub(rf"\1{HIDDEN}@", text)))
    return _TOKEN.sub(rf"\1{HIDDEN}", _NAMED.sub(rf"\1={HIDDEN}", text))


def redacted_command(words: Sequence[str]) -> str:
    """A command line as a shell takes it, without its secrets; also without the word after `--token` and the like.

    >>> redacted_command(["train.py", "--hf-token", "abc", "-o", "my out"])
    "train.py --hf-token … -o 'my out'"
    """
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        quoted = shlex.quote(word)
        shown.append(HIDDEN if _OPTION.fullmatch(before) else redacted(quoted))
    return " ".join(shown)


def without_folders(text: str) -> str:
    """A path, a URL or a spec without the folders, the server and the user in it: what is published names none.

    >>> without_folders("timm/x@/home/me/w.safetensors,mean=0.5"), without_folders("parquet/s3://bucket/me/hard")
    ('timm/x@w.safetensors,mean=0.5', 'parquet/hard')
    >>> without_folders("hub/someone/photos:test"), without_folders("home/me/my photos")
    ('hub/someone/photos:test', 'my photos')
    """
    option = re.fullmatch(r"(--?[\w-]+=|)(.*)", text, re.DOTALL)
    assert option is not None
    head, *pairs = re.split(r",(?=\w+=)", option[2])
    named = [(key, _last(value)) for key, _, value in (pair.partition("=") for pair in pairs)]
    return option[1] + ",".join([_without_folders(head), *(f"{key}={value}" for key, value in named)])


def command_without_folders(text: str) -> str:
    """A command line in which each word is `without_folders`.

    >>> command_without_folders("/usr/bin/snellen mine '/home/me/my photos' -m timm/resnet50 -o s3://b/me/hard")
    "snellen mine 'my photos' -m timm/resnet50 -o hard"
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return shlex.join(map(without_folders, words))


def _without_folders(head: str) -> str:
    """The same of what stands before the options of a spec."""
    if head.startswith("parquet/"):
        return f"parquet/{_last(head.removeprefix('parquet/'))}"
    body, at, place = head.partition("@")
    if _NAMES_NO_PLACE.match(body) or _is_data_set(body):
        return body + (f"@{_last(place)}" if at else "")
    # A word of a mapping, as `photos:/home/me/photos`; of one letter it is a drive.
    mapped = re.fullmatch(r"([\w.+ -]{2,}[:=])(?!//)(.*[/\\].*)", head)
    return mapped[1] + _last(mapped[2]) if mapped else _last(head)


def _is_data_set(name: str) -> bool:
    from snellen.datasets.names import fold, spelled
    from snellen.errors import DataError

    try:
        spelled(name)
    except DataError:
        return "*" in name and fold(name).startswith("imagenet")
    return True


def _last(path: str) -> str:
    """The last part of a path of any system, or of a URL."""
    if not re.search(r"[/\\]|^~", path):
        return path
    parts = [part for part in re.split(r"[/\\]+", path) if part]
    last = parts[-1] if parts else ""
    return HIDDEN if last in ("", ".", "..") or last.startswith("~") or last.endswith(":") else last


def has_password(url: str) -> bool:
    """Whether a URL has a password before its host or bucket.

    >>> has_password("s3://key:se/cret@bucket/a"), has_password("sftp://me@host/a"), has_password("http://host:80/a@b")
    (True, False, False)
    """
    return _PASSWORD.search(url) is not None


def _user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    return f"{scheme}{HIDDEN if scheme.lower() in ('http://', 'https://') else user}@"
