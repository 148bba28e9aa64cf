//! The options of formats, which come as one JSON object.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fault::{Fault, Parse, Wrong};
use crate::error::{Error, Result};

/// What is before a payload: a zero, and four bytes that name a schema in a registry.
pub const PREFIX_BYTES: usize = 5;

/// The options that every format has.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct CommonOptions {
    /// Whether a null payload is a row of nulls; it is left out otherwise.
    pub tombstones: bool,
    /// Longer payloads are bad messages.
    pub bytes_max: usize,
    /// Whether each payload begins with the prefix of Confluent's registry.
    pub confluent: bool,
}

impl Default for CommonOptions {
    fn default() -> CommonOptions {
        CommonOptions { tombstones: false, bytes_max: 16 << 20, confluent: false }
    }
}

impl CommonOptions {
    /// How many bytes a payload's prefix has; an error if the payload cannot be decoded.
    #[inline]
    pub fn prefix(&self, payload: &[u8]) -> Parse<usize> {
        if payload.len() > self.bytes_max {
            return Err(Wrong::new(0, Fault::Said(self.too_long(payload.len()))));
        }
        if !self.confluent {
            return Ok(0);
        }
        confluent_id(payload).map(|_| PREFIX_BYTES)
    }

    #[cold]
    fn too_long(&self, len: usize) -> String {
        format!("it has {len} bytes, more than bytes_max={}", self.bytes_max)
    }
}

/// The schema's id in a payload of Confluent's registry.
pub fn confluent_id(payload: &[u8]) -> Parse<u32> {
    let said = |said: String| Err(Wrong::new(0, Fault::Said(said)));
    match payload {
        [0, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [0, ..] | [] => said(format!(
            "it has {} bytes, fewer than the prefix of a schema registry",
            payload.len()
        )),
        [first, ..] => {
            said(format!("its first byte is {first}, where the prefix of a schema registry has 0"))
        }
    }
}

/// Reads options: those that every format has, and the format's own.
pub fn options<O: DeserializeOwned>(format: &str, json: &str) -> Result<(CommonOptions, O)> {
    const COMMON: [&str; 3] = ["tombstones", "bytes_max", "confluent"];
    let wrong = |error: serde_json::Error| Error::Plan(format!("decode {format}: {error}"));
    let all: Map<String, Value> = serde_json::from_str(json).map_err(wrong)?;
    let (common, own): (Map<_, _>, Map<_, _>) =
        all.into_iter().partition(|(name, _)| COMMON.contains(&name.as_str()));
    let common: CommonOptions = serde_json::from_value(common.into()).map_err(wrong)?;
    if common.bytes_max > i32::MAX as usize {
        let max = i32::MAX;
        let got = common.bytes_max;
        return Err(Error::Plan(format!("decode {format}: bytes_max={got} is more than {max}")));
    }
    Ok((common, serde_json::from_value(own.into()).map_err(wrong)?))
}
