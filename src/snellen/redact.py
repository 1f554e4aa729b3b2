"""Keeping secrets out of what is written and shown: in URLs, in options of a command line, and by their form."""

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


def has_password(url: str) -> bool:
    """Whether a URL has a password before its host or bucket.

    >>> has_password("s3://key:se/cret@bucket/a"), has_password("sftp://me@host/a"), has_password("http://host:80/a@b")
    (True, False, False)
    """
    return _PASSWORD.search(url) is not None


def _user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    return f"{scheme}{HIDDEN if scheme.lower() in ('http://', 'https://') else user}@"
