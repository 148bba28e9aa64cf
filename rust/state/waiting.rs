//! Waiting: rows held until the watermark passes them, with all that is known of each, in runs
//! sorted by time, then arrival.
//!
//! A run is merged with the previous one when that has shrunk to a comparable length. So `n` rows
//! are held in about `log n` runs, each row is moved about `log n` times, and a step reads only the
//! rows it releases.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_schema::{FieldRef, SchemaRef};

use super::saved::{Saved, Saving};
use crate::block::{Block, Firing, RowMeta};
use crate::error::{Error, Result};
use crate::limits::TEXT_BYTES_MAX;
use crate::origin::{Origin, Origins};
use crate::time::Micros;
use crate::wide::{self, Cut};

/// The name of saved waiting rows in a snapshot.
pub const WAITING: &str = "waiting";

/// A sorted run; rows before `next` have been released.
#[derive(Debug)]
struct WaitingRun {
    rows: Block,
    next: usize,
}

impl WaitingRun {
    fn len(&self) -> usize {
        self.rows.len() - self.next
    }

    fn left(&self) -> Result<Block> {
        part(&self.rows, self.next..self.rows.len())
    }

    /// Whether this run is short enough compared to a newer one to merge them, and the merge is
    /// possible.
    fn joins(&self, newer: &WaitingRun) -> bool {
        let text = |k: usize| {
            let of = |run: &WaitingRun| wide::bytes(run.rows.columns[k].as_ref());
            of(self) + of(newer)
        };
        self.len() <= 2 * newer.len()
            && (0..self.rows.columns.len()).all(|k| text(k) <= TEXT_BYTES_MAX)
    }
}

/// The rows being held.
#[derive(Debug, Default)]
pub struct Waiting {
    runs: Vec<WaitingRun>,
}

impl Waiting {
    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Approximate memory in bytes.
    pub fn bytes(&self) -> usize {
        let column = |column: &ArrayRef| column.get_array_memory_size();
        let of = |run: &WaitingRun| {
            run.rows.len() * 64 + run.rows.columns.iter().map(column).sum::<usize>()
        };
        self.runs.iter().map(of).sum()
    }

    /// Adds rows that arrived after all rows already held. Later they no longer find their source
    /// columns, which are in memory during their own step only.
    pub fn push(&mut self, mut rows: Block) -> Result<()> {
        let mut meta = RowMeta::clone(&rows.meta);
        let gone = |row| Origin { row: u32::MAX, ..rows.meta.origin(row) };
        meta.origins = Origins::Each((0..rows.len()).map(gone).collect());
        rows.meta = Arc::new(meta);
        let mut newest = WaitingRun { rows: in_order(rows)?, next: 0 };
        while let Some(older) = self.runs.pop_if(|older| older.joins(&newest)) {
            newest = WaitingRun {
                rows: in_order(together(&[older.left()?, newest.left()?])?)?,
                next: 0,
            };
        }
        self.runs.push(newest);
        Ok(())
    }

    /// Takes out the rows whose time is before `now`, sorted. Text columns may be of the large
    /// type.
    pub fn take(&mut self, now: Micros) -> Result<Option<Block>> {
        let mut ready = vec![];
        for run in &mut self.runs {
            let passed = run.rows.meta.time[run.next..].partition_point(|&time| time < now);
            if passed == 0 {
                continue;
            }
            ready.push(part(&run.rows, run.next..run.next + passed)?);
            run.next += passed;
            if run.next > run.rows.len() / 2 {
                *run = WaitingRun { rows: run.left()?, next: 0 };
            }
        }
        self.runs.retain(|run| run.len() > 0);
        if ready.is_empty() { Ok(None) } else { in_order(together(&ready)?).map(Some) }
    }

    /// Saves all rows; `None` if there are none.
    pub fn save(&self) -> Result<Option<Saved>> {
        if self.is_empty() { Ok(None) } else { save_rows(&self.all()?).map(Some) }
    }

    /// Adds saved rows, which have these columns.
    pub fn load(&mut self, saved: &Saved, schema: &SchemaRef) -> Result<()> {
        for rows in Arc::new(load_rows(saved, schema)?).pieces(Cut::Anywhere)? {
            self.push(Arc::unwrap_or_clone(rows))?;
        }
        Ok(())
    }

    /// All held rows, sorted.
    fn all(&self) -> Result<Block> {
        let runs: Vec<Block> = self.runs.iter().map(WaitingRun::left).collect::<Result<_>>()?;
        in_order(together(&runs)?)
    }
}

fn part(rows: &Block, places: std::ops::Range<usize>) -> Result<Block> {
    rows.take(&(places.start as u32..places.end as u32).collect::<Vec<_>>())
}

/// Concatenates blocks.
fn together(blocks: &[Block]) -> Result<Block> {
    Block::together(&blocks.iter().collect::<Vec<_>>(), wide::concat)
}

/// Sorts rows by time, then arrival; rows with equal `seq` keep their order.
fn in_order(rows: Block) -> Result<Block> {
    let meta = Arc::clone(&rows.meta);
    let place = |&row: &u32| (meta.time[row as usize], meta.seq[row as usize]);
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    if order.is_sorted_by_key(place) {
        return Ok(rows);
    }
    order.sort_by_key(place);
    rows.take(&order)
}

/// Renumbers the inputs in saved waiting rows for a plan that lists them in another order: input i
/// is now `places[i]`. Other parts of a state do not name inputs.
pub fn renumber(part: &str, saved: Saved, places: &[usize]) -> Result<Saved> {
    if part != WAITING || saved.column("input").is_err() {
        return Ok(saved);
    }
    let of = |&input: &i64| places.get(input as usize).map_or(input, |&at| at as i64);
    let inputs: Vec<i64> = saved.i64("input")?.iter().map(of).collect();
    let fields = saved.batch.schema();
    let columns = fields.fields().iter().zip(saved.batch.columns());
    let with = |all: Saving, (field, column): (&FieldRef, &ArrayRef)| match field.name().as_str() {
        "input" => all.i64("input", inputs.clone()),
        name => all.column(name, column.clone()),
    };
    columns.fold(Saving::default(), with).done()
}

fn save_rows(block: &Block) -> Result<Saved> {
    let meta = &block.meta;
    let late: BooleanArray = (0..block.len()).map(|row| Some(meta.is_late(row))).collect();
    let origin = |of: fn(Origin) -> i64| (0..block.len()).map(|row| of(meta.origin(row))).collect();
    let firing = |of: fn(&Firing) -> i64| match &meta.firing {
        Some(firing) => firing.iter().map(of).collect(),
        None => vec![],
    };
    let mut saving = Saving::default()
        .columns("column", block.columns.clone())
        .i64("time", meta.time.clone())
        .u64("seq", meta.seq.clone())
        .i64("judge", meta.judge.clone())
        .i64("input", origin(|origin| i64::from(origin.input)))
        .i64("partition", origin(|origin| origin.partition))
        .i64("position", origin(|origin| origin.position))
        .i64("arrival", origin(|origin| origin.arrival))
        .column("late", Arc::new(late));
    if meta.firing.is_some() {
        saving = saving
            .i64("start", firing(|firing| firing.start))
            .i64("end", firing(|firing| firing.end))
            .i64("revision", firing(|firing| firing.revision));
    }
    saving.done()
}

fn load_rows(saved: &Saved, schema: &SchemaRef) -> Result<Block> {
    let type_of = |(i, field): (usize, &FieldRef)| {
        let found = saved.column(&format!("column.{i}"))?;
        Ok(wide::saved_as(field.data_type(), found.data_type()))
    };
    let types: Vec<_> = schema.fields().iter().enumerate().map(type_of).collect::<Result<_>>()?;
    let columns = saved.columns("column", &types)?;
    let (input, partition) = (saved.i64("input")?, saved.i64("partition")?);
    let (position, arrival) = (saved.i64("position")?, saved.i64("arrival")?);
    let origin = |row: usize| Origin {
        input: input[row] as u32,
        row: u32::MAX,
        partition: partition[row],
        position: position[row],
        arrival: arrival[row],
    };
    let firing = match saved.i64("start") {
        Ok(start) => {
            let (end, revision) = (saved.i64("end")?, saved.i64("revision")?);
            let of = |row| Firing { start: start[row], end: end[row], revision: revision[row] };
            Some((0..saved.len()).map(of).collect())
        }
        Err(_) => None,
    };
    let late = saved.column("late")?;
    let late = late
        .as_boolean_opt()
        .ok_or_else(|| Error::Snapshot("column \"late\" is not bool".into()))?;
    let meta = RowMeta {
        time: saved.i64("time")?.to_vec(),
        seq: saved.u64("seq")?.to_vec(),
        judge: saved.i64("judge")?.to_vec(),
        origins: Origins::Each((0..saved.len()).map(origin).collect()),
        firing,
        late: Some(late.values().iter().collect()),
    };
    Ok(Block { schema: schema.clone(), columns, meta: Arc::new(meta) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::RowMeta;
    use crate::origin::Origins;
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_schema::{DataType, Field, Schema};

    fn rows(times: &[Micros], from: u64) -> Block {
        let seq: Vec<u64> = (from..from + times.len() as u64).collect();
        let numbers: Int64Array = seq.iter().map(|&seq| Some(seq as i64)).collect();
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let (time, judge, origins) = (times.to_vec(), times.to_vec(), Origins::Fired);
        let meta = RowMeta { time, judge, seq, origins, firing: None, late: None };
        let columns: Vec<ArrayRef> = vec![Arc::new(numbers)];
        Block { schema: Arc::new(schema), columns, meta: Arc::new(meta) }
    }

    #[test]
    fn rows_come_out_sorted_and_runs_are_few() {
        let (mut waiting, mut model) = (Waiting::default(), vec![]);
        let mut chance = 7_i64;
        let mut next = || {
            chance = (chance * 1_103_515_245 + 12_345) % 2_147_483_648;
            chance / 65_536
        };
        for seq in (0..3_000_u64).step_by(3) {
            let times: Vec<Micros> = (0..3).map(|_| seq as i64 + next() % 500).collect();
            model.extend(times.iter().zip(seq..).map(|(&time, seq)| (time, seq)));
            waiting.push(rows(&times, seq)).unwrap();
            assert!(waiting.runs.len() <= 2 + model.len().ilog2() as usize);
            let now = seq as i64 - next() % 300;
            let mut out: Vec<(Micros, u64)> = model.extract_if(.., |row| row.0 < now).collect();
            out.sort_unstable();
            let taken = waiting.take(now).unwrap();
            let numbers = |block: &Block| -> Vec<(Micros, u64)> {
                let n = block.columns[0].as_primitive::<Int64Type>().values().iter();
                n.zip(&block.meta.time).map(|(&n, &time)| (time, n as u64)).collect()
            };
            assert_eq!(taken.map_or(vec![], |block| numbers(&block)), out);
            if !model.is_empty() {
                model.sort_unstable();
                assert_eq!(numbers(&waiting.all().unwrap()), model);
            }
        }
    }
}
