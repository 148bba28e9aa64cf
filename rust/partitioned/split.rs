//! Split: the rows of a step, divided by partition in their order.

use std::collections::BTreeMap;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use crate::decode::Feed;
use crate::error::{Error, Result};
use crate::origin::Series;

/// A partition's rows of one step.
#[derive(Debug, Default)]
pub struct Share {
    /// The rows, in order.
    pub feeds: Vec<Feed>,
    /// The number of each row among all rows of the step.
    pub rows: Vec<u32>,
}

/// Divides feeds of one input. `None` has the rows of partitions that are not known.
pub fn split(
    feeds: Vec<Feed>,
    known: impl Fn(i64) -> bool,
) -> Result<BTreeMap<Option<i64>, Share>> {
    let mut shares: BTreeMap<Option<i64>, Share> = BTreeMap::new();
    let mut first = 0;
    for feed in feeds {
        feed.check_lengths()?;
        let len = feed.len() as u32;
        let place = |id: i64| known(id).then_some(id);
        match &feed.partition {
            Series::Same(id) => {
                let share = shares.entry(place(*id)).or_default();
                share.rows.extend(first..first + len);
                share.feeds.push(feed);
            }
            Series::Each(ids) => {
                let mut groups: BTreeMap<Option<i64>, Vec<u32>> = BTreeMap::new();
                for (row, &id) in ids.iter().enumerate() {
                    groups.entry(place(id)).or_default().push(row as u32);
                }
                for (place, feed, rows) in divided(&feed, groups)? {
                    let share = shares.entry(place).or_default();
                    share.rows.extend(rows.iter().map(|row| first + row));
                    share.feeds.push(feed);
                }
            }
            Series::From(_) => return Err(Error::Engine("partitions that count up".into())),
        }
        first += len;
    }
    Ok(shares)
}

type Group = (Option<i64>, Feed, Vec<u32>);

/// A feed for each group of rows: slices of the batch, whose rows are sorted by group first unless
/// each group is one run of rows.
fn divided(feed: &Feed, groups: BTreeMap<Option<i64>, Vec<u32>>) -> Result<Vec<Group>> {
    let batch = match feed.batches.as_slice() {
        [one] => one.clone(),
        several => concat_batches(&feed.schema, several)?,
    };
    let is_run =
        |rows: &Vec<u32>| rows.last().is_some_and(|last| last - rows[0] < rows.len() as u32);
    let runs = groups.values().all(is_run);
    let sorted = match runs {
        true => batch,
        false => {
            let order: Vec<u32> = groups.values().flatten().copied().collect();
            take_record_batch(&batch, &UInt32Array::from(order))?
        }
    };
    let mut next = 0;
    let group = |(place, rows): (Option<i64>, Vec<u32>)| {
        let start = if runs { rows[0] as usize } else { next };
        next += rows.len();
        let part = part_of(feed, sorted.slice(start, rows.len()), place, &rows);
        (place, part, rows)
    };
    Ok(groups.into_iter().map(group).collect())
}

fn part_of(feed: &Feed, batch: RecordBatch, place: Option<i64>, rows: &[u32]) -> Feed {
    Feed {
        input: feed.input,
        schema: feed.schema.clone(),
        batches: vec![batch],
        partition: place.map_or_else(|| pick(&feed.partition, rows), Series::Same),
        position: feed.position.as_ref().map(|all| pick(all, rows)),
        arrival: feed.arrival.as_ref().map(|all| pick(all, rows)),
    }
}

fn pick(series: &Series, rows: &[u32]) -> Series {
    match series {
        Series::Same(number) => Series::Same(*number),
        each => Series::Each(rows.iter().map(|&row| each.at(row as usize)).collect()),
    }
}
