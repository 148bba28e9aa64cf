//! Remembered: which rows a key remembers, by time, then arrival.

use std::collections::VecDeque;

use crate::time::Micros;

/// A row that a key remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RememberedRow {
    /// Event time.
    pub time: Micros,
    /// The row's number among all rows of its operator.
    pub number: u64,
    /// Whether rows that the operator has not seen could change the verdict about it.
    pub unknown: bool,
}

/// The rows of one key, in order of time, then arrival. Most keys have one, so the newest is not
/// on the heap.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    newest: Option<RememberedRow>,
    #[allow(clippy::box_collection)] // most keys have none, and then it takes eight bytes, not 32
    older: Option<Box<VecDeque<RememberedRow>>>,
}

impl Remembered {
    /// Number of rows.
    pub fn len(&self) -> usize {
        usize::from(self.newest.is_some()) + self.older.as_ref().map_or(0, |older| older.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// The rows, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RememberedRow> {
        self.older.iter().flat_map(|older| older.iter()).chain(&self.newest)
    }

    /// Adds a row.
    pub fn insert(&mut self, row: RememberedRow) {
        let Some(newest) = &mut self.newest else {
            self.newest = Some(row);
            return;
        };
        let older = self.older.get_or_insert_default();
        if *newest < row {
            older.push_back(*newest);
            *newest = row;
        } else {
            let place = older.partition_point(|other| *other < row);
            older.insert(place, row);
        }
    }

    /// The newest row with a time of at most `time`.
    pub fn newest_until(&self, time: Micros) -> Option<&RememberedRow> {
        if let Some(newest) = self.newest.as_ref().filter(|newest| newest.time <= time) {
            return Some(newest);
        }
        let older = self.older.as_ref()?;
        older.get(older.partition_point(|row| row.time <= time).checked_sub(1)?)
    }

    /// The rows at most `span` before or after `time`.
    pub fn within(&self, time: Micros, span: Micros) -> impl Iterator<Item = &RememberedRow> {
        let (low, high) = (time.saturating_sub(span), time.saturating_add(span));
        self.iter()
            .rev()
            .skip_while(move |row| row.time > high)
            .take_while(move |row| row.time >= low)
    }

    /// The time of the second oldest row.
    pub fn second_time(&self) -> Option<Micros> {
        let older = self.older.as_ref()?;
        older.get(1).or(self.newest.as_ref()).map(|row| row.time)
    }

    /// The time of the oldest row.
    pub fn first_time(&self) -> Option<Micros> {
        let first = self.older.as_ref().and_then(|older| older.front());
        first.or(self.newest.as_ref()).map(|row| row.time)
    }

    /// Removes the oldest row.
    pub fn pop_first(&mut self) -> Option<RememberedRow> {
        let Some(older) = &mut self.older else { return self.newest.take() };
        let first = older.pop_front();
        if older.is_empty() {
            self.older = None;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: Micros, number: u64) -> RememberedRow {
        RememberedRow { time, number, unknown: false }
    }

    #[test]
    fn rows_stay_in_order_of_time_then_arrival() {
        let mut all = Remembered::default();
        assert!(all.is_empty() && all.pop_first().is_none() && all.newest_until(9).is_none());
        let given = [(5, 0), (3, 1), (5, 2), (4, 3), (9, 4), (3, 5)];
        given.iter().for_each(|&(time, number)| all.insert(row(time, number)));
        let numbers: Vec<u64> = all.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 5, 3, 0, 2, 4]);
        let until = |time| all.newest_until(time).map(|row| row.number);
        let found = [2, 3, 4, 5, 8, 9, Micros::MAX].map(until);
        assert_eq!(found, [None, Some(5), Some(3), Some(2), Some(2), Some(4), Some(4)]);
        let near = |time, span| all.within(time, span).map(|row| row.number).collect::<Vec<_>>();
        assert_eq!(near(4, 1), [2, 0, 3, 5, 1]);
        assert_eq!(near(7, 1), [0; 0]);
        assert_eq!(near(Micros::MIN, Micros::MAX), [0; 0]);
        assert_eq!((all.first_time(), all.second_time(), all.len()), (Some(3), Some(3), 6));
        let mut out = vec![];
        while let Some(row) = all.pop_first() {
            out.push(row.number);
        }
        assert_eq!((out, all.len()), (numbers, 0));
    }
}
