"""Parts in an S3-compatible object store: what a profile says of it, and what Hadoop's S3A client needs. Pure.

S3A asks the store to publish a manifest only if none lies there (Hadoop 3.4.2 and later, `If-None-Match`);
stores that don't know that are no place for results.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ppml_ops.spark.k8s.names import DnsLabel

#: The one "node" of the topology `object-store`: in manifests, and in the map of gather.
STORE_NODE = "object-store"
#: In driver and executor pods: the Secret with the credentials, and the jars of the image `spark-s3`.
CREDENTIALS_FOLDER = "/ppml/store"
CREDENTIALS = "credentials"
JARS = "/opt/ppml/share/hadoop-s3"

S3Url = Annotated[
    str,
    StringConstraints(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,8}$"
    ),
]


class ObjectStore(BaseModel):
    """A bucket, and the way to it; see the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: S3Url = Field(description="`s3://bucket/prefix` below which each run has a folder of its own.")
    credentials: DnsLabel = Field(
        description=f"Secret of the namespace whose key `{CREDENTIALS}` holds an AWS credentials file."
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,253}$",
        description="Address of another store than Amazon's.",
    )
    region: str = Field("us-east-1", pattern="^[a-z0-9-]{1,40}$", description="Region of the bucket.")
    path_style: bool = Field(
        False, description="The bucket stands in the path and not in the host name, as in most other stores."
    )

    def properties(self, spill: str) -> dict[str, str]:
        """Spark's settings for S3A; none of them is secret.

        Args:
            spill: folder of the pod in which ciphertext waits to be sent.
        """
        settings = {
            "aws.credentials.provider": "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider",
            "buffer.dir": spill,
            "endpoint.region": self.region,
            "path.style.access": "true" if self.path_style else "false",
        }
        if self.endpoint is not None:
            settings["endpoint"] = self.endpoint
            settings["connection.ssl.enabled"] = "true" if self.endpoint.startswith("https:") else "false"
        return {f"spark.hadoop.fs.s3a.{name}": value for name, value in settings.items()}


def environment() -> dict[str, str]:
    """For every JVM that uses a store: where the credentials lie. They themselves stand in no environment."""
    return {
        "AWS_SHARED_CREDENTIALS_FILE": f"{CREDENTIALS_FOLDER}/{CREDENTIALS}",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
