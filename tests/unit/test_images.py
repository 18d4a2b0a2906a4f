"""Build contexts of images: complete, the same each time, nothing of this machine."""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

import ppml_ops
from ppml_ops.attestation.measure import runner_digest
from tests.support.cluster import folder_list, make_context

KINDS = ["spark", "sim", "airflow"]
PACKAGE = "prefix/package"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """A context of each kind, made under two umasks."""
    made = {}
    before = os.umask(0o022)
    try:
        for umask in (0o022, 0o077):
            os.umask(umask)
            for kind in KINDS:
                made[kind, umask] = tmp_path_factory.mktemp(kind) / "context"
                make_context(kind, made[kind, umask])
    finally:
        os.umask(before)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_same_tree_same_context(contexts, kind):
    assert folder_list(contexts[kind, 0o022]) == folder_list(contexts[kind, 0o077])


@pytest.mark.parametrize("kind", KINDS)
def test_the_runner_is_that_of_the_checkout(contexts, kind):
    folder = contexts[kind, 0o022]
    assert runner_digest(folder / PACKAGE / "ppml_ops", folder / "prefix") == runner_digest()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_this_machine(contexts, kind):
    folder = contexts[kind, 0o022]
    places = [str(Path(ppml_ops.__file__).parents[1]).encode(), sys.prefix.encode()]
    for path in folder.rglob("*"):
        assert path.name not in ("__pycache__", "direct_url.json", "RECORD") and not path.is_symlink()
        if path.is_file() and path.suffix != ".jar":
            assert not any(place in path.read_bytes() for place in places), path


def test_the_simulator_is_in_its_own_image_only(contexts):
    having = {kind for kind in KINDS if (contexts[kind, 0o022] / PACKAGE / "ppml_sim").exists()}
    assert having == {"sim"}


def test_locks_agree(project):
    """What runs in a TEE has the versions that the tests ran with."""
    locks = {
        name: {line.split(" ")[0] for line in (project / name).read_text().splitlines() if "==" in line[:60]}
        for name in ("requirements.txt", "requirements-spark.txt", "requirements-sim.txt")
    }
    assert locks["requirements-spark.txt"] <= locks["requirements.txt"]
    assert locks["requirements-sim.txt"] - locks["requirements.txt"] <= {"colorama==0.4.6"}


def test_java_reads_the_trust_store(project, tmp_path):
    """keytool finds each certificate once, under its own fingerprint; the bytes depend on nothing else."""
    keytool = shutil.which("keytool")
    if keytool is None:
        pytest.skip("no keytool")
    first, second = (trustme.CA().cert_pem.bytes() for _ in range(2))
    outputs = []
    for number, pem in enumerate((first + second, second + b"\n" + first + first)):
        (tmp_path / "in.crt").write_bytes(pem)
        out = tmp_path / f"cacerts-{number}"
        script = project / "deploy/images/java_trust.py"
        subprocess.run([sys.executable, script, tmp_path / "in.crt", out], check=True)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
    command = [keytool, "-list", "-keystore", tmp_path / "cacerts-0", "-storepass", "changeit"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert listed.count("trustedCertEntry") == 2
    for pem in (first, second):
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()
        assert fingerprint.hex(":").upper() in listed
