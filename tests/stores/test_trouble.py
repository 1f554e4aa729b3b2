"""What drivers raise, as they raise it, told as a disk would tell it; and patience with what passes."""

import errno

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
    ReadTimeoutError,
)
from s3fs.errors import translate_boto_error

from snellen import trouble
from snellen.trouble import PASSING, as_os_error, patiently


def refused(code, status, **more):
    answer = {"Error": {"Code": code, "Message": f"{code} it says", **more}}
    return ClientError(answer | {"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


class WithStatus(Exception):
    def __init__(self, code):
        super().__init__(f"answer {code}")
        self.code = code


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (FileNotFoundError("gone"), errno.ENOENT),
        (PermissionError("no"), errno.EACCES),
        (TimeoutError(), errno.ETIMEDOUT),
        (OSError("only words"), errno.EIO),
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (NoCredentialsError(), errno.EACCES),
        (ProfileNotFound(profile="me"), errno.EACCES),
        (ParamValidationError(report="Invalid bucket name"), errno.EINVAL),
        (EndpointConnectionError(endpoint_url="http://nowhere"), errno.ENETUNREACH),
        (ReadTimeoutError(endpoint_url="http://slow"), errno.ETIMEDOUT),
        (aiohttp.ClientPayloadError("cut"), errno.EIO),
        (aiohttp.ServerDisconnectedError(), errno.ENETUNREACH),
        (translate_boto_error(refused("NoSuchBucket", 404)), errno.ENOENT),
        (translate_boto_error(refused("AccessDenied", 403)), errno.EACCES),
        (translate_boto_error(refused("InvalidAccessKeyId", 403)), errno.EACCES),
        (translate_boto_error(refused("SlowDown", 503)), errno.EBUSY),
        (translate_boto_error(refused("InternalError", 500)), errno.EREMOTEIO),
        (translate_boto_error(refused("ConditionalRequestConflict", 409)), errno.EBUSY),
        (translate_boto_error(refused("PreconditionFailed", 412)), errno.EEXIST),
        (translate_boto_error(refused("PreconditionFailed", 412, Condition="If-None-Match")), errno.EEXIST),
        (translate_boto_error(refused("NotImplemented", 501)), errno.ENOSYS),
        (translate_boto_error(refused("XMinioStorageFull", 507)), errno.ENOSPC),
        (translate_boto_error(refused("TooManyRequests", 429)), errno.EBUSY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_driver_says(error, number):
    told = as_os_error(error)
    assert told.errno == number
    assert told.strerror
    assert "\n" not in told.strerror


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyError("x"), AssertionError(), ZeroDivisionError()])
def test_a_defect_is_none_of_a_store(error):
    assert as_os_error(error) is None
    with pytest.raises(type(error)):
        patiently(lambda: (_ for _ in ()).throw(error))


@pytest.mark.parametrize("code", sorted({*PASSING, errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EEXIST}))
def test_only_what_passes_is_tried_again(code, monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    calls = []

    def ask():
        calls.append(1)
        if len(calls) < 4:
            raise OSError(code, "made up")
        return "there"

    if code in PASSING:
        assert patiently(ask) == "there"
        assert len(calls) == 4
    else:
        with pytest.raises(OSError, match="made up"):
            patiently(ask)
        assert len(calls) == 1


def test_patience_ends(monkeypatch):
    monkeypatch.setattr(trouble, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(OSError, match="busy") as raised:
        patiently(lambda: (_ for _ in ()).throw(OSError(errno.EBUSY, "busy")))
    assert raised.value.errno == errno.EBUSY
