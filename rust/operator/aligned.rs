//! Tumbling and hopping windows: rows are added to panes, windows are computed from panes.
//!
//! If each window fires once, all rows of a block are applied before the windows closed by the
//! clock are fired: an accepted row always precedes the row that closes its window. A row whose
//! window has already fired (allowed lateness with revisions, or `emit="each"`) is applied alone,
//! after everything that was due before it.

mod due;

use std::collections::HashSet;

use super::prepare::Aggregator;
use super::slots::{Slot, SlotPart};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::aggregate::StateRows;
use crate::assign::{Grid, GridPlace, Reach};
use crate::error::{Error, Result};
use crate::fate::{Reason, Record};
use crate::fire::FiredRow;
use crate::plan::{self, Emit};
use crate::state::panes::{PaneAt, PaneEntry};
use crate::state::saved::Saving;
use crate::state::{KeyColumns, Panes, Saved};
use crate::time::{Micros, NEVER, shift};
use crate::watermark::Clock;

/// The verbs `tumbling` and `hopping`.
#[derive(Debug)]
pub struct AlignedWindows {
    windows: Grid,
    lateness: Micros,
    /// How long after its end a window closes.
    wait: Micros,
    /// Whether accepted late rows fire the window again.
    revises: bool,
    emit: Emit,
}

/// The panes of one slot, and one scratch value per key.
#[derive(Debug)]
pub struct PaneSlot {
    panes: Panes,
    place_of: Vec<u32>,
    /// The clock from which the slot has work even without rows.
    due: Option<Micros>,
}

impl Slot for PaneSlot {
    fn keys(&self) -> usize {
        self.panes.keys.len()
    }

    fn bytes(&self) -> usize {
        self.panes.bytes() + self.place_of.capacity() * 4
    }
}

/// Rows waiting to be added to one pane, and scratch space for their keys and entries.
#[derive(Default)]
struct Pending {
    at: PaneAt,
    pick: Vec<u32>,
    ids: Vec<u32>,
    into: Vec<u32>,
}

impl AlignedWindows {
    /// Creates the verb from a plan's parameters.
    pub fn new(plan: &plan::Aligned) -> AlignedWindows {
        let windows = Grid::new(plan.size, plan.every.unwrap_or(plan.size), plan.offset);
        let (lateness, emit) = (plan.allowed_lateness, plan.emit);
        let wait = if plan.revisions { 0 } else { lateness };
        let revises = emit == Emit::Each || (plan.revisions && lateness > 0);
        AlignedWindows { windows, lateness, wait, revises, emit }
    }

    /// How far before a window's start its row can depend on panes.
    fn before(&self) -> Micros {
        match self.emit {
            Emit::Changed => self.windows.every,
            Emit::Final | Emit::Each => 0,
        }
    }

    /// Finds the pane of a row and the first window that accepts it, or why it is rejected.
    ///
    /// `last` is the pane of the previous row, because most consecutive rows share a pane.
    fn judge(
        &self,
        task: &Task<'_>,
        facts: RowFacts,
        last: &mut Option<Reach>,
        out: &mut SlotOut,
    ) -> Option<Judged> {
        let RowFacts { row, time, limit, .. } = facts;
        let known = last.filter(|reach| self.windows.shares(reach, time));
        let reach = match known.map_or_else(|| self.windows.place(time), GridPlace::Pane) {
            GridPlace::Pane(reach) => reach,
            GridPlace::Gap => {
                out.counters.in_gap += 1;
                return None;
            }
            GridPlace::OutOfRange => {
                out.counters.invalid += 1;
                out.records.push(task.record(Reason::WindowOutOfRange, row));
                return None;
            }
        };
        *last = Some(reach);
        let from = self.windows.accepting(&reach, limit, self.lateness);
        match from {
            Some(from) if from == reach.first_end => out.counters.counted += 1,
            Some(from) => {
                out.counters.counted += 1;
                self.record(task, row, &reach, from - self.windows.every, limit, out);
            }
            None => {
                out.counters.late += 1;
                self.record(task, row, &reach, reach.last_end, limit, out);
            }
        }
        from.map(|from| Judged { reach, from })
    }

    /// Records the windows up to `end` for which a row was late.
    fn record(
        &self,
        task: &Task<'_>,
        row: u32,
        reach: &Reach,
        end: Micros,
        limit: Micros,
        out: &mut SlotOut,
    ) {
        let windows = (end - reach.first_end) / self.windows.every + 1;
        out.counters.late_windows += windows as u64;
        let reason = if end == reach.last_end { Reason::Late } else { Reason::LateWindow };
        out.records.push(Record {
            window: Some((end - self.windows.size, end)),
            windows,
            late_by: Some(limit.saturating_sub(end.saturating_add(self.lateness))),
            ..task.record(reason, row)
        });
    }

    /// Adds the waiting rows to their pane, stage by stage: all keys, then all entries, then all
    /// accumulators.
    fn flush(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        task: &Task<'_>,
        pending: &mut Pending,
    ) {
        let Pending { at, pick, ids, into } = pending;
        if pick.is_empty() {
            return;
        }
        let (panes, meta) = (&mut slot.panes, &task.block.meta);
        let pane = panes.pane(*at);
        panes.keys_of(task.keys, pick, ids);
        panes.entries(pane, ids, |i| task.ordinal(pick[i]), into);
        let hot = panes.hot_mut(pane);
        aggregator.layout.update_rows(hot, into, task.columns, pick, &meta.time, &meta.seq);
        pick.clear();
    }

    /// Closes the windows that the clock has reached at `upto`.
    fn close(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        clock: &Clock,
        upto: Micros,
        out: &mut SlotOut,
    ) {
        if upto <= slot.panes.closed {
            return;
        }
        let mut next = self.first_open(&slot.panes);
        while let Some(end) = next.filter(|end| end.saturating_add(self.wait) <= upto) {
            if self.emit != Emit::Each {
                let trigger = clock.reached(end.saturating_add(self.wait)).unwrap_or(0);
                self.fire(aggregator, slot, end, trigger, out);
            }
            next = end.checked_add(self.windows.every);
            next = next.and_then(|end| self.with_panes(&slot.panes, end));
        }
        slot.panes.closed = upto;
    }

    /// Fires the window that ends at `end`, for all keys.
    fn fire(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        end: Micros,
        trigger: u64,
        out: &mut SlotOut,
    ) {
        let start = end - self.windows.size;
        let row = FiredRow { trigger, end, start, last: 0, revision: 0, touch: (0, 0) };
        let held = || slot.panes.between(start, end).filter(|pane| pane.at.1 <= end);
        let changed = (self.emit == Emit::Changed).then(|| self.changed(slot, end));
        let mut several = held().skip(1).peekable();
        if several.peek().is_none() && changed.is_none() {
            drop(several);
            let Some(pane) = held().next() else { return };
            out.fired.ids.extend(pane.entries.iter().map(|entry| entry.id));
            out.fired.push(row, pane.entries.len());
            aggregator.layout.evaluate_rows(&pane.hot, &mut out.fired.answers);
            return;
        }
        drop(several);
        let (merged, ids) = self.merge(aggregator, slot, end);
        let fires = |i: &u32| changed.as_ref().is_none_or(|set| set.contains(&ids[*i as usize]));
        let (keep, held_back): (Vec<u32>, Vec<u32>) = (0..ids.len() as u32).partition(fires);
        if self.revises && !held_back.is_empty() {
            // These have not fired yet: if a late row fires them, it is their first firing
            // (revision 0).
            let revisions = slot.panes.revisions.entry(end).or_default();
            revisions.extend(held_back.iter().map(|&i| (ids[i as usize], -1)));
        }
        out.fired.ids.extend(keep.iter().map(|&i| ids[i as usize]));
        out.fired.push(row, keep.len());
        for (j, column) in out.fired.answers.iter_mut().enumerate() {
            keep.iter().for_each(|&i| column.push(aggregator.layout.evaluate(&merged, i, j)));
        }
    }

    /// Merges the panes of a window: one row per key, in order of first touch, pane by pane.
    fn merge(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        end: Micros,
    ) -> (StateRows, Vec<u32>) {
        let PaneSlot { panes, place_of, .. } = slot;
        place_of.resize(panes.keys.capacity(), 0);
        let mut merged = aggregator.layout.hot();
        let mut ids: Vec<u32> = Vec::new();
        let held: Vec<_> =
            panes.between(end - self.windows.size, end).filter(|pane| pane.at.1 <= end).collect();
        for group in held.chunk_by(|a, b| a.at.0 == b.at.0) {
            let mut touched: Vec<(u64, usize, u32)> = Vec::new();
            for (p, pane) in group.iter().enumerate() {
                let entries = pane.entries.iter().enumerate();
                touched.extend(entries.map(|(i, entry)| (entry.first, p, i as u32)));
            }
            if group.len() > 1 {
                touched.sort_unstable();
            }
            for (_, p, entry) in touched {
                let PaneEntry { id, .. } = group[p].entries[entry as usize];
                let place = &mut place_of[id as usize];
                if *place == 0 {
                    ids.push(id);
                    *place = merged.push() + 1;
                }
                aggregator.layout.merge(&mut merged, *place - 1, &group[p].hot, entry);
            }
        }
        ids.iter().for_each(|&id| place_of[id as usize] = 0);
        (merged, ids)
    }

    /// The keys for which rows entered or left since the previous window.
    fn changed(&self, slot: &PaneSlot, end: Micros) -> HashSet<u32> {
        let Grid { size, every, .. } = self.windows;
        let held =
            |at: (Micros, Micros), end: Micros| end.saturating_sub(size) <= at.0 && at.1 <= end;
        let panes = slot.panes.between(end.saturating_sub(size).saturating_sub(every), end);
        panes
            .filter(|pane| held(pane.at, end) != held(pane.at, end.saturating_sub(every)))
            .flat_map(|pane| pane.entries.iter().map(|entry| entry.id))
            .collect()
    }

    /// Fires the windows of one key because of one row, again or for the first time.
    fn fire_again(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        id: u32,
        ends: &[(Micros, bool)],
        trigger: u64,
        out: &mut SlotOut,
    ) {
        for &(end, fired_before) in ends {
            let start = end - self.windows.size;
            let mut one = aggregator.layout.hot();
            let row = one.push();
            let mut touch = (Micros::MAX, u64::MAX);
            for (pane, entry) in slot.panes.entries_of(id) {
                if start <= pane.at.0 && pane.at.1 <= end {
                    aggregator.layout.merge(&mut one, row, &pane.hot, entry);
                    touch = touch.min((pane.at.0, pane.entries[entry as usize].first));
                }
            }
            let revisions = slot.panes.revisions.entry(end).or_default();
            let revision = if fired_before {
                let known = revisions.entry(id).or_default();
                *known += 1;
                *known
            } else {
                0
            };
            out.fired.ids.push(id);
            out.fired.push(FiredRow { trigger, end, start, last: 0, revision, touch }, 1);
            aggregator.layout.evaluate_rows(&one, &mut out.fired.answers);
        }
    }
}

/// A row's pane, and the end of the first window that accepts it.
struct Judged {
    reach: Reach,
    from: Micros,
}

impl Windowed for AlignedWindows {
    type Slot = PaneSlot;

    fn slot(&self, aggregator: &Aggregator) -> PaneSlot {
        PaneSlot { panes: Panes::new(&aggregator.layout), place_of: vec![], due: None }
    }

    fn due(&self, slot: &PaneSlot, clock: Micros) -> bool {
        slot.due.is_some_and(|due| clock >= due)
    }

    fn apply(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        task: &Task<'_>,
        out: &mut SlotOut,
    ) -> Result<()> {
        let (mut pending, mut last) = (Pending::default(), None);
        for &facts in task.facts {
            let RowFacts { row, before, .. } = facts;
            let Some(judged) = self.judge(task, facts, &mut last, out) else { continue };
            let again = self.revises && (self.emit == Emit::Each || judged.from <= before);
            if again {
                self.flush(aggregator, slot, task, &mut pending);
                self.close(aggregator, slot, task.clock, before, out);
            }
            let at = (judged.reach.start, judged.from);
            if at != pending.at {
                self.flush(aggregator, slot, task, &mut pending);
                pending.at = at;
            }
            pending.pick.push(row);
            if again {
                let id = slot.panes.key(task.keys, row as usize);
                let ends = self.fired_ends(slot, id, &judged, before);
                self.flush(aggregator, slot, task, &mut pending);
                self.fire_again(aggregator, slot, id, &ends, task.seq(row), out);
            }
        }
        self.flush(aggregator, slot, task, &mut pending);
        let now = task.clock.end();
        self.close(aggregator, slot, task.clock, now, out);
        out.fired.keys = slot.panes.keys.fired(&out.fired.ids, &aggregator.folding.key_types)?;
        slot.panes.reclaim(|start| self.needed_until(start) <= now);
        while let Some(entry) = slot.panes.revisions.first_entry() {
            if entry.key().saturating_add(self.lateness) > now {
                break;
            }
            entry.remove();
        }
        slot.due = self.next_due(&slot.panes);
        Ok(())
    }

    fn delay(&self) -> Micros {
        self.lateness
    }

    fn start_from(&self, from: Micros) -> Micros {
        from
    }

    fn full_from(&self, from: Micros) -> Micros {
        self.windows.full_from(from)
    }

    fn emits_from(&self, clock: Micros) -> Micros {
        self.windows.last_end(shift(clock, -self.wait))
    }

    fn fires_from(&self, from: Micros) -> Micros {
        // Whether a window fires may depend on rows that left since the previous window.
        shift(from, self.before())
    }

    fn save(&self, aggregator: &Aggregator, slot: &PaneSlot) -> Result<Vec<SlotPart>> {
        let panes = &slot.panes;
        let mut ids = Vec::new();
        let (mut start, mut from, mut first, mut state) = (vec![], vec![], vec![], vec![]);
        for pane in panes.iter() {
            for (entry, known) in pane.entries.iter().enumerate() {
                ids.push(known.id);
                start.push(pane.at.0);
                from.push(pane.at.1);
                first.push(known.first);
                let mut bytes = Vec::new();
                aggregator.layout.save(&pane.hot, entry as u32, &mut bytes);
                state.push(bytes);
            }
        }
        let saved = Saving::default()
            .columns("key", panes.keys.columns(&ids, &aggregator.folding.key_types)?)
            .i64("start", start)
            .i64("from", from)
            .u64("first", first)
            .binary("state", &state)
            .done()?;
        let mut again: Vec<(Micros, u32, i64)> = Vec::new();
        for (&end, keys) in &panes.revisions {
            again.extend(keys.iter().map(|(&id, &count)| (end, id, count)));
        }
        again.sort_unstable();
        let ids: Vec<u32> = again.iter().map(|each| each.1).collect();
        let again = Saving::default()
            .columns("key", panes.keys.columns(&ids, &aggregator.folding.key_types)?)
            .i64("end", again.iter().map(|each| each.0).collect())
            .i64("count", again.iter().map(|each| each.2).collect())
            .done()?;
        let closed = Saving::default().i64("closed", vec![panes.closed]).done()?;
        Ok(vec![("panes", saved), ("revisions", again), ("closed", closed)])
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        let panes = &mut slot.panes;
        match part {
            "closed" => panes.closed = saved.i64("closed")?.first().copied().unwrap_or(NEVER),
            "panes" => {
                let keys = saved.columns("key", &aggregator.folding.key_types)?;
                let keys = KeyColumns::new(&keys, saved.len())?;
                let (start, from) = (saved.i64("start")?, saved.i64("from")?);
                let (first, state) = (saved.u64("first")?, saved.binary("state")?);
                for row in 0..saved.len() {
                    let id = panes.key(&keys, row);
                    let pane = panes.pane((start[row], from[row]));
                    let entry = panes.entry(pane, id, first[row]);
                    aggregator.layout.load(panes.hot_mut(pane), entry, state.value(row))?;
                }
            }
            "revisions" => {
                let keys = saved.columns("key", &aggregator.folding.key_types)?;
                let keys = KeyColumns::new(&keys, saved.len())?;
                let (end, count) = (saved.i64("end")?, saved.i64("count")?);
                for row in 0..saved.len() {
                    let id = panes.key(&keys, row);
                    panes.revisions.entry(end[row]).or_default().insert(id, count[row]);
                }
            }
            other => {
                return Err(Error::Snapshot(format!("a window does not have a part \"{other}\"")));
            }
        }
        slot.due = self.next_due(&slot.panes);
        Ok(())
    }
}

impl AlignedWindows {
    /// The windows that fire at once with a row, and whether each has fired for its key before.
    fn fired_ends(
        &self,
        slot: &PaneSlot,
        id: u32,
        judged: &Judged,
        before: Micros,
    ) -> Vec<(Micros, bool)> {
        let fires = |end: &Micros| self.emit == Emit::Each || *end <= before;
        let held = |end: Micros| {
            let start = end - self.windows.size;
            let mut entries = slot.panes.entries_of(id);
            entries.any(|(pane, _)| start <= pane.at.0 && pane.at.1 <= end)
        };
        let ends = self.windows.ends(judged.from, judged.reach.last_end).filter(fires);
        ends.map(|end| (end, held(end))).collect()
    }
}
