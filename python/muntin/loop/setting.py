"""Everything a run is made of, and how its parts are put together."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from muntin.base import arguments
from muntin.base.errors import PlanError, SinkError, with_hint
from muntin.checkpoint import Checkpoint, CommitLost, Keeper, TakenOver, tell_change
from muntin.checkpoint.directory import Shareable
from muntin.checkpoint.group import GroupAuthority
from muntin.checkpoint.kafka import KafkaAuthority
from muntin.checkpoint.partitions import PartitionKeepers, check_shared
from muntin.engine.operator import Operator
from muntin.engine.partitioned import Partitioning
from muntin.engine.scope import operator_for
from muntin.loop.authority import joined, ownership_of, shared, why_alone
from muntin.loop.claims import claimed
from muntin.loop.given import partitioning_of
from muntin.loop.guarantees import authority as words_of
from muntin.loop.guarantees import guarantee
from muntin.loop.history import Filling, befores, sources_of
from muntin.loop.loop import Loop
from muntin.loop.positions import partitions_then
from muntin.loop.retries import Retries
from muntin.loop.routes import Destinations, Routes
from muntin.loop.saver import Saving
from muntin.loop.stop import Stop
from muntin.monitor.counters import Counters, Restore
from muntin.monitor.dashboard import Dashboard, serve
from muntin.monitor.journal import Journal
from muntin.monitor.moment import Scene, Watcher
from muntin.monitor.progress import Progress
from muntin.monitor.report import Report
from muntin.pipeline.explain import titles, waiting_silences
from muntin.pipeline.plan import Node, Output, compile, outputs_of
from muntin.pipeline.stream import Stream
from muntin.sources import Source
from muntin.sources.base import SharedSource

_log = logging.getLogger("muntin.run")


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything a run is made of."""

    name: str
    outputs: Sequence[Output]
    sources: Mapping[str, Source]
    destinations: Destinations
    checkpoint: Checkpoint | None
    dashboard: bool | int | str | Dashboard | Watcher | None
    threads: int
    once: bool
    standby: bool = False
    history: Mapping[str, Any] = field(default_factory=dict)

    def play(self, stop: Stop, watchers: Sequence[Watcher]) -> Report:
        """Build the parts, and run the loop over them; with `standby`, as long as it is the owner.

        Raises:
            As `run`.
        """
        with ExitStack() as stack:
            progress = Progress()
            stack.callback(progress.close)
            # a watcher costs a read of all counters ten times a second
            lines = [progress] if progress.is_shown else []
            shown = [*lines, *watchers, *self._pages(stack)]
            self._warn_of_waiting()
            counters = Counters()
            if not self.standby:
                return self._run(stop, shown, counters)
            ownership = ownership_of(self.destinations, self.sources, self.name)
            ownership.rebalanced = counters.rebalanced
            stack.callback(ownership.close)
            while ownership.wait(lambda: stop.requested):
                owned = stop.or_if(lambda: not ownership.owned)
                try:
                    report = self._run(owned, shown, counters)
                except (TakenOver, SinkError) as error:
                    if isinstance(error, TakenOver):
                        counters.taken_over()
                    if ownership.owned or stop.requested:
                        raise
                else:
                    if ownership.owned or stop.requested:
                        return report
                finally:
                    ownership.release()
                facts = {"event": "handed_over", "run": self.name}
                _log.info('run "%s" is handed over, and stands by', self.name, extra=facts)
            return self.report_of_nothing(stop, watchers)

    def report_of_nothing(self, stop: Stop, watchers: Sequence[Watcher]) -> Report:
        """The report of a run that is not started; arguments as in `play`."""
        return Report(self.name, {}, {}, {}, 0, 0, (), 0.0, stopped=True)

    def _run(self, stop: Stop, watchers: Sequence[Watcher], counters: Counters) -> Report:
        """Run to the end, or until a stop is requested.

        If a commit is lost, all that is in memory is dropped, and a new loop resumes from the
        checkpoint that counts.
        """
        with ExitStack() as stack:
            store = self.checkpoint.store if self.checkpoint else None
            reads = {**self.sources, **sources_of(self.history)}
            stack.enter_context(claimed(self.name, reads, self.destinations, store))
            partitioning = partitioning_of(self.sources)
            is_shared = self._is_shared(partitioning)
            authority = self._opened(stack, is_shared)
            if self.checkpoint is not None:
                facts = {"event": "guarantee", "run": self.name}
                said = guarantee(self.destinations, checkpoints=True)
                who = words_of(self.destinations, self.checkpoint, self.name, shared=is_shared)
                facts["authority"] = who
                _log.info('run "%s" writes %s (%s)', self.name, said, who, extra=facts)
            retries = Retries(stop, counters)
            while True:
                try:
                    return self._loop(
                        authority, partitioning, watchers, stop, retries, counters
                    ).run()
                except CommitLost as error:
                    retries.wait(error)

    def _is_shared(self, partitioning: Partitioning | None) -> bool:
        """Whether copies of this run share the partitions of its source; says why, or why not."""
        if partitioning is None:
            return False
        scope = compile(outputs_of(self.outputs), partitioning.columns).scope
        alone = why_alone(scope, self.sources, self.destinations, self.checkpoint)
        if alone is None and self.standby:
            alone = "standby=True lets one copy do all the work"
        if alone is None and self.history:
            alone = "history= fills one state"
        shares = (
            "copies of it share the partitions" if alone is None else f"it works alone: {alone}"
        )
        facts = {"event": "scope", "run": self.name, "scope": scope.word, "shared": alone is None}
        _log.info('run "%s" has scope %s; %s', self.name, scope, shares, extra=facts)
        return alone is None

    def _opened(self, stack: ExitStack, is_shared: bool) -> KafkaAuthority | GroupAuthority | None:
        """Open the store; the authority, if that is not the store itself."""
        authority: KafkaAuthority | GroupAuthority | None = None
        if self.checkpoint is not None:
            store = self.checkpoint.store
            if is_shared and isinstance(store, Shareable):
                store.share()
            else:
                store.open()
            stack.callback(store.close)
            check_shared(store, shared=is_shared)
        if is_shared and self.checkpoint is not None:
            (source,) = self.sources.values()
            assert isinstance(source, SharedSource)
            authority = shared(self.destinations, source, self.checkpoint, self.name)
        else:
            authority = joined(self.destinations, self.checkpoint, self.name)
        if authority is not None:
            stack.callback(authority.close)
        return authority

    def _loop(
        self,
        authority: KafkaAuthority | GroupAuthority | None,
        partitioning: Partitioning | None,
        watchers: Sequence[Watcher],
        stop: Stop,
        retries: Retries,
        counters: Counters,
    ) -> Loop:
        start = time.perf_counter()
        saving = self._saving(authority)
        restored = saving.restored if saving else None
        before = befores(self.history, self.sources) if restored is None else {}
        if restored and self.history and not restored.manifest.history.rows:
            _log.warning("history= is not read: the checkpoint was taken by a run without it")
        partitions: dict[str, Sequence[int]] = dict.fromkeys(self.sources, ())
        if not isinstance(authority, GroupAuthority):
            partitions = partitions_then(self.sources, restored)
        partitions |= {
            name: tuple(each.source.partitions())
            for name, each in before.items()
            if not each.shares
        }
        op = operator_for(
            self.outputs,
            threads=self.threads,
            partitions=partitions,
            partitioning=partitioning,
            snapshot=restored.snapshot if restored else None,
            on_change=self.checkpoint.on_change if self.checkpoint else "refuse",
        )
        if self.checkpoint:
            tell_change(op, self.checkpoint.on_change)
        if restored:
            seconds = time.perf_counter() - start
            size = len(restored.snapshot)
            counters.restore = Restore(restored.manifest.number, seconds, size)
        filling = Filling(op, before) if before else None
        return Loop(
            op,
            self.sources,
            Routes(self.destinations, op.upsert_keys),
            self._scene(op, filling),
            saving=saving,
            once=self.once,
            watchers=[*watchers, Journal(restored)],
            stop=stop,
            retries=retries,
            counters=counters,
            filling=filling,
        )

    def _warn_of_waiting(self) -> None:
        """Warn if `silent` reads a live source and needs rows of other keys to fire."""
        if all(each.bounded for each in self.sources.values()):
            return
        for waits in waiting_silences(self._ends()):
            _log.warning("%s", waits)

    def _ends(self) -> list[Node]:
        pipelines = [each.pipeline for each in self.outputs]
        return [each.node for each in pipelines if isinstance(each, Stream)]

    def _pages(self, stack: ExitStack) -> list[Watcher]:
        if self.dashboard is None or self.dashboard is False:
            return []
        if isinstance(self.dashboard, bool | int | str | Dashboard):
            page = serve(self.dashboard)
            stack.callback(page.close)
            return [page]
        _check_watcher(self.dashboard)
        return [self.dashboard]

    def _saving(self, authority: KafkaAuthority | GroupAuthority | None) -> Saving | None:
        if self.checkpoint is None:
            return None
        store, every = self.checkpoint.store, self.checkpoint.seconds
        on_missing, on_change = self.checkpoint.on_missing, self.checkpoint.on_change
        if isinstance(authority, GroupAuthority):
            assert isinstance(store, Shareable)
            authority.forget()
            (name,) = self.sources
            keepers = PartitionKeepers(store, authority, name, on_missing)
            return Saving(keepers, every, on_change=on_change)
        keeper = Keeper(store, authority, on_missing)
        return Saving(keeper, every, keeper.recover(), authority)

    def _scene(self, op: Operator, filling: Filling | None) -> Scene:
        totals = [each.total for each in self.sources.values()]
        known = [total for total in totals if total is not None]
        return Scene(
            name=self.name,
            plan=op.plan,
            facts=op.facts,
            titles=titles(self._ends()),
            sources={key: arguments.label(each) for key, each in self.sources.items()},
            sinks={
                each.name: [arguments.label(sink) for sink in each.sinks] for each in self.outputs
            },
            alerts=[arguments.label(sink) for sink in self.destinations.alerts],
            started=time.time(),
            total=sum(known) if len(known) == len(totals) else None,
            every=self.checkpoint.seconds if self.checkpoint else None,
            guarantee=guarantee(self.destinations, checkpoints=self.checkpoint is not None),
            history=filling.total if filling else None,
        )


def _check_watcher(value: object) -> None:
    lacking = [name for name in ("begin", "gave", "moment", "end") if not hasattr(value, name)]
    if lacking or isinstance(value, type):
        hint = 'say dashboard=":8080", or give an mt.Dashboard'
        raise PlanError(with_hint(f"dashboard={arguments.shown(value)} is not a page", hint))
