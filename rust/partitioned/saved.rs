//! Saved: the state of all partitions, or of one, as one snapshot.
//!
//! A chunk's name has the number of its part. The manifest lists the partitions, each with its
//! number and what its own snapshot would say of it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::homes::HomeKeys;
use super::{Part, Partitioned};
use crate::chunk::{Chunk, Named, decode_batch, encode_batch, pack, unpack};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::snapshot::{self, Name, read};
use crate::state::Address;

/// The owner of the chunks with the keys that a partition remembers.
const HOMES: &str = "homes";

/// What the manifests of all partitions say alike; the manifest of the snapshot has it.
const SHARED: [&str; 4] = ["plan", "prints", "muntin", "ranges"];

/// A partition in a snapshot: its own manifest, and its chunks as its engine names them.
struct SavedPart<'a> {
    number: u32,
    manifest: Value,
    chunks: Vec<Named<'a>>,
    keys: HomeKeys,
}

impl Partitioned {
    /// Serialises the state of all partitions, or of one: all of it, or what changed after an
    /// earlier snapshot, as [`Engine::snapshot`] does.
    pub fn snapshot(
        &self,
        partition: Option<i64>,
        since: u64,
        before: &[String],
    ) -> Result<Vec<u8>> {
        self.alive()?;
        let parts: Vec<(Option<i64>, &Part)> = match partition {
            Some(id) => vec![(Some(id), self.known(id)?)],
            None => {
                let own = self.parts.iter().map(|(&id, part)| (Some(id), part));
                own.chain([(None, &self.rest)]).collect()
            }
        };
        let mut names: HashMap<u32, Vec<String>> = HashMap::new();
        for name in before {
            let name = Name::parse(name).ok_or_else(|| bad_name(name))?;
            names.entry(name.address.part).or_default().push(name.in_part(0));
        }
        let (mut chunks, mut kept, mut partitions) = (vec![], vec![], vec![]);
        for (id, part) in parts {
            let since = if part.opened > since { 0 } else { since };
            let before = names.remove(&part.number).unwrap_or_default();
            let (own, mut manifest) = snapshot::save(part.engine.pipeline(), since, &before)?;
            for chunk in own {
                let name = in_part(&chunk.name, part.number)?;
                chunks.push(Chunk { name, ..chunk });
            }
            for name in read::<Vec<String>>(&manifest, "kept")? {
                kept.push(in_part(&name, part.number)?);
            }
            part.save_keys(since, &before, &mut chunks, &mut kept)?;
            if let Some(fields) = manifest.as_object_mut() {
                fields.retain(|name, _| name != "kept" && !SHARED.contains(&name.as_str()));
            }
            partitions.push(json!({"id": id, "part": part.number, "manifest": manifest}));
        }
        Ok(pack(&chunks, &self.manifest(partitions, kept)))
    }

    /// The manifest of some partitions; it also says of all of them what that of one engine says.
    fn manifest(&self, partitions: Vec<Value>, kept: Vec<String>) -> Value {
        let rest = self.rest.engine.pipeline();
        let mut whole = super::joined::manifest(partitions.iter().map(|one| &one["manifest"]));
        whole["muntin"] = json!(env!("CARGO_PKG_VERSION"));
        whole["ranges"] = json!(crate::state::RANGES);
        whole["plan"] = json!(rest.plan);
        whole["prints"] = json!(rest.prints);
        whole["epoch"] = json!(self.epoch);
        whole["next_part"] = json!(self.next);
        whole["count"] = json!(self.declared.count);
        whole["partitioned_by"] = json!(self.declared.columns);
        whole["kept"] = json!(kept);
        whole["partitions"] = json!(partitions);
        whole
    }

    /// Restores all partitions of a snapshot, among which those `declared` must be.
    pub(super) fn restore(&mut self, bytes: &[u8], declared: &[i64]) -> Result<()> {
        let (manifest, mut saved) = self.saved_parts(bytes)?;
        if let Some(missing) = declared.iter().find(|id| !saved.contains_key(&Some(**id))) {
            return Err(Error::Snapshot(format!(
                "partition {missing} was not declared when the snapshot was taken\nhint: restore \
                 with the partitions declared then, and open() the new one"
            )));
        }
        if let Some(rest) = saved.remove(&None) {
            self.rest = self.loaded(None, rest, 0)?;
        }
        for (id, part) in saved {
            if let Some(id) = id {
                let part = self.loaded(Some(id), part, 0)?;
                self.put(id, part)?;
            }
        }
        self.epoch = read(&manifest, "epoch")?;
        self.next = read(&manifest, "next_part")?;
        Ok(())
    }

    /// Opens a partition with its state in a snapshot of it, or of it and others.
    pub(super) fn open_saved(&mut self, partition: i64, bytes: &[u8]) -> Result<()> {
        let (manifest, mut saved) = self.saved_parts(bytes)?;
        let Some(part) = saved.remove(&Some(partition)) else {
            let known: Vec<String> = saved.keys().flatten().map(i64::to_string).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Error::Snapshot(format!(
                "the snapshot has no partition {partition}, only {known}"
            )));
        };
        let epoch = self.epoch.max(read(&manifest, "epoch")?);
        let part = SavedPart { number: self.next, ..part };
        let part = self.loaded(Some(partition), part, epoch + 1)?;
        self.put(partition, part)?;
        self.next += 1;
        self.epoch = epoch;
        Ok(())
    }

    /// The verified partitions of a snapshot.
    fn saved_parts<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<(Value, BTreeMap<Option<i64>, SavedPart<'a>>)> {
        let (manifest, chunks) = unpack(bytes)?;
        if manifest.get("partitions").is_none() {
            return Err(Error::Snapshot(
                "the snapshot has one state for all partitions, and the pipeline one for each\n\
                 hint: leave out partitioned_by= as when the snapshot was taken, or start without it"
                    .into(),
            ));
        }
        if !read::<Vec<String>>(&manifest, "kept")?.is_empty() {
            return Err(Error::Snapshot("this is only one part of a snapshot".into()));
        }
        let by: Vec<String> = read(&manifest, "partitioned_by")?;
        if by != self.declared.columns {
            return Err(Error::Snapshot(format!(
                "the snapshot was taken with partitioned_by={by:?}, not {:?}\nhint: start without it",
                self.declared.columns
            )));
        }
        self.declared.check_count(read(&manifest, "count")?)?;
        let mut of_part: HashMap<u32, Vec<(Name<'_>, &[u8])>> = HashMap::new();
        for (name, content) in &chunks {
            let name = Name::parse(name).ok_or_else(|| bad_name(name))?;
            of_part.entry(name.address.part).or_default().push((name, *content));
        }
        let mut saved = BTreeMap::new();
        for one in read::<Vec<Value>>(&manifest, "partitions")? {
            let (id, number): (Option<i64>, u32) = (read(&one, "id")?, read(&one, "part")?);
            let mut own: Value = read(&one, "manifest")?;
            for field in SHARED {
                own[field] = manifest[field].clone();
            }
            own["kept"] = json!([]);
            let (keys, chunks): (Vec<_>, Vec<_>) = of_part
                .remove(&number)
                .unwrap_or_default()
                .into_iter()
                .partition(|(name, _)| name.owner == HOMES);
            let chunks = chunks.into_iter().map(|(name, bytes)| (name.in_part(0), bytes)).collect();
            let part = SavedPart { number, manifest: own, chunks, keys: keys_of(keys)? };
            if saved.insert(id, part).is_some() {
                return Err(Error::Snapshot("the manifest has a partition twice".into()));
            }
        }
        Ok((manifest, saved))
    }

    /// The engine of a saved partition.
    fn loaded(&self, id: Option<i64>, saved: SavedPart<'_>, opened: u64) -> Result<Part> {
        let ids = vec![id.into_iter().collect()];
        let mut engine = Engine::new(&self.plan_json, ids, 1, (self.masks)(), None, "refuse")?;
        let place = |error: Error| match (id, error) {
            (Some(id), Error::Snapshot(m)) => Error::Snapshot(format!("partition {id}: {m}")),
            (_, other) => other,
        };
        engine.load(&saved.manifest, &saved.chunks, self.on_change).map_err(place)?;
        Ok(Part { number: saved.number, engine, keys: saved.keys, opened })
    }
}

impl Part {
    /// Adds the chunks of the keys that it remembers, and the names of those that did not change.
    fn save_keys(
        &self,
        since: u64,
        before: &[String],
        chunks: &mut Vec<Chunk>,
        kept: &mut Vec<String>,
    ) -> Result<()> {
        let address = Address { part: self.number, range: 0 };
        for (segment, epoch, batch) in self.keys.save(since)? {
            let name = format!("{HOMES}/{address}/{segment}/{epoch}");
            chunks.push(Chunk { name, bytes: encode_batch(&batch)? });
        }
        for name in before.iter().filter_map(|name| Name::parse(name)) {
            let changed = name.part.parse().ok().and_then(|segment| self.keys.changed(segment));
            if name.owner == HOMES && changed == Some(name.epoch) && name.epoch <= since {
                kept.push(name.in_part(self.number));
            }
        }
        Ok(())
    }
}

fn keys_of(chunks: Vec<(Name<'_>, &[u8])>) -> Result<HomeKeys> {
    let mut segments = vec![];
    for (name, bytes) in chunks {
        let number = name.part.parse().map_err(|_| bad_name(&name.in_part(0)))?;
        segments.push((number, name.epoch, decode_batch(bytes)?));
    }
    segments.sort_by_key(|segment| segment.0);
    HomeKeys::load(segments)
}

fn in_part(name: &str, number: u32) -> Result<String> {
    Ok(Name::parse(name).ok_or_else(|| bad_name(name))?.in_part(number))
}

fn bad_name(name: &str) -> Error {
    Error::Snapshot(format!("chunk \"{name}\" has an invalid name"))
}
