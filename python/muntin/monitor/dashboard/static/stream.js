// The stream of events from the server, opened again when the choice changes or the line breaks.

const RETRY = 2000;

export class Stream {
  /** `on` has `scene`, `tick`, `open` and `lost`. */
  constructor(on) {
    this.on = on;
    this.source = null;
    this.timer = 0;
  }

  /** Ask no more. */
  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  /** Ask for lines of this choice: `output`, `measure`, and `keys` or null for the top ones. */
  open({ output, measure, keys }) {
    this.close();
    const query = new URLSearchParams();
    if (output) query.set("output", output);
    if (measure) query.set("measure", measure);
    for (const key of keys ?? []) query.append("key", JSON.stringify(key));
    const source = (this.source = new EventSource(`events?${query}`));
    source.addEventListener("open", () => this.on.open());
    source.addEventListener("scene", (event) => this.on.scene(JSON.parse(event.data)));
    source.addEventListener("tick", (event) => this.on.tick(JSON.parse(event.data)));
    source.addEventListener("again", () => this.open({ output, measure, keys }));
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      this.on.lost();
      // after a refusal a browser does not try again by itself
      if (this.source && source.readyState === EventSource.CLOSED) {
        this.timer = setTimeout(() => this.open({ output, measure, keys }), RETRY);
      }
    });
  }
}
