//! Prefetch: requests memory that will be read soon, without waiting for it.
//!
//! State is larger than any cache, and rows come in random order of keys. A plain early read would
//! stall later instructions until the data arrives; a prefetch does not, so many can be in flight.

#![allow(unsafe_code)]

/// Prefetches the cache line of item `at`. Does nothing if there is no such item, or on processors
/// without a stable prefetch instruction.
#[inline(always)]
pub fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if at < items.len() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the item exists, so the pointer stays inside its allocation; a prefetch neither
        // reads nor writes memory as the program sees it, and needs no feature beyond SSE, which
        // every x86-64 has.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(items.as_ptr().add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_nothing_and_takes_any_place() {
        let items: Vec<u64> = (0..1000).collect();
        (0..1100).chain([usize::MAX]).for_each(|at| prefetch(&items, at));
        prefetch::<u64>(&[], 0);
        prefetch(&[(); 3], 2);
        assert!(items.iter().copied().eq(0..1000));
    }
}
