//! Limits: every size at which the core changes what it does, though never what comes out.
//!
//! A build with the feature `small-limits` has tiny ones, so that a few dozen rows cross all of
//! them. The oracle, the laws and the sums are tested on that build too: see `CONTRIBUTING.md`.
//!
//! What stands elsewhere is no such limit: the layout of words and of files, the 64 ranges of keys
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
    /// Bytes of text in a column of a record batch: its offsets have 32 bits. What is more is cut
    /// into several batches.
    TEXT_BYTES_MAX = 2147483647, small 4;

    /// Rows of a step below which its operators run on the caller's thread: starting threads costs
    /// about as much as so many rows.
    INLINE_ROWS_MAX = 4096, small 1;

    /// Entries of a segment of the log of per-event windows. Memory is freed by the segment.
    LOG_SEGMENT = 1024, small 4;

    /// Segments of the log that are looked at for one to free although an older one is still
    /// needed.
    LOG_LOOK_MAX = 64, small 1;

    /// Keys without a pane that one range holds before they are swept out.
    IDLE_KEYS_MAX = 1024, small 1;

    /// Entries of one key that a per-event window walks over before the key gets chunks.
    WALK_MAX = 64, small 1;

    /// Entries of a chunk, and chunks of a chunk above it; at least 2.
    CHUNK_WIDTH = 16, small 2;

    /// Buckets that timers have for one duration; each is looked through as a whole.
    TIMER_BUCKETS = 16, small 2;

    /// Slots of the smallest index of keys; a power of two.
    INDEX_SLOTS_MIN = 16, small 2;

    /// Items more than asked for and an eighth that state makes room for when it grows.
    ROOM_MIN = 4, small 1;

    /// Rows of per-event windows whose state is fetched from memory ahead of the work.
    AHEAD_ROWS = 64, small 2;

    /// Entries that leave one key's window at once and are fetched from memory ahead of the work.
    AHEAD_ROUNDS = 4, small 1;

    /// Arguments of aggregates that an entry of the log holds in words; at most 32, a bit for each.
    /// The arguments beyond them are held in columns.
    TAPE_PLACES_MAX = 32, small 2;

    /// Values of a distinct count in a sorted list, which is faster than a hash table up to here.
    DISTINCT_LIST_MAX = 16, small 2;

    /// Values that leave a wide float sum between two attempts to make it narrow again.
    DEMOTE_EVERY = 32, small 2;

    /// Rows of a run, on average, from which fired rows are copied by the run, not one by one.
    RUN_ROWS_MIN = 8, small 2;

    /// Constants of `in` that are compared one after another; hashing more of them is faster.
    AMONG_LIST_MAX = 8, small 1;
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
