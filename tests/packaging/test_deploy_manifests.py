"""What the manifests promise: that they fit each other, the image and the daemon, without a cluster to ask."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemons import RunningDaemon

from vestnik.configuration import load
from vestnik.daemon import LAST_RESORT
from vestnik.runtime.maintenance import MaintenanceFlag

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
SECRET = "q8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs+uEq8Zt4Lw1Xv7Rb2Ny9Kc5Hd3Mf6Jp0Gs"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


KUSTOMIZATION = read("kustomization.yaml")
RESOURCES = [read(name) for name in KUSTOMIZATION["resources"]]
BY_KIND = {resource["kind"]: resource for resource in RESOURCES}
POD = BY_KIND["Deployment"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
PODS = [POD, read("restore-pod.yaml")["spec"]]


def test_every_file_is_used() -> None:
    generated = [
        name for kind in ("configMap", "secret") for one in KUSTOMIZATION[f"{kind}Generator"] for name in one["files"]
    ]
    here = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert {*KUSTOMIZATION["resources"], *generated} - {"secrets/jwt"} == here - {
        "kustomization.yaml",
        "restore-pod.yaml",
        ".gitignore",
    }


def test_one_daemon_at_a_time_has_the_database_and_time_to_end() -> None:
    deployment = BY_KIND["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert POD["terminationGracePeriodSeconds"] > LAST_RESORT


@pytest.mark.parametrize("pod", PODS)
def test_no_pod_may_more_than_it_needs(pod: dict[str, Any]) -> None:
    """The standard `restricted`, which the namespace demands, and a root that cannot be written to."""
    [user] = re.findall(r"--uid (\d+)", (ROOT / "deploy/Dockerfile").read_text())
    assert pod["automountServiceAccountToken"] is False
    said = pod["securityContext"]
    assert (said["runAsNonRoot"], said["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert {said[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {int(user)}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize("pod", PODS)
def test_every_volume_is_mounted_and_every_mount_is_there(pod: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == volumes.keys()
    claim = BY_KIND["PersistentVolumeClaim"]
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_the_ports_lead_from_the_ingress_to_the_daemon() -> None:
    service = BY_KIND["Service"]
    [port] = service["spec"]["ports"]
    [listening] = CONTAINER["ports"]
    assert port["targetPort"] == listening["name"]
    [rule] = BY_KIND["Ingress"]["spec"]["rules"]
    for path in rule["http"]["paths"]:
        assert path["backend"] == {"service": {"name": service["metadata"]["name"], "port": {"name": port["name"]}}}
        assert not "/metrics".startswith(path["path"])


def test_the_configuration_is_right_and_names_what_is_mounted(tmp_path: Path) -> None:
    secrets = next(mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "secrets")["mountPath"]
    (tmp_path / "jwt").write_text(SECRET)
    shutil.copy(FOLDER / "channels.yaml", tmp_path)
    text = (FOLDER / "vestnik.yaml").read_text()
    assert f"!file {secrets}/jwt" in text
    (tmp_path / "vestnik.yaml").write_text(text.replace(f"{secrets}/jwt", str(tmp_path / "jwt")))
    configuration = load(tmp_path / "vestnik.yaml", serving=True)
    service = configuration.settings.service
    assert service.listen.port == CONTAINER["ports"][0]["containerPort"]
    state = next(mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "state")["mountPath"]
    assert [str(path) for path in (service.state_dir, configuration.database.parent)] == [state, state]


async def test_maintenance_takes_the_pod_out_of_service_and_does_not_kill_it(tmp_path: Path) -> None:
    async with RunningDaemon(tmp_path) as daemon:
        assert await probed(daemon) == {"startupProbe": True, "livenessProbe": True, "readinessProbe": True}
        MaintenanceFlag(tmp_path / "var").set(on=True)
        assert await probed(daemon) == {"startupProbe": True, "livenessProbe": True, "readinessProbe": False}


async def probed(daemon: RunningDaemon) -> dict[str, bool]:
    """By the rule of Kubernetes: 200 to 399 is well."""
    found = {}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        async with daemon.http.get(daemon.url + CONTAINER[name]["httpGet"]["path"]) as response:
            found[name] = 200 <= response.status < 400
    return found


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it_with_the_names_of_what_it_generates(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("secrets"))
    (tmp_path / "kubernetes/secrets").mkdir()
    (tmp_path / "kubernetes/secrets/jwt").write_text(SECRET)
    command = ["kubectl", "kustomize", str(tmp_path / "kubernetes")]
    built = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = {resource["kind"]: resource for resource in yaml.safe_load_all(built.stdout)}
    assert found.keys() == {*BY_KIND, "ConfigMap", "Secret"}
    assert {one["metadata"].get("namespace", "vestnik") for one in found.values()} == {"vestnik"}
    volumes = {one["name"]: one for one in found["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["configuration"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert volumes["secrets"]["secret"]["secretName"] == found["Secret"]["metadata"]["name"]
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()


def test_compose_mounts_every_file_that_the_configuration_includes_and_leaves_time_to_end() -> None:
    text = (ROOT / "deploy/vestnik.yaml").read_text()
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    daemon = compose["services"]["vestnik"]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in daemon["volumes"]}
    for name in re.findall(r"!include (\S+)", text):
        assert (ROOT / "deploy" / mounted[f"/etc/vestnik/{name}"]).is_file()
    assert float(daemon["stop_grace_period"].removesuffix("s")) > LAST_RESORT
