import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export const FOLDER = import.meta.dirname;
const VENV = path.join(FOLDER, '.venv');
const REQUIREMENTS = path.join(FOLDER, 'requirements.txt');

/**
 * The Python of a virtual environment with the peers, made here when it is absent or when the requirements have changed.
 * PEERS_PYTHON names another Python that has them.
 */
export function python(): string {
  if (process.env.PEERS_PYTHON) return process.env.PEERS_PYTHON;
  const program = path.join(VENV, 'bin/python');
  const installed = path.join(VENV, 'installed.txt');
  const wanted = readFileSync(REQUIREMENTS, 'utf8');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return program;
  console.log(`making ${VENV}; this takes minutes and several gigabytes`);
  const run = (file: string, ...args: string[]) => execFileSync(file, args, { stdio: 'inherit' });
  if (!existsSync(program)) run('python3', '-m', 'venv', VENV);
  run(program, '-m', 'pip', 'install', '--quiet', '-r', REQUIREMENTS);
  writeFileSync(installed, wanted);
  return program;
}

/** The versions of Python and of packages, as text. */
export function versions(packages: readonly string[]): string {
  const script =
    'import sys, importlib.metadata as m; ' +
    'print("Python", sys.version.split()[0], *[f", {p} {m.version(p)}" for p in sys.argv[1:]], sep=" ")';
  return execFileSync(python(), ['-c', script, ...packages], { encoding: 'utf8' })
    .trim()
    .replaceAll(' ,', ',');
}
