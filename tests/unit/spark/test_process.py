import os
import subprocess
import sys
import time
from pathlib import Path

from ppml_ops.spark.process import ProcessRecord, descendants, kill_tree


def start(options: str) -> subprocess.Popen[bytes]:
    program = f"import subprocess,sys,time; subprocess.Popen(['sleep','60']{options}); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    deadline = time.monotonic() + 10
    while not descendants(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def test_whole_tree_is_ended_own_groups_and_sessions_too() -> None:
    for options in (", process_group=0", ", start_new_session=True"):
        process = start(options)
        record = ProcessRecord.of(process.pid)
        tree = record.tree()
        assert process.pid in tree
        assert len(tree) == 2
        assert kill_tree(record)
        process.wait()
        assert all(_state(pid) in ("Z", None) for pid in tree)


def _state(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else None


def test_children_of_a_dead_leader_are_found_by_its_session() -> None:
    process = start("")
    record = ProcessRecord.of(process.pid)
    process.kill()
    process.wait()
    assert not record.alive()
    assert len(record.tree()) == 1
    assert kill_tree(record)


def test_a_reused_pid_or_another_boot_is_not_the_process() -> None:
    me = ProcessRecord.of(os.getpid())
    assert me.alive()
    assert not me.model_copy(update={"start_time": me.start_time + 1}).alive()
    other_boot = me.model_copy(update={"boot_id": "another"})
    assert not other_boot.alive()
    assert other_boot.tree() == set()


def test_the_session_of_a_stranger_with_our_pid_is_not_ended() -> None:
    """Pids begin anew in a container that starts again, under the same boot id."""
    stranger = start("")
    record = ProcessRecord.of(stranger.pid)
    ours = record.model_copy(update={"start_time": record.start_time - 1})
    try:
        assert ours.tree() == set()
        assert kill_tree(ours)
        assert stranger.poll() is None
    finally:
        kill_tree(record)
        stranger.wait()


def test_adopted_orphans_are_taken_leave_of_and_others_children_not(tmp_path: Path) -> None:
    """In a process of its own, because it becomes the parent of orphans."""
    program = (
        "import os, subprocess, time\n"
        "from ppml_ops.spark.process import adopt_orphans, reap_orphans, _stat\n"
        "adopt_orphans()\n"
        "mine = subprocess.Popen(['true'])\n"
        "pid = int(subprocess.run(['sh', '-c', 'sleep 0.1 & echo $!'], stdout=subprocess.PIPE).stdout)\n"
        "while any(_stat(one)[0] != 'Z' for one in (pid, mine.pid)): time.sleep(0.01)\n"
        "reap_orphans(mine.pid)\n"
        "print(_stat(pid), mine.wait())\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "None 0\n"
