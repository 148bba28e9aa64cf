//! Rows on trial: added and answered like any others, then taken back.

use super::{EventWindows, HEAD, Oldest, SlidingSlot};
use crate::aggregate::StateRows;
use crate::state::KeyColumns;
use crate::state::log::NONE;

/// A copy of a key's row of words.
struct KeptKey {
    id: u32,
    words: StateRows,
}

impl EventWindows {
    /// Runs `work`, which adds rows of these keys, and puts the slot back as it was. Nothing may be
    /// freed meanwhile.
    pub fn try_out(
        &self,
        slot: &mut SlidingSlot,
        (keys, rows): (&KeyColumns, &[u32]),
        work: impl FnOnce(&mut SlidingSlot),
    ) {
        let known = |slot: &SlidingSlot| -> Vec<u32> {
            let mut ids: Vec<u32> =
                rows.iter().filter_map(|&row| slot.keys.get(keys, row as usize)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let kept: Vec<KeptKey> = known(slot).into_iter().map(|id| self.keep(slot, id)).collect();
        let end = slot.log.end();
        work(slot);
        while let Some((at, time, id)) = slot.log.last_after(end) {
            let SlidingSlot { log, chunks, .. } = &mut *slot;
            if let Some(own) = chunks.get_mut(&id) {
                own.remove(self.kept(log), (time, at));
            }
            slot.log.take_back(end);
        }
        for id in known(slot) {
            match kept.iter().find(|kept| kept.id == id) {
                Some(kept) => self.put_back(slot, kept),
                None => {
                    self.clear_key(slot, id);
                    slot.chunks.remove(&id);
                    slot.keys.remove(id);
                }
            }
        }
    }

    /// The aggregates that have a running value, each with the offset of its words.
    fn held(&self) -> impl Iterator<Item = (usize, usize)> {
        self.windows.iter().flat_map(|window| {
            let taped = window.taped.iter().map(|taped| taped.0);
            let all = taped.chain(window.direct.iter().copied());
            all.map(|j| (j, window.base + self.aggregator.layout.items[j].1))
        })
    }

    fn keep(&self, slot: &SlidingSlot, id: u32) -> KeptKey {
        let mut words = StateRows::new(self.words());
        let row = words.push();
        for (j, offset) in self.held() {
            let aggregate = &self.aggregator.layout.items[j].0;
            let from = slot.hot.peek(id, offset, aggregate.words());
            aggregate.merge(words.cell(row, offset, aggregate.words()), from);
        }
        for at in self.pairs() {
            *words.pair_mut(row, at) = *slot.hot.pair(id, at);
        }
        KeptKey { id, words }
    }

    fn put_back(&self, slot: &mut SlidingSlot, kept: &KeptKey) {
        self.clear_key(slot, kept.id);
        for (j, offset) in self.held() {
            let aggregate = &self.aggregator.layout.items[j].0;
            let from = kept.words.peek(0, offset, aggregate.words());
            aggregate.merge(slot.hot.cell(kept.id, offset, aggregate.words()), from);
        }
        for at in self.pairs() {
            *slot.hot.pair_mut(kept.id, at) = *kept.words.pair(0, at);
        }
    }

    /// Resets a key's row to that of a key without rows.
    fn clear_key(&self, slot: &mut SlidingSlot, id: u32) {
        for (j, offset) in self.held() {
            let aggregate = &self.aggregator.layout.items[j].0;
            aggregate.clear(slot.hot.cell(id, offset, aggregate.words()));
        }
        for window in &self.windows {
            self.set_oldest(slot, id, window, Oldest { entry: NONE, time: 0 });
        }
        *slot.hot.pair_mut(id, 0) = [NONE, 0];
    }

    /// The offsets of the words that are not accumulators, in pairs.
    fn pairs(&self) -> impl Iterator<Item = usize> {
        const { assert!(HEAD == 2) };
        std::iter::once(0).chain(self.windows.iter().map(|window| window.oldest))
    }
}
