import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from '../../tests/helpers/at-exit.ts';

const READY_TIMEOUT_MS = 180_000;
const MEMORY_INTERVAL_MS = 1000;
/** Clock ticks per second of /proc/<pid>/stat: 100 on every Linux that Node runs on. */
const TICKS = 100;

/** A server that is being measured: its process and all processes under it. Linux only, because it reads /proc. */
export class ServerProcess {
  readonly readyMs: number;
  /** Most memory of all its processes at a time, in MB: proportional set size, which counts shared pages once. */
  peakMb = 0;
  readonly #child: ChildProcess;
  readonly #sampling: NodeJS.Timeout;

  /** Resolves when `isReady` does for the first time. */
  static async start(
    [program, ...args]: readonly string[],
    env: Record<string, string>,
    isReady: () => Promise<boolean>,
  ): Promise<ServerProcess> {
    const started = performance.now();
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr?.on('data', (chunk) => {
      errors = (errors + chunk).slice(-2000);
    });
    const kill = () => killTree(child);
    child.once('exit', atExit(kill));
    while (!(await isReady().catch(() => false))) {
      if (child.exitCode !== null) throw new Error(`${program} ${args.join(' ')} ended: ${errors}`);
      if (performance.now() - started > READY_TIMEOUT_MS) {
        kill();
        throw new Error(`${program} is not ready: ${errors}`);
      }
      await sleep(20);
    }
    return new ServerProcess(child, performance.now() - started);
  }

  private constructor(child: ChildProcess, readyMs: number) {
    this.#child = child;
    this.readyMs = readyMs;
    const sample = () => {
      this.peakMb = Math.max(this.peakMb, sum(this.#pids().map(memoryMb)));
    };
    sample();
    this.#sampling = setInterval(sample, MEMORY_INTERVAL_MS);
  }

  /** Processor time of all its processes so far, in milliseconds. */
  cpuMs(): number {
    return sum(this.#pids().map(cpuMs));
  }

  async stop(): Promise<void> {
    clearInterval(this.#sampling);
    killTree(this.#child);
    while (this.#child.exitCode === null && this.#child.signalCode === null) await sleep(20);
  }

  #pids(): number[] {
    return treeOf(this.#child);
  }
}

/** A process and all processes under it. Some servers give their workers a process group of their own. */
function treeOf({ pid }: ChildProcess): number[] {
  const parents = readdirSync('/proc').flatMap((name): [number, number][] => {
    const parent = Number(name) > 0 && fieldsOf(Number(name))?.[1];
    return parent ? [[Number(name), Number(parent)]] : [];
  });
  const found = new Set([pid]);
  for (let size = 0; size < found.size; ) {
    size = found.size;
    for (const [each, parent] of parents) if (found.has(parent)) found.add(each);
  }
  return [...found].filter((each) => each !== undefined);
}

function killTree(child: ChildProcess) {
  for (const pid of treeOf(child)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
}

/** The fields of /proc/<pid>/stat after the name of the command, from the state on; undefined for one that has ended. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
  } catch {
    return undefined;
  }
}

/** User and system time, and that of its children that have ended. */
function cpuMs(pid: number): number {
  const fields = fieldsOf(pid)?.slice(11, 15) ?? [];
  return (sum(fields.map(Number)) * 1000) / TICKS;
}

function memoryMb(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
