//! Windows of a grid, such as tumbling and hopping ones: rows are added to panes, windows are
//! computed from panes. Where windows and panes are is known to the [`Grid`] alone.
//!
//! If each window fires once, all rows of a block are applied before the windows closed by the
//! clock are fired: an accepted row always precedes the row that closes its window. A row whose
//! window has already fired (allowed lateness with revisions, or `emit="each"`) is applied alone,
//! after everything that was due before it.

mod due;
mod early;
mod firing;
mod saved;

use early::Fresh;

use super::dependence::WindowFacts;
use super::prepare::Aggregator;
use super::slots::{Slot, SlotPart};
use super::task::{RowFacts, Task};
use super::windowed::{SlotOut, Windowed};
use crate::assign::{AlignedGrid, Grid, GridPlace, Reach};
use crate::error::Result;
use crate::fate::{Reason, Record};
use crate::plan::{self, Emit};
use crate::state::panes::{Pane, PaneAt};
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
    /// Changed windows fire where the clock passes a multiple of this.
    again: Option<Micros>,
    /// Whether fired rows say when their key was first touched: others fire beside them.
    touches: bool,
}

/// The panes of one slot, and one scratch value per key.
#[derive(Debug)]
pub struct PaneSlot {
    panes: Panes,
    place_of: Vec<u32>,
    fresh: Fresh,
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
        let fresh = self.fresh.windows.len() * 2 * size_of::<(Micros, u32)>();
        self.panes.bytes() + self.place_of.capacity() * 4 + fresh
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
        let verb = AlignedWindows::new(grid, plan.allowed_lateness, plan.revisions, plan.emit);
        verb.early(plan.emit_every)
    }
}

impl<G: Grid> AlignedWindows<G> {
    /// Creates the verb for the windows of a grid.
    pub fn new(grid: G, lateness: Micros, revisions: bool, emit: Emit) -> AlignedWindows<G> {
        let wait = if revisions { 0 } else { lateness };
        let revises = emit == Emit::Each || (revisions && lateness > 0);
        AlignedWindows { grid, lateness, wait, revises, emit, again: None, touches: false }
    }

    /// The same windows, which also fire when they have changed, at each multiple of `again`.
    pub fn early(self, again: Option<Micros>) -> AlignedWindows<G> {
        AlignedWindows { again, ..self }
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
}

/// A row's pane, and the end of the first window that accepts it.
struct Judged {
    reach: Reach,
    from: Micros,
}

impl<G: Grid> Windowed for AlignedWindows<G> {
    type Slot = PaneSlot;

    fn slot(&self, aggregator: &Aggregator) -> PaneSlot {
        PaneSlot {
            panes: Panes::new(&aggregator.layout),
            place_of: vec![],
            fresh: Fresh::default(),
            due: None,
        }
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
            if again || self.early_due(slot).is_some_and(|due| due <= before) {
                self.flush(aggregator, slot, task, &mut pending);
                self.advance(aggregator, slot, task.clock, before, out);
            }
            if self.again.is_some() {
                let id = slot.panes.key(task.keys, row as usize);
                self.touch(slot, id, (judged.from, &judged.reach), before);
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
        self.advance(aggregator, slot, task.clock, now, out);
        out.fired.keys = slot.panes.keys.fired(&out.fired.ids, &aggregator.folding.key_types)?;
        slot.panes.reclaim(|start| self.needed_until(start) <= now);
        while let Some(entry) = slot.panes.revisions.first_entry() {
            if entry.key().saturating_add(self.lateness) > now {
                break;
            }
            entry.remove();
        }
        slot.due = self.next_due(slot);
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
        let mut parts = saved::save(aggregator, &slot.panes)?;
        if self.again.is_some() {
            parts.push(("fresh", saved::save_fresh(aggregator, &slot.panes, &slot.fresh)?));
        }
        Ok(parts)
    }

    fn load(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        part: &str,
        saved: &Saved,
    ) -> Result<()> {
        if part == "fresh" {
            slot.fresh = saved::load_fresh(aggregator, &mut slot.panes, saved)?;
        } else {
            saved::load(aggregator, &mut slot.panes, part, saved, |at| self.anchored(at))?;
        }
        slot.due = self.next_due(slot);
        Ok(())
    }
}
