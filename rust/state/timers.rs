//! Timers: which keys to look at when the watermark has come so far. They only reclaim and remind;
//! whether something is due is decided by a predicate when the key is touched.

use std::collections::BTreeMap;

use crate::limits::TIMER_BUCKETS;
use crate::time::Micros;

/// Ids by the time at which to look at them, in buckets a fraction of the duration wide. An id is
/// not moved when its key is touched; whoever looks arms it again.
#[derive(Debug)]
pub struct Timers {
    width: Micros,
    buckets: BTreeMap<Micros, Vec<u32>>,
}

impl Timers {
    /// Timers for things that last about `duration` microseconds.
    pub fn new(duration: Micros) -> Timers {
        Timers { width: (duration / TIMER_BUCKETS as Micros).max(1), buckets: BTreeMap::new() }
    }

    /// Reminds of an id once the watermark has passed `due`.
    pub fn arm(&mut self, due: Micros, id: u32) {
        self.buckets.entry(due.div_euclid(self.width)).or_default().push(id);
    }

    /// Whether a watermark calls for a look.
    pub fn is_due(&self, watermark: Micros) -> bool {
        let now = watermark.div_euclid(self.width);
        self.buckets.first_key_value().is_some_and(|(&bucket, _)| bucket <= now)
    }

    /// Takes out the ids to look at.
    pub fn take_due(&mut self, watermark: Micros) -> Vec<u32> {
        let now = watermark.div_euclid(self.width);
        let mut ids = Vec::new();
        while let Some(entry) = self.buckets.first_entry() {
            if *entry.key() > now {
                break;
            }
            ids.extend(entry.remove());
        }
        ids
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        self.buckets.values().map(|ids| ids.capacity() * 4 + 48).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_when_due() {
        let mut timers = Timers::new(160);
        timers.arm(-5, 1);
        timers.arm(25, 2);
        assert!(!timers.is_due(-20) && timers.is_due(-5));
        assert_eq!(timers.take_due(0), [1]);
        assert_eq!(timers.take_due(i64::MAX), [2]);
        assert!(!timers.is_due(i64::MAX));
    }
}
