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

/** A moment in seconds since 1970, with the parts asked for: `date`, `time`. */
export function moment(seconds, { date = false } = {}) {
  if (seconds === null || seconds === undefined) return "–";
  const text = new Date(seconds * 1e3).toISOString();
  const time = text.slice(11, 19);
  return date ? `${text.slice(0, 10)} ${time}` : time;
}

/** The marks of an axis of times: no finer than they differ. */
export function times(splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  let day = "";
  return splits.map((at) => {
    const text = new Date(at * 1e3).toISOString();
    const date = text.slice(0, 10);
    if (step >= 86400) return date;
    const time = step < 1 ? text.slice(14, 23) : step < 60 ? text.slice(11, 19) : text.slice(11, 16);
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
