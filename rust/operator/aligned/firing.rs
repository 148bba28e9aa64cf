//! Firing: the rows of windows that close, change or are revised.

use std::collections::HashSet;

use super::{AlignedWindows, Judged, PaneSlot};
use crate::aggregate::StateRows;
use crate::assign::Grid;
use crate::fire::FiredRow;
use crate::operator::prepare::Aggregator;
use crate::operator::windowed::SlotOut;
use crate::plan::Emit;
use crate::state::Panes;
use crate::state::panes::{Pane, PaneAt, PaneEntry};
use crate::time::Micros;

impl<G: Grid> AlignedWindows<G> {
    /// Fires the window that ends at `end`, for all keys.
    pub(super) fn fire(
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
            aggregator.layout.evaluate_rows(&pane.hot, &mut out.fired.answers);
            if self.is_one_by_one() {
                let touch = |entry: &PaneEntry| (entry.id, (pane.at.0, entry.first));
                let each: Vec<_> = pane.entries.iter().map(touch).collect();
                self.push_each(&mut slot.panes, row, &each, out);
            } else {
                out.fired.push(row, pane.entries.len());
            }
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
            held_back.iter().for_each(|&i| {
                revisions.entry(ids[i as usize]).or_insert(-1);
            });
        }
        out.fired.ids.extend(keep.iter().map(|&i| ids[i as usize]));
        if self.is_one_by_one() {
            let each: Vec<_> =
                keep.iter().map(|&i| (ids[i as usize], touches[i as usize])).collect();
            self.push_each(&mut slot.panes, row, &each, out);
        } else {
            out.fired.push(row, keep.len());
        }
        for (j, column) in out.fired.answers.iter_mut().enumerate() {
            keep.iter().for_each(|&i| column.push(aggregator.layout.evaluate(&merged, i, j)));
        }
    }

    /// Whether the keys of a window have facts of their own.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.touches || self.again.is_some()
    }

    /// Adds rows of one window: their keys, and when these were first touched.
    pub(super) fn push_each(
        &self,
        panes: &mut Panes,
        row: FiredRow,
        each: &[(u32, (Micros, u64))],
        out: &mut SlotOut,
    ) {
        for &(id, touch) in each {
            let again = self.again.is_some();
            let revision = if again { panes.next_revision(row.end, id) } else { 0 };
            out.fired.push(FiredRow { touch, revision, ..row }, 1);
        }
    }

    /// Merges the panes of a window: one row per key, in order of first touch, pane by pane; also
    /// the keys, and their first touches.
    pub(super) fn merge(
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
    pub(super) fn changed(&self, slot: &PaneSlot, end: Micros) -> HashSet<u32> {
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
    pub(super) fn fire_again(
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
            let revision = match self.again {
                Some(_) => slot.panes.next_revision(end, id),
                None if fired_before => {
                    let known = slot.panes.revisions.entry(end).or_default().entry(id).or_default();
                    *known += 1;
                    *known
                }
                None => 0,
            };
            out.fired.ids.push(id);
            out.fired.push(FiredRow { trigger, end, start, last: 0, revision, touch }, 1);
            aggregator.layout.evaluate_rows(&one, &mut out.fired.answers);
        }
    }

    /// The windows that fire at once with a row, and whether each has fired for its key before.
    pub(super) fn fired_ends(
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
