"""The fields of KubeRay's RayJob (ray.io/v1, from KubeRay 1.5.1) and of pods, as far as a file here could use them.

Written by hand from the reference of the API: KubeRay's own schema has a megabyte, all of Kubernetes' pods in it. No
field beside these is let through, so that a mistyped one is noticed.
"""

from __future__ import annotations

from typing import Any

TEXT, WHOLE, YES_OR_NO = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
NOT_BELOW_0 = {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def fields(known: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


def one_of(*words: str) -> dict[str, Any]:
    """One of these words."""
    return {"enum": list(words)}


def each(item: dict[str, Any]) -> dict[str, Any]:
    """A list of these."""
    return {"type": "array", "items": item}


METADATA = fields({"name": TEXT, "namespace": TEXT, "labels": TEXTS, "annotations": TEXTS})
QUANTITIES = {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^\d+(\.\d+)?(m|[KMGT]i?)?$"}}
RESOURCES = fields({"requests": QUANTITIES, "limits": QUANTITIES})
FROM = fields({"name": TEXT, "optional": YES_OR_NO}, "name")
VARIABLE = fields({"name": TEXT, "value": TEXT, "valueFrom": {"type": "object"}}, "name")
MOUNT = fields({"name": TEXT, "mountPath": TEXT, "subPath": TEXT, "readOnly": YES_OR_NO}, "name", "mountPath")
HOOK = fields({"exec": fields({"command": each(TEXT)}, "command")})
CONTAINER = fields(
    {
        "name": TEXT,
        "image": TEXT,
        "imagePullPolicy": one_of("Always", "IfNotPresent", "Never"),
        "resources": RESOURCES,
        "env": each(VARIABLE),
        "envFrom": each(fields({"secretRef": FROM, "configMapRef": FROM})),
        "lifecycle": fields({"preStop": HOOK, "postStart": HOOK}),
        "volumeMounts": each(MOUNT),
    },
    "name",
    "image",
)
VOLUME = fields(
    {
        "name": TEXT,
        "persistentVolumeClaim": fields({"claimName": TEXT, "readOnly": YES_OR_NO}, "claimName"),
        "configMap": FROM,
        "emptyDir": fields({"medium": one_of("", "Memory"), "sizeLimit": TEXT}),
    },
    "name",
)
POD = fields(
    {
        "metadata": METADATA,
        "spec": fields(
            {
                "terminationGracePeriodSeconds": NOT_BELOW_0,
                "containers": each(CONTAINER),
                "volumes": each(VOLUME),
                "nodeSelector": TEXTS,
                "tolerations": each({"type": "object"}),
                "serviceAccountName": TEXT,
            },
            "containers",
        ),
    },
    "spec",
)
HEAD = fields({"rayStartParams": TEXTS, "serviceType": TEXT, "template": POD}, "rayStartParams", "template")
WORKERS = fields(
    {
        "groupName": TEXT,
        "replicas": NOT_BELOW_0,
        "minReplicas": NOT_BELOW_0,
        "maxReplicas": NOT_BELOW_0,
        "numOfHosts": WHOLE,
        "rayStartParams": TEXTS,
        "template": POD,
    },
    "groupName",
    "minReplicas",
    "maxReplicas",
    "rayStartParams",
    "template",
)
AUTOSCALER = fields(
    {
        "version": one_of("v1", "v2"),
        "idleTimeoutSeconds": NOT_BELOW_0,
        "upscalingMode": one_of("Default", "Aggressive", "Conservative"),
        "resources": RESOURCES,
        "env": each(VARIABLE),
    }
)
CLUSTER = fields(
    {
        "rayVersion": TEXT,
        "authOptions": fields({"mode": one_of("token", "disabled"), "secretName": TEXT}),
        "enableInTreeAutoscaling": YES_OR_NO,
        "autoscalerOptions": AUTOSCALER,
        "headGroupSpec": HEAD,
        "workerGroupSpecs": each(WORKERS),
        "suspend": YES_OR_NO,
    },
    "headGroupSpec",
)
SPEC = fields(
    {
        "entrypoint": TEXT,
        "runtimeEnvYAML": TEXT,
        "jobId": TEXT,
        "metadata": TEXTS,
        "submissionMode": one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
        "submitterPodTemplate": POD,
        "backoffLimit": NOT_BELOW_0,
        "activeDeadlineSeconds": WHOLE,
        "shutdownAfterJobFinishes": YES_OR_NO,
        "ttlSecondsAfterFinished": NOT_BELOW_0,
        "suspend": YES_OR_NO,
        "rayClusterSpec": CLUSTER,
    }
)
RAY_JOB = fields(
    {"apiVersion": {"const": "ray.io/v1"}, "kind": {"const": "RayJob"}, "metadata": METADATA, "spec": SPEC},
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
