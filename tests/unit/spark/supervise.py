"""Runs a supervisor in a process of its own, because it ends *all* descendants: `supervise.py '<json>'`."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from ppml_ops.spark.logfilter import LifeCycle
from ppml_ops.spark.process import adopt_orphans, descendants
from ppml_ops.spark.render import Submission
from ppml_ops.spark.sealedlog import SealedLog
from ppml_ops.spark.supervisor import Supervisor


def main() -> None:
    adopt_orphans()
    options = json.loads(sys.argv[1])
    said: list[str] = []
    submission = Submission([sys.executable, "-c", options["program"]], {}, {"PATH": os.environ["PATH"]})
    start = time.monotonic()
    with SealedLog(Path(options["log"]), bytes(range(32)), "result") as log:
        life = LifeCycle(frozenset())
        supervisor = Supervisor(submission, log, life, said.append, grace=4, clear=options["clear"])
        if options["end"]:
            threading.Thread(target=end_soon, args=(supervisor,)).start()
        code = supervisor.run(Path.cwd())
    left = len(descendants(os.getpid()))
    print(json.dumps({"code": code, "said": said, "left": left, "seconds": time.monotonic() - start}))


def end_soon(supervisor: Supervisor) -> None:
    while not descendants(os.getpid()):
        time.sleep(0.02)
    time.sleep(0.5)
    supervisor.ask_to_end()


if __name__ == "__main__":
    main()
