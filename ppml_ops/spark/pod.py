"""The entry point of every pod of a job, as its first process.

    /opt/ppml/bin/python3 -I -X pycache_prefix=/dev/null/pycache -m ppml_ops.spark.pod driver | executor | node

`driver` and `executor` attest, get their keys and start their JVM; further arguments, which the Spark operator
and Spark's driver add, mean nothing here. Standard output gets life-cycle lines only, the termination message
exit code, application and the line that tells most. `node` waits: the orchestrator works through `pods/exec`.
Exit codes: 0, 70 the workload failed, 65 and 75 to 78 as in `ppml_ops.errors`, 143 ended on request; an
executor's JVM may have others of Spark's own.
"""

import signal
import sys


def wait_for_end() -> int:
    """Do nothing until the pod is deleted."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    return 0


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code."""
    role = arguments[0] if arguments else ""
    if role == "node":
        return wait_for_end()
    from ppml_ops.spark.k8s import podprocess  # a node pod lives on little memory

    return podprocess.main(role)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
