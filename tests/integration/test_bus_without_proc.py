"""A bus where there is no /proc, as in some sandboxes: nobody sees what workers take, and all else goes on."""

from __future__ import annotations

import pytest

from namespaces import in_a_namespace, why_no_namespace

SCRIPT = """
import subprocess, sys
from driven import Settings, WorkerSettings, open_bus_sync
from worker_test_app import Do, app
import driven.pool.scaler, driven.pool.worker_lane  # psutil itself says a word when it is imported without /proc

subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/proc"], check=True)
count = sys.argv[1] if sys.argv[1] == "auto" else int(sys.argv[1])
with open_bus_sync(app, Settings(workers=WorkerSettings(count=count, max_count=2, recycle_after_commands=20))) as bus:
    for number in range(60):
        assert bus.handle(Do("echo", str(number))).events[0].text == str(number)
    print(*{worker.rss_bytes for worker in bus.statistics().workers}, bus.statistics().retired)
"""


@pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())
@pytest.mark.parametrize("count", ["2", "auto"])
def test_workers_start_work_and_are_replaced_where_there_is_no_proc(count: str) -> None:
    """W8, P13: what they take is told as not known; and without a word on standard error."""
    told = in_a_namespace("true", SCRIPT, count)

    assert (told.stderr, told.stdout, told.returncode) == ("", "0 120\n", 0)
