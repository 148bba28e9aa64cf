//! The fixed hash of keys, by value. It must be the same on every machine and in every version:
//! ranges, the order of fired rows and the names of chunks depend on it.

/// Number of fixed ranges that an operator's keys are split into.
pub const RANGES: usize = 64;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that mixes all bits.
pub fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The fixed hash of a null key column.
pub fn hash_null() -> u64 {
    mix64(GOLDEN.wrapping_add(1))
}

/// The fixed hash of an integer-like value.
pub fn hash_word(value: i64) -> u64 {
    mix64(value as u64 ^ GOLDEN)
}

/// The fixed hash of a decimal.
pub fn hash_wide(value: i128) -> u64 {
    mix64(mix64(value as u64 ^ GOLDEN) ^ (value >> 64) as u64)
}

/// The fixed hash of text or bytes.
pub fn hash_bytes(value: &[u8]) -> u64 {
    value.chunks(8).fold(mix64(value.len() as u64 ^ GOLDEN), |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix64(hash ^ u64::from_le_bytes(word))
    })
}

/// Combines the hash of the previous key columns with the hash of the next one.
pub fn hash_next(hash: u64, column: u64) -> u64 {
    mix64(hash.wrapping_mul(31).wrapping_add(column))
}

/// The range of a key.
pub fn range_of(hash: u64) -> usize {
    (hash >> 58) as usize
}
