"""A model of the protocol that commits outputs, input offsets and state in one Kafka transaction.

One partition of some records; a few workers, each of which may go on, crash, start again, or sleep
and come back, at every step and as often as it likes. One of them should work on the partition: the
others are those that a supervisor or the group believes dead. The search visits every state that
can be reached, and looks in each at what a reader of the topic sees:

- committed outputs are those of the records before the committed offset, each once;
- the snapshot that the committed offset names exists, and is whole.

A rule that is left out must give a counterexample: the shortest list of steps to the damage. Not in
the model: several partitions, a broker that loses data, delay of requests other than the one that
ends a transaction, and time. `python -m tests.kafka.model` searches at full size.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# where a worker is
INIT, CLEAN, CLEANING, READ, READY, OPEN, WRITING, WRITTEN, SENT, COMMITTED = range(10)


@dataclass(frozen=True)
class Rules:
    """The protocol; a rule that is False is left out."""

    group: bool = True  # the group assigns the partition, and fences by its generation
    one_id: bool = False  # all workers have one transactional.id; else each has its own
    require_stable: bool = True  # R1: read_committed, so a pending offset is waited for
    init_first: bool = True  # R2: init_transactions before committed()
    heed_errors: bool = True  # R3: no commit after a failed send_offsets_to_transaction
    renew_producer: bool = True  # R5: another producer after a commit that was sent twice
    reread_in_doubt: bool = True  # R5: the pointer says whether a commit in doubt went through
    reload: bool = True  # R6: after an abort all state is loaded again
    careful_gc: bool = True  # R7: only snapshots before the own last committed one are deleted
    unique_snapshots: bool = True  # R8: no snapshot takes the name of another
    outages: bool = False  # a broker may forget an open transaction and leave its records
    clean: bool = True  # R11: abort a transaction on all outputs before anything is read


class Worker(NamedTuple):
    """A worker: where it is, and the number of records in its state."""

    at: int = INIT
    memory: int = 0
    whole: int = 0  # its snapshot exists, which it has written and not sent
    member: int = 0  # the group takes it for the owner
    current: int = 0  # the broker takes its producer for the latest of its id


class Txn(NamedTuple):
    """What the broker has pending of a transactional id."""

    open: int = 0
    outs: int = 0  # two bits a record: how often its output is in there
    offset: int = 0
    whole: int = 0  # the snapshot that goes with the offset exists
    sent: int = 0  # the offset is of the open transaction, not left of another
    late: int = 0  # a request to commit is still on its way


State = tuple[int, tuple[Worker, ...], tuple[Txn, ...]]  # the committed offset first
Step = tuple[str, State, str | None]  # its name, the state after it, the damage done by it
NOTHING = Txn()


def aborted(txn: Txn) -> Txn:
    """What is left after an abort: the group is told only of offsets of this transaction."""
    if txn.sent or not txn.offset:
        return NOTHING
    return Txn(offset=txn.offset, whole=txn.whole)


def added(outs: int, record: int) -> int:
    """One more output of a record; more than two count as two."""
    count = outs >> 2 * record & 3
    return outs if count == 2 else outs + (1 << 2 * record)


def put(values: tuple, place: int, value: object) -> tuple:
    return (*values[:place], value, *values[place + 1 :])


class Model:
    """All that can happen from a state."""

    def __init__(self, rules: Rules, records: int, workers: int) -> None:
        self.rules, self.records, self.workers = rules, records, workers
        self.begin = INIT if rules.init_first else READ
        self.dummy = records  # the record of a transaction that is there to be aborted

    def start(self) -> State:
        ids = 1 if self.rules.one_id else self.workers
        return (0, (Worker(self.begin),) * self.workers, (NOTHING,) * ids)

    def heard(self, state: State) -> State:
        """The state with fenced workers at their start: nobody hears of what they do until then."""
        pointer, workers, txns = state
        return (
            pointer,
            tuple([w if self.is_heard(w) else self.restarted(w) for w in workers]),
            txns,
        )

    def canonical(self, state: State) -> State:
        """One state for all numberings of the workers."""
        pointer, workers, txns = self.heard(state)
        if self.rules.one_id:
            return (pointer, tuple(sorted(workers)), txns)
        pairs = sorted(zip(workers, txns, strict=True))
        return (pointer, tuple([w for w, _ in pairs]), tuple([t for _, t in pairs]))

    def is_heard(self, worker: Worker) -> bool:
        at = worker.at
        if worker.current or at in (INIT, COMMITTED):
            return True
        if at == READ:
            return not self.rules.init_first
        return at in (OPEN, WRITING) and not self.rules.unique_snapshots

    def restarted(self, worker: Worker) -> Worker:
        return Worker(self.begin, 0, 0, worker.member, 0)

    def steps(self, state: State) -> Iterator[Step]:
        """Each step that can be taken."""
        pointer, workers, txns = state
        for i, worker in enumerate(workers):
            if worker.at != self.begin:
                gone = put(workers, i, worker._replace(at=self.begin, memory=0, whole=0, current=0))
                yield f"worker {i}: crash", (pointer, gone, txns), None
            yield from self.alone(state, i)
            if worker.current:
                yield from self.transact(state, i)
        for tid, txn in enumerate(txns):
            if txn.open:
                yield "the transaction times out", self.expired(state, tid, aborted(txn)), None
            if txn.open and self.rules.outages:
                left = Txn(outs=txn.outs, offset=txn.offset, whole=txn.whole)
                yield "an outage: the broker forgets", self.expired(state, tid, left), None
            if txn.late:
                arrived = (pointer, workers, put(txns, tid, txn._replace(late=0)))
                yield "a late request to commit arrives", *self.commit(arrived, tid)

    def expired(self, state: State, tid: int, left: Txn) -> State:
        """The broker ends the transaction itself; the epoch of its producer is an old one now."""
        pointer, workers, txns = state
        fenced = tuple(
            w._replace(current=0) if self.rules.one_id or i == tid else w
            for i, w in enumerate(workers)
        )
        return (pointer, fenced, put(txns, tid, left))

    def alone(self, state: State, i: int) -> Iterator[Step]:
        """What worker `i` may do that needs no transaction."""
        rules = self.rules
        pointer, workers, txns = state
        worker = workers[i]
        at, memory = worker.at, worker.memory
        tid = 0 if rules.one_id else i
        me = f"worker {i}: "
        if at == self.begin and rules.group and not worker.member:
            joined = tuple(w._replace(member=int(j == i)) for j, w in enumerate(workers))
            yield me + "join the group", (pointer, joined, txns), None
        if at == INIT:
            after = READ if rules.init_first else READY
            after = CLEAN if rules.outages and rules.clean else after
            if rules.one_id:
                workers = tuple(w._replace(current=0) for w in workers)
            ready = put(workers, i, worker._replace(at=after, current=1))
            txn = txns[tid]
            left = aborted(txn) if txn.open else txn._replace(late=0)
            yield me + "init_transactions", (pointer, ready, put(txns, tid, left)), None
        elif at == READ and not (rules.require_stable and any(txn.offset for txn in txns)):
            to = READY if rules.init_first else INIT
            read = put(workers, i, worker._replace(at=to, memory=pointer))
            yield me + "read the pointer", (pointer, read, txns), None
        elif at == COMMITTED:
            yield me + "delete old snapshots", *self.deleted(state, i)
        elif at == OPEN and rules.unique_snapshots:
            written = put(workers, i, worker._replace(at=WRITTEN, whole=1))
            yield me + "write the snapshot", (pointer, written, txns), None
        elif at in (OPEN, WRITING):
            (pointer, workers, txns), damage = self.overwritten(state, memory, int(at == WRITING))
            to = WRITING if at == OPEN else WRITTEN
            written = put(workers, i, worker._replace(at=to, whole=int(at == WRITING)))
            verb = "begin" if at == OPEN else "finish"
            yield f"{me}{verb} to write the snapshot", (pointer, written, txns), damage

    def deleted(self, state: State, i: int) -> tuple[State, str | None]:
        """The state without the snapshots that worker `i` has no use for."""
        pointer, workers, txns = state
        mine = workers[i].memory

        def goes(position: int) -> bool:
            return position < mine or not self.rules.careful_gc

        def left(worker: Worker) -> Worker:
            return worker._replace(whole=0) if goes(worker.memory) else worker

        workers = put(tuple(map(left, workers)), i, workers[i]._replace(at=READY))
        txns = tuple(txn._replace(whole=0) if goes(txn.offset) else txn for txn in txns)
        damage = "the committed snapshot is deleted" if pointer != mine and goes(pointer) else None
        return (pointer, workers, txns), damage

    def overwritten(self, state: State, position: int, whole: int) -> tuple[State, str | None]:
        """The state after a snapshot is begun or finished under a name that others may have."""
        pointer, workers, txns = state
        workers = tuple(
            w._replace(whole=whole) if w.at == WRITTEN and w.memory == position else w
            for w in workers
        )
        txns = tuple(txn._replace(whole=whole) if txn.offset == position else txn for txn in txns)
        damage = None if whole or pointer != position else "the committed snapshot is torn"
        return (pointer, workers, txns), damage

    def transact(self, state: State, i: int) -> Iterator[Step]:
        """What worker `i`, whose producer is not fenced, may ask of the broker."""
        rules = self.rules
        pointer, workers, txns = state
        worker = workers[i]
        at, memory = worker.at, worker.memory
        tid = 0 if rules.one_id else i
        txn = txns[tid]
        me = f"worker {i}: "

        def moved(to: int, txn: Txn, memory: int = memory) -> State:
            now = worker._replace(at=to, memory=memory, whole=0)
            return (pointer, put(workers, i, now), put(txns, tid, txn))

        if at == CLEAN:
            dirty = txn._replace(
                open=1, outs=added(txn.outs, self.dummy), offset=txn.offset or 1, sent=1
            )
            yield me + "write an output and an offset to abort", moved(CLEANING, dirty), None
        elif at == CLEANING:
            to = READ if rules.init_first else READY
            yield me + "abort them", moved(to, aborted(txn)), None
        elif at == WRITTEN:
            if not rules.heed_errors:
                yield me + "send_offsets fails; go on", moved(SENT, txn), None
            else:
                to, memory_after = (READ, 0) if rules.reload else (READY, memory)
                after = moved(to, aborted(txn), memory_after)
                yield me + "send_offsets fails; abort", after, None
            if worker.member or not rules.group:
                pending = txn._replace(offset=memory, whole=worker.whole, sent=1)
                yield me + "send_offsets", moved(SENT, pending), None
        elif at == SENT:
            yield from self.ask_to_commit(state, i, tid)
        if at in (READY, OPEN) and memory < self.records:
            more = txn._replace(open=1, outs=added(txn.outs, memory))
            yield f"{me}write output {memory}", moved(OPEN, more, memory + 1), None

    def ask_to_commit(self, state: State, i: int, tid: int) -> Iterator[Step]:
        """A commit of worker `i`: it works, or works and is sent twice, or nobody answers."""
        pointer, workers, txns = state
        worker = workers[i]
        me = f"worker {i}: "
        goes_on = worker._replace(at=COMMITTED)
        again = worker._replace(at=self.begin, memory=0, current=0)
        done, damage = self.commit((pointer, put(workers, i, goes_on), txns), tid)
        yield me + "commit", done, damage
        twice = again if self.rules.renew_producer else goes_on
        twin = done[2][tid]._replace(late=1)
        after = (done[0], put(workers, i, twice), put(done[2], tid, twin))
        yield me + "commit, with a request sent twice", after, damage
        unheard = again if self.rules.reread_in_doubt else goes_on
        txn = txns[tid]._replace(late=1)
        after = (pointer, put(workers, i, unheard), put(txns, tid, txn))
        yield me + "ask to commit, and hear nothing", after, None

    def commit(self, state: State, tid: int) -> tuple[State, str | None]:
        """The broker commits what is pending; the state after it, and what is wrong with it."""
        pointer, workers, txns = state
        txn = txns[tid]
        if not txn.open:
            return state, None
        after = txn.offset if txn.sent else pointer
        left = aborted(txn)
        return (after, workers, put(txns, tid, left)), self.damage(txn, pointer, after)

    def damage(self, txn: Txn, before: int, after: int) -> str | None:
        """What is wrong with outputs that are committed as the offset goes from before to after."""
        if txn.outs >> 2 * self.dummy:
            return "an output that is to be aborted is committed"
        for record in range(self.records):
            count = txn.outs >> 2 * record & 3
            if count > 1 or (count and record < before):
                return f"output {record} is there twice"
            if count and record >= after:
                return f"output {record} is committed without its offset"
            if not count and before <= record < after:
                return f"output {record} is missing"
        if after < before:
            return "the committed offset goes back"
        if txn.sent and not txn.whole:
            return "the committed snapshot does not exist"
        return None


class Found(NamedTuple):
    """What a search found: the number of states, and a shortest way to damage."""

    states: int
    damage: str | None
    steps: list[str]


def search(rules: Rules, records: int, workers: int) -> Found:
    """Visit all states that can be reached, nearest first, until there is damage."""
    model = Model(rules, records, workers)
    first = model.canonical(model.start())
    came_from: dict[State, State | None] = {first: None}
    row = [first]
    while row:
        following = []
        for state in row:
            for _, after, damage in model.steps(state):
                after = model.canonical(after)
                if damage is not None:
                    return Found(len(came_from), damage, way(model, came_from, state, damage))
                if after not in came_from:
                    came_from[after] = state
                    following.append(after)
        row = following
    return Found(len(came_from), None, [])


def way(model: Model, came_from: dict[State, State | None], last: State, damage: str) -> list[str]:
    """The names of the steps from the start to a state, and to the damage after it."""
    states = [last]
    while (before := came_from[states[-1]]) is not None:
        states.append(before)
    names, now = [], model.start()
    for target in states[-2::-1]:
        steps = model.steps(now)
        name, now = next((name, new) for name, new, _ in steps if model.canonical(new) == target)
        now = model.heard(now)
        names.append(name)
    return [*names, next(name for name, _, found in model.steps(now) if found == damage)]


SOUND = {
    "each worker an id, assigned by the group": Rules(),
    "one id, assigned by the group": Rules(one_id=True),
    "one id, assigned by hand": Rules(one_id=True, group=False),
    "each worker an id, with outages": Rules(outages=True),
    "one id, assigned by hand, with outages": Rules(one_id=True, group=False, outages=True),
}
BROKEN = {
    "R1: a pending offset is not waited for": Rules(require_stable=False),
    "R2: the pointer is read before the older producer is fenced": Rules(
        one_id=True, group=False, init_first=False
    ),
    "R3: a failed send_offsets is committed": Rules(heed_errors=False),
    "R4: assigned by hand, and each worker an id": Rules(group=False),
    "R5: the producer is kept after a commit that was sent twice": Rules(renew_producer=False),
    "R5: a commit in doubt is taken for done": Rules(reread_in_doubt=False),
    "R6: state is kept after an abort": Rules(reload=False),
    "R7: all snapshots but the own one are deleted": Rules(careful_gc=False),
    "R8: a snapshot is written over": Rules(unique_snapshots=False),
    "R11: nothing is aborted before the pointer is read": Rules(outages=True, clean=False),
}


def main(records: int, workers: int) -> int:
    """Search all variants and print how each ended; returns how many ended otherwise than due."""
    print(f"{records} records, {workers} workers")
    wrong = 0
    for name, rules in (SOUND | BROKEN).items():
        began = time.perf_counter()
        found = search(rules, records, workers)
        seconds = time.perf_counter() - began
        print(f"  {name}: {found.states:,} states, {found.damage or 'sound'}, {seconds:.1f} s")
        for step in found.steps:
            print(f"    {step}")
        sys.stdout.flush()
        wrong += (found.damage is None) != (name in SOUND)
    return wrong


if __name__ == "__main__":
    sizes = [tuple(map(int, sys.argv[1:]))] if sys.argv[1:] else [(4, 2), (2, 3)]
    sys.exit(sum(main(*size) for size in sizes))
