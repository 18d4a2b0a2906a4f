"""An S3 store of a test's own: moto on an address that pods reach."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

ACCESS_KEY, SECRET_KEY = "test-access-key", "canary-store-secret-key"
#: In this region whoever may make buckets makes them by a careless request.
REGION, BUCKET = "us-east-1", "ppml-ops"
CREDENTIALS_FILE = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"


@contextmanager
def running_store(host: str) -> Iterator[str]:
    """The store's address, with an empty bucket; this process's environment names it and its credentials."""
    with socket.create_server((host, 0)) as free:
        port = free.getsockname()[1]
    url = f"http://{host}:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", host, "--port", str(port)]
    names = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }
    before = {name: os.environ.get(name) for name in names}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(host, port, process)
        os.environ.update(names)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url
    finally:
        process.terminate()
        process.wait()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def buckets() -> list[str]:
    """Names of all buckets."""
    return sorted(one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"])


def uploads() -> list[str]:
    """Keys of uploads that were begun and neither ended nor given up."""
    found = boto3.client("s3").list_multipart_uploads(Bucket=BUCKET)
    return sorted(one["Key"] for one in found.get("Uploads", ()))


def objects() -> list[str]:
    """Keys of all objects in the bucket."""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))


def _wait(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("moto did not start")
