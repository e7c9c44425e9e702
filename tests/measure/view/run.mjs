// Run by `cargo measure view`: `node run.mjs FOLDER`. V8 is the engine of workerd; here it has a clock that runs.
import { createRequire } from "node:module";

const { Bench } = createRequire(import.meta.url)(`${process.argv[2]}/index.js`);

const MILLION = 1_000_000;
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const timed = (work) => {
  const began = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - began);
};

const bench = new Bench();
const rows = [];
for (const size of [0, 10_000, 100_000, MILLION]) {
  const missing = size - bench.len();
  const fill = timed(() => bench.add(missing));
  bench.ask(MILLION);
  const lookups = Array.from({ length: 9 }, () => timed(() => bench.ask(MILLION)) / MILLION);
  const sweeps = Array.from({ length: 16 }, (_, part) => timed(() => bench.sweep(part)));
  rows.push({ size, fill_ms: fill / 1e6, memory: bench.memory(), lookup_ns: median(lookups), sweep_us: median(sweeps) / 1000 });
}
const applied = Array.from({ length: 50 }, () => timed(() => bench.add(1000)) / 1000);
console.log(JSON.stringify({ rows, apply_1000_us: { median: median(applied), worst: Math.max(...applied) } }));
