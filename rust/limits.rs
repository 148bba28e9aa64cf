//! Limits: every size at which the core changes how it works; none of them changes a result.
//!
//! A build with the feature `small-limits` has tiny ones, so that a few dozen rows cross all of
//! them. The oracle, the laws and the sums are also tested on that build: see `CONTRIBUTING.md`.
//!
//! Constants elsewhere are not such limits: the layout of words and files, the 64 ranges of keys
//! (they are written into snapshots), digits of decimals, and bounds that a user meets as an error.

/// Whether this build has tiny limits.
pub const SMALL: bool = cfg!(feature = "small-limits");

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $normal:literal, small $small:literal;)*) => {
        $($(#[$doc])* pub const $name: usize = if SMALL { $small } else { $normal };)*

        /// All limits of this build by name.
        pub const ALL: &[(&str, usize)] = &[$((stringify!($name), $name)),*];
    };
}

limits! {
    /// Bytes of text in a column of a record batch, whose offsets have 32 bits. Larger columns are
    /// split into several batches.
    TEXT_BYTES_MAX = 2147483647, small 4;

    /// A step with fewer rows runs on the caller's thread: starting threads costs about as much as
    /// processing this many rows.
    INLINE_ROWS_MAX = 4096, small 1;

    /// Entries in a segment of the log of per-event windows. Memory is freed one segment at a time.
    LOG_SEGMENT = 1024, small 4;

    /// How many segments of the log are checked for one that can be freed while an older one is
    /// still needed.
    LOG_LOOK_MAX = 64, small 1;

    /// Keys without a pane that a range may hold before they are removed.
    IDLE_KEYS_MAX = 1024, small 1;

    /// Entries of one key that a per-event window walks before the key gets chunks.
    WALK_MAX = 64, small 1;

    /// Entries in a chunk, and chunks in a chunk above it; at least 2.
    CHUNK_WIDTH = 16, small 2;

    /// Buckets of a timer per duration; a bucket is scanned as a whole.
    TIMER_BUCKETS = 16, small 2;

    /// Slots of the smallest key index; a power of two.
    INDEX_SLOTS_MIN = 16, small 2;

    /// Spare items, in addition to an eighth, that state reserves when it grows.
    ROOM_MIN = 4, small 1;

    /// Rows of per-event windows whose state is prefetched together.
    AHEAD_ROWS = 64, small 2;

    /// Evicted entries per key that are prefetched.
    AHEAD_ROUNDS = 4, small 1;

    /// Arguments of aggregates stored as words in an entry of the log; at most 32, one bit each.
    /// Further arguments are stored in columns.
    TAPE_PLACES_MAX = 32, small 2;

    /// Values up to which a distinct count uses a sorted list, which is faster than a hash table at
    /// this size.
    DISTINCT_LIST_MAX = 16, small 2;

    /// Different values in a block of an ordered multiset; a fuller block is split.
    ORDERED_BLOCK_MAX = 128, small 2;

    /// Values removed from a wide float sum between two attempts to make it narrow again.
    DEMOTE_EVERY = 32, small 2;

    /// Average rows per run from which fired rows are copied by run instead of one by one.
    RUN_ROWS_MIN = 8, small 2;

    /// Constants of `in` up to which they are compared one by one; beyond that hashing is faster.
    AMONG_LIST_MAX = 8, small 1;

    /// Keys whose partition is remembered, for each partition, to find a key in two of them.
    HOME_KEYS_MAX = 1048576, small 4;

    /// Such keys in a piece that is saved as a whole.
    HOME_SEGMENT_KEYS = 4096, small 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_fit_what_is_built_on_them() {
        const { assert!(INDEX_SLOTS_MIN.is_power_of_two() && TAPE_PLACES_MAX <= 32 && CHUNK_WIDTH > 1) };
        assert!(ALL.iter().all(|&(_, limit)| limit > 0 && (!SMALL || limit <= 4)));
    }
}
