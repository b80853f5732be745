# SPDX-License-Identifier: Apache-2.0
"""Operations of S3, asked for with Amazon's own client library.

Those that no step asks for are asked for with the least that the library lets through: whoever wants what is not here
must be told so, and nothing may happen.
"""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from altostratus.testing.private_cloud import PrivateCloud
from conformance.coverage.steps import Asked, Memory, Result, filled, first_line, learn

# "not here" in S3's words; the last two are what requests to others of Amazon's services are told
_NOT_OFFERED = ("NotImplemented", "MethodNotAllowed", "AuthorizationHeaderMalformed", "PreconditionFailed")


@cache
def _described() -> Any:
    """The library's description of S3."""
    return boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="s").meta.service_model


def operation_names() -> tuple[str, ...]:
    """Every operation that the library knows."""
    return tuple(_described().operation_names)


class S3Caller:
    """S3 as one user of the cloud, whose ids and token are known."""

    def __init__(self, cloud: PrivateCloud, user: str, known: Memory) -> None:
        path = f"/identity/v3/users/{known[f'user_of_{user}']}/credentials/OS-EC2"
        wanted = {"tenant_id": known[f"project_of_{user}"]}
        made = cloud.call("POST", path, wanted, token=known[f"token_of_{user}"])["credential"]
        self._client = boto3.client(
            "s3", "us-east-1", endpoint_url=f"{cloud.url}/object-store/s3",
            aws_access_key_id=made["access"], aws_secret_access_key=made["secret"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, inject_host_prefix=False),
        )  # fmt: skip

    def ask(self, step: Asked, memory: Memory) -> Result:
        """Make one step."""
        status, code, shown = self._answer(step.operation, filled(step.arguments, memory))
        if code != step.error:
            return Result(False, f"{status} {code}: {shown}")
        if not code:
            learn(step.keep, shown, memory)
        return Result(True, f"{status} {code}".strip())

    def ask_without_a_step(self, operation: str, memory: Memory) -> Result:
        """An operation that is not offered: it must say so."""
        shape = _described().operation_model(operation).input_shape
        status, code, shown = self._answer(operation, filled(_least(shape) if shape else {}, memory))
        if code in _NOT_OFFERED:
            return Result(None, f"{status} {code}")
        return Result(False, f"{status} {code}: nobody expects that, give it a step in s3_steps.py. {shown}")

    def _answer(self, operation: str, arguments: dict[str, Any]) -> tuple[int, str, Any]:
        """(status, code of the error, reply or message)"""
        try:
            shown = self._client._make_api_call(operation, arguments)
            if "Body" in shown:
                shown["Body"].read()
        except ClientError as error:
            told = error.response
            return (
                told["ResponseMetadata"]["HTTPStatusCode"],
                told["Error"]["Code"],
                first_line(told["Error"]["Message"]),
            )
        except BotoCoreError as error:
            return 0, type(error).__name__, first_line(str(error))
        return shown["ResponseMetadata"]["HTTPStatusCode"], "", shown


def _least(shape: Any) -> Any:
    """The smallest value of a shape that the library takes; buckets and keys are those of the memory."""
    match shape.type_name:
        case "structure":
            wanted = shape.required_members or list(shape.members)[:1]
            return {name: _named(name) or _least(shape.members[name]) for name in wanted}
        case "list":
            return [_least(shape.member)]
        case "string":
            return shape.enum[0] if shape.enum else "x" * shape.metadata.get("min", 1)
        case "integer" | "long":
            return 1
        case "boolean":
            return True
        case "timestamp":
            return "2030-01-01T00:00:00Z"
        case kind:
            return b"x" if kind == "blob" else {}


def _named(name: str) -> str:
    return {"Bucket": "{bucket}", "Key": "{key}"}.get(name, "")
