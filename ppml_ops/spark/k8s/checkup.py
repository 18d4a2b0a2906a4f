"""What of a cluster works for a profile, what does not, and who must do what. Nothing is changed."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ppml_ops.errors import PpmlError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.nodes import NodeState, node_states, quantity
from ppml_ops.spark.k8s.objects import DRIVER_RULES, NODE_RULES, Rule, security_level, submitter_rules
from ppml_ops.spark.k8s.platform import KubernetesPlatform
from ppml_ops.spark.k8s.pods import OVERHEAD_MIB, memory_mib
from ppml_ops.spark.k8s.refusals import shown
from ppml_ops.spark.profiles import Profile

_MIB = 1 << 20
_SETUP = "cluster administrator: ppml-ops cluster setup --profile {}"


class Check(NamedTuple):
    """One thing looked at. `ok` is None for what is worth knowing and no fault."""

    name: str
    ok: bool | None
    seen: str
    remedy: str = ""


class Need(NamedTuple):
    """What one job of a profile asks for at once: in all, and its largest pod."""

    cpu: float
    memory: float
    largest_cpu: float
    largest_memory: float


def need_of(platform: KubernetesPlatform) -> Need:
    """Driver (a pod unless in client mode) and executors, with what they need beyond their heaps."""
    wanted = platform.resources
    executor = quantity(platform.executor_cpu), (memory_mib(wanted.executor_memory) + OVERHEAD_MIB) * _MIB
    pods = [executor] * wanted.executors
    if platform.mode != "client":
        driver = quantity(platform.driver_cpu), (memory_mib(wanted.driver_memory) + OVERHEAD_MIB) * _MIB
        pods.append(driver)
    cpus, memories = [cpu for cpu, _ in pods], [memory for _, memory in pods]
    return Need(sum(cpus), sum(memories), max(cpus), max(memories))


def check_up(cluster: Cluster, profile: Profile) -> Iterator[Check]:
    """All checks; one that fails does not keep the others from being made, but for the first."""
    try:
        seen = f"{cluster.server_version()} at {cluster.transport.host}, as {cluster.whoami()}"
    except PpmlError as error:
        yield Check("API server", False, error.what, error.next_step)
        return
    yield Check("API server", True, seen)
    for name, look in (
        ("namespace", _namespace),
        ("rights", _rights),
        ("driver's rights", _driver_rights),
        ("volume", _volume),
        ("nodes", _nodes),
        ("resources", _resources),
        ("quota", _quota),
        ("image", _image),
        ("installed kinds", _kinds),
    ):
        yield _try(name, look, cluster, profile)


def _try(name: str, look: Callable[[Cluster, Profile], Check], cluster: Cluster, profile: Profile) -> Check:
    try:
        return look(cluster, profile)
    except PpmlError as error:
        return Check(name, False, error.what, f"{error.who}: {error.next_step}")


def _namespace(cluster: Cluster, profile: Profile) -> Check:
    platform, remedy = profile.platform, _SETUP.format(profile.name)
    try:
        space = cluster.get("Namespace", None, platform.namespace)
    except PpmlError:
        return Check("namespace", None, f"{platform.namespace}; this account may not look at it")
    if space is None:
        return Check("namespace", False, f"there is no namespace {platform.namespace}", remedy)
    level = space["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce", "none")
    wanted, why = security_level(profile)
    if wanted == "privileged" and level not in ("privileged", "none"):
        return Check("namespace", False, f"Pod Security {level}, but {why}", remedy)
    return Check("namespace", True, f"{platform.namespace}, Pod Security {level}")


def _rights(cluster: Cluster, profile: Profile) -> Check:
    space = profile.platform.namespace
    rules: list[tuple[Rule, str | None]] = [(rule, space) for rule in submitter_rules(profile.platform)]
    rules += [(rule, None) for rule in NODE_RULES]
    lacking = [
        f"{verb} {rule.resource}{'/' if rule.sub else ''}{rule.sub}"
        for rule, where in rules
        for verb in rule.verbs
        if not cluster.may(verb, rule.resource, where, group=rule.group, sub=rule.sub)
    ]
    if lacking:
        return Check(
            "rights", False, f"this account may not: {', '.join(lacking)}", _SETUP.format(profile.name)
        )
    return Check("rights", True, f"all {sum(len(rule.verbs) for rule, _ in rules)} that runs need")


def _driver_rights(cluster: Cluster, profile: Profile) -> Check:
    platform, name = profile.platform, "driver's rights"
    if platform.mode == "client":
        return Check(name, None, "in client mode the driver has this account's")
    if not cluster.may("create", "subjectaccessreviews", None, group="authorization.k8s.io"):
        return Check(name, None, "this account may not ask for those of others")
    user = f"system:serviceaccount:{platform.namespace}:{platform.service_account}"
    lacking = [
        verb
        for rule in DRIVER_RULES
        for verb in rule.verbs
        if not cluster.account_may(user, verb, rule.resource, platform.namespace)
    ]
    if lacking:
        what = f"{platform.service_account} may not {', '.join(lacking)} pods"
        return Check(name, False, what, _SETUP.format(profile.name))
    return Check(name, True, f"{platform.service_account} may make and end executors")


def _volume(cluster: Cluster, profile: Profile) -> Check:
    platform = profile.platform
    claim = cluster.get("PersistentVolumeClaim", platform.namespace, platform.volume_claim)
    phase = claim["status"].get("phase") if claim else "missing"
    seen = f"claim {platform.volume_claim} is {phase}"
    return Check("volume", phase == "Bound", seen, "" if phase == "Bound" else _SETUP.format(profile.name))


def _nodes(cluster: Cluster, profile: Profile) -> Check:
    states = node_states(cluster.find("Node"), profile.platform)
    good = [state.name for state in states if not state.why_not]
    bad = "".join(f"; {state.name} {state.why_not}" for state in states if state.why_not)
    seen = f"{len(good)} of {len(states)} take pods: {', '.join(good[:8])}{shown(bad, 300)}"
    if not good:
        return Check("nodes", False, seen, "cluster administrator: correct what is said, or `node_selector`")
    if len(good) == 1 and not profile.platform.shared:
        return Check("nodes", None, f"{seen}; one node is no protection against losing it")
    return Check("nodes", True, seen)


def _usable(cluster: Cluster, profile: Profile) -> list[NodeState]:
    return [state for state in node_states(cluster.find("Node"), profile.platform) if not state.why_not]


def _resources(cluster: Cluster, profile: Profile) -> Check:
    states, need = _usable(cluster, profile), need_of(profile.platform)
    cpu, memory = sum(state.cpu for state in states), sum(state.memory for state in states)
    seen = (
        f"a job asks for {need.cpu:g} CPU and {need.memory / _MIB:.0f} MiB; "
        f"the nodes have {cpu:g} and {memory / _MIB:.0f} for all"
    )
    fits = any(state.cpu >= need.largest_cpu and state.memory >= need.largest_memory for state in states)
    if fits and need.cpu <= cpu and need.memory <= memory:
        return Check("resources", True, seen)
    more = "" if fits else "; its largest pod fits on no node"
    return Check("resources", False, seen + more, "ask for less in the profile, or add nodes")


def _quota(cluster: Cluster, profile: Profile) -> Check:
    need, short, found = (
        need_of(profile.platform),
        [],
        cluster.find("ResourceQuota", profile.platform.namespace),
    )
    for quota in found:
        hard, used = quota["status"].get("hard", {}), quota["status"].get("used", {})
        for names, wanted in (
            (("cpu", "requests.cpu"), need.cpu),
            (("memory", "requests.memory", "limits.memory"), need.memory),
            (("pods", "count/pods"), profile.platform.resources.executors + 2.0),
        ):
            for name in names:
                if name in hard and quantity(hard[name]) - quantity(used.get(name, 0)) < wanted:
                    short.append(f"{name}: {used.get(name, 0)} of {hard[name]} used")
    if short:
        remedy = "cluster administrator: raise the quota; or ask for less"
        return Check("quota", False, f"too little is left for a job: {'; '.join(short)}", remedy)
    return Check("quota", True, f"{len(found)} in the namespace leave room" if found else "none")


def _image(cluster: Cluster, profile: Profile) -> Check:
    platform = profile.platform
    missing = [state.name for state in _usable(cluster, profile) if not _has_image(state, platform.image)]
    for secret in platform.image_pull_secrets:
        if cluster.may("get", "secrets", platform.namespace) and not cluster.get(
            "Secret", platform.namespace, secret
        ):
            return Check("image", False, f"the pull secret {secret} is missing", "make it in the namespace")
    if not missing:
        return Check("image", True, f"{platform.image} is on all nodes")
    seen = f"{platform.image} is not listed by {', '.join(missing[:8])}"
    if platform.image_pull_policy == "Never":
        return Check("image", False, seen, "load it on those nodes")
    return Check("image", None, f"{seen}; it will be pulled there, `cluster setup` tries that")


def _has_image(state: NodeState, image: str) -> bool:
    wanted = {image, f"docker.io/{image}", f"docker.io/library/{image}"}
    return bool(wanted & state.images)


def _kinds(cluster: Cluster, profile: Profile) -> Check:
    platform, name = profile.platform, "installed kinds"
    if platform.mode == "operator" and not cluster.serves("SparkApplication"):
        return Check(name, False, "no SparkApplication", "cluster administrator: install the Spark operator")
    if platform.runtime_class:
        found: Object | None = cluster.get("RuntimeClass", None, platform.runtime_class)
        if found is None:
            what = f"no RuntimeClass {platform.runtime_class}"
            return Check(name, False, what, "cluster administrator: install it, or correct `runtime_class`")
    return Check(name, True, "all that the profile's mode needs")
