//! Partitioner: the hash by which a producer chooses the partition of a record from its key.

use crate::error::{Error, Result};

/// A way to choose a partition that producers agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioner {
    /// Java's clients, and librdkafka's `murmur2`.
    Murmur2,
    /// librdkafka's `consistent`.
    Crc32,
    /// librdkafka's `fnv1a`, and Sarama's default.
    Fnv1a,
}

impl Partitioner {
    /// Every partitioner with its name.
    pub const ALL: [(&'static str, Partitioner); 3] = [
        ("murmur2", Partitioner::Murmur2),
        ("crc32", Partitioner::Crc32),
        ("fnv1a", Partitioner::Fnv1a),
    ];

    /// Parses its name in Python.
    pub fn parse(word: &str) -> Result<Partitioner> {
        let found = Partitioner::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, partitioner)| *partitioner).ok_or_else(|| {
            Error::Plan(format!(
                "partitioner=\"{word}\" is unknown\nhint: \"murmur2\" (Java), \"crc32\" (librdkafka's \
                 consistent) or \"fnv1a\""
            ))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Partitioner::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| *name)
    }

    /// The partition of a key among `count`, which is not 0.
    pub fn partition(self, key: &[u8], count: u32) -> u32 {
        let hash = match self {
            Partitioner::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Partitioner::Crc32 => crc32(key),
            Partitioner::Fnv1a => fnv1a(key),
        };
        hash % count
    }
}

/// The 32-bit MurmurHash2 with the seed of Kafka's Java client.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, &byte| (word << 8) | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The CRC-32 of zlib.
fn crc32(key: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ ((crc & 1) * 0xedb8_8320);
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !key.iter().fold(!0, |crc, &byte| TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8))
}

/// The 32-bit FNV-1a as a signed number, without its sign.
fn fnv1a(key: &[u8]) -> u32 {
    let step = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    (key.iter().fold(0x811c_9dc5, step) as i32).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_the_java_client() {
        // `UtilsTest.testMurmur2` of Apache Kafka
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{key:?}");
        }
        // `unittest_murmurhashneutral2` of librdkafka, which has them without the sign
        let cases: [(&[u8], u32); 3] =
            [(b"kafka", 1348980580), (b"amqp", 767747138), (b"giberish123456789", 257239820)];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) & 0x7fff_ffff, hash, "{key:?}");
        }
    }

    #[test]
    fn crc32_gives_the_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn fnv1a_gives_the_values_of_librdkafka() {
        // `unittest_fnv1a` of librdkafka
        let cases: [(&[u8], u32); 8] = [
            (b"kafka", 0x0d33_c4e1),
            (b"giberish123456789", 0x77a5_8295),
            (b"1234", 0x023b_dd03),
            (b"234", 0x2dea_3cd2),
            (b"34", 0x740f_a83e),
            (b"4", 0x310c_a263),
            (b"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cb_d69c),
            (b"", 0x7ee3_623b),
        ];
        for (key, hash) in cases {
            assert_eq!(fnv1a(key), hash, "{key:?}");
        }
    }

    #[test]
    fn a_partition_is_below_the_count() {
        for (name, partitioner) in Partitioner::ALL {
            assert_eq!((Partitioner::parse(name), partitioner.name()), (Ok(partitioner), name));
            assert!((0..100u8).all(|key| partitioner.partition(&[key], 7) < 7));
        }
        assert!(Partitioner::parse("random").is_err());
        assert_eq!(
            Partitioner::Murmur2.partition(b"foobar", 10),
            (-790332482i32 & i32::MAX) as u32 % 10
        );
    }
}
