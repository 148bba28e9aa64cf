//! Slots: the state of a keyed operator, split by range of keys, and its pieces in a snapshot.

use super::flow::Context;
use crate::error::Result;
use crate::exchange::{self, Routed};
use crate::state::{ByKey, RANGES, Saved};

/// The state of one range of keys.
pub trait Slot: Send + Sync {
    /// Number of keys.
    fn keys(&self) -> usize;
    /// Approximate memory in bytes.
    fn bytes(&self) -> usize;
}

impl<S: Default + Send + Sync> Slot for ByKey<S> {
    fn keys(&self) -> usize {
        self.keys().len()
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }
}

/// The slots of an operator, one for each range that has ever had a key.
#[derive(Debug)]
pub struct Slots<S> {
    slots: Vec<Option<S>>,
    changed: [u64; RANGES],
}

impl<S: Slot> Default for Slots<S> {
    fn default() -> Slots<S> {
        Slots { slots: (0..RANGES).map(|_| None).collect(), changed: [0; RANGES] }
    }
}

impl<S: Slot> Slots<S> {
    /// Runs `work` once for each slot that has rows or for which `due` holds. Each slot has one
    /// owner thread, which collects the results of its slots in one `out`.
    pub fn run<T: Send>(
        &mut self,
        routed: &Routed,
        context: &Context,
        (new, due): (impl Fn() -> S, impl Fn(&S) -> bool),
        out: impl Fn() -> T + Sync,
        work: impl Fn(usize, &mut S, &mut T) -> Result<()> + Sync,
    ) -> Result<Vec<T>> {
        let mut busy = Vec::new();
        for (range, slot) in self.slots.iter_mut().enumerate() {
            let has_rows = !routed.rows_of(range).is_empty();
            if has_rows && slot.is_none() {
                *slot = Some(new());
            }
            if let Some(slot) = slot.as_mut().filter(|slot| has_rows || due(slot)) {
                self.changed[range] = context.epoch;
                busy.push((range, slot));
            }
        }
        exchange::run(context.threads, routed.len(), busy, out, work)
    }

    /// Runs `work` on the slot of each range that has rows, without marking it as changed. `work`
    /// must leave the slots as they are; a slot that did not exist is dropped afterwards.
    pub fn try_out(
        &mut self,
        routed: &Routed,
        new: impl Fn() -> S,
        mut work: impl FnMut(usize, &mut S),
    ) {
        for (range, slot) in self.slots.iter_mut().enumerate() {
            if routed.rows_of(range).is_empty() {
                continue;
            }
            match slot {
                Some(slot) => work(range, slot),
                None => work(range, &mut new()),
            }
        }
    }

    /// Drops the slot of a range without keys that no step has changed.
    pub fn drop_unchanged(&mut self, range: usize) {
        let is_new = self.changed[range] == 0;
        self.slots[range].take_if(|slot| is_new && slot.keys() == 0);
    }

    /// Returns the slot of a range, creating it if needed.
    pub fn get_or_insert(&mut self, range: usize, new: impl FnOnce() -> S) -> &mut S {
        self.slots[range].get_or_insert_with(new)
    }

    /// The slot of a range.
    pub fn get(&self, range: usize) -> Option<&S> {
        self.slots[range].as_ref()
    }

    /// Returns the slot of a range, creating it if needed, and marks it as changed in this epoch.
    pub fn touch(&mut self, range: usize, epoch: u64, new: impl FnOnce() -> S) -> &mut S {
        self.changed[range] = epoch;
        self.get_or_insert(range, new)
    }

    /// All slots, mutable, without marking them as changed for the next snapshot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.slots.iter_mut().flatten()
    }

    /// Number of keys in all slots.
    pub fn keys(&self) -> usize {
        self.slots.iter().flatten().map(Slot::keys).sum()
    }

    /// Approximate memory of all slots in bytes.
    pub fn bytes(&self) -> usize {
        self.slots.iter().flatten().map(Slot::bytes).sum()
    }

    /// The epoch in which a range last changed.
    pub fn changed(&self, range: usize) -> u64 {
        self.changed[range]
    }

    /// Saves the slots changed after epoch `since`, each with the epoch of its last change.
    pub fn save(
        &self,
        since: u64,
        save: impl Fn(&S) -> Result<Vec<SlotPart>>,
    ) -> Result<Vec<SavedPiece>> {
        let mut pieces = Vec::new();
        for (range, slot) in self.slots.iter().enumerate() {
            let epoch = self.changed[range];
            if let Some(slot) = slot.as_ref().filter(|_| epoch > since || since == 0) {
                for (part, saved) in save(slot)? {
                    pieces.push(SavedPiece { range, part: part.to_string(), epoch, saved });
                }
            }
        }
        Ok(pieces)
    }

    /// Restores saved slots.
    pub fn load(
        &mut self,
        pieces: &[SavedPiece],
        new: impl Fn() -> S,
        load: impl Fn(&mut S, &str, &Saved) -> Result<()>,
    ) -> Result<()> {
        for piece in pieces {
            self.changed[piece.range] = piece.epoch;
            load(self.slots[piece.range].get_or_insert_with(&new), &piece.part, &piece.saved)?;
        }
        Ok(())
    }
}

/// A named part of a slot.
pub type SlotPart = (&'static str, Saved);

/// A saved part of a slot and where it belongs; becomes one chunk of a snapshot.
#[derive(Debug, Clone)]
pub struct SavedPiece {
    /// Range of the keys.
    pub range: usize,
    /// Name of the part.
    pub part: String,
    /// Epoch of the slot's last change.
    pub epoch: u64,
    /// Its content.
    pub saved: Saved,
}
