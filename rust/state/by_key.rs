//! ByKey: one value for each key of a range, and when to look at it again.

use super::{KeyColumns, Keys, Timers};
use crate::aggregate::lines::grow;
use crate::time::Micros;

/// What becomes of a key once the clock has reached its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again when the clock reaches this time.
    At(Micros),
    /// Keep the value until it changes.
    Keep,
    /// Forget the key.
    Forget,
}

/// A value of type `S` for each key. Timers only say when to look at a value; whether it still
/// counts is decided by its times.
#[derive(Debug)]
pub struct ByKey<S> {
    keys: Keys,
    values: Vec<S>,
    /// Whether a timer of the key is running; a key has one at a time.
    armed: Vec<bool>,
    timers: Timers,
}

impl<S: Default> ByKey<S> {
    /// No keys; their values are looked at about `span` after they change.
    pub fn new(span: Micros) -> ByKey<S> {
        let (keys, timers) = (Keys::default(), Timers::new(span));
        ByKey { keys, values: vec![], armed: vec![], timers }
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The value of a row's key, if the key is known.
    pub fn get(&self, columns: &KeyColumns, row: usize) -> Option<&S> {
        self.keys.get(columns, row).map(|id| &self.values[id as usize])
    }

    /// The id of a row's key; a new key has the default value.
    pub fn intern(&mut self, columns: &KeyColumns, row: usize) -> u32 {
        let id = self.keys.intern(columns, row);
        self.make_room();
        id
    }

    /// Replaces `ids` by those of the keys of `rows`; new keys have the default value.
    pub fn intern_all(&mut self, columns: &KeyColumns, rows: &[u32], ids: &mut Vec<u32>) {
        self.keys.intern_all(columns, rows, ids);
        self.make_room();
    }

    fn make_room(&mut self) {
        let len = self.keys.capacity();
        if self.values.len() < len {
            grow(&mut self.values, len);
            self.values.resize_with(len, S::default);
            grow(&mut self.armed, len);
            self.armed.resize(len, false);
        }
    }

    /// The value of a key.
    pub fn value(&self, id: u32) -> &S {
        &self.values[id as usize]
    }

    /// The value of a key, to change it.
    pub fn value_mut(&mut self, id: u32) -> &mut S {
        &mut self.values[id as usize]
    }

    /// Looks at the key once the clock reaches `due`, unless that is going to happen already.
    pub fn arm(&mut self, id: u32, due: Micros) {
        if !std::mem::replace(&mut self.armed[id as usize], true) {
            self.timers.arm(due, id);
        }
    }

    /// The next clock at which a key is looked at.
    pub fn due(&self) -> Option<Micros> {
        self.timers.next()
    }

    /// Looks at each key that is due.
    pub fn look(&mut self, clock: Micros, mut look: impl FnMut(&mut S) -> Next) {
        for id in self.timers.take_due(clock) {
            self.armed[id as usize] = false;
            match look(&mut self.values[id as usize]) {
                Next::At(due) => self.arm(id, due),
                Next::Keep => {}
                Next::Forget => self.forget(id),
            }
        }
    }

    /// Forgets a key. A timer of it may still run: then whoever has the id by then is looked at.
    pub fn forget(&mut self, id: u32) {
        self.values[id as usize] = S::default();
        self.keys.remove(id);
    }

    /// The ids and values in use or not: a value that is not in use is the default.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &S)> {
        (0..).zip(&self.values)
    }

    /// Approximate memory in bytes, without what the values hold outside themselves.
    pub fn bytes(&self) -> usize {
        let each = self.values.capacity() * size_of::<S>() + self.armed.capacity();
        self.keys.bytes() + each + self.timers.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_key_is_looked_at_when_due_and_once_at_a_time() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let columns = KeyColumns::new(&[column], 2).unwrap();
        let mut all: ByKey<i64> = ByKey::new(10);
        for (row, due) in [(0, 5), (1, 6), (0, 3)] {
            let id = all.intern(&columns, row);
            *all.value_mut(id) += due;
            all.arm(id, due);
        }
        assert_eq!((all.get(&columns, 0), all.get(&columns, 1)), (Some(&8), Some(&6)));
        assert_eq!(all.due(), Some(5));
        let mut seen = vec![];
        all.look(5, |value| {
            seen.push(*value);
            Next::At(9)
        });
        all.look(8, |value| {
            seen.push(*value);
            Next::Forget
        });
        assert_eq!((seen, all.due(), all.keys().len()), (vec![8, 6], Some(9), 1));
        all.look(9, |_| Next::Keep);
        assert_eq!((all.get(&columns, 0), all.get(&columns, 1), all.due()), (Some(&8), None, None));
        let id = all.intern(&columns, 1);
        assert_eq!(all.value(id), &0);
    }
}
