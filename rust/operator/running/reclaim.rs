//! Reclaim: rows that no window can reach any more leave the running values and the log.

use super::{EventWindows, SlidingSlot, Tapes};
use crate::limits::AHEAD_ROWS;
use crate::state::log::{Dead, NONE};
use crate::time::Micros;

impl EventWindows {
    /// Frees what no window can reach any more; it leaves the running values before.
    ///
    /// A key is removed with its newest entry. Older entries of it may lie in later segments, which
    /// are kept: from then on their key's id means nothing, or another key.
    pub fn reclaim(&self, slot: &mut SlidingSlot, until: Micros, tapes: &mut Tapes) {
        let due = slot.log.due(until);
        if due.is_empty() {
            return;
        }
        slot.unreachable = until;
        for dead in slot.log.dead(&due).chunks(AHEAD_ROWS) {
            self.prefetch_dead(slot, dead);
            for &Dead { id, entry, .. } in dead {
                let last = slot.head(id).0 == entry;
                for (window, tape) in self.windows.iter().zip(&mut tapes.0) {
                    let oldest = self.oldest(slot, id, window);
                    if last {
                        self.empty(slot, id, window, tape);
                    } else if oldest.entry != NONE && oldest.time <= until {
                        self.evict(slot, id, window, until, tape);
                    }
                }
                if last {
                    *slot.hot.pair_mut(id, 0) = [NONE, 0];
                    slot.keys.remove(id);
                    slot.chunks.remove(&id);
                }
            }
        }
        self.play(slot, tapes, &mut []);
        self.free_chunks(slot, until);
        slot.log.reclaim(&due);
    }

    /// As [`EventWindows::prefetch`], for entries that are to be freed.
    fn prefetch_dead(&self, slot: &SlidingSlot, dead: &[Dead]) {
        dead.iter().for_each(|&Dead { id, newer, .. }| {
            slot.hot.prefetch(id);
            slot.log.prefetch(newer);
        });
    }
}
