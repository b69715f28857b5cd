"""The Kubernetes manifests, against the schemas that KubeRay's operator installs.

What Kubernetes checks beyond the structure (rules in CEL, the operator's own validation) is
asserted where the manifests touch it.
"""

from __future__ import annotations

import copy
import hashlib
import lzma
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import Draft202012Validator, ValidationError
from packaging.version import Version

MANIFESTS = Path(__file__).parents[2] / "cluster" / "kuberay"
DEFINITIONS = Path(__file__).parent / "kuberay_crds"
SHA256 = {
    "rayclusters": "c44704442eef0c6721ad40c1d66782c8bd3fdab9d3344306a5820910a679baa1",
    "rayjobs": "01a5cf3b17c1769fda44af7e82debcd98722f0c27b9ab84d084681c6649121f5",
}
KINDS = {"ray-cluster.yaml": "rayclusters", "ray-job.yaml": "rayjobs"}


def definition(plural: str) -> bytes:
    return lzma.decompress((DEFINITIONS / f"ray.io_{plural}.yaml.xz").read_bytes())


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The structural schema as Kubernetes applies it to new objects: unknown fields refused."""
    closed_schema = dict(schema)
    if "properties" in schema:
        closed_schema["properties"] = {
            name: closed(property_) for name, property_ in schema["properties"].items()
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed_schema.setdefault("additionalProperties", False)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            closed_schema[inner] = closed(schema[inner])
    return closed_schema


@pytest.fixture(scope="module", params=KINDS)
def manifest(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Draft202012Validator]:
    """A manifest and the validator of its kind; metadata is checked by Kubernetes itself."""
    (document,) = yaml.safe_load_all((MANIFESTS / request.param).read_text())
    resource = yaml.load(definition(KINDS[request.param]), Loader=yaml.CSafeLoader)
    assert resource["spec"]["names"]["kind"] == document["kind"]
    group, version = document["apiVersion"].split("/")
    assert group == resource["spec"]["group"]
    (served,) = (each for each in resource["spec"]["versions"] if each["name"] == version)
    assert served["served"]
    schema = closed(served["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return document, Draft202012Validator(schema)


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]
    cluster: dict[str, Any] = spec.get("rayClusterSpec", spec)
    return cluster


def containers(cluster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield from group["template"]["spec"]["containers"]


@pytest.mark.parametrize("plural", SHA256)
def test_the_definitions_are_kuberays_own(plural: str) -> None:
    assert hashlib.sha256(definition(plural)).hexdigest() == SHA256[plural]


def test_a_manifest_is_valid(manifest: tuple[dict[str, Any], Draft202012Validator]) -> None:
    document, validator = manifest
    validator.validate(document)


def test_a_misspelt_field_is_refused(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    document, validator = manifest
    for place in ("rayClusterSpec", "containers"):
        wrong = copy.deepcopy(document)
        target = (
            cluster_of(wrong) if place == "rayClusterSpec" else next(containers(cluster_of(wrong)))
        )
        target["volumMounts"] = []
        with pytest.raises(ValidationError, match="volumMounts"):
            validator.validate(wrong)


def test_ray_asks_for_tokens_under_a_version_whose_probes_need_no_wget(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    cluster = cluster_of(manifest[0])
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 53, 0)


def test_the_manifests_name_the_version_of_ray_that_the_package_requires(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    wanted = Version(cluster_of(manifest[0])["rayVersion"])
    assert (wanted.major, wanted.minor) == Version(ray.__version__).release[:2]


def test_every_container_runs_one_image_with_the_runs_and_the_secrets(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    document, _ = manifest
    annotations = document["metadata"]["annotations"]
    for container in containers(cluster_of(document)):
        assert container["image"] == annotations["balpoe/image"]
        assert {entry["name"]: entry["value"] for entry in container["env"]} == {
            "BALPOE_RUNS": annotations["balpoe/runs"],
            "MLFLOW_TRACKING_URI": annotations["balpoe/mlflow"],
        }
        assert container["envFrom"] == [{"secretRef": {"name": annotations["balpoe/secrets"]}}]


def test_our_secret_is_not_the_one_that_kuberay_makes_for_the_token(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    metadata = manifest[0]["metadata"]
    assert metadata["annotations"]["balpoe/secrets"] != metadata["name"]


def test_every_mounted_volume_exists(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    cluster = cluster_of(manifest[0])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert {"name": "runs", "mountPath": "/runs"} in container["volumeMounts"]
        annotations = manifest[0]["metadata"]["annotations"]
        claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in pod["volumes"]}
        assert claims["runs"] == {"claimName": annotations["balpoe/claim"]}
        assert annotations["balpoe/runs"] == "/runs"


def test_new_volumes_are_writable_for_the_user_of_the_image(
    manifest: tuple[dict[str, Any], Draft202012Validator],
) -> None:
    dockerfile = (MANIFESTS.parent / "Dockerfile").read_text()
    (user,) = re.findall(r"useradd .*--uid (\d+)", dockerfile)
    cluster = cluster_of(manifest[0])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["spec"]["securityContext"]["fsGroup"] == int(user)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("gone", [{"shared"}, {"data"}, {"shared", "data"}])
def test_the_readmes_commands_do_without_volumes(name: str, gone: set[str], tmp_path: Path) -> None:
    readme = (MANIFESTS.parent / "README.md").read_text()
    found = re.findall(r"^sed -i '/# (shared|data)\$.*$", readme, re.MULTILINE)
    assert sorted(found) == ["data", "shared"]
    edited = tmp_path / "cluster/kuberay" / name
    edited.parent.mkdir(parents=True)
    edited.write_text((MANIFESTS / name).read_text())
    for mark in gone:
        (command,) = re.findall(rf"^sed -i '/# {mark}\$.*$", readme, re.MULTILINE)
        subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    document = yaml.safe_load(edited.read_text())
    annotations = document["metadata"]["annotations"]
    runs = "s3://studies/team" if "shared" in gone else "/runs"
    paths = {"shared": "/runs", "data": "/data"}
    cluster = cluster_of(document)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"name": "BALPOE_RUNS", "value": runs} in container["env"]
        mounts = container["volumeMounts"] or []  # an empty list is read as null
        assert {mount["name"] for mount in mounts} == {
            each["name"] for each in pod["volumes"] or []
        }
        for mark, path in paths.items():
            assert (path in {mount["mountPath"] for mount in mounts}) == (mark not in gone)
    assert ("balpoe/claim" in annotations) == ("shared" not in gone)
    assert ("balpoe/data" in annotations) == ("data" not in gone)


def test_the_field_that_the_readme_waits_for_exists() -> None:
    readme = (MANIFESTS.parent / "README.md").read_text()
    (field,) = re.findall(r"--for=jsonpath='\{\.status\.(\w+)\}'", readme)
    resource = yaml.load(definition("rayjobs"), Loader=yaml.CSafeLoader)
    (served,) = (each for each in resource["spec"]["versions"] if each["name"] == "v1")
    assert field in served["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]


def test_a_job_is_tried_again_on_a_new_cluster_and_leaves_none_behind() -> None:
    spec = yaml.safe_load((MANIFESTS / "ray-job.yaml").read_text())["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0  # refused by the operator without the line above
