//! Due: when a slot has work although no rows arrived.

use super::{AlignedWindows, PaneSlot};
use crate::assign::{Grid, GridPlace};
use crate::plan::Emit;
use crate::state::Panes;
use crate::time::{FOREVER, Micros, NEVER};

impl<G: Grid> AlignedWindows<G> {
    /// End of the first window with rows that is still open.
    pub(super) fn first_open(&self, panes: &Panes) -> Option<Micros> {
        let open_from = match panes.closed {
            NEVER => None,
            closed => closed.saturating_sub(self.wait).checked_add(1),
        };
        let end = match open_from {
            None => panes.next_from(Micros::MIN).and_then(|at| self.grid.first_end(at.0)),
            Some(time) => self.grid.end_at_or_after(time),
        };
        self.with_panes(panes, end?)
    }

    /// End of the first window that ends at or after `end` and has rows.
    pub(super) fn with_panes(&self, panes: &Panes, mut end: Micros) -> Option<Micros> {
        loop {
            let (start, _) = panes.next_from(self.grid.start_of(end))?;
            if start < end {
                return Some(end);
            }
            end = self.grid.first_end(start).filter(|&later| later > end)?;
        }
    }

    /// The clock up to which a pane is needed.
    pub(super) fn needed_until(&self, start: Micros) -> Micros {
        let last = match self.grid.place(start) {
            GridPlace::Pane(reach) => reach.last_end,
            GridPlace::Gap | GridPlace::OutOfRange => return NEVER,
        };
        let until = match self.emit {
            // The next window is compared with the pane's last one.
            Emit::Changed => self.grid.next_end(last).unwrap_or(FOREVER),
            Emit::Final | Emit::Each => last,
        };
        until.saturating_add(self.lateness)
    }

    /// The clock from which a slot has work without rows: a window closes or fires early, or a pane or a revision
    /// count is no longer needed.
    pub(super) fn next_due(&self, slot: &PaneSlot) -> Option<Micros> {
        let panes = &slot.panes;
        let closes = self.first_open(panes).filter(|_| self.emit != Emit::Each);
        let closes = closes.map(|end| end.saturating_add(self.wait));
        let freed = panes.next_from(Micros::MIN).map(|at| self.needed_until(at.0));
        let forgotten = panes.revisions.first_key_value();
        let forgotten = forgotten.map(|(end, _)| end.saturating_add(self.lateness));
        [closes, freed, forgotten, self.early_due(slot)].into_iter().flatten().min()
    }
}
