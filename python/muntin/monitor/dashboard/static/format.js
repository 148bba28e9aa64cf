// Numbers with units, as people read them.

const SPACE = "\u202f";
const STEPS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** 3 digits and a unit: 0.34, 12.5, 1.20 k, 35.2 M. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  for (const [step, unit] of STEPS) if (size >= step * 0.9995) return digits(value / step) + SPACE + unit;
  return Number.isInteger(value) ? String(value) : digits(value);
}

/** A whole number with groups of three. */
export const whole = (value) => Math.round(value).toLocaleString("en").replaceAll(",", SPACE);

export const rate = (value) => `${short(value < 10 ? +value.toFixed(1) : Math.round(value))}${SPACE}/s`;

export function bytes(value) {
  return value < 1000 ? `${value}${SPACE}B` : `${short(value)}B`;
}

/** A span of seconds. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const size = Math.abs(seconds);
  if (size < 0.0005) return `0${SPACE}s`;
  if (size < 1) return `${digits(seconds * 1e3)}${SPACE}ms`;
  if (size < 120) return `${digits(seconds)}${SPACE}s`;
  if (size < 7200) return `${digits(seconds / 60)}${SPACE}min`;
  if (size < 172800) return `${digits(seconds / 3600)}${SPACE}h`;
  return `${digits(seconds / 86400)}${SPACE}d`;
}

export const percent = (part) => (part > 0 && part < 0.001 ? `<0.1${SPACE}%` : `${(part * 100).toFixed(part < 0.1 ? 1 : 0)}${SPACE}%`);

/** ISO 8601 text of a moment in seconds since 1970; browsers know none beyond 271,821 years. */
function iso(seconds) {
  const at = new Date(seconds * 1e3);
  if (!Number.isNaN(at.getTime())) return at.toISOString().replace(/^([+-])0*(?=\d{4})/, "$1");
  return `${seconds < 0 ? "-" : "+"}${Math.abs(Math.floor(1970 + seconds / 31556952))}-??-??T??:??:??.???Z`;
}

/** A moment in seconds since 1970, with the parts asked for: `date`, `time`. */
export function moment(seconds, { date = false } = {}) {
  if (seconds === null || seconds === undefined) return "–";
  const [day, time] = iso(seconds).split("T");
  // a time of day alone says too little of a year that nobody expects
  return date || !/^\d/.test(day) ? `${day} ${time.slice(0, 8)}` : time.slice(0, 8);
}

/** The marks of an axis of times: no finer than they differ. */
export function times(splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  let day = "";
  return splits.map((at) => {
    const [date, clock] = iso(at).split("T");
    if (step >= 86400) return date;
    const time = step < 1 ? clock.slice(3, 12) : step < 60 ? clock.slice(0, 8) : clock.slice(0, 5);
    const shown = date === day ? time : `${time}\n${date}`;
    day = date;
    return shown;
  });
}

/** A key of one or more columns as one text. */
export const key = (parts) => (parts.length ? parts.map((part) => part ?? "null").join(" · ") : "all rows");

function digits(value) {
  const size = Math.abs(value);
  const text = value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
