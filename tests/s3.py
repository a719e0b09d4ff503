"""A real S3 API: moto's server in a separate process, which can be stopped and restarted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3

# What it holds outlives its listening, as it does when a network is down.
_SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.disable()
port = 0
for line in sys.stdin:
    if line == "up\\n":
        server = ThreadedMotoServer(ip_address=sys.argv[1], port=port, verbose=False)
        server.start()
        port = server.get_host_and_port()[1]
        print(port, flush=True)
    else:
        server.stop()
        print(flush=True)
"""


class S3Server:
    """It listens on ``address``; ``inside`` are words before its command, which may lead to another network."""

    def __init__(self, address: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        command = [*inside, sys.executable, "-c", _SERVE, address]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = f"http://{address}:{self._tell('up')}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not/so+secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._buckets = 0

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def up(self) -> None:
        self._tell("up")

    def down(self) -> None:
        self._tell("down")

    def client(self) -> Any:
        """A client that is not the one under test."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="not/so+secret",
            region_name="us-east-1",
        )

    def new_bucket(self) -> str:
        self._buckets += 1
        self.client().create_bucket(Bucket=(name := f"blobs-{self._buckets}"))
        return name

    def check_keys(self, checks: bool) -> None:
        """Set whether unknown keys are rejected; otherwise every key is accepted."""
        wanted = 0 if checks else "inf"
        headers = {"Content-Type": "text/plain"}
        urlopen(Request(f"{self.endpoint}/moto-api/reset-auth", str(wanted).encode(), headers)).close()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _tell(self, word: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        print(word, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "moto's server did not start"
        return answer.strip()
