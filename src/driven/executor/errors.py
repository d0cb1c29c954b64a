"""What an `Executor` raises beside what calls raise. A branch of the tree in `driven.errors`, and of the standard one.

::

    DrivenError
    |- ExecutorClosed       RuntimeError        it takes no more calls
    |- CallFailed                               the call raised what cannot be sent back
    |- CallUnreadable       BrokenProcessPool   the call, or its value, cannot be unpickled at the other end
    |- MisuseError
    |  `- CallUnpicklable     PicklingError       the call cannot be sent
    `- InfrastructureError
       |- WorkerDied          BrokenProcessPool   its worker died while it ran
       `- ExecutorBroken      BrokenProcessPool   no worker can be had

They stand apart because their second parents take time to import. Programs that were written for a
`ProcessPoolExecutor` catch what they always caught; but only `ExecutorBroken` says that the executor is of no use.
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError

from driven.errors import DrivenError, InfrastructureError, MisuseError


def _and_where(remote_traceback: str) -> str:
    return f"\n\nwhere it ran:\n{remote_traceback.rstrip()}" if remote_traceback else ""


class ExecutorClosed(DrivenError, RuntimeError):
    """`submit` after `shutdown`, at interpreter exit, or in a forked copy of the process."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot schedule new futures {reason}; make another Executor")

    def __reduce__(self) -> tuple[type[ExecutorClosed], tuple[str]]:
        return type(self), (self.reason,)


class CallFailed(DrivenError):
    """A call raised an exception that cannot be pickled and made again: its type's name, its text, its traceback."""

    def __init__(self, error_type: str, error_message: str, remote_traceback: str = "") -> None:
        self.error_type = error_type
        self.error_message = error_message
        self.remote_traceback = remote_traceback
        super().__init__(f"{error_type}: {error_message}{_and_where(remote_traceback)}")

    def __reduce__(self) -> tuple[type[CallFailed], tuple[str, str, str]]:
        return type(self), (self.error_type, self.error_message, self.remote_traceback)


class CallUnreadable(DrivenError, BrokenProcessPool):
    """Bytes were pickled at one end and cannot be unpickled at the other; the error that says why is the cause."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(
            f"{what} cannot be unpickled: {reason}; let it be made of what both ends can import, "
            f"and make again without raising"
        )

    def __reduce__(self) -> tuple[type[CallUnreadable], tuple[str, str]]:
        return type(self), (self.what, self.reason)


class CallUnpicklable(MisuseError, PicklingError):
    """`name` is defined in the program itself, which no worker imports, and nothing here can send it by value."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name} is defined in __main__, which workers do not import, as no program is run twice here; "
            f"put it into a module, or: pip install cloudpickle"
        )

    def __reduce__(self) -> tuple[type[CallUnpicklable], tuple[str]]:
        return type(self), (self.name,)


class WorkerDied(InfrastructureError, BrokenProcessPool):
    """The worker that ran this call died, and this call is to blame; all others go on, and so does the executor."""

    def __init__(self, call: str, reason: str, remote_traceback: str = "") -> None:
        self.call = call
        self.reason = reason
        self.remote_traceback = remote_traceback
        super().__init__(
            f"{call} was not finished: {reason}; it is not run again: "
            f"see to what it does, and submit it anew if it may run twice{_and_where(remote_traceback)}"
        )

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[str, str, str]]:
        return type(self), (self.call, self.reason, self.remote_traceback)


class ExecutorBroken(InfrastructureError, BrokenProcessPool):
    """No worker can be had: the initializer fails, or processes do not start. Every call that waited fails with it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"no worker can be had; mend the cause, and make another Executor. The cause: {reason}")

    def __reduce__(self) -> tuple[type[ExecutorBroken], tuple[str]]:
        return type(self), (self.reason,)
