"""Make a bucket of the S3 store that the environment names, unless it is there: before MLflow's server starts."""

from __future__ import annotations

import os
import sys

import boto3  # type: ignore[import-not-found]  # of the image alone

client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
if sys.argv[1] not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
    client.create_bucket(Bucket=sys.argv[1])
