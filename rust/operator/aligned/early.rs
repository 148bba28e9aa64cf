//! Early: with `emit_every`, windows that have changed fire before they close, at the first step of
//! the clock to or past a multiple of it.

use std::collections::BTreeSet;

use super::{AlignedWindows, PaneSlot};
use crate::assign::{Grid, Reach};
use crate::operator::prepare::Aggregator;
use crate::operator::windowed::SlotOut;
use crate::time::{FOREVER, Micros, NEVER, floor_to};
use crate::watermark::Clock;

/// Windows that have changed since they last fired.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Each window's end, and the key.
    pub(super) windows: BTreeSet<(Micros, u32)>,
    /// The clock when the first of them changed.
    pub(super) since: Micros,
}

impl Fresh {
    /// The clock at which they fire; `None` if there are none.
    pub(super) fn due(&self, every: Micros) -> Option<Micros> {
        if self.windows.is_empty() {
            return None;
        }
        Some(match self.since {
            NEVER => NEVER + 1,
            since => floor_to(since, every, 0).unwrap_or(since).saturating_add(every),
        })
    }
}

impl<G: Grid> AlignedWindows<G> {
    /// The clock at which changed windows of a slot fire before they close.
    pub(super) fn early_due(&self, slot: &PaneSlot) -> Option<Micros> {
        slot.fresh.due(self.again?)
    }

    /// Notes that a row changed windows of a key.
    pub(super) fn touch(
        &self,
        slot: &mut PaneSlot,
        id: u32,
        (from, reach): (Micros, &Reach),
        before: Micros,
    ) {
        if slot.fresh.windows.is_empty() {
            slot.fresh.since = before;
        }
        let ends = self.grid.ends(from, reach.last_end);
        slot.fresh.windows.extend(ends.filter(|&end| end > before).map(|end| (end, id)));
    }

    /// Brings a slot to a clock: changed windows fire where the clock passes a multiple of
    /// `emit_every`, and windows close where it reaches them.
    pub(super) fn advance(
        &self,
        aggregator: &Aggregator,
        slot: &mut PaneSlot,
        clock: &Clock,
        upto: Micros,
        out: &mut SlotOut,
    ) {
        while let Some(due) = self.early_due(slot).filter(|&due| due <= upto) {
            let Some(trigger) = clock.reached(due) else { break };
            let now = clock.walk().at(trigger.saturating_add(1));
            self.close(aggregator, slot, clock, now, out);
            if now == FOREVER {
                slot.fresh.windows.clear();
                break;
            }
            let windows = std::mem::take(&mut slot.fresh.windows);
            for (end, id) in windows {
                if end.saturating_add(self.wait) > now {
                    let known =
                        slot.panes.revisions.get(&end).is_some_and(|of| of.contains_key(&id));
                    self.fire_again(aggregator, slot, id, &[(end, known)], trigger, out);
                }
            }
        }
        self.close(aggregator, slot, clock, upto, out);
    }
}
