import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { Limit } from './limit.ts';
import { percentile } from './load.ts';
import { type Measured, type MeasuredLoad, STEPS } from './measure.ts';
import { CORES, PEERS } from './peers.ts';
import { versions } from './python.ts';

const IN_NODE = ['service', 'service-int8', 'fastify'];
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
  if (names.some((name) => !IN_NODE.includes(name))) console.log(versions(PYTHON_PACKAGES));
  console.log(`load ${os.loadavg()[0].toFixed(1)}; ${STEPS} steps of DPM-Solver++ unless said otherwise\n`);
}

/** Prints a table for each load, with medians over the rounds. limits: of the bare network, by round. */
export function print(measured: ReadonlyMap<string, readonly Measured[]>, limits: readonly Limit[]) {
  const [rates, cpu] = [limits.map((limit) => limit.rate), limits.map((limit) => limit.cpuMs)];
  console.log(
    `bare network: ${list(rates)} evaluations a second in the rounds; CPU time of one: ${list(cpu)} ms\n`,
  );
  console.log('| server | start to ready, s | peak memory, MB |\n| --- | --- | --- |');
  for (const [name, rounds] of measured)
    console.log(
      `| ${PEERS[name].name} | ${median(rounds.map((r) => r.readyMs / 1000)).toFixed(1)} | ${Math.max(...rounds.map((r) => r.peakMb)).toFixed(0)} |`,
    );
  const loads = [...measured.values()].find((rounds) => rounds.length > 0)?.[0].loads ?? [];
  for (const [i, { load }] of loads.entries()) printLoad(load, i, measured, limits);
}

function printLoad(
  title: string,
  index: number,
  measured: ReadonlyMap<string, readonly Measured[]>,
  limits: readonly Limit[],
) {
  console.log(
    `\n**${title}**\n\n| server | pictures/s | share of the bare network | the same in CPU time | this service's is | p50, ms | p95 | p99 | not answered |\n` +
      `|${' --- |'.repeat(9)}`,
  );
  const of = (name: string) => (measured.get(name) ?? []).map((round) => round.loads[index]);
  for (const name of measured.keys()) {
    const found = of(name);
    if (found.length === 0) continue;
    const shares = found.map((each, round) => (rate(each) * STEPS) / limits[round].rate);
    const inCpu = found.map(({ cpuMs }, round) => (limits[round].cpuMs * STEPS) / cpuMs);
    const ratios = of('service')
      .slice(0, found.length)
      .map((each, round) => rate(each) / rate(found[round]));
    const at = (share: number) => median(found.map((each) => percentile(each, share))).toFixed(0);
    const lost = found.map(({ failures }) => Object.entries(failures).map(([what, n]) => `${n} × ${what}`));
    console.log(
      `| ${PEERS[name].name} | ${list(found.map(rate))} | ${list(shares)} | ${list(inCpu)} | ${list(ratios)} × | ${at(0.5)} | ${at(0.95)} | ${at(0.99)} | ` +
        `${[...new Set(lost.flat())].join(', ')} |`,
    );
  }
  const generators = [...measured.keys()].flatMap((name) => of(name).map(({ generator }) => generator));
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
