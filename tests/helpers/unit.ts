import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';

/** Runs before every unit test file: a test that starts a process fails, with a message that says where it belongs. */
function refuse(): never {
  throw new Error('a unit test started a process: add its file to INTEGRATION in vitest.config.ts');
}

for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'] as const) {
  Object.assign(childProcess, { [name]: refuse });
}
syncBuiltinESMExports();
