//! Keys whose lists have become long to walk also have chunks, from which windows are computed in
//! fewer steps.

use super::question::{Ask, Steps};
use super::{EventWindows, SlidingSlot, Window};
use crate::aggregate::Cell;
use crate::limits::WALK_MAX;
use crate::state::log::NONE;
use crate::state::{At, Chunks, Kept, Log};
use crate::time::Micros;

impl EventWindows {
    pub(super) fn kept<'a>(&'a self, log: &'a Log) -> Kept<'a> {
        Kept { layout: &self.aggregator.layout, which: &self.small, log }
    }

    /// Whether chunks can hold aggregate `j`.
    pub(super) fn is_small(&self, j: usize) -> bool {
        !self.aggregator.layout.items[j].0.grows()
    }

    /// How many entries may be walked for aggregate `j` before the chunks are used.
    pub(super) fn steps(&self, j: usize) -> Steps {
        if self.is_small(j) { Steps::some(WALK_MAX) } else { Steps::any() }
    }

    /// Returns the chunks of a key, creating them if needed.
    pub(super) fn chunk(&self, slot: &mut SlidingSlot, id: u32) {
        if !slot.chunks.contains_key(&id) {
            let mut entries = vec![];
            let mut next = slot.head(id).0;
            while let Some(entry) = slot.log.get(next).filter(|e| e.time > slot.unreachable) {
                entries.push((entry.time, next));
                next = entry.older;
            }
            entries.reverse();
            slot.chunks.insert(id, Chunks::new(self.kept(&slot.log), &entries));
        }
        if let Some(own) = slot.chunks.get_mut(&id) {
            own.used();
        }
    }

    /// Inserts a new entry into its key's list, if it is not the newest, and into its chunks.
    #[inline(never)]
    pub(super) fn put_in_order(&self, slot: &mut SlidingSlot, id: u32, at: At, is_newest: bool) {
        let tail = slot.head(id).0;
        let (time, position) = at;
        let SlidingSlot { log, chunks, .. } = slot;
        let Some(own) = chunks.get_mut(&id) else {
            if !is_newest && log.link(position, time, tail) > WALK_MAX {
                self.chunk(slot, id);
            }
            return;
        };
        if !is_newest {
            own.used();
            let behind = own.behind((time, u64::MAX)).map_or(tail, |at| at.1);
            log.link(position, time, behind);
        }
        own.insert(self.kept(log), at);
        if own.is_useless() {
            chunks.remove(&id);
        }
    }

    /// Recomputes a running value from the entries still in the window.
    pub(super) fn refold(
        &self,
        slot: &mut SlidingSlot,
        id: u32,
        window: &Window,
        (floor, oldest): (Micros, u64),
        j: usize,
    ) {
        let aggregate = &self.aggregator.layout.items[j].0;
        aggregate.clear(self.cell(&mut slot.hot, id, window, j));
        if !slot.chunks.contains_key(&id) || !self.is_small(j) {
            let (mut next, mut steps) = (oldest, self.steps(j));
            while let Some(entry) = slot.log.get(next).filter(|_| steps.take()) {
                let SlidingSlot { log, hot, .. } = slot;
                self.add(log, next, self.cell(hot, id, window, j), j);
                next = entry.newer;
            }
            if !steps.is_over() {
                return;
            }
            aggregate.clear(self.cell(&mut slot.hot, id, window, j));
        }
        self.chunk(slot, id);
        let SlidingSlot { log, hot, chunks, .. } = slot;
        let cell = self.cell(hot, id, window, j);
        let all = ((floor, u64::MAX), (Micros::MAX, u64::MAX));
        chunks[&id].fold(self.kept(log), j, all, cell);
    }

    /// Frees the parts of chunks that no window can reach.
    pub(super) fn free_chunks(&self, slot: &mut SlidingSlot, until: Micros) {
        let SlidingSlot { log, chunks, .. } = slot;
        chunks.values_mut().for_each(|own| own.free_until(self.kept(log), until));
        chunks.retain(|_, own| !own.is_short());
    }

    /// Computes the answer to a question from a key's chunks.
    pub(super) fn ask_chunks(&self, chunks: &Chunks, log: &Log, ask: Ask, mut cell: Cell<'_>) {
        let from = (ask.span.lower(ask.moment), u64::MAX);
        let to = (ask.span.upper(ask.moment), u64::MAX);
        let kept = self.kept(log);
        match log.get(ask.skip).filter(|_| ask.skip != NONE) {
            None => chunks.fold(kept, ask.j, (from, to), cell.reborrow()),
            Some(skip) => {
                let before = (skip.time, ask.skip - 1);
                chunks.fold(kept, ask.j, (from, to.min(before)), cell.reborrow());
                let behind = from.max((skip.time, ask.skip));
                chunks.fold(kept, ask.j, (behind, to), cell.reborrow());
            }
        }
        if let Some(also) = log.get(ask.also).filter(|_| ask.also != NONE) {
            kept.update(ask.j, cell, (also.time, ask.also));
        }
    }
}
