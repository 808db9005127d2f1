import { spawnSync } from 'node:child_process';

/** `npm run --silent NAME -- ARGS`, as the README writes it, with `env` added to the environment. */
export function npmRun(name: string, args: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', name, '--', ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}
