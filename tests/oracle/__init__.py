"""The reference machine: each row alone through the whole graph, in plain dictionaries and lists.

It defines what the engine must give, order included. Nothing is ever freed and nothing is fast:
every answer is computed from the rows that count, at the moment it is asked for.

    machine = Machine(plan, {0: [0, 1]})
    out = machine.step([Feed(0, [{"at": datetime(2024, 1, 1), "k": "a"}], partition=0)])
    out.outputs[0], out.alerts, out.late[0], out.invalid[0]
"""

from .machine import Feed, Machine, Out
from .values import FOREVER, NEVER, key_range, micros, stamp

__all__ = ["FOREVER", "NEVER", "Feed", "Machine", "Out", "key_range", "micros", "stamp"]
