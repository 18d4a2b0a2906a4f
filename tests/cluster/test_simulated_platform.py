"""Pods, each with a TD of its own on a simulated platform of its node. SIMULATED."""

import json
import time

import pytest

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.errors import UntrustedChainError
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.measure import measured_job_digest, runner_digest
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.canonical import b64d, canonical_json
from ppml_sim.collateral import make_collateral
from ppml_sim.pki import make_pki
from tests.support.cluster import restricted_pod

PYTHON = ["/opt/ppml/bin/python3", "-I", "-X", "pycache_prefix=/dev/null/pycache"]
JOB = canonical_json({"ppml": "spark-job/1", "code": {"main": "main.py", "digest": "0" * 64}})
CODE = b"print(1)\n"
#: What the first process of a pod does: a TD, quotes, one of them after its job has changed; one line of JSON.
PEER = """
import json, os, sys, time
from pathlib import Path
from ppml_ops.attestation.evidence import provider_for
from ppml_ops.canonical import b64e
from ppml_ops.errors import PpmlError
from ppml_ops.spark.platform_client import PlatformClient

work = Path("/tmp/g")
work.mkdir()
for name in ("job.json", "main.py"):
    (work / name).write_bytes(Path("/given", name).read_bytes())
td = PlatformClient(Path("/run/ppml-sim/platform.sock")).create_td(
    os.environ["HOSTNAME"], work / "job.json", work / "main.py")
device = provider_for({"kind": "socket", "path": td.socket})
evidence = device.quote(bytes(range(64)))
(work / "job.json").write_bytes((work / "job.json").read_bytes().replace(b"main.py", b"evil.py"))
try:
    device.quote(bytes(64))
    changed = None
except PpmlError as error:
    changed = str(error)
line = dict(node=os.environ["NODE_NAME"], socket=td.socket, quote=b64e(evidence.quote),
    log=b64e(evidence.event_log), changed=changed)
print(json.dumps(line), flush=True)
time.sleep(3600)
"""
#: A process that is not inside that TD: asks the device at argv[1], and wants the TD called argv[2].
STRANGER = """
import json, sys
from pathlib import Path
from ppml_ops.attestation.evidence import provider_for
from ppml_ops.errors import PpmlError
from ppml_ops.spark.platform_client import PlatformClient

said = []
for attempt in (
    lambda: provider_for({"kind": "socket", "path": sys.argv[1]}).quote(bytes(64)),
    lambda: PlatformClient(Path("/run/ppml-sim/platform.sock")).create_td(
        sys.argv[2], Path("/given/job.json"), Path("/given/main.py")),
    lambda: PlatformClient(Path("/run/ppml-sim/platform.sock")).destroy_td(Path(sys.argv[1]).stem),
):
    try:
        attempt()
        said.append(None)
    except PpmlError as error:
        said.append(str(error))
print(json.dumps(said))
"""
#: All that can be opened, and all that can be written, below the folder of the device.
LOOK = """
import json, os
found, written = [], []
for folder, folders, names in os.walk("/run/ppml-sim"):
    for name in names:
        try:
            open(os.path.join(folder, name), "rb").read()
            found.append(name)
        except OSError:
            pass
    try:
        open(os.path.join(folder, "mine"), "w")
        written.append(folder)
    except OSError:
        pass
print(json.dumps([found, written]))
"""


def pod(name, image, nodes, node, command):
    """A pod on `node` with the device of that node and the job."""
    document = restricted_pod(name, image, command, nodeName=node)
    spec = document["spec"]
    spec["volumes"] += [
        {"name": "device", "hostPath": {"path": nodes.device_path, "type": "Directory"}},
        {"name": "given", "configMap": {"name": "given"}},
    ]
    spec["containers"][0]["volumeMounts"] += [
        {"name": "device", "mountPath": "/run/ppml-sim", "subPathExpr": "$(NODE_NAME)", "readOnly": True},
        {"name": "given", "mountPath": "/given", "readOnly": True},
    ]
    return document


@pytest.fixture(scope="module")
def peers(cluster, namespace, spark_image, simulated_nodes):
    """A pod on each node, with what it said."""
    given = {"job.json": JOB.decode(), "main.py": CODE.decode()}
    cluster.core.create_namespaced_config_map(namespace, {"metadata": {"name": "given"}, "data": given})
    said = {}
    for node in cluster.nodes():
        name = f"peer-{node}"
        cluster.run(namespace, pod(name, spark_image, simulated_nodes, node, [*PYTHON, "-c", PEER]))
        said[name] = json.loads(cluster.log_line(namespace, name))
    return said


@pytest.fixture(scope="module")
def stranger(cluster, namespace, spark_image, simulated_nodes, peers):
    """Another pod on the first node."""
    node = cluster.nodes()[0]
    command = ["/bin/sleep", "3600"]
    cluster.run(namespace, pod("stranger", spark_image, simulated_nodes, node, command))
    return "stranger"


def test_a_brokers_appraisal_accepts_the_quotes_of_every_node(peers, simulated_nodes, tmp_path):
    """Nodes share one root; runner and job are those of this checkout, as each pod sees them."""
    code = tmp_path / "main.py"
    code.write_bytes(CODE)
    pki, now = make_pki(simulated_nodes.seed), int(time.time())
    domain, collateral = TrustDomain(pki.root_der), make_collateral(pki, now)
    assert len({said["node"] for said in peers.values()}) == len(peers)
    for said in peers.values():
        evidence = Evidence("tdx", b64d(said["quote"]), b64d(said["log"]))
        claims = appraise(evidence, collateral, report_data=bytes(range(64)), now=now, domain=domain)
        assert claims.simulated and claims.tcb_status == "UpToDate"
        assert claims.runner_digest == runner_digest()
        assert claims.job_digest == measured_job_digest(JOB, code)
        with pytest.raises(UntrustedChainError):
            appraise(evidence, collateral, report_data=bytes(range(64)), now=now, domain=TrustDomain.intel())


def test_a_pod_with_a_changed_job_gets_no_quote(peers):
    for said in peers.values():
        assert "changed since this TD was created" in (said["changed"] or "")


@pytest.mark.parametrize("where", ["peer", "stranger"])
def test_a_td_serves_nobody_outside_it(cluster, namespace, peers, stranger, where):
    """Neither another pod nor a command that was put into the same pod beside the TD's process."""
    name = f"peer-{cluster.nodes()[0]}"
    ran = cluster.exec(
        namespace,
        stranger if where == "stranger" else name,
        *PYTHON,
        "-c",
        STRANGER,
        peers[name]["socket"],
        name,
    )
    quote, create, destroy = json.loads(ran.out)
    assert "does not run in this TD" in quote
    assert "belongs to another process" in create and "belongs to another process" in destroy


def test_a_pod_sees_sockets_only(cluster, namespace, stranger):
    """No seed, no state, nothing to write."""
    found, written = json.loads(cluster.exec(namespace, stranger, *PYTHON, "-c", LOOK).out)
    assert found == [] and written == []


def test_an_interpreter_of_the_pods_own_is_measured_where_it_lies(cluster, namespace, stranger):
    """A changed copy of the product in /tmp gets a TD, whose runner is another one."""
    script = (
        "set -e; mkdir -p /tmp/v/bin /tmp/v/lib/python3.11/site-packages; "
        "ln -s $(readlink -f $(which python3)) /tmp/v/bin/python3; cd /opt/ppml/lib/python3.11/site-packages; "
        "for n in *; do case $n in ppml_ops) cp -r $n /tmp/v/lib/python3.11/site-packages/;; "
        "*) ln -s $PWD/$n /tmp/v/lib/python3.11/site-packages/;; esac; done; "
        "cp /opt/ppml/pyvenv.cfg /tmp/v/; echo '#' >> /tmp/v/lib/python3.11/site-packages/ppml_ops/errors.py"
    )
    assert cluster.exec(namespace, stranger, "sh", "-c", script).code == 0
    ask = (
        PEER.replace('os.environ["HOSTNAME"]', '"own"')
        .replace("time.sleep(3600)", "")
        .replace("/tmp/g", "/tmp/h")
    )
    ran = cluster.exec(namespace, stranger, "/tmp/v/bin/python3", "-I", "-c", ask)
    log = json.loads(b64d(json.loads(ran.out)["log"]))
    assert log[0]["digest"] != runner_digest()
