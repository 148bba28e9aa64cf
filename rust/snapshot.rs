//! Snapshot: a pipeline between two steps, as named chunks and a manifest, and back.
//!
//! A chunk's name holds the print of its operator, its range, its part and the epoch in which it
//! last changed: a chunk of the same name has the same content. Everything is verified before any
//! state is built; nothing is executed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use serde_json::{Value, json};

use crate::chunk::{Chunk, decode_batch, encode_batch, pack, seal, unpack};
use crate::error::{Error, Result};
use crate::fate::Counters;
use crate::operator::Piece;
use crate::pipeline::{Pipeline, Running};
use crate::plan::{Node, Plan};
use crate::schema::{parse_type, type_word};
use crate::state::{RANGES, Saved};
use crate::time::{Micros, NEVER};
use crate::watermark::Watermarks;

fn chunks(owner: &str, pieces: Vec<Piece>, all: &mut Vec<Chunk>) -> Result<()> {
    for piece in pieces {
        let name = format!("{owner}/{}/{}/{}", piece.range, piece.part, piece.epoch);
        all.push(Chunk { name, bytes: encode_batch(&piece.saved.batch)? });
    }
    Ok(())
}

/// The engine's state: all of it, or what changed after epoch `since`, with the names of the chunks
/// among `before`, those of the snapshot of that epoch, which still hold.
pub fn take(pipeline: &Pipeline, since: u64, before: &[String]) -> Result<Vec<u8>> {
    let mut all = vec![];
    let (mut operators, mut rules, mut schemas) = (vec![], vec![], vec![]);
    if let Some(running) = &pipeline.running {
        for (i, operator) in running.operators.iter().enumerate() {
            chunks(&format!("o{i}-{}", pipeline.prints[i]), operator.save(since)?, &mut all)?;
            operators.push(json!({"counters": operator.counters(), "clock": operator.clock()}));
        }
        for (o, of_output) in running.rules.iter().enumerate() {
            for (r, (name, fired, pieces)) in of_output.save(since)?.into_iter().enumerate() {
                chunks(&format!("r{o}.{r}"), pieces, &mut all)?;
                rules.push(json!({"output": o, "rule": r, "name": name, "fired": fired}));
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
        "kept": before.iter().filter(|name| holds(pipeline, since, name)).collect::<Vec<_>>(),
    });
    Ok(pack(&all, &manifest))
}

/// True if what a chunk holds has not changed since.
fn holds(pipeline: &Pipeline, since: u64, name: &str) -> bool {
    let (Some(running), Some(name)) = (&pipeline.running, Name::parse(name)) else { return false };
    let changed = match name.owner.split_once('.') {
        Some((output, rule)) => {
            let (output, rule) = (output.strip_prefix('r'), rule.parse());
            let rules = output.and_then(|o| running.rules.get(o.parse::<usize>().ok()?));
            rules.zip(rule.ok()).map(|(rules, rule)| rules.changed(rule, name.range))
        }
        None => {
            let owners = pipeline.prints.iter().enumerate();
            let mut owners = owners.map(|(i, print)| format!("o{i}-{print}"));
            let at = owners.position(|owner| owner == name.owner);
            at.map(|at| running.operators[at].changed(name.range, name.part))
        }
    };
    changed.is_some_and(|epoch| epoch == name.epoch && epoch <= since)
}

/// One snapshot out of several: the last of them, with the chunks that it names in those before.
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
        let missing = || Error::Snapshot(format!("chunk \"{name}\" is in none of the snapshots"));
        all.push(chunk(&name, earlier.get(name.as_str()).ok_or_else(missing)?));
    }
    manifest["kept"] = json!([]);
    Ok(pack(&all, &manifest))
}

/// What is in a snapshot, verified, as JSON: its seal, its manifest, and for each chunk its name,
/// place and length in bytes.
pub fn contents(bytes: &[u8]) -> Result<String> {
    let (manifest, chunks) = unpack(bytes)?;
    let start = bytes.as_ptr() as usize;
    let place = |(name, chunk): &(String, &[u8])| {
        json!([name, chunk.as_ptr() as usize - start, chunk.len()])
    };
    let chunks: Vec<Value> = chunks.iter().map(place).collect();
    Ok(json!({"seal": seal(bytes)?, "manifest": manifest, "chunks": chunks}).to_string())
}

fn read<T: serde::de::DeserializeOwned>(manifest: &Value, field: &str) -> Result<T> {
    serde_json::from_value(manifest[field].clone())
        .map_err(|error| Error::Snapshot(format!("the manifest's \"{field}\": {error}")))
}

/// Puts a snapshot's state into a new pipeline of the same pipeline.
pub fn restore(pipeline: &mut Pipeline, bytes: &[u8], on_change: &str) -> Result<()> {
    if on_change != "refuse" {
        return Err(Error::Snapshot(format!(
            "on_change=\"{on_change}\" is not there yet\nhint: on_change=\"refuse\""
        )));
    }
    let (manifest, chunks) = unpack(bytes)?;
    if !read::<Vec<String>>(&manifest, "kept")?.is_empty() {
        return Err(Error::Snapshot("this is one part of a snapshot".into()));
    }
    if read::<usize>(&manifest, "ranges")? != RANGES {
        return Err(Error::Snapshot(format!("the snapshot has not {RANGES} ranges")));
    }
    let before: Plan = read(&manifest, "plan")?;
    same_pipeline(&before, &read::<Vec<String>>(&manifest, "prints")?, pipeline)?;
    let watermarks: Vec<Watermarks> = read(&manifest, "watermarks")?;
    same_partitions(&watermarks, pipeline)?;
    let schemas: Vec<Vec<(String, String)>> = read(&manifest, "schemas")?;
    let mut running = None;
    if schemas.is_empty() {
        if !chunks.is_empty() {
            return Err(Error::Snapshot("the snapshot has state but no columns".into()));
        }
    } else {
        running = Some(load(pipeline, &manifest, schemas, &chunks)?);
    }
    pipeline.seq = read(&manifest, "seq")?;
    pipeline.epoch = read(&manifest, "epoch")?;
    pipeline.undecoded = read(&manifest, "undecoded")?;
    if pipeline.undecoded.len() != pipeline.plan.inputs.len() {
        return Err(Error::Snapshot("the manifest counts other inputs".into()));
    }
    pipeline.watermarks = watermarks;
    pipeline.running = running.or(pipeline.running.take());
    Ok(())
}

/// Refuses the snapshot of another pipeline, naming what differs.
fn same_pipeline(before: &Plan, prints: &[String], pipeline: &Pipeline) -> Result<()> {
    let mut differs = vec![];
    for i in 0..prints.len().max(pipeline.prints.len()) {
        let (old, new) = (before.nodes.get(i), pipeline.plan.nodes.get(i));
        if prints.get(i) != pipeline.prints.get(i) {
            differs.push(format!("verb {i} {}", difference(old, new)));
        }
    }
    let outputs = |plan: &Plan| -> Vec<(String, usize)> {
        plan.outputs.iter().map(|output| (output.name.clone(), output.node)).collect()
    };
    if outputs(before) != outputs(&pipeline.plan) {
        differs.push("the outputs are others".into());
    }
    for (old, new) in before.outputs.iter().zip(&pipeline.plan.outputs) {
        for rule in &old.rules {
            let same = new.rules.iter().find(|other| other.name == rule.name);
            if same.is_some_and(|s| (&s.by, s.cooldown) != (&rule.by, rule.cooldown)) {
                differs.push(format!("rule \"{}\" has another key or cooldown", rule.name));
            }
        }
    }
    if differs.is_empty() {
        return Ok(());
    }
    Err(Error::Snapshot(format!(
        "the snapshot is of another pipeline\n  {}\nhint: start without it, or with the pipeline \
         that made it",
        differs.join("\n  ")
    )))
}

/// What a verb was and is: the parameters that differ, in microseconds where they are times.
fn difference(old: Option<&Node>, new: Option<&Node>) -> String {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) if old.verb() == new.verb() => (old, new),
        _ => {
            let verb = |node: Option<&Node>| node.map_or("nothing", Node::verb);
            return format!("was {}, is {}", verb(old), verb(new));
        }
    };
    let fields = |node| serde_json::to_value(node).unwrap_or_default();
    let (before, now) = (fields(old), fields(new));
    let names = now.as_object().into_iter().flat_map(|fields| fields.keys());
    let changed: Vec<String> = names
        .filter(|name| before[*name] != now[*name])
        .map(|name| format!("{name} was {}, is {}", before[name], now[name]))
        .collect();
    match changed.is_empty() {
        true => format!("({}): what it reads from differs", old.verb()),
        false => format!("({}): {}", old.verb(), changed.join(", ")),
    }
}

fn same_partitions(watermarks: &[Watermarks], pipeline: &Pipeline) -> Result<()> {
    if watermarks.len() != pipeline.plan.inputs.len() {
        return Err(Error::Snapshot("the manifest has watermarks of other inputs".into()));
    }
    for (saved, declared) in watermarks.iter().zip(&pipeline.watermarks) {
        for partition in declared.partitions() {
            saved.find(partition.id).map_err(|_| {
                Error::Snapshot(format!(
                    "partition {} was not declared when the snapshot was taken\nhint: restore with \
                     the partitions of then, and open() the new one",
                    partition.id
                ))
            })?;
        }
    }
    Ok(())
}

/// The operators with their state.
fn load(
    pipeline: &Pipeline,
    manifest: &Value,
    schemas: Vec<Vec<(String, String)>>,
    chunks: &[(String, &[u8])],
) -> Result<Running> {
    let schema = |columns: &Vec<(String, String)>| -> Result<SchemaRef> {
        let fields: Result<Vec<Field>> = columns
            .iter()
            .map(|(name, word)| Ok(Field::new(name, parse_type(word)?, true)))
            .collect();
        Ok(Arc::new(Schema::new(fields?)))
    };
    let schemas: Vec<SchemaRef> = schemas.iter().map(schema).collect::<Result<_>>()?;
    if schemas.len() != pipeline.plan.inputs.len() {
        return Err(Error::Snapshot("the manifest has columns of other inputs".into()));
    }
    if pipeline.running.as_ref().is_some_and(|running| running.schemas != schemas) {
        return Err(Error::Snapshot("the snapshot is of streams with other columns".into()));
    }
    let mut running = pipeline.build(schemas)?;
    let mut pieces: Vec<(String, Piece)> = vec![];
    for (name, bytes) in chunks {
        pieces.push(piece(name, bytes)?);
    }
    let of = |owner: &str| -> Vec<Piece> {
        pieces.iter().filter(|(name, _)| name == owner).map(|(_, piece)| piece.clone()).collect()
    };
    let saved: Vec<Value> = read(manifest, "operators")?;
    if saved.len() != running.operators.len() {
        return Err(Error::Snapshot("the manifest has other operators".into()));
    }
    for (i, (operator, saved)) in running.operators.iter_mut().zip(&saved).enumerate() {
        let counters: Counters = read(saved, "counters")?;
        let clock: Micros = read(saved, "clock")?;
        operator.load(&of(&format!("o{i}-{}", pipeline.prints[i])), counters, clock)?;
    }
    let rules: Vec<Value> = read(manifest, "rules")?;
    for saved in &rules {
        let (output, rule): (usize, usize) = (read(saved, "output")?, read(saved, "rule")?);
        let (name, fired): (String, u64) = (read(saved, "name")?, read(saved, "fired")?);
        let clock = pipeline.plan.outputs.get(output).map(|output| output.node);
        let clock = clock.map_or(NEVER, |node| running.operators[node].clock());
        if let Some(rules) = running.rules.get_mut(output) {
            rules.load(&name, fired, &of(&format!("r{output}.{rule}")), clock)?;
        }
    }
    Ok(running)
}

/// The parts of a chunk's name.
struct Name<'a> {
    owner: &'a str,
    range: usize,
    part: &'a str,
    epoch: u64,
}

impl Name<'_> {
    fn parse(name: &str) -> Option<Name<'_>> {
        let parts: Vec<&str> = name.split('/').collect();
        let [owner, range, part, epoch] = parts.as_slice() else { return None };
        let range = range.parse().ok().filter(|&range: &usize| range < RANGES)?;
        Some(Name { owner, range, part, epoch: epoch.parse().ok()? })
    }
}

fn piece(name: &str, bytes: &[u8]) -> Result<(String, Piece)> {
    let bad = || Error::Snapshot(format!("chunk \"{name}\" has a name that means nothing"));
    let Name { owner, range, part, epoch } = Name::parse(name).ok_or_else(bad)?;
    let saved = Saved { batch: decode_batch(bytes)? };
    Ok((owner.to_string(), Piece { range, part: part.to_string(), epoch, saved }))
}
