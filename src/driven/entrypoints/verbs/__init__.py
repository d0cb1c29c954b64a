"""What can be typed: each verb is a struct whose fields are its arguments and whose docstring is its help.

::

    parsing         all verbs, and which of them was typed
    |- looking        check, placement, doctor, bench, top
    |- log            log
    |- parked         parked
    |- due            due
    |- replaying      verify, rebuild, schema
    `- carrying_out   run, dispatch
       |- arguments     types of arguments that several take
       `- answer        what a verb found out

Needs tyro, so it is imported by `cli` only, and there as late as possible. What a verb finds out with is imported
when it runs: the doctor is there for those on whose machine the rest cannot be imported.
"""
