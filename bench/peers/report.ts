import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { Limit } from './limit.ts';
import { percentile } from './load.ts';
import { type Measured, type MeasuredLoad, STEPS } from './measure.ts';
import { CORES, PEERS } from './peers.ts';
import { versions } from './python.ts';

const PYTHON_PACKAGES = ['torch', 'fastapi', 'uvicorn', 'litserve', 'bentoml'];
/** What decides how fast int8 and bf16 are. */
const CPU_FLAGS = ['avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'avx512_bf16', 'amx_int8', 'amx_bf16'];

/** Prints the machine, the versions and the settings. */
export function describeMachine(names: readonly string[]) {
  const flags =
    readFileSync('/proc/cpuinfo', 'utf8')
      .match(/^flags\s*: (.*)$/m)?.[1]
      .split(' ') ?? [];
  const present = CPU_FLAGS.filter((flag) => flags.includes(flag));
  console.log(
    `${os.cpus()[0]?.model}, ${CORES} cores, ${present.join(' ') || 'none of the CPU flags asked for'}`,
  );
  const packages = ['onnxruntime-node', 'fastify', 'sharp'].map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
    return `${name} ${version}`;
  });
  console.log(`Node ${process.version}, ${packages.join(', ')}`);
  if (names.some((name) => PEERS[name].inPython)) console.log(versions(PYTHON_PACKAGES));
  console.log(`load ${os.loadavg()[0].toFixed(1)}; ${STEPS} steps of DPM-Solver++ unless said otherwise\n`);
}

/** One after the other: the bare network, then each peer. A peer that failed in a round is absent. */
export interface Round {
  limit: Limit;
  /** By the peer's name. */
  measured: ReadonlyMap<string, Measured>;
}

/** Prints a table for each load, with medians over the rounds. */
export function print(names: readonly string[], rounds: readonly Round[]) {
  const limits = rounds.map(({ limit }) => limit);
  const [rates, cpu] = [limits.map((limit) => limit.rate), limits.map((limit) => limit.cpuMs)];
  console.log(
    `bare network: ${list(rates)} evaluations a second in the rounds; CPU time of one: ${list(cpu)} ms\n`,
  );
  console.log('| server | start to ready, s | peak memory, MB |\n| --- | --- | --- |');
  for (const name of names) {
    const found = rounds.flatMap(({ measured }) => measured.get(name) ?? []);
    if (found.length === 0) continue;
    const ready = median(found.map(({ readyMs }) => readyMs / 1000));
    const peak = Math.max(...found.map(({ peakMb }) => peakMb));
    console.log(`| ${PEERS[name].name} | ${ready.toFixed(1)} | ${peak.toFixed(0)} |`);
  }
  const loads = rounds.flatMap(({ measured }) => [...measured.values()])[0]?.loads ?? [];
  for (const [i, { load }] of loads.entries()) printLoad(load, i, names, rounds);
}

function printLoad(title: string, index: number, names: readonly string[], rounds: readonly Round[]) {
  console.log(
    `\n**${title}**\n\n| server | pictures/s | share of the bare network | the same in CPU time | this service's is | p50, ms | p95 | p99 | not answered |\n` +
      `|${' --- |'.repeat(9)}`,
  );
  const inRound = (name: string, { measured }: Round) => measured.get(name)?.loads[index];
  const generators: number[] = [];
  for (const name of names) {
    const found = rounds.flatMap((round) => {
      const load = inRound(name, round);
      return load ? { load, limit: round.limit, service: inRound('service', round) } : [];
    });
    if (found.length === 0) continue;
    const shares = found.map(({ load, limit }) => (rate(load) * STEPS) / limit.rate);
    const inCpu = found.map(({ load, limit }) => (limit.cpuMs * STEPS) / load.cpuMs);
    const ratios = found.flatMap(({ load, service }) => (service ? rate(service) / rate(load) : []));
    const at = (share: number) => median(found.map(({ load }) => percentile(load, share))).toFixed(0);
    const lost = found.flatMap(({ load }) =>
      Object.entries(load.failures).map(([what, n]) => `${n} × ${what}`),
    );
    console.log(
      `| ${PEERS[name].name} | ${list(found.map(({ load }) => rate(load)))} | ${list(shares)} | ${list(inCpu)} | ${list(ratios)} × | ${at(0.5)} | ${at(0.95)} | ${at(0.99)} | ` +
        `${[...new Set(lost)].join(', ')} |`,
    );
    generators.push(...found.map(({ load }) => load.generator));
  }
  console.log(`\nThe load generator took ${(100 * median(generators)).toFixed(0)} % of a core.`);
}

const rate = ({ latenciesMs, seconds }: MeasuredLoad) => latenciesMs.length / seconds;

/** The values of the rounds. */
function list(values: readonly number[]): string {
  return values.map((value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))).join(', ');
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
