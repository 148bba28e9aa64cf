//! Snapshot: saves a pipeline between two steps as named chunks and a manifest.
//!
//! A chunk's name contains the fingerprint of its operator, its range, its part and the epoch of
//! its last change. Chunks with the same name have the same content, also after a restore into a
//! changed pipeline. Everything is verified before any state is built; nothing in a snapshot is
//! executed.

mod change;
mod restore;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::assign::Zone;
use crate::chunk::{Chunk, encode_batch, pack, seal, unpack};
use crate::error::{Error, Result};
use crate::operator::SavedPiece;
use crate::pipeline::Pipeline;
use crate::plan::{self, Plan};
use crate::schema::type_word;
use crate::state::{Address, RANGES};

pub use change::OnChange;
pub use restore::{load, restore};

fn chunks(owner: &str, pieces: Vec<SavedPiece>, all: &mut Vec<Chunk>) -> Result<()> {
    for piece in pieces {
        let SavedPiece { address, name, epoch, saved } = piece;
        let name = format!("{owner}/{address}/{name}/{epoch}");
        all.push(Chunk { name, bytes: encode_batch(&saved.batch)? });
    }
    Ok(())
}

/// Serialises the engine's state: all of it, or only what changed after epoch `since`. `before` are
/// the names of the chunks in the snapshot of that epoch; those still valid are listed, not written
/// again.
pub fn take(pipeline: &Pipeline, since: u64, before: &[String]) -> Result<Vec<u8>> {
    let (chunks, manifest) = save(pipeline, since, before)?;
    Ok(pack(&chunks, &manifest))
}

/// The chunks and the manifest of [`take`].
pub fn save(pipeline: &Pipeline, since: u64, before: &[String]) -> Result<(Vec<Chunk>, Value)> {
    let (mut all, owners) = (vec![], Owners::new(&pipeline.plan, &pipeline.prints));
    let (mut operators, mut rules, mut schemas) = (vec![], vec![], vec![]);
    if let Some(running) = &pipeline.running {
        for (i, (owner, operator)) in owners.verbs.iter().zip(&running.operators).enumerate() {
            chunks(owner, operator.save(since)?, &mut all)?;
            operators.push(json!({
                "owner": owner,
                "counters": operator.vitals().counters,
                "clock": operator.vitals().clock,
                "warming": running.completeness.warming(i),
            }));
        }
        for (o, (of_output, owners)) in running.rules.iter().zip(&owners.rules).enumerate() {
            let saved = of_output.save(since)?.into_iter().zip(owners).zip(of_output.counts());
            for (r, ((pieces, owner), (name, fired, failed))) in saved.enumerate() {
                chunks(owner, pieces, &mut all)?;
                rules.push(json!({
                    "output": o, "rule": r, "name": name, "fired": fired, "failed": failed,
                }));
            }
        }
        for schema in &running.schemas {
            let words: Result<Vec<(String, String)>> = schema
                .fields()
                .iter()
                .map(|field| Ok((field.name().clone(), type_word(field.data_type())?)))
                .collect();
            schemas.push(words?);
        }
    }
    let manifest = json!({
        "muntin": env!("CARGO_PKG_VERSION"),
        "zone_data": Zone::data_version(),
        "ranges": RANGES,
        "seq": pipeline.seq,
        "epoch": pipeline.epoch,
        "plan": pipeline.plan,
        "prints": pipeline.prints,
        "schemas": schemas,
        "watermarks": pipeline.watermarks,
        "undecoded": pipeline.undecoded,
        "operators": operators,
        "rules": rules,
        "kept": kept(pipeline, &owners, since, before),
    });
    Ok((all, manifest))
}

/// Names for the owners of chunks, independent of their place in the plan.
struct Owners {
    verbs: Vec<String>,
    rules: Vec<Vec<String>>,
}

impl Owners {
    /// A verb is identified by its fingerprint, a rule by its output, name, key and cooldown.
    fn new(plan: &Plan, prints: &[String]) -> Owners {
        let nth = |i: usize| prints[..i].iter().filter(|&print| *print == prints[i]).count();
        let rule = |output: &plan::Output, rule: &plan::Rule| {
            let words = json!([output.name, rule.name, rule.by, rule.cooldown]).to_string();
            format!("r-{:032x}", xxhash_rust::xxh3::xxh3_128(words.as_bytes()))
        };
        let rules = |output: &plan::Output| {
            output.rules.iter().map(|each| rule(output, each)).collect::<Vec<_>>()
        };
        Owners {
            verbs: (0..prints.len()).map(|i| format!("o{}-{}", nth(i), prints[i])).collect(),
            rules: plan.outputs.iter().map(rules).collect(),
        }
    }
}

/// The names of chunks whose content has not changed since.
fn kept<'a>(
    pipeline: &Pipeline,
    owners: &Owners,
    since: u64,
    names: &'a [String],
) -> Vec<&'a String> {
    let Some(running) = &pipeline.running else { return vec![] };
    let verbs = owners.verbs.iter().zip(&running.operators);
    let verbs: HashMap<&str, _> = verbs.map(|(owner, verb)| (owner.as_str(), verb)).collect();
    let rules = owners.rules.iter().zip(&running.rules).flat_map(|(owners, rules)| {
        owners.iter().enumerate().map(move |(r, owner)| (owner.as_str(), (rules, r)))
    });
    let rules: HashMap<&str, _> = rules.collect();
    let holds = |name: &&String| {
        let Some(name) = Name::parse(name) else { return false };
        let changed = match verbs.get(name.owner) {
            Some(verb) => Some(verb.changed(name.address, name.part)),
            None => rules.get(name.owner).map(|(rules, r)| rules.changed(*r, name.address)),
        };
        changed.is_some_and(|epoch| epoch == name.epoch && epoch <= since)
    };
    names.iter().filter(holds).collect()
}

/// Combines a chain of snapshots into one: the last, with the chunks it refers to in earlier ones.
pub fn assemble(parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut unpacked = parts.iter().map(|part| unpack(part)).collect::<Result<Vec<_>>>()?;
    let Some((mut manifest, own)) = unpacked.pop() else {
        return Err(Error::Snapshot("there is no snapshot".into()));
    };
    let earlier: HashMap<&str, &[u8]> = unpacked
        .iter()
        .flat_map(|(_, chunks)| chunks.iter().map(|(name, bytes)| (name.as_str(), *bytes)))
        .collect();
    let chunk = |name: &str, bytes: &[u8]| Chunk { name: name.into(), bytes: bytes.to_vec() };
    let mut all: Vec<Chunk> = own.iter().map(|(name, bytes)| chunk(name, bytes)).collect();
    for name in read::<Vec<String>>(&manifest, "kept")? {
        let missing = || Error::Snapshot(format!("chunk \"{name}\" is missing from the snapshots"));
        all.push(chunk(&name, earlier.get(name.as_str()).ok_or_else(missing)?));
    }
    manifest["kept"] = json!([]);
    Ok(pack(&all, &manifest))
}

/// Describes a verified snapshot as JSON: its seal, its manifest, and the name, offset and length
/// of each chunk.
pub fn contents(bytes: &[u8]) -> Result<String> {
    let (manifest, chunks) = unpack(bytes)?;
    let start = bytes.as_ptr() as usize;
    let place = |(name, chunk): &(String, &[u8])| {
        json!([name, chunk.as_ptr() as usize - start, chunk.len()])
    };
    let chunks: Vec<Value> = chunks.iter().map(place).collect();
    Ok(json!({"seal": seal(bytes)?, "manifest": manifest, "chunks": chunks}).to_string())
}

/// A field of a manifest.
pub fn read<T: serde::de::DeserializeOwned>(manifest: &Value, field: &str) -> Result<T> {
    serde_json::from_value(manifest[field].clone())
        .map_err(|error| Error::Snapshot(format!("the manifest's \"{field}\": {error}")))
}

/// The parts of a chunk's name.
#[derive(Debug)]
pub struct Name<'a> {
    /// The verb or rule, by what it is.
    pub owner: &'a str,
    /// Where its state belongs.
    pub address: Address,
    /// Which piece of that state.
    pub part: &'a str,
    /// The epoch of its last change.
    pub epoch: u64,
}

impl Name<'_> {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Name<'_>> {
        let parts: Vec<&str> = name.split('/').collect();
        let [owner, address, part, epoch] = parts.as_slice() else { return None };
        let address = address.parse().ok()?;
        Some(Name { owner, address, part, epoch: epoch.parse().ok()? })
    }

    /// The name of the same piece in another part of the stream.
    pub fn in_part(&self, part: u32) -> String {
        let Name { owner, address, part: piece, epoch } = self;
        format!("{owner}/{}/{piece}/{epoch}", Address { part, ..*address })
    }
}
