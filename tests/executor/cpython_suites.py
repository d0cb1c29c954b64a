"""CPython's own tests of executors, from the interpreter that runs this, on our `Executor` and on the standard one.

A module, and not a program: workers import it, as the classes that are made here hold what they call. `run_cpython`
runs it. Nothing is copied: the suites are those of the package `test.test_concurrent_futures`.
"""

from __future__ import annotations

import multiprocessing
import unittest
import unittest.mock
from concurrent import futures
from typing import Any

from test.test_concurrent_futures import (  # type: ignore[import-not-found]  # of CPython 3.13
    test_as_completed,
    test_deadlock,
    test_init,
    test_process_pool,
    test_shutdown,
    test_wait,
)
from test.test_concurrent_futures.util import (  # type: ignore[import-not-found]  # as above
    BaseTestCase,
    ExecutorMixin,
    ProcessPoolSpawnMixin,
    create_executor_tests,
)

from stand_in import DrivenExecutor

SUITES = {
    "ExecutorTest": test_process_pool.ProcessPoolExecutorTest,
    "WaitTests": test_wait.WaitTests,
    "AsCompletedTests": test_as_completed.AsCompletedTests,
    "InitializerMixin": test_init.InitializerMixin,
    "FailingInitializerMixin": test_init.FailingInitializerMixin,
    "ShutdownTest": test_shutdown.ProcessPoolShutdownTest,
    "DeadlockTest": test_deadlock.ExecutorDeadlockTest,
}

# These make a ProcessPoolExecutor by name, whatever executor they are to test.
BY_NAME = ("test_context_manager_shutdown", "test_del_shutdown", "test_shutdown_no_wait")

EXCEPTIONS = {
    "test_killed_child": (
        "asks that the death of one worker ends the pool; here it fails one call, and all else goes on"
    ),
    "test_submit_after_interpreter_shutdown": (
        "asks for the very name RuntimeError in what is printed; ours is a RuntimeError with a name of its own"
    ),
    "test_max_tasks_per_child_defaults_to_spawn_context": (
        "asks for a multiprocessing context; there is none here, as workers are programs started by name"
    ),
}
"""What is not asked of ours, and why."""


WARM = ("test_cancel_futures",)
"""These ask that something runs at once. Here a call can be cancelled as long as no worker is there to run it."""


class SharedContext:
    """What the tests want of a context: here semaphores are a manager's, which can be sent to any process."""

    def __init__(self, test: unittest.TestCase) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._test = test

    def get_start_method(self, *, allow_none: bool = False) -> str:
        """Neither forks."""
        return "spawn"

    def Manager(self) -> Any:  # noqa: ANN401, N802 - as the context names it
        """The real one."""
        return self._context.Manager()

    def Semaphore(self, value: int) -> Any:  # noqa: ANN401, N802 - as the context names it
        """One that workers can reach."""
        manager = self.Manager()
        self._test.addCleanup(manager.shutdown)
        return manager.Semaphore(value)


class DrivenMixin(ExecutorMixin):  # type: ignore[misc]  # of CPython 3.13
    """Ours, in the place of theirs."""

    executor_type = DrivenExecutor

    def setUp(self) -> None:
        """Have those tests take ours that name theirs."""
        if self._testMethodName in EXCEPTIONS:
            self.skipTest(EXCEPTIONS[self._testMethodName])
        if self._testMethodName in BY_NAME:
            patch = unittest.mock.patch.object(futures, "ProcessPoolExecutor", DrivenExecutor)
            patch.start()
            self.addCleanup(patch.stop)
        super().setUp()
        if self._testMethodName in WARM:
            self.executor.submit(int).result()

    def get_context(self) -> SharedContext:
        """What they make semaphores and managers with."""
        return SharedContext(self)


MIXINS = {"driven": DrivenMixin, "control": ProcessPoolSpawnMixin}

for suite in SUITES.values():
    create_executor_tests(globals(), suite, bases=(BaseTestCase,), executor_mixins=tuple(MIXINS.values()))


def cases(who: str, suite: str) -> unittest.TestSuite:
    """The tests of one suite for ours or theirs."""
    mixin, body = MIXINS[who], SUITES[suite]
    [case] = [
        found
        for found in globals().values()
        if isinstance(found, type)
        and issubclass(found, mixin)
        and issubclass(found, body)
        and found not in (mixin, body)
    ]
    return unittest.defaultTestLoader.loadTestsFromTestCase(case)
