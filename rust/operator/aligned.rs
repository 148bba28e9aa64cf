//! Windows of a grid, such as tumbling and hopping ones: rows are added to panes, windows are
//! computed from panes. Where windows and panes are is known to the [`Grid`] alone.
//!
//! If each window fires once, all rows of a block are applied before the windows closed by the
//! clock are fired: an accepted row always precedes the row that closes its window. A row whose
//! window has already fired (allowed lateness with revisions, or `emit="each"`) is applied alone,
//! after everything that was due before it.

mod due;
mod saved;

use std::collections::HashSet;

use super::dependence::WindowFacts;
use super::prepare::Aggregator;
use super::slots::{Slot, SlotPart};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::aggregate::StateRows;
use crate::assign::{AlignedGrid, Grid, GridPlace, Reach};
use crate::error::Result;
use crate::fate::{Reason, Record};
use crate::fire::FiredRow;
use crate::plan::{self, Emit};
use crate::state::panes::{Pane, PaneAt, PaneEntry};
use crate::state::{Panes, Saved};
use crate::time::Micros;
use crate::watermark::Clock;

/// The verbs `tumbling`, `hopping` and `cumulative`.
#[derive(Debug)]
pub struct AlignedWindows<G> {
    grid: G,
    lateness: Micros,
    /// How long after its end a window closes.
    wait: Micros,
    /// Whether accepted late rows fire the window again.
    revises: bool,
    emit: Emit,
    /// Whether fired rows say when their key was first touched: others fire beside them.
    touches: bool,
}

/// The panes of one slot, and one scratch value per key.
#[derive(Debug)]
pub struct PaneSlot {
    panes: Panes,
    place_of: Vec<u32>,
    /// The clock from which the slot has work even without rows.
    due: Option<Micros>,
}

impl PaneSlot {
    /// Whether it holds nothing that could matter any more.
    pub fn is_empty(&self) -> bool {
        self.panes.is_empty() && self.panes.revisions.is_empty()
    }
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

impl AlignedWindows<AlignedGrid> {
    /// Creates the verb from a plan's parameters and its windows.
    pub fn planned(plan: &plan::Aligned, grid: AlignedGrid) -> AlignedWindows<AlignedGrid> {
        AlignedWindows::new(grid, plan.allowed_lateness, plan.revisions, plan.emit)
    }
}

impl<G: Grid> AlignedWindows<G> {
    /// Creates the verb for the windows of a grid.
    pub fn new(grid: G, lateness: Micros, revisions: bool, emit: Emit) -> AlignedWindows<G> {
        let wait = if revisions { 0 } else { lateness };
        let revises = emit == Emit::Each || (revisions && lateness > 0);
        AlignedWindows { grid, lateness, wait, revises, emit, touches: false }
    }

    /// The same windows, for a slot in which others fire, too.
    pub fn with_touches(self) -> AlignedWindows<G> {
        AlignedWindows { touches: true, ..self }
    }

    /// Whether the window that ends at `end` contains the rows of a pane.
    fn holds(&self, end: Micros, (start, first_end): PaneAt) -> bool {
        self.grid.start_of(end) <= start && first_end <= end
    }

    /// Where the rows of a saved pane belong: rules of a time zone may have changed since, and rows
    /// then count in the window that now ends when theirs did, or next.
    fn anchored(&self, (start, first_end): PaneAt) -> PaneAt {
        let end = self.grid.end_at_or_after(first_end).unwrap_or(first_end);
        (start.max(self.grid.start_of(end)), end)
    }

    /// The panes of the window that ends at `end`.
    fn panes_of<'a>(&self, slot: &'a PaneSlot, end: Micros) -> impl Iterator<Item = &'a Pane> {
        let panes = slot.panes.between(self.grid.start_of(end), end);
        panes.filter(move |pane| pane.at.1 <= end)
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
        let known = last.filter(|reach| reach.contains(time));
        let reach = match known.map_or_else(|| self.grid.place(time), GridPlace::Pane) {
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
        let from = self.grid.accepting(&reach, limit, self.lateness);
        match from {
            Some(from) if from == reach.first_end => out.counters.counted += 1,
            Some(from) => {
                out.counters.counted += 1;
                let last_late = self.grid.previous_end(from).unwrap_or(from);
                self.record(task, row, &reach, last_late, limit, out);
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
        let windows = self.grid.count(reach.first_end, end);
        out.counters.late_windows += windows as u64;
        let reason = if end == reach.last_end { Reason::Late } else { Reason::LateWindow };
        out.records.push(Record {
            window: Some((self.grid.start_of(end), end)),
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
            next = self.grid.next_end(end).and_then(|end| self.with_panes(&slot.panes, end));
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
        let start = self.grid.start_of(end);
        let row = FiredRow { trigger, end, start, last: 0, revision: 0, touch: (0, 0) };
        let held = || self.panes_of(slot, end);
        let changed = (self.emit == Emit::Changed).then(|| self.changed(slot, end));
        let mut several = held().skip(1).peekable();
        if several.peek().is_none() && changed.is_none() {
            drop(several);
            let Some(pane) = held().next() else { return };
            out.fired.ids.extend(pane.entries.iter().map(|entry| entry.id));
            let touches = pane.entries.iter().map(|entry| (pane.at.0, entry.first));
            self.push(row, touches, out);
            aggregator.layout.evaluate_rows(&pane.hot, &mut out.fired.answers);
            return;
        }
        drop(several);
        let (merged, ids, touches) = self.merge(aggregator, slot, end);
        let fires = |i: &u32| changed.as_ref().is_none_or(|set| set.contains(&ids[*i as usize]));
        let (keep, held_back): (Vec<u32>, Vec<u32>) = (0..ids.len() as u32).partition(fires);
        if self.revises && !held_back.is_empty() {
            // These have not fired yet: if a late row fires them, it is their first firing
            // (revision 0).
            let revisions = slot.panes.revisions.entry(end).or_default();
            revisions.extend(held_back.iter().map(|&i| (ids[i as usize], -1)));
        }
        out.fired.ids.extend(keep.iter().map(|&i| ids[i as usize]));
        self.push(row, keep.iter().map(|&i| touches[i as usize]), out);
        for (j, column) in out.fired.answers.iter_mut().enumerate() {
            keep.iter().for_each(|&i| column.push(aggregator.layout.evaluate(&merged, i, j)));
        }
    }

    /// Adds rows of one window, whose keys were first touched at these times.
    fn push(
        &self,
        row: FiredRow,
        touches: impl ExactSizeIterator<Item = (Micros, u64)>,
        out: &mut SlotOut,
    ) {
        if self.touches {
            touches.for_each(|touch| out.fired.push(FiredRow { touch, ..row }, 1));
        } else {
            out.fired.push(row, touches.len());
        }
    }

    /// Merges the panes of a window: one row per key, in order of first touch, pane by pane; also
    /// the keys, and their first touches.
    fn merge(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        end: Micros,
    ) -> (StateRows, Vec<u32>, Vec<(Micros, u64)>) {
        let mut place_of = std::mem::take(&mut slot.place_of);
        place_of.resize(slot.panes.keys.capacity(), 0);
        let mut merged = aggregator.layout.hot();
        let (mut ids, mut touches): (Vec<u32>, Vec<(Micros, u64)>) = (vec![], vec![]);
        let held: Vec<&Pane> = self.panes_of(slot, end).collect();
        for group in held.chunk_by(|a, b| a.at.0 == b.at.0) {
            let mut touched: Vec<(u64, usize, u32)> = Vec::new();
            for (p, pane) in group.iter().enumerate() {
                let entries = pane.entries.iter().enumerate();
                touched.extend(entries.map(|(i, entry)| (entry.first, p, i as u32)));
            }
            if group.len() > 1 {
                touched.sort_unstable();
            }
            for (first, p, entry) in touched {
                let PaneEntry { id, .. } = group[p].entries[entry as usize];
                let place = &mut place_of[id as usize];
                if *place == 0 {
                    ids.push(id);
                    touches.push((group[p].at.0, first));
                    *place = merged.push() + 1;
                }
                aggregator.layout.merge(&mut merged, *place - 1, &group[p].hot, entry);
            }
        }
        ids.iter().for_each(|&id| place_of[id as usize] = 0);
        slot.place_of = place_of;
        (merged, ids, touches)
    }

    /// The keys for which rows entered or left since the previous window.
    fn changed(&self, slot: &PaneSlot, end: Micros) -> HashSet<u32> {
        let before = self.grid.previous_end(end);
        let start = self.grid.start_of(before.unwrap_or(end));
        let held_before = |at: PaneAt| before.is_some_and(|before| self.holds(before, at));
        let panes = slot.panes.between(start, end);
        panes
            .filter(|pane| self.holds(end, pane.at) != held_before(pane.at))
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
            let start = self.grid.start_of(end);
            let mut one = aggregator.layout.hot();
            let row = one.push();
            let mut touch = (Micros::MAX, u64::MAX);
            for (pane, entry) in slot.panes.entries_of(id) {
                if self.holds(end, pane.at) {
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

impl<G: Grid> Windowed for AlignedWindows<G> {
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

    fn facts(&self) -> WindowFacts<'_> {
        let is_compared = self.emit == Emit::Changed;
        WindowFacts { wait: self.wait, is_compared, ..WindowFacts::new(&self.grid) }
    }

    fn save(&self, aggregator: &Aggregator, slot: &PaneSlot) -> Result<Vec<SlotPart>> {
        saved::save(aggregator, &slot.panes)
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        saved::load(aggregator, &mut slot.panes, part, saved, |at| self.anchored(at))?;
        slot.due = self.next_due(&slot.panes);
        Ok(())
    }
}

impl<G: Grid> AlignedWindows<G> {
    /// The windows that fire at once with a row, and whether each has fired for its key before.
    fn fired_ends(
        &self,
        slot: &PaneSlot,
        id: u32,
        judged: &Judged,
        before: Micros,
    ) -> Vec<(Micros, bool)> {
        let fires = |end: &Micros| self.emit == Emit::Each || *end <= before;
        let held =
            |end: Micros| slot.panes.entries_of(id).any(|(pane, _)| self.holds(end, pane.at));
        let ends = self.grid.ends(judged.from, judged.reach.last_end).filter(fires);
        ends.map(|end| (end, held(end))).collect()
    }
}
