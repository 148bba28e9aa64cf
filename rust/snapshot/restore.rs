//! Restore: loads a snapshot into a pipeline, which may have changed since.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::Array;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::change::{Change, OnChange, same_pipeline};
use super::{Name, Owners, read};
use crate::chunk::{Named, decode_batch, unpack};
use crate::error::{Error, Result};
use crate::operator::SavedPiece;
use crate::pipeline::{BuiltGraph, Pipeline};
use crate::plan::{Node, Plan};
use crate::schema::{parse_type, type_word};
use crate::state::{RANGES, Saved, waiting};
use crate::watermark::Watermarks;

/// Saved pieces by owner.
type Pieces = HashMap<String, Vec<SavedPiece>>;

/// The columns of an input in a manifest.
type Columns = Vec<(String, String)>;

/// Loads a snapshot's state into a new pipeline.
pub fn restore(pipeline: &mut Pipeline, bytes: &[u8], on_change: OnChange) -> Result<()> {
    let (manifest, chunks) = unpack(bytes)?;
    if manifest.get("partitions").is_some() {
        return Err(Error::Snapshot(
            "the snapshot has a state for each partition, and the pipeline one for all\nhint: \
             declare partitioned_by= as it was when the snapshot was taken, or start without it"
                .into(),
        ));
    }
    load(pipeline, &manifest, &chunks, on_change)
}

/// Loads the state that a manifest and its chunks hold into a new pipeline.
pub fn load(
    pipeline: &mut Pipeline,
    manifest: &Value,
    chunks: &[Named<'_>],
    on_change: OnChange,
) -> Result<()> {
    if !read::<Vec<String>>(manifest, "kept")?.is_empty() {
        return Err(Error::Snapshot("this is only one part of a snapshot".into()));
    }
    if read::<usize>(manifest, "ranges")? != RANGES {
        return Err(Error::Snapshot(format!("the snapshot does not have {RANGES} ranges")));
    }
    let (before, prints): (Plan, Vec<String>) =
        (read(manifest, "plan")?, read(manifest, "prints")?);
    if on_change == OnChange::Refuse {
        same_pipeline(&before, &prints, pipeline)?;
    }
    let change = Change::between(&before, &prints, pipeline)?;
    let watermarks: Vec<Watermarks> = read(manifest, "watermarks")?;
    let mut watermarks = change.arranged(&watermarks, "watermarks")?;
    same_partitions(&watermarks, pipeline)?;
    for (watermarks, input) in watermarks.iter_mut().zip(&pipeline.plan.inputs) {
        watermarks.rebound(input.out_of_order);
    }
    pipeline.watermarks = watermarks;
    let schemas: Vec<Columns> = read(manifest, "schemas")?;
    if !schemas.is_empty() {
        let schemas = same_columns(&change.arranged(&schemas, "columns")?, pipeline)?;
        let saved = SnapshotState { manifest, before: &before, change: &change };
        pipeline.running = Some(saved.load(pipeline, schemas, chunks, on_change)?);
    } else if !chunks.is_empty() {
        return Err(Error::Snapshot("the snapshot has state but no columns".into()));
    }
    pipeline.seq = read(manifest, "seq")?;
    pipeline.epoch = read(manifest, "epoch")?;
    let undecoded: Vec<u64> = read(manifest, "undecoded")?;
    pipeline.undecoded = change.arranged(&undecoded, "counts")?;
    pipeline.restored = Some(change.summary(&before, &pipeline.plan));
    Ok(())
}

fn same_partitions(watermarks: &[Watermarks], pipeline: &Pipeline) -> Result<()> {
    for (saved, declared) in watermarks.iter().zip(&pipeline.watermarks) {
        for partition in declared.partitions() {
            saved.find(partition.id).map_err(|_| {
                Error::Snapshot(format!(
                    "partition {} was not declared when the snapshot was taken\nhint: restore with \
                     the partitions declared then, and open() the new one",
                    partition.id
                ))
            })?;
        }
    }
    Ok(())
}

/// The saved columns of each input; the pipeline must have the same.
fn same_columns(saved: &[Columns], pipeline: &Pipeline) -> Result<Vec<SchemaRef>> {
    let schema = |columns: &Columns| -> Result<SchemaRef> {
        let fields: Result<Vec<Field>> = columns
            .iter()
            .map(|(name, word)| Ok(Field::new(name, parse_type(word)?, true)))
            .collect();
        Ok(Arc::new(Schema::new(fields?)))
    };
    let schemas: Vec<SchemaRef> = saved.iter().map(schema).collect::<Result<_>>()?;
    let Some(running) = &pipeline.running else { return Ok(schemas) };
    for ((input, saved), now) in pipeline.plan.inputs.iter().zip(&schemas).zip(&running.schemas) {
        if saved != now {
            return Err(Error::Snapshot(format!(
                "the snapshot is of streams with other columns: \"{}\" had {}, and has {}\nhint: \
                 start without it, or declare the columns it had",
                input.name,
                columns_text(saved)?,
                columns_text(now)?
            )));
        }
    }
    Ok(schemas)
}

fn columns_text(schema: &Schema) -> Result<String> {
    let word =
        |field: &Arc<Field>| Ok(format!("{} {}", field.name(), type_word(field.data_type())?));
    Ok(schema.fields().iter().map(word).collect::<Result<Vec<String>>>()?.join(", "))
}

/// The verified content of a snapshot.
struct SnapshotState<'a> {
    manifest: &'a Value,
    before: &'a Plan,
    change: &'a Change,
}

impl SnapshotState<'_> {
    /// Restores verbs and rules that have saved state.
    fn load(
        &self,
        pipeline: &Pipeline,
        schemas: Vec<SchemaRef>,
        chunks: &[(String, &[u8])],
        on_change: OnChange,
    ) -> Result<BuiltGraph> {
        let mut running = pipeline.build(schemas)?;
        let mut pieces = Pieces::new();
        for (name, bytes) in chunks {
            let (owner, piece) = self.piece(name, bytes)?;
            pieces.entry(owner).or_default().push(piece);
        }
        let owners = Owners::new(&pipeline.plan, &pipeline.prints);
        self.verbs(&mut running, &owners, &pieces)?;
        if on_change == OnChange::Warm {
            self.warm(pipeline, &mut running);
        }
        self.rules(pipeline, &mut running, &owners, &pieces)?;
        running.update_completeness(&pipeline.plan.outputs);
        Ok(running)
    }

    fn verbs(&self, running: &mut BuiltGraph, owners: &Owners, pieces: &Pieces) -> Result<()> {
        let saved: Vec<Value> = read(self.manifest, "operators")?;
        if saved.len() != self.before.nodes.len() {
            return Err(Error::Snapshot(
                "the operators in the manifest differ from those in its plan".into(),
            ));
        }
        for (i, operator) in running.operators.iter_mut().enumerate() {
            let Some(at) = self.change.verbs[i] else { continue };
            let vitals = operator.vitals_mut();
            vitals.counters = read(&saved[at], "counters")?;
            vitals.clock = read(&saved[at], "clock")?;
            operator.load(pieces_of(&owners.verbs[i], pieces))?;
            running.completeness.load(i, read(&saved[at], "warming")?);
        }
        Ok(())
    }

    /// Notes for each new verb with state from when on it sees all rows.
    fn warm(&self, pipeline: &Pipeline, running: &mut BuiltGraph) {
        let nodes = &pipeline.plan.nodes;
        let newest = |i: usize| match &nodes[i] {
            Node::Input { input } => Some(pipeline.watermarks[*input].newest()),
            _ => None,
        };
        let is_new = |i: usize| self.change.verbs[i].is_none() && nodes[i].has_state();
        running.completeness.start(&running.operators, newest, is_new);
    }

    /// Restores the cooldowns of rules with the same output, name, key and cooldown.
    fn rules(
        &self,
        pipeline: &Pipeline,
        running: &mut BuiltGraph,
        owners: &Owners,
        pieces: &Pieces,
    ) -> Result<()> {
        for saved in &read::<Vec<Value>>(self.manifest, "rules")? {
            let name: String = read(saved, "name")?;
            let failed = saved.get("failed").and_then(Value::as_u64).unwrap_or(0);
            let counts: (u64, u64) = (read(saved, "fired")?, failed);
            let output = self.before.outputs.get(read::<usize>(saved, "output")?);
            let outputs = &pipeline.plan.outputs;
            let at = outputs.iter().position(|new| output.is_some_and(|old| old.name == new.name));
            let Some(at) = at else { continue };
            let rule = outputs[at].rules.iter().position(|rule| rule.name == name);
            let Some(rule) = rule else { continue };
            let pieces = pieces_of(&owners.rules[at][rule], pieces);
            running.rules[at].load(&name, counts, pieces)?;
        }
        Ok(())
    }

    fn piece(&self, name: &str, bytes: &[u8]) -> Result<(String, SavedPiece)> {
        let bad = || Error::Snapshot(format!("chunk \"{name}\" has an invalid name"));
        let Name { owner, address, part, epoch } = Name::parse(name).ok_or_else(bad)?;
        if address.part != 0 {
            return Err(Error::Snapshot(format!(
                "chunk \"{name}\" is of part {} of the stream, and this version knows only part 0\n\
                 hint: restore it with the version that took it",
                address.part
            )));
        }
        let saved = Saved { batch: decode_batch(bytes)? };
        if saved.batch.columns().iter().all(|c| *c.data_type() == DataType::Null)
            && !saved.is_empty()
        {
            let rows = saved.len();
            return Err(Error::Snapshot(format!(
                "chunk \"{name}\" has {rows} rows without values"
            )));
        }
        let saved = waiting::renumber(part, saved, &self.change.places())?;
        Ok((owner.to_string(), SavedPiece { address, name: part.to_string(), epoch, saved }))
    }
}

/// The pieces of an owner.
fn pieces_of<'a>(owner: &str, pieces: &'a Pieces) -> &'a [SavedPiece] {
    pieces.get(owner).map_or(&[], Vec::as_slice)
}
