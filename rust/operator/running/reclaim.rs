//! Reclaim: removes rows that no window can reach any more from the running values and the log.

use super::{EventWindows, SlidingSlot, Tapes};
use crate::limits::AHEAD_ROWS;
use crate::state::log::{Dead, NONE};
use crate::time::Micros;

impl EventWindows {
    /// Frees entries that no window can reach, after removing them from the running values.
    ///
    /// A key is removed together with its newest entry. Older entries of the key may lie in later
    /// segments, which are kept: from then on the key id in them is unused or belongs to another
    /// key.
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

    /// Like [`EventWindows::prefetch`], for entries about to be freed.
    fn prefetch_dead(&self, slot: &SlidingSlot, dead: &[Dead]) {
        dead.iter().for_each(|&Dead { id, newer, .. }| {
            slot.hot.prefetch(id);
            slot.log.prefetch(newer);
        });
    }
}
