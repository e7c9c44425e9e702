// Run by `cargo measure view`: `node run.mjs FOLDER speed`, or with a mix in place of `speed` for the memory that it takes:
// memory only grows, so each is a process of its own. V8 is the engine of workerd; here it has a clock that runs.
import { createRequire } from "node:module";

const [folder, what] = process.argv.slice(2);
const { Bench, Mix } = createRequire(import.meta.url)(`${folder}/index.js`);

const MILLION = 1_000_000;
// More than any cache of a processor holds, what they point to counted.
const TOKENS = 131_072;
const TAKES = 160;
const PARTS = 16;
const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const spread = (numbers) => ({ median: median(numbers), worst: Math.max(...numbers) });
const check = (holds, claim) => {
  if (!holds) throw new Error(`not so: ${claim}`);
};
// Nanoseconds of this thread's CPU time, which others who use the machine add little to. It is too coarse for what is short.
const cpu = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
};
const wall = () => Number(process.hrtime.bigint());
const timed = (clock, work) => {
  const before = clock();
  const done = work();
  const took = clock() - before;
  check(done !== false, "the update was taken");
  return took;
};

// Everything at once into an empty set, then lookups in it.
const filled = (size) => {
  const bench = new Bench(Mix.Mixed, TOKENS);
  bench.write(size);
  const fill = timed(wall, () => bench.take());
  check(bench.len() === size, `${size} are held`);
  const lookups = Array.from({ length: 9 }, () => {
    let good = 0;
    const took = timed(cpu, () => { good = bench.ask(MILLION); });
    check(good === MILLION, "none of the tokens is revoked");
    return took / MILLION;
  });
  return { bench, row: { size, fill_ms: fill / 1e6, lookup_ns: spread(lookups) } };
};

const speed = () => {
  const all = [0, 10_000, 100_000, MILLION].map(filled);
  return { rows: all.map(({ row }) => row), ...updates(all.at(-1).bench) };
};

const updates = (bench) => {
  const taken = Array.from({ length: TAKES }, () => {
    bench.write(1000);
    return timed(wall, () => bench.take()) / 1000;
  });
  check(bench.len() === MILLION + TAKES * 1000, "each update was new");
  const before = bench.len();
  const swept = Array.from({ length: PARTS }, () => timed(wall, () => bench.sweep(1)) / 1000);
  check(bench.len() < before * 0.95, "a minute's entries have expired");
  return { take_1000_us: spread(taken), sweep_us: spread(swept) };
};

const memory = (mix) => {
  const bench = new Bench(mix, 0);
  const before = bench.memory();
  bench.add(MILLION);
  check(bench.len() === MILLION, "a million are held");
  return (bench.memory() - before) / MILLION;
};

const mixes = { mixed: Mix.Mixed, sessions: Mix.Sessions, tokens: Mix.Tokens, users: Mix.Users };
console.log(JSON.stringify(what === "speed" ? speed() : memory(mixes[what])));
