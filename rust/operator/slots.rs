//! Slots: the state of a keyed operator, split by address, and its pieces in a snapshot.

use super::flow::Context;
use crate::error::Result;
use crate::exchange::{self, Routed};
use crate::state::{Address, ByKey, RANGES, Saved};

/// The state at one address.
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

/// The slots of an operator, one for each address that has ever had a key.
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
        work: impl Fn(Address, &mut S, &mut T) -> Result<()> + Sync,
    ) -> Result<Vec<T>> {
        let mut busy = Vec::new();
        for (address, slot) in Address::all().zip(&mut self.slots) {
            let has_rows = !routed.rows_of(address).is_empty();
            if has_rows && slot.is_none() {
                *slot = Some(new());
            }
            if let Some(slot) = slot.as_mut().filter(|slot| has_rows || due(slot)) {
                self.changed[address.index()] = context.epoch;
                busy.push((address, slot));
            }
        }
        exchange::run(context.threads, routed.len(), busy, out, work)
    }

    /// Runs `work` on each slot that has rows, without marking it as changed. `work`
    /// must leave the slots as they are; a slot that did not exist is dropped afterwards.
    pub fn try_out(
        &mut self,
        routed: &Routed,
        new: impl Fn() -> S,
        mut work: impl FnMut(Address, &mut S),
    ) {
        for (address, slot) in Address::all().zip(&mut self.slots) {
            if routed.rows_of(address).is_empty() {
                continue;
            }
            match slot {
                Some(slot) => work(address, slot),
                None => work(address, &mut new()),
            }
        }
    }

    /// Drops the slot at an address without keys that no step has changed.
    pub fn drop_unchanged(&mut self, address: Address) {
        let is_new = self.changed[address.index()] == 0;
        self.slots[address.index()].take_if(|slot| is_new && slot.keys() == 0);
    }

    /// Returns the slot at an address, creating it if needed.
    pub fn get_or_insert(&mut self, address: Address, new: impl FnOnce() -> S) -> &mut S {
        self.slots[address.index()].get_or_insert_with(new)
    }

    /// The slot of a range.
    pub fn get(&self, address: Address) -> Option<&S> {
        self.slots[address.index()].as_ref()
    }

    /// Returns the slot at an address, creating it if needed, and marks it as changed in this epoch.
    pub fn touch(&mut self, address: Address, epoch: u64, new: impl FnOnce() -> S) -> &mut S {
        self.changed[address.index()] = epoch;
        self.get_or_insert(address, new)
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

    /// The epoch in which a slot last changed.
    pub fn changed(&self, address: Address) -> u64 {
        self.changed[address.index()]
    }

    /// Saves the slots changed after epoch `since`, each with the epoch of its last change.
    pub fn save(
        &self,
        since: u64,
        save: impl Fn(&S) -> Result<Vec<SlotPart>>,
    ) -> Result<Vec<SavedPiece>> {
        let mut pieces = Vec::new();
        for (address, slot) in Address::all().zip(&self.slots) {
            let epoch = self.changed(address);
            if let Some(slot) = slot.as_ref().filter(|_| epoch > since || since == 0) {
                for (name, saved) in save(slot)? {
                    pieces.push(SavedPiece { address, name: name.to_string(), epoch, saved });
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
            let slot = self.touch(piece.address, piece.epoch, &new);
            load(slot, &piece.name, &piece.saved)?;
        }
        Ok(())
    }
}

/// A named part of a slot.
pub type SlotPart = (&'static str, Saved);

/// A saved part of a slot and where it belongs; becomes one chunk of a snapshot.
#[derive(Debug, Clone)]
pub struct SavedPiece {
    /// The slot.
    pub address: Address,
    /// Name of the part of the slot.
    pub name: String,
    /// Epoch of the slot's last change.
    pub epoch: u64,
    /// Its content.
    pub saved: Saved,
}
