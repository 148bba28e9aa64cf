//! Timers: which keys to check when the watermark reaches a time. They only trigger checks and
//! cleanup; whether something is due is decided by a predicate when the key is checked.

use std::collections::BTreeMap;

use crate::limits::TIMER_BUCKETS;
use crate::time::Micros;

/// Ids by the time at which to check them, in buckets a fraction of the duration wide. Touching a
/// key does not move its id; whoever checks the key rearms the timer.
#[derive(Debug)]
pub struct Timers {
    width: Micros,
    buckets: BTreeMap<Micros, Bucket>,
}

/// Ids in one bucket, each with its exact time.
#[derive(Debug)]
struct Bucket {
    least: Micros,
    ids: Vec<(Micros, u32)>,
}

impl Timers {
    /// Creates timers for spans of about `duration` microseconds.
    pub fn new(duration: Micros) -> Timers {
        Timers { width: (duration / TIMER_BUCKETS as Micros).max(1), buckets: BTreeMap::new() }
    }

    /// Schedules a check of an id for when the watermark reaches `due`.
    pub fn arm(&mut self, due: Micros, id: u32) {
        let new = || Bucket { least: due, ids: vec![] };
        let bucket = self.buckets.entry(due.div_euclid(self.width)).or_insert_with(new);
        bucket.least = bucket.least.min(due);
        bucket.ids.push((due, id));
    }

    /// The next watermark at which an id is due.
    pub fn next(&self) -> Option<Micros> {
        self.buckets.first_key_value().map(|(_, bucket)| bucket.least)
    }

    /// Whether an id is due at a watermark.
    pub fn is_due(&self, watermark: Micros) -> bool {
        self.next().is_some_and(|due| due <= watermark)
    }

    /// Removes and returns the ids that are due.
    pub fn take_due(&mut self, watermark: Micros) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(mut entry) = self.buckets.first_entry() {
            let bucket = entry.get_mut();
            if bucket.least > watermark {
                break;
            }
            bucket.least = Micros::MAX;
            bucket.ids.retain(|&(due, id)| {
                if due <= watermark {
                    taken.push(id);
                } else {
                    bucket.least = bucket.least.min(due);
                }
                due > watermark
            });
            if !bucket.ids.is_empty() {
                break;
            }
            entry.remove();
        }
        taken
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let of = |bucket: &Bucket| bucket.ids.capacity() * size_of::<(Micros, u32)>() + 56;
        self.buckets.values().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_when_due() {
        let mut timers = Timers::new(10 * TIMER_BUCKETS as Micros);
        timers.arm(-5, 1);
        timers.arm(25, 2);
        assert!(!timers.is_due(-6) && timers.is_due(-5));
        assert_eq!(timers.take_due(0), [1]);
        assert_eq!(timers.take_due(i64::MAX), [2]);
        assert!(!timers.is_due(i64::MAX));
    }

    #[test]
    fn an_id_of_a_bucket_that_is_half_passed_waits() {
        let mut timers = Timers::new(160);
        (0..10).for_each(|due| timers.arm(due, due as u32));
        assert_eq!(timers.take_due(3), [0, 1, 2, 3]);
        assert!(!timers.is_due(3) && timers.is_due(4));
        timers.arm(2, 7);
        assert_eq!(timers.next(), Some(2), "an id may be armed before those of its bucket");
        assert_eq!(timers.take_due(4), [4, 7]);
        assert_eq!(timers.take_due(9).len(), 5);
        assert!(timers.buckets.is_empty());
    }
}
